//! Other issuers: whose tokens are taken besides our own, and how they are proved.
//!
//! A token is judged by what the configuration says of its issuer, under keys that the issuer published. Keys are fetched in
//! the background ([`fetch`]): no check waits for them, and those fetched last stay in force while the issuer is away.
//!
//! INVARIANT: a token chooses nothing but the issuer and the key it is judged by (RFC 8725): not the kind of key, not where keys come
//! from. `none` and shared secrets are no algorithms here, whatever the configuration says.
//! INVARIANT: where it cannot be known whether a token is authentic, it is not called forged: the check is told to come again.

mod claims;
mod fetch;
mod keys;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value};

use crate::clock::UnixMs;
use crate::decision::issuer::IssuerNumber;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::oidc::Web;
use crate::token::denials::{self, Denied};
use fetch::Asking;
pub use keys::{KeySet, read_set};

/// Longest token that is looked at.
const TOKEN_BYTES: usize = 16 * 1024;
/// Most keys of one name that a token is tried with.
const TRIED: usize = 4;

/// An issuer whose tokens are taken, as configured.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// As rules name it: `issuer:NAME`.
    pub name: String,
    /// The `iss` of its tokens, byte for byte.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// For whom a token must be meant: one of these, in `aud`.
    pub audiences: Vec<String>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Which claim holds the scopes; dots lead into objects.
    pub scope_claim: String,
    /// Which claim holds the tenant; `None` = its tokens have none.
    pub tenant_claim: Option<String>,
    /// Whether `typ: at+jwt` (RFC 9068) is demanded.
    pub access_tokens_only: bool,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Where its discovery document says.
    Discovery,
    /// A set of keys (RFC 7517) at this address.
    Address(String),
    /// A set of keys in this file, which is read again as it changes.
    File(PathBuf),
}

/// The algorithms that there are, by name.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What an authentic token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Whose it is.
    pub issuer: IssuerNumber,
    /// `sub`
    pub subject: String,
    /// The tenant's name there; empty where it has none.
    pub tenant: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// `exp`
    pub ends: UnixMs,
    /// What a denial of this token would be known by; `None` = it has no `jti`.
    pub token_id: Option<Id>,
    /// What a denial of its subject would be known by.
    pub subject_id: Id,
    /// What its tenant is known by.
    pub tenant_id: Id,
}

/// Why a token is not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not authentic, or not for here; and it will not be while the keys are what they are. With words for its sender.
    Refused(&'static str),
    /// Not now, but it may become so: its time has not come, or its key is not published.
    NotYet(&'static str),
    /// Nothing is known by which it could be judged.
    Unavailable,
}

/// Every issuer of the configuration, with what is known of each. Dropped, it fetches no more.
pub struct Issuers {
    each: Vec<Arc<Known>>,
    /// Which keys are in force: another number after each change.
    number: Arc<AtomicU32>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// One issuer.
struct Known {
    settings: Issuer,
    number: IssuerNumber,
    /// As its keys were published last.
    keys: ArcSwapOption<KeySet>,
    asking: Asking,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.settings().map(|issuer| &issuer.name)).finish()
    }
}

impl Drop for Issuers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Issuers {
    /// No other issuer's tokens are taken.
    pub fn none() -> Arc<Self> {
        Arc::new(Self { each: Vec::new(), number: Arc::default(), tasks: Vec::new() })
    }

    /// Takes the tokens of these, in the order of their numbers. Keys in files are known at once, others as soon as they are fetched.
    pub fn start(issuers: Vec<Issuer>) -> Arc<Self> {
        let mut started = Self::waiting(issuers);
        if !started.each.is_empty() {
            let web = Web::new();
            let run = |known: &Arc<Known>| tokio::spawn(fetch::run(known.clone(), web.clone(), started.number.clone()));
            started.tasks = started.each.iter().map(run).collect();
        }
        Arc::new(started)
    }

    /// The same, for a command that wants to know now and then ends: whatever can be fetched is, or its time is over.
    pub async fn fetched(issuers: Vec<Issuer>) -> Arc<Self> {
        let fetched = Self::waiting(issuers);
        if !fetched.each.is_empty() {
            let web = Web::new();
            let begin = |known: &Arc<Known>| {
                let (known, web, number) = (known.clone(), web.clone(), fetched.number.clone());
                tokio::spawn(async move { fetch::once(&known, &web, &number).await })
            };
            for task in fetched.each.iter().map(begin).collect::<Vec<_>>() {
                drop(task.await);
            }
        }
        Arc::new(fetched)
    }

    /// Knows these, fetches nothing: for tests of other rooms.
    #[cfg(test)]
    pub(crate) fn known(issuers: Vec<Issuer>) -> Arc<Self> {
        Arc::new(Self::waiting(issuers))
    }

    fn waiting(issuers: Vec<Issuer>) -> Self {
        let known = |(place, settings): (usize, Issuer)| {
            let number = IssuerNumber::new(place)?;
            let known = Known { settings, number, keys: ArcSwapOption::empty(), asking: Asking::default() };
            if let KeySource::File(path) = &known.settings.keys {
                known.keys.store(fetch::of_file(path).ok().map(Arc::new));
            }
            Some(Arc::new(known))
        };
        Self { each: issuers.into_iter().enumerate().map_while(known).collect(), number: Arc::default(), tasks: Vec::new() }
    }

    /// What is configured, in the order of the numbers.
    pub fn settings(&self) -> impl Iterator<Item = &Issuer> {
        self.each.iter().map(|known| &known.settings)
    }

    /// How many keys of each are known, in the order of the numbers; `None` = none were ever fetched.
    pub fn key_counts(&self) -> impl Iterator<Item = Option<usize>> {
        self.each.iter().map(|known| known.keys.load().as_ref().map(|keys| keys.len()))
    }

    /// The number of the keys in force. Read before a token is, it says by which keys that was judged at the latest.
    pub fn number(&self) -> u32 {
        self.number.load(Ordering::Acquire)
    }

    /// Whose token it says it is, which nothing proves. `None` = it is of no issuer that is known here.
    pub fn named_by(&self, text: &str) -> Option<IssuerNumber> {
        self.said(text).map(|(known, ..)| known.number)
    }

    /// Judges a token. `None` = it is of no issuer that is known here.
    pub fn read(&self, text: &str, now: UnixMs) -> Option<(IssuerNumber, Result<Proved, Fault>)> {
        let (known, header, said) = self.said(text)?;
        Some((known.number, known.read(text, header, &said, now)))
    }

    /// Which issuer a token names, with its header and what it says.
    fn said<'t>(&self, text: &'t str) -> Option<(&Known, &'t str, Map<String, Value>)> {
        if self.each.is_empty() || text.len() > TOKEN_BYTES {
            return None;
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
        let said = object(payload)?;
        let iss = said.get("iss")?.as_str()?;
        let known = self.each.iter().find(|known| known.settings.issuer == iss)?;
        Some((known, header, said))
    }
}

impl Known {
    /// What costs least comes first: a flood of tokens that cannot be right costs no signature.
    fn read(&self, text: &str, header: &str, said: &Map<String, Value>, now: UnixMs) -> Result<Proved, Fault> {
        let settings = &self.settings;
        let header = object(header).ok_or(Fault::Refused("the token's header cannot be read"))?;
        let algorithm = algorithm(&header, settings)?;
        let claims = claims::read(said, settings, now)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.as_str()),
            Some(_) => return Err(Fault::Refused("the token's `kid` is no text")),
        };
        let keys = self.keys.load();
        // whoever fetches them tries again by himself
        let keys = keys.as_ref().ok_or(Fault::Unavailable)?;
        let mut candidates = keys.of(kid, algorithm).take(TRIED).peekable();
        if candidates.peek().is_none() {
            return Err(match kid {
                Some(kid) if keys.has(kid) => Fault::Refused("the token's `alg` is not that of its key"),
                _ => self.asking.unknown_key(),
            });
        }
        let mut validation = Validation::new(algorithm);
        // asked of our own clock, above
        validation.validate_exp = false;
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&settings.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let proves = |key| jsonwebtoken::decode::<Map<String, Value>>(text, key, &validation).is_ok_and(|token| token.claims == *said);
        let is_proved = candidates.any(proves);
        crate::metrics::foreign_token(&settings.name, is_proved);
        if !is_proved {
            return Err(Fault::Refused("the token's signature is not its issuer's"));
        }
        let id = |denied, value: &str| denials::id(&settings.issuer, denied, value);
        Ok(Proved {
            issuer: self.number,
            token_id: claims.token.as_deref().map(|jti| id(Denied::Token, jti)),
            subject_id: id(Denied::Subject, &claims.subject),
            tenant_id: denials::tenant(&settings.issuer, &claims.tenant),
            subject: claims.subject,
            tenant: claims.tenant,
            scopes: claims.scopes,
            ends: claims.ends,
        })
    }
}

/// The algorithm that the header names, where such tokens are taken from this issuer.
fn algorithm(header: &Map<String, Value>, settings: &Issuer) -> Result<Algorithm, Fault> {
    // what must be understood is not (RFC 7515 §4.1.11)
    if header.contains_key("crit") {
        return Err(Fault::Refused("the token's header demands what is not known here (`crit`)"));
    }
    let is_access = |typ: &str| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "at+jwt")
    };
    match header.get("typ") {
        Some(Value::String(typ)) if is_access(typ) => {}
        Some(Value::String(typ)) if typ.eq_ignore_ascii_case("JWT") && !settings.access_tokens_only => {}
        None if !settings.access_tokens_only => {}
        _ => return Err(Fault::Refused("a token of this `typ` is not taken: it was made for another use")),
    }
    let named = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let known = ALGORITHMS.into_iter().find(|(name, _)| *name == named).map(|(_, algorithm)| algorithm);
    known.filter(|algorithm| settings.algorithms.contains(algorithm)).ok_or(Fault::Refused("a token of this `alg` is not taken"))
}

/// A part of a token that is an object.
fn object(part: &str) -> Option<Map<String, Value>> {
    use base64::Engine;
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests;
