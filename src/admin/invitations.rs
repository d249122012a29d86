//! Invitations: `/v1/invitations`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Deleted, Ending, Managed, NotFound, Paging};
use super::failure::Failure;
use super::lists::{Asked, id, ids};
use super::request::{Call, scopes};
use crate::accounts::Refusal;
use crate::accounts::invitations::NewInvitation;
use crate::database::InvitationRow;
use crate::id::Id;
use crate::token::record::Role;

/// Whom to invite, and what to grant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    /// `admin`, `client`, `sub_client` or `end_user`, below the inviter's own.
    #[schema(example = "client")]
    role: String,
    /// What it grants directly; without scopes and policies whatever the inviter may do.
    scopes: Option<Vec<String>>,
    /// The policies it attaches.
    #[schema(value_type = Option<Vec<Id>>)]
    policies: Option<Vec<String>>,
    /// Seconds until it runs out, at most 90 days; default 7 days.
    expires_in: Option<u64>,
}

/// An invitation; never its code.
#[derive(Serialize, ToSchema)]
struct Invitation {
    id: Id,
    role: &'static str,
    /// Unix seconds.
    expires_at: u64,
}

/// An invitation and its code, shown once.
#[derive(Serialize, ToSchema)]
struct InvitationAndCode {
    invitation: Invitation,
    /// `gpi_…`, good for one sign-up.
    code: String,
}

#[derive(Serialize, ToSchema)]
struct Invitations {
    invitations: Vec<Invitation>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// Invite someone into one's tenant, below oneself.
#[utoipa::path(post, path = "/v1/invitations", tag = document::MANAGEMENT, security(("login" = [])), request_body = Invite,
    responses((status = 201, description = "The invitation and its code.", body = InvitationAndCode), Managed, NotFound))]
pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: Invite = call.json()?;
    let role = invited_as(&body.role)?;
    let new = NewInvitation {
        role,
        scopes: body.scopes.as_deref().map(scopes).transpose()?,
        policies: body.policies.as_deref().map(|list| ids("policies", list)).transpose()?,
        expires_in: body.expires_in.map(Duration::from_secs),
    };
    let (invitation, code, act) = admin.accounts.invite(&caller, new, call.origin).await?;
    admin.accounts.propagate(act).await;
    Ok(Answer::created(InvitationAndCode { invitation: shown(&invitation), code: code.reveal().to_owned() }))
}

/// Whom one can be invited as.
const INVITED: [Role; 4] = [Role::Admin, Role::Client, Role::SubClient, Role::EndUser];

/// The role of this name, if one can be invited as it.
pub(super) fn invited_as(name: &str) -> Result<Role, Failure> {
    let role = Role::from_name(name).filter(|role| INVITED.contains(role));
    Ok(role.ok_or_else(|| Refusal::field("role", "one of admin, client, sub_client, end_user"))?)
}

/// List open invitations: neither used, nor withdrawn, nor run out.
///
/// The caller's own, oldest first; with `principal` those of someone below.
#[utoipa::path(get, path = "/v1/invitations", tag = document::MANAGEMENT, security(("login" = [])), params(Paging),
    responses((status = 200, description = "A page of invitations.", body = Invitations), Managed, NotFound))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let rows = admin.accounts.list_invitations(&caller, asked.of, asked.page).await?;
    let (invitations, next_cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), shown);
    Ok(Answer::ok(Invitations { invitations, next_cursor }))
}

/// Withdraw an invitation.
#[utoipa::path(delete, path = "/v1/invitations/{id}", tag = document::MANAGEMENT, security(("login" = [])), params(ById),
    responses((status = 200, description = "Withdrawn.", body = Deleted), Ending, Managed, NotFound))]
pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(invitation): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.end_invitation(&caller, id(&invitation)?, call.origin).await?;
    Ok(admin.ended(act, strict, Deleted::YES).await)
}

fn shown(row: &InvitationRow) -> Invitation {
    Invitation { id: row.id, role: row.role.as_str(), expires_at: row.expires_at.seconds() }
}
