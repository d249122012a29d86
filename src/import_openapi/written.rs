//! Rules as they are written into a rules file.

use std::fmt::Write;

use super::security::{Demand, Scopes};
use crate::decision::credential::CredentialKind;

/// A rule to write.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) id: String,
    /// Empty = any.
    pub(super) hosts: Vec<String>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) demand: Demand,
    /// What the operation does, in words of the document.
    pub(super) summary: String,
}

/// Longest comment, in characters.
const SUMMARY: usize = 100;

/// A rules file with these rules.
pub(super) fn rules_file(from: &str, rules: &[Written]) -> String {
    let mut text = format!("# Made of {} by `gatepost import openapi`.\n", one_line(from, 1000));
    if rules.is_empty() {
        text.push_str("rules: []\n");
        return text;
    }
    text.push_str("rules:\n");
    for rule in rules {
        if !rule.summary.is_empty() {
            let _ = writeln!(text, "  # {}", one_line(&rule.summary, SUMMARY));
        }
        let _ = writeln!(text, "  - id: {}", quoted(&rule.id));
        if !rule.hosts.is_empty() {
            let _ = writeln!(text, "    hosts: [{}]", rule.hosts.join(", "));
        }
        let _ = writeln!(text, "    methods: [{}]\n    path: {}", quoted(&rule.method), quoted(&rule.path));
        match &rule.demand {
            Demand::Anonymous => text.push_str("    access: anonymous\n"),
            Demand::Nobody => {
                text.push_str("    tenants: [nobody]     # what the document asks for cannot be said: write what is needed\n")
            }
            Demand::Credential(kinds, scopes) => {
                let list =
                    |scopes: &std::collections::BTreeSet<String>| scopes.iter().map(|scope| json(scope)).collect::<Vec<_>>().join(", ");
                let _ = match scopes {
                    Scopes::None => Ok(()),
                    Scopes::All(scopes) => writeln!(text, "    scopes: {{ all: [{}] }}", list(scopes)),
                    Scopes::Any(scopes) => writeln!(text, "    scopes: {{ any: [{}] }}", list(scopes)),
                };
                let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
                if kinds != [CredentialKind::Token.as_str()] {
                    let _ = writeln!(text, "    credentials: [{}]", kinds.join(", "));
                }
            }
        }
    }
    text
}

/// As it stands where that is plain to every reader of YAML, else in quotes.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_.{}-".contains(&b))
        && text.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic());
    let word = matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n");
    if plain && !word { text.to_owned() } else { json(text) }
}

/// In double quotes: JSON's escapes are YAML's, too.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn one_line(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() || c == '\u{2028}' || c == '\u{2029}' || c == '\u{feff}' { ' ' } else { c }).take(most).collect()
}
