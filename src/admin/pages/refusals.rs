//! `/console/refusals`: what the gates of this process refused last, and what rules that do not enforce would have.

use std::sync::Arc;

use axum::extract::State;
use maud::html;

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::lists::Newest;
use super::super::request::Call;
use super::names::Names;
use super::visit::{Trouble, Visit, shown};
use super::{Page, parts};

const PATH: &str = "/console/refusals";

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

async fn list(visit: &Visit<'_>, _: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let instance = visit.admin.instance_for(&visit.caller)?;
    let asked = Newest::read(visit.call)?;
    let before = asked.before.and_then(|before| u64::try_from(before).ok());
    let rows = instance.decisions.newest(before, asked.wanted() as usize);
    let (rows, cursor) = asked.page_of(rows, |decision| i64::try_from(decision.n).unwrap_or(i64::MAX));
    let now = visit.now();
    let names = Names::of(visit, rows.iter().filter_map(|decision| decision.uid.as_deref()?.parse().ok())).await?;
    let rows: Vec<_> = rows
        .iter()
        .map(|decision| {
            vec![
                parts::time(now, decision.at),
                html! { (decision.method) " " code { (decision.host) (decision.path) } },
                html! { @match decision.status {
                    Some(status) => span.chip.bad { (status) },
                    None => span.chip.warn { "would be refused" },
                } " " (decision.reason.replace('_', " ")) },
                html! { @match &decision.rule { Some(rule) => code { (rule) }, None => span.quiet { "none" } } },
                html! { (decision.gate) },
                html! { @if let Some(uid) = &decision.uid { (names.target(uid)) } },
            ]
        })
        .collect();
    let body = html! {
        p.quiet { "The last thousand of this process, newest first. “Would be refused” is what a rule with " code { "enforce: false" } " let pass." }
        @if rows.is_empty() { (parts::empty("Nothing has been refused since the start.")) }
        @else { div.card { (parts::table("Refusals", &["When", "Request", "Why", "Rule", "Gate", "Who"], &rows)) } }
        (parts::more(&visit.path(PATH), cursor.as_deref()))
    };
    Ok(visit.page(PATH, "Refusals", body))
}
