//! The fields of a limit, wherever a form has them.

use maud::{Markup, html};

use super::super::failure::Failure;
use super::super::form::Form;
use super::parts;
use crate::accounts::Refusal;
use crate::decision::limit::Limit;
use crate::token::terms::LimitText;

/// The limit that a form says; nothing where its fields are empty.
pub(super) fn said(fields: &Form) -> Result<Option<LimitText>, Failure> {
    let text = |name: &str| fields.get(name).map(str::trim).filter(|text| !text.is_empty());
    let (rate, burst, quota) = (text("rate"), text("burst"), text("quota"));
    if rate.is_none() && burst.is_none() && quota.is_none() {
        return Ok(None);
    }
    let burst = burst.map(|text| text.parse().map_err(|_| Refusal::field("burst", "a number"))).transpose()?;
    let limit = Limit::parse(rate, burst, quota, text("per")).map_err(|fault| Refusal::field(fault.key, fault.expected))?;
    Ok(Some(limit.into()))
}

/// What a limit's `field` of a form holds.
pub(super) fn field(limit: Option<&LimitText>, field: &str) -> String {
    let Some(LimitText(limit)) = limit else { return String::new() };
    match field {
        "rate" => limit.rate.map(|rate| rate.to_string()),
        "burst" => limit.rate.map(|rate| rate.burst.to_string()),
        "quota" => limit.quota.map(|quota| quota.to_string()),
        _ => Some(limit.per.as_str().to_owned()),
    }
    .unwrap_or_default()
}

/// The fields of a limit.
pub(super) fn fields(value: impl Fn(&str) -> String) -> Markup {
    html! {
        fieldset {
            legend { "Limit " small { "empty: none" } }
            div.pair {
                label { span { "Rate " small { "like 100/s, 30/m, 5/h" } } input name="rate" value=(value("rate")) autocomplete="off"; }
                label {
                    span { "At once " small { "after a pause" } }
                    input name="burst" value=(value("burst")) inputmode="numeric" autocomplete="off" placeholder="as many as in a second";
                }
                label { span { "Quota " small { "like 10000/day" } } input name="quota" value=(value("quota")) autocomplete="off"; }
                (parts::choice("Shared by all of", "per", &value("per"), &[("key", "a key"), ("principal", "a person"), ("tenant", "a tenant")]))
            }
        }
    }
}

/// A limit as people read it.
pub(super) fn in_words(LimitText(limit): &LimitText) -> String {
    let rate = limit.rate.map(|rate| format!("{rate}, {} at once", rate.burst));
    let quota = limit.quota.map(|quota| quota.to_string());
    let both: Vec<_> = rate.into_iter().chain(quota).collect();
    format!("{}, per {}", both.join(", "), limit.per.as_str())
}
