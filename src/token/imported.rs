//! Keys that were made elsewhere: a filter that knows which may have been imported, so that of all others no store is asked.
//!
//! It is a Bloom filter over their ids, which are MACs and need no further hashing. It never says "no" of a key that was imported and
//! answered for. Every import is told like an end: an outbox row, which is done once the store was told (embedded: in this process;
//! Redis: an entry of the log). Hearing of it bumps [`Fence::imports`]; a "no" counts only under a lease, and while the filter was read
//! from the database under the generation of now. So a process that may answer at all has heard of what was imported longer ago than
//! the bound, and reads it before it says "no". Until it has read, it waits, and then says that it cannot tell.
//! INVARIANT: the generation is read before the database, the filter is filled before the generation counts as read.
//! INVARIANT: looking into it waits, locks and allocates nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::fence::Fence;
use super::store::Unavailable;
use crate::database::{Database, DatabaseError};
use crate::id::Id;

/// Bits for each key there is room for: of 10,000 others about 6 pass where it is full.
const BITS_A_KEY: u64 = 16;
/// Bits that each key sets.
const BITS_SET: u64 = 8;
/// Least keys there is room for.
const ROOM: u64 = 1024;
/// Imports read at once; each is of at most [`crate::database::IMPORTED_AT_ONCE`] keys.
const PORTION: i64 = 50;
/// How often is looked whether anything was imported that nobody asked for yet.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a check waits for the filter to be read: the answer to the proxy is due within 250 ms.
const PATIENCE: Duration = Duration::from_millis(150);

/// What the filter says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Imported {
    /// It may have been: the store knows.
    Perhaps,
    /// Never.
    No,
    /// Something was imported that has not been read.
    Unread,
}

/// The keys that were imported.
pub(super) struct Imports {
    fence: Arc<Fence>,
    database: Database,
    bits: ArcSwap<Bits>,
    /// The generation that it was read under; 0 = not read at all.
    read: watch::Sender<u64>,
    /// The same, to be read without a lock.
    read_under: AtomicU64,
    wanted: Notify,
}

impl Imports {
    /// Begins to read, until it is dropped.
    pub(super) fn start(fence: Arc<Fence>, database: Database) -> Arc<Self> {
        let (bits, (read, _)) = (ArcSwap::from_pointee(Bits::with_room_for(0)), watch::channel(0));
        let imports = Arc::new(Self { fence, database, bits, read, read_under: AtomicU64::new(0), wanted: Notify::new() });
        tokio::spawn(keep_read(Arc::downgrade(&imports)));
        imports
    }

    /// Whether everything that was there at the start has been read.
    pub(super) fn is_read(&self) -> bool {
        self.read_under.load(Ordering::Acquire) > 0
    }

    /// What is known of a key. "No" counts only where there was a lease before this was asked.
    pub(super) fn find(&self, id: Id) -> Imported {
        let heard = self.fence.imports();
        let is_current = self.read_under.load(Ordering::Acquire) >= heard;
        match self.bits.load().has(id) {
            true => Imported::Perhaps,
            false if is_current => Imported::No,
            false => Imported::Unread,
        }
    }

    /// The same, once everything that was heard of has been read: whether it may have been imported.
    ///
    /// # Errors
    /// [`Unavailable`] where it cannot be read in time.
    pub(super) async fn may_be(&self, id: Id) -> Result<bool, Unavailable> {
        let heard = self.fence.imports();
        match self.find(id) {
            Imported::Perhaps => return Ok(true),
            Imported::No => return Ok(false),
            Imported::Unread => self.wanted.notify_one(),
        }
        let mut read = self.read.subscribe();
        let done = tokio::time::timeout(PATIENCE, read.wait_for(|read| *read >= heard)).await;
        if !matches!(done, Ok(Ok(_))) {
            return Err(Unavailable);
        }
        Ok(self.bits.load().has(id))
    }

    /// Reads what came after import `last`; the number of the last one now.
    async fn read_on(&self, last: i64) -> Result<i64, DatabaseError> {
        let heard = self.fence.imports();
        let newest = self.database.newest_import().await?;
        let fresh = self.ids(last, newest).await?;
        let mut bits = self.bits.load_full();
        let held = bits.held.load(Ordering::Relaxed) + fresh.len() as u64;
        if held > bits.room {
            // everything into a larger one, which nobody looks into before it is filled
            bits = Arc::new(Bits::with_room_for(held.saturating_mul(2)));
            self.ids(0, last).await?.into_iter().for_each(|id| bits.add(id));
        }
        fresh.iter().for_each(|id| bits.add(*id));
        self.bits.store(bits);
        // what was found not to be there may be cached so
        fresh.into_iter().for_each(|id| self.fence.bump(id));
        self.read_under.store(heard, Ordering::Release);
        self.read.send_replace(heard);
        Ok(newest)
    }

    async fn ids(&self, mut after: i64, newest: i64) -> Result<Vec<Id>, DatabaseError> {
        let mut ids = Vec::new();
        while after < newest {
            let until = newest.min(after.saturating_add(PORTION));
            ids.extend(self.database.imported_ids(after, until).await?);
            after = until;
        }
        Ok(ids)
    }
}

async fn keep_read(imports: Weak<Imports>) {
    let mut last = 0;
    while let Some(strong) = imports.upgrade() {
        if strong.read_under.load(Ordering::Acquire) < strong.fence.imports() {
            match strong.read_on(last).await {
                Ok(newest) => last = newest,
                Err(error) => tracing::warn!(%error, "imported keys cannot be read: unknown ones are refused as unavailable"),
            }
        }
        let wanted = strong.wanted.notified();
        tokio::select! { () = wanted => {}, () = tokio::time::sleep(LOOK_EVERY) => {} }
    }
}

/// A Bloom filter.
struct Bits {
    words: Box<[AtomicU64]>,
    /// Keys it has room for, and how many it holds.
    room: u64,
    held: AtomicU64,
}

impl Bits {
    fn with_room_for(keys: u64) -> Self {
        let room = keys.max(ROOM).next_power_of_two();
        let words = usize::try_from(room * BITS_A_KEY / 64).unwrap_or(usize::MAX);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), room, held: AtomicU64::new(0) }
    }

    fn add(&self, id: Id) {
        self.held.fetch_add(1, Ordering::Relaxed);
        for (word, bit) in self.places(id) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn has(&self, id: Id) -> bool {
        self.places(id).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Where the bits of an id are: every so many from a beginning, both of which it says itself.
    fn places(&self, id: Id) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let whole = u128::from_le_bytes(*id.as_bytes());
        let (begin, step) = (whole as u64, (whole >> 64) as u64 | 1);
        let bits = self.words.len() as u64 * 64;
        (0..BITS_SET).filter_map(move |n| {
            let at = begin.wrapping_add(step.wrapping_mul(n)) % bits;
            Some((self.words.get(usize::try_from(at / 64).ok()?)?, 1 << (at % 64)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_little_else() {
        const KEYS: u64 = 50_000;
        let bits = Bits::with_room_for(KEYS);
        let ids: Vec<Id> = (0..KEYS).map(|_| Id::random().unwrap()).collect();
        assert!(!ids.iter().any(|id| bits.has(*id)));
        ids.iter().for_each(|id| bits.add(*id));
        assert!(ids.iter().all(|id| bits.has(*id)));
        let passed = (0..1_000_000).filter(|_| bits.has(Id::random().unwrap())).count();
        assert!(passed < 1_500, "{passed} of a million others");
    }
}
