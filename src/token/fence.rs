//! The fence: whether what was cached may still be used. A lease that says until when, generations that say since what.
//!
//! A check reads the lease first, then compares the stamps of what it found with the generations as they are: that order,
//! and the order in which the protocol writes them, is what the proof rests on (COHERENCE §3, "Why it is right").
//! INVARIANT: a generation only grows, and is bumped before a lease is stored that an end before it must not outlive.
//! INVARIANT: nothing here waits, locks or allocates.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::denials;
use super::fencelog::{lease, nanos};
use super::store::Ask;
use crate::id::Id;

/// How many generations ids share: an end makes 1 of so many entries be read again for nothing.
const SHARDS: u16 = 4096;

/// The lease and the generations of one process.
#[derive(Debug)]
pub struct Fence {
    /// Nanoseconds since boot until when checks may be answered; 0 = none, [`u64::MAX`] = for ever (the embedded store).
    lease: AtomicU64,
    all: AtomicU64,
    shards: Box<[AtomicU64]>,
    /// The longest `allow_cached_for` of the rules in force, and the longest that may be used; nanoseconds.
    longest_cached: AtomicU64,
    cached: AtomicU64,
}

/// The generations that a record was read under, added up: each of them only grows, so their sum is the same only while all of them are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamps(u64);

/// Which generations concern a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concerned {
    own: u16,
    key: u16,
}

impl From<Ask> for Concerned {
    fn from(ask: Ask) -> Self {
        let (own, key) = match ask {
            Ask::Token { id, key } => (id, key),
            Ask::Key(id) | Ask::Session(id) => (id, id),
            Ask::Foreign { token, subject } => denials::buckets(token, subject).into(),
        };
        Self { own: shard(own), key: shard(key) }
    }
}

impl Default for Fence {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| AtomicU64::new(0)).collect();
        let [lease, all, longest_cached, cached] = [0; 4].map(AtomicU64::new);
        Self { lease, all, shards, longest_cached, cached }
    }
}

impl Fence {
    /// Until when checks may be answered, nanoseconds since boot. To be read before anything else of a check.
    pub fn lease(&self) -> u64 {
        self.lease.load(Ordering::Acquire)
    }

    /// Until when from here on; only a protocol that has applied every end before it may say so.
    pub fn set_lease(&self, until: u64) {
        self.lease.store(until, Ordering::Release);
    }

    /// The generations that what `ask` hangs on is under now. To be read after the lease and before the records.
    pub fn stamps(&self, concerned: impl Into<Concerned>) -> Stamps {
        let Concerned { own, key } = concerned.into();
        let all = self.all.load(Ordering::Acquire);
        Stamps(self.generation(own).wrapping_add(self.generation(key)).wrapping_add(all))
    }

    /// Something that ends or narrows one token, key or session: what was read of it before counts no more.
    pub fn bump(&self, id: Id) {
        if let Some(generation) = self.shards.get(usize::from(shard(id))) {
            generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Something that may concern everybody: whatever was read before counts no more.
    pub fn bump_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
    }

    /// The longest `allow_cached_for` (D) of the rules in force.
    pub fn longest_cached(&self) -> Duration {
        Duration::from_nanos(self.longest_cached.load(Ordering::Acquire))
    }

    /// Rules come into force with this longest `allow_cached_for`.
    pub fn want_cached(&self, longest: Duration) {
        self.longest_cached.store(nanos(longest), Ordering::Release);
    }

    /// From here on what is cached may be used for so long after a lease: the one that stands was asked for after the database
    /// knew, so whoever waits for this process does.
    pub fn allow_cached(&self, at_most: Duration) {
        self.cached.fetch_max(nanos(at_most), Ordering::AcqRel);
    }

    /// How long, of the `wanted` time of a rule, what is cached may be used after a lease; nanoseconds. To be read before the stamps.
    pub fn cached_for(&self, wanted: Duration) -> u64 {
        nanos(lease(Duration::from_nanos(nanos(wanted).min(self.cached.load(Ordering::Acquire)))))
    }

    fn generation(&self, shard: u16) -> u64 {
        self.shards.get(usize::from(shard)).map_or(0, |generation| generation.load(Ordering::Acquire))
    }
}

/// Ids are random and made by us alone, or hashes: these bits spread them evenly.
fn shard(id: Id) -> u16 {
    let [a, b, ..] = *id.as_bytes();
    u16::from_le_bytes([a, b]) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Id = Id::from_bytes([1; 16]);
    const B: Id = Id::from_bytes([2; 16]);

    #[test]
    fn an_end_changes_the_stamps_of_what_it_concerns() {
        let fence = Fence::default();
        let (token, key, other) = (Ask::Token { id: A, key: B }, Ask::Key(B), Ask::Session(A));
        let read = |asks: [Ask; 3]| asks.map(|ask| fence.stamps(ask));
        let before = read([token, key, other]);
        fence.bump(B);
        let after = read([token, key, other]);
        assert_eq!(before.map(Some).into_iter().zip(after.map(Some)).map(|(a, b)| a == b).collect::<Vec<_>>(), [false, false, true]);
        fence.bump_all();
        assert!(read([token, key, other]).into_iter().zip(after).all(|(a, b)| a != b));
    }
}
