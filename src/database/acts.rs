//! Acts: the only way accounts, keys and sessions change.
//!
//! An act is one transaction that holds the write lock from its beginning, so what it reads stays
//! true until it commits. It commits with its audit entry and with an outbox row for each record
//! the token store must learn of: a crash between two steps leaves nothing half done.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Any, AnyConnection, SqlStr, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::{Database, DatabaseError, Engine, PendingKind, column, trail};
use crate::audit::Entry;
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::terms::Terms;

/// A transaction under way; dropped without [`Act::commit`], nothing of it stands.
pub struct Act {
    transaction: Transaction<'static, Any>,
    engine: Engine,
    now: UnixMs,
    told: Option<i64>,
    noted: Vec<Entry>,
    // after the transaction: fields are dropped in order, and the next in turn finds the write lock free
    _turn: OwnedMutexGuard<()>,
}

/// Longest wait for one's turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// An act that stands in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the token store must be told of it"]
pub struct Committed {
    /// The number of its last outbox row; `None` where the token store has nothing to learn.
    pub until: Option<i64>,
}

/// Which part of a list: what comes after a row, in order of (time, id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The last row seen; `None` from the beginning.
    pub after: Option<(UnixMs, Id)>,
    /// At most this many rows.
    pub limit: u32,
}

impl Page {
    /// The columns to begin after.
    pub(super) fn after_columns(&self) -> (i64, String) {
        self.after.map_or((-1, String::new()), |(at, id)| (column(at), id.to_string()))
    }
}

impl Database {
    /// Begins an act.
    ///
    /// # Errors
    /// Where the write lock cannot be had within five seconds.
    pub async fn act(&self) -> Result<Act, DatabaseError> {
        let busy = |_| DatabaseError::Unavailable("too many acts wait for their turn".to_owned());
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turn).lock_owned()).await.map_err(busy)?;
        let mut transaction = self.pool.begin_with(self.engine.begin()).await?;
        if let Some(turn) = self.engine.turn() {
            sqlx::query(turn).execute(&mut *transaction).await?;
        }
        Ok(Act { transaction, engine: self.engine, now: self.clock.now(), told: None, noted: Vec::new(), _turn: turn })
    }
}

impl Act {
    /// When it happens.
    pub fn now(&self) -> UnixMs {
        self.now
    }

    pub(super) fn now_column(&self) -> i64 {
        column(self.now)
    }

    /// A statement in the engine's tongue.
    pub(super) fn sql(&self, statement: &'static str) -> SqlStr {
        self.engine.sql(statement)
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine
    }

    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// The token store must learn of this record.
    pub(super) async fn tell(&mut self, kind: PendingKind, id: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        let insert = sqlx::query(self.sql("INSERT INTO outbox (kind, id, at) VALUES (?, ?, ?)"));
        insert.bind(kind.as_str()).bind(id.to_string()).bind(now).execute(self.connection()).await?;
        // acts come one after the other: the last row is this one
        let (last,): (i64,) = sqlx::query_as("SELECT MAX(n) FROM outbox").fetch_one(self.connection()).await?;
        self.told = Some(last);
        Ok(())
    }

    /// Writes a column of a record's row, and that the record changed. `update`: binds what is written, when, and the record.
    pub(super) async fn rewrite(
        &mut self,
        update: &'static str,
        text: Option<String>,
        kind: PendingKind,
        id: Id,
    ) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql(update)).bind(text).bind(now).bind(id.to_string()).execute(self.connection()).await?;
        self.tell(kind, id).await
    }

    /// Ends a record's row, and tells of it. `update`: binds when, twice, and the record.
    pub(super) async fn end_row(&mut self, update: &'static str, kind: PendingKind, id: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql(update)).bind(now).bind(now).bind(id.to_string()).execute(self.connection()).await?;
        self.tell(kind, id).await
    }

    /// This was done, too: another entry beside the one that [`Act::commit`] is given.
    pub fn note(&mut self, entry: Entry) {
        self.noted.push(entry);
    }

    /// Commits what nobody did: a session in use slides by itself, which is no act of anyone's and leaves no audit entry.
    ///
    /// # Errors
    /// Where it cannot be committed: then nothing of it stands.
    pub async fn commit_slide(self) -> Result<Committed, DatabaseError> {
        let committed = Committed { until: self.told };
        self.transaction.commit().await?;
        Ok(committed)
    }

    /// Writes the audit entries and commits.
    ///
    /// # Errors
    /// Where it cannot be committed: then nothing of it stands.
    pub async fn commit(mut self, entry: &Entry) -> Result<Committed, DatabaseError> {
        let now = self.now;
        for entry in self.noted.iter().chain([entry]) {
            trail::write(&mut self.transaction, entry, now).await?;
        }
        let committed = Committed { until: self.told };
        self.transaction.commit().await?;
        self.noted.iter().chain([entry]).for_each(|entry| entry.log(now));
        Ok(committed)
    }
}

/// What a column of terms of `table` holds.
pub(super) fn agreed(table: &str, text: Option<&str>) -> Result<Terms, DatabaseError> {
    Terms::read(text).map_err(|_| DatabaseError::Unavailable(format!("a row of `{table}` is damaged")))
}

/// So many of these, with commas between: places for values whose number only the call knows.
pub(super) fn list(of: &str, times: usize) -> String {
    vec![of; times].join(", ")
}

/// What a text column of `table` spells.
pub(super) fn spelled<T: FromStr>(table: &str, text: &str) -> Result<T, DatabaseError> {
    text.parse().map_err(|_| DatabaseError::Unavailable(format!("a row of `{table}` is damaged")))
}

#[cfg(test)]
mod tests;
