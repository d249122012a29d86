//! What happens by itself: rows that another process left in the outbox are applied, idle ends and the
//! time mark are written, what has run out is dropped.

use std::sync::Weak;
use std::time::Duration;

use super::State;
use crate::clock::UnixMs;
use crate::database::{DatabaseError, PendingKind};
use crate::token::sliding::FLUSH_EVERY;
use crate::token::store::{OUTBOX_KEPT, RELAY_EVERY};

/// How often what has run out is dropped from memory.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How much is dropped from memory under one lock.
const PORTION: usize = 256;
/// How often old rows are deleted from the database.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// Runs until the store is dropped.
pub(super) async fn run(state: Weak<State>) {
    let mut ticks = tokio::time::interval(RELAY_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n in 1u64.. {
        ticks.tick().await;
        let Some(state) = state.upgrade() else { return };
        let due = |every: Duration| n.is_multiple_of((every.as_millis() / RELAY_EVERY.as_millis()) as u64);
        if let Err(error) = state.tick(due(FLUSH_EVERY), due(SWEEP_EVERY), due(FORGET_EVERY)).await {
            tracing::warn!(%error, "upkeep of the token store");
        }
    }
}

impl State {
    async fn tick(&self, flush: bool, sweep: bool, forget: bool) -> Result<(), DatabaseError> {
        if !self.database.pending(0, 1).await?.is_empty() {
            self.apply(i64::MAX).await;
        }
        let now = self.database.clock().now();
        if flush {
            self.flush().await;
            if self.read().has_tokens() {
                self.mark.keep_ahead(&self.database, now).await?;
            }
        }
        if sweep {
            self.sweep(now).await;
        }
        if forget {
            self.database.forget_tokens(now.before(self.settings.tokens_kept())).await?;
            self.database.forget_done(now.before(OUTBOX_KEPT)).await?;
        }
        Ok(())
    }

    /// Looks under the read lock and drops in small portions, so that checks never wait for a walk over everything.
    async fn sweep(&self, now: UnixMs) {
        let _turn = self.turn.lock().await;
        let over = self.read().over(now);
        for portion in over.chunks(PORTION) {
            let mut memory = self.write();
            for (kind, id) in portion {
                // one whose last check was allowed a moment ago may have slid since
                if *kind != PendingKind::Token || memory.live(*id, now).is_none() {
                    memory.forget(*kind, *id);
                }
            }
        }
    }
}
