//! Which rules a request meets, which it nearly meets, and what keeps the others from deciding; in words.

use super::{Candidate, NEARLY, Nearly};
use crate::decision::request::Request;
use crate::decision::rules::{Found, Method, Near, Rule, RuleSet};

/// The rules for host and path, most specific first.
pub(super) fn candidates(rules: &RuleSet, request: &Request<'_>, reading: &[u8]) -> Vec<Candidate> {
    let method = String::from_utf8_lossy(request.method);
    let decides = match rules.find(request, reading) {
        Found::Rule(rule) | Found::Preflight(rule) => Some(rule),
        _ => None,
    };
    let why_not = |rule: &Rule, takes: bool| match decides {
        Some(decides) if decides.number == rule.number => None,
        _ if !takes => Some(format!("takes {}, not {method}", methods(rule))),
        Some(decides) => Some(format!("`{}` is more specific", decides.id)),
        None => Some(format!("a more specific path has rules, none of which takes {method}")),
    };
    let candidate = |(rule, takes): (&Rule, bool)| Candidate { rule: rule.id.clone(), takes_method: takes, why_not: why_not(rule, takes) };
    rules.candidates(request, reading).into_iter().map(candidate).collect()
}

/// Rules that everything but one thing speaks for.
pub(super) fn nearly(rules: &RuleSet, request: &Request<'_>, reading: &[u8]) -> Vec<Nearly> {
    let told = |(rule, near): (&Rule, Near)| {
        let why_not = match near {
            Near::Slash(true) => "its path ends in a slash, this one does not".to_owned(),
            Near::Slash(false) => "this path ends in a slash, its own does not".to_owned(),
            Near::Segment { at, wanted, found } if found.is_empty() => format!("segment {at} is empty, not `{wanted}`"),
            Near::Segment { at, wanted, found } => format!("segment {at} is `{found}`, not `{wanted}`"),
            Near::Host => {
                let hosts: Vec<String> = rule.place.hosts.iter().map(ToString::to_string).collect();
                format!("the host is `{}`, not {}", String::from_utf8_lossy(request.host.as_bytes()), hosts.join(", "))
            }
        };
        Nearly { rule: rule.id.clone(), place: rule.place.path.to_string(), why_not }
    };
    rules.nearly(request, reading, NEARLY).into_iter().map(told).collect()
}

fn methods(rule: &Rule) -> String {
    match rule.place.methods.as_slice() {
        // another rule of the same path lists the method
        [] => "any other method".to_owned(),
        methods => methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "),
    }
}
