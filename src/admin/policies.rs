//! Policies: `/v1/policies`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Deleted, Ending, InTenant, Managed, NotFound, Rows};
use super::failure::Failure;
use super::lists::{Asked, id, tenant};
use super::request::{Call, scope_list, scope_names};
use crate::accounts::policies::Said;
use crate::database::PolicyRow;
use crate::id::Id;
use crate::token::terms::LimitText;

/// What a policy says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WritePolicy {
    /// Unique in its tenant.
    name: String,
    /// What it gives; all of it held by whoever writes it.
    allow: Vec<String>,
    /// What it takes, whatever else gives it.
    deny: Option<Vec<String>>,
    /// How much may pass; without it, no limit.
    limit: Option<LimitText>,
}

/// A policy.
#[derive(Serialize, ToSchema)]
struct Policy {
    id: Id,
    name: String,
    allow: Vec<String>,
    deny: Vec<String>,
    /// How much may pass; without it, no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<LimitText>,
    /// Grows with every change.
    version: u64,
}

#[derive(Serialize, ToSchema)]
struct OnePolicy {
    policy: Policy,
}

#[derive(Serialize, ToSchema)]
struct Policies {
    policies: Vec<Policy>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// Make a policy for one's tenant.
#[utoipa::path(post, path = "/v1/policies", tag = document::MANAGEMENT, security(("login" = [])), params(InTenant), request_body = WritePolicy,
    responses((status = 201, description = "The policy.", body = OnePolicy), Managed, NotFound))]
pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let (of, said) = (tenant(&call)?, said(&call)?);
    let (policy, act) = admin.accounts.create_policy(&caller, said, of, call.origin).await?;
    admin.accounts.propagate(act).await;
    Ok(Answer::created(OnePolicy { policy: shown(&policy) }))
}

/// List the policies of one's tenant, oldest first.
#[utoipa::path(get, path = "/v1/policies", tag = document::MANAGEMENT, security(("login" = [])), params(Rows, InTenant),
    responses((status = 200, description = "A page of policies.", body = Policies), Managed, NotFound))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let rows = admin.accounts.list_policies(&caller, tenant(&call)?, asked.page).await?;
    let (policies, next_cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), shown);
    Ok(Answer::ok(Policies { policies, next_cursor }))
}

/// Replace what a policy says; whoever it is attached to follows at the next check.
///
/// Refused where it is attached to anyone who is not below the caller.
#[utoipa::path(put, path = "/v1/policies/{id}", tag = document::MANAGEMENT, security(("login" = [])), params(ById), request_body = WritePolicy,
    responses((status = 200, description = "The policy.", body = OnePolicy), Ending, Managed, NotFound))]
pub(super) async fn change(State(admin): State<Arc<Admin>>, Path(policy): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let said = said(&call)?;
    let (policy, act) = admin.accounts.change_policy(&caller, id(&policy)?, said, call.origin).await?;
    Ok(admin.ended(act, strict, OnePolicy { policy: shown(&policy) }).await)
}

/// End a policy: it gives and takes nothing any more.
///
/// Refused where it is attached to anyone who is not below the caller.
#[utoipa::path(delete, path = "/v1/policies/{id}", tag = document::MANAGEMENT, security(("login" = [])), params(ById),
    responses((status = 200, description = "Ended.", body = Deleted), Ending, Managed, NotFound))]
pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(policy): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.end_policy(&caller, id(&policy)?, call.origin).await?;
    Ok(admin.ended(act, strict, Deleted::YES).await)
}

fn said(call: &Call) -> Result<Said, Failure> {
    let body: WritePolicy = call.json()?;
    let deny = body.deny.unwrap_or_default();
    Ok(Said { name: body.name, allow: scope_list("allow", &body.allow)?, deny: scope_list("deny", &deny)?, limit: body.limit })
}

fn shown(policy: &PolicyRow) -> Policy {
    Policy {
        id: policy.id,
        name: policy.name.clone(),
        allow: scope_names(&policy.allow),
        deny: scope_names(&policy.deny),
        limit: policy.terms.limit.clone(),
        version: policy.version,
    }
}
