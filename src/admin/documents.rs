//! What anyone may read: name and version, and the public signing keys.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answer::Answer;
use super::request::Call;
use super::{Admin, pages};
use crate::token::jwt::JwtKey;

/// `GET /`: name and version; for browsers the start page.
pub(super) async fn index(State(admin): State<Arc<Admin>>, call: Call) -> Response {
    if call.header("accept").ok().flatten().is_some_and(|accept| accept.contains("text/html")) {
        return pages::login::page(pages::home::show(&admin, &call).await);
    }
    Answer::Plain(json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })).into_response()
}

/// `GET /.well-known/jwks.json`: the keys of access tokens only, so that nobody takes a login for one.
pub(super) async fn jwks(State(admin): State<Arc<Admin>>) -> Answer {
    let keys: Vec<Value> = admin.accounts.keyring().iter().map(|key| jwk(key.access_jwt())).collect();
    Answer::Plain(json!({ "keys": keys }))
}

/// A public key as RFC 8037 writes it.
fn jwk(key: &JwtKey) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id(), "x": URL_SAFE_NO_PAD.encode(key.public()) })
}
