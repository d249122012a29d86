//! The ID token: what it must be before anything in it is believed (OpenID Connect Core §3.1.3.7).
//!
//! INVARIANT: signed by a key of this very issuer under one of [`ALGORITHMS`]; never unsigned, never with a shared
//! secret: who knows a public key could otherwise sign with it as if it were one.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey, CoreJwsSigningAlgorithm, CoreTokenResponse};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, AuthorizationCodeHash, ClaimsVerificationError, ClientId, IssuerUrl, JsonWebKeySet, Nonce,
    OAuth2TokenResponse, SignatureVerificationError, TokenResponse,
};
use serde_json::{Map, Value};

use super::discovery::{Issuer, Key};
use crate::clock::UnixMs;

/// The algorithms an ID token may be signed with.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// How far a provider's clock may differ from ours.
const SKEW: Duration = Duration::from_secs(60);

/// What an ID token must fit.
pub(super) struct Expected {
    pub(super) client_id: String,
    pub(super) issuer: Issuer,
    pub(super) nonce: String,
    pub(super) code: String,
    pub(super) begun: UnixMs,
    pub(super) now: UnixMs,
}

/// Why it proves nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotProved {
    /// No key known to us signed it: the provider may have a new one.
    UnknownKey,
    /// Something else; for the log.
    Because(String),
}

fn because(what: impl Into<String>) -> NotProved {
    NotProved::Because(what.into())
}

/// The claims of the ID token in `response`, once every one of its proofs holds.
pub(super) fn prove(response: &CoreTokenResponse, keys: &[Key], expected: &Expected) -> Result<Map<String, Value>, NotProved> {
    let token = response.id_token().ok_or_else(|| because("no ID token came with it"))?;
    let read = unproved(token).ok_or_else(|| because("the ID token cannot be read"))?;
    let text = |name: &str| read.get(name).and_then(Value::as_str);
    let issuer = expected.issuer.of_tenant(text("tid")).ok_or_else(|| because("the ID token names no tenant"))?;
    let now = i64::try_from(expected.now.seconds()).unwrap_or(i64::MAX);
    let begun = i64::try_from(expected.begun.seconds()).unwrap_or(i64::MAX);
    let skew = i64::try_from(SKEW.as_secs()).unwrap_or(0);

    let issuer_url = IssuerUrl::new(issuer.clone()).map_err(|error| because(format!("its issuer is no address: {error}")))?;
    let verifier = CoreIdTokenVerifier::new_public_client(ClientId::new(expected.client_id.clone()), issuer_url, of_issuer(keys, &issuer))
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || DateTime::from_timestamp(now, 0).unwrap_or(DateTime::<Utc>::MAX_UTC))
        .set_issue_time_verifier_fn(move |issued| match issued.timestamp() {
            issued if issued > now.saturating_add(skew) => Err("issued in the future".to_owned()),
            issued if issued < begun.saturating_sub(skew) => Err("issued before the sign-in began".to_owned()),
            _ => Ok(()),
        });
    let claims = token.claims(&verifier, &Nonce::new(expected.nonce.clone())).map_err(|error| match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => NotProved::UnknownKey,
        other => because(with_cause(&other)),
    })?;
    if claims.authorized_party().is_some_and(|party| party.as_str() != expected.client_id) {
        return Err(because("`azp` is another client"));
    }
    if read.get("nbf").and_then(Value::as_i64).is_some_and(|from| from > now.saturating_add(skew)) {
        return Err(because("`nbf` lies in the future"));
    }
    let algorithm = token.signing_alg().map_err(|error| because(error.to_string()))?;
    let key = token.signing_key(&verifier).map_err(|error| because(error.to_string()))?;
    if let Some(hash) = claims.access_token_hash() {
        let ours = AccessTokenHash::from_token(response.access_token(), algorithm, key).map_err(|error| because(error.to_string()))?;
        if ours != *hash {
            return Err(because("`at_hash` does not fit the access token"));
        }
    }
    if let Some(hash) = claims.code_hash() {
        let code = AuthorizationCode::new(expected.code.clone());
        let ours = AuthorizationCodeHash::from_code(&code, algorithm, key).map_err(|error| because(error.to_string()))?;
        if ours != *hash {
            return Err(because("`c_hash` does not fit the code"));
        }
    }
    Ok(read)
}

/// The keys that sign for this issuer.
fn of_issuer(keys: &[Key], issuer: &str) -> JsonWebKeySet<CoreJsonWebKey> {
    let signs = |key: &&Key| match &key.issuer {
        None => true,
        Some(said) => Issuer::Exactly(said.clone()).is(issuer) || said.contains('{') && Issuer::Each(said.clone()).is(issuer),
    };
    JsonWebKeySet::new(keys.iter().filter(signs).map(|key| key.key.clone()).collect())
}

/// What the ID token says, before any of it is proved.
fn unproved(token: &CoreIdToken) -> Option<Map<String, Value>> {
    let text = serde_json::to_value(token).ok()?;
    let payload = text.as_str()?.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
