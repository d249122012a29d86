//! From what a request presents to what the store is asked: authenticity first, no store call.
//!
//! Forged tokens and made-up keys end here.

use super::cookie::{self, CookieUse};
use super::keyring::Keyring;
use super::secret::{HashedSecret, SecretKind, SecretMint};
use super::store::Ask;
use crate::clock::UnixMs;
use crate::decision::Evidence;
use crate::decision::cookies::Domains;
use crate::decision::credential::{CredentialKind, Presented, SessionCookies, basic};
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
            Ok(Authentic { kind: CredentialKind::Session, ask: Ask::Session(session), secret: None, ends: None })
        }
        Presented::ApiKey(text) => {
            let key = mint.read(SecretKind::ApiKey, text).ok_or(Evidence::Invalid("not an API key of this installation"))?;
            Ok(Authentic { kind: CredentialKind::ApiKey, ask: Ask::Key(key.id()), secret: Some(key.hashed()), ends: None })
        }
        Presented::BasicKey(text) => {
            let mut room = basic::room();
            let key = basic::password(text, &mut room).ok_or(Evidence::Invalid("not HTTP Basic with an API key as the password"))?;
            recognise(Presented::ApiKey(key), keyring, mint, at, now)
        }
        Presented::Bearer(text, beside) => {
            let secret = match beside {
                None => None,
                Some(text) => Some(mint.read(SecretKind::ApiKey, text).ok_or(Evidence::Invalid("not an API key of this installation"))?),
            };
            let (kind, ask, ends) = bearer(text, keyring, now)?;
            match (ask, &secret) {
                (_, None) => {}
                (Ask::Token { key, .. }, Some(secret)) if secret.id() == key => {}
                _ => return Err(Evidence::Invalid("the API key is not the one this token was minted from")),
            }
            Ok(Authentic { kind, ask, secret: secret.map(|secret| secret.hashed()), ends })
        }
    }
}

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
