//! `/console/audit`: who did what, newest first.

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

const PATH: &str = "/console/audit";

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

async fn list(visit: &Visit<'_>, _: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let asked = Newest::read(visit.call)?;
    let rows = visit.admin.accounts.audit(&visit.caller, asked.before, asked.wanted()).await?;
    let (entries, cursor) = asked.page_of(rows, |row| row.n);
    let now = visit.now();
    let named = entries.iter().flat_map(|row| [&row.actor, &row.target]).filter_map(|text| text.parse().ok());
    let names = Names::of(visit, named).await?;
    let rows: Vec<_> = entries
        .iter()
        .map(|row| {
            vec![
                parts::time(now, row.at),
                names.actor(&row.actor),
                html! { (row.action.replace('_', " ")) },
                names.target(&row.target),
                html! { (row.from) },
                html! { span.chip.good[row.result == "done"].bad[row.result != "done"] { (row.result) } },
            ]
        })
        .collect();
    let body = html! {
        p.quiet { "What was done, and what was refused to somebody who may not do it. Nothing changes an entry or takes one away." }
        @if rows.is_empty() { (parts::empty("Nothing has been done yet.")) }
        @else { div.card { (parts::table("Audit trail", &["When", "Who", "Did", "To", "From", "Result"], &rows)) } }
        (parts::more(&visit.path(PATH), cursor.as_deref()))
    };
    Ok(visit.page(PATH, "Audit trail", body))
}
