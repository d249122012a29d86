//! The time high-water mark: the latest time this installation may have lived in.
//!
//! It is kept *ahead* of time and no check is judged beyond it: whoever lives past it moves it on
//! first. So whatever a run saw as ended had ended at or before the mark that run left in the
//! database, and the next run's clock begins at that mark ([`Database::open_sqlite`]): set the system
//! clock back as far as you like, kill the process when you like, what had ended stays ended. There
//! is no lag to allow for. The price: a restart within [`AHEAD`] of the last mark begins that much early.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::UnixMs;
use crate::database::{Database, DatabaseError};
use crate::token::store::Unavailable;

/// How far ahead the mark is put.
const AHEAD: Duration = Duration::from_secs(3);
/// Where less than this is left of it, upkeep (each second) moves it on, before a check has to.
const LEAST: Duration = Duration::from_secs(2);

/// How long a check waits for the mark.
const IN_TIME: Duration = Duration::from_millis(150);

/// The mark as the database has it.
pub(super) struct Mark {
    stored: AtomicU64,
    turn: tokio::sync::Mutex<()>,
}

impl Mark {
    /// Moves the database's mark ahead of now.
    pub(super) async fn begin(database: &Database) -> Result<Self, DatabaseError> {
        let mark = database.clock().now().after(AHEAD);
        database.raise_high_water(mark).await?;
        Ok(Self { stored: AtomicU64::new(mark.0), turn: tokio::sync::Mutex::default() })
    }

    /// Makes sure that `now` may be lived in. No I/O while upkeep runs.
    pub(super) async fn covers(&self, database: &Database, now: UnixMs) -> Result<(), Unavailable> {
        if now.0 <= self.stored.load(Ordering::Acquire) {
            return Ok(());
        }
        // boxed: rarely taken, and a check's future is to stay small. In time: whatever the database does, a check is answered
        match tokio::time::timeout(IN_TIME, Box::pin(self.move_on(database, now))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(%error, "the time mark cannot be written, so nothing can be judged");
                Err(Unavailable)
            }
            Err(_) => Err(Unavailable),
        }
    }

    /// Keeps the mark ahead of `now`.
    pub(super) async fn keep_ahead(&self, database: &Database, now: UnixMs) -> Result<(), DatabaseError> {
        self.move_on(database, now.after(LEAST)).await
    }

    async fn move_on(&self, database: &Database, past: UnixMs) -> Result<(), DatabaseError> {
        let _turn = self.turn.lock().await;
        if past.0 > self.stored.load(Ordering::Acquire) {
            let mark = past.max(database.clock().now().after(AHEAD));
            database.raise_high_water(mark).await?;
            self.stored.store(mark.0, Ordering::Release);
        }
        Ok(())
    }
}
