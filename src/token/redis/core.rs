//! What the store knows, and how it reacts where Redis cannot be asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::StartError;
use super::link::{Failure, Link, Wire};
use super::mint::Bringing;
use super::offset::Offset;
use crate::clock::{UnixMs, boottime_ns, millis};
use crate::database::Database;
use crate::id::Id;
use crate::lock::Mutex;
use crate::token::fence::Fence;
use crate::token::fencelog::Epoch;
use crate::token::fencelog::follower::Follower;
use crate::token::fencelog::listing::Listing;
use crate::token::sliding::{FLUSH_EVERY, Grid};
use crate::token::store::{Settings, Unavailable};

/// What the clocks of replicas and of Redis may differ by, in what is kept and what is replayed.
pub(super) const CLOCKS: Duration = Duration::from_secs(3600);
/// Most idle ends that wait for the flusher; a check of a token that found no room asks again.
const SLIDES: usize = 100_000;
/// Idle ends sent at once.
const SLIDES_AT_ONCE: usize = 500;

/// What the store's calls and tasks share.
pub(super) struct Core {
    /// Itself, for tasks that outlive the call that began them.
    pub(super) this: std::sync::Weak<Core>,
    pub(super) link: Link,
    pub(super) database: Database,
    pub(super) settings: Settings,
    pub(super) grid: Grid,
    /// This process, among the members.
    pub(super) member: Id,
    /// Set while Redis was found whole and ours; scripts are sent only then.
    pub(super) held: ArcSwapOption<Held>,
    /// What checks read of the protocol.
    pub(super) fence: Arc<Fence>,
    /// The protocol.
    pub(super) follower: Mutex<Follower>,
    /// Wakes the heartbeat.
    pub(super) kick: Arc<Notify>,
    /// Told whenever an epoch is held, with a connection to ask by.
    pub(super) adopted: Notify,
    /// Told when the log is to be read from elsewhere.
    pub(super) moved: Notify,
    /// What the database knows of this process as one that holds leases.
    pub(super) listing: Listing,
    /// What time Redis tells.
    pub(super) offset: Offset,
    /// What was logged last: nothing yet, up, or down.
    pub(super) said: AtomicU8,
    /// Why Redis must not be used, where that has to be mended.
    pub(super) complaint: Mutex<Option<Complaint>>,
    /// Whether another process seems to hold the database's epoch elsewhere.
    pub(super) is_contested: AtomicBool,
    /// Wakes the lookout.
    pub(super) look: Arc<Notify>,
    /// Whether the outbox held anything when the lookout looked.
    pub(super) is_pending: AtomicBool,
    /// Idle ends in Redis's time that have not been sent.
    pub(super) slides: Mutex<HashMap<Id, u64>>,
    /// Whose turn it is to apply the outbox.
    pub(super) applying: tokio::sync::Mutex<()>,
    pub(super) bringing: Bringing,
    /// How many members there are, as the last beat said.
    pub(super) replicas: AtomicU32,
}

/// Why Redis must not be used.
pub(super) struct Complaint {
    pub(super) why: StartError,
    /// How often that was found since there was a lease.
    pub(super) times: u32,
}

/// An epoch, and the connection on which Redis was found whole under it.
pub(super) struct Held {
    pub(super) wire: Wire,
    pub(super) epoch: Epoch,
}

impl Core {
    /// Nothing held yet.
    pub(super) fn new(link: Link, kick: Arc<Notify>, member: Id, database: Database, settings: Settings) -> Arc<Self> {
        let fence = Arc::new(Fence::default());
        let follower = Mutex::new(Follower::new(Arc::clone(&fence), settings.staleness_bound));
        Arc::new_cyclic(|this| Self {
            this: std::sync::Weak::clone(this),
            link,
            grid: Grid::new(settings.ttl),
            member,
            held: ArcSwapOption::empty(),
            kick,
            fence,
            follower,
            adopted: Notify::new(),
            moved: Notify::new(),
            listing: Listing::default(),
            offset: Offset::default(),
            said: AtomicU8::new(0),
            complaint: Mutex::default(),
            is_contested: AtomicBool::new(false),
            look: Arc::default(),
            is_pending: AtomicBool::new(false),
            slides: Mutex::default(),
            applying: tokio::sync::Mutex::default(),
            bringing: Bringing::default(),
            replicas: AtomicU32::new(1),
            database,
            settings,
        })
    }

    pub(super) fn now(&self) -> UnixMs {
        self.database.clock().now()
    }

    /// Our time as Redis tells it: idle ends lie on Redis's time line, the same for every replica.
    pub(super) fn redis_time(&self, at: UnixMs) -> UnixMs {
        self.offset.redis_time(at)
    }

    /// Redis's time as we tell it.
    pub(super) fn our_time(&self, at: UnixMs) -> UnixMs {
        self.offset.our_time(at)
    }

    /// The idle end, in Redis's time, of a token used at `now`; never after `cap`.
    pub(super) fn idle_end(&self, now: UnixMs, cap: UnixMs) -> UnixMs {
        self.grid.idle_end(self.redis_time(now), self.redis_time(cap))
    }

    /// The protocol, for a moment.
    pub(super) fn follower(&self) -> MutexGuard<'_, Follower> {
        self.follower.lock()
    }

    /// Whether this epoch is held, and settled.
    pub(super) fn is_settled(&self, epoch: &Epoch) -> bool {
        self.follower().settled(boottime_ns(), self.link.slack()) == Some(epoch)
    }

    /// What is held, to be asked.
    pub(super) fn hold(&self) -> Result<Arc<Held>, Unavailable> {
        self.held.load_full().ok_or(Unavailable)
    }

    /// Reacts to a command that has no answer: where Redis as a whole cannot be asked, nobody asks any more until
    /// the heartbeat, kicked by this, found that it can.
    pub(super) fn failed(&self, held: &Arc<Held>, failure: &Failure) -> Unavailable {
        if failure.is_general() || held.wire.is_stalled() {
            self.let_go(held, &failure.to_string());
        }
        Unavailable
    }

    /// Holds `held` no more, if it is what is held.
    pub(super) fn let_go(&self, held: &Arc<Held>, why: &str) {
        let current = self.held.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, held)) {
            self.held.store(None);
            self.say(false, why);
            self.kick.notify_one();
        }
    }

    /// Logs and shows a change between up and down, once.
    pub(super) fn say(&self, up: bool, why: &str) {
        let what = if up { 1 } else { 2 };
        if self.said.swap(what, Ordering::Relaxed) != what {
            if up {
                tracing::info!("Redis answers: {why}");
            } else {
                tracing::error!("Redis cannot be asked, so credentials are refused as unavailable: {why}");
            }
        }
    }

    /// Waits a moment for another epoch to be adopted.
    pub(super) async fn until_adopted(&self, at_most: Duration) {
        let adopted = self.adopted.notified();
        self.kick.notify_one();
        drop(tokio::time::timeout(at_most, adopted).await);
    }

    /// How long records stay in Redis unless renewed: a little longer than any token minted with them.
    pub(super) fn kept_ms(&self) -> u64 {
        millis(self.settings.max_lifetime.saturating_add(Duration::from_secs(60)))
    }

    /// From when on ends and changes are replayed: older ones cannot be missing from any record that is left.
    pub(super) fn replay_since(&self) -> UnixMs {
        self.now().before(self.settings.max_lifetime.saturating_add(CLOCKS))
    }

    /// See [`crate::token::store::TokenStore::slide`].
    pub(super) fn slide(&self, token: Id, cap: UnixMs, seen: UnixMs) -> UnixMs {
        let now = self.now();
        let idle_end = self.idle_end(now, cap);
        if idle_end > self.redis_time(seen) {
            let mut slides = self.slides();
            if slides.len() >= SLIDES {
                // too many wait: another use may once the flusher was there
                return now.after(FLUSH_EVERY);
            }
            slides.insert(token, idle_end.0);
        }
        self.slides_from(idle_end, cap)
    }

    /// From when on a use moves an idle end of Redis's time on.
    pub(super) fn slides_from(&self, idle_end: UnixMs, cap: UnixMs) -> UnixMs {
        match self.grid.due(idle_end, self.redis_time(cap)) {
            UnixMs(u64::MAX) => UnixMs(u64::MAX),
            due => self.our_time(due),
        }
    }

    /// Writes idle ends that moved. Each waits until it is known to be written, so that neither a failure nor a caller who gives up
    /// loses any.
    pub(super) async fn flush(&self) {
        let Ok(held) = self.hold() else { return };
        let portions = self.slides().len().div_ceil(SLIDES_AT_ONCE);
        for _ in 0..portions {
            let portion: Vec<_> = self.slides().iter().take(SLIDES_AT_ONCE).map(|(id, end)| (*id, *end)).collect();
            if portion.is_empty() {
                return;
            }
            if let Err(failure) = held.wire.slide(&portion).await {
                // the rest would fail as slowly
                self.failed(&held, &failure);
                return;
            }
            let mut slides = self.slides();
            for (id, end) in &portion {
                // moved on meanwhile, it is written again
                if slides.get(id) == Some(end) {
                    slides.remove(id);
                }
            }
        }
    }

    fn slides(&self) -> MutexGuard<'_, HashMap<Id, u64>> {
        self.slides.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::database::test_server::TestDatabase;

    #[tokio::test]
    async fn where_too_many_idle_ends_wait_no_use_tries_before_the_flusher_does() {
        let (now, hour) = (UnixMs(1_900_000_000_000), Duration::from_secs(3600));
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(now)).await;
        let kick = Arc::new(Notify::new());
        let link = Link::new("redis://127.0.0.1:1/", Arc::clone(&kick)).unwrap();
        let settings = Settings { ttl: hour, max_lifetime: 12 * hour, staleness_bound: Duration::from_secs(1) };
        let core = Core::new(link, kick, Id::from_bytes([1; 16]), database, settings);
        let slide = |n: usize| core.slide(Id::from_bytes((n as u128).to_le_bytes()), now.after(12 * hour), UnixMs(0));
        for n in 0..SLIDES {
            assert!(slide(n) > now.after(FLUSH_EVERY), "it is written down");
        }
        assert_eq!(slide(SLIDES), now.after(FLUSH_EVERY));
    }
}
