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
use crate::decision::credential::{CredentialKind, Presented, SessionCookies};
use crate::decision::request::Host;
use crate::id::Id;

/// An authentic credential: whether it is live, the store knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authentic {
    /// What was presented.
    pub kind: CredentialKind,
    /// What to ask the store.
    pub ask: Ask,
    /// SHA-256 of the API key presented, alone or beside a token.
    pub secret: Option<HashedSecret>,
    /// Whether it is an API key that was made elsewhere, which nothing proves.
    pub is_foreign: bool,
    /// When what was presented ends by what it says itself: a login's JWT does.
    pub ends: Option<UnixMs>,
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
/// The evidence that stands without asking any store: nothing, or why it is invalid.
pub fn recognise(
    presented: Presented<'_>,
    keyring: &Keyring,
    mint: &SecretMint,
    at: Option<At<'_>>,
    now: UnixMs,
) -> Result<Authentic, Evidence<'static>> {
    match presented {
        Presented::Nothing => Err(Evidence::Nothing),
        Presented::Malformed(why) => Err(Evidence::Invalid(why)),
        Presented::Session(cookies) => {
            let session = at.and_then(|at| session(cookies, keyring, at)).ok_or(Evidence::EndedSession)?;
            Ok(Authentic { kind: CredentialKind::Session, ask: Ask::Session(session), secret: None, is_foreign: false, ends: None })
        }
        Presented::ApiKey(text) => {
            let ApiKey { id, hash, is_foreign } = mint.api_key(text).ok_or(NOT_OURS)?;
            Ok(Authentic { kind: CredentialKind::ApiKey, ask: Ask::Key(id), secret: Some(hash), is_foreign, ends: None })
        }
        Presented::Bearer(text, beside) => {
            let secret = match beside {
                None => None,
                Some(text) => Some(mint.api_key(text).ok_or(NOT_OURS)?),
            };
            let (kind, ask, ends) = bearer(text, keyring, now)?;
            match (ask, &secret) {
                (_, None) => {}
                (Ask::Token { key, .. }, Some(secret)) if secret.id == key => {}
                _ => return Err(Evidence::Invalid("the API key is not the one this token was minted from")),
            }
            Ok(Authentic { kind, ask, secret: secret.map(|secret| secret.hash), is_foreign: false, ends })
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

fn bearer(text: &str, keyring: &Keyring, now: UnixMs) -> Result<(CredentialKind, Ask, Option<UnixMs>), Evidence<'static>> {
    if let Some(token) = keyring.read_access(text) {
        return Ok((CredentialKind::Token, Ask::Token { id: token.id, key: token.key }, None));
    }
    let login = keyring.iter().find_map(|key| key.login_jwt().verify_login(text, now).ok());
    match login {
        Some(login) => Ok((CredentialKind::Jwt, Ask::Session(login.sid), Some(UnixMs(login.exp.saturating_mul(1000))))),
        None => Err(Evidence::Invalid("malformed, forged or expired token")),
    }
}
