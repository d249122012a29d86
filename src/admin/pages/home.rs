//! `GET /` for browsers: who is logged in and, for super admins, how the gates are. `GET /v1/session`: the same for a script.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::Answer;
use super::super::document::{self, Managed};
use super::super::failure::Failure;
use super::super::request::Call;
use super::super::{Admin, browser};
use super::visit::{Trouble, Visit, shown};
use super::{Page, account, frame, overview};
use crate::id::Id;
use crate::token::record::Role;

/// After how many seconds a browser without script asks for the overview again.
const AGAIN_S: u32 = 15;

/// The start page of whoever is logged in; everybody else logs in.
pub(in crate::admin) async fn show(admin: &Admin, call: &Call) -> Answer {
    shown!(admin, call, page())
}

async fn page(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let standing = &visit.caller.standing;
    let profile = account::profile(visit).await?;
    let having = visit.admin.accounts.second_factor_of(&visit.caller, None).await?;
    let manages = standing.outranks(Role::SubClient);
    let live = visit.admin.instance_for(&visit.caller).ok().map(|instance| overview::live(instance, visit.now()));
    let again_s = live.is_some().then_some(AGAIN_S);
    let body = html! {
        @if profile.phone_required { (ask_for_phone(visit, trouble)) }
        @if manages && having.since.is_none() {
            p.notice.warn {
                "You look after other people here. " a href=(visit.path(account::PATH)) { "Set up a second factor" }
                " so that your password alone lets nobody in."
            }
        }
        @if let Some(live) = live { (live) } @else { (first_steps(visit)) }
        section.card {
            h2 { "You" }
            dl {
                dt { "Logged in as" } dd { (standing.subject.name) }
                dt { "Role" } dd { (frame::role(standing.subject.role)) }
                dt { "Id" } dd { code { (standing.uid) } }
            }
        }
    };
    Ok(Page { again_s, ..visit.page("/", "Overview", body) })
}

fn ask_for_phone(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Markup {
    html! {
        section.card {
            h2 { "First, your phone number" }
            p { "Whoever runs this site asks for it, so that you can be reached." }
            (visit.form(&format!("{}/contact", account::PATH), "contact", trouble, account::contact_fields(trouble)))
        }
    }
}

fn first_steps(visit: &Visit<'_>) -> Markup {
    let step = |path: &str, title: &str, text: &str| {
        html! { div.card { h2 { a href=(visit.path(path)) { (title) } } p.quiet { (text) } } }
    };
    html! {
        div.grid {
            (step("/console/keys", "API keys", "Make one for each program of yours, and take it back when it is not needed."))
            (step("/console/tokens", "Live tokens", "What your keys were exchanged for, and what can be ended at once."))
            (step("/docs", "The API", "Everything here can be done by a program, too."))
        }
    }
}

/// A browser's session.
#[derive(Serialize, ToSchema)]
struct BrowserSession {
    id: Id,
    uid: Id,
    #[schema(example = "ann")]
    name: String,
    #[schema(example = "client")]
    role: &'static str,
    /// Unix seconds; earlier where it is not used.
    expires_at: u64,
}

/// A browser's session and what its requests carry.
#[derive(Serialize, ToSchema)]
struct Opened {
    session: BrowserSession,
    /// For `X-CSRF-Token` on every request with the console's cookie that changes something.
    csrf_token: String,
}

/// Whose session the console's cookie names.
#[utoipa::path(get, path = "/v1/session", tag = document::SESSIONS, security(("console" = [])),
    responses((status = 200, description = "The session and its CSRF token.", body = Opened), Managed))]
pub(in crate::admin) async fn session(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let browser = browser::needed_session(&admin, &call).await?;
    let csrf_token = admin.accounts.csrf_token(browser.session)?;
    let subject = browser.standing.subject;
    Ok(Answer::ok(Opened {
        session: BrowserSession {
            id: browser.session,
            uid: browser.standing.uid,
            name: subject.name,
            role: subject.role.as_str(),
            expires_at: browser.ends.seconds(),
        },
        csrf_token,
    }))
}
