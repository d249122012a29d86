//! The token store in Redis or Valkey: what carries the protocol of [`super::fencelog`] to it, and nothing more.
//!
//! The database is the authority for every record and every end; Redis is where presence is asked. Which
//! script applies what:
//! * a mint, and the records that one credential hangs on → `gp_mint` ([`mint`]);
//! * whatever the outbox tells of (a token ended; a key, session, subject or policy made, changed or
//!   ended) → `gp_end` ([`relay`]), with what that record hangs on besides, so that a subject never names a
//!   policy that is not there. A record just made is a version higher than absence, so `gp_end` writes it
//!   like any change; as with `gp_mint`, the epoch is taken before the database is read;
//! * live tokens that came with a copy of another database → [`arrive`];
//! * a check that is not in the cache → the fill ([`fill`]), which reads and nothing else;
//! * which tickets were used → [`ticket`];
//! * the log of ends, and who has applied it → [`log`], [`strict`];
//! * Redis restarted, flushed or promoted → RECOVER ([`recover`]), found out by the heartbeat ([`heartbeat`]);
//! * whether it is the Redis that the database knows → [`lookout`].
//!
//! INVARIANT: nothing is believed of a Redis that is not whole under the epoch this process holds: every
//! script asks that itself.
//! INVARIANT: records expire unless renewed after `max_lifetime`, so a snapshot holds nothing older than
//! what RECOVER replays over it.
//! INVARIANT: raw tokens and keys are in no name and no value; ids and hashes are.

mod address;
mod arrive;
mod core;
mod discovery;
mod examine;
mod fill;
mod heartbeat;
mod keys;
mod lease;
mod link;
mod log;
mod lookout;
mod members;
mod mint;
mod offset;
mod recover;
mod relay;
mod reply;
mod scripts;
mod socket;
mod strict;
mod text;
mod ticket;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use address::{Address, AddressError};
use link::Link;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use self::core::Core;
use super::fence::Fence;
use super::fencelog::nanos;
use super::record::Fill;
use super::store::{Ask, MintOrder, MintRefusal, Minted, Propagated, Settings, Unavailable};
use super::ticket::{Purpose, Ticket, Worth};
use crate::clock::{Clock, UnixMs, boottime_ns};
use crate::database::Database;
use crate::decision::limit::Rate;
use crate::id::Id;

/// For any look-up, whatever Redis and the database do: the answer to the proxy is due within 250 ms.
const LOOK_UP: Duration = Duration::from_millis(200);
/// How long a start waits for the first lease before it goes on without...
const FIRST: Duration = Duration::from_secs(1);
/// ...and where another process seems to hold the database's epoch elsewhere, until that is clear.
const FIRST_CONTESTED: Duration = Duration::from_secs(8);
/// So often must the same keep it from being used before the start fails: once, who is about to mend it may have been asked too early.
const COMPLAINTS: u32 = 2;

/// The store with the tasks that look after it; they end with it.
pub struct Redis {
    core: Arc<Core>,
    tasks: [tokio::task::JoinHandle<()>; 5],
}

/// Why the store does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be read.
    #[error("tokens.store: {0}")]
    Address(String),
    /// It is something else than the address says.
    #[error("this is {0}; write `{1}` for it")]
    Mode(&'static str, &'static str),
    /// A primary that was cut off could go on for good.
    #[error("Redis: {0}")]
    Replicas(String),
    /// The user may not do what the scripts do.
    #[error("the Redis user may not run on our keys: {0}; give it the rights that examples/scale-out/README.md lists")]
    Rights(String),
    /// Something there is not as it must be.
    #[error("tokens.store: {0}")]
    Unusable(String),
    /// The keys there belong to somebody else.
    #[error(
        "this Redis holds the tokens of another Gatepost installation; give each its own Redis or, after `?` in `tokens.store`, its own `tag=`; \
         or, if that one is gone, delete its keys: those that begin with this tag in braces, `{{gp}}:` where none is written"
    )]
    Foreign,
    /// Another process serves from this database with another Redis: neither would hear of the other's ends.
    #[error(
        "another gatepost serves from this database with its tokens in {by}, and what this one reaches as {ours} is another Redis: what one ends \
         would stay good at the other. Give both the same Redis in `tokens.store` (localhost is another one on each machine), or stop that one first"
    )]
    Rival {
        /// Where its tokens are.
        by: String,
        /// Where ours are.
        ours: String,
    },
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

/// Whether `url` is an address, and the files it names can be read.
///
/// # Errors
/// What is wrong, and what to do; without anything of the address but those files' names.
pub fn check_address(url: &SecretString) -> Result<(), (String, String)> {
    let address = Address::parse(url.expose_secret()).map_err(|error| (error.what.to_owned(), error.what_to_do.to_owned()))?;
    let file = |what: String| (what, "name PEM files that this program may read".to_owned());
    socket::Dialer::new(address.tls.as_ref()).map(drop).map_err(file)
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
        let core = Core::new(link, kick, member, database, settings);
        match core.link.connect().await {
            Ok(wire) => drop(heartbeat::examine(&core, &wire).await?),
            Err(failure) => drop(examine::refusal(failure)?),
        }
        let tasks = [
            tokio::spawn(heartbeat::run(Arc::downgrade(&core))),
            tokio::spawn(log::run(Arc::downgrade(&core))),
            tokio::spawn(lookout::run(Arc::downgrade(&core))),
            tokio::spawn(relay::run(Arc::downgrade(&core))),
            tokio::spawn(arrive::run(Arc::downgrade(&core))),
        ];
        let store = Arc::new(Self { core, tasks });
        if !store.first_lease().await? {
            tracing::warn!("starting without Redis: until it can be asked, only anonymous routes work");
        }
        Ok(store)
    }

    /// What checks go by.
    pub fn fence(&self) -> &Arc<Fence> {
        &self.core.fence
    }

    /// See [`super::store::TokenStore::look_up`].
    ///
    /// # Errors
    /// [`Unavailable`] within 250 ms.
    pub async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        tokio::time::timeout(LOOK_UP, self.core.look_up(ask)).await.unwrap_or(Err(Unavailable))
    }

    /// See [`super::store::TokenStore::slide`].
    pub fn slide(&self, token: Id, cap: UnixMs, seen: UnixMs) -> UnixMs {
        self.core.slide(token, cap, seen)
    }

    /// From when on a use moves this idle end on.
    pub(super) fn slides_from(&self, idle_end: UnixMs, cap: UnixMs) -> UnixMs {
        self.core.slides_from(self.core.redis_time(idle_end), cap)
    }

    /// How long a token lasts unused.
    pub(super) fn ttl(&self) -> Duration {
        self.core.settings.ttl
    }

    pub(super) fn database(&self) -> &Database {
        &self.core.database
    }

    pub(super) fn clock(&self) -> &Clock {
        self.core.database.clock()
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

    /// See [`super::store::TokenStore::strict`].
    ///
    /// # Errors
    /// [`Unavailable`] where it cannot be known.
    pub async fn strict(&self) -> Result<(), Unavailable> {
        self.core.strict().await
    }

    /// See [`super::store::TokenStore::lease`].
    ///
    /// # Errors
    /// [`Unavailable`] where Redis cannot be asked.
    pub async fn lease(&self, name: &str, rate: Rate, wanted: i64) -> Result<(u64, u64), Unavailable> {
        self.core.lease(name, rate, wanted).await
    }

    /// See [`super::store::TokenStore::ticket_terms`].
    ///
    /// # Errors
    /// [`Unavailable`] without a lease.
    pub fn ticket_terms(&self, ends: UnixMs) -> Result<(Id, UnixMs), Unavailable> {
        self.core.ticket_terms(ends)
    }

    /// Whether a ticket is over at `now`, as far as Redis's clock is known.
    pub fn is_over(&self, ticket: &Ticket, now: UnixMs) -> bool {
        ticket.ends <= self.core.redis_time(now)
    }

    /// See [`super::store::TokenStore::ticket`].
    ///
    /// # Errors
    /// [`Unavailable`] where Redis cannot be asked.
    pub async fn ticket(&self, ticket: &Ticket, purpose: Purpose) -> Result<Worth, Unavailable> {
        self.core.ticket(ticket, purpose).await
    }

    /// How many processes share this store, as far as is known; at least one.
    pub fn replicas(&self) -> u32 {
        self.core.replicas.load(Ordering::Relaxed)
    }

    /// See [`super::store::TokenStore::idle_ends`].
    ///
    /// # Errors
    /// [`Unavailable`] within 250 ms.
    pub async fn idle_ends(&self, tokens: &[Id]) -> Result<Vec<Option<UnixMs>>, Unavailable> {
        tokio::time::timeout(LOOK_UP, self.core.idle_ends(tokens)).await.unwrap_or(Err(Unavailable))
    }

    /// Waits for a lease; whether there is one. An error where there will be none.
    async fn first_lease(&self) -> Result<bool, StartError> {
        let begun = boottime_ns();
        while !self.is_ready() {
            let complaint = self.core.complaint.lock().take_if(|complaint| complaint.times >= COMPLAINTS);
            if let Some(complaint) = complaint {
                return Err(complaint.why);
            }
            let is_contested = self.core.is_contested.load(Ordering::Relaxed);
            if boottime_ns() - begun > nanos(if is_contested { FIRST_CONTESTED } else { FIRST }) {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(true)
    }

    /// Whether checks are answered: there is a lease.
    pub fn is_ready(&self) -> bool {
        self.core.fence.lease() > boottime_ns()
    }

    /// See [`super::store::TokenStore::flush`].
    pub async fn flush(&self) {
        self.core.flush().await;
    }

    /// Before the process ends: nothing is allowed from here on, and nobody waits for this process.
    pub async fn stop(&self) {
        // another heartbeat would list it again
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        self.core.flush().await;
        self.core.leave().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
