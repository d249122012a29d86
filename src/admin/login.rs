//! `GET` and `POST /v1/login`, and how credentials are given: Basic, or in the body.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, NotFound, Read, Throttled, Unauthorized};
use super::failure::Failure;
use super::request::{Authorization, Call};
use crate::accounts::Refusal;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::accounts::sessions::LoggedIn;
use crate::database::NameKind;
use crate::id::Id;
use crate::token::jwt::LoginJwt;

/// Credentials: one of `user`, `email` and `phone`, and `password`; or none of them beside Basic.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Credentials)]
pub(super) struct Given {
    pub(super) user: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) password: Option<String>,
    /// Of whoever has a second factor: its code, or a recovery code; beside Basic, too.
    pub(super) totp: Option<String>,
}

/// Name and password: from Basic, or from the body. Not from both, or it would not be clear which was meant.
pub(super) fn credentials(call: &Call, given: Given) -> Result<(Name, Password), Failure> {
    let named: Vec<(NameKind, String)> = [(NameKind::User, given.user), (NameKind::Email, given.email), (NameKind::Phone, given.phone)]
        .into_iter()
        .filter_map(|(kind, text)| Some((kind, text?)))
        .collect();
    let in_body = !named.is_empty() || given.password.is_some();
    match call.authorization()? {
        Some(Authorization::Basic(..)) if in_body => Err(Failure::invalid("credentials both in `authorization` and in the body")),
        Some(Authorization::Basic(name, password)) => Ok((Name::of_basic(&name)?, Password::new("password", &password)?)),
        // a Bearer token is no password: as if it were not there
        Some(Authorization::Bearer(_)) | None if !in_body => Err(Refusal::MissingCredentials.into()),
        Some(Authorization::Bearer(_)) | None => {
            let [(kind, text)] = named.as_slice() else { return Err(Failure::invalid("exactly one of `user`, `email`, `phone`")) };
            let password = given.password.ok_or_else(|| Failure::invalid("missing field `password`"))?;
            Ok((Name::given(*kind, text)?, Password::new("password", &password)?))
        }
    }
}

/// A login.
#[derive(Serialize, ToSchema)]
pub(super) struct Login {
    jwt: Jwt,
    uid: Id,
}

#[derive(Serialize, ToSchema)]
struct Jwt {
    /// For `Authorization: Bearer` on this listener.
    token: String,
    /// Gives the next JWT; rotates.
    refresh_token: String,
    payload: Payload,
}

/// What is shown of a JWT's claims.
#[derive(Serialize, ToSchema)]
pub(super) struct Payload {
    /// The session.
    sid: Id,
    /// Unix seconds: when.
    iat: u64,
    /// Unix seconds: when it ends.
    exp: u64,
    /// The principal.
    uid: Id,
}

impl Login {
    /// What a login and its renewal show.
    pub(super) fn of(made: &LoggedIn) -> Self {
        let jwt =
            Jwt { token: made.jwt.clone(), refresh_token: made.refresh_token.reveal().to_owned(), payload: Payload::of(&made.claims) };
        Self { jwt, uid: made.claims.uid }
    }
}

impl Payload {
    /// What is shown of `claims`.
    pub(super) fn of(claims: &LoginJwt) -> Self {
        Self { sid: claims.sid, iat: claims.iat, exp: claims.exp, uid: claims.uid }
    }
}

/// Log in by name and password.
///
/// By Basic or in the body, not both. 400 `missing authorization header` (neither); 401 `incorrect credentials`, for an unknown user
/// too, at the same time and in the same bytes; only with `accounts.reveal_unknown_users` 404 `user does not exist`. Whoever has a
/// second factor is asked for it by 401 `second factor required`, and sends the same again with `totp`; a wrong or used one is 401
/// `incorrect second factor`.
#[utoipa::path(method(get, post), path = "/v1/login", tag = document::PEOPLE, security(("basic" = []), ()),
    request_body = Option<Given>,
    responses((status = 200, description = "Logged in.", body = Login), Read, Unauthorized, NotFound, Throttled))]
pub(super) async fn log_in(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let mut given: Given = call.json_or_default()?;
    let totp = given.totp.take();
    let (name, password) = credentials(&call, given)?;
    let made = admin.accounts.log_in(&name, password, totp.as_deref(), call.origin).await?;
    Ok(Answer::ok(Login::of(&made)))
}
