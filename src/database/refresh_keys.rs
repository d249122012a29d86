//! Self-chosen refresh keys.

use super::acts::{Act, spelled};
use super::{Database, DatabaseError};
use crate::id::Id;

/// Whose refresh key to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshKeyRow {
    /// The principal.
    pub uid: Id,
    /// argon2id, PHC string; `None` where there is none.
    pub hash: Option<String>,
}

impl Database {
    /// The principal who proved this phone number, if it has not ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn refresh_key_row(&self, phone: &str) -> Result<Option<RefreshKeyRow>, DatabaseError> {
        let row: Option<(String, Option<String>)> = sqlx::query_as(
            self.sql("SELECT uid, refresh_key FROM principals WHERE phone = ? AND phone_verified <> 0 AND ended_at IS NULL"),
        )
        .bind(phone)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(uid, hash)| Ok(RefreshKeyRow { uid: spelled("principals", &uid)?, hash })).transpose()
    }
}

impl Act {
    /// Whether `uid` has this hash of a refresh key, and its phone number still stands.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn has_refresh_key(&mut self, uid: Id, hash: &str) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(
            self.sql("SELECT 1 FROM principals WHERE uid = ? AND refresh_key = ? AND phone_verified <> 0 AND ended_at IS NULL"),
        )
        .bind(uid.to_string())
        .bind(hash)
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// Replaces the hash of a refresh key, if it still is `old`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn replace_refresh_key(&mut self, uid: Id, old: &str, new: &str) -> Result<bool, DatabaseError> {
        let row = sqlx::query(self.sql("UPDATE principals SET refresh_key = ? WHERE uid = ? AND refresh_key = ? AND ended_at IS NULL"))
            .bind(new)
            .bind(uid.to_string())
            .bind(old)
            .execute(self.connection())
            .await?;
        Ok(row.rows_affected() == 1)
    }

    /// Sets the refresh key of `uid`, where it has proved a phone number: answers whether it has.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_refresh_key(&mut self, uid: Id, hash: &str) -> Result<bool, DatabaseError> {
        let row = sqlx::query(self.sql("UPDATE principals SET refresh_key = ? WHERE uid = ? AND phone_verified <> 0 AND ended_at IS NULL"))
            .bind(hash)
            .bind(uid.to_string())
            .execute(self.connection())
            .await?;
        Ok(row.rows_affected() == 1)
    }
}
