//! `gatepost import openapi`: rules from what an OpenAPI 3 document says of security.
//!
//! INVARIANT: no rule is wider than what its operation says. What a rule cannot say, and every operation that says nothing, becomes a
//! rule that refuses or asks for more, and a line of the summary. Where no rule can stand for an operation's path and the rule of another
//! one takes its requests, the summary names both.

mod operations;
mod paths;
mod security;
mod written;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::foreign::Foreign;
use crate::config::problem::Problem;
use crate::config::rules_file::{self, RulesFile};
use crate::decision::request::Request;
use crate::decision::rules::Found;

/// Make rules of the `security` of an OpenAPI 3 document, YAML or JSON.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gatepost import openapi api.yaml -o rules.yaml
  gatepost import openapi api.json --any-host | less

Each operation becomes a rule: its path below each server's, its method, and the scopes of its `security` (or the document's).
`security: []` is anonymous; scopes are demanded by name; OAuth 2, OpenID Connect and bearer are access tokens, apiKey an API key in
X-Api-Key. What cannot be said so is told on standard error, and refused; where the rule of another operation takes its requests, that
is told as well.")]
pub struct ImportOpenapiArguments {
    /// The document.
    pub file: PathBuf,
    /// Where to write the rules; default: standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Leave the servers' hosts out: the rules hold at any host.
    #[arg(long)]
    pub any_host: bool,
    /// What becomes of operations without any `security`, where the document has none for all of them either.
    #[arg(long, value_enum, default_value_t = Undeclared::Token)]
    pub undeclared: Undeclared,
}

/// What becomes of operations that say nothing of security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Undeclared {
    /// They ask for a live access token, with whatever scopes.
    Token,
    /// Everybody passes, as the specification has it.
    Anonymous,
}

/// What came of a document.
#[derive(Debug)]
pub struct Imported {
    /// The rules file.
    pub rules: String,
    /// How many rules it has.
    pub count: usize,
    /// How many operations the document has.
    pub operations: usize,
    /// What the user should look at, each with its place.
    pub notes: Vec<Problem>,
}

impl Imported {
    /// For standard error.
    pub fn summary(&self) -> String {
        let mut text: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        let plural = |n: usize, of: &str| format!("{n} {of}{}", if n == 1 { "" } else { "s" });
        text.push_str(&format!(
            "{} from {}, {} to look at\n",
            plural(self.count, "rule"),
            plural(self.operations, "operation"),
            plural(self.notes.len(), "thing")
        ));
        text
    }
}

/// Makes rules of a document.
///
/// # Errors
/// What keeps it from being one, with its place.
pub fn import(document: &Foreign, any_host: bool, undeclared: Undeclared) -> Result<Imported, Vec<Problem>> {
    let mut notes = Notes::default();
    let read = operations::read(document, any_host, undeclared, &mut notes).map_err(|problem| vec![*problem])?;
    let rules = written::rules_file(&document.name, &read.rules);
    // whatever was made loads, or it is not handed out
    let loaded = rules_file::load("the rules made of it".into(), &rules)?;
    for left_out in &read.left_out {
        caught(left_out, &loaded, &mut notes);
    }
    let notes = notes.into_problems(document);
    Ok(Imported { count: read.rules.len(), operations: read.operations, rules, notes })
}

/// An operation whose path no rule can say, with a request that it means.
#[derive(Debug)]
struct LeftOut {
    pointer: String,
    method: String,
    host: String,
    example: String,
}

/// Another rule may take the requests of an operation that was left out: `/files/{id}` those of `/files/{id}.json`.
fn caught(left_out: &LeftOut, loaded: &RulesFile, notes: &mut Notes) {
    let Ok(request) = Request::read(left_out.method.as_bytes(), left_out.host.as_bytes(), left_out.example.as_bytes(), None) else {
        return;
    };
    let Some(reading) = request.path.readings().next() else { return };
    if let Found::Rule(rule) = loaded.rules.find(&request, reading) {
        let (method, example) = (&left_out.method, &left_out.example);
        notes.add(
            &left_out.pointer,
            format!("requests like {method} {example} now meet the rule `{}`, whatever this operation asks for", rule.id),
            "see that this rule asks for enough",
        );
    }
}

/// What the user should look at. The same words about many places are said once.
#[derive(Debug, Default)]
struct Notes(Vec<(String, String, Vec<String>)>);

impl Notes {
    fn add(&mut self, pointer: &str, what: impl Into<String>, what_to_do: impl Into<String>) {
        let (what, what_to_do) = (what.into(), what_to_do.into());
        match self.0.iter_mut().find(|(known, to_do, _)| *known == what && *to_do == what_to_do) {
            Some((_, _, pointers)) if pointers.iter().any(|known| known == pointer) => {}
            Some((_, _, pointers)) => pointers.push(pointer.to_owned()),
            None => self.0.push((what, what_to_do, vec![pointer.to_owned()])),
        }
    }

    fn into_problems(self, document: &Foreign) -> Vec<Problem> {
        let told = |(what, what_to_do, pointers): (String, String, Vec<String>)| {
            let more = match pointers.len() {
                0 | 1 => String::new(),
                2 => " (and in 1 more place)".to_owned(),
                n => format!(" (and in {} more places)", n - 1),
            };
            document.problem(pointers.first().map_or("", String::as_str), format!("{what}{more}"), what_to_do)
        };
        self.0.into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests;
