//! Token rows: the record of every access token, with its time of issue and its end.

use super::super::engine::gave_way;
use super::super::{Database, DatabaseError, column, time};
use super::LiveToken;
use super::rows::{damaged, parse};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::record::{TokenFormat, TokenRecord};

/// So often slides are written again after they gave way to others.
const TRIES: usize = 3;

pub(super) type TokenRow = (String, String, String, String, String, String, i64, i64, i64);

impl Database {
    /// Ids of tokens ended at or after `since`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn tokens_ended(&self, since: UnixMs) -> Result<Vec<Id>, DatabaseError> {
        let ids: Vec<(String,)> =
            sqlx::query_as(self.sql("SELECT id FROM tokens WHERE ended_at >= ?")).bind(column(since)).fetch_all(&self.pool).await?;
        ids.iter().map(|(id,)| parse("tokens", id, id)).collect()
    }

    /// Every token not ended whose idle end and cap are later than `now`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn live_tokens(&self, now: UnixMs) -> Result<Vec<LiveToken>, DatabaseError> {
        let rows: Vec<TokenRow> = sqlx::query_as(self.sql(
            "SELECT id, key_id, scopes, format, signed_by, issuer, issued_at, cap, idle_end FROM tokens
             WHERE ended_at IS NULL AND cap > ? AND idle_end > ?",
        ))
        .bind(column(now))
        .bind(column(now))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(live).collect()
    }

    /// Every token of a principal's keys that has not ended and whose cap is later than now; its idle end is the store's to know.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn live_tokens_of(&self, principal: Id) -> Result<Vec<TokenRecord>, DatabaseError> {
        let rows: Vec<TokenRow> = sqlx::query_as(self.sql(
            "SELECT t.id, t.key_id, t.scopes, t.format, t.signed_by, t.issuer, t.issued_at, t.cap, t.idle_end FROM tokens t
             JOIN api_keys k ON k.id = t.key_id WHERE k.principal = ? AND t.ended_at IS NULL AND t.cap > ?",
        ))
        .bind(principal.to_string())
        .bind(self.now())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| live(row).map(|live| live.token)).collect()
    }

    /// Makes a token's row, or moves its idle end on, never back. Never revives an ended one: answers false then.
    ///
    /// # Errors
    /// Where the row cannot be written.
    pub async fn save_token(&self, token: &LiveToken) -> Result<bool, DatabaseError> {
        let LiveToken { token, idle_end } = token;
        let idle_end = column(*idle_end);
        let slid = sqlx::query(
            self.sql("UPDATE tokens SET idle_end = CASE WHEN idle_end < ? THEN ? ELSE idle_end END WHERE id = ? AND ended_at IS NULL"),
        )
        .bind(idle_end)
        .bind(idle_end)
        .bind(token.id.to_string())
        .execute(&self.pool)
        .await?;
        if slid.rows_affected() > 0 {
            return Ok(true);
        }
        // not there yet, or ended
        let made = sqlx::query(self.sql(
            "INSERT INTO tokens (id, key_id, scopes, format, signed_by, issuer, issued_at, cap, idle_end)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        ))
        .bind(token.id.to_string())
        .bind(token.key.to_string())
        .bind(token.scopes.to_string())
        .bind(token.format.as_str())
        .bind(&token.signed_by)
        .bind(&token.issuer)
        .bind(column(token.issued))
        .bind(column(token.cap))
        .bind(idle_end)
        .execute(&self.pool)
        .await?;
        Ok(made.rows_affected() > 0)
    }

    /// Moves idle ends on (never back, never of ended tokens), one transaction.
    ///
    /// # Errors
    /// Where they cannot be written; none is then.
    pub async fn slide_tokens(&self, ends: &[(Id, UnixMs)]) -> Result<(), DatabaseError> {
        // everyone locks rows in the same order, so that nobody waits for one who waits for him
        let mut ends = ends.to_vec();
        ends.sort_unstable_by_key(|(id, _)| *id);
        let mut tries = 0;
        while let Err(error) = self.slide_once(&ends).await {
            tries += 1;
            if tries == TRIES || !gave_way(&error) {
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn slide_once(&self, ends: &[(Id, UnixMs)]) -> Result<(), sqlx::Error> {
        if ends.is_empty() {
            return Ok(());
        }
        let mut write = self.pool.begin_with(self.engine.begin()).await?;
        for (id, end) in ends {
            sqlx::query(self.sql("UPDATE tokens SET idle_end = ? WHERE id = ? AND idle_end < ? AND ended_at IS NULL"))
                .bind(column(*end))
                .bind(id.to_string())
                .bind(column(*end))
                .execute(&mut *write)
                .await?;
        }
        write.commit().await
    }

    /// Deletes token rows that ended or whose cap passed before `before`; returns how many.
    ///
    /// # Errors
    /// Where they cannot be deleted.
    pub async fn forget_tokens(&self, before: UnixMs) -> Result<u64, DatabaseError> {
        let done = sqlx::query(self.sql("DELETE FROM tokens WHERE cap < ? OR ended_at < ?"))
            .bind(column(before))
            .bind(column(before))
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }
}

pub(super) fn live((id, key, scopes, format, signed_by, issuer, issued_at, cap, idle_end): TokenRow) -> Result<LiveToken, DatabaseError> {
    Ok(LiveToken {
        token: TokenRecord {
            key: parse("tokens", &id, &key)?,
            scopes: parse("tokens", &id, &scopes)?,
            issued: time(issued_at),
            cap: time(cap),
            format: TokenFormat::from_name(&format).ok_or_else(|| damaged("tokens", &id))?,
            signed_by,
            issuer,
            id: parse("tokens", &id, &id)?,
        },
        idle_end: time(idle_end),
    })
}
