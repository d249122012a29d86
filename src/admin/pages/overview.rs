//! The live overview: what the gates of this process decide, and how its store is.

use maud::{Markup, html};

use super::super::instance::Instance;
use super::{chart, parts};
use crate::clock::UnixMs;
use crate::decision::Reason;
use crate::pulse::Sample;

/// How it stands now; a script asks for the page again and puts the new one in its place.
pub(super) fn live(instance: &Instance, now: UnixMs) -> Markup {
    let samples = instance.pulse.samples();
    let checks: Vec<f64> = rates(&samples, |sample| sample.decided);
    let refusals: Vec<f64> = rates(&samples, |sample| sample.refused.iter().sum());
    let asked: Vec<f64> = rates(&samples, |sample| sample.asked);
    let store = (instance.store)();
    let last = |rates: &[f64]| figure(rates.last().copied().unwrap_or_default());
    html! {
        div data-live {
            div.grid.figures {
                div.card { p.quiet { "Checks a second" } p.figure #checks-per-second { (last(&checks)) } }
                div.card { p.quiet { "Refusals a second" } p.figure { (last(&refusals)) } }
                div.card {
                    p.quiet { "Token store" }
                    p.figure { @if store.ready { "answers" } @else { "away" } }
                    p.quiet { (store.kind) @if !store.ready { ": checks that need it are refused with 503" } }
                }
                div.card { p.quiet { "Known without asking" } p.figure { (store.cached) } p.quiet { "credentials; the store is asked " (last(&asked)) " times a second" } }
            }
            div.card {
                h2 { "The last ten minutes" }
                (chart::lines("Checks and refusals a second over the last ten minutes", &checks, &refusals))
                p.quiet { span.key {} "checks a second " span.key.denied {} "refusals a second" @if let Some(first) = samples.first() { ", since " (parts::time(now, first.at)) } }
            }
            (reasons(&samples))
        }
    }
}

fn reasons(samples: &[Sample]) -> Markup {
    let counts: Vec<(Reason, u64)> = match (samples.first(), samples.last()) {
        (Some(first), Some(last)) => Reason::ALL
            .into_iter()
            .zip(last.refused.iter().zip(first.refused))
            .map(|(reason, (last, first))| (reason, last.saturating_sub(first)))
            .filter(|(_, count)| *count > 0)
            .collect(),
        _ => Vec::new(),
    };
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1);
    #[expect(clippy::cast_precision_loss, reason = "a bar's length")]
    let share = |count: u64| count as f64 / most as f64;
    html! {
        div.card {
            h2 { "Refusals by reason" }
            @if counts.is_empty() { p.quiet { "Nothing was refused in the last ten minutes." } }
            @else {
                table.bars {
                    caption { "Refusals by reason" }
                    tbody { @for (reason, count) in counts { tr { td.short { (reason.as_str().replace('_', " ")) } td { (chart::bar(share(count))) } td.short { (count) } } } }
                }
            }
        }
    }
}

/// What a total grew by from sample to sample, a second.
fn rates(samples: &[Sample], total: impl Fn(&Sample) -> u64) -> Vec<f64> {
    let pairs = samples.iter().zip(samples.iter().skip(1));
    #[expect(clippy::cast_precision_loss, reason = "checks within seconds")]
    let rate = |(before, after): (&Sample, &Sample)| {
        total(after).saturating_sub(total(before)) as f64 / after.at.since(before.at).as_secs_f64().max(0.001)
    };
    pairs.map(rate).collect()
}

fn figure(rate: f64) -> String {
    if rate >= 10.0 || rate == 0.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_second() {
        let sample = |at, decided| Sample { at: UnixMs(at), decided, ..Sample::default() };
        let samples = [sample(0, 0), sample(5000, 50), sample(10_000, 50)];
        assert_eq!(rates(&samples, |sample| sample.decided), [10.0, 0.0]);
        assert!(rates(&samples[..1], |sample| sample.decided).is_empty());
        assert_eq!([0.0, 0.24, 10.4].map(figure), ["0", "0.2", "10"]);
    }
}
