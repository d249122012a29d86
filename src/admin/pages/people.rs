//! `/console/people`: who stands below, as a tree; making people, and what is done to one.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::lists::id;
use super::super::request::Call;
use super::frame::role as said;
use super::policies::{self, Offered};
use super::visit::{Trouble, Visit, acted, shown};
use super::{Page, parts, secret};
use crate::accounts::Refusal;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::accounts::principals::{Change, NewOne, Principal};
use crate::database::Page as Part;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::terms::Terms;

const PATH: &str = "/console/people";
/// Most people of one role that the tree shows.
const SHOWN: u32 = 1000;
/// Who is made here, and what stands for the role in an address: as in the JSON routes.
const ROLES: [(Role, &str); 3] = [(Role::Client, "clients"), (Role::SubClient, "sub-clients"), (Role::Admin, "admins")];

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "create", try_create(), list())
}

pub(super) async fn show_one(State(admin): State<Arc<Admin>>, Path((role, uid)): Path<(String, String)>, call: Call) -> Answer {
    shown!(admin, call, one(&role, &uid))
}

pub(super) async fn change(State(admin): State<Arc<Admin>>, Path((role, uid, what)): Path<(String, String, String)>, call: Call) -> Answer {
    acted!(admin, call, &what, try_change(&role, &uid, &what), one(&role, &uid))
}

fn role_of(segment: &str) -> Result<Role, Failure> {
    let found = ROLES.into_iter().find(|(_, name)| *name == segment);
    Ok(found.map(|(role, _)| role).ok_or(Refusal::NotFound)?)
}

fn path_of(role: Role, uid: Id) -> String {
    let segment = ROLES.into_iter().find(|(other, _)| *other == role).map_or("", |(_, segment)| segment);
    format!("{PATH}/{segment}/{uid}")
}

async fn try_create(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let role = role_of(fields.get("role").unwrap_or_default())?;
    let parent = fields.get("parent").map(|uid| uid.parse().map_err(|_| Refusal::field("parent", "not an id"))).transpose()?;
    let new = NewOne {
        role,
        name: Name::of_basic(fields.need("name")?.trim())?,
        password: fields.get("password").map(|password| Password::new("password", password)).transpose()?,
        policies: (fields.get("may") == Some("these")).then(|| policies::ticked(fields)).transpose()?,
        parent,
        terms: Terms::default(),
    };
    let (made, api_key, act) = visit.admin.accounts.create_principal(&visit.caller, new, visit.call.origin).await?;
    visit.admin.accounts.propagate(act).await;
    let body = html! {
        div.card {
            dl {
                dt { "Name" } dd { (made.row.name) }
                dt { "Role" } dd { (said(made.row.role)) }
                dt { "Id" } dd { code { (made.row.uid) } }
                dt { "May do" } dd { (parts::scopes(&made.effective, "nothing")) }
            }
            @match &api_key {
                Some(api_key) => {
                    p { "This is the first API key, shown this once." }
                    div.row { (secret::shown("api-key", api_key.reveal())) }
                }
                None => p { "An API key can be made once a phone number is proved." },
            }
            p { a.button href=(visit.path(&path_of(made.row.role, made.row.uid))) { "Go on" } }
        }
    };
    Ok(visit.page(PATH, "Made", body).answer())
}

async fn try_change(visit: &Visit<'_>, fields: &Form, role: &str, uid: &str, what: &str) -> Result<Answer, Failure> {
    let (accounts, origin) = (&visit.admin.accounts, visit.call.origin);
    let (role, uid) = (role_of(role)?, id(uid)?);
    let (change, code) = match what {
        "block" => (Change { blocked: Some(true), ..Change::default() }, "blocked"),
        "unblock" => (Change { blocked: Some(false), ..Change::default() }, "unblocked"),
        "policies" => (Change { policies: Some(policies::ticked(fields)?), ..Change::default() }, "policies"),
        "second-factor" => {
            let act = accounts.reset_second_factor(&visit.caller, uid, origin).await?;
            return Ok(visit.done(act, &path_of(role, uid), "factor-reset").await);
        }
        "delete" => {
            let act = accounts.end_principal(&visit.caller, role, uid, origin).await?;
            return Ok(visit.done(act, PATH, "person-deleted").await);
        }
        _ => return Err(Refusal::NotFound.into()),
    };
    let (_, act) = accounts.change_principal(&visit.caller, role, uid, change, origin).await?;
    Ok(visit.done(act, &path_of(role, uid), code).await)
}

/// Everyone whom the visitor outranks and stands above.
async fn everyone(visit: &Visit<'_>) -> Result<(Vec<Principal>, bool), Failure> {
    let (mut all, mut cut) = (Vec::new(), false);
    for role in [Role::Admin, Role::Client, Role::SubClient, Role::EndUser] {
        if visit.caller.standing.outranks(role) {
            let found = visit.admin.accounts.list_principals(&visit.caller, role, Part { after: None, limit: SHOWN }).await?;
            cut |= found.len() >= SHOWN as usize;
            all.extend(found);
        }
    }
    Ok((all, cut))
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    if !visit.caller.standing.outranks(Role::SubClient) {
        return Err(Refusal::Forbidden.into());
    }
    let (all, cut) = everyone(visit).await?;
    let offered = Offered::of(visit, visit.caller.standing.subject.tenant, &[]).await?;
    let mut below: HashMap<Option<Id>, Vec<&Principal>> = HashMap::new();
    for one in &all {
        let parent = one.row.parent.filter(|parent| all.iter().any(|other| other.row.uid == *parent));
        below.entry(parent).or_default().push(one);
    }
    let body = html! {
        p.quiet { "Everyone below you. Blocking or deleting somebody refuses everyone further down, too." }
        @if all.len() > 5 { p { a.button.second href="#new" { "Make somebody" } } }
        @if all.is_empty() { (parts::empty("There is nobody below you yet.")) }
        @else { div.card { (branch(visit, &below, None, 0)) } }
        @if cut { p.quiet { "Only the first " (SHOWN) " of a role are shown." } }
        section.card #new { h2 { "Make somebody" } (visit.form(PATH, "create", trouble, creation(visit, trouble, &all, &offered))) }
    };
    Ok(visit.page(PATH, "People", body))
}

fn branch(visit: &Visit<'_>, below: &HashMap<Option<Id>, Vec<&Principal>>, of: Option<Id>, depth: u8) -> Markup {
    html! {
        ul.tree[depth == 0] {
            @for one in below.get(&of).into_iter().flatten() {
                li {
                    span {
                        @if one.row.role == Role::EndUser { (one.row.name) }
                        @else { a href=(visit.path(&path_of(one.row.role, one.row.uid))) { (one.row.name) } }
                        span.quiet { (said(one.row.role)) }
                        @if one.row.blocked { span.chip.bad { "blocked" } }
                    }
                    // roles stand at most four deep
                    @if depth < 4 && below.contains_key(&Some(one.row.uid)) { (branch(visit, below, Some(one.row.uid), depth + 1)) }
                }
            }
        }
    }
}

fn creation(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, all: &[Principal], offered: &Offered) -> Markup {
    let was = |field| Trouble::was(trouble, "create", field);
    let roles: Vec<(&str, String)> =
        ROLES.into_iter().filter(|(role, _)| visit.caller.standing.outranks(*role)).map(|(role, segment)| (segment, said(role))).collect();
    let roles: Vec<(&str, &str)> = roles.iter().map(|(value, text)| (*value, text.as_str())).collect();
    let uids: Vec<(String, String)> = all
        .iter()
        .filter(|one| matches!(one.row.role, Role::Admin | Role::Client))
        .map(|one| (one.row.uid.to_string(), format!("{} ({})", one.row.name, said(one.row.role))))
        .collect();
    let parents: Vec<(&str, &str)> =
        [("", "you")].into_iter().chain(uids.iter().map(|(uid, text)| (uid.as_str(), text.as_str()))).collect();
    let these = was("may") == "these";
    html! {
        (parts::choice("As", "role", was("role"), &roles))
        label {
            span { "Name " small { "a user name, an e-mail address or a phone number" } }
            input name="name" value=(was("name")) maxlength="320" autocomplete="off" autocapitalize="none" spellcheck="false" required;
        }
        label {
            span { "Password " small { "without one they log in by code, or use keys alone" } }
            input name="password" type="password" autocomplete="new-password" maxlength="256";
        }
        (parts::choice("Below", "parent", was("parent"), &parents))
        fieldset {
            legend { "May do" }
            label.tick { input type="radio" name="may" value="all" checked[!these]; "Whatever the one above may do, now and later" }
            label.tick { input type="radio" name="may" value="these" checked[these]; "What these policies give" }
        }
        (offered.boxes(trouble, "create", |_| false))
        button { "Make" }
    }
}

async fn one(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, role: &str, uid: &str) -> Result<Page, Failure> {
    let role = role_of(role)?;
    let Principal { row, effective } = visit.admin.accounts.principal(&visit.caller, role, id(uid)?).await?;
    let offered = Offered::of(visit, row.tenant, &row.policies).await?;
    let attached = offered.policies.iter().filter(|policy| row.policies.contains(&policy.id)).map(|policy| policy.name.as_str());
    let second_factor = visit.admin.accounts.second_factor_of(&visit.caller, Some(row.uid)).await?.since;
    let path = path_of(role, row.uid);
    let (what, block) = match row.blocked {
        true => ("unblock", html! { p { "They and everyone below may come in again." } button { "Let in again" } }),
        false => ("block", html! { p { "They and everyone below are refused from now on; nothing is deleted." } button.bad { "Block" } }),
    };
    let attach = html! {
        p { "From then on they may do exactly what these give." }
        (offered.boxes(trouble, "policies", |policy| row.policies.contains(&policy)))
        button { "Replace the policies" }
    };
    let delete = html! { p { "With everyone below. The name is never given to anyone else." } button.bad { "Delete for good" } };
    let reset = html! {
        p { "For whoever lost phone and recovery codes: be sure who asks you. Their logins end, and no code is asked for until they set one up again." }
        button.bad { "Reset the second factor" }
    };
    let body = html! {
        p { a href=(visit.path(PATH)) { "All people" } }
        div.card {
            dl {
                dt { "Role" } dd { (said(row.role)) @if row.blocked { " " span.chip.bad { "blocked" } } }
                dt { "Id" } dd { code { (row.uid) } }
                dt { "Since" } dd { (parts::time(visit.now(), row.created_at)) }
                dt { "Second factor" } dd { (parts::maybe_time(visit.now(), second_factor, "none")) }
                dt { "Policies" } dd { (parts::chips(attached, "none")) }
                dt { "May do now" } dd { (parts::scopes(&effective, "nothing")) }
                (parts::terms(&row.terms))
            }
            p.row {
                @for (list, label) in [("keys", "API keys"), ("tokens", "Live tokens"), ("logins", "Logins"), ("invitations", "Invitations")] {
                    a.button.second href={ (visit.path("/console/")) (list) "?principal=" (row.uid) } { (label) }
                }
            }
            @if row.uid != visit.caller.uid() {
                (visit.folded(if row.blocked { "Let in again…" } else { "Block…" }, &format!("{path}/{what}"), what, trouble, block))
                (visit.folded("Policies…", &format!("{path}/policies"), "policies", trouble, attach))
                @if second_factor.is_some() {
                    (visit.folded("Second factor…", &format!("{path}/second-factor"), "second-factor", trouble, reset))
                }
                (visit.folded("Delete…", &format!("{path}/delete"), "delete", trouble, delete))
            }
        }
    };
    Ok(visit.page(PATH, row.name, body))
}
