//! API keys: `/v1/keys`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::answer::Answer;
use super::failure::Failure;
use super::lists::{Asked, id};
use super::request::{Call, scopes};
use crate::accounts::keys::NewKey;
use crate::database::KeyRow;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Create {
    name: Option<String>,
    scopes: Option<Vec<String>>,
    /// Seconds.
    expires_in: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Rotate {
    /// Seconds.
    grace: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetScopes {
    scopes: Vec<String>,
}

pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: Create = call.json_or_default()?;
    let new = NewKey {
        name: body.name,
        scopes: body.scopes.as_deref().map(scopes).transpose()?,
        expires_in: body.expires_in.map(Duration::from_secs),
    };
    let (key, secret, act) = admin.accounts.keys().create(&call.origin.by(caller.uid()), &caller.standing, new).await?;
    admin.accounts.propagate(act).await;
    Ok(Answer::created(json!({ "key": shown(&key), "api_key": secret.reveal() })))
}

pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let rows = admin.accounts.list_keys(&caller, asked.of, asked.page).await?;
    Ok(asked.answer("keys", &rows, |row| (row.created_at, row.id), shown))
}

pub(super) async fn rotate(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let body: Rotate = call.json_or_default()?;
    let grace = Duration::from_secs(body.grace.unwrap_or(0));
    let (row, secret, act) = admin.accounts.keys().rotate(&call.origin.by(caller.uid()), caller.reach(), id(&key)?, grace).await?;
    Ok(admin.ended(act, strict, json!({ "key": shown(&row), "api_key": secret.reveal() })).await)
}

pub(super) async fn set_scopes(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let body: SetScopes = call.json()?;
    let wanted = scopes(&body.scopes)?;
    let (row, act) = admin.accounts.keys().set_scopes(&call.origin.by(caller.uid()), caller.reach(), id(&key)?, &wanted).await?;
    Ok(admin.ended(act, strict, json!({ "key": shown(&row) })).await)
}

pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.keys().end(&call.origin.by(caller.uid()), caller.reach(), id(&key)?).await?;
    Ok(admin.ended(act, strict, json!({ "deleted": true })).await)
}

/// What is shown of a key; never a secret.
fn shown(key: &KeyRow) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "created_at": key.created_at.seconds(),
        "expires_at": key.expires_at.map(|at| at.seconds()),
        "last_used_at": key.last_used_at.map(|at| at.seconds()),
    })
}
