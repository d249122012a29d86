//! Sessions: `/v1/logout`, `/v1/token/refresh`, `/v1/verify`, `/v1/sessions`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Deleted, Ending, Managed, NotFound, Paging, Read};
use super::failure::Failure;
use super::lists::{Asked, id};
use super::login::{Login, Payload};
use super::request::Call;
use crate::database::SessionRow;
use crate::id::Id;

/// A session that has ended.
#[derive(Serialize, ToSchema)]
struct LoggedOut {
    logged_out: bool,
    /// The refresh token that was presented.
    token: String,
    uid: Id,
}

/// A JWT that is valid.
#[derive(Serialize, ToSchema)]
struct Verified {
    valid: bool,
    payload: Payload,
}

/// A login that has not ended.
#[derive(Serialize, ToSchema)]
struct Session {
    id: Id,
    /// Unix seconds.
    created_at: u64,
    /// Unix seconds.
    expires_at: u64,
}

#[derive(Serialize, ToSchema)]
struct Sessions {
    sessions: Vec<Session>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// End a session by its refresh token.
///
/// 400 `missing authorization header`, `invalid authorization method` (not Bearer), `invalid authorization token` (empty);
/// 404 `session does not exist` (unknown, malformed, ended).
#[utoipa::path(post, path = "/v1/logout", tag = document::PEOPLE, security(("refresh_token" = [])),
    responses((status = 200, description = "Ended.", body = LoggedOut), Ending, Read, NotFound))]
pub(super) async fn log_out(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let (token, strict) = (call.bearer()?, call.strict()?);
    let (uid, act) = admin.accounts.log_out(token, call.origin).await?;
    Ok(admin.ended(act, strict, LoggedOut { logged_out: true, token: token.to_owned(), uid }).await)
}

/// Renew a login by its refresh token, which rotates.
///
/// A rotated token that is used again ends the session; within 10 seconds, while its successor is unused, the same successor is
/// answered again. 400 and 404 as `/v1/logout`.
#[utoipa::path(method(get, post), path = "/v1/token/refresh", tag = document::PEOPLE, security(("refresh_token" = [])),
    responses((status = 200, description = "A new JWT and refresh token.", body = Login), Read, NotFound))]
pub(super) async fn refresh(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let made = admin.accounts.refresh(call.bearer()?, call.origin).await?;
    Ok(Answer::ok(Login::of(&made)))
}

/// Tell whether a login's JWT is valid.
///
/// 400 as `/v1/logout`; 401 `expired signature`, `invalid signature`, `invalid token` (everything else, an ended session too).
#[utoipa::path(post, path = "/v1/verify", tag = document::PEOPLE, security(("login" = [])),
    responses((status = 200, description = "It is valid.", body = Verified), Managed))]
pub(super) async fn verify(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = admin.accounts.caller(call.bearer()?).await?;
    Ok(Answer::ok(Verified { valid: true, payload: Payload::of(&caller.claims) }))
}

/// List sessions that have not ended.
///
/// The caller's own, oldest first; with `principal` those of someone below.
#[utoipa::path(get, path = "/v1/sessions", tag = document::SESSIONS, security(("login" = [])), params(Paging),
    responses((status = 200, description = "A page of sessions.", body = Sessions), Managed, NotFound))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let rows = admin.accounts.sessions(&caller, asked.of, asked.page).await?;
    let shown = |row: &SessionRow| Session { id: row.id, created_at: row.created_at.seconds(), expires_at: row.ends_at.seconds() };
    let (sessions, next_cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), shown);
    Ok(Answer::ok(Sessions { sessions, next_cursor }))
}

/// End a session.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = document::SESSIONS, security(("login" = [])), params(ById),
    responses((status = 200, description = "Ended.", body = Deleted), Ending, Managed, NotFound))]
pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(session): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.end_session(&caller, id(&session)?, call.origin).await?;
    Ok(admin.ended(act, strict, Deleted::YES).await)
}
