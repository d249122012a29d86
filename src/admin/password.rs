//! `POST /v1/password/change`

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use super::answer::Answer;
use super::failure::Failure;
use super::request::{Authorization, Call};
use crate::accounts::Refusal;
use crate::accounts::names::Name;
use crate::accounts::password::Password;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    new_password: String,
    #[serde(default)]
    kill_sessions: bool,
}

pub(super) async fn change(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let (name, old) = match call.authorization()? {
        None | Some(Authorization::Bearer(_)) => return Err(Refusal::MissingCredentials.into()),
        Some(Authorization::Basic(name, password)) => (Name::of_basic(&name)?, Password::new("password", &password)?),
    };
    let body: Body = call.json()?;
    let strict = call.strict()?;
    let new = Password::new("new_password", &body.new_password)?;
    let changed = admin.accounts.change_password(&name, old, new, body.kill_sessions, call.origin).await;
    let act = changed.map_err(|refusal| match refusal {
        Refusal::UnknownUser => Refusal::NoSession,
        other => other,
    })?;
    let fields = json!({ "changed_password": true, "killed_sessions": body.kill_sessions });
    Ok(if body.kill_sessions { admin.ended(act, strict, fields).await } else { Answer::ok(fields) })
}
