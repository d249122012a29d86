//! Access tokens as their owners see them; the ledger writes them.

use super::acts::{Act, Page, spelled};
use super::{Database, DatabaseError, PendingKind, time};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;

/// An access token that has not been ended; whether it is live, the token store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: Id,
    /// The key it was minted from.
    pub key: Id,
    /// What it may do at most.
    pub scopes: ScopeSet,
    /// When it was minted.
    pub issued_at: UnixMs,
    /// Its absolute end.
    pub cap: UnixMs,
}

/// What became of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFate {
    /// When it was ended, if it was.
    pub ended_at: Option<UnixMs>,
    /// When it ends if not used again: the truth with the embedded store, with Redis what it was at the mint.
    pub idle_end: UnixMs,
    /// Its absolute end.
    pub cap: UnixMs,
}

type Columns = (String, String, String, i64, i64);

fn row((id, key, scopes, issued_at, cap): Columns) -> Result<TokenRow, DatabaseError> {
    Ok(TokenRow {
        id: spelled("tokens", &id)?,
        key: spelled("tokens", &key)?,
        scopes: spelled("tokens", &scopes)?,
        issued_at: time(issued_at),
        cap: time(cap),
    })
}

impl Database {
    /// What became of a token. `None` = never minted here, or gone for so long that its row is, too.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn token_fate(&self, token: Id) -> Result<Option<TokenFate>, DatabaseError> {
        let row: Option<(Option<i64>, i64, i64)> = sqlx::query_as(self.sql("SELECT ended_at, idle_end, cap FROM tokens WHERE id = ?"))
            .bind(token.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(ended_at, idle_end, cap)| TokenFate { ended_at: ended_at.map(time), idle_end: time(idle_end), cap: time(cap) }))
    }

    /// Tokens of a principal's live keys that have not been ended, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn tokens_of(&self, principal: Id, page: Page) -> Result<Vec<TokenRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let rows: Vec<Columns> = sqlx::query_as(self.sql(
            "SELECT t.id, t.key_id, t.scopes, t.issued_at, t.cap FROM tokens t JOIN api_keys k ON k.id = t.key_id
             WHERE k.principal = ? AND k.ended_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?)
               AND t.ended_at IS NULL AND t.cap > ? AND (t.issued_at, t.id) > (?, ?) ORDER BY t.issued_at, t.id LIMIT ?",
        ))
        .bind(principal.to_string())
        .bind(self.now())
        .bind(self.now())
        .bind(at)
        .bind(id)
        .bind(i64::from(page.limit))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(row).collect()
    }
}

impl Act {
    /// Whose token this is, if it has not been ended and its cap is ahead.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn token_owner(&mut self, token: Id) -> Result<Option<Id>, DatabaseError> {
        let now = self.now_column();
        let found: Option<(String,)> = sqlx::query_as(self.sql(
            "SELECT k.principal FROM tokens t JOIN api_keys k ON k.id = t.key_id WHERE t.id = ? AND t.ended_at IS NULL AND t.cap > ?",
        ))
        .bind(token.to_string())
        .bind(now)
        .fetch_optional(self.connection())
        .await?;
        found.map(|(principal,)| spelled("keys", &principal)).transpose()
    }

    /// Ends a token.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_token(&mut self, token: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE tokens SET ended_at = ? WHERE id = ? AND ended_at IS NULL"))
            .bind(now)
            .bind(token.to_string())
            .execute(self.connection())
            .await?;
        self.tell(PendingKind::Token, token).await
    }
}
