//! What anyone may read: name and version, the public signing keys, and the OpenAPI document with its viewer.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::request::Call;
use super::{Admin, document, pages};
use crate::token::jwt::JwtKey;

/// What runs here.
#[derive(Serialize, ToSchema)]
struct Index {
    #[schema(example = "gatepost")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// A public key as RFC 8037 writes it.
#[derive(Serialize, ToSchema)]
struct Jwk {
    #[schema(example = "OKP")]
    kty: &'static str,
    #[schema(example = "Ed25519")]
    crv: &'static str,
    #[schema(example = "EdDSA")]
    alg: &'static str,
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    usage: &'static str,
    kid: String,
    x: String,
}

/// Name and version; for browsers the start page.
#[utoipa::path(get, path = "/", tag = document::DOCUMENTS, responses(
    (status = 200, description = "What runs here; for browsers whose login it is.", content((Index = "application/json"), (String = "text/html"))),
    (status = 303, description = "To the login page, for browsers without a login."), pages::Failures))]
pub(super) async fn index(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    if call.header("accept").ok().flatten().is_some_and(|accept| accept.contains("text/html")) {
        return pages::home::show(&admin, &call).await;
    }
    Answer::plain(Index { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") })
}

/// Public signing keys.
///
/// Those of access tokens only, so that nobody takes a login for one.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = document::DOCUMENTS,
    responses((status = 200, description = "A set of keys (RFC 7517).", body = Jwks)))]
pub(super) async fn jwks(State(admin): State<Arc<Admin>>) -> Answer {
    Answer::plain(Jwks { keys: admin.accounts.keyring().iter().map(|key| jwk(key.access_jwt())).collect() })
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = document::DOCUMENTS,
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)))]
pub(super) async fn openapi() -> Answer {
    Answer::bytes(StatusCode::OK, "application/json", super::OPENAPI.as_bytes())
}

/// Its viewer.
#[utoipa::path(get, path = "/docs", tag = document::DOCUMENTS,
    responses((status = 200, description = "A page.", content_type = "text/html; charset=utf-8", body = String)))]
pub(super) async fn docs() -> Answer {
    viewer("text/html; charset=utf-8", include_str!("docs/viewer.html"))
}

/// The viewer's script.
#[utoipa::path(get, path = "/docs/viewer.js", tag = document::DOCUMENTS,
    responses((status = 200, description = "A script.", content_type = "text/javascript; charset=utf-8", body = String)))]
pub(super) async fn script() -> Answer {
    viewer("text/javascript; charset=utf-8", include_str!("docs/viewer.js"))
}

/// The viewer's style sheet.
#[utoipa::path(get, path = "/docs/viewer.css", tag = document::DOCUMENTS,
    responses((status = 200, description = "A style sheet.", content_type = "text/css; charset=utf-8", body = String)))]
pub(super) async fn style() -> Answer {
    viewer("text/css; charset=utf-8", include_str!("docs/viewer.css"))
}

/// A file of the viewer. It asks this listener alone, runs no script but its own, and stands in nobody's frame.
fn viewer(content_type: &'static str, file: &'static str) -> Answer {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
    Answer::bytes(StatusCode::OK, content_type, file.as_bytes())
        .header(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}

fn jwk(key: &JwtKey) -> Jwk {
    let x = URL_SAFE_NO_PAD.encode(key.public());
    Jwk { kty: "OKP", crv: "Ed25519", alg: "EdDSA", usage: "sig", kid: key.id().to_owned(), x }
}
