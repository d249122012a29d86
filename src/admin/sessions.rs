//! Sessions: `/v1/logout`, `/v1/token/refresh`, `/v1/verify`, `/v1/sessions`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::json;

use super::Admin;
use super::answer::Answer;
use super::failure::Failure;
use super::lists::{Asked, id};
use super::login::{logged_in, payload};
use super::request::Call;

pub(super) async fn log_out(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let (token, strict) = (call.bearer()?, call.strict()?);
    let (uid, act) = admin.accounts.log_out(token, call.origin).await?;
    Ok(admin.ended(act, strict, json!({ "logged_out": true, "token": token, "uid": uid })).await)
}

pub(super) async fn refresh(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let made = admin.accounts.refresh(call.bearer()?, call.origin).await?;
    Ok(Answer::ok(logged_in(&made)))
}

pub(super) async fn verify(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = admin.accounts.caller(call.bearer()?).await?;
    Ok(Answer::ok(json!({ "valid": true, "payload": payload(&caller.claims) })))
}

pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let rows = admin.accounts.sessions(&caller, asked.of, asked.page).await?;
    Ok(asked.answer(
        "sessions",
        &rows,
        |row| (row.created_at, row.id),
        |row| json!({ "id": row.id, "created_at": row.created_at.seconds(), "expires_at": row.ends_at.seconds() }),
    ))
}

pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(session): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.end_session(&caller, id(&session)?, call.origin).await?;
    Ok(admin.ended(act, strict, json!({ "deleted": true })).await)
}
