//! Failures: every refusal's status, code, public message and headers, in one match.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};

use crate::accounts::Refusal;

/// Asks who says nothing of himself (RFC 6750 §3).
const CHALLENGE: &str = "Bearer realm=\"gatepost\"";
/// Asks who presented a token that is none.
const CHALLENGE_INVALID: &str = "Bearer realm=\"gatepost\", error=\"invalid_token\"";

/// What a handler refuses, and how.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    status: StatusCode,
    /// Stable; the message in snake case where API.md says nothing else.
    code: String,
    /// Public.
    message: String,
    /// For the log only.
    cause: Option<String>,
    retry_after_s: Option<u64>,
    challenge: Option<&'static str>,
}

/// What the admin listener would say publicly of a refusal: for commands, which have words of their own for the usual ones only.
pub fn in_words(refusal: Refusal) -> String {
    Failure::from(refusal).message
}

impl Failure {
    /// The code of what is refused until a second factor is set up.
    pub(super) const SET_UP_SECOND_FACTOR: &str = "second_factor_setup_required";

    /// A failure whose code is its message in snake case.
    pub(super) fn new(status: StatusCode, message: &str) -> Self {
        Self::coded(status, &message.replace([' ', '-'], "_"), message)
    }

    /// A failure with this code.
    pub(super) fn coded(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let challenge = (status == StatusCode::UNAUTHORIZED).then_some(CHALLENGE);
        Self { status, code: code.to_owned(), message: message.into(), cause: None, retry_after_s: None, challenge }
    }

    /// 400 `invalid_request`.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::coded(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// The same, said to someone who must say who he is (RFC 9110 §15.5.2).
    pub(super) fn unauthorized(self) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, challenge: Some(CHALLENGE), ..self }
    }

    /// 403: not the caller's to do.
    pub(super) fn forbidden(message: &str) -> Self {
        Self::coded(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 400: the scheme in `Authorization` is not the one this route takes.
    pub(super) fn invalid_method() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid authorization method")
    }

    /// What a status that no handler chose says (no such route, no such method, an extractor's refusal).
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::from(Refusal::NotFound),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(status, "method not allowed"),
            status if status.is_client_error() => Self::coded(status, "invalid_request", "the request cannot be read"),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        }
    }

    /// The same with another challenge.
    pub(super) fn challenging(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The same, about a token that is none.
    pub(super) fn of_token(self) -> Self {
        Self { challenge: Some(CHALLENGE_INVALID), ..self }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// `Retry-After` and `WWW-Authenticate`, where they belong.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.extend(self.retry_after_s.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        headers.extend(self.challenge.map(|challenge| (WWW_AUTHENTICATE, HeaderValue::from_static(challenge))));
        headers
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        use StatusCode as S;
        match refusal {
            Refusal::Field { field, problem } => Self::invalid(format!("`{field}`: {problem}")),
            Refusal::MissingCredentials => Self::new(S::BAD_REQUEST, "missing authorization header"),
            Refusal::UserExists => Self::new(S::BAD_REQUEST, "user already exist"),
            Refusal::WeakPassword => Self::new(S::BAD_REQUEST, "weak password"),
            Refusal::WeakRefreshKey => Self::new(S::BAD_REQUEST, "weak refresh key"),
            Refusal::IncorrectCode => Self::new(S::UNAUTHORIZED, "incorrect code"),
            Refusal::SecondFactorRequired => Self::new(S::UNAUTHORIZED, "second factor required"),
            Refusal::IncorrectSecondFactor => Self::new(S::UNAUTHORIZED, "incorrect second factor"),
            Refusal::SecondFactorMissing => {
                let how = "set a second factor up first: POST /v1/second-factor, then /v1/second-factor/confirm";
                Self::coded(S::FORBIDDEN, Self::SET_UP_SECOND_FACTOR, how)
            }
            Refusal::InvitationRequired => Self::new(S::FORBIDDEN, "invitation required"),
            Refusal::SetupCodeRequired => Self::new(S::FORBIDDEN, "setup code required"),
            Refusal::PhoneRequired => Self::new(S::FORBIDDEN, "phone required"),
            Refusal::IncorrectCredentials => Self::new(S::UNAUTHORIZED, "incorrect credentials"),
            Refusal::UnknownUser => Self::new(S::NOT_FOUND, "user does not exist"),
            Refusal::NoSession => Self::new(S::NOT_FOUND, "session does not exist"),
            Refusal::ExpiredSignature => Self::new(S::UNAUTHORIZED, "expired signature").of_token(),
            Refusal::InvalidSignature => Self::new(S::UNAUTHORIZED, "invalid signature").of_token(),
            Refusal::InvalidToken => Self::new(S::UNAUTHORIZED, "invalid token").of_token(),
            Refusal::NoSignIn => Self::new(S::BAD_REQUEST, "no sign-in under way"),
            Refusal::DomainNotAllowed => Self::new(S::FORBIDDEN, "domain not allowed"),
            Refusal::NotLinked => Self::new(S::CONFLICT, "account not linked"),
            Refusal::Blocked => Self::new(S::FORBIDDEN, "account blocked"),
            Refusal::NotProved(cause) => Self { cause: Some(cause), ..Self::new(S::FORBIDDEN, "sign-in refused") },
            Refusal::ProviderAway(cause) => {
                Self { cause: Some(cause), ..Self::new(S::SERVICE_UNAVAILABLE, "provider unavailable").retry_after(5) }
            }
            Refusal::NotFound => Self::new(S::NOT_FOUND, "not found"),
            Refusal::Forbidden => Self::new(S::FORBIDDEN, "forbidden"),
            Refusal::ScopeNotHeld(scopes) => {
                let names: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
                Self::coded(S::FORBIDDEN, "forbidden", format!("scope not held: {}", names.join(", ")))
            }
            Refusal::UnknownKey => Self::new(S::UNAUTHORIZED, "unknown or ended key"),
            Refusal::TooManyTokens => Self::new(S::TOO_MANY_REQUESTS, "too many live tokens").retry_after(60),
            Refusal::TooManyTries(wait) => {
                Self::new(S::TOO_MANY_REQUESTS, "too many tries").retry_after(wait.as_secs_f64().ceil().max(1.0) as u64)
            }
            Refusal::Busy => Self::new(S::SERVICE_UNAVAILABLE, "busy").retry_after(1),
            Refusal::Unavailable(cause) => Self { cause: Some(cause), ..Self::new(S::SERVICE_UNAVAILABLE, "unavailable").retry_after(1) },
        }
    }
}
