//! Second factors: the sealed secret of a person's authenticator app, the last code that it was taken by, and recovery codes.

use super::acts::Act;
use super::{Database, DatabaseError, time};
use crate::clock::UnixMs;
use crate::id::Id;

/// A person's second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactorRow {
    /// Its secret, sealed.
    pub sealed: Vec<u8>,
    /// Whether it counts: its app has shown a code.
    pub confirmed: bool,
    /// The last step whose code was taken.
    pub last_step: u64,
}

impl Database {
    /// Since when a person's second factor counts, if there is one, and how many recovery codes are left.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn second_factor_of(&self, uid: Id) -> Result<(Option<UnixMs>, u32), DatabaseError> {
        let since: Option<(i64,)> =
            sqlx::query_as(self.sql("SELECT confirmed_at FROM second_factors WHERE principal = ? AND confirmed_at IS NOT NULL"))
                .bind(uid.to_string())
                .fetch_optional(&self.pool)
                .await?;
        let (left,): (i64,) = sqlx::query_as(self.sql("SELECT COUNT(*) FROM recovery_codes WHERE principal = ? AND used_at IS NULL"))
            .bind(uid.to_string())
            .fetch_one(&self.pool)
            .await?;
        Ok((since.map(|(at,)| time(at)), u32::try_from(left).unwrap_or_default()))
    }
}

impl Act {
    /// A person's second factor, whether it counts yet or not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn second_factor(&mut self, uid: Id) -> Result<Option<SecondFactorRow>, DatabaseError> {
        let row: Option<(Vec<u8>, Option<i64>, i64)> =
            sqlx::query_as(self.sql("SELECT sealed, confirmed_at, last_step FROM second_factors WHERE principal = ?"))
                .bind(uid.to_string())
                .fetch_optional(self.connection())
                .await?;
        Ok(row.map(|(sealed, confirmed_at, last_step)| SecondFactorRow {
            sealed,
            confirmed: confirmed_at.is_some(),
            last_step: u64::try_from(last_step).unwrap_or_default(),
        }))
    }

    /// Keeps the secret of one that does not count yet, in place of any other.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn begin_second_factor(&mut self, uid: Id, sealed: &[u8]) -> Result<(), DatabaseError> {
        self.end_second_factor(uid).await?;
        let now = self.now_column();
        sqlx::query(self.sql("INSERT INTO second_factors (principal, sealed, created_at, last_step) VALUES (?, ?, ?, 0)"))
            .bind(uid.to_string())
            .bind(sealed.to_vec())
            .bind(now)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// From here on it counts.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn confirm_second_factor(&mut self, uid: Id, step: u64) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE second_factors SET confirmed_at = ?, last_step = ? WHERE principal = ?"))
            .bind(now)
            .bind(i64::try_from(step).unwrap_or(i64::MAX))
            .bind(uid.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Keeps the hashes of a person's recovery codes, in place of any others.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn replace_recovery_codes(&mut self, uid: Id, codes: &[[u8; 32]]) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("DELETE FROM recovery_codes WHERE principal = ?")).bind(uid.to_string()).execute(self.connection()).await?;
        for code in codes {
            sqlx::query(self.sql("INSERT INTO recovery_codes (code, principal, created_at) VALUES (?, ?, ?)"))
                .bind(code.to_vec())
                .bind(uid.to_string())
                .bind(now)
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// Uses a step's code up: whether it and no later one had been used.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn use_totp_step(&mut self, uid: Id, step: u64) -> Result<bool, DatabaseError> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let row = sqlx::query(self.sql("UPDATE second_factors SET last_step = ? WHERE principal = ? AND last_step < ?"))
            .bind(step)
            .bind(uid.to_string())
            .bind(step)
            .execute(self.connection())
            .await?;
        Ok(row.rows_affected() == 1)
    }

    /// Uses a recovery code up, by its hash: whether it is one that had not been used.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn use_recovery_code(&mut self, uid: Id, code: [u8; 32]) -> Result<bool, DatabaseError> {
        let now = self.now_column();
        let row = sqlx::query(self.sql("UPDATE recovery_codes SET used_at = ? WHERE code = ? AND principal = ? AND used_at IS NULL"))
            .bind(now)
            .bind(code.to_vec())
            .bind(uid.to_string())
            .execute(self.connection())
            .await?;
        Ok(row.rows_affected() == 1)
    }

    /// Removes a person's second factor and its recovery codes, where there are any.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_second_factor(&mut self, uid: Id) -> Result<(), DatabaseError> {
        for statement in ["DELETE FROM recovery_codes WHERE principal = ?", "DELETE FROM second_factors WHERE principal = ?"] {
            sqlx::query(self.sql(statement)).bind(uid.to_string()).execute(self.connection()).await?;
        }
        Ok(())
    }
}
