//! Policies: named sets of scopes, and whom they are attached to.
//!
//! INVARIANT: a policy's row stays after its end; from then on it gives and takes nothing.

use super::acts::{Act, Page, agreed, list, spelled};
use super::{Database, DatabaseError, PendingKind, column, time};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::terms::Terms;

/// A policy that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    /// Its id.
    pub id: Id,
    /// The tenant it belongs to.
    pub tenant: Id,
    /// What its maker calls it.
    pub name: String,
    /// What it gives.
    pub allow: ScopeSet,
    /// What it takes, whatever else gives it.
    pub deny: ScopeSet,
    /// Grows with every change.
    pub version: u64,
    /// When it was made.
    pub created_at: UnixMs,
    /// What is agreed besides.
    pub terms: Terms,
}

type Columns = (String, String, String, String, String, i64, i64, Option<String>);

fn row((id, tenant, name, allow, deny, version, created_at, terms): Columns) -> Result<PolicyRow, DatabaseError> {
    Ok(PolicyRow {
        id: spelled("policies", &id)?,
        tenant: spelled("policies", &tenant)?,
        name,
        allow: spelled("policies", &allow)?,
        deny: spelled("policies", &deny)?,
        version: u64::try_from(version).unwrap_or(0),
        created_at: time(created_at),
        terms: agreed("policies", terms.as_deref())?,
    })
}

/// `SELECT` of the columns of a [`PolicyRow`], those not ended only.
macro_rules! live_policies {
    ($rest:literal) => {
        concat!("SELECT id, tenant, name, allow, deny, version, created_at, terms FROM policies WHERE ended_at IS NULL ", $rest)
    };
}

impl Database {
    /// Policies, oldest first: of one tenant, or of every one.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn policies_of(&self, tenant: Option<Id>, page: Page) -> Result<Vec<PolicyRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let rows: Vec<Columns> = match tenant {
            Some(tenant) => {
                sqlx::query_as(self.sql(live_policies!("AND tenant = ? AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?")))
                    .bind(tenant.to_string())
            }
            None => sqlx::query_as(self.sql(live_policies!("AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?"))),
        }
        .bind(at)
        .bind(id)
        .bind(i64::from(page.limit))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(row).collect()
    }

    /// These policies, oldest first, without those that have ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn live_policies(&self, ids: &[Id]) -> Result<Vec<PolicyRow>, DatabaseError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = format!(live_policies!("AND id IN ({}) ORDER BY created_at, id"), list("?", ids.len()));
        let mut select = sqlx::query_as(self.engine.sql_of(&statement)).persistent(false);
        for id in ids {
            select = select.bind(id.to_string());
        }
        let rows: Vec<Columns> = select.fetch_all(&self.pool).await?;
        rows.into_iter().map(row).collect()
    }
}

impl Act {
    /// The policy, if it has not ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn live_policy(&mut self, id: Id) -> Result<Option<PolicyRow>, DatabaseError> {
        let found: Option<Columns> =
            sqlx::query_as(self.sql(live_policies!("AND id = ?"))).bind(id.to_string()).fetch_optional(self.connection()).await?;
        found.map(row).transpose()
    }

    /// The tenant's policy of this name, if there is one.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn policy_named(&mut self, tenant: Id, name: &str) -> Result<Option<PolicyRow>, DatabaseError> {
        let found: Option<Columns> = sqlx::query_as(self.sql(live_policies!("AND tenant = ? AND name = ?")))
            .bind(tenant.to_string())
            .bind(name)
            .fetch_optional(self.connection())
            .await?;
        found.map(row).transpose()
    }

    /// Makes a policy.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_policy(&mut self, new: &PolicyRow) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(
            self.sql("INSERT INTO policies (id, tenant, name, allow, deny, created_at, changed_at, terms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
        )
        .bind(new.id.to_string())
        .bind(new.tenant.to_string())
        .bind(&new.name)
        .bind(new.allow.to_string())
        .bind(new.deny.to_string())
        .bind(column(new.created_at))
        .bind(now)
        .bind(new.terms.written())
        .execute(self.connection())
        .await?;
        self.tell(PendingKind::Policy, new.id).await
    }

    /// Writes what a policy says: one record, however many it is attached to.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_policy(&mut self, policy: &PolicyRow) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(
            self.sql("UPDATE policies SET name = ?, allow = ?, deny = ?, terms = ?, version = version + 1, changed_at = ? WHERE id = ?"),
        )
        .bind(&policy.name)
        .bind(policy.allow.to_string())
        .bind(policy.deny.to_string())
        .bind(policy.terms.written())
        .bind(now)
        .bind(policy.id.to_string())
        .execute(self.connection())
        .await?;
        self.tell(PendingKind::Policy, policy.id).await
    }

    /// Ends a policy.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_policy(&mut self, id: Id) -> Result<(), DatabaseError> {
        let update = "UPDATE policies SET ended_at = ?, version = version + 1, changed_at = ? WHERE id = ? AND ended_at IS NULL";
        self.end_row(update, PendingKind::Policy, id).await
    }

    /// Whether a policy is attached to this very principal.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_attached(&mut self, policy: Id, principal: Id) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(self.sql("SELECT 1 FROM principal_policies WHERE policy = ? AND principal = ?"))
            .bind(policy.to_string())
            .bind(principal.to_string())
            .fetch_optional(self.connection())
            .await?;
        Ok(row.is_some())
    }

    /// Whether a policy is attached to anyone, not ended, who is not below `above`, or will be by an open invitation of another.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_attached_beyond(&mut self, policy: Id, above: Id) -> Result<bool, DatabaseError> {
        let now = self.now_column();
        let row: Option<(i64,)> = sqlx::query_as(self.sql(
            "WITH RECURSIVE below (uid) AS (
                 SELECT uid FROM principals WHERE parent = ?
                 UNION SELECT p.uid FROM principals p JOIN below b ON p.parent = b.uid
             )
             SELECT 1 FROM principal_policies a JOIN principals p ON p.uid = a.principal
             WHERE a.policy = ? AND p.ended_at IS NULL AND a.principal NOT IN (SELECT uid FROM below)
             UNION ALL
             SELECT 1 FROM invitations i
             WHERE i.policies LIKE ? AND i.used_at IS NULL AND i.ended_at IS NULL AND i.expires_at > ?
               AND i.inviter <> ? AND i.inviter NOT IN (SELECT uid FROM below)
             LIMIT 1",
        ))
        .bind(above.to_string())
        .bind(policy.to_string())
        .bind(format!("%{policy}%"))
        .bind(now)
        .bind(above.to_string())
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// Attaches a policy. The principal's record is told by whatever else changes it in this act.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn attach_policy(&mut self, principal: Id, policy: Id) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("INSERT INTO principal_policies (principal, policy, source) VALUES (?, ?, '') ON CONFLICT DO NOTHING"))
            .bind(principal.to_string())
            .bind(policy.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Detaches every policy that an admin attached; those that an issuer's claims grant stay.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn detach_policies(&mut self, principal: Id) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("DELETE FROM principal_policies WHERE principal = ? AND source = ''"))
            .bind(principal.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
