//! `/console/logins`: one's own sessions, or those of someone below (`?principal=`).

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::html;

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::lists::{Asked, id};
use super::super::request::Call;
use super::names::Names;
use super::visit::{Trouble, Visit, acted, shown};
use super::{Page, parts};
use crate::database::SessionRow;

const PATH: &str = "/console/logins";

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(session): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &session, try_end(&session), list())
}

async fn try_end(visit: &Visit<'_>, _: &Form, session: &str) -> Result<Answer, Failure> {
    let act = visit.admin.accounts.end_session(&visit.caller, id(session)?, visit.call.origin).await?;
    Ok(visit.done(act, &visit.with_whose(PATH)?, "session-ended").await)
}

async fn list(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let asked = Asked::read(visit.call)?;
    let rows = visit.admin.accounts.sessions(&visit.caller, asked.of, asked.page).await?;
    let (sessions, cursor) = asked.page_of(&rows, |row| (row.created_at, row.id), SessionRow::clone);
    let now = visit.now();
    let mut rows = Vec::with_capacity(sessions.len());
    for session in &sessions {
        let action = visit.with_whose(&format!("{PATH}/{}/end", session.id))?;
        let own = session.id == visit.sid();
        rows.push(vec![
            html! { code { (session.id) } @if own { " " span.chip.good { "this browser" } } },
            html! { @if session.idle_ends_at.is_some() { "in a browser" } @else { "by a program" } },
            parts::time(now, session.created_at),
            parts::time(now, session.idle_ends_at.unwrap_or(session.ends_at)),
            parts::time(now, session.ends_at),
            html! { @if !own {
                (visit.form(&action, &session.id.to_string(), trouble, html! { button.second aria-label={ "End login " (session.id) } { "End" } }))
            } },
        ]);
    }
    let whose = Names::whose(visit, asked.of).await?;
    let body = html! {
        (whose)
        p.quiet { "Each login that has not ended, here and elsewhere." }
        @if rows.is_empty() { (parts::empty("Nobody is logged in.")) }
        @else { div.card { (parts::table("Logins", &["Login", "How", "Since", "Ends if unused", "Ends at the latest", ""], &rows)) } }
        (parts::more(&visit.path(&visit.with_whose(PATH)?), cursor.as_deref()))
    };
    Ok(visit.page(PATH, "Logins", body))
}
