//! The rules file: text in, compiled rules with their tests out.
//!
//! Everything wrong is told at once; a file whose own tests fail is wrong as well.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::RulesSource;
use super::environment::Environment;
use super::problem::{Complaint, Problem, Warning};
use super::reader::{Document, Field, Shape};
use super::rule::rule;
pub use super::rule_test::{Expectation, Outcome, RuleTest};
use super::yaml::{self, Place};
use crate::decision::credential::CredentialKind;
use crate::decision::rules::{Clash, RuleSet, RuleSpec};
use crate::token::secret::sha256;

/// The starter rules that are shipped, and that count where nobody wrote a configuration.
pub const SHIPPED: &str = include_str!("../../config/rules.yaml");

/// Largest rules file.
pub(super) const BYTES: u64 = 64 << 20;

/// A rules file that loads.
#[derive(Debug)]
pub struct RulesFile {
    /// As it was named.
    pub name: Arc<str>,
    /// What it says.
    pub rules: RuleSet,
    /// Its own tests.
    pub tests: Vec<RuleTest>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// SHA-256 of its text: two generations with the same one are the same.
    pub hash: [u8; 32],
}

impl RulesFile {
    /// Whether it has tests: a reload that loses them all is not taken without asking.
    pub fn had_tests(&self) -> bool {
        !self.tests.is_empty()
    }

    /// Each of its tests that fails, as a problem.
    pub fn failures(&self) -> Vec<Problem> {
        self.tests.iter().enumerate().filter_map(|(n, test)| self.failure(n, test)).collect()
    }

    fn failure(&self, n: usize, test: &RuleTest) -> Option<Problem> {
        let outcome = test.run(&self.rules);
        if outcome.passed {
            return None;
        }
        let by = outcome.rule.map_or_else(|| "no rule".into(), |id| format!("rule `{id}`"));
        let why = if outcome.why.is_empty() { String::new() } else { format!(", {}", outcome.why) };
        Some(Problem {
            file: self.name.clone(),
            line: test.line,
            column: test.column,
            path: format!("tests[{n}]"),
            what: format!("{} is expected to be {}, but is {} ({by}{why})", test.request, past(test.expect), past(outcome.got)),
            what_to_do: "mend the rules or the test".into(),
        })
    }
}

fn past(expectation: Expectation) -> &'static str {
    match expectation {
        Expectation::Allow => "allowed",
        Expectation::Deny => "denied",
    }
}

/// The name of rules in messages, and their text or what is wrong with the file.
pub(super) fn text_of(source: &RulesSource) -> (Arc<str>, Result<String, String>) {
    match source {
        RulesSource::BuiltIn => ("(built-in rules)".into(), Ok(SHIPPED.into())),
        RulesSource::File(path) => (name_of(path), super::file::read_text(path, BYTES)),
    }
}

pub(super) fn name_of(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

/// Reads rules and runs their tests.
///
/// # Errors
/// Everything that is wrong, failing tests included.
pub fn load(name: Arc<str>, text: &str) -> Result<RulesFile, Vec<Problem>> {
    let file = read(name, text)?;
    let failures = file.failures();
    if failures.is_empty() { Ok(file) } else { Err(failures) }
}

/// Reads rules without running their tests.
///
/// # Errors
/// Everything that is wrong.
pub fn read(name: Arc<str>, text: &str) -> Result<RulesFile, Vec<Problem>> {
    let (written, faults) = yaml::parse(text);
    let environment = Environment::default();
    let document = Document::new(name.clone(), &environment);
    let unreadable = written.is_none() && !faults.is_empty();
    document.faults(faults);
    let read = if unreadable { None } else { compile(&document.root(written.as_ref(), None)) };
    let (problems, warnings) = document.collector.finish();
    match read {
        Some((rules, tests)) if problems.is_empty() => Ok(RulesFile { name, rules, tests, warnings, hash: sha256(text.as_bytes()) }),
        _ => Err(problems),
    }
}

/// `None` only after a problem.
fn compile(root: &Field<'_>) -> Option<(RuleSet, Vec<RuleTest>)> {
    root.mapping(&["rules", "tests"]);
    let rules_at = root.key("rules");
    if rules_at.shape() == Shape::Absent {
        rules_at.missing("write `rules:` with a list; without it every request would be refused");
    }
    let fields = rules_at.items();
    let specs: Vec<Option<RuleSpec>> = fields.iter().map(rule).collect();
    refuse_doubled_ids(&fields, &specs);
    warn_of_logins(&fields, &specs);
    let tests_at = root.key("tests");
    let tests: Vec<Option<RuleTest>> =
        if tests_at.shape() == Shape::Absent { Vec::new() } else { tests_at.items().iter().map(rule_test_of).collect() };
    // a rule that could not be read may be one half of a clash, so the others are compared as well
    let (numbers, read): (Vec<usize>, Vec<RuleSpec>) = specs.into_iter().enumerate().filter_map(|(n, spec)| Some((n, spec?))).unzip();
    let ids: Vec<String> = read.iter().map(|spec| spec.id.clone()).collect();
    match RuleSet::compile(read) {
        Ok(rules) => Some((rules, tests.into_iter().collect::<Option<_>>()?)),
        Err(clashes) => {
            clashes.iter().for_each(|clash| report(clash, &fields, &numbers, &ids));
            None
        }
    }
}

fn rule_test_of(field: &Field<'_>) -> Option<RuleTest> {
    super::rule_test::rule_test(field)
}

fn refuse_doubled_ids(fields: &[Field<'_>], specs: &[Option<RuleSpec>]) {
    let mut seen: HashMap<&str, u32> = HashMap::with_capacity(specs.len());
    for (field, spec) in fields.iter().zip(specs) {
        let Some(spec) = spec else { continue };
        let place = field.key("id").place();
        if let Some(line) = seen.insert(&spec.id, place.line) {
            let what = format!("`{}` is the id of the rule in line {line} too", spec.id);
            field.key("id").problem(Complaint::new(what, "give each rule an id of its own"));
        }
    }
}

/// A login's JWT is good for more than the request that shows it. Said once, whatever the number of such rules.
fn warn_of_logins(fields: &[Field<'_>], specs: &[Option<RuleSpec>]) {
    let takes = |spec: &RuleSpec| !spec.requirement.anonymous && spec.requirement.credentials.takes(CredentialKind::Jwt);
    let mut taking = fields.iter().zip(specs).filter(|(_, spec)| spec.as_ref().is_some_and(takes));
    let Some((field, _)) = taking.next() else { return };
    let more = match taking.count() {
        0 => String::new(),
        n => format!(" (and in {n} more)"),
    };
    field.key("credentials").warning(Complaint::new(
        format!(
            "a login's JWT is taken here{more}, and the admin listener takes it as well: an application that sees it can act as that person"
        ),
        "keep the line of the proxy's file that takes Authorization away from the application, or take session or token instead",
    ));
}

/// Two rules of equal precedence take the same request and demand different things: to choose would be a guess.
fn report(clash: &Clash, fields: &[Field<'_>], numbers: &[usize], ids: &[String]) {
    let field = |n: usize| numbers.get(n).and_then(|n| fields.get(*n));
    let id = |n: usize| ids.get(n).map_or("", String::as_str);
    let (Some(first), Some(second)) = (field(clash.first), field(clash.second)) else { return };
    let Place { line, .. } = first.place();
    let what = format!(
        "`{}` here and `{}` in line {line} both take {} and demand different things",
        id(clash.second),
        id(clash.first),
        clash.example
    );
    second.problem(Complaint::new(what, "let their hosts, paths or methods differ, or let both demand the same"));
}

#[cfg(test)]
mod tests;
