//! `/console/issuers`: the other issuers whose tokens rules may take, and what of them is denied all the same; for super admins.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::lists::{Asked, id};
use super::super::request::Call;
use super::visit::{Trouble, Visit, acted, seconds_of, shown};
use super::{Page, parts};
use crate::database::DenialRow;
use crate::issuers::Issuer;
use crate::token::denials::Denied;

const PATH: &str = "/console/issuers";
/// What is denied, as the form offers it.
const WHAT: [(&str, &str); 2] = [("sub", "one subject, by sub"), ("jti", "one token, by jti")];
/// For how long, as the form offers it.
const STANDS: [(&str, &str); 4] = [("", "until it is lifted"), ("3600", "for 1 hour"), ("86400", "for 1 day"), ("2592000", "for 30 days")];
/// And at most, but for good.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn show_one(State(admin): State<Arc<Admin>>, Path(name): Path<String>, call: Call) -> Answer {
    shown!(admin, call, one(&name))
}

pub(super) async fn deny(State(admin): State<Arc<Admin>>, Path(name): Path<String>, call: Call) -> Answer {
    acted!(admin, call, "deny", try_deny(&name), one(&name))
}

pub(super) async fn lift(State(admin): State<Arc<Admin>>, Path((name, denial)): Path<(String, String)>, call: Call) -> Answer {
    acted!(admin, call, &format!("lift-{denial}"), try_lift(&name, &denial), one(&name))
}

fn path_of(name: &str) -> String {
    format!("{PATH}/{name}")
}

async fn try_deny(visit: &Visit<'_>, fields: &Form, name: &str) -> Result<Answer, Failure> {
    let issuer = visit.admin.issuer(&visit.caller, name)?;
    let what = fields.get("what").and_then(Denied::from_name).unwrap_or(Denied::Subject);
    let value = fields.get("value").unwrap_or_default().trim().to_owned();
    let stands = seconds_of(fields, "stands")?;
    if stands.is_some_and(|stands| stands > LONGEST) {
        return Err(Failure::invalid("`stands`: at most 30 days, or until it is lifted"));
    }
    let until = stands.map(|stands| visit.now().after(stands));
    let (_, act) = visit.admin.accounts.deny(&visit.caller, issuer, (what, value), until, visit.call.origin).await?;
    Ok(visit.done(act, &path_of(name), "denied").await)
}

async fn try_lift(visit: &Visit<'_>, _: &Form, name: &str, denial: &str) -> Result<Answer, Failure> {
    let issuer = visit.admin.issuer(&visit.caller, name)?;
    let act = visit.admin.accounts.lift_denial(&visit.caller, issuer, id(denial)?, visit.call.origin).await?;
    Ok(visit.done(act, &path_of(name), "denial-lifted").await)
}

async fn list(visit: &Visit<'_>, _: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    visit.admin.accounts.super_admins_only(&visit.caller)?;
    let issuers: Vec<_> = visit.admin.issuers.settings().zip(visit.admin.issuers.key_counts()).collect();
    let body = html! {
        p.quiet { "Others whose tokens rules may take, as " code { "issuers:" } " of the configuration names them." }
        @if issuers.is_empty() { (parts::empty("No other issuer's tokens are taken here.")) }
        @for (issuer, keys) in issuers {
            article.card {
                (facts(issuer, keys))
                p { a.button.second href=(visit.path(&path_of(&issuer.name))) aria-label={ "Denials of " (issuer.name) } { "Denials" } }
            }
        }
    };
    Ok(visit.page(PATH, "Issuers", body))
}

fn facts(issuer: &Issuer, keys: Option<usize>) -> Markup {
    html! {
        div.lead {
            h2 { (issuer.name) }
            @if keys.is_none() { span.chip.warn { "no keys fetched yet" } }
        }
        dl {
            dt { "Issuer" } dd { code { (issuer.issuer) } }
            dt { "Audiences" } dd { (parts::chips(issuer.audiences.iter().map(String::as_str), "none")) }
            @if let Some(keys) = keys { dt { "Keys" } dd { (keys) } }
        }
    }
}

async fn one(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, name: &str) -> Result<Page, Failure> {
    let issuer = visit.admin.issuer(&visit.caller, name)?;
    let asked = Asked::read(visit.call)?;
    let rows = visit.admin.accounts.list_denials(&visit.caller, issuer, asked.page).await?;
    let (denials, cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), DenialRow::clone);
    let rows: Vec<_> = denials.iter().map(|denial| row(visit, trouble, name, denial)).collect();
    let body = html! {
        p { a href=(visit.path(PATH)) { "All issuers" } }
        p.quiet { "What is denied here is refused, whatever " code { (issuer) } " says: like an ended token of one's own, on every replica." }
        @if rows.is_empty() { (parts::empty("Nothing of this issuer is denied.")) }
        @else { div.card { (parts::table("Denials", &["Denied", "By", "Since", "Until", ""], &rows)) } }
        (parts::more(&visit.path(&path_of(name)), cursor.as_deref()))
        section.card {
            h2 { "Deny" }
            (visit.form(&format!("{}/denials", path_of(name)), "deny", trouble, fields(trouble)))
        }
    };
    Ok(visit.page(PATH, "Denials", body))
}

fn row(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, name: &str, denial: &DenialRow) -> Vec<Markup> {
    let form = format!("lift-{}", denial.id);
    let action = format!("{}/denials/{}/lift", path_of(name), denial.id);
    let button = html! { button.second aria-label={ "Lift the denial of " (denial.value) } { "Lift" } };
    vec![
        html! { code { (denial.value) } },
        html! { span.chip { (denial.denied.as_str()) } },
        parts::time(visit.now(), denial.created_at),
        parts::maybe_time(visit.now(), denial.until, "it is lifted"),
        visit.form(&action, &form, trouble, button),
    ]
}

fn fields(trouble: Option<&Trouble<'_>>) -> Markup {
    let was = |field| Trouble::was(trouble, "deny", field);
    let (wrong, told) = parts::told_at(trouble, "deny", &["jti", "sub"]);
    html! {
        (parts::choice("What", "what", was("what"), &WHAT))
        label {
            span { "Which " small { "as the token says it" } }
            input name="value" value=(was("value")) maxlength="255" autocomplete="off" autocapitalize="none" spellcheck="false" required
                aria-invalid=[wrong] aria-describedby=[wrong.map(|_| "wrong-jti")];
            (told)
        }
        (parts::choice("It stands", "stands", was("stands"), &STANDS))
        button.bad { "Deny it" }
    }
}
