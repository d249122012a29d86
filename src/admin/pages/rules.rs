//! `/console/rules`: the rules in force, and what their own tests say of them now.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::instance::{Rule, Tested};
use super::super::lists::Newest;
use super::super::request::Call;
use super::visit::{Trouble, Visit, shown};
use super::{Page, parts};

const PATH: &str = "/console/rules";
/// Most tests shown.
const TESTS: usize = 500;

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, list())
}

async fn list(visit: &Visit<'_>, _: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let instance = visit.admin.instance_for(&visit.caller)?;
    let asked = Newest::read(visit.call)?;
    let first = usize::try_from(asked.before.unwrap_or(0)).unwrap_or(usize::MAX);
    let (rules, cursor) = instance.rules_page(&asked, first);
    let rows: Vec<_> = rules.iter().map(row).collect();
    let (tests, all) = (instance.tests)(TESTS);
    let failed = tests.iter().filter(|test| !test.passed).count();
    let body = html! {
        p.quiet { "As loaded. The most specific host and path decide; what no rule lists is refused." }
        div.card {
            h2 { "Rules" }
            (parts::table("Rules", &["Rule", "Methods", "Host and path", "Takes", "Demands"], &rows))
        }
        (parts::more(&visit.path(PATH), cursor.as_deref()))
        @if first == 0 {
            div.card {
                div.lead {
                    h2 { "Tests" }
                    @if tests.is_empty() { span.chip.warn { "none" } }
                    @else if failed == 0 { span.chip.good { (tests.len()) " passed" } }
                    @else { span.chip.bad { (failed) " of " (tests.len()) " failed" } }
                }
                @if tests.is_empty() {
                    p { "Write " code { "tests:" } " into the rules file: a reload that fails them is not taken." }
                } @else {
                    (parts::table("Tests", &["Result", "Request", "Presents", "Expected", "Rule"], &tests.iter().map(test).collect::<Vec<_>>()))
                }
                @if all > tests.len() { p.quiet { "The first " (tests.len()) " of " (all) "." } }
            }
        }
    };
    Ok(visit.page(PATH, "Rules", body))
}

fn row(rule: &Rule) -> Vec<Markup> {
    vec![
        html! { code { (rule.id) } @if !rule.enforce { " " span.chip.warn { "shadow" } } },
        parts::chips(rule.methods.iter().map(String::as_str), "any"),
        html! {
            @if rule.hosts.is_empty() { code { (rule.path) } }
            @for host in &rule.hosts { code { (host) (rule.path) } br; }
        },
        html! { @if rule.anonymous { span.chip.warn { "everyone" } } @else { (rule.credentials.join(", ").replace('_', " ")) } },
        html! {
            @if rule.anonymous { "nothing" } @else if rule.all.is_empty() && rule.any.is_empty() { span.quiet { "no scope" } }
            (list_of("all of", &rule.all))
            (list_of("one of", &rule.any))
            @if !rule.from_networks.is_empty() { div { span.quiet { "from " } (parts::chips(rule.from_networks.iter().map(String::as_str), "")) } }
            @if !rule.tenants.is_empty() { div { span.quiet { "tenant " } (parts::chips(rule.tenants.iter().map(String::as_str), "")) } }
        },
    ]
}

fn list_of(which: &str, scopes: &[String]) -> Markup {
    html! { @if !scopes.is_empty() { div { @if scopes.len() > 1 { span.quiet { (which) " " } } (parts::chips(scopes.iter().map(String::as_str), "")) } } }
}

fn test(test: &Tested) -> Vec<Markup> {
    vec![
        html! { @if test.passed { span.chip.good { "passed" } } @else { span.chip.bad { "failed" } } },
        html! { code { (test.request) } },
        html! { (test.credential.replace('_', " ")) " " (parts::chips(test.scopes.iter().map(String::as_str), "")) },
        html! { (test.expect) @if !test.passed { ", but got " (test.got) } @if !test.why.is_empty() { div.quiet { (test.why.replace('_', " ")) } } },
        html! { @match &test.rule { Some(rule) => code { (rule) }, None => span.quiet { "none" } } },
    ]
}
