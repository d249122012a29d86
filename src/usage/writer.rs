//! Adds what waits to the database, portion by portion.
//!
//! A portion that was begun stays as it is until it is known to stand in the database: its number is written in the same transaction,
//! so that one whose answer got lost is not added again.

use std::sync::Arc;
use std::time::Duration;

use super::Counting;
use crate::database::{Database, UsageRow};
use crate::id::Id;
use crate::{metrics, upkeep};

/// Most rows in one transaction.
const PORTION: usize = 2000;
/// How often rows that are too old are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Writes for this process.
pub(super) struct Writer {
    database: Database,
    process: Id,
    /// The number of the last portion.
    number: i64,
    /// The last portion, where it is not known to stand in the database.
    begun: Option<Vec<UsageRow>>,
    /// Whether the last try failed.
    fails: bool,
}

impl Writer {
    /// For a process of its own.
    pub(super) fn new(database: Database) -> Result<Self, ring::error::Unspecified> {
        Ok(Self { database, process: Id::random()?, number: 0, begun: None, fails: false })
    }

    /// Writes until `next` has nothing more, or the database does not take it.
    pub(super) async fn write(&mut self, next: impl Fn(usize) -> Vec<UsageRow>) {
        loop {
            if self.begun.is_none() {
                let rows = next(PORTION);
                if rows.is_empty() {
                    return;
                }
                self.number += 1;
                self.begun = Some(rows);
            }
            let rows = self.begun.as_deref().unwrap_or_default();
            match self.database.add_usage(self.process, self.number, rows).await {
                Ok(()) => {
                    self.begun = None;
                    self.fails = false;
                    metrics::usage_written("written");
                }
                Err(error) => {
                    metrics::usage_written("failed");
                    if !self.fails {
                        tracing::warn!(%error, "usage could not be written; it is kept and tried again");
                    }
                    self.fails = true;
                    return;
                }
            }
        }
    }

    /// This process writes no more.
    pub(super) async fn leave(&mut self) {
        if self.begun.is_none()
            && self.number > 0
            && let Err(error) = self.database.forget_usage_writer(self.process).await
        {
            tracing::debug!(%error, "the number of the last portion of usage stays");
        }
    }
}

/// Drops rows older than `keep` again and again, while anybody counts.
pub(super) fn forget_old(counting: &Arc<Counting>, database: Database, keep: Duration) {
    let counting = Arc::downgrade(counting);
    tokio::spawn(async move {
        let mut due = upkeep::after_the_start(FORGET_EVERY);
        loop {
            due.tick().await;
            if counting.strong_count() == 0 {
                return;
            }
            let before = super::hour_of(database.clock().now().before(keep));
            if let Err(error) = database.forget_usage(before).await {
                tracing::warn!(%error, "old usage was not dropped");
            }
        }
    });
}
