//! Logins under way at an OpenID provider.
//!
//! INVARIANT: a row is deleted by its first use, whatever comes of it: of two who come with one `state`, one has it.

use super::{Database, DatabaseError, column, time};
use crate::clock::UnixMs;
use crate::token::secret::HashedSecret;

/// A login under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInRow {
    /// SHA-256 of the browser's cookie.
    pub browser: HashedSecret,
    /// The provider's name.
    pub provider: String,
    /// Binds the ID token to it.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
    /// Where the browser goes afterwards.
    pub return_to: String,
    /// Names the invitation that the browser brings, without being it: SHA-256 in hex; empty without one.
    pub invitation: String,
    /// Whether the provider must not ask the person anything.
    pub silent: bool,
    /// When it began.
    pub created_at: UnixMs,
    /// When it is too late.
    pub expires_at: UnixMs,
}

type Columns = (Vec<u8>, String, String, String, String, String, i64, i64, i64);

impl Database {
    /// Records a login under way, and forgets those whose time is over. `false` where `most` are under way.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn begin_sign_in(&self, state: HashedSecret, row: &SignInRow, most: i64) -> Result<bool, DatabaseError> {
        sqlx::query(self.sql("DELETE FROM sign_ins WHERE expires_at <= ?")).bind(self.now()).execute(&self.pool).await?;
        let (under_way,): (i64,) = sqlx::query_as(self.sql("SELECT COUNT(*) FROM sign_ins")).fetch_one(&self.pool).await?;
        if under_way >= most {
            return Ok(false);
        }
        sqlx::query(self.sql(
            "INSERT INTO sign_ins (state, browser, provider, nonce, verifier, return_to, invitation, silent, created_at, expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ))
        .bind(state.to_vec())
        .bind(row.browser.to_vec())
        .bind(&row.provider)
        .bind(&row.nonce)
        .bind(&row.verifier)
        .bind(&row.return_to)
        .bind(&row.invitation)
        .bind(i64::from(row.silent))
        .bind(column(row.created_at))
        .bind(column(row.expires_at))
        .execute(&self.pool)
        .await?;
        Ok(true)
    }

    /// Takes a login under way: it is there no more. `None` where there is none, or its time is over.
    ///
    /// # Errors
    /// Where it cannot be read or deleted.
    pub async fn take_sign_in(&self, state: HashedSecret) -> Result<Option<SignInRow>, DatabaseError> {
        let found: Option<Columns> = sqlx::query_as(self.sql(
            "SELECT browser, provider, nonce, verifier, return_to, invitation, silent, created_at, expires_at
             FROM sign_ins WHERE state = ? AND expires_at > ?",
        ))
        .bind(state.to_vec())
        .bind(self.now())
        .fetch_optional(&self.pool)
        .await?;
        let Some((browser, provider, nonce, verifier, return_to, invitation, silent, created_at, expires_at)) = found else {
            return Ok(None);
        };
        let gone = sqlx::query(self.sql("DELETE FROM sign_ins WHERE state = ?")).bind(state.to_vec()).execute(&self.pool).await?;
        if gone.rows_affected() != 1 {
            return Ok(None);
        }
        let browser = browser.try_into().map_err(|_| DatabaseError::Unavailable("a row of `sign_ins` is damaged".to_owned()))?;
        Ok(Some(SignInRow {
            browser,
            provider,
            nonce,
            verifier,
            return_to,
            invitation,
            silent: silent != 0,
            created_at: time(created_at),
            expires_at: time(expires_at),
        }))
    }
}
