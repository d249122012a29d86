//! API keys, refresh tokens and invitations: long-lived secrets, shown once, stored only as SHA-256.
//!
//! `gpk_`, `gpr_` or `gpi_`, then id, 128 random bits and a 32-bit tag, in base62. The tag is a MAC under a
//! value of this installation, so a made-up key is refused without asking any store. What stands before an API key's id is the
//! configuration's to choose; whatever it was when a key was made, the key is read.
//!
//! Keys that were made elsewhere have no tag. Their id is a MAC over their hash under the same value: whoever knows ids learns nothing
//! of the keys, and nobody can look for two of one id.

use std::fmt;

use ring::{digest, hmac};

use super::base62;
use crate::id::{Id, random_bytes};

/// What a secret is for; each has its prefix and its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// `gpk_…`, exchanged for access tokens.
    ApiKey,
    /// `gpr_…`, exchanged for a login's next JWT; its id is the session's.
    RefreshToken,
    /// `gpi_…`, good for one sign-up.
    Invitation,
}

impl SecretKind {
    /// The first bytes of its text.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "gpk_",
            Self::RefreshToken => "gpr_",
            Self::Invitation => "gpi_",
        }
    }
}

/// Longest API key that was made elsewhere, in bytes.
pub const LONGEST_IMPORTED: usize = 512;
/// Characters of a secret after its prefix.
const BODY: usize = 2 * base62::WIDE + base62::NARROW;

/// What API keys made from now on begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// The prefix, where it is 1 to 20 of a-z, 0-9 and `_`, `_` the last, and none of another kind of credential.
    pub fn parse(text: &str) -> Option<Self> {
        (Self::fits(text) && !["gpr_", "gpi_", "gpt_", "gpw_"].contains(&text)).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn fits(text: &str) -> bool {
        let is_fit = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        text.len() <= 20 && text.ends_with('_') && text.bytes().all(is_fit)
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self(SecretKind::ApiKey.prefix().to_owned())
    }
}

/// An API key as it is presented: of this installation by its tag, or one that may have been imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The id of the key it belongs to, or would.
    pub id: Id,
    /// SHA-256 of its text.
    pub hash: HashedSecret,
    /// Whether it was made elsewhere: nothing proves then that there is such a key.
    pub made_elsewhere: bool,
}

/// Makes and recognises the secrets of one installation.
pub struct SecretMint {
    key: hmac::Key,
    prefix: KeyPrefix,
}

/// A secret in the clear: shown once, never stored, mute in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainSecret {
    id: Id,
    text: String,
}

/// SHA-256 of a secret's whole text: the only form that is stored.
pub type HashedSecret = [u8; 32];

impl PlainSecret {
    /// The id of the key, session or invitation it belongs to.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The text to show, once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is stored.
    pub fn hashed(&self) -> HashedSecret {
        sha256(self.text.as_bytes())
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainSecret({})", self.id)
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

impl SecretMint {
    /// For the installation whose tag key this is.
    pub fn new(key_tag: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key_tag), prefix: KeyPrefix::default() }
    }

    /// The same, making API keys that begin so.
    #[must_use]
    pub fn with_prefix(self, prefix: KeyPrefix) -> Self {
        Self { prefix, ..self }
    }

    /// An API key, made here or perhaps elsewhere. `None` = made up: it has our prefix without our tag, or is too long.
    pub fn api_key(&self, text: &str) -> Option<ApiKey> {
        if let Some(made) = self.read(SecretKind::ApiKey, text) {
            return Some(ApiKey { id: made.id, hash: made.hashed(), made_elsewhere: false });
        }
        if text.len() > LONGEST_IMPORTED || text.starts_with(SecretKind::ApiKey.prefix()) {
            return None;
        }
        let hash = sha256(text.as_bytes());
        Some(ApiKey { id: self.id_of_foreign(&hash), hash, made_elsewhere: true })
    }

    /// The id that a key made elsewhere has here, by the SHA-256 of its text.
    pub fn id_of_foreign(&self, hash: &HashedSecret) -> Id {
        let mac = hmac::sign(&self.key, &[b"key made elsewhere\0", &hash[..]].concat());
        let mut id = [0; 16];
        id.iter_mut().zip(mac.as_ref()).for_each(|(to, from)| *to = *from);
        Id::from_bytes(id)
    }

    /// A new secret for `id`.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn make(&self, kind: SecretKind, id: Id) -> Result<PlainSecret, ring::error::Unspecified> {
        Ok(self.make_from(kind, id, random_bytes()?))
    }

    /// The secret for `id` with these 128 bits: for a refresh token's successor, derived from its predecessor.
    pub fn make_from(&self, kind: SecretKind, id: Id, random: [u8; 16]) -> PlainSecret {
        let prefix = if kind == SecretKind::ApiKey { self.prefix.as_str() } else { kind.prefix() };
        let mut text = String::with_capacity(prefix.len() + BODY);
        text.push_str(prefix);
        base62::push_wide(&mut text, *id.as_bytes());
        base62::push_wide(&mut text, random);
        base62::push_narrow(&mut text, self.tag(kind, id, random));
        PlainSecret { id, text }
    }

    /// The successor of a refresh token: the same for the same predecessor, so that only hashes need storing.
    pub fn successor(&self, of: &PlainSecret) -> PlainSecret {
        let mac = hmac::sign(&self.key, &[b"refresh token successor\0", of.text.as_bytes()].concat());
        let mut random = [0; 16];
        random.iter_mut().zip(mac.as_ref()).for_each(|(to, from)| *to = *from);
        self.make_from(SecretKind::RefreshToken, of.id, random)
    }

    /// Reads a secret of this kind. `None` = not one of this installation's, whoever made it up.
    pub fn read(&self, kind: SecretKind, text: &str) -> Option<PlainSecret> {
        let mut rest = match kind {
            // whatever stood in the configuration when it was made: the tag says whose it is, the hash that it is this very text
            SecretKind::ApiKey => {
                let (prefix, body) = text.split_at_checked(text.len().checked_sub(BODY)?)?;
                KeyPrefix::fits(prefix).then_some(body)?
            }
            _ => text.strip_prefix(kind.prefix())?,
        }
        .as_bytes();
        let id = Id::from_bytes(base62::take_wide(&mut rest)?);
        let random = base62::take_wide(&mut rest)?;
        let tag = base62::take_narrow(&mut rest)?;
        // the tag is a filter, not the proof: the proof is the stored hash. Compared in constant time all the same.
        let right = subtle::ConstantTimeEq::ct_eq(&tag[..], &self.tag(kind, id, random)[..]);
        (rest.is_empty() && bool::from(right)).then(|| PlainSecret { id, text: text.to_owned() })
    }

    fn tag(&self, kind: SecretKind, id: Id, random: [u8; 16]) -> [u8; 4] {
        let mac = hmac::sign(&self.key, &[kind.prefix().as_bytes(), id.as_bytes(), &random].concat());
        let mut tag = [0; 4];
        tag.iter_mut().zip(mac.as_ref()).for_each(|(to, from)| *to = *from);
        tag
    }
}

impl fmt::Debug for SecretMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretMint")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mint() -> SecretMint {
        SecretMint::new(&[7; 32])
    }

    #[test]
    fn what_it_makes_it_reads() {
        for kind in [SecretKind::ApiKey, SecretKind::RefreshToken, SecretKind::Invitation] {
            let made = mint().make(kind, Id::from_bytes([3; 16])).unwrap();
            assert_eq!(mint().read(kind, made.reveal()), Some(made));
        }
    }

    #[test]
    fn another_kind_or_installation_is_not_read() {
        let made = mint().make(SecretKind::RefreshToken, Id::from_bytes([3; 16])).unwrap();
        assert_eq!(mint().read(SecretKind::ApiKey, made.reveal()), None);
        assert_eq!(mint().read(SecretKind::ApiKey, &made.reveal().replace("gpr_", "gpk_")), None);
        assert_eq!(SecretMint::new(&[8; 32]).read(SecretKind::RefreshToken, made.reveal()), None);
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let made = mint().make_from(SecretKind::ApiKey, Id::from_bytes([3; 16]), [5; 16]);
        for at in SecretKind::ApiKey.prefix().len()..made.text.len() {
            for other in ["0", "A", "z", "-", "é"] {
                let changed = format!("{}{other}{}", &made.text[..at], &made.text[at + 1..]);
                assert!(changed == made.text || mint().read(SecretKind::ApiKey, &changed).is_none(), "{changed}");
            }
        }
    }

    #[test]
    fn a_key_is_read_whatever_prefixes_are_made_now() {
        let acme = mint().with_prefix(KeyPrefix::parse("acme_live_").unwrap());
        let (old, new) = (mint().make_from(SecretKind::ApiKey, Id::from_bytes([3; 16]), [5; 16]), {
            acme.make_from(SecretKind::ApiKey, Id::from_bytes([4; 16]), [5; 16])
        });
        assert!(old.text.starts_with("gpk_") && new.text.starts_with("acme_live_"));
        for mint in [&mint(), &acme] {
            for made in [&old, &new] {
                let read = mint.api_key(&made.text).unwrap();
                assert_eq!((read.id, read.hash, read.made_elsewhere), (made.id, made.hashed(), false));
            }
        }
        assert!(acme.make(SecretKind::RefreshToken, old.id).unwrap().text.starts_with("gpr_"));
        for prefix in ["", "a", "_a", "Acme_", "acme-", "gpr_", "gpi_", "gpt_", "gpw_", "abcdefghij_0123456789_"] {
            assert_eq!(KeyPrefix::parse(prefix), None, "{prefix}");
        }
    }

    #[test]
    fn a_key_made_elsewhere_has_an_id_that_only_this_installation_can_tell() {
        let (here, there) = (mint(), SecretMint::new(&[8; 32]));
        let text = "sk_live_51abcdefghijklmnop";
        let key = here.api_key(text).unwrap();
        assert!(key.made_elsewhere);
        assert_eq!((key.hash, key.id), (sha256(text.as_bytes()), here.id_of_foreign(&sha256(text.as_bytes()))));
        assert_ne!(key.id, there.api_key(text).unwrap().id);
        assert_ne!(key.id.as_bytes()[..], key.hash[..16]);
        // what says that it is of this house and is not, and what nobody can have imported
        let made = there.make(SecretKind::ApiKey, key.id).unwrap();
        assert_eq!((here.api_key(&made.text), here.api_key(&"x".repeat(513))), (None, None));
        assert!(here.api_key(&"x".repeat(512)).is_some_and(|key| key.made_elsewhere));
    }

    #[test]
    fn mute_in_debug_output() {
        let made = mint().make(SecretKind::ApiKey, Id::from_bytes([3; 16])).unwrap();
        assert!(!format!("{made:?}").contains(made.reveal()));
    }
}
