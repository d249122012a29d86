//! Access tokens: what a key is exchanged for and the gate checks.
//!
//! Opaque: `gpt_`, then id, key id and a 128-bit MAC, in base62. JWT: `typ: at+jwt`. Neither is ever
//! stored: the record names the secret key, and with it the text is made again. A forged one is
//! refused here, before any store is asked.

use super::base62;
use super::jwt::AccessJwt;
use super::keyring::Keyring;
use super::record::{TokenFormat, TokenRecord};
use crate::clock::UnixMs;
use crate::id::Id;

/// The first bytes of an opaque access token.
pub const PREFIX: &str = "gpt_";
/// Longest text worth looking at: a JWT with 64 scopes of 128 bytes, in base64, with its claims.
pub const TOKEN_BYTES: usize = 16 * 1024;

/// What an authentic access token says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// Its id.
    pub id: Id,
    /// The key it was minted from.
    pub key: Id,
    /// Its absolute end, where it says that: a JWT does.
    pub cap: Option<UnixMs>,
}

/// The text of a token, made from its record. `None` = its secret key is gone.
pub fn write(keyring: &Keyring, record: &TokenRecord, subject: Id) -> Option<String> {
    let key = keyring.named(&record.signed_by)?;
    Some(match record.format {
        TokenFormat::Opaque => {
            let mut text = String::with_capacity(PREFIX.len() + 3 * base62::WIDE);
            text.push_str(PREFIX);
            base62::push_wide(&mut text, *record.id.as_bytes());
            base62::push_wide(&mut text, *record.key.as_bytes());
            base62::push_wide(&mut text, key.mac(record.id, record.key));
            text
        }
        TokenFormat::Jwt => key.access_jwt().sign(&AccessJwt::of(record, subject))?,
    })
}

/// See [`Keyring::read_access`].
pub(super) fn read(keyring: &Keyring, text: &str) -> Option<AccessClaims> {
    if text.len() > TOKEN_BYTES {
        return None;
    }
    match text.strip_prefix(PREFIX) {
        Some(body) => read_opaque(keyring, body.as_bytes()),
        None => keyring.iter().find_map(|key| key.access_jwt().verify_access(text)).map(|jwt| AccessClaims {
            id: jwt.jti,
            key: jwt.kid,
            cap: Some(UnixMs(jwt.exp.saturating_mul(1000))),
        }),
    }
}

fn read_opaque(keyring: &Keyring, mut body: &[u8]) -> Option<AccessClaims> {
    let id = Id::from_bytes(base62::take_wide(&mut body)?);
    let key = Id::from_bytes(base62::take_wide(&mut body)?);
    let mac = base62::take_wide(&mut body)?;
    let authentic = keyring.iter().any(|secret| bool::from(subtle::ConstantTimeEq::ct_eq(&mac[..], &secret.mac(id, key)[..])));
    (body.is_empty() && authentic).then_some(AccessClaims { id, key, cap: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::scopes::ScopeSet;

    fn keyring(lines: &[&str]) -> Keyring {
        Keyring::parse(&lines.iter().map(|byte| byte.repeat(32)).collect::<Vec<_>>().join("\n")).unwrap()
    }

    fn record(keyring: &Keyring, format: TokenFormat) -> TokenRecord {
        TokenRecord {
            id: Id::from_bytes([1; 16]),
            key: Id::from_bytes([2; 16]),
            scopes: ScopeSet::parse(["orders:read"]).unwrap(),
            issued: UnixMs(1_900_000_000_000),
            cap: UnixMs(1_900_000_043_200_000),
            format,
            signed_by: keyring.signing().unwrap().name().to_owned(),
            issuer: "https://auth.example.com".to_owned(),
        }
    }

    #[test]
    fn both_formats_are_made_again_to_the_byte_and_read() {
        let ring = keyring(&["aa"]);
        for format in [TokenFormat::Opaque, TokenFormat::Jwt] {
            let record = record(&ring, format);
            let text = write(&ring, &record, Id::from_bytes([9; 16])).unwrap();
            assert_eq!(Some(&text), write(&keyring(&["bb", "aa"]), &record, Id::from_bytes([9; 16])).as_ref());
            assert_eq!(
                ring.read_access(&text),
                Some(AccessClaims { id: record.id, key: record.key, cap: (format == TokenFormat::Jwt).then_some(record.cap) })
            );
            assert_eq!(keyring(&["bb", "aa"]).read_access(&text), ring.read_access(&text), "rotation");
            assert_eq!(keyring(&["bb"]).read_access(&text), None, "another installation");
            assert_eq!(write(&keyring(&["bb"]), &record, Id::from_bytes([9; 16])), None);
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let ring = keyring(&["aa"]);
        for format in [TokenFormat::Opaque, TokenFormat::Jwt] {
            let text = write(&ring, &record(&ring, format), Id::from_bytes([9; 16])).unwrap();
            for at in 0..text.len() {
                for other in ["0", "A", "z", "-", "."] {
                    let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                    assert!(changed == text || ring.read_access(&changed).is_none(), "{changed}");
                }
            }
            assert_eq!(ring.read_access(&format!("{text}0")), None);
            assert_eq!(ring.read_access(text.split_at(text.len() - 1).0), None);
        }
    }
}
