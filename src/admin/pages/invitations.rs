//! `/console/invitations`: whom one has invited, and inviting.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::invitations::invited_as;
use super::super::lists::{Asked, id};
use super::super::request::Call;
use super::super::{Admin, browser};
use super::frame::role;
use super::names::Names;
use super::policies::{self, Offered};
use super::visit::{Trouble, Visit, acted, scopes_of, seconds_of, shown};
use super::{Page, parts, secret};
use crate::accounts::invitations::NewInvitation;
use crate::database::InvitationRow;
use crate::token::record::Role;

const PATH: &str = "/console/invitations";
const LIVES: [(&str, &str); 4] = [("604800", "7 days"), ("86400", "1 day"), ("2592000", "30 days"), ("7776000", "90 days")];

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "create", try_create(), list())
}

pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(invitation): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &invitation, try_end(&invitation), list())
}

async fn try_create(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let attached = policies::ticked(fields)?;
    let new = NewInvitation {
        role: invited_as(fields.get("role").unwrap_or_default())?,
        scopes: scopes_of(fields, "scopes")?,
        policies: (!attached.is_empty()).then_some(attached),
        expires_in: seconds_of(fields, "expires_in")?,
    };
    let (invitation, code, act) = visit.admin.accounts.invite(&visit.caller, new, visit.call.origin).await?;
    visit.admin.accounts.propagate(act).await;
    let body = html! {
        div.card {
            p { "Give this code to whom you invite. It is shown this once, and good for one sign-up as " strong { (role(invitation.role)) } "." }
            div.row { (secret::shown("code", code.reveal())) }
            p { "They sign up at " code { (browser::own_address(visit.admin, visit.call)) "/signup" } " and fill it in there." }
            p { a.button href=(visit.path(PATH)) { "I have copied it" } }
        }
    };
    Ok(visit.page(PATH, "The invitation", body).answer())
}

async fn try_end(visit: &Visit<'_>, _: &Form, invitation: &str) -> Result<Answer, Failure> {
    let act = visit.admin.accounts.end_invitation(&visit.caller, id(invitation)?, visit.call.origin).await?;
    Ok(visit.done(act, &visit.with_whose(PATH)?, "invitation-ended").await)
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let asked = Asked::read(visit.call)?;
    let rows = visit.admin.accounts.list_invitations(&visit.caller, asked.of, asked.page).await?;
    let (open, cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), InvitationRow::clone);
    let now = visit.now();
    let query = visit.with_whose("")?;
    let rows: Vec<_> = open
        .iter()
        .map(|row| {
            let button = html! { button.second aria-label={ "Withdraw invitation " (row.id) } { "Withdraw" } };
            vec![
                html! { (role(row.role)) },
                html! { code { (row.id) } },
                parts::time(now, row.created_at),
                parts::time(now, row.expires_at),
                visit.form(&format!("{PATH}/{}/end{query}", row.id), &row.id.to_string(), trouble, button),
            ]
        })
        .collect();
    let whose = Names::whose(visit, asked.of).await?;
    let body = html! {
        (whose)
        p.quiet { "Whoever signs up with an invitation joins the tenant of whoever invited them, below them." }
        @if rows.is_empty() { (parts::empty("No invitation is open.")) }
        @else { div.card { (parts::table("Open invitations", &["As", "Id", "Made", "Runs out", ""], &rows)) } }
        (parts::more(&visit.path(&visit.with_whose(PATH)?), cursor.as_deref()))
        (creation(visit, trouble).await?)
    };
    Ok(visit.page(PATH, "Invitations", body))
}

async fn creation(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Markup, Failure> {
    let standing = &visit.caller.standing;
    let roles: Vec<(&str, String)> = [Role::Client, Role::Admin, Role::SubClient, Role::EndUser]
        .into_iter()
        .filter(|role| standing.outranks(*role))
        .map(|one| (one.as_str(), role(one)))
        .collect();
    let roles: Vec<(&str, &str)> = roles.iter().map(|(value, text)| (*value, text.as_str())).collect();
    let offered = Offered::of(visit, standing.subject.tenant, &[]).await?;
    let was = |field| Trouble::was(trouble, "create", field);
    let fields = html! {
        (parts::choice("As", "role", was("role"), &roles))
        (parts::choice("Good for", "expires_in", was("expires_in"), &LIVES))
        (parts::scopes_field("Scopes", "with spaces between; neither scopes nor policies: whatever you may do", "scopes", was("scopes")))
        (offered.boxes(trouble, "create", |_| false))
        button { "Invite" }
    };
    Ok(html! { section.card { h2 { "Invite someone" } (visit.form(PATH, "create", trouble, fields)) } })
}
