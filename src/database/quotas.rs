//! Quotas: how much of each was leased in a day or month.
//!
//! INVARIANT: what is leased never adds up to more than the amount: a row changes only from the number that was read.

use super::{Database, DatabaseError, column};
use crate::clock::UnixMs;
use crate::id::Id;

/// So often is tried again where another process leased in between.
const TRIES: usize = 16;

/// One quota in one day or month.
#[derive(Clone, Copy, Debug)]
pub struct QuotaLease {
    /// Whose.
    pub who: Id,
    /// The key, policy or rule that says so.
    pub of: Id,
    /// When the day or month began.
    pub begins: UnixMs,
    /// How much there is.
    pub amount: u64,
}

impl QuotaLease {
    fn left(&self, used: i64) -> u64 {
        self.amount.saturating_sub(u64::try_from(used).unwrap_or(0))
    }
}

impl Database {
    /// Leases of a quota what `wanted` says of what is left, at most that; 0 where nothing is.
    ///
    /// # Errors
    /// Where the database cannot be asked: then nothing is leased.
    pub async fn lease_quota(&self, lease: QuotaLease, wanted: impl Fn(u64) -> u64) -> Result<u64, DatabaseError> {
        let (who, of, begins) = (lease.who.to_string(), lease.of.to_string(), column(lease.begins));
        for _ in 0..TRIES {
            let Some(used) = self.used_of_quota(lease).await? else {
                let insert = self.sql("INSERT INTO quotas (who, limit_of, begins, used) VALUES (?, ?, ?, 0)");
                let made = sqlx::query(insert).bind(&who).bind(&of).bind(begins).execute(&self.pool).await;
                match made.map_err(DatabaseError::from) {
                    // another process was quicker
                    Ok(_) | Err(DatabaseError::Taken) => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            let left = lease.left(used);
            if left == 0 {
                return Ok(0);
            }
            let units = wanted(left).min(left);
            let taken = sqlx::query(self.sql("UPDATE quotas SET used = ? WHERE who = ? AND limit_of = ? AND begins = ? AND used = ?"))
                .bind(used.saturating_add(i64::try_from(units).unwrap_or(i64::MAX)))
                .bind(&who)
                .bind(&of)
                .bind(begins)
                .bind(used)
                .execute(&self.pool)
                .await?;
            if taken.rows_affected() > 0 {
                return Ok(units);
            }
        }
        Err(DatabaseError::Unavailable("a quota was leased by others too often in a row".to_owned()))
    }

    /// How much of a quota is left to be leased.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn quota_left(&self, lease: QuotaLease) -> Result<u64, DatabaseError> {
        Ok(lease.left(self.used_of_quota(lease).await?.unwrap_or(0)))
    }

    async fn used_of_quota(&self, lease: QuotaLease) -> Result<Option<i64>, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(self.sql("SELECT used FROM quotas WHERE who = ? AND limit_of = ? AND begins = ?"))
            .bind(lease.who.to_string())
            .bind(lease.of.to_string())
            .bind(column(lease.begins))
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(used,)| used))
    }

    /// Gives back what was leased of a quota and not used.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn give_back_quota(&self, lease: QuotaLease, units: u64) -> Result<(), DatabaseError> {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        let give = "UPDATE quotas SET used = CASE WHEN used > ? THEN used - ? ELSE 0 END WHERE who = ? AND limit_of = ? AND begins = ?";
        sqlx::query(self.sql(give))
            .bind(units)
            .bind(units)
            .bind(lease.who.to_string())
            .bind(lease.of.to_string())
            .bind(column(lease.begins))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets days and months that began before this; how many rows those were.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn forget_quotas(&self, before: UnixMs) -> Result<u64, DatabaseError> {
        let gone = sqlx::query(self.sql("DELETE FROM quotas WHERE begins < ?")).bind(column(before)).execute(&self.pool).await?;
        Ok(gone.rows_affected())
    }
}
