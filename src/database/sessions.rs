//! Sessions and the hashes of their refresh tokens.

use super::acts::{Act, Page, spelled};
use super::{Database, DatabaseError, PendingKind, column, time};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::secret::HashedSecret;

/// Most sessions that a login ends; the next one goes on.
const MOST_ENDED: i64 = 1000;

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: Id,
    /// Who logged in.
    pub principal: Id,
    /// When.
    pub created_at: UnixMs,
    /// Its absolute end.
    pub ends_at: UnixMs,
    /// When it ends if not used again; `None` for a login by JWT.
    pub idle_ends_at: Option<UnixMs>,
}

/// A refresh token that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshRow {
    /// The session it belongs to: its family.
    pub session: Id,
    /// When it was exchanged for its successor.
    pub used_at: Option<UnixMs>,
}

type Columns = (String, String, i64, i64, Option<i64>);

fn row((id, principal, created_at, ends_at, idle_ends_at): Columns) -> Result<SessionRow, DatabaseError> {
    Ok(SessionRow {
        id: spelled("sessions", &id)?,
        principal: spelled("sessions", &principal)?,
        created_at: time(created_at),
        ends_at: time(ends_at),
        idle_ends_at: idle_ends_at.map(time),
    })
}

impl Database {
    /// Live sessions of a principal, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn sessions_of(&self, principal: Id, page: Page) -> Result<Vec<SessionRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let rows: Vec<Columns> = sqlx::query_as(self.sql(
            "SELECT id, principal, created_at, ends_at, idle_ends_at FROM sessions
             WHERE principal = ? AND ended_at IS NULL AND ends_at > ? AND (idle_ends_at IS NULL OR idle_ends_at > ?) AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?",
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

    /// Forgets sessions that ended or ran out before `before`, with their refresh tokens and codes; returns how many.
    ///
    /// # Errors
    /// Where they cannot be deleted.
    pub async fn forget_sessions(&self, before: UnixMs) -> Result<u64, DatabaseError> {
        let mut transaction = self.pool.begin_with(self.engine.begin()).await?;
        sqlx::query(self.sql("DELETE FROM host_codes WHERE session IN (SELECT id FROM sessions WHERE ends_at < ? OR ended_at < ?)"))
            .bind(column(before))
            .bind(column(before))
            .execute(&mut *transaction)
            .await?;
        sqlx::query(self.sql("DELETE FROM refresh_tokens WHERE session IN (SELECT id FROM sessions WHERE ends_at < ? OR ended_at < ?)"))
            .bind(column(before))
            .bind(column(before))
            .execute(&mut *transaction)
            .await?;
        let gone = sqlx::query(self.sql("DELETE FROM sessions WHERE ends_at < ? OR ended_at < ?"))
            .bind(column(before))
            .bind(column(before))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected())
    }
}

impl Act {
    /// The session, if it is live.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn live_session(&mut self, session: Id) -> Result<Option<SessionRow>, DatabaseError> {
        let now = self.now_column();
        let found: Option<Columns> = sqlx::query_as(self.sql(
            "SELECT id, principal, created_at, ends_at, idle_ends_at FROM sessions
                 WHERE id = ? AND ended_at IS NULL AND ends_at > ? AND (idle_ends_at IS NULL OR idle_ends_at > ?)",
        ))
        .bind(session.to_string())
        .bind(now)
        .bind(now)
        .fetch_optional(self.connection())
        .await?;
        found.map(row).transpose()
    }

    /// Makes a session.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_session(&mut self, session: &SessionRow) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(
            self.sql("INSERT INTO sessions (id, principal, created_at, ends_at, idle_ends_at, changed_at) VALUES (?, ?, ?, ?, ?, ?)"),
        )
        .bind(session.id.to_string())
        .bind(session.principal.to_string())
        .bind(column(session.created_at))
        .bind(column(session.ends_at))
        .bind(session.idle_ends_at.map(column))
        .bind(now)
        .execute(self.connection())
        .await?;
        self.tell(PendingKind::Session, session.id).await
    }

    /// Moves the idle end of a live session on; answers whether it moved. One that has ended, or stayed unused for too long, stays so.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn slide_session(&mut self, session: Id, to: UnixMs) -> Result<bool, DatabaseError> {
        let now = self.now_column();
        let row = sqlx::query(self.sql(
            "UPDATE sessions SET idle_ends_at = ?, version = version + 1, changed_at = ?
             WHERE id = ? AND ended_at IS NULL AND ends_at > ? AND idle_ends_at > ? AND idle_ends_at < ?",
        ))
        .bind(column(to))
        .bind(now)
        .bind(session.to_string())
        .bind(now)
        .bind(now)
        .bind(column(to))
        .execute(self.connection())
        .await?;
        let moved = row.rows_affected() == 1;
        if moved {
            self.tell(PendingKind::Session, session).await?;
        }
        Ok(moved)
    }

    /// Ends a session; answers whether it was live.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_session(&mut self, session: Id) -> Result<bool, DatabaseError> {
        let now = self.now_column();
        let row = sqlx::query(
            self.sql("UPDATE sessions SET ended_at = ?, version = version + 1, changed_at = ? WHERE id = ? AND ended_at IS NULL"),
        )
        .bind(now)
        .bind(now)
        .bind(session.to_string())
        .execute(self.connection())
        .await?;
        let ended = row.rows_affected() == 1;
        if ended {
            self.tell(PendingKind::Session, session).await?;
        }
        Ok(ended)
    }

    /// Ends every live session of a principal.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_sessions_of(&mut self, principal: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        let sessions: Vec<(String,)> =
            sqlx::query_as(self.sql("SELECT id FROM sessions WHERE principal = ? AND ended_at IS NULL AND ends_at > ?"))
                .bind(principal.to_string())
                .bind(now)
                .fetch_all(self.connection())
                .await?;
        for (session,) in sessions {
            self.end_session(spelled("sessions", &session)?).await?;
        }
        Ok(())
    }

    /// Ends the oldest live sessions of a principal, so that at most `kept` stay.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_oldest_sessions(&mut self, principal: Id, kept: u32) -> Result<(), DatabaseError> {
        let now = self.now_column();
        let sessions: Vec<(String,)> = sqlx::query_as(self.sql(
            "SELECT id FROM sessions
             WHERE principal = ? AND ended_at IS NULL AND ends_at > ? AND (idle_ends_at IS NULL OR idle_ends_at > ?)
             ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?",
        ))
        .bind(principal.to_string())
        .bind(now)
        .bind(now)
        .bind(MOST_ENDED)
        .bind(i64::from(kept))
        .fetch_all(self.connection())
        .await?;
        for (session,) in sessions {
            self.end_session(spelled("sessions", &session)?).await?;
        }
        Ok(())
    }

    /// Records a refresh token that is being issued.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_refresh_token(&mut self, token: HashedSecret, session: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("INSERT INTO refresh_tokens (hash, session, created_at) VALUES (?, ?, ?)"))
            .bind(token.to_vec())
            .bind(session.to_string())
            .bind(now)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// The refresh token with this hash.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn refresh_token(&mut self, token: HashedSecret) -> Result<Option<RefreshRow>, DatabaseError> {
        let found: Option<(String, Option<i64>)> = sqlx::query_as(self.sql("SELECT session, used_at FROM refresh_tokens WHERE hash = ?"))
            .bind(token.to_vec())
            .fetch_optional(self.connection())
            .await?;
        found
            .map(|(session, used_at)| Ok(RefreshRow { session: spelled("refresh_tokens", &session)?, used_at: used_at.map(time) }))
            .transpose()
    }

    /// Marks a refresh token exchanged.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn use_refresh_token(&mut self, token: HashedSecret) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE refresh_tokens SET used_at = ? WHERE hash = ? AND used_at IS NULL"))
            .bind(now)
            .bind(token.to_vec())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
