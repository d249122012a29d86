//! The token store: presence of tokens, and the records they hang on.
//!
//! One behaviour, two back ends: [`embedded`](super::embedded) (in process, one machine) and
//! [`redis`](super::redis) (FenceLog, COHERENCE §3). What callers see is the same for both.

use std::sync::Arc;
use std::time::Duration;

use super::cache::{Asked, Cache, Cached, Entry, Name, Provers};
use super::embedded::Embedded;
use super::fencelog::check::Leave;
use super::imported::{Imported, Imports};
use super::recognise::{At, Authentic};
use super::record::{Fill, TokenFormat, TokenRecord};
use super::redis::Redis;
use super::ticket::{Purpose, Source, Ticket, Worth};
use crate::clock::{Moment, UnixMs, boottime_ns};
use crate::decision::credential::{CredentialKind, Presented};
use crate::decision::limit::Rate;
use crate::decision::scopes::ScopeSet;
use crate::decision::told::Further;
use crate::id::Id;

/// Most subjects above a credential, tenant included: a longer chain is broken off, which refuses.
pub const CHAIN_DEPTH: usize = 8;
/// Most live tokens a key.
pub const TOKENS_PER_KEY: usize = 64;
/// How long outbox rows are kept once done.
pub(super) const OUTBOX_KEPT: Duration = Duration::from_secs(3600);
/// How often a store asks the outbox for rows that another process left there: a `gatepost keys revoke` beside the server acts within this.
pub(super) const RELAY_EVERY: Duration = Duration::from_millis(250);
/// Outbox rows applied at once.
pub(super) const BATCH: u32 = 64;

/// The store cannot be asked right now: never "not found".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token store cannot be reached")]
pub struct Unavailable;

/// What a check asks about. Each has been authenticated before (MAC, key tag or signature).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// An access token and the key it names.
    Token {
        /// The token's id.
        id: Id,
        /// The key it names; a record naming another refuses.
        key: Id,
    },
    /// An API key.
    Key(Id),
    /// A login's JWT.
    Session(Id),
    /// A token of another issuer: whether it is denied.
    Foreign {
        /// What a denial of it would be known by; where it cannot be denied alone, that of its subject.
        token: Id,
        /// What a denial of its subject would be known by.
        subject: Id,
    },
}

/// What to mint.
#[derive(Debug, Clone)]
pub struct MintOrder {
    /// From which key.
    pub key: Id,
    /// With which scopes; `None` = all the key holds.
    pub scopes: Option<ScopeSet>,
    /// SHA-256 of the secret presented: must be a live one of that key. `None` for acts of the owner.
    pub secret: Option<[u8; 32]>,
    /// How it will be written.
    pub format: TokenFormat,
    /// The secret keys that can still be used, by name; the first signs.
    pub signers: Vec<String>,
    /// The `iss` to record for a JWT.
    pub issuer: String,
}

/// What a store needs to know of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Idle time of a token.
    pub ttl: Duration,
    /// A token's absolute life.
    pub max_lifetime: Duration,
    /// L of COHERENCE §1; the embedded store has no use for it.
    pub staleness_bound: Duration,
}

impl Settings {
    /// How long token rows stay in the database after their end: for people who look, and at least as long as RECOVER asks for them.
    pub(super) fn tokens_kept(&self) -> Duration {
        Duration::from_secs(7 * 24 * 3600).max(2 * self.max_lifetime)
    }
}

/// A live token: minted, or found live and slid.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The record; the text is made again from it.
    pub token: TokenRecord,
    /// When it ends if not used again.
    pub idle_end: UnixMs,
}

/// Why nothing was minted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintRefusal {
    /// The key is unknown or ended, its secret is not a live one, or someone above is blocked.
    #[error("unknown or ended key")]
    NoSuchKey,
    /// The key (or a policy level) does not hold these.
    #[error("scope not held")]
    ScopeNotHeld(ScopeSet),
    /// 64 live tokens already.
    #[error("too many live tokens")]
    TooManyTokens,
    /// Store or database away.
    #[error("unavailable")]
    Unavailable,
}

/// Whether an end has reached the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagated {
    /// Applied: no check that begins later than the bound is allowed.
    Yes,
    /// Committed in the database; applied when the store returns.
    Later,
}

/// The token store: one of two, and what is kept of its answers.
#[derive(Clone)]
pub struct TokenStore {
    store: Store,
    cache: Arc<Cache>,
    imports: Arc<Imports>,
}

/// Which store.
#[derive(Clone)]
enum Store {
    /// In process.
    Embedded(Arc<Embedded>),
    /// Redis or Valkey.
    Redis(Arc<Redis>),
}

impl TokenStore {
    /// The store in this process.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn embedded(store: Arc<Embedded>) -> Result<Self, ring::error::Unspecified> {
        let cache = Cache::start(store.fence(), store.clock().clone(), store.ttl())?;
        let imports = Imports::start(store.fence(), store.database().clone());
        Ok(Self { store: Store::Embedded(store), cache, imports })
    }

    /// Redis or Valkey.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn redis(store: Arc<Redis>) -> Result<Self, ring::error::Unspecified> {
        let cache = Cache::start(Arc::clone(store.fence()), store.clock().clone(), store.ttl())?;
        let imports = Imports::start(Arc::clone(store.fence()), store.database().clone());
        Ok(Self { store: Store::Redis(store), cache, imports })
    }

    /// Whether it is the one in this process.
    pub fn is_embedded(&self) -> bool {
        matches!(self.store, Store::Embedded(_))
    }

    /// What a presented credential is called in the cache; `None` where nothing is presented that could be known.
    pub fn name(&self, presented: &Presented<'_>, at: At<'_>) -> Option<Name> {
        self.cache.name(presented, at)
    }

    /// What that is called in the cache which a ticket was made from.
    pub fn name_of_source(&self, source: &Source) -> Name {
        self.cache.name_of_source(source)
    }

    /// What is known, without asking, of a credential that `provers` would prove. Neither waits, locks nor allocates.
    pub fn cached(&self, name: Name, provers: Provers, at: Moment) -> Cached {
        self.cache.find(self.leave(at), name, provers, at.now)
    }

    /// Keeps that a credential is forged, so that it is not proved to be so again.
    pub fn refuse(&self, name: Name, provers: Provers, kind: CredentialKind, at: Moment) {
        self.cache.refuse(name, provers, kind, at.now);
    }

    /// Lets gates say this besides what the standard headers say. Once, before the first check.
    pub fn tell(&self, further: Arc<[Further]>) {
        self.cache.tell(further);
    }

    /// The rules in force use what is cached for so long without the store, at most.
    pub fn want_cached(&self, longest: Duration) {
        if let Store::Redis(store) = &self.store {
            store.fence().want_cached(longest);
            if !longest.is_zero() {
                tracing::info!(
                    "rules let pass what is cached for up to {longest:?} without Redis: an end may be seen that much later there"
                );
            }
        }
    }

    /// For how long, of the time that a rule wants, what is cached may be used after a lease; nanoseconds.
    pub fn cached_for(&self, wanted: Duration) -> u64 {
        match &self.store {
            // without its lock another process may serve, whose ends this one does not hear of
            Store::Embedded(_) => 0,
            Store::Redis(store) => store.fence().cached_for(wanted),
        }
    }

    /// Whether this is an API key made elsewhere that was never imported: it is refused without any store being asked. The check
    /// began at `at`. Neither waits, locks nor allocates.
    pub fn is_unknown(&self, authentic: &Authentic, at: Moment) -> bool {
        match authentic.ask {
            // the lease first, as in any check
            Ask::Key(id) if authentic.made_elsewhere && self.leave(at) == Leave::Leased => self.imports.find(id) == Imported::No,
            _ => false,
        }
    }

    /// Whether an API key made elsewhere may have been imported.
    ///
    /// # Errors
    /// [`Unavailable`] where that cannot be told now.
    pub async fn may_be_imported(&self, key: Id) -> Result<bool, Unavailable> {
        self.imports.may_be(key).await
    }

    /// The lease, read before anything else of a check.
    fn leave(&self, at: Moment) -> Leave {
        match &self.store {
            Store::Embedded(store) if store.serves_at(at.now) => Leave::Leased,
            // its time mark may have to be moved on first
            Store::Embedded(_) => Leave::Unleased,
            Store::Redis(store) => Leave::read(store.fence(), at.boot_ns),
        }
    }

    /// Asks what an authentic credential is. The check that asks began at `at`, and the cache knew nothing.
    ///
    /// # Errors
    /// [`Unavailable`] as in [`TokenStore::look_up`].
    pub async fn check(&self, name: Name, provers: Provers, authentic: &Authentic, at: Moment) -> Result<Arc<Entry>, Unavailable> {
        let leave = self.leave(Moment { boot_ns: boottime_ns(), ..at });
        if !leave.asks() {
            return Err(Unavailable);
        }
        if authentic.made_elsewhere
            && let Ask::Key(id) = authentic.ask
            && !self.imports.may_be(id).await?
        {
            return Ok(self.cache.refused(name, provers, authentic, at));
        }
        let fill = || {
            let (store, ask) = (self.store.clone(), authentic.ask);
            async move { store.look_up(ask).await }
        };
        let slides = &|idle_end, cap| match &self.store {
            Store::Embedded(store) => store.slides_from(idle_end, cap),
            Store::Redis(store) => store.slides_from(idle_end, cap),
        };
        let alone = self.is_embedded();
        self.cache.fill(Asked { name, provers, authentic, at, leave, alone, slides }, fill).await
    }

    /// Reads what `ask` hangs on from the store itself. `None` = not there.
    ///
    /// # Errors
    /// [`Unavailable`] within 250 ms, whatever the store does.
    pub async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        self.store.look_up(ask).await
    }

    /// An allowed check used the token: its idle end moves on, quantised (COHERENCE §4). No I/O here. While the idle end
    /// `seen` lies on the same step of the grid, nothing happens. Returns from when on a use moves it on again.
    pub fn slide(&self, token: Id, cap: UnixMs, seen: UnixMs) -> UnixMs {
        match &self.store {
            Store::Embedded(store) => store.slide(token, cap, seen),
            Store::Redis(store) => store.slide(token, cap, seen),
        }
    }

    /// MINT: one live token per key and scope set; asking again slides it to the full ttl.
    ///
    /// # Errors
    /// See [`MintRefusal`].
    pub async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        match &self.store {
            Store::Embedded(store) => store.mint(order).await,
            Store::Redis(store) => store.mint(order).await,
        }
    }

    /// Applies every outbox row that is not done (the caller's own just committed one among them) and says
    /// whether row `until` and all before it are done. Called after each admin act that wrote to the outbox.
    pub async fn apply(&self, until: i64) -> Propagated {
        match &self.store {
            Store::Embedded(store) => store.apply(until).await,
            Store::Redis(store) => store.apply(until).await,
        }
    }

    /// Returns when no check that begins from now on is allowed by what was applied before. At most as long as the bound
    /// of COHERENCE §1 says, whatever the store does.
    ///
    /// # Errors
    /// [`Unavailable`] where it cannot be known when that is.
    pub async fn strict(&self) -> Result<(), Unavailable> {
        match &self.store {
            // what is applied is in the only memory there is
            Store::Embedded(_) => Ok(()),
            Store::Redis(store) => store.strict().await,
        }
    }

    /// Takes up to `wanted` units of a rate out of the bucket `name` that all processes share; below zero puts them back, and 0 only looks.
    /// How many units those are, or are there, and in how many milliseconds there is one more. `None` = this process is alone and counts by itself.
    ///
    /// # Errors
    /// [`Unavailable`] where Redis cannot be asked.
    pub async fn lease(&self, name: &str, rate: Rate, wanted: i64) -> Result<Option<(u64, u64)>, Unavailable> {
        match &self.store {
            Store::Embedded(_) => Ok(None),
            Store::Redis(store) => store.lease(name, rate, wanted).await.map(Some),
        }
    }

    /// What a ticket says that is made now and lasts until `ends`: the life of the store, and that end by the store's clock.
    ///
    /// # Errors
    /// [`Unavailable`] where checks cannot be answered.
    pub fn ticket_terms(&self, ends: UnixMs) -> Result<(Id, UnixMs), Unavailable> {
        match &self.store {
            Store::Embedded(store) => Ok((store.epoch(), ends)),
            Store::Redis(store) => store.ticket_terms(ends),
        }
    }

    /// Whether the time of a ticket is over at `now`, as far as is known without asking.
    pub fn is_over(&self, ticket: &Ticket, now: UnixMs) -> bool {
        match &self.store {
            Store::Embedded(_) => ticket.ends <= now,
            Store::Redis(store) => store.is_over(ticket, now),
        }
    }

    /// What an authentic ticket is worth, to use it up or to know. Of all who use one it is good for one, whatever the store loses.
    ///
    /// # Errors
    /// [`Unavailable`] where the store cannot be asked: it may then have been used up.
    pub async fn ticket(&self, ticket: &Ticket, purpose: Purpose) -> Result<Worth, Unavailable> {
        match &self.store {
            Store::Embedded(store) => store.ticket(ticket, purpose),
            Store::Redis(store) => Box::pin(store.ticket(ticket, purpose)).await,
        }
    }

    /// How many processes share the store, as far as is known; at least one.
    pub fn replicas(&self) -> u32 {
        match &self.store {
            Store::Embedded(_) => 1,
            Store::Redis(store) => store.replicas(),
        }
    }

    /// When each of these tokens ends if not used again; `None` = not live.
    ///
    /// # Errors
    /// [`Unavailable`] as in [`TokenStore::look_up`].
    pub async fn idle_ends(&self, tokens: &[Id]) -> Result<Vec<Option<UnixMs>>, Unavailable> {
        match &self.store {
            Store::Embedded(store) => Ok(store.idle_ends(tokens)),
            Store::Redis(store) => store.idle_ends(tokens).await,
        }
    }

    /// Whether checks can be answered now; for `/readyz` and the state metric.
    pub fn is_ready(&self) -> bool {
        match &self.store {
            Store::Embedded(store) => store.is_ready() && self.imports.is_read(),
            Store::Redis(store) => store.is_ready() && self.imports.is_read(),
        }
    }

    /// Ends when this process must not go on, since another one has served from the same database meanwhile.
    pub async fn ousted(&self) {
        match &self.store {
            Store::Embedded(store) => store.ousted().await,
            Store::Redis(_) => std::future::pending().await,
        }
    }

    /// Writes pending slides.
    pub async fn flush(&self) {
        match &self.store {
            Store::Embedded(store) => store.flush().await,
            Store::Redis(store) => store.flush().await,
        }
    }

    /// Before the process ends: writes pending slides and makes room for the next one.
    pub async fn stop(&self) {
        match &self.store {
            Store::Embedded(store) => store.stop().await,
            Store::Redis(store) => store.stop().await,
        }
    }
}

impl Store {
    async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        match self {
            Self::Embedded(store) => store.look_up(ask).await,
            // boxed, so that the future of a check stays small: it is moved several times
            Self::Redis(store) => Box::pin(store.look_up(ask)).await,
        }
    }
}

#[cfg(test)]
impl TokenStore {
    fn fence(&self) -> Arc<super::fence::Fence> {
        match &self.store {
            Store::Embedded(store) => store.fence(),
            Store::Redis(store) => Arc::clone(store.fence()),
        }
    }
}

#[cfg(test)]
mod tests;
