//! `GET` and `POST /v1/login`, and how credentials are given: Basic, or in the body.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::answer::Answer;
use super::failure::Failure;
use super::request::{Authorization, Call};
use crate::accounts::Refusal;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::accounts::sessions::LoggedIn;
use crate::database::NameKind;
use crate::token::jwt::LoginJwt;

/// The fields of a body that carry credentials.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Given {
    pub(super) user: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) password: Option<String>,
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

pub(super) async fn log_in(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let given: Given = call.json_or_default()?;
    let (name, password) = credentials(&call, given)?;
    let made = admin.accounts.log_in(&name, password, call.origin).await?;
    Ok(Answer::ok(logged_in(&made)))
}

/// The fields of a login and of its renewal.
pub(super) fn logged_in(made: &LoggedIn) -> Value {
    json!({
        "jwt": { "token": made.jwt, "refresh_token": made.refresh_token.reveal(), "payload": payload(&made.claims) },
        "uid": made.claims.uid,
    })
}

/// What is shown of a login's claims.
pub(super) fn payload(claims: &LoginJwt) -> Value {
    json!({ "sid": claims.sid, "iat": claims.iat, "exp": claims.exp, "uid": claims.uid })
}
