//! OAuth 2.0 for machines: client credentials (RFC 6749 §4.4), introspection (RFC 7662), revocation (RFC 7009) and
//! the document that tells where they are (RFC 8414).
//!
//! A client is an API key: `client_id` is the key's id, `client_secret` the key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::PRAGMA;
use axum::http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, NotFound, Read, Throttled, Unauthorized};
use super::failure::Failure;
use super::form::{Form, decoded};
use super::request::{Authorization, Call};
use crate::accounts::Refusal;
use crate::accounts::oauth::{Client, Introspected, IntrospectedKind};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;

const GRANT_TYPE: &str = "client_credentials";
const BASIC: &str = "Basic realm=\"gatepost\"";
const AUTHENTICATION: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// RFC 6749 §4.4.2.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct TokenRequest {
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// What the token may do, one space between; without it all that the key holds.
    scope: Option<String>,
    /// The key's id, where Basic does not say it.
    client_id: Option<String>,
    /// The API key, where Basic does not say it.
    client_secret: Option<String>,
}

/// RFC 6749 §5.1.
#[derive(Serialize, ToSchema)]
struct TokenResponse {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until it ends if not used again.
    expires_in: u64,
    /// What it may do, one space between.
    scope: String,
}

/// RFC 7662 §2.1, RFC 7009 §2.1.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct AboutToken {
    /// An access token or a refresh token.
    token: String,
    /// Not needed: a token tells what it is.
    token_type_hint: Option<String>,
    /// The key's id, where `Authorization` does not say who asks.
    client_id: Option<String>,
    /// The API key, where `Authorization` does not say who asks.
    client_secret: Option<String>,
}

/// RFC 7662 §2.2. Where `active` is false nothing else is there.
#[derive(Serialize, ToSchema, Default)]
struct Introspection {
    /// Whether a gate would take it now, or `/v1/token/refresh` would.
    active: bool,
    /// What it may do now, one space between; of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<String>,
    /// The key it was minted from; of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_id: Option<Id>,
    /// What the principal is called, as in `X-Auth-User`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    /// `Bearer`; of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    /// Unix seconds: when it ends if not used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<u64>,
    /// Unix seconds: when it was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<u64>,
    /// The principal's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<Id>,
    /// `gatepost`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    aud: Option<&'static str>,
    /// As in every JWT made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iss: Option<String>,
    /// Its id: the access token's, or the session's of a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jti: Option<Id>,
}

/// Nothing.
#[derive(Serialize, ToSchema)]
struct Revoked {}

/// RFC 8414 §2.
#[derive(Serialize, ToSchema)]
struct ServerMetadata {
    issuer: String,
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    jwks_uri: String,
    grant_types_supported: [&'static str; 1],
    response_types_supported: [&'static str; 0],
    token_endpoint_auth_methods_supported: [&'static str; 2],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    service_documentation: String,
}

/// Who asks, as the request says.
enum Asking<'a> {
    /// By Basic.
    Basic(String, String),
    /// In the body.
    Body(&'a str, &'a str),
    /// By a login's JWT.
    Bearer(&'a str),
}

/// Exchange client credentials for an access token.
///
/// The same token as `/get-token`. By Basic (both parts form-urlencoded, RFC 6749 §2.3.1) or in the body, not both. 400
/// `invalid_request`, `unsupported_grant_type`, `invalid_scope` (unreadable, or not held); 401 `invalid_client`.
#[utoipa::path(post, path = "/v1/oauth/token", tag = document::EXCHANGE, security(("client" = []), ()),
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token.", body = TokenResponse), Read, Unauthorized, Throttled))]
pub(super) async fn token(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let form = call.form()?;
    if form.need("grant_type")? != GRANT_TYPE {
        return Err(Failure::coded(StatusCode::BAD_REQUEST, "unsupported_grant_type", format!("only `{GRANT_TYPE}`")));
    }
    let (id, secret) = match asking(&call, &form)? {
        Asking::Basic(id, secret) => (id, secret),
        Asking::Body(id, secret) => (id.to_owned(), secret.to_owned()),
        Asking::Bearer(_) => return Err(invalid_client("neither Basic nor `client_id` and `client_secret`")),
    };
    let wanted = form.get("scope").map(scopes).transpose()?;
    let token = admin.accounts.client_exchange(&id, &secret, wanted, call.origin).await.map_err(refused)?;
    let answer = Answer::plain(TokenResponse {
        access_token: token.text,
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope: token.scopes.to_string(),
    });
    Ok(answer.header(PRAGMA, HeaderValue::from_static("no-cache")))
}

/// Ask what a token is worth now.
///
/// RFC 7662, of access tokens and refresh tokens. Whoever asks names itself by client credentials (Basic or in the body) or by a
/// login's JWT. A token of another tenant is as one that never was.
#[utoipa::path(post, path = "/v1/introspect", tag = document::EXCHANGE, security(("client" = []), ("login" = []), ()),
    request_body(content = AboutToken, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "What it is worth.", body = Introspection), Read, Unauthorized, Throttled))]
pub(super) async fn introspect(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let form = call.form()?;
    let client = client(&admin, &call, &form).await?;
    let found = admin.accounts.introspect(client, form.need("token")?).await?;
    let issuer = admin.accounts.issuer();
    Ok(Answer::plain(found.map_or_else(Introspection::default, |token| Introspection::of(token, issuer))))
}

/// End a token.
///
/// RFC 7009: an access token, or the session of a refresh token. Whoever asks names itself as for `/v1/introspect`. 200 also where
/// there is no such token, or it is another tenant's, which stays as it is; 503 until the end holds everywhere.
#[utoipa::path(post, path = "/v1/revoke", tag = document::EXCHANGE, security(("client" = []), ("login" = []), ()),
    request_body(content = AboutToken, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It is worth nothing.", body = Revoked), Read, Unauthorized, Throttled))]
pub(super) async fn revoke(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let form = call.form()?;
    let client = client(&admin, &call, &form).await?;
    admin.accounts.revoke(client, form.need("token")?, call.origin).await?;
    Ok(Answer::plain(Revoked {}))
}

/// Where the OAuth routes are.
///
/// RFC 8414. The issuer is `admin.public_url`; without it the address that was asked, on this machine only: elsewhere a `Host` is
/// anyone's to choose, and there is no such document.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = document::EXCHANGE,
    responses((status = 200, description = "The document.", body = ServerMetadata), Read, NotFound))]
pub(super) async fn metadata(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let public =
        Some(admin.accounts.issuer()).filter(|issuer| issuer.contains("://")).map(|issuer| issuer.trim_end_matches('/').to_owned());
    let issuer = match (public, call.header("host")?) {
        (Some(public), _) => public,
        (None, Some(host)) if call.origin.local => format!("http://{host}"),
        (None, _) => return Err(Refusal::NotFound.into()),
    };
    let at = |path: &str| format!("{issuer}{path}");
    Ok(Answer::plain(ServerMetadata {
        token_endpoint: at("/v1/oauth/token"),
        introspection_endpoint: at("/v1/introspect"),
        revocation_endpoint: at("/v1/revoke"),
        jwks_uri: at("/.well-known/jwks.json"),
        grant_types_supported: [GRANT_TYPE],
        response_types_supported: [],
        token_endpoint_auth_methods_supported: AUTHENTICATION,
        introspection_endpoint_auth_methods_supported: AUTHENTICATION,
        revocation_endpoint_auth_methods_supported: AUTHENTICATION,
        service_documentation: at("/docs"),
        issuer,
    }))
}

impl Introspection {
    fn of(token: Introspected, issuer: &str) -> Self {
        let mut said = Self {
            active: true,
            username: Some(token.name),
            exp: Some(token.ends.seconds()),
            iat: Some(token.issued.seconds()),
            sub: Some(token.subject),
            aud: Some("gatepost"),
            iss: Some(issuer.to_owned()),
            jti: Some(token.id),
            ..Self::default()
        };
        if let IntrospectedKind::Access { key, scopes } = token.kind {
            (said.scope, said.client_id, said.token_type) = (Some(scopes.to_string()), Some(key), Some("Bearer"));
        }
        said
    }
}

/// Who asks about a token.
async fn client(admin: &Admin, call: &Call, form: &Form) -> Result<Client, Failure> {
    match asking(call, form)? {
        Asking::Basic(id, secret) => admin.accounts.client(&id, &secret, call.origin).await.map_err(refused),
        Asking::Body(id, secret) => admin.accounts.client(id, secret, call.origin).await.map_err(refused),
        Asking::Bearer(jwt) => match admin.accounts.caller(jwt).await {
            Ok(caller) => {
                admin.accounts.hold_up(&caller).await?;
                Ok(Client::of(&caller))
            }
            // RFC 6750 §3.1: one code, whatever is wrong with the token
            Err(refusal @ (Refusal::ExpiredSignature | Refusal::InvalidSignature | Refusal::InvalidToken)) => {
                let message = Failure::from(refusal).message().to_owned();
                Err(Failure::coded(StatusCode::UNAUTHORIZED, "invalid_token", message).of_token())
            }
            Err(other) => Err(other.into()),
        },
    }
}

/// How the request says who asks: in one way only (RFC 6749 §2.3).
fn asking<'a>(call: &'a Call, form: &'a Form) -> Result<Asking<'a>, Failure> {
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let twice = || Failure::invalid("credentials both in `authorization` and in the body");
    match call.authorization() {
        Ok(Some(Authorization::Basic(name, password))) => {
            let (Some(name), Some(password)) = (decoded(&name), decoded(&password)) else {
                return Err(invalid_client("`authorization`: not form-urlencoded"));
            };
            if secret.is_some() || id.is_some_and(|id| id != name) { Err(twice()) } else { Ok(Asking::Basic(name, password)) }
        }
        Ok(Some(Authorization::Bearer(_))) if id.is_some() || secret.is_some() => Err(twice()),
        Ok(Some(Authorization::Bearer(jwt))) => Ok(Asking::Bearer(jwt)),
        Ok(None) => match (id, secret) {
            (Some(id), Some(secret)) => Ok(Asking::Body(id, secret)),
            _ => Err(invalid_client("neither Basic nor `client_id` and `client_secret`")),
        },
        Err(unreadable) => Err(invalid_client(unreadable.message())),
    }
}

fn invalid_client(message: &str) -> Failure {
    Failure::coded(StatusCode::UNAUTHORIZED, "invalid_client", message).challenging(BASIC)
}

fn scopes(text: &str) -> Result<ScopeSet, Failure> {
    ScopeSet::parse(text.split(' ')).map_err(|e| Failure::coded(StatusCode::BAD_REQUEST, "invalid_scope", format!("`scope`: {e}")))
}

/// A refusal in the words of RFC 6749 §5.2.
fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::UnknownKey => invalid_client("unknown or ended key"),
        Refusal::ScopeNotHeld(_) => Failure::coded(StatusCode::BAD_REQUEST, "invalid_scope", Failure::from(refusal).message().to_owned()),
        other => other.into(),
    }
}
