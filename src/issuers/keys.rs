//! Keys: a published set (RFC 7517), as far as it can prove tokens.
//!
//! INVARIANT: a key proves by the algorithms of its own kind alone, so that nobody signs with a public key as if it were a secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// Most keys worth keeping.
const KEYS: usize = 100;
/// Shortest modulus of an RSA key (NIST SP 800-131A), in bytes.
const RSA_BYTES: usize = 2048 / 8;

const RSA: &[Algorithm] = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// The keys of an issuer.
pub struct KeySet {
    keys: Vec<Key>,
    /// As they were published.
    source: Vec<Value>,
}

struct Key {
    id: Option<String>,
    /// By which it proves.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether it is published as the other is.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// Whether a key has this name, of whatever kind.
    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The keys of this name for this algorithm. A token that names none is proved by the only one there is, or by none.
    pub(super) fn of<'k>(&'k self, id: Option<&'k str>, algorithm: Algorithm) -> impl Iterator<Item = &'k DecodingKey> {
        let fits = move |key: &&Key| key.algorithms.contains(&algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id));
        let is_told = id.is_some() || self.keys.iter().filter(fits).count() == 1;
        self.keys.iter().filter(fits).filter(move |_| is_told).map(|key| &key.key)
    }
}

/// The keys of a set that can prove tokens; others are for somebody else.
///
/// # Errors
/// Where it is no set, or none of its keys can.
pub fn read_set(set: &Value) -> Result<KeySet, String> {
    let published = set.get("keys").and_then(Value::as_array).ok_or("no set of keys: it has no list `keys`")?;
    let (keys, source): (Vec<_>, Vec<_>) = published.iter().filter_map(|value| Some((key(value)?, value.clone()))).take(KEYS).unzip();
    if keys.is_empty() { Err("no key in it can prove a token".to_owned()) } else { Ok(KeySet { keys, source }) }
}

fn key(value: &Value) -> Option<Key> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let verifies = value.get("key_ops").is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
    // one whose secret half is published proves nothing
    if text("use").is_some_and(|usage| usage != "sig") || !verifies || value.get("d").is_some() {
        return None;
    }
    let (algorithms, key): (&[Algorithm], _) = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let modulus = URL_SAFE_NO_PAD.decode(text("n")?).ok()?;
            let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
            (if bytes >= RSA_BYTES { RSA } else { &[] }, DecodingKey::from_rsa_components(text("n")?, text("e")?))
        }
        ("EC", Some("P-256")) => (&[Algorithm::ES256], DecodingKey::from_ec_components(text("x")?, text("y")?)),
        ("EC", Some("P-384")) => (&[Algorithm::ES384], DecodingKey::from_ec_components(text("x")?, text("y")?)),
        ("OKP", Some("Ed25519")) => (&[Algorithm::EdDSA], DecodingKey::from_ed_components(text("x")?)),
        _ => return None,
    };
    let fits = |algorithm: &&Algorithm| match text("alg") {
        Some(only) => super::ALGORITHMS.iter().any(|(name, known)| *name == only && known == *algorithm),
        None => true,
    };
    let algorithms: Vec<_> = algorithms.iter().filter(fits).copied().collect();
    (!algorithms.is_empty()).then_some(Key { id: text("kid").map(str::to_owned), algorithms, key: key.ok()? })
}
