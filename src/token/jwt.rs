//! JWTs: access tokens of the JWT format and logins. EdDSA (RFC 8037), one `typ` and one key a use.
//!
//! After RFC 8725: the algorithm is fixed by the verifier, `typ` is asked, `iss` and `aud` are
//! mandatory, and no header field points at a key.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};

use super::record::TokenRecord;
use crate::clock::UnixMs;
use crate::id::{Id, hex};

/// The audience of every JWT made here.
const AUDIENCE: &str = "gatepost";

/// What a JWT is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtUse {
    /// `typ: at+jwt` (RFC 9068).
    Access,
    /// `typ: login+jwt`.
    Login,
}

impl JwtUse {
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Login => "login+jwt",
        }
    }
}

/// The claims of an access token. Times in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessJwt {
    /// The principal.
    pub sub: Id,
    /// The token's id.
    pub jti: Id,
    /// The key it was minted from.
    pub kid: Id,
    /// Its scopes, sorted, one space between.
    pub scopes: String,
    /// When it was minted.
    pub iat: u64,
    /// Its absolute end; the idle end lives in the store.
    pub exp: u64,
    /// `gatepost`
    pub aud: String,
    /// `admin.public_url`, or `gatepost`.
    pub iss: String,
}

impl AccessJwt {
    /// The claims of a recorded token: the same each time.
    pub(super) fn of(record: &TokenRecord, subject: Id) -> Self {
        Self {
            sub: subject,
            jti: record.id,
            kid: record.key,
            scopes: record.scopes.to_string(),
            iat: record.issued.seconds(),
            exp: record.cap.seconds(),
            aud: AUDIENCE.to_owned(),
            iss: record.issuer.clone(),
        }
    }
}

/// The claims of a login. Times in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginJwt {
    /// The session.
    pub sid: Id,
    /// When.
    pub iat: u64,
    /// `iat` + `tokens.ttl`.
    pub exp: u64,
    /// The principal.
    pub uid: Id,
    /// `gatepost`
    pub aud: String,
    /// `admin.public_url`, or `gatepost`.
    pub iss: String,
}

impl LoginJwt {
    /// The claims of a login made at `now`.
    pub fn new(sid: Id, uid: Id, now: UnixMs, ttl: std::time::Duration, issuer: &str) -> Self {
        let iat = now.seconds();
        Self { sid, uid, iat, exp: iat.saturating_add(ttl.as_secs()), aud: AUDIENCE.to_owned(), iss: issuer.to_owned() }
    }
}

/// Why a login's JWT is refused, as `/v1/verify` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtFault {
    /// Authentic, but past its `exp`.
    Expired,
    /// The signature is not ours.
    Signature,
    /// Anything else.
    Invalid,
}

/// Signs and verifies one type of JWT under one key.
pub struct JwtKey {
    usage: JwtUse,
    id: String,
    public: Vec<u8>,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl JwtKey {
    /// The key pair of this seed.
    pub(super) fn from_seed(usage: JwtUse, seed: &[u8; 32]) -> Self {
        // PKCS#8 of an Ed25519 private key (RFC 8410 §7): a fixed head, then the seed
        const HEAD: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let der = [&HEAD[..], seed].concat();
        let public = Ed25519KeyPair::from_seed_unchecked(seed).map(|pair| pair.public_key().as_ref().to_vec()).unwrap_or_default();
        let id = hex(&super::secret::sha256(&public)).chars().take(16).collect();
        Self { usage, id, encoding: EncodingKey::from_ed_der(&der), decoding: DecodingKey::from_ed_der(&public), public }
    }

    /// Its name in `kid` headers and the JWKS.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key, 32 bytes.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// `claims`, signed. `None` where they cannot be written, which no claims of ours are.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(self.usage.typ().to_owned());
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).ok()
    }

    /// A login, signed.
    pub fn sign_login(&self, claims: &LoginJwt) -> Option<String> {
        self.sign(claims)
    }

    /// The claims of an authentic access token, run out or not. From `exp` on it is refused; until then the store says whether it has ended.
    pub(super) fn verify_access(&self, text: &str) -> Option<AccessJwt> {
        self.verify(text).ok()
    }

    /// The claims of an authentic login that has not run out at `now`.
    ///
    /// # Errors
    /// See [`JwtFault`].
    pub fn verify_login(&self, text: &str, now: UnixMs) -> Result<LoginJwt, JwtFault> {
        let claims: LoginJwt = self.verify(text)?;
        if claims.exp <= now.seconds() { Err(JwtFault::Expired) } else { Ok(claims) }
    }

    fn verify<Claims: serde::de::DeserializeOwned + Clone>(&self, text: &str) -> Result<Claims, JwtFault> {
        let header = jsonwebtoken::decode_header(text).map_err(|_| JwtFault::Invalid)?;
        if header.typ.as_deref() != Some(self.usage.typ()) || header.alg != Algorithm::EdDSA {
            return Err(JwtFault::Invalid);
        }
        // the key is known by its name: a token of another key costs no curve arithmetic
        if header.kid.as_deref() != Some(self.id()) {
            return Err(JwtFault::Signature);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false; // asked of our own clock, by whoever asks for this
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        jsonwebtoken::decode::<Claims>(text, &self.decoding, &validation).map(|data| data.claims).map_err(|e| match e.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => JwtFault::Signature,
            _ => JwtFault::Invalid,
        })
    }
}
