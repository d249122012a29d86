//! API keys: `/v1/keys`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Deleted, Ending, Managed, NotFound, Paging};
use super::failure::Failure;
use super::lists::{Asked, id};
use super::request::{Call, scope_names, scopes};
use crate::accounts::Refusal;
use crate::accounts::keys::NewKey;
use crate::database::{KeyRow, WhichKeys};
use crate::id::Id;
use crate::token::terms::Terms;

/// A key to make.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct CreateKey {
    /// What its owner calls it.
    name: Option<String>,
    /// What it may do; without it all that its owner may.
    scopes: Option<Vec<String>>,
    /// Seconds until it ends by itself; without it never.
    expires_in: Option<u64>,
    /// Someone below the caller, whose key it then is.
    #[schema(value_type = Option<Id>)]
    principal: Option<String>,
    /// What is agreed about it; for whoever stands above its owner, and super admins.
    terms: Terms,
}

/// How to rotate.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct RotateKey {
    /// Seconds for which the old secret stays valid, at most 7 days; default 0.
    grace: Option<u64>,
}

/// New scopes of a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetScopes {
    scopes: Vec<String>,
}

/// A key; never its secret.
#[derive(Serialize, ToSchema)]
struct Key {
    id: Id,
    /// Whose.
    principal: Id,
    name: String,
    scopes: Vec<String>,
    /// Unix seconds.
    created_at: u64,
    /// Unix seconds; null = never.
    expires_at: Option<u64>,
    /// Unix seconds, roughly; null = never.
    last_used_at: Option<u64>,
    /// What is agreed about it.
    terms: Terms,
    /// Whether it was made elsewhere.
    imported: bool,
}

/// A key and its secret, shown once.
#[derive(Serialize, ToSchema)]
struct KeyAndSecret {
    key: Key,
    /// `gpk_…`, or as `keys.prefix` says.
    api_key: String,
}

/// Which keys of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
struct Which {
    /// Those alone that were made elsewhere.
    imported: Option<bool>,
    /// Those alone that were never used.
    unused: Option<bool>,
    /// For super admins: of everyone.
    everyone: Option<bool>,
}

/// Which keys are asked for, and whether everyone's.
pub(super) fn which(call: &Call, asked: &Asked) -> Result<(WhichKeys, bool), Failure> {
    let which = WhichKeys { of: asked.of, imported: call.flag("imported")?, unused: call.flag("unused")? };
    Ok((which, call.flag("everyone")?))
}

#[derive(Serialize, ToSchema)]
struct OneKey {
    key: Key,
}

#[derive(Serialize, ToSchema)]
struct Keys {
    keys: Vec<Key>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// Make an API key of one's own, or of someone below.
#[utoipa::path(post, path = "/v1/keys", tag = document::KEYS, security(("login" = [])), request_body = Option<CreateKey>,
    responses((status = 201, description = "The key and its secret.", body = KeyAndSecret), Managed, NotFound))]
pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: CreateKey = call.json_or_default()?;
    let new = NewKey {
        name: body.name,
        scopes: body.scopes.as_deref().map(scopes).transpose()?,
        expires_in: body.expires_in.map(Duration::from_secs),
        terms: body.terms,
    };
    let of = body.principal.map(|uid| uid.parse().map_err(|_| Refusal::field("principal", "not an id"))).transpose()?;
    let (key, secret, act) = admin.accounts.create_key(&caller, of, new, call.origin).await?;
    admin.accounts.propagate(act).await;
    Ok(Answer::created(KeyAndSecret { key: shown(&key), api_key: secret.reveal().to_owned() }))
}

/// List live API keys.
///
/// The caller's own, oldest first; with `principal` those of someone below. `imported=true&unused=true` reports keys that were made
/// elsewhere and that nobody has used since.
#[utoipa::path(get, path = "/v1/keys", tag = document::KEYS, security(("login" = [])), params(Paging, Which),
    responses((status = 200, description = "A page of keys.", body = Keys), Managed, NotFound))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let (which, everyone) = which(&call, &asked)?;
    let rows = admin.accounts.list_keys(&caller, which, everyone, asked.page).await?;
    let (keys, next_cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), shown);
    Ok(Answer::ok(Keys { keys, next_cursor }))
}

/// Give a key a new secret.
///
/// Its id and its tokens stay; the old secret stays valid for `grace`.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", tag = document::KEYS, security(("login" = [])), params(ById),
    request_body = Option<RotateKey>,
    responses((status = 200, description = "The key and its new secret.", body = KeyAndSecret), Ending, Managed, NotFound))]
pub(super) async fn rotate(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let body: RotateKey = call.json_or_default()?;
    let grace = Duration::from_secs(body.grace.unwrap_or(0));
    let (row, secret, act) =
        admin.accounts.keys(Some(caller.claims.sid)).rotate(&call.origin.by(caller.uid()), caller.reach(), id(&key)?, grace).await?;
    Ok(admin.ended(act, strict, KeyAndSecret { key: shown(&row), api_key: secret.reveal().to_owned() }).await)
}

/// Change what a key may do.
#[utoipa::path(put, path = "/v1/keys/{id}/scopes", tag = document::KEYS, security(("login" = [])), params(ById), request_body = SetScopes,
    responses((status = 200, description = "The key.", body = OneKey), Ending, Managed, NotFound))]
pub(super) async fn set_scopes(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let body: SetScopes = call.json()?;
    let wanted = scopes(&body.scopes)?;
    let (row, act) =
        admin.accounts.keys(Some(caller.claims.sid)).set_scopes(&call.origin.by(caller.uid()), caller.reach(), id(&key)?, &wanted).await?;
    Ok(admin.ended(act, strict, OneKey { key: shown(&row) }).await)
}

/// Replace what is agreed about a key.
///
/// By whoever stands above its owner, or a super admin: nobody agrees with themselves.
#[utoipa::path(put, path = "/v1/keys/{id}/terms", tag = document::KEYS, security(("login" = [])), params(ById), request_body = Terms,
    responses((status = 200, description = "The key.", body = OneKey), Ending, Managed, NotFound))]
pub(super) async fn set_terms(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let terms: Terms = call.json()?;
    let (row, act) = admin.accounts.set_key_terms(&caller, id(&key)?, |agreed| *agreed = terms, call.origin).await?;
    Ok(admin.ended(act, strict, OneKey { key: shown(&row) }).await)
}

/// Delete a key; its tokens end with it.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = document::KEYS, security(("login" = [])), params(ById),
    responses((status = 200, description = "Deleted.", body = Deleted), Ending, Managed, NotFound))]
pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.keys(Some(caller.claims.sid)).end(&call.origin.by(caller.uid()), caller.reach(), id(&key)?).await?;
    Ok(admin.ended(act, strict, Deleted::YES).await)
}

fn shown(key: &KeyRow) -> Key {
    Key {
        id: key.id,
        principal: key.principal,
        name: key.name.clone(),
        scopes: scope_names(&key.scopes),
        created_at: key.created_at.seconds(),
        expires_at: key.expires_at.map(|at| at.seconds()),
        last_used_at: key.last_used_at.map(|at| at.seconds()),
        terms: key.terms.clone(),
        imported: key.imported,
    }
}
