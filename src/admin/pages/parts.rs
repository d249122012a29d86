//! Small parts that many pages are made of.

use maud::{Markup, html};

use super::visit::Trouble;
use super::words;
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::token::terms::Terms;

/// Rows with a heading for each column; on a phone each row stands by itself, each cell beside its heading.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        table.wide {
            caption { (caption) }
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            tbody { @for row in rows { tr { @for (cell, head) in row.iter().zip(heads) { td data-label=(head) { div { (cell) } } } } } }
        }
    }
}

/// Where there is nothing to list.
pub(super) fn empty(text: &str) -> Markup {
    html! { div.card { p.empty { (text) } } }
}

/// What may be done, one chip a scope; `none` where there is none.
pub(super) fn scopes(scopes: &ScopeSet, none: &str) -> Markup {
    chips(scopes.iter().map(|scope| scope.as_str()), none)
}

/// One chip a text; `none` where there is none.
pub(super) fn chips<'a>(texts: impl Iterator<Item = &'a str>, none: &str) -> Markup {
    let mut texts = texts.peekable();
    html! {
        @if texts.peek().is_none() { span.quiet { (none) } }
        @for text in texts { span.chip { (text) } " " }
    }
}

/// What is agreed besides scopes, where anything is, in a list of terms.
pub(super) fn terms(terms: &Terms) -> Markup {
    html! {
        @if let Some(external_id) = &terms.external_id { dt { "External id" } dd { code { (external_id) } } }
        @if !terms.metadata.is_empty() {
            dt { "Metadata" }
            dd { @for (name, value) in &terms.metadata { span.chip { (name) "=" (value) } " " } }
        }
        @if !terms.networks.is_empty() {
            @let networks: Vec<_> = terms.networks.iter().map(ToString::to_string).collect();
            dt { "From networks" } dd { (chips(networks.iter().map(String::as_str), "")) }
        }
        @if let Some(limit) = &terms.limit { dt { "Limit" } dd { (super::limits::in_words(limit)) } }
    }
}

/// A point in time as people say it, beside how it is written (UTC).
pub(super) fn time(now: UnixMs, at: UnixMs) -> Markup {
    let exact = at.rfc3339();
    html! { time datetime=(exact) title=(exact) { (said(now, at)) } }
}

/// The same, where there may be none.
pub(super) fn maybe_time(now: UnixMs, at: Option<UnixMs>, none: &str) -> Markup {
    at.map_or_else(|| html! { span.quiet { (none) } }, |at| time(now, at))
}

fn said(now: UnixMs, at: UnixMs) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let (past, distance) = if at <= now { (true, now.since(at)) } else { (false, at.since(now)) };
    let seconds = distance.as_secs();
    if seconds >= 60 * 86_400 {
        return at.rfc3339().split('T').next().unwrap_or_default().to_owned();
    }
    let Some((size, unit)) = UNITS.into_iter().find(|(size, _)| seconds >= *size) else { return "just now".to_owned() };
    let (count, s) = (seconds / size, if seconds / size == 1 { "" } else { "s" });
    if past { format!("{count} {unit}{s} ago") } else { format!("in {count} {unit}{s}") }
}

/// A field for scopes.
pub(super) fn scopes_field(label: &str, hint: &str, name: &str, value: &str) -> Markup {
    html! {
        label {
            span { (label) " " small { (hint) } }
            input name=(name) value=(value) autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="8192";
        }
    }
}

/// What is wrong with the field of `form` that refusals call one of `names`: a mark for it, and the words below it.
pub(super) fn told_at(trouble: Option<&Trouble<'_>>, form: &str, names: &[&str]) -> (Option<&'static str>, Markup) {
    let wrong = trouble.filter(|trouble| trouble.form == form && trouble.field().is_some_and(|field| names.contains(&field)));
    let id = names.first().map(|name| format!("wrong-{name}"));
    (
        wrong.map(|_| "true"),
        html! { @if let Some(trouble) = wrong { small.wrong id=[id] role="alert" { (words::plain(trouble.failure)) } } },
    )
}

/// The networks that a key may be used from.
pub(super) fn networks_field(trouble: Option<&Trouble<'_>>, form: &str, value: &str) -> Markup {
    let (wrong, told) = told_at(trouble, form, &["networks"]);
    html! {
        label {
            span { "Networks " small { "it may be used from, one a line, like 10.0.0.0/8; empty: from anywhere" } }
            textarea name="networks" rows="2" spellcheck="false" autocapitalize="none"
                aria-invalid=[wrong] aria-describedby=[wrong.map(|_| "wrong-networks")] { (value) }
            (told)
        }
    }
}

/// A choice, the first where nothing was chosen.
pub(super) fn choice(label: &str, name: &str, chosen: &str, options: &[(&str, &str)]) -> Markup {
    html! {
        label {
            (label)
            select name=(name) { @for (value, text) in options { option value=(value) selected[*value == chosen] { (text) } } }
        }
    }
}

/// A further page of a list, where there is one.
pub(super) fn more(path: &str, cursor: Option<&str>) -> Markup {
    let join = if path.contains('?') { '&' } else { '?' };
    html! { @if let Some(cursor) = cursor { p { a.button.second href={ (path) (join) "cursor=" (cursor) } { "More" } } } }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let now = UnixMs(1_900_000_000_000);
        let cases = [
            (0, "just now"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (7300, "2 hours ago"),
            (86_400, "1 day ago"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(said(now, now.before(Duration::from_secs(seconds))), expected);
        }
        assert_eq!(said(now, now.after(Duration::from_secs(7200))), "in 2 hours");
        assert_eq!(said(now, now.before(Duration::from_secs(70 * 86_400))), "2030-01-06");
    }
}
