//! Live tokens that came with a copy of another database, until the token store in Redis has been given them.

use super::super::acts::Act;
use super::super::{Database, DatabaseError, column};
use super::LiveToken;
use super::tokens::{TokenRow, live};
use crate::id::Id;

/// What came, in part.
#[derive(Debug, Default)]
pub struct Arriving {
    /// Live ones, those of one key beside each other.
    pub live: Vec<LiveToken>,
    /// Those that have ended meanwhile.
    pub ended: Vec<Id>,
}

impl Database {
    /// How many there are.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn arrivals(&self) -> Result<u64, DatabaseError> {
        let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM arrivals").fetch_one(&self.pool).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

impl Act {
    /// Some of them. Nobody can end one before this act is over.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn arriving(&mut self, limit: u32) -> Result<Arriving, DatabaseError> {
        let now = column(self.now());
        let statement = self.sql("SELECT token FROM arrivals ORDER BY token LIMIT ?");
        let ids: Vec<(String,)> = sqlx::query_as(statement).bind(i64::from(limit)).fetch_all(self.connection()).await?;
        let Some((last,)) = ids.last() else { return Ok(Arriving::default()) };
        let statement = self.sql(
            "SELECT t.id, t.key_id, t.scopes, t.format, t.signed_by, t.issuer, t.issued_at, t.cap, t.idle_end FROM tokens t
             JOIN arrivals a ON a.token = t.id WHERE a.token <= ? AND t.ended_at IS NULL AND t.cap > ? AND t.idle_end > ? ORDER BY t.key_id",
        );
        let rows: Vec<TokenRow> = sqlx::query_as(statement).bind(last).bind(now).bind(now).fetch_all(self.connection()).await?;
        let live = rows.into_iter().map(live).collect::<Result<Vec<_>, _>>()?;
        let ids = ids.iter().map(|(id,)| super::rows::parse("arrivals", id, id)).collect::<Result<Vec<Id>, _>>()?;
        let ended = ids.into_iter().filter(|id| live.iter().all(|live| live.token.id != *id)).collect();
        Ok(Arriving { live, ended })
    }

    /// The token store has them, or need not.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn arrived(&mut self, tokens: &[Id]) -> Result<(), DatabaseError> {
        for token in tokens {
            let statement = self.sql("DELETE FROM arrivals WHERE token = ?");
            sqlx::query(statement).bind(token.to_string()).execute(self.connection()).await?;
        }
        Ok(())
    }
}
