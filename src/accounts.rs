//! Accounts: sign-up, login, sessions, API keys and the tokens minted from them. Domain rules, no HTTP.
//!
//! Every act is one transaction with its audit entry ([`crate::database::Act`]); the token store is
//! told after it committed, and whether it has heard is part of the answer.
//!
//! INVARIANT: what a caller may do is read from the database at each call, never from what a
//! credential says of itself.

pub mod browsers;
pub mod codes;
mod contacts;
pub mod create_admin;
pub mod declared;
pub mod denials;
pub mod half_login;
mod hashing;
pub mod imports;
pub mod invitations;
pub mod keys;
pub mod login;
pub mod names;
pub mod oauth;
pub mod oidc;
pub mod password;
pub mod policies;
pub mod principals;
pub mod profile;
pub mod proof;
pub mod quickstart;
mod refresh_keys;
pub mod return_to;
mod rules;
pub mod second_factor;
pub mod sessions;
mod setup_code;
pub mod sign_up;
pub mod standing;
pub mod tenants;
mod throttle;
pub mod tickets;
pub mod tokens;
pub mod totp;
mod trail;
mod usage;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::audit::By;
use crate::database::{Committed, Database, DatabaseError};
use crate::decision::scopes::Scope;
use crate::id::Id;
use crate::senders::Senders;
use crate::token::keep_alive::KeepAlive;
use crate::token::keyring::Keyring;
use crate::token::last_used::LastUsed;
use crate::token::secret::SecretMint;
use crate::token::store::{Propagated, TokenStore, Unavailable};
use hashing::Hashing;
pub use rules::{RequirePhone, RequireSecondFactor, Rules, SignUp};
use setup_code::SetupCode;
use throttle::Throttle;
pub use throttle::{ClientNetwork, TooMany};
use trail::Trail;

/// Why a request is not granted; the admin side answers each in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A field says what it must not.
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No credentials at all.
    MissingCredentials,
    /// The name, e-mail or phone is or was someone's.
    UserExists,
    /// The password is too short or well known.
    WeakPassword,
    /// Nobody signs up here without one.
    InvitationRequired,
    /// Founding from elsewhere needs the code printed at start.
    SetupCodeRequired,
    /// The refresh key is too short, well known, or little more than one of its owner's names.
    WeakRefreshKey,
    /// The one-time code is wrong, used, too old, or of another challenge.
    IncorrectCode,
    /// The first factor is right, and the person has a second one.
    SecondFactorRequired,
    /// The second factor's code is wrong, or has been used.
    IncorrectSecondFactor,
    /// Nothing is open to this person before a second factor is set up.
    SecondFactorMissing,
    /// No key before a phone number is proved.
    PhoneRequired,
    /// Wrong password, or nobody of that name.
    IncorrectCredentials,
    /// Nobody of that name; told apart only where the configuration says so.
    UnknownUser,
    /// The refresh token belongs to no live session.
    NoSession,
    /// The login's JWT has run out.
    ExpiredSignature,
    /// The login's JWT was not signed here.
    InvalidSignature,
    /// Anything else with the login's JWT: its session has ended, too.
    InvalidToken,
    /// No sign-in at a provider is under way that this browser began.
    NoSignIn,
    /// The provider knows the person, but no domain of theirs may come in.
    DomainNotAllowed,
    /// An account has this e-mail address, and the provider's word does not open it.
    NotLinked,
    /// The account, or one above it, is blocked or has ended.
    Blocked,
    /// The provider's answer is not believed; the cause is for the log.
    NotProved(String),
    /// The provider cannot be reached; the cause is for the log.
    ProviderAway(String),
    /// There is none, or it is not the caller's to see.
    NotFound,
    /// The caller sees it, but may not do that with it.
    Forbidden,
    /// The owner does not hold these.
    ScopeNotHeld(Vec<Scope>),
    /// The API key is made up, unknown or ended.
    UnknownKey,
    /// The key has as many live tokens as it may.
    TooManyTokens,
    /// Too many failed tries; again after this long.
    TooManyTries(Duration),
    /// The hashing threads have more work than they may hold.
    Busy,
    /// Database, token store or the system's randomness is away; the cause is for the log.
    Unavailable(String),
}

impl Refusal {
    /// A field says what it must not.
    pub fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Unavailable> for Refusal {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<ring::error::Unspecified> for Refusal {
    fn from(_: ring::error::Unspecified) -> Self {
        Self::Unavailable("the system gave no randomness".to_owned())
    }
}

impl From<TooMany> for Refusal {
    fn from(TooMany(wait): TooMany) -> Self {
        Self::TooManyTries(wait)
    }
}

impl From<hashing::Busy> for Refusal {
    fn from(_: hashing::Busy) -> Self {
        Self::Busy
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// Whether it plainly comes from this machine: such a request founds without the set-up code.
    pub local: bool,
}

impl Origin {
    fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.address)
    }

    /// The principal `uid`, asking from here.
    pub fn by(&self, uid: Id) -> By {
        By::principal(uid, self.address)
    }
}

/// The accounts of one installation.
pub struct Accounts {
    database: Database,
    store: TokenStore,
    keyring: Arc<ArcSwap<Keyring>>,
    mint: SecretMint,
    rules: Rules,
    hashing: Hashing,
    keep_alive: KeepAlive,
    last_used: LastUsed,
    throttle: Arc<Throttle>,
    trail: Trail,
    setup_code: Option<SetupCode>,
    senders: Senders,
    upkeep: tokio::task::JoinHandle<()>,
}

impl Accounts {
    /// Starts the hashing threads and the upkeep of sessions and, while nobody has founded, makes a set-up code.
    ///
    /// # Errors
    /// Where the database cannot be read, or the system gives no thread or randomness.
    pub async fn start(
        rules: Rules,
        database: Database,
        store: TokenStore,
        keyring: Arc<ArcSwap<Keyring>>,
        senders: Senders,
    ) -> Result<Self, DatabaseError> {
        let unavailable = |cause: String| DatabaseError::Unavailable(cause);
        let hashing = Hashing::start().map_err(|e| unavailable(format!("the system gave no thread: {e}")))?;
        let setup_code = match database.is_founded().await? {
            true => None,
            false => {
                let code = SetupCode::make().map_err(|_| unavailable("the system gave no randomness".to_owned()))?;
                // whoever has a store of its own is alone: what was printed before counts no more
                database.keep_setup_code(code.hash(), store.is_embedded()).await?;
                Some(code)
            }
        };
        Ok(Self {
            upkeep: tokio::spawn(sessions::forget_old(database.clone(), rules.session_max)),
            mint: SecretMint::new(&database.installation().key_tag).with_prefix(rules.key_prefix.clone()),
            throttle: Arc::new(Throttle::new(database.clock().clone())),
            trail: Trail::default(),
            last_used: LastUsed::start(database.clone()),
            keep_alive: KeepAlive::start(store.clone(), database.clone(), rules.ttl, rules.session_idle),
            database,
            store,
            keyring,
            rules,
            hashing,
            setup_code,
            senders,
        })
    }

    /// The set-up code, where nobody had founded when this process started.
    pub fn setup_code(&self) -> Option<&str> {
        self.setup_code.as_ref().map(SetupCode::reveal)
    }

    /// Who may sign up.
    pub fn sign_up_rule(&self) -> SignUp {
        self.rules.sign_up
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The secret keys in use.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// What takes note of keys in use.
    pub fn last_used(&self) -> &LastUsed {
        &self.last_used
    }

    /// Lets the token store hear of an act.
    pub async fn propagate(&self, act: Committed) -> Propagated {
        match act.until {
            Some(until) => self.store.apply(until).await,
            None => Propagated::Yes,
        }
    }

    /// Returns when nothing that has been applied until now is allowed anywhere.
    ///
    /// # Errors
    /// Where it cannot be known when that is.
    pub async fn seen_everywhere(&self) -> Result<(), Unavailable> {
        self.store.strict().await
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}
