//! Sealing: what must be read again, and by nobody else who reads the database or a browser's form.
//!
//! ChaCha20-Poly1305 (RFC 8439) under a key of its own for each use, a random nonce in front, bound to whom it is about: what is
//! sealed for one person opens for no other.

use ring::aead::{Aad, NONCE_LEN, Nonce};

use super::keyring::Keyring;
use crate::id::random_bytes;

/// What is sealed. Each use has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealUse {
    /// The secret that a person's second factor is made of; bound to the person.
    SecondFactor,
    /// A login that still lacks its second factor; bound to the browser.
    HalfLogin,
    /// A ticket; bound to nobody: whoever has it may use it.
    Ticket,
}

impl SealUse {
    /// Every use.
    pub const ALL: [Self; 3] = [Self::SecondFactor, Self::HalfLogin, Self::Ticket];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::SecondFactor => "gatepost second factor seal v1",
            Self::HalfLogin => "gatepost half login seal v1",
            Self::Ticket => "gatepost ticket seal v1",
        }
    }
}

/// Seals `plain` under the key that signs. `None` = there is no secret key, or the system gives no randomness.
pub fn seal(keyring: &Keyring, of: SealUse, bound_to: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let key = keyring.signing()?.sealing(of)?;
    let nonce: [u8; NONCE_LEN] = random_bytes().ok()?;
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut sealed).ok()?;
    Some([nonce.as_slice(), sealed.as_slice()].concat())
}

/// What was sealed, under any of the secret keys. `None` = another's, changed, or sealed under a key that is gone.
pub fn open(keyring: &Keyring, of: SealUse, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
    keyring.iter().find_map(|key| {
        let mut text = sealed.to_vec();
        let opened = key.sealing(of)?.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut text);
        opened.ok().map(|plain| plain.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(lines: &[&str]) -> Keyring {
        Keyring::parse(&lines.iter().map(|byte| byte.repeat(32)).collect::<Vec<_>>().join("\n")).unwrap()
    }

    #[test]
    fn opens_for_its_use_and_whom_it_is_bound_to_only() {
        let ring = keyring(&["aa"]);
        for of in SealUse::ALL {
            let sealed = seal(&ring, of, b"ann", b"secret").unwrap();
            assert_eq!(open(&ring, of, b"ann", &sealed).as_deref(), Some(&b"secret"[..]));
            assert_eq!(open(&keyring(&["bb", "aa"]), of, b"ann", &sealed).as_deref(), Some(&b"secret"[..]), "rotation");
            assert_eq!(open(&keyring(&["bb"]), of, b"ann", &sealed), None, "another installation");
            assert_eq!(open(&ring, of, b"bob", &sealed), None);
            for other in SealUse::ALL.into_iter().filter(|other| *other != of) {
                assert_eq!(open(&ring, other, b"ann", &sealed), None);
            }
            assert_ne!(seal(&ring, of, b"ann", b"secret").unwrap(), sealed, "a nonce is used once");
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert_eq!(open(&ring, of, b"ann", &changed), None, "{at}");
                assert_eq!(open(&ring, of, b"ann", &sealed[..at]), None, "{at}");
            }
        }
    }
}
