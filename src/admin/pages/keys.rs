//! `/console/keys`: one's own API keys, or those of someone below (`?principal=`).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::keys::which;
use super::super::lists::{Asked, id};
use super::super::request::Call;
use super::names::Names;
use super::visit::{Trouble, Visit, acted, networks_of, scopes_of, seconds_of, shown};
use super::{Page, limits, parts, secret};
use crate::accounts::Refusal;
use crate::accounts::keys::NewKey;
use crate::database::{KeyRow, WhichKeys};
use crate::token::secret::PlainSecret;
use crate::token::terms::Terms;

const PATH: &str = "/console/keys";
/// For how long a key may live, as the form offers it.
const LIVES: [(&str, &str); 5] =
    [("", "until I delete it"), ("86400", "1 day"), ("2592000", "30 days"), ("7776000", "90 days"), ("31536000", "1 year")];
/// For how long an old secret stays valid, as the form offers it.
const GRACES: [(&str, &str); 4] =
    [("0", "no longer, from now on"), ("3600", "for 1 hour"), ("86400", "for 1 day"), ("604800", "for 7 days")];

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn create(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "create", try_create(), list())
}

pub(super) async fn rotate(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &format!("rotate-{key}"), try_rotate(&key), list())
}

pub(super) async fn set_scopes(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &format!("scopes-{key}"), try_set_scopes(&key), list())
}

pub(super) async fn set_terms(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &format!("terms-{key}"), try_set_terms(&key), list())
}

pub(super) async fn delete(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &format!("delete-{key}"), try_delete(&key), list())
}

async fn try_create(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let new = NewKey {
        name: fields.get("name").map(str::to_owned),
        scopes: scopes_of(fields, "scopes")?,
        expires_in: seconds_of(fields, "expires_in")?,
        terms: Terms { networks: networks_of(fields)?, ..Terms::default() },
    };
    let (key, secret, act) = visit.admin.accounts.create_key(&visit.caller, None, new, visit.call.origin).await?;
    visit.admin.accounts.propagate(act).await;
    Ok(with_secret(visit, "Your new API key", &key, &secret))
}

async fn try_rotate(visit: &Visit<'_>, fields: &Form, key: &str) -> Result<Answer, Failure> {
    let grace = seconds_of(fields, "grace")?.unwrap_or_default();
    let keys = visit.admin.accounts.keys(Some(visit.sid()));
    let (key, secret, act) = keys.rotate(&visit.by(), visit.caller.reach(), id(key)?, grace).await?;
    visit.admin.accounts.propagate(act).await;
    Ok(with_secret(visit, "The new secret", &key, &secret))
}

async fn try_set_scopes(visit: &Visit<'_>, fields: &Form, key: &str) -> Result<Answer, Failure> {
    // elsewhere an empty field means all of them: here it would leave a key that may do nothing
    let wanted = scopes_of(fields, "scopes")?
        .ok_or_else(|| Refusal::field("scopes", "at least one; a key that is of no more use can be deleted"))?;
    let keys = visit.admin.accounts.keys(Some(visit.sid()));
    let (_, act) = keys.set_scopes(&visit.by(), visit.caller.reach(), id(key)?, &wanted).await?;
    Ok(visit.done(act, &back(visit), "key-scopes").await)
}

async fn try_set_terms(visit: &Visit<'_>, fields: &Form, key: &str) -> Result<Answer, Failure> {
    let text = |name| fields.get(name).map(str::trim).filter(|text| !text.is_empty());
    let external_id = text("external_id").map(str::to_owned);
    let line = |line: &str| line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    let lines = text("metadata").unwrap_or_default().lines().filter(|line| !line.trim().is_empty());
    let metadata: Option<BTreeMap<String, String>> = lines.map(line).collect();
    let metadata = metadata.ok_or_else(|| Refusal::field("metadata", "write `name=value`, one a line"))?;
    let limit = limits::said(fields)?;
    let terms = Terms { external_id, metadata, limit, networks: networks_of(fields)? };
    let change = |agreed: &mut Terms| *agreed = terms;
    let (_, act) = visit.admin.accounts.set_key_terms(&visit.caller, id(key)?, change, visit.call.origin).await?;
    Ok(visit.done(act, &back(visit), "key-terms").await)
}

async fn try_delete(visit: &Visit<'_>, _: &Form, key: &str) -> Result<Answer, Failure> {
    let keys = visit.admin.accounts.keys(Some(visit.sid()));
    let act = keys.end(&visit.by(), visit.caller.reach(), id(key)?).await?;
    Ok(visit.done(act, &back(visit), "key-deleted").await)
}

/// The list that a form stands in: forms carry on whose it is.
fn back(visit: &Visit<'_>) -> String {
    of(visit).map_or_else(|| PATH.to_owned(), |uid| format!("{PATH}?principal={uid}"))
}

/// The report of imported keys that nobody has used since.
fn report(visit: &Visit<'_>, everyone: bool) -> String {
    shown_again(visit, WhichKeys { of: of(visit), imported: true, unused: true }, everyone)
}

fn shown_again(visit: &Visit<'_>, which: WhichKeys, everyone: bool) -> String {
    let of = of(visit).filter(|_| !everyone).map(|uid| format!("principal={uid}"));
    let flags = [("imported", which.imported), ("unused", which.unused), ("everyone", everyone)];
    let flags = flags.into_iter().filter(|(_, up)| *up).map(|(name, _)| format!("{name}=true"));
    format!("{PATH}?{}", of.into_iter().chain(flags).collect::<Vec<_>>().join("&"))
}

fn of(visit: &Visit<'_>) -> Option<crate::id::Id> {
    visit.call.parameter("principal").ok().flatten().and_then(|uid| uid.parse().ok())
}

/// A key's secret, this once.
fn with_secret(visit: &Visit<'_>, title: &'static str, key: &KeyRow, text: &PlainSecret) -> Answer {
    let body = html! {
        div.card {
            p { "Copy it to a safe place: it is shown this once, and nobody can show it again." }
            div.row { (secret::shown("api-key", text.reveal())) }
            dl {
                dt { "Name" } dd { (key.name) }
                dt { "Id" } dd { code { (key.id) } }
                dt { "Scopes" } dd { (parts::scopes(&key.scopes, "none")) }
            }
            p { a.button href=(visit.path(&back(visit))) { "I have copied it" } }
        }
    };
    visit.page(PATH, title, body).answer()
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let asked = Asked::read(visit.call)?;
    let (which, everyone) = which(visit.call, &asked)?;
    let rows = visit.admin.accounts.list_keys(&visit.caller, which, everyone, asked.page).await?;
    let (keys, cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), KeyRow::clone);
    let own = !everyone && asked.of.is_none_or(|uid| uid == visit.caller.uid());
    let reports = which.imported || which.unused || everyone;
    let names = Names::of(visit, keys.iter().map(|key| key.principal).chain(asked.of)).await?;
    let body = html! {
        @if own {
            p.quiet { "An API key is exchanged for short-lived access tokens; it is as good as a password." }
        } @else if everyone {
            p.quiet { "Of everyone." }
        } @else {
            p.quiet { "Of " @if let Some(uid) = asked.of { (names.shown(uid)) } "." }
        }
        @if reports {
            p.row {
                @if which.imported { span.chip { "made elsewhere" } }
                @if which.unused { span.chip { "never used" } }
                a.button.second href=(visit.path(&back(visit))) { "All keys" }
            }
        } @else {
            p.row {
                a.button.second href=(visit.path(&report(visit, false))) { "Imported keys never used" }
                @if visit.caller.standing.is_super_admin() {
                    a.button.second href=(visit.path(&report(visit, true))) { "The same of everyone" }
                }
            }
        }
        @if own && keys.len() > 1 { p { a.button.second href="#new" { "A new key" } } }
        @if keys.is_empty() { (parts::empty("There is no API key.")) }
        @for key in &keys { (card(visit, trouble, key, &names)) }
        (parts::more(&visit.path(&if reports { shown_again(visit, which, everyone) } else { back(visit) }), cursor.as_deref()))
        @if own { (creation(visit, trouble)) }
    };
    Ok(visit.page(PATH, "API keys", body))
}

fn creation(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Markup {
    let was = |field| Trouble::was(trouble, "create", field);
    let fields = html! {
        label { "Name" input name="name" value=(was("name")) maxlength="100" autocomplete="off" placeholder="nightly report"; }
        (parts::scopes_field("Scopes", "with spaces between; empty: all that you may do", "scopes", was("scopes")))
        (parts::choice("It lives", "expires_in", was("expires_in"), &LIVES))
        (parts::networks_field(trouble, "create", was("networks")))
        button { "Create the key" }
    };
    html! { section.card #new { h2 { "A new key" } (visit.form(PATH, "create", trouble, fields)) } }
}

fn card(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, key: &KeyRow, names: &Names) -> Markup {
    let (id, now) = (key.id, visit.now());
    let action = |what: &str| {
        let path = format!("{PATH}/{id}/{what}");
        of(visit).map_or_else(|| path.clone(), |uid| format!("{path}?principal={uid}"))
    };
    let was_or = |form: &str, field: &str, stands: String| Trouble::was_or(trouble, &format!("{form}-{id}"), field, stands);
    let rotate = html! {
        (parts::choice("The old secret stays valid", "grace", Trouble::was(trouble, &format!("rotate-{id}"), "grace"), &GRACES))
        button { "Make a new secret" }
    };
    let scopes = html! {
        (parts::scopes_field("Scopes", "with spaces between", "scopes", &was_or("scopes", "scopes", key.scopes.to_string())))
        button { "Change the scopes" }
    };
    let metadata = key.terms.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n");
    let networks = key.terms.networks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let terms = html! {
        label {
            span { "External id " small { "what another system calls it" } }
            input name="external_id" maxlength="256" autocomplete="off"
                value=(was_or("terms", "external_id", key.terms.external_id.clone().unwrap_or_default()));
        }
        label {
            span { "Metadata " small { "name=value, one a line" } }
            textarea name="metadata" rows="3" spellcheck="false" { (was_or("terms", "metadata", metadata)) }
        }
        (parts::networks_field(trouble, &format!("terms-{id}"), &was_or("terms", "networks", networks)))
        (limits::fields(|field| was_or("terms", field, limits::field(key.terms.limit.as_ref(), field))))
        button { "Change it" }
    };
    let delete = html! {
        p { "It is refused from then on, and its live tokens end with it." }
        button.bad { "Delete for good" }
    };
    html! {
        article.card {
            div.lead { h2 { (key.name) } code.quiet { (id) } }
            dl {
                @if key.principal != visit.caller.uid() { dt { "Owner" } dd { (names.shown(key.principal)) } }
                dt { "Scopes" } dd { (parts::scopes(&key.scopes, "none")) }
                @if key.imported { dt { "Made elsewhere" } dd { "and imported" } }
                dt { "Made" } dd { (parts::time(now, key.created_at)) }
                dt { "Last used" } dd { (parts::maybe_time(now, key.last_used_at, "never")) }
                dt { "Ends" } dd { (parts::maybe_time(now, key.expires_at, "when it is deleted")) }
                (parts::terms(&key.terms))
            }
            p { a.button.second href=(visit.path(&format!("{PATH}/{id}/usage"))) { "Usage" } }
            (visit.folded("New secret…", &action("rotate"), &format!("rotate-{id}"), trouble, rotate))
            (visit.folded("Change scopes…", &action("scopes"), &format!("scopes-{id}"), trouble, scopes))
            @if visit.caller.may_agree(key.principal) {
                (visit.folded("Change what is agreed…", &action("terms"), &format!("terms-{id}"), trouble, terms))
            }
            (visit.folded("Delete…", &action("delete"), &format!("delete-{id}"), trouble, delete))
        }
    }
}
