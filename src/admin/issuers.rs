//! Other issuers: `/v1/issuers` for super admins, and for anyone the document that tells whose tokens are taken (RFC 9728).

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use super::answer::Answer;
use super::document::{self, Deleted, Ending, Managed, NotFound, Read, Rows};
use super::failure::Failure;
use super::lists::{Asked, id};
use super::request::Call;
use crate::accounts::Refusal;
use crate::accounts::return_to::is_loopback;
use crate::clock::UnixMs;
use crate::database::DenialRow;
use crate::decision::issuer::METADATA_PATH;
use crate::id::Id;
use crate::issuers::{Issuer as Configured, KeySource};
use crate::token::denials::Denied;

/// What stands in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct ByName {
    /// As in the configuration.
    #[param(pattern = "^[a-z0-9-]{1,32}$")]
    name: String,
}

/// What stands in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct ByNameAndId {
    /// As in the configuration.
    #[param(pattern = "^[a-z0-9-]{1,32}$")]
    name: String,
    /// The denial's id.
    #[param(value_type = Id)]
    id: Id,
}

/// Which resource.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct ByPath {
    /// The path of the resource, as in its address, with its slashes.
    path: String,
}

/// An issuer whose tokens rules may take.
#[derive(Serialize, ToSchema)]
struct Issuer {
    name: String,
    /// The `iss` of its tokens.
    issuer: String,
    audiences: Vec<String>,
    /// How many of its keys are known; null = none were fetched yet.
    keys: Option<usize>,
}

#[derive(Serialize, ToSchema)]
struct Issuers {
    issuers: Vec<Issuer>,
}

/// What to deny: one of the first two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deny {
    /// One token, by its `jti`.
    jti: Option<String>,
    /// Whoever tokens are about, by their `sub`.
    sub: Option<String>,
    /// To when, Unix seconds; until it is lifted where nothing is said. Of a token, its `exp` is long enough.
    until: Option<u64>,
}

/// What is denied.
#[derive(Serialize, ToSchema)]
struct Denial {
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// Unix seconds; null = until it is lifted.
    until: Option<u64>,
    /// Unix seconds.
    created_at: u64,
}

#[derive(Serialize, ToSchema)]
struct OneDenial {
    denial: Denial,
}

#[derive(Serialize, ToSchema)]
struct Denials {
    denials: Vec<Denial>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// Whose tokens a resource takes (RFC 9728 §2).
#[derive(Serialize, ToSchema)]
struct Metadata {
    /// The resource, as its clients know it.
    resource: String,
    /// Whose tokens it takes.
    authorization_servers: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
}

/// List the issuers whose tokens rules may take.
#[utoipa::path(get, path = "/v1/issuers", tag = document::INSTALLATION, security(("login" = [])),
    responses((status = 200, description = "Every issuer of the configuration.", body = Issuers), Managed))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    admin.accounts.super_admins_only(&caller)?;
    let shown = |(one, keys): (&Configured, Option<usize>)| Issuer {
        name: one.name.clone(),
        issuer: one.issuer.clone(),
        audiences: one.audiences.clone(),
        keys,
    };
    Ok(Answer::ok(Issuers { issuers: admin.issuers.settings().zip(admin.issuers.key_counts()).map(shown).collect() }))
}

/// Deny a token of another issuer, or everybody's tokens that are about one subject.
///
/// From the answer on they are refused like an ended token of one's own. What is denied already is denied to the new time.
#[utoipa::path(post, path = "/v1/issuers/{name}/denials", tag = document::INSTALLATION, security(("login" = [])), params(ByName),
    request_body = Deny,
    responses((status = 200, description = "The denial.", body = OneDenial), Ending, Managed, NotFound))]
pub(super) async fn deny(State(admin): State<Arc<Admin>>, Path(name): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let body: Deny = call.json()?;
    let what = match (body.jti, body.sub) {
        (Some(jti), None) => (Denied::Token, jti),
        (None, Some(sub)) => (Denied::Subject, sub),
        (Some(_), Some(_)) => return Err(Failure::invalid("`sub`: `jti` or `sub`, not both")),
        (None, None) => return Err(Failure::invalid("`jti`: `jti` or `sub` is needed")),
    };
    let until = body.until.map(|seconds| UnixMs(seconds.saturating_mul(1000)));
    if until.is_some_and(|until| until.0 > LATEST_MS) {
        return Err(Failure::invalid("`until`: too far ahead; leave it out to deny for good"));
    }
    let issuer = admin.issuer(&caller, &name)?;
    let (row, act) = admin.accounts.deny(&caller, issuer, what, until, call.origin).await?;
    Ok(admin.ended(act, strict, OneDenial { denial: shown(&row) }).await)
}

/// The year 9999.
const LATEST_MS: u64 = 253_402_300_799_000;

/// List the denials of an issuer that stand, oldest first.
#[utoipa::path(get, path = "/v1/issuers/{name}/denials", tag = document::INSTALLATION, security(("login" = [])), params(ByName, Rows),
    responses((status = 200, description = "A page of denials.", body = Denials), Managed, NotFound))]
pub(super) async fn denials(State(admin): State<Arc<Admin>>, Path(name): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let issuer = admin.issuer(&caller, &name)?;
    let rows = admin.accounts.list_denials(&caller, issuer, asked.page).await?;
    let (denials, next_cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), shown);
    Ok(Answer::ok(Denials { denials, next_cursor }))
}

/// Lift a denial: from here on the issuer's word counts again.
#[utoipa::path(delete, path = "/v1/issuers/{name}/denials/{id}", tag = document::INSTALLATION, security(("login" = [])),
    params(ByNameAndId), responses((status = 200, description = "Lifted.", body = Deleted), Ending, Managed, NotFound))]
pub(super) async fn lift(
    State(admin): State<Arc<Admin>>,
    Path((name, denial)): Path<(String, String)>,
    call: Call,
) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let issuer = admin.issuer(&caller, &name)?;
    let act = admin.accounts.lift_denial(&caller, issuer, id(&denial)?, call.origin).await?;
    Ok(admin.ended(act, strict, Deleted::YES).await)
}

/// Whose tokens are taken at the host that is asked.
///
/// RFC 9728. `resource` is the first audience of an issuer that is an address of this host, else the host's first page.
/// 404 where no other issuer's tokens are taken.
#[utoipa::path(get, path = "/.well-known/oauth-protected-resource", tag = document::EXCHANGE,
    responses((status = 200, description = "The document.", body = Metadata), Read, NotFound))]
pub(super) async fn metadata(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let origin = origin(&call).ok_or(Refusal::NotFound)?;
    let of_here = |audience: &&String| audience.strip_prefix(&origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let named = admin.issuers.settings().flat_map(|issuer| &issuer.audiences).find(of_here);
    let takes = |issuer: &&Configured| named.is_none_or(|named| issuer.audiences.contains(named));
    answered(&admin, named.cloned().unwrap_or(origin), takes)
}

/// Whose tokens are taken at one path of the host that is asked, where that is an audience.
///
/// RFC 9728 §3.1: the path may have slashes.
#[utoipa::path(get, path = "/.well-known/oauth-protected-resource/{*path}", tag = document::EXCHANGE, params(ByPath),
    responses((status = 200, description = "The document.", body = Metadata), Read, NotFound))]
pub(super) async fn metadata_of(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let path = call.target().split('?').next().and_then(|path| path.strip_prefix(METADATA_PATH)).unwrap_or_default();
    let resource = origin(&call).map(|origin| format!("{origin}{path}")).ok_or(Refusal::NotFound)?;
    if !admin.issuers.settings().any(|issuer| issuer.audiences.contains(&resource)) {
        return Err(Refusal::NotFound.into());
    }
    answered(&admin, resource.clone(), |issuer| issuer.audiences.contains(&resource))
}

fn answered(admin: &Admin, resource: String, takes: impl Fn(&&Configured) -> bool) -> Result<Answer, Failure> {
    // whoever has no address cannot be asked for a token
    let is_address = |issuer: &&Configured| matches!(issuer.keys, KeySource::Discovery) || issuer.issuer.contains("://");
    let authorization_servers: Vec<_> =
        admin.issuers.settings().filter(is_address).filter(takes).map(|issuer| issuer.issuer.clone()).collect();
    if authorization_servers.is_empty() {
        return Err(Refusal::NotFound.into());
    }
    Ok(Answer::plain(Metadata { resource, authorization_servers, bearer_methods_supported: ["header"] }))
}

/// The origin that was asked for: by TLS, but on this machine.
fn origin(call: &Call) -> Option<String> {
    let host = call.host()?;
    // with its port, which names another resource
    let authority = call.header("host").ok()??.to_ascii_lowercase();
    Some(format!("{}://{authority}", if is_loopback(&host) { "http" } else { "https" }))
}

impl Admin {
    /// What an issuer of the configuration calls itself; told to super admins only.
    pub(super) fn issuer(&self, caller: &crate::accounts::sessions::Caller, name: &str) -> Result<&str, Failure> {
        self.accounts.super_admins_only(caller)?;
        let found = self.issuers.settings().find(|issuer| issuer.name == name);
        Ok(&found.ok_or(Refusal::NotFound)?.issuer)
    }
}

fn shown(row: &DenialRow) -> Denial {
    let value = |denied| (row.denied == denied).then(|| row.value.clone());
    Denial {
        id: row.id,
        jti: value(Denied::Token),
        sub: value(Denied::Subject),
        until: row.until.map(UnixMs::seconds),
        created_at: row.created_at.seconds(),
    }
}
