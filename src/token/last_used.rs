//! When a key was last used, roughly: to the minute, and without a write per check.
//!
//! A use costs one atomic read where the key was seen in this minute already; once a minute and key it goes into a map,
//! which is written in one transaction every half minute. INVARIANT: a check never waits for any of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::UnixMs;
use crate::database::Database;
use crate::id::Id;
use crate::lock::Mutex;

/// Places where a use is noted; keys that share one note each other's uses more often than they must.
const PLACES: usize = 4096;
/// Most keys that wait to be written; a use beyond that is not recorded.
const WAITING: usize = 100_000;
/// How often what waits is written.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// As close as it is told.
const MINUTE_MS: u64 = 60_000;

/// Takes note of keys in use. Clones share it; what writes ends with the last one.
#[derive(Clone)]
pub struct LastUsed {
    seen: Arc<Seen>,
    database: Database,
}

struct Seen {
    places: Box<[AtomicU64]>,
    waiting: Mutex<HashMap<Id, UnixMs>>,
}

impl LastUsed {
    /// Begins to take note.
    pub fn start(database: Database) -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        let seen = Arc::new(Seen { places, waiting: Mutex::default() });
        let (of, database_of) = (Arc::downgrade(&seen), database.clone());
        tokio::spawn(async move {
            let mut due = tokio::time::interval(WRITE_EVERY);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                due.tick().await;
                let Some(seen) = of.upgrade() else { return };
                seen.write(&database_of).await;
            }
        });
        Self { seen, database }
    }

    /// The key was used at `now`. No I/O here.
    pub fn used(&self, key: Id, now: UnixMs) {
        let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
        let name = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        // the minute, and enough of the key to tell it from its neighbours
        let stamp = (now.0 / MINUTE_MS) << 24 | name >> 40;
        let Some(place) = usize::try_from(name).ok().and_then(|name| self.seen.places.get(name % PLACES)) else { return };
        if place.load(Ordering::Relaxed) != stamp {
            place.store(stamp, Ordering::Relaxed);
            self.seen.note(key, now);
        }
    }

    /// Writes what waits.
    pub async fn flush(&self) {
        self.seen.write(&self.database).await;
    }
}

impl Seen {
    fn note(&self, key: Id, now: UnixMs) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING || waiting.contains_key(&key) {
            waiting.insert(key, now);
        }
    }

    async fn write(&self, database: &Database) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        if let Err(error) = database.keys_used(waiting).await {
            tracing::warn!(%error, "when keys were last used was not recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    async fn last_used() -> (LastUsed, tempfile::TempDir) {
        let data = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&data.path().join("gatepost.db"), Clock::manual(UnixMs(1_900_000_000_000))).await.unwrap();
        (LastUsed::start(database), data)
    }

    fn waiting(last_used: &LastUsed) -> usize {
        last_used.seen.waiting.lock().len()
    }

    #[tokio::test]
    async fn a_key_is_noted_once_a_minute() {
        let (last_used, _data) = last_used().await;
        let key = Id::from_bytes([7; 16]);
        let begin = UnixMs(1_900_000_020_000);
        for second in 0..50 {
            last_used.used(key, begin.after(Duration::from_secs(second % 40)));
            let noted = waiting(&last_used);
            assert_eq!(noted, usize::from(second == 0), "second {second}");
            last_used.seen.waiting.lock().clear();
        }
        last_used.used(key, begin.after(Duration::from_secs(60)));
        assert_eq!(waiting(&last_used), 1);
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (last_used, _data) = last_used().await;
        for n in 0..u32::try_from(WAITING).unwrap() + 10 {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            bytes[4..8].copy_from_slice(&n.to_be_bytes());
            last_used.used(Id::from_bytes(bytes), UnixMs(1_900_000_000_000));
        }
        assert_eq!(waiting(&last_used), WAITING);
    }
}
