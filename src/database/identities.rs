//! Who people are at OpenID providers, and what their claims there grant.
//!
//! INVARIANT: what one issuer's claims grant is replaced as a whole, and never touches what an admin attached.

use std::collections::BTreeSet;

use super::acts::{Act, spelled};
use super::{DatabaseError, PendingKind};
use crate::id::Id;

impl Act {
    /// Who this is, if anyone here.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn identified(&mut self, issuer: &str, subject: &str) -> Result<Option<Id>, DatabaseError> {
        let row: Option<(String,)> = sqlx::query_as(self.sql("SELECT principal FROM identities WHERE issuer = ? AND subject = ?"))
            .bind(issuer)
            .bind(subject)
            .fetch_optional(self.connection())
            .await?;
        row.map(|(principal,)| spelled("identities", &principal)).transpose()
    }

    /// The live policies of the principal's own tenant with one of these names or ids.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn policies_called(&mut self, principal: Id, called: &[&str]) -> Result<BTreeSet<Id>, DatabaseError> {
        let mut found = BTreeSet::new();
        for called in called {
            let rows: Vec<(String,)> = sqlx::query_as(self.sql(
                "SELECT o.id FROM policies o JOIN principals p ON p.tenant = o.tenant
                 WHERE p.uid = ? AND o.ended_at IS NULL AND (o.id = ? OR o.name = ?)",
            ))
            .bind(principal.to_string())
            .bind(*called)
            .bind(*called)
            .fetch_all(self.connection())
            .await?;
            if rows.is_empty() {
                tracing::warn!(policy = %called, %principal, "a claim grants a policy that is not of this principal's tenant");
            }
            for (id,) in rows {
                found.insert(spelled("policies", &id)?);
            }
        }
        Ok(found)
    }

    /// Replaces what `source` grants a principal; answers whether anything changed.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_granted(&mut self, principal: Id, source: &str, policies: &BTreeSet<Id>) -> Result<bool, DatabaseError> {
        let rows: Vec<(String,)> = sqlx::query_as(self.sql("SELECT policy FROM principal_policies WHERE principal = ? AND source = ?"))
            .bind(principal.to_string())
            .bind(source)
            .fetch_all(self.connection())
            .await?;
        let mut standing = BTreeSet::new();
        for (policy,) in rows {
            standing.insert(spelled("principal_policies", &policy)?);
        }
        if standing == *policies {
            return Ok(false);
        }
        for policy in standing.difference(policies) {
            sqlx::query(self.sql("DELETE FROM principal_policies WHERE principal = ? AND policy = ? AND source = ?"))
                .bind(principal.to_string())
                .bind(policy.to_string())
                .bind(source)
                .execute(self.connection())
                .await?;
        }
        for policy in policies.difference(&standing) {
            sqlx::query(self.sql("INSERT INTO principal_policies (principal, policy, source) VALUES (?, ?, ?)"))
                .bind(principal.to_string())
                .bind(policy.to_string())
                .bind(source)
                .execute(self.connection())
                .await?;
        }
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE principals SET version = version + 1, changed_at = ? WHERE uid = ?"))
            .bind(now)
            .bind(principal.to_string())
            .execute(self.connection())
            .await?;
        self.tell(PendingKind::Subject, principal).await?;
        Ok(true)
    }
}
