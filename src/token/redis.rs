//! The token store in Redis or Valkey: the protocol FenceLog of COHERENCE §3.
//!
//! The database is the authority for every record and every end; Redis is where presence is asked. Which
//! script applies what:
//! * a mint, and the records that one credential hangs on → `gp_mint` ([`mint`]);
//! * whatever the outbox tells of (a token ended; a key, session, subject or policy made, changed or
//!   ended) → `gp_end` ([`relay`]), with what that record hangs on besides, so that a subject never names a
//!   policy that is not there. A record just made is a version higher than absence, so `gp_end` writes it
//!   like any change; as with `gp_mint`, the epoch is taken before the database is read;
//! * a check → the fill ([`fill`]), which reads and nothing else;
//! * Redis restarted, flushed or promoted → RECOVER ([`recover`]), found out by the heartbeat ([`heartbeat`]).
//!
//! INVARIANT: nothing is believed of a Redis that is not whole under the epoch this process holds: every
//! script asks that itself.
//! INVARIANT: records expire unless renewed after `max_lifetime`, so a snapshot holds nothing older than
//! what RECOVER replays over it.
//! INVARIANT: raw tokens and keys are in no name and no value; ids and hashes are.

mod fill;
mod heartbeat;
mod link;
mod members;
mod mint;
mod recover;
mod relay;
mod scripts;
mod text;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use link::{Call, Failure, Link, Wire};
use scripts::Script;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use super::record::{Fill, TokenRecord};
use super::sliding::Grid;
use super::store::{Ask, MintOrder, MintRefusal, Minted, Propagated, Settings, Unavailable};
use crate::clock::{UnixMs, millis};
use crate::database::Database;
use crate::id::Id;

/// Begins every key; what stands in braces puts them all into one slot of a Cluster.
const PREFIX: &str = "{gp}:";
/// The key every script is given; it makes the others from it.
const EPOCH: &str = "{gp}:epoch";
/// For any look-up, whatever Redis and the database do.
const LOOK_UP: Duration = Duration::from_millis(240);
/// How long a start waits for the first heartbeat before it goes on without.
const FIRST: Duration = Duration::from_secs(1);
/// What the clocks of replicas and of Redis may differ by, in what is kept and what is replayed.
const CLOCKS: Duration = Duration::from_secs(3600);
/// Most idle ends that wait for the flusher; a check of a token that found no room asks again.
const SLIDES: usize = 100_000;
/// Idle ends sent at once.
const SLIDES_AT_ONCE: usize = 500;

/// The store with the tasks that look after it; they end with it.
pub struct Redis {
    core: Arc<Core>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

struct Core {
    /// Itself, for tasks that outlive the call that began them.
    this: std::sync::Weak<Core>,
    link: Link,
    database: Database,
    settings: Settings,
    grid: Grid,
    /// This process, among the members.
    member: Id,
    /// Set while Redis was found whole and ours; checks are sent only then.
    held: ArcSwapOption<Held>,
    /// Wakes the heartbeat.
    kick: Arc<Notify>,
    /// Told whenever an epoch has been adopted.
    adopted: Notify,
    /// Redis's time less ours, in ms; see [`Core::note_time`].
    offset_ms: AtomicI64,
    /// How often in a row the database had another epoch than a whole Redis.
    strays: AtomicU32,
    /// What was logged last: nothing yet, up, or down.
    said: AtomicU8,
    /// Idle ends in Redis's time that have not been sent.
    slides: Mutex<HashMap<Id, u64>>,
    /// Whose turn it is to apply the outbox.
    applying: tokio::sync::Mutex<()>,
    bringing: mint::Bringing,
}

/// An epoch, and the connection on which Redis was found whole under it.
struct Held {
    wire: Wire,
    epoch: String,
}

/// Why the store does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be read.
    #[error("tokens.store: {0}")]
    Address(String),
    /// The keys there belong to somebody else.
    #[error("this Redis holds the tokens of another Gatepost installation; give each its own Redis, or FLUSHALL it if that one is gone")]
    Foreign,
    /// It would drop tokens and records under memory pressure.
    #[error("Redis runs with `maxmemory-policy {0}`, which drops tokens and records under memory pressure; set it to `noeviction`")]
    Evicts(String),
    /// It lacks commands.
    #[error("Redis {0} is too old; 7.0 or newer (or any Valkey) is needed")]
    TooOld(String),
    /// It answers, but not to us.
    #[error("Redis refuses: {0}")]
    Refused(String),
}

impl Redis {
    /// Connects and begins to look after the store. Where Redis cannot be reached it starts all the same and keeps trying.
    ///
    /// # Errors
    /// Where a Redis answers that must not be used.
    pub async fn start(url: &SecretString, database: Database, settings: Settings) -> Result<Arc<Self>, StartError> {
        let kick = Arc::new(Notify::new());
        let link = Link::new(url.expose_secret(), Arc::clone(&kick)).map_err(StartError::Address)?;
        let member = Id::random().map_err(|_| StartError::Refused("the system gave no randomness".into()))?;
        let core = Arc::new_cyclic(|this| Core {
            this: std::sync::Weak::clone(this),
            link,
            grid: Grid::new(settings.ttl),
            member,
            held: ArcSwapOption::empty(),
            kick,
            adopted: Notify::new(),
            offset_ms: AtomicI64::new(0),
            strays: AtomicU32::new(0),
            said: AtomicU8::new(0),
            slides: Mutex::default(),
            applying: tokio::sync::Mutex::default(),
            bringing: mint::Bringing::default(),
            database,
            settings,
        });
        metrics::gauge!("gatepost_store_up").set(0.0);
        let answers = match core.link.connect().await {
            Ok(wire) => heartbeat::examine(&core, &wire).await.map(|()| true)?,
            Err(failure) => heartbeat::refusal(&failure).map_or(Ok(false), Err)?,
        };
        let adopted = core.adopted.notified();
        let tasks = [tokio::spawn(heartbeat::run(Arc::downgrade(&core))), tokio::spawn(relay::run(Arc::downgrade(&core)))];
        if !answers || tokio::time::timeout(FIRST, adopted).await.is_err() {
            tracing::warn!("starting without Redis: until it can be asked, only anonymous routes work");
        }
        Ok(Arc::new(Self { core: Arc::clone(&core), tasks }))
    }

    /// See [`super::store::TokenStore::look_up`].
    ///
    /// # Errors
    /// [`Unavailable`] within 250 ms.
    pub async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        tokio::time::timeout(LOOK_UP, self.core.look_up(ask)).await.unwrap_or(Err(Unavailable))
    }

    /// See [`super::store::TokenStore::slide`].
    pub fn slide(&self, token: &TokenRecord, seen_idle_end: UnixMs) {
        let core = &self.core;
        let idle_end = core.idle_end(core.now(), token.cap);
        if idle_end > core.redis_time(seen_idle_end) {
            let mut slides = core.slides.lock().unwrap_or_else(PoisonError::into_inner);
            if slides.len() < SLIDES {
                slides.insert(token.id, idle_end.0);
            }
        }
    }

    /// See [`super::store::TokenStore::mint`].
    ///
    /// # Errors
    /// See [`MintRefusal`].
    pub async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        self.core.mint(order).await
    }

    /// See [`super::store::TokenStore::apply`].
    pub async fn apply(&self, until: i64) -> Propagated {
        self.core.apply(until).await
    }

    /// See [`super::store::TokenStore::idle_ends`].
    ///
    /// # Errors
    /// [`Unavailable`] within 250 ms.
    pub async fn idle_ends(&self, tokens: &[Id]) -> Result<Vec<Option<UnixMs>>, Unavailable> {
        tokio::time::timeout(LOOK_UP, self.core.idle_ends(tokens)).await.unwrap_or(Err(Unavailable))
    }

    /// Whether Redis was found whole and ours, and answers.
    pub fn is_ready(&self) -> bool {
        self.core.held.load().is_some()
    }

    /// See [`super::store::TokenStore::flush`]. Leaves the list of members, too.
    pub async fn flush(&self) {
        self.core.flush().await;
        self.core.leave().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Core {
    fn now(&self) -> UnixMs {
        self.database.clock().now()
    }

    /// Our time as Redis tells it: idle ends lie on Redis's time line, the same for every replica.
    fn redis_time(&self, at: UnixMs) -> UnixMs {
        UnixMs(at.0.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)))
    }

    /// Redis's time as we tell it.
    fn our_time(&self, at: UnixMs) -> UnixMs {
        UnixMs(at.0.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed).saturating_neg()))
    }

    /// The idle end, in Redis's time, of a token used at `now`; never after `cap`.
    fn idle_end(&self, now: UnixMs, cap: UnixMs) -> UnixMs {
        self.grid.idle_end(self.redis_time(now), self.redis_time(cap))
    }

    /// Notes what time Redis tells. Small differences are the round trip's and change nothing, so that an idle
    /// end read and written again stays the same to the millisecond.
    fn note_time(&self, redis: UnixMs, ours: UnixMs) {
        let seen = i64::try_from(redis.0).unwrap_or(i64::MAX).saturating_sub(i64::try_from(ours.0).unwrap_or(i64::MAX));
        if seen.abs_diff(self.offset_ms.load(Ordering::Relaxed)) > 100 {
            self.offset_ms.store(seen, Ordering::Relaxed);
        }
    }

    /// What is held, to be asked.
    fn hold(&self) -> Result<Arc<Held>, Unavailable> {
        self.held.load_full().ok_or(Unavailable)
    }

    /// Reacts to a command that has no answer: where Redis as a whole cannot be asked, nobody asks any more until
    /// the heartbeat, kicked by this, found that it can.
    fn failed(&self, held: &Arc<Held>, failure: &Failure) -> Unavailable {
        if failure.is_general() || held.wire.is_stalled() {
            self.let_go(held, &failure.to_string());
        }
        Unavailable
    }

    /// Holds `held` no more, if it is what is held.
    fn let_go(&self, held: &Arc<Held>, why: &str) {
        let current = self.held.load();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, held)) {
            self.held.store(None);
            self.say(false, why);
            self.kick.notify_one();
        }
    }

    /// Logs and shows a change between up and down, once.
    fn say(&self, up: bool, why: &str) {
        let what = if up { 1 } else { 2 };
        if self.said.swap(what, Ordering::Relaxed) != what {
            metrics::gauge!("gatepost_store_up").set(if up { 1.0 } else { 0.0 });
            if up {
                tracing::info!("Redis answers: {why}");
            } else {
                tracing::error!("Redis cannot be asked, so credentials are refused as unavailable: {why}");
            }
        }
    }

    /// Waits a moment for another epoch to be adopted.
    async fn until_adopted(&self, at_most: Duration) {
        let adopted = self.adopted.notified();
        self.kick.notify_one();
        drop(tokio::time::timeout(at_most, adopted).await);
    }

    /// How long records stay in Redis unless renewed: a little longer than any token minted with them.
    fn kept_ms(&self) -> u64 {
        millis(self.settings.max_lifetime.saturating_add(Duration::from_secs(60)))
    }

    /// From when on ends and changes are replayed: older ones cannot be missing from any record that is left.
    fn replay_since(&self) -> UnixMs {
        self.now().before(self.settings.max_lifetime.saturating_add(CLOCKS))
    }

    /// Writes idle ends that moved.
    async fn flush(&self) {
        let Ok(held) = self.hold() else { return };
        let slides: Vec<_> = std::mem::take(&mut *self.slides.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect();
        for portion in slides.chunks(SLIDES_AT_ONCE) {
            if let Err(failure) = held.wire.slide(portion).await {
                self.failed(&held, &failure);
                let mut kept = self.slides.lock().unwrap_or_else(PoisonError::into_inner);
                for (id, end) in portion {
                    let later = kept.entry(*id).or_insert(*end);
                    *later = (*later).max(*end);
                }
            }
        }
    }
}
