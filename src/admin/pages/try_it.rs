//! `/console/try`: a request put to the rules in force, as `gatepost explain` would; nothing is counted and nothing slides.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use serde_json::Value;

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::instance::Explain;
use super::super::request::{Call, scope_names};
use super::visit::{Trouble, Visit, acted, scopes_of, shown};
use super::{Page, parts};

const PATH: &str = "/console/try";
const METHODS: [(&str, &str); 7] =
    [("GET", "GET"), ("HEAD", "HEAD"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE"), ("OPTIONS", "OPTIONS")];

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, empty())
}

pub(super) async fn explain(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "try", tried(), empty())
}

async fn tried(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let (key, token) = match text("credential") {
        // an access token or a login's JWT; whatever else it is, an API key at most
        Some(text) if text.starts_with("gpt_") || text.matches('.').count() == 2 => (None, Some(text)),
        key => (key, None),
    };
    let scopes = scopes_of(fields, "scopes")?.map(|scopes| scope_names(&scopes));
    let asked = Explain {
        method: fields.get("method").unwrap_or("GET").to_owned(),
        url: text("url").unwrap_or_default(),
        gate: text("gate"),
        token,
        api_key: key,
        scopes,
        from: text("from").map(|from| from.parse()).transpose().map_err(|_| Failure::invalid("`from` is no address"))?,
    };
    let explanation = visit.admin.explained(&visit.caller, asked).await?;
    let page = page(visit, None, Some(fields), result(&explanation))?;
    Ok(page.answer())
}

async fn empty(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    page(visit, trouble, trouble.map(|trouble| trouble.fields), html! {})
}

fn page(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, filled: Option<&Form>, result: Markup) -> Result<Page, Failure> {
    let instance = visit.admin.instance_for(&visit.caller)?;
    let was = |field: &str| filled.and_then(|form| form.get(field)).unwrap_or_default();
    let gates: Vec<(&str, &str)> = instance.gates.iter().map(|gate| (gate.as_str(), gate.as_str())).collect();
    let fields = html! {
        div.pair {
            (parts::choice("Method", "method", was("method"), &METHODS))
            (parts::choice("Through the gate of", "gate", was("gate"), &gates))
        }
        label {
            span { "URL " small { "or a path alone" } }
            input name="url" value=(was("url")) maxlength="4096" autocomplete="off" autocapitalize="none" spellcheck="false"
                placeholder="https://api.example.com/orders/1" required autofocus[filled.is_none()];
        }
        label {
            span { "Token or API key " small { "looked up as the gate would" } }
            input name="credential" maxlength="4096" autocomplete="off" autocapitalize="none" spellcheck="false";
        }
        label {
            span { "From " small { "the client's address, for rules and keys that are for some networks only" } }
            input name="from" value=(was("from")) maxlength="45" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="192.0.2.7";
        }
        (parts::scopes_field("Or scopes", "as if a live token held them", "scopes", was("scopes")))
        button { "Try it" }
    };
    let body = html! {
        (result)
        section.card { (visit.form(PATH, "try", trouble, fields)) }
    };
    Ok(visit.page(PATH, "Try a request", body))
}

/// What came of it; an explanation is what `gatepost explain --json` writes.
fn result(explanation: &Value) -> Markup {
    let text = |name: &str| explanation[name].as_str().unwrap_or_default();
    let allowed = text("decision") == "allow";
    let line = |label: &str, value: &str| html! { @if !value.is_empty() { dt { (label) } dd { (value) } } };
    let list = |heading: &str, name: &str| {
        let rules = explanation[name].as_array().map(Vec::as_slice).unwrap_or_default();
        html! {
            @if !rules.is_empty() {
                h3 { (heading) }
                ul {
                    @for rule in rules {
                        li { code { (rule["rule"].as_str().unwrap_or_default()) } " " span.quiet { (rule["why_not"].as_str().unwrap_or("decides")) } }
                    }
                }
            }
        }
    };
    html! {
        section.card role="status" {
            div.lead {
                h2 { @if allowed { "Allowed" } @else { "Refused" } }
                span.chip.good[allowed].bad[!allowed] { (explanation["status"]) }
            }
            dl {
                (line("Why", &text("reason").replace('_', " ")))
                (line("Message", text("message")))
                (line("Rule", text("rule")))
                (line("Would be refused", &text("shadow").replace('_', " ")))
                (line("Missing scopes", text("missing_scopes")))
                (line("Credential", text("credential")))
                (line("When the store is away", text("on_store_error")))
            }
            (list("Rules for this host and path, most specific first", "candidates"))
            (list("Rules that nearly match", "nearly"))
            h3 { "What " (text("gate")) " gets" }
            pre { (text("answer")) }
        }
    }
}
