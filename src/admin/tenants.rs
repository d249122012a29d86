//! Tenants: `/v1/tenants`, for super admins.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Ending, Managed, NotFound, Rows};
use super::failure::Failure;
use super::lists::{Asked, id};
use super::request::Call;
use crate::database::TenantRow;
use crate::id::Id;

/// What to change of a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeTenant {
    /// Blocks or lets in again: everyone in it.
    blocked: bool,
}

/// A tenant.
#[derive(Serialize, ToSchema)]
struct Tenant {
    /// The value of `tenants:` in a rule and of `X-Auth-Tenant`.
    id: Id,
    name: String,
    blocked: bool,
}

#[derive(Serialize, ToSchema)]
struct OneTenant {
    tenant: Tenant,
}

#[derive(Serialize, ToSchema)]
struct Tenants {
    tenants: Vec<Tenant>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// List tenants, oldest first.
#[utoipa::path(get, path = "/v1/tenants", tag = document::INSTALLATION, security(("login" = [])), params(Rows),
    responses((status = 200, description = "A page of tenants.", body = Tenants), Managed))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let rows = admin.accounts.list_tenants(&caller, asked.page).await?;
    let (tenants, next_cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), shown);
    Ok(Answer::ok(Tenants { tenants, next_cursor }))
}

/// Block a tenant, or let it in again; never one's own.
#[utoipa::path(patch, path = "/v1/tenants/{id}", tag = document::INSTALLATION, security(("login" = [])), params(ById),
    request_body = ChangeTenant,
    responses((status = 200, description = "The tenant.", body = OneTenant), Ending, Managed, NotFound))]
pub(super) async fn change(State(admin): State<Arc<Admin>>, Path(tenant): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let body: ChangeTenant = call.json()?;
    let (tenant, act) = admin.accounts.change_tenant(&caller, id(&tenant)?, body.blocked, call.origin).await?;
    Ok(admin.ended(act, strict, OneTenant { tenant: shown(&tenant) }).await)
}

fn shown(row: &TenantRow) -> Tenant {
    Tenant { id: row.id, name: row.name.clone(), blocked: row.blocked }
}
