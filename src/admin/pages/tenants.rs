//! `/console/tenants`: every tenant, for super admins.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::html;

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::lists::{Asked, id};
use super::super::request::Call;
use super::visit::{Trouble, Visit, acted, shown};
use super::{Page, parts};
use crate::database::TenantRow;

const PATH: &str = "/console/tenants";

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn block(State(admin): State<Arc<Admin>>, Path(tenant): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &tenant, try_set(&tenant, true), list())
}

pub(super) async fn unblock(State(admin): State<Arc<Admin>>, Path(tenant): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &tenant, try_set(&tenant, false), list())
}

async fn try_set(visit: &Visit<'_>, _: &Form, tenant: &str, blocked: bool) -> Result<Answer, Failure> {
    let (_, act) = visit.admin.accounts.change_tenant(&visit.caller, id(tenant)?, blocked, visit.call.origin).await?;
    Ok(visit.done(act, PATH, if blocked { "blocked" } else { "unblocked" }).await)
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let asked = Asked::read(visit.call)?;
    let rows = visit.admin.accounts.list_tenants(&visit.caller, asked.page).await?;
    let (tenants, cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), TenantRow::clone);
    let now = visit.now();
    let own = visit.caller.standing.subject.tenant;
    let rows: Vec<_> = tenants
        .iter()
        .map(|tenant| {
            let (what, label) = if tenant.blocked { ("unblock", "Let in again") } else { ("block", "Block") };
            let action = format!("{PATH}/{}/{what}", tenant.id);
            let button = html! { button.second aria-label={ (label) " " (tenant.name) } { (label) } };
            vec![
                html! { (tenant.name) @if tenant.id == own { " " span.chip.good { "yours" } } @if tenant.blocked { " " span.chip.bad { "blocked" } } },
                html! { code { (tenant.id) } },
                parts::time(now, tenant.created_at),
                html! { @if tenant.id != own { (visit.form(&action, &tenant.id.to_string(), trouble, button)) } },
            ]
        })
        .collect();
    let body = html! {
        p.quiet { "The id is the value of " code { "tenants:" } " in a rule. Blocking refuses everyone in a tenant." }
        div.card { (parts::table("Tenants", &["Name", "Id", "Since", ""], &rows)) }
        (parts::more(&visit.path(PATH), cursor.as_deref()))
    };
    Ok(visit.page(PATH, "Tenants", body))
}
