//! `POST /v1/password/change`

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Ending, NotFound, Read, Throttled, Unauthorized};
use super::failure::Failure;
use super::request::{Authorization, Call};
use crate::accounts::Refusal;
use crate::accounts::names::Name;
use crate::accounts::password::Password;

/// The new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    new_password: String,
    /// Of whoever has a second factor: its code, or a recovery code.
    #[serde(default)]
    totp: Option<String>,
    /// Whether every session of the user ends.
    #[serde(default)]
    kill_sessions: bool,
}

#[derive(Serialize, ToSchema)]
struct ChangedPassword {
    changed_password: bool,
    killed_sessions: bool,
}

/// Change the password, by the old one.
///
/// 400 `missing authorization header`, `weak password`; 401 `incorrect credentials`, `second factor required` and `incorrect second
/// factor` as for `/v1/login`; 404 `session does not exist` only with
/// `accounts.reveal_unknown_users`. `propagated` only where sessions were to end.
#[utoipa::path(post, path = "/v1/password/change", tag = document::PEOPLE, security(("basic" = [])), request_body = ChangePassword,
    responses((status = 200, description = "Changed.", body = ChangedPassword), Ending, Read, Unauthorized, NotFound, Throttled))]
pub(super) async fn change(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let (name, old) = match call.authorization()? {
        None | Some(Authorization::Bearer(_)) => return Err(Refusal::MissingCredentials.into()),
        Some(Authorization::Basic(name, password)) => (Name::of_basic(&name)?, Password::new("password", &password)?),
    };
    let body: ChangePassword = call.json()?;
    let strict = call.strict()?;
    let new = Password::new("new_password", &body.new_password)?;
    let changed = admin.accounts.change_password(&name, old, new, body.totp.as_deref(), body.kill_sessions, call.origin).await;
    let act = changed.map_err(|refusal| match refusal {
        Refusal::UnknownUser => Refusal::NoSession,
        other => other,
    })?;
    let fields = ChangedPassword { changed_password: true, killed_sessions: body.kill_sessions };
    Ok(if body.kill_sessions { admin.ended(act, strict, fields).await } else { Answer::ok(fields) })
}
