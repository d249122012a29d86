//! `check-config` and `test-rules`: what they print, and how they end.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use super::BAD_CONFIGURATION;
use super::environment::Environment;
use super::file;
use super::problem::Problem;
use super::rules_file::{RuleTest, RulesFile};
use crate::decision::issuer::IssuerNames;
use crate::issuers::KeySource;

/// Everything that is wrong, at once; where nothing is, what would be served, and what is risky.
/// Exit 0, or 64 where something is wrong.
pub fn check_config(path: Option<&Path>, environment: &Environment) -> (String, ExitCode) {
    let loaded = match file::load(path, environment) {
        Ok(loaded) => loaded,
        Err(problems) => return refuse(&problems),
    };
    let mut text = String::new();
    for warning in &loaded.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let name = loaded.file.as_ref().map_or_else(|| "built-in configuration".into(), |file| file.display().to_string());
    let (rules, tests) = (loaded.rules.rules.rules().len(), loaded.rules.tests.len());
    let _ = writeln!(text, "{name}: fine");
    let _ = writeln!(text, "{}: fine, {}, {} passed", loaded.rules.name, count(rules, "rule"), count(tests, "test"));
    for gate in &loaded.config.gates {
        let tls = if gate.tls.is_some() { " with TLS" } else { "" };
        let _ = writeln!(text, "gate {}: {}{tls}", gate.proxy.as_str(), gate.listen);
    }
    for issuer in &loaded.config.issuers {
        let keys = match &issuer.keys {
            KeySource::Discovery => "by discovery".to_owned(),
            KeySource::Address(address) => format!("at {address}"),
            KeySource::File(path) => format!("in {}", path.display()),
        };
        let _ = writeln!(text, "issuer {}: {}, keys {keys}", issuer.name, issuer.issuer);
    }
    let tls = if loaded.config.admin.tls.is_some() { " with TLS" } else { "" };
    let _ = writeln!(text, "admin: {}{tls}\nmetrics: {}", loaded.config.admin.listen, loaded.config.metrics);
    (text, ExitCode::SUCCESS)
}

/// The tests of the rules file in a table. Exit 0, 1 where one fails, 64 where configuration or rules do not load.
pub fn test_rules(path: Option<&Path>, environment: &Environment) -> (String, ExitCode) {
    match file::load_without_tests(path, environment) {
        Ok(loaded) => table(&loaded.rules),
        Err(problems) => refuse(&problems),
    }
}

fn refuse(problems: &[Problem]) -> (String, ExitCode) {
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{problem}");
    }
    let _ = writeln!(text, "{}", count(problems.len(), "problem"));
    (text, ExitCode::from(BAD_CONFIGURATION))
}

fn table(file: &RulesFile) -> (String, ExitCode) {
    let mut text = String::new();
    let mut failed = 0;
    let shown = |test: &RuleTest| shown(test, file.rules.issuers());
    let width = file.tests.iter().map(|test| shown(test).chars().count()).max().unwrap_or_default();
    for test in &file.tests {
        let outcome = test.run(&file.rules);
        let mark = if outcome.passed { "ok  " } else { "FAIL" };
        failed += usize::from(!outcome.passed);
        let rule = outcome.rule.as_deref().map_or_else(|| "-".to_owned(), |id| format!("{id}{}", file.elsewhere(id, &test.file)));
        // of one file the line is enough
        let at = if test.file == file.name { format!("line {:<5}", test.line) } else { format!("{}:{}", test.file, test.line) };
        let _ = write!(text, "{mark}  {at} {:<width$}  {:<5}  {rule}", shown(test), outcome.got.as_str());
        if !outcome.passed {
            let _ = write!(text, "  expected {}", test.expect.as_str());
        }
        let _ = writeln!(text, "{}{}", if outcome.why.is_empty() { "" } else { "  " }, outcome.why);
    }
    let _ = match (file.tests.len(), failed) {
        (0, _) => writeln!(text, "{}: no tests; write some below `tests:`", file.name),
        (tests, 0) => writeln!(text, "{}: {} passed", file.name, count(tests, "test")),
        (tests, failed) => writeln!(text, "{}: {failed} of {} failed", file.name, count(tests, "test")),
    };
    (text, if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The request, with what it presents where that is not a token.
fn shown(test: &RuleTest, issuers: &IssuerNames) -> String {
    let with = match test.trial.credential {
        None => " without credential".into(),
        Some(crate::decision::credential::CredentialKind::Token) => String::new(),
        Some(kind) => format!(" with {}", issuers.name(kind)),
    };
    let scopes = if test.trial.scopes.is_empty() { String::new() } else { format!(" [{}]", test.trial.scopes) };
    format!("{}{with}{scopes}", test.request)
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
