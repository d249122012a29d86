//! The secret keys: what authenticates access tokens and logins.
//!
//! Each line of `secret_key` gives one 32-byte key; the first signs, all verify, so a key can be
//! replaced while tokens made under the old one live. From each, HKDF-SHA256 (RFC 5869) derives one
//! key per use under a label of its own: no use can stand in for another.

use std::sync::atomic::{AtomicU32, Ordering};

use ring::{aead, hkdf, hmac};

use super::access::AccessClaims;
use super::cookie::CookieUse;
use super::jwt::{JwtKey, JwtUse};
use super::seal::SealUse;
use super::secret::sha256;
use crate::id::{Id, from_hex, hex};

/// Most secret keys at once.
pub const SECRET_KEYS: usize = 16;

/// How many keyrings this process has read.
static NUMBERS: AtomicU32 = AtomicU32::new(1);

/// The secret keys in use.
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<SecretKey>,
    number: u32,
}

/// One secret key with what is derived from it.
pub struct SecretKey {
    name: String,
    mac: hmac::Key,
    code: hmac::Key,
    access: JwtKey,
    login: JwtKey,
    /// In the order of [`CookieUse::ALL`].
    cookies: [hmac::Key; CookieUse::ALL.len()],
    /// In the order of [`SealUse::ALL`].
    seals: [Option<aead::LessSafeKey>; SealUse::ALL.len()],
}

/// Why the text holds no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// No line.
    #[error("no secret key: write one a line, 64 hex digits each (`openssl rand -hex 32`)")]
    Empty,
    /// Not 64 hex digits.
    #[error("line {0}: not 64 hex digits (`openssl rand -hex 32` makes some)")]
    Line(usize),
    /// The same key twice.
    #[error("line {0}: the same key as in an earlier line")]
    Twice(usize),
    /// More than [`SECRET_KEYS`].
    #[error("more than {SECRET_KEYS} secret keys")]
    TooMany,
}

struct Len32;

impl hkdf::KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &[u8; 32], label: &str) -> [u8; 32] {
    let mut key = [0; 32];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"gatepost").extract(secret);
    // cannot fail: 32 bytes is far below HKDF's 255 × 32
    let filled = prk.expand(&[label.as_bytes()], Len32).and_then(|okm| okm.fill(&mut key));
    debug_assert!(filled.is_ok());
    key
}

impl SecretKey {
    fn new(secret: &[u8; 32]) -> Self {
        let name = hex(&derive(secret, "gatepost secret key name v1")).chars().take(16).collect();
        Self {
            name,
            mac: hmac::Key::new(hmac::HMAC_SHA256, &derive(secret, "gatepost access token mac v1")),
            code: hmac::Key::new(hmac::HMAC_SHA256, &derive(secret, "gatepost one-time code mac v1")),
            access: JwtKey::from_seed(JwtUse::Access, &derive(secret, "gatepost access jwt ed25519 v1")),
            login: JwtKey::from_seed(JwtUse::Login, &derive(secret, "gatepost login jwt ed25519 v1")),
            cookies: CookieUse::ALL.map(|of| hmac::Key::new(hmac::HMAC_SHA256, &derive(secret, of.label()))),
            // always a key: 32 bytes is what it takes
            seals: SealUse::ALL
                .map(|of| aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &derive(secret, of.label())).ok().map(aead::LessSafeKey::new)),
        }
    }

    /// Its name: a fingerprint that tells nothing of it. Recorded with each token it authenticates.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs access tokens of the JWT format.
    pub fn access_jwt(&self) -> &JwtKey {
        &self.access
    }

    /// Signs logins.
    pub fn login_jwt(&self) -> &JwtKey {
        &self.login
    }

    /// Authenticates opaque access tokens: 128 bits of HMAC-SHA256 over kind, version, id and key id.
    pub(super) fn mac(&self, id: Id, key: Id) -> [u8; 16] {
        let mut input = [0u8; 5 + 32];
        let (head, ids) = input.split_at_mut(5);
        head.copy_from_slice(b"gpt\0\x01");
        let (first, second) = ids.split_at_mut(16);
        first.copy_from_slice(id.as_bytes());
        second.copy_from_slice(key.as_bytes());
        truncated(&hmac::sign(&self.mac, &input))
    }

    /// What is kept of a one-time code: a million codes are soon tried, so a plain hash would be as good as the code itself.
    pub fn code_mac(&self, challenge: Id, code: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.code);
        context.update(challenge.as_bytes());
        context.update(code.as_bytes());
        let mut mac = [0; 32];
        mac.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        mac
    }

    /// Seals what must be read again.
    pub(super) fn sealing(&self, of: SealUse) -> Option<&aead::LessSafeKey> {
        match (of, &self.seals) {
            (SealUse::SecondFactor, [key, ..]) | (SealUse::HalfLogin, [_, key, _]) | (SealUse::Ticket, [.., key]) => key.as_ref(),
        }
    }

    /// Authenticates cookies and form tokens: 128 bits of HMAC-SHA256 over version, id and what the value is bound to.
    pub(super) fn cookie_mac(&self, of: CookieUse, id: Id, bound_to: &[u8]) -> [u8; 16] {
        let key = match (of, &self.cookies) {
            (CookieUse::Console, [key, ..]) | (CookieUse::Host, [_, key, ..]) => key,
            (CookieUse::Domain, [_, _, key, ..]) | (CookieUse::Known, [_, _, _, key, _]) => key,
            (CookieUse::Form, [.., key]) => key,
        };
        let mut context = hmac::Context::with_key(key);
        context.update(b"gpc\0\x01");
        context.update(id.as_bytes());
        // the only part of variable length, and the last: no two inputs are alike
        context.update(bound_to);
        truncated(&context.sign())
    }
}

fn truncated(tag: &hmac::Tag) -> [u8; 16] {
    let mut mac = [0; 16];
    mac.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    mac
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey({})", self.name)
    }
}

impl Keyring {
    /// Reads keys, one a line; empty lines and lines that begin with `#` do not count.
    ///
    /// # Errors
    /// See [`KeyringError`]; never repeats any of the text.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<SecretKey> = Vec::new();
        for (n, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let secret = from_hex::<32>(&line.to_ascii_lowercase()).ok_or(KeyringError::Line(n + 1))?;
            let key = SecretKey::new(&secret);
            if keys.iter().any(|other| other.name == key.name) {
                return Err(KeyringError::Twice(n + 1));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(KeyringError::Empty),
            1..=SECRET_KEYS => Ok(Self { keys, number: NUMBERS.fetch_add(1, Ordering::Relaxed) }),
            _ => Err(KeyringError::TooMany),
        }
    }

    /// The text of a new key: 64 hex digits and a line end.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn generate() -> Result<String, ring::error::Unspecified> {
        Ok(hex(&crate::id::random_bytes::<32>()?) + "\n")
    }

    /// Its number in this process: what one keyring proved, another may not prove any more.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The signing key first.
    pub fn iter(&self) -> std::slice::Iter<'_, SecretKey> {
        self.keys.iter()
    }

    /// The key that signs.
    pub fn signing(&self) -> Option<&SecretKey> {
        self.keys.first()
    }

    /// The key of this name.
    pub fn named(&self, name: &str) -> Option<&SecretKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Every key's name, the signing one first.
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.name.clone()).collect()
    }

    /// Recognises an access token, opaque or JWT. `None` = forged, of another kind, or made under a key that is gone.
    pub fn read_access(&self, text: &str) -> Option<AccessClaims> {
        super::access::read(self, text)
    }
}

/// A name for any secret text that may stand in logs: the first digits of its SHA-256.
pub fn fingerprint(text: &str) -> String {
    hex(&sha256(text.as_bytes())).chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_several_and_names_the_line_that_is_wrong() {
        let (a, b) = ("ab".repeat(32), "CD".repeat(32));
        assert_eq!(Keyring::parse(&format!("# signing\n{a}\n\n{b}\n")).unwrap().names().len(), 2);
        assert_eq!(Keyring::parse("\n#\n").unwrap_err(), KeyringError::Empty);
        assert_eq!(Keyring::parse(&format!("{a}\nxyz")).unwrap_err(), KeyringError::Line(2));
        assert_eq!(Keyring::parse(&format!("{a}\n{a}")).unwrap_err(), KeyringError::Twice(2));
    }

    #[test]
    fn what_it_generates_it_reads() {
        assert!(Keyring::parse(&Keyring::generate().unwrap()).is_ok());
    }
}
