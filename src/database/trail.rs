//! The audit trail: written with each act, read back newest first. Nothing here changes or deletes an entry.

use sqlx::AnyConnection;

use super::{Database, DatabaseError, Engine, column, time};
use crate::audit::Entry;
use crate::clock::UnixMs;
use crate::id::Id;

/// An entry as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; later ones are higher.
    pub n: i64,
    /// When.
    pub at: UnixMs,
    /// Who: a uid, `cli`, `system` or `unknown`.
    pub actor: String,
    /// What.
    pub action: String,
    /// The id of what it was done to.
    pub target: String,
    /// The client's address.
    pub from: String,
    /// `done` or `refused`.
    pub result: String,
}

/// Writes an entry. It belongs to the tenant of what was acted on, else to the actor's, else to the installation.
pub(super) async fn write(write: &mut AnyConnection, entry: &Entry, at: UnixMs) -> Result<(), DatabaseError> {
    let (actor, target) = (entry.by.actor.to_string(), &entry.target);
    sqlx::query(Engine::of(write).sql(
        "INSERT INTO audit (at, actor, action, target, origin, result, tenant) VALUES (?, ?, ?, ?, ?, ?, COALESCE(
             (SELECT p.tenant FROM principals p WHERE p.uid = ?),
             (SELECT p.tenant FROM api_keys k JOIN principals p ON p.uid = k.principal WHERE k.id = ?),
             (SELECT p.tenant FROM sessions s JOIN principals p ON p.uid = s.principal WHERE s.id = ?),
             (SELECT p.tenant FROM tokens t JOIN api_keys k ON k.id = t.key_id JOIN principals p ON p.uid = k.principal WHERE t.id = ?),
             (SELECT y.tenant FROM policies y WHERE y.id = ?),
             (SELECT i.tenant FROM invitations i WHERE i.id = ?),
             (SELECT n.id FROM tenants n WHERE n.id = ?),
             (SELECT p.tenant FROM principals p WHERE p.uid = ?)))",
    ))
    .bind(column(at))
    .bind(&actor)
    .bind(entry.action.as_str())
    .bind(target)
    .bind(&entry.by.origin)
    .bind(entry.result.as_str())
    .bind(target)
    .bind(target)
    .bind(target)
    .bind(target)
    .bind(target)
    .bind(target)
    .bind(target)
    .bind(&actor)
    .execute(write)
    .await?;
    Ok(())
}

impl Database {
    /// Entries before number `before`, newest first: of one tenant, or every one.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn audit(&self, tenant: Option<Id>, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>, DatabaseError> {
        let before = before.unwrap_or(i64::MAX);
        let rows: Vec<(i64, i64, String, String, String, String, String)> =
            match tenant {
                Some(tenant) => sqlx::query_as(self.sql(
                    "SELECT n, at, actor, action, target, origin, result FROM audit WHERE tenant = ? AND n < ? ORDER BY n DESC LIMIT ?",
                ))
                .bind(tenant.to_string()),
                None => sqlx::query_as(
                    self.sql("SELECT n, at, actor, action, target, origin, result FROM audit WHERE n < ? ORDER BY n DESC LIMIT ?"),
                ),
            }
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        let row = |(n, at, actor, action, target, from, result)| AuditRow { n, at: time(at), actor, action, target, from, result };
        Ok(rows.into_iter().map(row).collect())
    }
}
