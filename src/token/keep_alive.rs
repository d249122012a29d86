//! Whoever is at work on the website stays logged in, and keeps their own tokens alive.
//!
//! A use of a browser's session moves its idle end on, and a use of any session slides the live tokens of that
//! person's keys: each at most once per session per tenth of its time, in the background, never past a cap.
//! INVARIANT: what has ended stays so: a slide moves a live session in the database only, and its record's version
//! is lower than that of any later end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::sliding::{FLUSH_EVERY, Grid};
use super::store::TokenStore;
use crate::clock::UnixMs;
use crate::database::{Database, DatabaseError};
use crate::id::Id;
use crate::lock::Mutex;

/// Most sessions remembered, and most batches that wait; beyond that a use slides nothing, and the next one may.
const SESSIONS: usize = 100_000;
const WAITING: usize = 1024;

/// Takes note of sessions in use. Ends with its last clone.
#[derive(Clone)]
pub struct KeepAlive {
    every: Duration,
    sessions: Grid,
    database: Database,
    memory: Arc<Mutex<Memory>>,
    queue: mpsc::Sender<Due>,
}

/// What was last done for every session in use.
#[derive(Default)]
struct Memory {
    seen: HashMap<Id, Seen>,
    /// When a full memory was last gone through.
    swept: Option<UnixMs>,
}

/// What was last done for a session.
#[derive(Clone, Copy)]
struct Seen {
    /// When the tokens were slid.
    tokens: UnixMs,
    /// Where the idle end was moved to; 0 where it was not.
    idle_end: UnixMs,
}

/// What is to be done.
#[derive(Clone, Copy)]
struct Due {
    session: Id,
    /// Whose tokens to slide.
    tokens_of: Option<Id>,
    /// Where to move the session's idle end.
    idle_end: Option<UnixMs>,
}

impl KeepAlive {
    /// Begins to slide: tokens that live `ttl` unused, sessions of browsers that live `session_idle` unused.
    pub fn start(tokens: TokenStore, database: Database, ttl: Duration, session_idle: Duration) -> Self {
        let (queue, mut waiting) = mpsc::channel::<Due>(WAITING);
        let of = database.clone();
        tokio::spawn(async move {
            while let Some(due) = waiting.recv().await {
                if let Err(error) = slide(&tokens, &of, due).await {
                    tracing::warn!(%error, "a session in use was not slid");
                }
            }
        });
        Self { every: ttl / 10, sessions: Grid::new(session_idle), database, memory: Arc::default(), queue }
    }

    /// When a browser's session that is used at `now` ends if not used again: not before its idle time is over, and at most a tenth
    /// of it later. Never after `cap`.
    pub fn idle_end(&self, now: UnixMs, cap: UnixMs) -> UnixMs {
        self.sessions.idle_end(now, cap)
    }

    /// A login's JWT of `principal` was used. No I/O here.
    /// Returns from when on another use may do something.
    pub fn used(&self, session: Id, principal: Id) -> UnixMs {
        self.note(session, principal, None)
    }

    /// A browser's session of `principal` was used, which ends at `idle_end` as its record says, and at `cap` in any case. No I/O here.
    /// Returns from when on another use may do something.
    pub fn session_used(&self, session: Id, principal: Id, idle_end: UnixMs, cap: UnixMs) -> UnixMs {
        let wanted = self.idle_end(self.database.clock().now(), cap);
        self.note(session, principal, Some(wanted).filter(|wanted| *wanted > idle_end)).min(self.sessions.due(wanted.max(idle_end), cap))
    }

    fn note(&self, session: Id, principal: Id, idle_end: Option<UnixMs>) -> UnixMs {
        let now = self.database.clock().now();
        let mut memory = self.memory.lock();
        let Memory { seen, swept } = &mut *memory;
        let last = seen.get(&session).copied();
        let due = Due {
            session,
            tokens_of: last.is_none_or(|last| now.since(last.tokens) >= self.every).then_some(principal),
            // the record that was seen may be older than the slide that is under way
            idle_end: idle_end.filter(|wanted| last.is_none_or(|last| last.idle_end < *wanted)),
        };
        if due.tokens_of.is_none() && due.idle_end.is_none() {
            return last.map_or(now, |last| last.tokens.after(self.every));
        }
        if seen.len() >= SESSIONS && swept.is_none_or(|swept| now.since(swept) >= self.every) {
            *swept = Some(now);
            seen.retain(|_, last| now.since(last.tokens) < self.every || last.idle_end > now);
        }
        if (last.is_some() || seen.len() < SESSIONS) && self.queue.try_send(due).is_ok() {
            let before = last.unwrap_or(Seen { tokens: UnixMs(0), idle_end: UnixMs(0) });
            let tokens = if due.tokens_of.is_some() { now } else { before.tokens };
            seen.insert(session, Seen { tokens, idle_end: due.idle_end.unwrap_or(before.idle_end) });
            return tokens.after(self.every);
        }
        // too many wait: another use may, in a while
        now.after(FLUSH_EVERY)
    }
}

async fn slide(tokens: &TokenStore, database: &Database, due: Due) -> Result<(), DatabaseError> {
    if let Some(idle_end) = due.idle_end {
        let mut act = database.act().await?;
        if act.slide_session(due.session, idle_end).await? {
            let committed = act.commit_slide().await?;
            if let Some(until) = committed.until {
                tokens.apply(until).await;
            }
        }
    }
    if let Some(principal) = due.tokens_of {
        for token in database.live_tokens_of(principal).await? {
            tokens.slide(token.id, token.cap, UnixMs(0));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::database::test_server::TestDatabase;
    use crate::token::embedded::Embedded;
    use crate::token::store::Settings;

    #[tokio::test]
    async fn where_too_many_wait_no_use_tries_at_once_again() {
        let (now, hour) = (UnixMs(1_900_000_000_000), Duration::from_secs(3600));
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(now)).await;
        let settings = Settings { ttl: hour, max_lifetime: 12 * hour, staleness_bound: Duration::from_secs(1) };
        let tokens = TokenStore::embedded(Embedded::start(database.clone(), settings).await.unwrap()).unwrap();
        let keep_alive = KeepAlive::start(tokens, database, hour, hour);
        let used = |n: usize| keep_alive.used(Id::from_bytes((n as u128).to_le_bytes()), Id::from_bytes([1; 16]));
        // nobody takes from the queue: this thread is the only one
        for n in 0..WAITING {
            assert_eq!(used(n), now.after(hour / 10));
        }
        assert_eq!(used(WAITING), now.after(FLUSH_EVERY));
    }
}
