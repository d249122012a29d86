//! `GET /v1/audit`: who did what.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Backwards, Managed};
use super::failure::Failure;
use super::lists::Newest;
use super::request::Call;

/// An entry of the audit trail.
#[derive(Serialize, ToSchema)]
struct AuditEntry {
    /// Later ones are higher.
    id: i64,
    /// Unix seconds.
    at: u64,
    /// A uid, `cli`, `system` or `unknown`.
    actor: String,
    /// What was done.
    action: String,
    /// The id of what it was done to.
    target: String,
    /// The client's address.
    from: String,
    /// `done` or `refused`.
    result: String,
}

#[derive(Serialize, ToSchema)]
struct AuditEntries {
    entries: Vec<AuditEntry>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// List the audit trail, newest first.
///
/// Admins see what concerns their tenant, super admins everything.
#[utoipa::path(get, path = "/v1/audit", tag = document::INSTALLATION, security(("login" = [])), params(Backwards),
    responses((status = 200, description = "A page of entries.", body = AuditEntries), Managed))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Newest::read(&call)?;
    let rows = admin.accounts.audit(&caller, asked.before, asked.wanted()).await?;
    let (rows, next_cursor) = asked.page_of(rows, |row| row.n);
    let shown = |row: crate::database::AuditRow| AuditEntry {
        id: row.n,
        at: row.at.seconds(),
        actor: row.actor,
        action: row.action,
        target: row.target,
        from: row.from,
        result: row.result,
    };
    Ok(Answer::ok(AuditEntries { entries: rows.into_iter().map(shown).collect(), next_cursor }))
}
