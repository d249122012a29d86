//! API keys, refresh tokens and invitations: long-lived secrets, shown once, stored only as SHA-256.
//!
//! `gpk_`, `gpr_` or `gpi_`, then id, 128 random bits and a 32-bit tag, in base62. The tag is a MAC under a
//! value of this installation, so a made-up key is refused without asking any store.

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

/// Makes and recognises the secrets of one installation.
pub struct SecretMint(hmac::Key);

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
        Self(hmac::Key::new(hmac::HMAC_SHA256, key_tag))
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
        let mut text = String::with_capacity(4 + 2 * base62::WIDE + base62::NARROW);
        text.push_str(kind.prefix());
        base62::push_wide(&mut text, *id.as_bytes());
        base62::push_wide(&mut text, random);
        base62::push_narrow(&mut text, self.tag(kind, id, random));
        PlainSecret { id, text }
    }

    /// The successor of a refresh token: the same for the same predecessor, so that only hashes need storing.
    pub fn successor(&self, of: &PlainSecret) -> PlainSecret {
        let mac = hmac::sign(&self.0, &[b"refresh token successor\0", of.text.as_bytes()].concat());
        let mut random = [0; 16];
        random.iter_mut().zip(mac.as_ref()).for_each(|(to, from)| *to = *from);
        self.make_from(SecretKind::RefreshToken, of.id, random)
    }

    /// Reads a secret of this kind. `None` = not one of this installation's, whoever made it up.
    pub fn read(&self, kind: SecretKind, text: &str) -> Option<PlainSecret> {
        let mut rest = text.strip_prefix(kind.prefix())?.as_bytes();
        let id = Id::from_bytes(base62::take_wide(&mut rest)?);
        let random = base62::take_wide(&mut rest)?;
        let tag = base62::take_narrow(&mut rest)?;
        // the tag is a filter, not the proof: the proof is the stored hash. Compared in constant time all the same.
        let right = subtle::ConstantTimeEq::ct_eq(&tag[..], &self.tag(kind, id, random)[..]);
        (rest.is_empty() && bool::from(right)).then(|| PlainSecret { id, text: text.to_owned() })
    }

    fn tag(&self, kind: SecretKind, id: Id, random: [u8; 16]) -> [u8; 4] {
        let mac = hmac::sign(&self.0, &[kind.prefix().as_bytes(), id.as_bytes(), &random].concat());
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
        for at in 0..made.text.len() {
            for other in ["0", "A", "z", "-", "é"] {
                let changed = format!("{}{other}{}", &made.text[..at], &made.text[at + 1..]);
                assert!(changed == made.text || mint().read(SecretKind::ApiKey, &changed).is_none(), "{changed}");
            }
        }
    }

    #[test]
    fn mute_in_debug_output() {
        let made = mint().make(SecretKind::ApiKey, Id::from_bytes([3; 16])).unwrap();
        assert!(!format!("{made:?}").contains(made.reveal()));
    }
}
