//! One-time codes that were sent: their challenges, tries and limits. Counted here, so that replicas share the counts.

use sqlx::AnyConnection;

use super::acts::Act;
use super::{Database, DatabaseError, Engine, NameKind, column, time};
use crate::clock::UnixMs;
use crate::id::Id;

/// A code that is being sent.
#[derive(Debug)]
pub struct NewChallenge<'a> {
    /// What the answer to it names.
    pub id: Id,
    /// By which channel.
    pub kind: NameKind,
    /// To whom.
    pub name: &'a str,
    /// HMAC-SHA-256 of the code.
    pub code: [u8; 32],
    /// The network that asked for it.
    pub network: &'a str,
    /// When the code ends.
    pub expires_at: UnixMs,
}

/// A challenge that a code is given for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeRow {
    /// By which channel the code went.
    pub kind: NameKind,
    /// To whom.
    pub name: String,
    /// HMAC-SHA-256 of the code.
    pub code: [u8; 32],
}

/// Whose codes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentTo<'a> {
    /// Those to this name.
    Name(NameKind, &'a str),
    /// Those that this network asked for.
    Network(&'a str),
    /// All by this channel.
    Everyone(NameKind),
}

impl Database {
    /// The challenge, if a code for it may still be right.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn open_challenge(&self, id: Id, most_tries: u32) -> Result<Option<ChallengeRow>, DatabaseError> {
        let row: Option<(String, String, Vec<u8>)> = sqlx::query_as(
            self.sql("SELECT name_kind, name, code FROM challenges WHERE id = ? AND used_at IS NULL AND expires_at > ? AND tries < ?"),
        )
        .bind(id.to_string())
        .bind(self.now())
        .bind(i64::from(most_tries))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(kind, name, code)| {
            let code = <[u8; 32]>::try_from(code).map_err(|_| DatabaseError::Unavailable("a row of `challenges` is damaged".to_owned()))?;
            Ok(ChallengeRow { kind: NameKind::of_contact(&kind)?, name, code })
        })
        .transpose()
    }

    /// Counts a try before it is made, so that tries at one time are no more than tries one by one: answers whether it may be made.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn try_challenge(&self, id: Id, most_tries: u32) -> Result<bool, DatabaseError> {
        let row = sqlx::query(
            self.sql("UPDATE challenges SET tries = tries + 1 WHERE id = ? AND used_at IS NULL AND expires_at > ? AND tries < ?"),
        )
        .bind(id.to_string())
        .bind(self.now())
        .bind(i64::from(most_tries))
        .execute(&self.pool)
        .await?;
        Ok(row.rows_affected() == 1)
    }

    /// Marks a challenge used: of two at one time, one gets true.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn use_challenge(&self, id: Id) -> Result<bool, DatabaseError> {
        let row = sqlx::query(self.sql("UPDATE challenges SET used_at = ? WHERE id = ? AND used_at IS NULL"))
            .bind(self.now())
            .bind(id.to_string())
            .execute(&self.pool)
            .await?;
        Ok(row.rows_affected() == 1)
    }

    /// Takes a use back that led to nothing.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn reopen_challenge(&self, id: Id) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("UPDATE challenges SET used_at = NULL WHERE id = ?")).bind(id.to_string()).execute(&self.pool).await?;
        Ok(())
    }

    /// Whether an invitation is open that someone could come by.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn has_open_invitation(&self) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> =
            sqlx::query_as(self.sql("SELECT 1 FROM invitations WHERE ended_at IS NULL AND used_at IS NULL AND expires_at > ? LIMIT 1"))
                .bind(self.now())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.is_some())
    }

    /// As [`Act::oldest_of_sent`], without anybody's turn.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn oldest_of_sent(&self, to: SentTo<'_>, since: UnixMs, most: u32) -> Result<Option<UnixMs>, DatabaseError> {
        oldest_of_sent(&mut *self.pool.acquire().await?, to, since, most).await
    }

    /// Forgets challenges made before `before`.
    ///
    /// # Errors
    /// Where they cannot be deleted.
    pub async fn forget_challenges(&self, before: UnixMs) -> Result<u64, DatabaseError> {
        let gone = sqlx::query(self.sql("DELETE FROM challenges WHERE created_at < ?")).bind(column(before)).execute(&self.pool).await?;
        Ok(gone.rows_affected())
    }
}

async fn oldest_of_sent(read: &mut AnyConnection, to: SentTo<'_>, since: UnixMs, most: u32) -> Result<Option<UnixMs>, DatabaseError> {
    let (statement, values): (_, &[&str]) = match to {
        SentTo::Name(kind, name) => (
            "SELECT created_at FROM challenges WHERE name_kind = ? AND name = ? AND created_at > ? ORDER BY created_at DESC LIMIT 1 OFFSET ?",
            &[kind.as_str(), name],
        ),
        SentTo::Network(network) => {
            ("SELECT created_at FROM challenges WHERE network = ? AND created_at > ? ORDER BY created_at DESC LIMIT 1 OFFSET ?", &[network])
        }
        SentTo::Everyone(kind) => (
            "SELECT created_at FROM challenges WHERE name_kind = ? AND created_at > ? ORDER BY created_at DESC LIMIT 1 OFFSET ?",
            &[kind.as_str()],
        ),
    };
    let mut query = sqlx::query_as::<_, (i64,)>(Engine::of(read).sql(statement));
    for value in values {
        query = query.bind((*value).to_owned());
    }
    let row = query.bind(column(since)).bind(i64::from(most.saturating_sub(1))).fetch_optional(read).await?;
    Ok(row.map(|(at,)| time(at)))
}

impl Act {
    /// When the last `most` codes began, if there were that many since `since`: the oldest of them.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn oldest_of_sent(&mut self, to: SentTo<'_>, since: UnixMs, most: u32) -> Result<Option<UnixMs>, DatabaseError> {
        oldest_of_sent(self.connection(), to, since, most).await
    }

    /// Records a code that is being sent.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_challenge(&mut self, new: &NewChallenge<'_>) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(
            self.sql("INSERT INTO challenges (id, name_kind, name, code, network, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)"),
        )
        .bind(new.id.to_string())
        .bind(new.kind.as_str())
        .bind(new.name)
        .bind(new.code.to_vec())
        .bind(new.network)
        .bind(now)
        .bind(column(new.expires_at))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
