//! Admins, clients and sub-clients: `/v1/admins`, `/v1/clients`, `/v1/sub-clients`.
//!
//! The three differ in the role alone, so they are written once.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use super::answer::Answer;
use super::document::{self, Deleted, Ending, Forbidden, Managed, NotFound, Rows};
use super::failure::Failure;
use super::lists::{Asked, id, ids};
use super::request::{Call, scope_names};
use crate::accounts::Refusal;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::accounts::principals::{Change, NewOne};
use crate::database::NameKind;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::terms::Terms;

/// A principal to make: exactly one of `user`, `email`, `phone`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreatePrincipal {
    /// User name.
    user: Option<String>,
    /// E-mail address.
    email: Option<String>,
    /// Phone number.
    phone: Option<String>,
    /// Without it, it logs in otherwise or not at all.
    password: Option<String>,
    /// What it may do; without them whatever its parent may.
    #[schema(value_type = Option<Vec<Id>>)]
    policies: Option<Vec<String>>,
    /// Who stands above; without it the caller.
    #[schema(value_type = Option<Id>)]
    parent: Option<String>,
    /// What is agreed about it.
    #[serde(default)]
    terms: Terms,
}

/// What to change of a principal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePrincipal {
    /// Blocks or lets in again: it and everyone below.
    blocked: Option<bool>,
    /// In place of those attached; from here on it may do exactly what they allow.
    #[schema(value_type = Option<Vec<Id>>)]
    policies: Option<Vec<String>>,
    /// In place of what is agreed about it.
    terms: Option<Terms>,
}

/// A principal.
#[derive(Serialize, ToSchema)]
struct Principal {
    uid: Id,
    /// User name, verified e-mail or verified phone, otherwise the uid.
    name: String,
    role: &'static str,
    tenant: Id,
    /// Who stands above; null at the top of the tenant.
    parent: Option<Id>,
    policies: Vec<Id>,
    /// What it may do now; nothing where it or anyone above is blocked.
    scopes: Vec<String>,
    /// Whether it itself is blocked.
    blocked: bool,
    /// Unix seconds.
    created_at: u64,
    /// What is agreed about it.
    terms: Terms,
}

#[derive(Serialize, ToSchema)]
struct OnePrincipal {
    principal: Principal,
}

/// A principal and its first API key, shown once.
#[derive(Serialize, ToSchema)]
struct MadePrincipal {
    principal: Principal,
    /// `gpk_…`, or as `keys.prefix` says; absent where a phone number must be proved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    api_key: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Principals {
    principals: Vec<Principal>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// What stands in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct ByUid {
    /// Its uid.
    #[param(value_type = Id)]
    uid: Id,
}

async fn make(admin: &Admin, call: &Call, role: Role) -> Result<Answer, Failure> {
    let caller = call.caller(admin).await?;
    let body: CreatePrincipal = call.json()?;
    let named = [(NameKind::User, body.user), (NameKind::Email, body.email), (NameKind::Phone, body.phone)];
    let named: Vec<(NameKind, String)> = named.into_iter().filter_map(|(kind, text)| Some((kind, text?))).collect();
    let [(kind, text)] = named.as_slice() else { return Err(Failure::invalid("exactly one of `user`, `email`, `phone`")) };
    let new = NewOne {
        role,
        name: Name::given(*kind, text)?,
        password: body.password.map(|password| Password::new("password", &password)).transpose()?,
        policies: body.policies.as_deref().map(|list| ids("policies", list)).transpose()?,
        parent: body.parent.map(|uid| uid.parse().map_err(|_| Refusal::field("parent", "not an id"))).transpose()?,
        terms: body.terms,
    };
    let (made, api_key, act) = admin.accounts.create_principal(&caller, new, call.origin).await?;
    admin.accounts.propagate(act).await;
    let api_key = api_key.map(|api_key| api_key.reveal().to_owned());
    Ok(Answer::created(MadePrincipal { principal: shown(&made), api_key }))
}

async fn show_page(admin: &Admin, call: &Call, role: Role) -> Result<Answer, Failure> {
    let caller = call.caller(admin).await?;
    let asked = Asked::read(call)?;
    let rows = admin.accounts.list_principals(&caller, role, asked.page).await?;
    let (principals, next_cursor) = asked.page_of(&rows, |one| (one.row.created_at, one.row.uid), shown);
    Ok(Answer::ok(Principals { principals, next_cursor }))
}

async fn show_one(admin: &Admin, call: &Call, role: Role, uid: &str) -> Result<Answer, Failure> {
    let caller = call.caller(admin).await?;
    Ok(Answer::ok(OnePrincipal { principal: shown(&admin.accounts.principal(&caller, role, id(uid)?).await?) }))
}

async fn change_one(admin: &Admin, call: &Call, role: Role, uid: &str) -> Result<Answer, Failure> {
    let caller = call.caller(admin).await?;
    let strict = call.strict()?;
    let body: ChangePrincipal = call.json()?;
    let policies = body.policies.as_deref().map(|list| ids("policies", list)).transpose()?;
    let change = Change { blocked: body.blocked, policies, terms: body.terms };
    let (changed, act) = admin.accounts.change_principal(&caller, role, id(uid)?, change, call.origin).await?;
    Ok(admin.ended(act, strict, OnePrincipal { principal: shown(&changed) }).await)
}

async fn end_one(admin: &Admin, call: &Call, role: Role, uid: &str) -> Result<Answer, Failure> {
    let caller = call.caller(admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.end_principal(&caller, role, id(uid)?, call.origin).await?;
    Ok(admin.ended(act, strict, Deleted::YES).await)
}

fn shown(one: &crate::accounts::principals::Principal) -> Principal {
    let row = &one.row;
    Principal {
        uid: row.uid,
        name: row.name.clone(),
        role: row.role.as_str(),
        tenant: row.tenant,
        parent: row.parent,
        policies: row.policies.clone(),
        scopes: scope_names(&one.effective),
        blocked: row.blocked,
        created_at: row.created_at.seconds(),
        terms: row.terms.clone(),
    }
}

/// The routes of one role.
macro_rules! routes_of {
    ($module:ident, $role:expr, $collection:tt, $item:tt) => {
        pub(super) mod $module {
            use super::*;

            /// Make one below the caller.
            ///
            /// Its first API key is shown once.
            #[utoipa::path(post, path = $collection, tag = document::MANAGEMENT, security(("login" = [])), request_body = CreatePrincipal,
                responses((status = 201, description = "The principal and its key.", body = MadePrincipal), Managed, Forbidden, NotFound))]
            pub(in super::super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
                make(&admin, &call, $role).await
            }

            /// List those below the caller.
            ///
            /// Oldest first; a super admin sees those of every tenant.
            #[utoipa::path(get, path = $collection, tag = document::MANAGEMENT, security(("login" = [])), params(Rows),
                responses((status = 200, description = "A page of principals.", body = Principals), Managed, Forbidden))]
            pub(in super::super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
                show_page(&admin, &call, $role).await
            }

            /// Show one: oneself, or someone below.
            #[utoipa::path(get, path = $item, tag = document::MANAGEMENT, security(("login" = [])), params(ByUid),
                responses((status = 200, description = "The principal.", body = OnePrincipal), Managed, NotFound))]
            pub(in super::super) async fn get(State(admin): State<Arc<Admin>>, Path(uid): Path<String>, call: Call) -> Result<Answer, Failure> {
                show_one(&admin, &call, $role, &uid).await
            }

            /// Block, let in again, or replace the policies of someone below, or what is agreed about them.
            #[utoipa::path(patch, path = $item, tag = document::MANAGEMENT, security(("login" = [])), params(ByUid),
                request_body = ChangePrincipal,
                responses((status = 200, description = "The principal.", body = OnePrincipal), Ending, Managed, Forbidden, NotFound))]
            pub(in super::super) async fn change(State(admin): State<Arc<Admin>>, Path(uid): Path<String>, call: Call) -> Result<Answer, Failure> {
                change_one(&admin, &call, $role, &uid).await
            }

            /// End someone below, and with it everyone further down; its names are never given again.
            #[utoipa::path(delete, path = $item, tag = document::MANAGEMENT, security(("login" = [])), params(ByUid),
                responses((status = 200, description = "Ended.", body = Deleted), Ending, Managed, Forbidden, NotFound))]
            pub(in super::super) async fn end(State(admin): State<Arc<Admin>>, Path(uid): Path<String>, call: Call) -> Result<Answer, Failure> {
                end_one(&admin, &call, $role, &uid).await
            }
        }
    };
}

routes_of!(admins, Role::Admin, "/v1/admins", "/v1/admins/{uid}");
routes_of!(clients, Role::Client, "/v1/clients", "/v1/clients/{uid}");
routes_of!(sub_clients, Role::SubClient, "/v1/sub-clients", "/v1/sub-clients/{uid}");
