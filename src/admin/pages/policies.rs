//! `/console/policies`: named sets of scopes, made and changed.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::lists::{Asked, id, tenant};
use super::super::request::Call;
use super::limits;
use super::visit::{Trouble, Visit, acted, scopes_of, shown};
use super::{Page, parts};
use crate::accounts::Refusal;
use crate::accounts::policies::Said;
use crate::database::{Page as Part, PolicyRow};
use crate::id::Id;
use crate::token::record::Role;

const PATH: &str = "/console/policies";
/// Most policies that a form offers besides those that are attached.
const OFFERED: u32 = 200;

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "create", try_create(), list())
}

pub(super) async fn change(State(admin): State<Arc<Admin>>, Path(policy): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &format!("change-{policy}"), try_change(&policy), list())
}

pub(super) async fn delete(State(admin): State<Arc<Admin>>, Path(policy): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &format!("delete-{policy}"), try_delete(&policy), list())
}

async fn try_create(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let of = tenant(visit.call)?;
    let (_, act) = visit.admin.accounts.create_policy(&visit.caller, said(fields)?, of, visit.call.origin).await?;
    Ok(visit.done(act, PATH, "policy-made").await)
}

async fn try_change(visit: &Visit<'_>, fields: &Form, policy: &str) -> Result<Answer, Failure> {
    let (_, act) = visit.admin.accounts.change_policy(&visit.caller, id(policy)?, said(fields)?, visit.call.origin).await?;
    Ok(visit.done(act, PATH, "policy-changed").await)
}

async fn try_delete(visit: &Visit<'_>, _: &Form, policy: &str) -> Result<Answer, Failure> {
    let act = visit.admin.accounts.end_policy(&visit.caller, id(policy)?, visit.call.origin).await?;
    Ok(visit.done(act, PATH, "policy-deleted").await)
}

fn said(fields: &Form) -> Result<Said, Failure> {
    let (allow, deny) = (scopes_of(fields, "allow")?, scopes_of(fields, "deny")?);
    Ok(Said {
        name: fields.get("name").unwrap_or_default().to_owned(),
        allow: allow.unwrap_or_default(),
        deny: deny.unwrap_or_default(),
        limit: limits::said(fields)?,
    })
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let asked = Asked::read(visit.call)?;
    let rows = visit.admin.accounts.list_policies(&visit.caller, tenant(visit.call)?, asked.page).await?;
    let (policies, cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), PolicyRow::clone);
    let is_admin = visit.caller.standing.is_admin();
    let body = html! {
        p.quiet { "A policy gives scopes and takes scopes. It is attached to people; a change reaches their live tokens at the next check." }
        @if is_admin && policies.len() > 1 { p { a.button.second href="#new" { "A new policy" } } }
        @if policies.is_empty() { (parts::empty("There is no policy yet.")) }
        @for policy in &policies { (card(visit, trouble, policy, is_admin)) }
        (parts::more(&visit.path(PATH), cursor.as_deref()))
        @if is_admin {
            section.card #new {
                h2 { "A new policy" }
                (visit.form(PATH, "create", trouble, html! {
                    (fields(|field| Trouble::was(trouble, "create", field).to_owned()))
                    button { "Make the policy" }
                }))
            }
        }
    };
    Ok(visit.page(PATH, "Policies", body))
}

fn card(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, policy: &PolicyRow, is_admin: bool) -> Markup {
    let id = policy.id;
    let stands = |field: &str| match field {
        "name" => policy.name.clone(),
        "allow" => policy.allow.to_string(),
        "deny" => policy.deny.to_string(),
        _ => limits::field(policy.terms.limit.as_ref(), field),
    };
    let change = html! {
        (fields(|field| Trouble::was_or(trouble, &format!("change-{id}"), field, stands(field))))
        button { "Change the policy" }
    };
    let delete = html! { p { "Whoever has it loses what it gives, and is rid of what it takes." } button.bad { "Delete for good" } };
    html! {
        article.card {
            div.lead { h2 { (policy.name) } code.quiet { (id) } }
            dl {
                dt { "Gives" } dd { (parts::scopes(&policy.allow, "nothing")) }
                dt { "Takes" } dd { (parts::scopes(&policy.deny, "nothing")) }
                @if let Some(limit) = &policy.terms.limit { dt { "Limit" } dd { (limits::in_words(limit)) } }
                @if policy.tenant != visit.caller.standing.subject.tenant { dt { "Tenant" } dd { code { (policy.tenant) } } }
            }
            @if is_admin {
                (visit.folded("Change…", &format!("{PATH}/{id}/change"), &format!("change-{id}"), trouble, change))
                (visit.folded("Delete…", &format!("{PATH}/{id}/delete"), &format!("delete-{id}"), trouble, delete))
            }
        }
    }
}

fn fields(value: impl Fn(&str) -> String) -> Markup {
    html! {
        label { "Name" input name="name" value=(value("name")) maxlength="100" autocomplete="off" required; }
        (parts::scopes_field("Gives", "scopes with spaces between", "allow", &value("allow")))
        (parts::scopes_field("Takes", "whatever else gives them", "deny", &value("deny")))
        (limits::fields(value))
    }
}

/// The policies that a form offers.
pub(super) struct Offered {
    pub(super) policies: Vec<PolicyRow>,
    /// Whether there are more than it offers.
    more: bool,
}

impl Offered {
    /// Those of `tenant` that the visitor may attach, after all that are `attached` already: what a form does not show, it would take away.
    pub(super) async fn of(visit: &Visit<'_>, tenant: Id, attached: &[Id]) -> Result<Self, Failure> {
        let mut policies = visit.admin.accounts.database().live_policies(attached).await.map_err(Refusal::from)?;
        // who makes nobody sees no policies, and may invite all the same
        if !visit.caller.standing.outranks(Role::SubClient) {
            return Ok(Self { policies, more: false });
        }
        let page = Part { after: None, limit: OFFERED + 1 };
        let rows = visit.admin.accounts.list_policies(&visit.caller, Some(tenant), page).await?;
        let more = rows.len() > OFFERED as usize;
        policies.extend(rows.into_iter().take(OFFERED as usize).filter(|row| !attached.contains(&row.id)));
        Ok(Self { policies, more })
    }

    /// A box for each in `form`, ticked where it was or, where it is not shown again, where it `stands` so.
    pub(super) fn boxes(&self, trouble: Option<&Trouble<'_>>, form: &str, stands: impl Fn(Id) -> bool) -> Markup {
        html! {
            fieldset {
                legend { "Policies" }
                @if self.policies.is_empty() { span.quiet { "There is no policy yet." } }
                @for policy in &self.policies {
                    @let name = format!("policy-{}", policy.id);
                    label.tick {
                        input type="checkbox" name=(name) checked[Trouble::ticked_or(trouble, form, &name, stands(policy.id))];
                        span { (policy.name) " " span.quiet { (policy.allow.to_string()) } }
                    }
                }
                @if self.more { span.quiet { "Only the oldest " (OFFERED) " are offered here; by the API any can be attached." } }
            }
        }
    }
}

/// The policies whose boxes are ticked.
pub(super) fn ticked(fields: &Form) -> Result<Vec<Id>, Failure> {
    fields.ticked("policy-").map(id).collect()
}
