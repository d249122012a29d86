//! Codes that carry a browser's session to another host: each is good once.

use std::time::Duration;

use super::acts::spelled;
use super::{Database, DatabaseError, column};
use crate::id::Id;

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCodeRow {
    /// Which session it carries.
    pub session: Id,
    /// Where the browser goes on.
    pub return_to: String,
}

impl Database {
    /// Records a code by its hash, and forgets those that have run out.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_host_code(
        &self,
        hash: [u8; 32],
        session: Id,
        host: &str,
        return_to: &str,
        ttl: Duration,
    ) -> Result<(), DatabaseError> {
        let now = self.clock.now();
        sqlx::query(self.sql("DELETE FROM host_codes WHERE expires_at < ?")).bind(column(now)).execute(&self.pool).await?;
        sqlx::query(self.sql("INSERT INTO host_codes (code, session, host, return_to, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)"))
            .bind(hash.to_vec())
            .bind(session.to_string())
            .bind(host)
            .bind(return_to)
            .bind(column(now))
            .bind(column(now.after(ttl)))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Takes a code away; `None` where there is none that is good for `host`. Of two that take it at once, one gets it.
    ///
    /// # Errors
    /// Where it cannot be taken.
    pub async fn take_host_code(&self, hash: [u8; 32], host: &str) -> Result<Option<HostCodeRow>, DatabaseError> {
        let found: Option<(String, String)> =
            sqlx::query_as(self.sql("SELECT session, return_to FROM host_codes WHERE code = ? AND host = ? AND expires_at > ?"))
                .bind(hash.to_vec())
                .bind(host)
                .bind(self.now())
                .fetch_optional(&self.pool)
                .await?;
        let Some((session, return_to)) = found else { return Ok(None) };
        let gone = sqlx::query(self.sql("DELETE FROM host_codes WHERE code = ?")).bind(hash.to_vec()).execute(&self.pool).await?;
        let row = HostCodeRow { session: spelled("host_codes", &session)?, return_to };
        Ok((gone.rows_affected() == 1).then_some(row))
    }
}
