//! The token store: presence of tokens, and the records they hang on.
//!
//! One behaviour, two back ends: [`embedded`](super::embedded) (in process, one machine) and
//! [`redis`](super::redis) (FenceLog, COHERENCE §3). What callers see is the same for both.

use std::sync::Arc;
use std::time::Duration;

use super::embedded::Embedded;
use super::record::{Fill, TokenFormat, TokenRecord};
use super::redis::Redis;
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The token store.
#[derive(Clone)]
pub enum TokenStore {
    /// In process.
    Embedded(Arc<Embedded>),
    /// Redis or Valkey.
    Redis(Arc<Redis>),
}

impl TokenStore {
    /// Reads what `ask` hangs on. `None` = not there.
    ///
    /// # Errors
    /// [`Unavailable`] within 250 ms, whatever the store does.
    pub async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        match self {
            Self::Embedded(store) => store.look_up(ask).await,
            // boxed, so that the future of a check stays small: it is moved several times
            Self::Redis(store) => Box::pin(store.look_up(ask)).await,
        }
    }

    /// An allowed check used the token: its idle end moves on, quantised (COHERENCE §4). No I/O here.
    /// `seen_idle_end` is the one its fill carried: while it lies on the same step of the grid, nothing happens.
    pub fn slide(&self, token: &TokenRecord, seen_idle_end: UnixMs) {
        match self {
            Self::Embedded(store) => store.slide(token, seen_idle_end),
            Self::Redis(store) => store.slide(token, seen_idle_end),
        }
    }

    /// MINT: one live token per key and scope set; asking again slides it to the full ttl.
    ///
    /// # Errors
    /// See [`MintRefusal`].
    pub async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        match self {
            Self::Embedded(store) => store.mint(order).await,
            Self::Redis(store) => store.mint(order).await,
        }
    }

    /// Applies every outbox row that is not done (the caller's own just committed one among them) and says
    /// whether row `until` and all before it are done. Called after each admin act that wrote to the outbox.
    pub async fn apply(&self, until: i64) -> Propagated {
        match self {
            Self::Embedded(store) => store.apply(until).await,
            Self::Redis(store) => store.apply(until).await,
        }
    }

    /// Returns when no check that begins from now on is allowed by what was applied before. At most as long as the bound
    /// of COHERENCE §1 says, whatever the store does.
    ///
    /// # Errors
    /// [`Unavailable`] where it cannot be known when that is.
    pub async fn strict(&self) -> Result<(), Unavailable> {
        match self {
            // what is applied is in the only memory there is
            Self::Embedded(_) => Ok(()),
            Self::Redis(store) => store.strict().await,
        }
    }

    /// When each of these tokens ends if not used again; `None` = not live.
    ///
    /// # Errors
    /// [`Unavailable`] as in [`TokenStore::look_up`].
    pub async fn idle_ends(&self, tokens: &[Id]) -> Result<Vec<Option<UnixMs>>, Unavailable> {
        match self {
            Self::Embedded(store) => Ok(store.idle_ends(tokens)),
            Self::Redis(store) => store.idle_ends(tokens).await,
        }
    }

    /// Whether checks can be answered now; for `/readyz` and the state metric.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Embedded(store) => store.is_ready(),
            Self::Redis(store) => store.is_ready(),
        }
    }

    /// Ends when this process must not go on, since another one has served from the same database meanwhile.
    pub async fn ousted(&self) {
        match self {
            Self::Embedded(store) => store.ousted().await,
            Self::Redis(_) => std::future::pending().await,
        }
    }

    /// Writes pending slides.
    pub async fn flush(&self) {
        match self {
            Self::Embedded(store) => store.flush().await,
            Self::Redis(store) => store.flush().await,
        }
    }

    /// Before the process ends: writes pending slides and makes room for the next one.
    pub async fn stop(&self) {
        match self {
            Self::Embedded(store) => store.stop().await,
            Self::Redis(store) => store.stop().await,
        }
    }
}

#[cfg(test)]
mod tests;
