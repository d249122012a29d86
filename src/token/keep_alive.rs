//! Whoever is at work on the website keeps their own tokens alive: a session's use slides the live tokens
//! of that person's keys, one batch per session per tenth of the ttl, never past a token's cap.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::store::TokenStore;
use crate::clock::UnixMs;
use crate::database::Database;
use crate::id::Id;

/// Most sessions remembered, and most batches that wait; beyond that a use slides nothing, and the next one may.
const SESSIONS: usize = 100_000;
const WAITING: usize = 1024;

/// Takes note of sessions in use. Ends with its last clone.
#[derive(Clone)]
pub struct KeepAlive {
    every: Duration,
    database: Database,
    seen: Arc<Mutex<HashMap<Id, UnixMs>>>,
    queue: mpsc::Sender<Id>,
}

impl KeepAlive {
    /// Begins to slide tokens for sessions in use.
    pub fn start(tokens: TokenStore, database: Database, ttl: Duration) -> Self {
        let (queue, mut waiting) = mpsc::channel(WAITING);
        let of = database.clone();
        tokio::spawn(async move {
            while let Some(principal) = waiting.recv().await {
                match of.live_tokens_of(principal).await {
                    Ok(owned) => owned.iter().for_each(|token| tokens.slide(token, UnixMs(0))),
                    Err(error) => tracing::warn!(%error, "a session's tokens were not slid"),
                }
            }
        });
        Self { every: ttl / 10, database, seen: Arc::default(), queue }
    }

    /// A session of `principal` was used. No I/O here.
    pub fn used(&self, session: Id, principal: Id) {
        let now = self.database.clock().now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.get(&session).is_some_and(|last| now.since(*last) < self.every) {
            return;
        }
        if seen.len() >= SESSIONS {
            seen.retain(|_, last| now.since(*last) < self.every);
        }
        if seen.len() < SESSIONS && self.queue.try_send(principal).is_ok() {
            seen.insert(session, now);
        }
    }
}
