//! `/console/keys/{id}/usage`: what came of a key's checks, over time and by rule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::lists::id;
use super::super::request::Call;
use super::visit::{Trouble, Visit, shown};
use super::{Page, chart, parts};
use crate::clock::UnixMs;
use crate::database::UsageRow;
use crate::usage::{Counts, HOUR, hour_of};

const KEYS: &str = "/console/keys";
/// Most rows that a page adds up.
const MOST: u32 = 20_000;
/// How far back a page looks: days, and what that is called.
const SPANS: [(u32, &str); 3] = [(1, "24 hours"), (7, "7 days"), (30, "30 days")];
/// What it shows first.
const USUAL_DAYS: u32 = 7;
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn show(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Answer {
    shown!(admin, call, page(&key))
}

async fn page(visit: &Visit<'_>, _: Option<&Trouble<'_>>, key: &str) -> Result<Page, Failure> {
    let key = id(key)?;
    let asked = visit.call.parameter("days")?.and_then(|days| days.parse().ok());
    let days = SPANS.iter().map(|(days, _)| *days).find(|days| Some(*days) == asked).unwrap_or(USUAL_DAYS);
    let (owner, name) = visit.admin.accounts.key_seen(&visit.caller, key).await?;
    let now = visit.now();
    let (from, to) = (hour_of(now.before(DAY * days)), UnixMs(now.0 + 1));
    let rows = visit.admin.accounts.key_usage(&visit.caller, key, (from, to), None, MOST).await?;
    let back = if owner == visit.caller.uid() { KEYS.to_owned() } else { format!("{KEYS}?principal={owner}") };
    let path = |days: u32| visit.path(&format!("{KEYS}/{key}/usage?days={days}"));
    let table = format!("/v1/keys/{key}/usage?format=csv&from={}", from.seconds());
    let body = html! {
        div.lead { h2 { (name) } code.quiet { (key) } }
        p.row {
            @for (span, label) in SPANS {
                a.button.second[span != days] href=(path(span)) aria-current=[(span == days).then_some("true")] { (label) }
            }
        }
        @if rows.len() == MOST as usize { p.notice.warn { "There is more than this page adds up: choose fewer days, or take the table." } }
        @if rows.is_empty() { (parts::empty("No check came with this key.")) } @else { (figures(&rows, from, to)) }
        p.row {
            a.button.second href=(visit.path(&table)) download { "As a table (CSV)" }
            a.button.second href=(visit.path(&back)) { "Back to the keys" }
        }
    };
    Ok(visit.page(KEYS, "Usage of a key", body))
}

fn figures(rows: &[UsageRow], from: UnixMs, to: UnixMs) -> Markup {
    let (mut total, mut rules) = (Counts::default(), BTreeMap::<&str, Counts>::new());
    for row in rows {
        total.add(row.counts);
        rules.entry(&row.rule).or_default().add(row.counts);
    }
    let (allowed, refused) = by_hour(rows, from, to);
    let lines: Vec<Vec<Markup>> = rules.iter().map(|(rule, counts)| line(rule, *counts)).collect();
    html! {
        div.grid.figures {
            div.card { p.quiet { "Let through" } p.figure #allowed { (total.allowed) } }
            div.card { p.quiet { "Refused" } p.figure #refused { (total.refused) } }
            div.card { p.quiet { "Too many" } p.figure #limited { (total.limited) } }
        }
        div.card {
            h2 { "By the hour" }
            (chart::lines("Checks let through and refused by the hour", &allowed, &refused))
            p.quiet { span.key {} "let through " span.key.denied {} "refused, or too many; what was counted in the last ten seconds may be missing" }
        }
        div.card { h2 { "By rule" } (parts::table("Checks by rule", &["Rule", "Let through", "Refused", "Too many"], &lines)) }
    }
}

fn line(rule: &str, counts: Counts) -> Vec<Markup> {
    vec![html! { code { (rule) } }, html! { (counts.allowed) }, html! { (counts.refused) }, html! { (counts.limited) }]
}

/// What was let through, and what was not, in each hour.
fn by_hour(rows: &[UsageRow], from: UnixMs, to: UnixMs) -> (Vec<f64>, Vec<f64>) {
    let place = |hour: UnixMs| usize::try_from(hour.since(from).as_secs() / HOUR.as_secs()).unwrap_or(usize::MAX);
    let hours = place(hour_of(to)) + 1;
    let (mut allowed, mut refused) = (vec![0.0; hours], vec![0.0; hours]);
    #[expect(clippy::cast_precision_loss, reason = "the height of a line")]
    for row in rows {
        if let (Some(allowed), Some(refused)) = (allowed.get_mut(place(row.hour)), refused.get_mut(place(row.hour))) {
            *allowed += row.counts.allowed as f64;
            *refused += (row.counts.refused + row.counts.limited) as f64;
        }
    }
    (allowed, refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    #[test]
    fn each_hour_has_its_place() {
        let begin = UnixMs(1_900_000_800_000);
        let row = |hours, rule: &str, [allowed, refused, limited]: [u64; 3]| UsageRow {
            key: Id::from_bytes([1; 16]),
            hour: begin.after(HOUR * hours),
            rule: rule.to_owned(),
            counts: Counts { allowed, refused, limited },
        };
        let rows = [row(0, "a", [1, 0, 0]), row(2, "a", [2, 1, 4]), row(2, "b", [3, 0, 0])];
        let (allowed, refused) = by_hour(&rows, begin, begin.after(HOUR * 3 - Duration::from_millis(1)));
        assert_eq!((allowed, refused), (vec![1.0, 0.0, 5.0], vec![0.0, 0.0, 5.0]));
    }
}
