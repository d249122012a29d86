//! The outbox (what the token store must still be told), and the time high-water mark.

use sqlx::AssertSqlSafe;

use super::super::{Database, DatabaseError, Engine, column};
use super::rows::{damaged, parse};
use super::{Pending, PendingKind};
use crate::clock::UnixMs;

impl Database {
    /// Outbox rows not done whose number is above `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn pending(&self, after: i64, limit: u32) -> Result<Vec<Pending>, DatabaseError> {
        let rows: Vec<(i64, String, String)> =
            sqlx::query_as(self.sql("SELECT n, kind, id FROM outbox WHERE done_at IS NULL AND n > ? ORDER BY n LIMIT ?"))
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
        let pending = |(n, kind, id): (i64, String, String)| {
            let kind = PendingKind::from_name(&kind).ok_or_else(|| damaged("outbox", &n.to_string()))?;
            Ok(Pending { n, kind, id: parse("outbox", &n.to_string(), &id)? })
        };
        rows.into_iter().map(pending).collect()
    }

    /// Marks rows done, in one statement, only where the database's epoch still is `epoch` (None for the embedded store: no question asked).
    /// Answers false where it is another: what was done counts in that other epoch only if it is done again.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub async fn done(&self, rows: &[i64], epoch: Option<&str>) -> Result<bool, DatabaseError> {
        if rows.is_empty() {
            return Ok(true);
        }
        // numbers need no binding
        let list = rows.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let update = format!("UPDATE outbox SET done_at = {} WHERE n IN ({list})", self.now());
        let done = match epoch {
            None => sqlx::query(AssertSqlSafe(update)).execute(&self.pool).await?,
            Some(epoch) => {
                let placeholder = if self.engine == Engine::Postgres { "$1" } else { "?" };
                let update = format!("{update} AND EXISTS (SELECT 1 FROM installation WHERE epoch = {placeholder})");
                sqlx::query(AssertSqlSafe(update)).bind(epoch.to_owned()).persistent(false).execute(&self.pool).await?
            }
        };
        Ok(done.rows_affected() > 0)
    }

    /// Whether outbox row `until` and every one before it are done: for a process that is not the server and waits for it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_done(&self, until: i64) -> Result<bool, DatabaseError> {
        let pending: Option<(i64,)> = sqlx::query_as(self.sql("SELECT n FROM outbox WHERE done_at IS NULL AND n <= ? LIMIT 1"))
            .bind(until)
            .fetch_optional(&self.pool)
            .await?;
        Ok(pending.is_none())
    }

    /// Deletes outbox rows done before `before`; returns how many.
    ///
    /// # Errors
    /// Where they cannot be deleted.
    pub async fn forget_done(&self, before: UnixMs) -> Result<u64, DatabaseError> {
        let done = sqlx::query(self.sql("DELETE FROM outbox WHERE done_at < ?")).bind(column(before)).execute(&self.pool).await?;
        Ok(done.rows_affected())
    }

    /// Raises the time high-water mark; never lowers it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn raise_high_water(&self, to: UnixMs) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("UPDATE installation SET high_water = ? WHERE high_water < ?"))
            .bind(column(to))
            .bind(column(to))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
