//! From what a request presents to what the store is asked: authenticity first, no store call.
//!
//! Forged tokens and made-up keys end here; of a key that was made elsewhere [`super::imported`] knows whether it may have been imported.

use super::cookie::{self, CookieUse};
use super::keyring::Keyring;
use super::secret::{ApiKey, HashedSecret, SecretMint};
use super::store::Ask;
use crate::clock::UnixMs;
use crate::decision::Evidence;
use crate::decision::cookies::Domains;
use crate::decision::credential::{CredentialKind, Presented, SessionCookies, basic};
use crate::decision::request::Host;
use crate::id::Id;
use crate::issuers::{Fault, Issuers, Proved};

/// An authentic credential: whether it is live, the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentic {
    /// What was presented.
    pub kind: CredentialKind,
    /// What to ask the store.
    pub ask: Ask,
    /// SHA-256 of the API key presented, alone or beside a token.
    pub secret: Option<HashedSecret>,
    /// Whether it is an API key that was made elsewhere, which nothing proves.
    pub made_elsewhere: bool,
    /// When what was presented ends by what it says itself: a login's JWT does.
    pub ends: Option<UnixMs>,
    /// What another issuer's token says; boxed, so that a check's future stays small.
    pub foreign: Option<Box<Proved>>,
}

/// Why nothing is known to be authentic.
#[derive(Debug)]
pub struct Unproved {
    /// The evidence that stands without asking any store: nothing, or why it is invalid.
    pub evidence: Evidence<'static>,
    /// What was presented, where that is told from it.
    pub kind: Option<CredentialKind>,
    /// It took work to find out, and is so for as long as the keys are what they are: worth keeping.
    pub is_forged: bool,
}

impl From<Evidence<'static>> for Unproved {
    fn from(evidence: Evidence<'static>) -> Self {
        Self { evidence, kind: None, is_forged: false }
    }
}

/// Where a request goes: a session's cookie is good nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The original host.
    pub host: &'a Host<'a>,
    /// The domains whose hosts share a login.
    pub domains: &'a Domains,
}

/// Recognises what is presented. `at` = where, or nowhere: then no cookie is good.
///
/// # Errors
/// Where it is not authentic, or nothing is presented.
pub fn recognise(
    presented: Presented<'_>,
    keyring: &Keyring,
    mint: &SecretMint,
    issuers: &Issuers,
    at: Option<At<'_>>,
    now: UnixMs,
) -> Result<Authentic, Unproved> {
    match presented {
        Presented::Nothing => Err(Evidence::Nothing.into()),
        Presented::Malformed(why) => Err(Evidence::Invalid(why).into()),
        Presented::Session(cookies) => {
            let session = at.and_then(|at| session(cookies, keyring, at)).ok_or(Evidence::EndedSession)?;
            Ok(Authentic {
                kind: CredentialKind::Session,
                ask: Ask::Session(session),
                secret: None,
                made_elsewhere: false,
                ends: None,
                foreign: None,
            })
        }
        Presented::ApiKey(text) => {
            let ApiKey { id, hash, made_elsewhere } = mint.api_key(text.as_str()).ok_or(NOT_OURS)?;
            Ok(Authentic { kind: CredentialKind::ApiKey, ask: Ask::Key(id), secret: Some(hash), made_elsewhere, ends: None, foreign: None })
        }
        Presented::BasicKey(text) => {
            let mut room = basic::room();
            let key = basic::password(text, &mut room).ok_or(Evidence::Invalid("not HTTP Basic with an API key as the password"))?;
            recognise(Presented::ApiKey(key), keyring, mint, issuers, at, now)
        }
        Presented::Bearer(text, beside) => {
            let text = text.as_str();
            let secret = match beside {
                None => None,
                Some(text) => Some(mint.api_key(text.as_str()).ok_or(NOT_OURS)?),
            };
            let found = match bearer(text, keyring, now) {
                // it costs a signature to find out, and needs no store
                Some((kind @ CredentialKind::Token, _, Some(cap))) if cap <= now => {
                    return Err(Unproved { evidence: FORGED, kind: Some(kind), is_forged: true });
                }
                Some((kind, ask, ends)) => Authentic { kind, ask, secret: None, made_elsewhere: false, ends, foreign: None },
                // none of ours: no key of ours belongs to it either
                None if secret.is_none() => foreign(text, issuers, now)?,
                None => return Err(FORGED.into()),
            };
            match (found.ask, &secret) {
                (_, None) => {}
                (Ask::Token { key, .. }, Some(secret)) if secret.id == key => {}
                _ => return Err(Evidence::Invalid("the API key is not the one this token was minted from").into()),
            }
            Ok(Authentic { secret: secret.map(|secret| secret.hash), ..found })
        }
    }
}

/// What is no API key, whoever wrote it.
pub const NOT_OURS: Evidence<'static> = Evidence::Invalid("not an API key of this installation");

/// The session that the cookie of this place names. Where a domain covers the host, only the domain's counts.
fn session(cookies: SessionCookies<'_>, keyring: &Keyring, at: At<'_>) -> Option<Id> {
    let host = at.host.as_bytes();
    match at.domains.covering(host) {
        Some(domain) => cookie::read(keyring, CookieUse::Domain, cookies.domain?, domain.as_bytes()),
        None => cookie::read(keyring, CookieUse::Host, cookies.host?, host),
    }
}

const FORGED: Evidence<'static> = Evidence::Invalid("malformed, forged or expired token");

/// A token that was made here.
fn bearer(text: &str, keyring: &Keyring, now: UnixMs) -> Option<(CredentialKind, Ask, Option<UnixMs>)> {
    if let Some(token) = keyring.read_access(text) {
        return Some((CredentialKind::Token, Ask::Token { id: token.id, key: token.key }, token.cap));
    }
    let login = keyring.iter().find_map(|key| key.login_jwt().verify_login(text, now).ok())?;
    Some((CredentialKind::Jwt, Ask::Session(login.sid), Some(UnixMs(login.exp.saturating_mul(1000)))))
}

/// A token of another issuer.
fn foreign(text: &str, issuers: &Issuers, now: UnixMs) -> Result<Authentic, Unproved> {
    let (number, read) = issuers.read(text, now).ok_or(FORGED)?;
    let kind = CredentialKind::Issuer(number);
    let (evidence, is_forged) = match read {
        Ok(proved) => {
            let ask = Ask::Foreign { token: proved.token_id.unwrap_or(proved.subject_id), subject: proved.subject_id };
            return Ok(Authentic {
                kind,
                ask,
                secret: None,
                made_elsewhere: false,
                ends: Some(proved.ends),
                foreign: Some(Box::new(proved)),
            });
        }
        Err(Fault::Refused(why)) => (Evidence::Invalid(why), true),
        Err(Fault::NotYet(why)) => (Evidence::Invalid(why), false),
        Err(Fault::Unavailable) => (Evidence::Unavailable, false),
    };
    Err(Unproved { evidence, kind: Some(kind), is_forged })
}
