//! The cache: what presented credentials were found to be, so that a check asks no store.
//!
//! It stands before both stores and is right by their fence alone: an entry is used only under a lease, while the
//! generations it was read under are those of now, and before its deadline. Losing entries costs time and nothing else.
//!
//! INVARIANT: the lease is read first, then the stamps, then the store (COHERENCE §3, FILL and CHECK).
//! INVARIANT: what is refused is kept for a short time only, and crowds out nothing that is live.

mod entry;
mod flight;
mod name;
mod table;

use std::sync::{Arc, Weak};
use std::time::Duration;

use flight::Flights;
use name::Namer;
use table::Table;

pub use entry::Entry;
pub use name::Name;
pub use table::Held;

use super::fence::Fence;
use super::holder::judge;
use super::recognise::{At, Authentic};
use super::record::Fill;
use super::store::{Ask, Unavailable};
use crate::clock::{Clock, UnixMs};
use crate::decision::credential::Presented;

/// How long a refusal is kept.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// The whole table is swept in so many parts, one each [`SWEEP_EVERY`].
const SWEEP_PARTS: usize = 32;
/// How often a part of it is.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// When a check began.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Nanoseconds since boot: what leases are measured by.
    pub boot_ns: u64,
    /// The time: what ends are measured by.
    pub now: UnixMs,
}

/// What the cache knows of a credential.
pub enum Cached {
    /// This, and it may be used.
    Known(Held),
    /// Nothing that may be used: the store is to be asked.
    Unknown,
    /// The lease lapsed at `since`, nanoseconds since boot, and the store is not to be asked either. What may be used by a rule that says so.
    Lapsed {
        /// When.
        since: u64,
        /// What would be known under a lease.
        known: Option<Held>,
    },
}

/// The cache of one store.
pub struct Cache {
    fence: Arc<Fence>,
    namer: Namer,
    table: Table,
    flights: Flights,
}

/// By what a check may be answered, as the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// By what is kept.
    Leased,
    /// By the store alone, which says itself whether it may be asked.
    Unleased,
    /// By nothing, since then.
    Lapsed(u64),
}

impl Cache {
    /// A cache under this fence, which is swept until it is dropped.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn start(fence: Arc<Fence>, clock: Clock) -> Result<Arc<Self>, ring::error::Unspecified> {
        let cache = Arc::new(Self { fence, namer: Namer::new()?, table: Table::new(), flights: Flights::default() });
        tokio::spawn(sweep(Arc::downgrade(&cache), clock));
        Ok(cache)
    }

    /// What a presented credential is called here.
    pub fn name(&self, presented: &Presented<'_>, at: At<'_>) -> Option<Name> {
        self.namer.name(presented, at)
    }

    /// What is known of a credential that `keyring` would prove.
    pub fn find(&self, leave: Leave, name: Name, keyring: u32, now: UnixMs) -> Cached {
        let found = || {
            let counts = |entry: &Entry| entry.keyring == keyring && !is_spent(entry, &self.fence, now);
            self.table.find(name).filter(|entry| counts(entry))
        };
        match leave {
            Leave::Leased => found().map_or(Cached::Unknown, Cached::Known),
            Leave::Unleased => Cached::Unknown,
            Leave::Lapsed(since) => Cached::Lapsed { since, known: found() },
        }
    }

    /// Asks the store: `is_leased` as the check read it, at `at`. `alone` = asking costs nothing that is worth sharing.
    ///
    /// # Errors
    /// [`Unavailable`] where the store cannot be asked.
    pub(super) async fn fill<F>(
        &self,
        (name, keyring): (Name, u32),
        authentic: &Authentic,
        (at, is_leased): (Moment, bool),
        alone: bool,
        fill: impl FnOnce() -> F,
    ) -> Result<Arc<Entry>, Unavailable>
    where
        F: Future<Output = Result<Option<Fill>, Unavailable>> + Send + 'static,
    {
        let Authentic { kind, ask, secret, ends } = *authentic;
        let stamps = self.fence.stamps(ask);
        let (stamps, fill) = match alone {
            true => (stamps, fill().await?),
            false => {
                let (stamps, brought) = self.flights.fill(ask, at.boot_ns, (is_leased, stamps), fill).await;
                (stamps, brought?.map(Arc::unwrap_or_clone))
            }
        };
        // of a token that is not there nothing comes back; of records that are missing something may, unseen
        let is_final = fill.as_ref().is_none_or(Fill::is_whole);
        // a JWT for a browser's session, or a cookie for a login's: nobody of this house wrote that
        let standing = fill.and_then(|fill| judge(ask, fill, secret.as_ref(), at.now)).filter(|standing| standing.holder.kind == kind);
        let deadline = match &standing {
            Some(standing) => standing.ends.min(ends.unwrap_or(standing.ends)),
            None if is_final => at.now.after(REFUSED_FOR),
            None => at.now,
        };
        let entry = Arc::new(Entry::new(name, keyring, ask, kind, stamps, deadline, standing));
        if deadline > at.now {
            self.table.insert(Arc::clone(&entry), |other| is_spent(other, &self.fence, at.now));
        }
        Ok(entry)
    }
}

/// Whether an entry can never be used again: something ended or changed, or its time is over.
fn is_spent(entry: &Entry, fence: &Fence, now: UnixMs) -> bool {
    entry.deadline <= now || fence.stamps(entry.ask) != entry.stamps
}

/// Drops what is spent, a part at a time, so that it leaves memory.
async fn sweep(cache: Weak<Cache>, clock: Clock) {
    let mut due = tokio::time::interval(SWEEP_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut kept = [0; SWEEP_PARTS];
    for n in (0..SWEEP_PARTS).cycle() {
        due.tick().await;
        let Some(cache) = cache.upgrade() else { return };
        let left = cache.table.sweep(n, SWEEP_PARTS, |entry| is_spent(entry, &cache.fence, clock.now()));
        if let Some(kept) = kept.get_mut(n) {
            *kept = left;
        }
        crate::metrics::cached(kept.iter().sum());
    }
}

impl Ask {
    /// The key that it is asked for, if it is one or a token's.
    pub fn key(self) -> Option<crate::id::Id> {
        match self {
            Self::Token { key, .. } | Self::Key(key) => Some(key),
            Self::Session(_) => None,
        }
    }
}
