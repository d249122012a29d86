//! One-time codes: `/v1/otp/send`, `/v1/otp/login`.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Forbidden, Read, Throttled, Unauthorized};
use super::failure::Failure;
use super::login::Login;
use super::register::X_SETUP_CODE;
use super::request::Call;
use crate::accounts::codes::Given;
use crate::accounts::names::Name;
use crate::database::NameKind;
use crate::id::Id;

/// Where to: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendCode {
    /// `+`, then 7 to 15 digits, country code first.
    #[serde(default)]
    #[schema(pattern = r"^\+[1-9][0-9]{6,14}$")]
    phone: Option<String>,
    /// An e-mail address.
    #[serde(default)]
    email: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct CodeSent {
    sent: bool,
    /// Seconds.
    expires_in: u64,
    /// To be given back with the code.
    challenge: Id,
}

/// A code and what it was sent with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogInByCode {
    /// As `/v1/otp/send` answered it.
    challenge: String,
    /// Six digits.
    code: String,
    /// Lets in who has no account.
    #[serde(default)]
    invitation: Option<String>,
    /// Of whoever has a second factor: its code, or a recovery code.
    #[serde(default)]
    totp: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct CodeLogin {
    #[serde(flatten)]
    login: Login,
    /// Whether the account was made for it.
    created: bool,
    /// Of the account that was made, shown once; not there where a phone number must be proved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    api_key: Option<String>,
}

/// Send a one-time code to a phone or a mailbox.
///
/// The answer and its time are the same for people who have no account. Six digits, good once, for five minutes and five tries. At
/// most three in ten minutes to the same phone or mailbox: 429 `too many tries`. 400 where no sender is configured.
#[utoipa::path(post, path = "/v1/otp/send", tag = document::PEOPLE, request_body = SendCode,
    responses((status = 200, description = "Sent, if there is anyone to send it to.", body = CodeSent), Read, Throttled))]
pub(super) async fn send(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let body: SendCode = call.json()?;
    let (kind, text) = match (body.phone, body.email) {
        (Some(phone), None) => (NameKind::Phone, phone),
        (None, Some(email)) => (NameKind::Email, email),
        _ => return Err(Failure::invalid("exactly one of `phone`, `email`")),
    };
    let name = Name::given(kind, &text)?.checked()?;
    let challenge = admin.accounts.send_code(&name, call.origin).await?;
    Ok(Answer::ok(CodeSent { sent: true, expires_in: challenge.good_for.as_secs(), challenge: challenge.id }))
}

/// Log in by a one-time code.
///
/// 401 `incorrect code`: wrong, used, too old, or of another challenge. Who has no account gets one where the configuration or an
/// invitation lets them in; otherwise 403 `invitation required` (`setup code required` where nobody has founded yet; it goes into
/// `X-Setup-Code`), and the code stays good for another try; so it does with 401 `second factor required` and `incorrect second
/// factor`, which are as for `/v1/login`.
#[utoipa::path(post, path = "/v1/otp/login", tag = document::PEOPLE, request_body = LogInByCode,
    params(("X-Setup-Code" = Option<String>, Header, description = "The set-up code, where nobody has founded yet.")),
    responses((status = 200, description = "Logged in.", body = CodeLogin), Read, Unauthorized, Forbidden, Throttled))]
pub(super) async fn log_in(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let body: LogInByCode = call.json()?;
    let setup_code = call.header(X_SETUP_CODE)?.map(str::to_owned);
    let given = Given { challenge: body.challenge, code: body.code };
    let made = admin.accounts.log_in_by_code(&given, body.invitation, setup_code, body.totp.as_deref(), call.origin).await?;
    let api_key = made.created.as_ref().and_then(|made| made.api_key.as_ref()).map(|api_key| api_key.reveal().to_owned());
    Ok(Answer::ok(CodeLogin { login: Login::of(&made.login), created: made.created.is_some(), api_key }))
}
