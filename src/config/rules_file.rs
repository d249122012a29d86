//! The rules file, or several that are one set of rules: text in, compiled rules with their tests out.
//!
//! Everything wrong is told at once; a file whose own tests fail is wrong as well.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RulesSource;
use super::environment::Environment;
use super::problem::{Complaint, Problem, Warning};
use super::reader::{Document, Field, Shape};
use super::rule::rule;
pub use super::rule_test::{Expectation, Outcome, RuleTest};
use super::yaml::{self, Place};
use crate::decision::credential::CredentialKind;
use crate::decision::issuer::IssuerNames;
use crate::decision::rules::{Clash, RuleSet, RuleSpec, Written};
use crate::token::secret::sha256;

/// The starter rules that are shipped, and that count where nobody wrote a configuration.
pub const SHIPPED: &str = include_str!("../../config/rules.yaml");

/// Largest rules file.
pub(super) const BYTES: u64 = 64 << 20;

/// A rules file that loads, or several as one.
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
    /// SHA-256 of its text, or over names and texts: two generations with the same one are the same.
    pub hash: [u8; 32],
}

impl RulesFile {
    /// Whether it has tests: a reload that loses them all is not taken without asking.
    pub fn had_tests(&self) -> bool {
        !self.tests.is_empty()
    }

    /// Each of its tests that fails, as a problem.
    pub fn failures(&self) -> Vec<Problem> {
        self.tests.iter().filter_map(|test| self.failure(test)).collect()
    }

    fn failure(&self, test: &RuleTest) -> Option<Problem> {
        let outcome = test.run(&self.rules);
        if outcome.passed {
            return None;
        }
        let by = outcome.rule.map_or_else(|| "no rule".into(), |id| format!("rule `{id}`{}", self.elsewhere(&id, &test.file)));
        let why = if outcome.why.is_empty() { String::new() } else { format!(", {}", outcome.why) };
        Some(Problem {
            file: test.file.clone(),
            line: test.line,
            column: test.column,
            path: test.path.clone(),
            what: format!("{} is expected to be {}, but is {} ({by}{why})", test.request, past(test.expect), past(outcome.got)),
            what_to_do: "mend the rules or the test".into(),
        })
    }

    /// Where the rule of this id stands, if that is another file than `here`: ` in FILE:LINE`.
    pub(super) fn elsewhere(&self, id: &str, here: &str) -> String {
        let written = self.rules.rules().iter().find(|rule| rule.id == id).and_then(|rule| rule.place.written.as_ref());
        written.filter(|written| *written.file != *here).map(|written| format!(" in {written}")).unwrap_or_default()
    }
}

fn past(expectation: Expectation) -> &'static str {
    match expectation {
        Expectation::Allow => "allowed",
        Expectation::Deny => "denied",
    }
}

/// One file: its name in messages, and its text.
pub(super) type Part = (Arc<str>, String);

/// The texts of rules, or the file that has none and why.
pub(super) fn texts_of(source: &RulesSource) -> Result<Vec<Part>, Part> {
    let read = |path: &Path| {
        let name = name_of(path);
        match super::file::read_text(path, BYTES) {
            Ok(text) => Ok((name, text)),
            Err(what) => Err((name, what)),
        }
    };
    match source {
        RulesSource::BuiltIn => Ok(vec![(called(source), SHIPPED.into())]),
        RulesSource::File(path) => Ok(vec![read(path)?]),
        RulesSource::Files(pattern) => {
            let files = files_of(pattern).map_err(|what| (called(source), what))?;
            files.iter().map(|path| read(path)).collect()
        }
    }
}

/// The name of all of the rules in messages.
pub(super) fn called(source: &RulesSource) -> Arc<str> {
    match source {
        RulesSource::BuiltIn => "(built-in rules)".into(),
        RulesSource::File(path) | RulesSource::Files(path) => name_of(path),
    }
}

/// The files that match, in the order of their names. Hidden ones do not, as in a shell.
pub(super) fn files_of(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let (folder, wanted) = (pattern.parent().unwrap_or(Path::new("")), pattern.file_name().unwrap_or_default().as_encoded_bytes());
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let wrong = |error| format!("cannot be read: {error}");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let path = folder.join(&name);
        let is_hidden = name.as_encoded_bytes().starts_with(b".") && !wanted.starts_with(b".");
        if !is_hidden && matches(wanted, name.as_encoded_bytes()) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort_unstable();
    if files.is_empty() { Err("matches no file".to_owned()) } else { Ok(files) }
}

/// Whether `name` is `pattern`, in which each `*` stands for any characters.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&[u8]> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match memchr::memmem::find(rest, part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

pub(super) fn name_of(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

/// Reads rules that take no other issuer's tokens, and runs their tests.
///
/// # Errors
/// Everything that is wrong, failing tests included.
pub fn load(name: Arc<str>, text: &str) -> Result<RulesFile, Vec<Problem>> {
    load_all(name.clone(), &[(name, text.to_owned())], &IssuerNames::default())
}

/// Reads rules that take no other issuer's tokens, without running their tests.
///
/// # Errors
/// Everything that is wrong.
pub fn read(name: Arc<str>, text: &str) -> Result<RulesFile, Vec<Problem>> {
    read_all(name.clone(), &[(name, text.to_owned())], &IssuerNames::default())
}

/// As [`load`], of files that are one set of rules.
pub(super) fn load_all(name: Arc<str>, parts: &[Part], issuers: &IssuerNames) -> Result<RulesFile, Vec<Problem>> {
    let file = read_all(name, parts, issuers)?;
    let failures = file.failures();
    if failures.is_empty() { Ok(file) } else { Err(failures) }
}

/// As [`read`], of files that are one set of rules.
pub(super) fn read_all(name: Arc<str>, parts: &[Part], issuers: &IssuerNames) -> Result<RulesFile, Vec<Problem>> {
    let environment = Environment::default();
    let (documents, trees): (Vec<_>, Vec<_>) = parts
        .iter()
        .map(|(name, text)| {
            let (written, faults) = yaml::parse(text);
            let document = Document::new(name.clone(), &environment);
            let unreadable = written.is_none() && !faults.is_empty();
            document.faults(faults);
            (document, (written, unreadable))
        })
        .unzip();
    let roots: Vec<Field<'_>> =
        documents.iter().zip(&trees).map(|(document, (written, _))| document.root(written.as_ref(), None)).collect();
    let readable = trees.iter().all(|(_, unreadable)| !unreadable);
    // what one that is no YAML says is not known, and neither is what it would clash with
    let compiled = if readable { compile(&roots, issuers) } else { None };
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for document in documents {
        let (more, also) = document.collector.finish();
        problems.extend(more);
        warnings.extend(also);
    }
    match compiled {
        Some((rules, tests)) if problems.is_empty() => Ok(RulesFile { name, rules, tests, warnings, hash: hash_of(parts) }),
        _ => Err(problems),
    }
}

/// Two sets of files with the same one are the same; of one file the text alone counts.
pub(super) fn hash_of(parts: &[Part]) -> [u8; 32] {
    if let [(_, text)] = parts {
        return sha256(text.as_bytes());
    }
    let hashes: Vec<u8> = parts.iter().flat_map(|(name, text)| [sha256(name.as_bytes()), sha256(text.as_bytes())]).flatten().collect();
    sha256(&hashes)
}

/// `None` only after a problem.
fn compile(roots: &[Field<'_>], issuers: &IssuerNames) -> Option<(RuleSet, Vec<RuleTest>)> {
    let children = |name: &'static str| roots.iter().map(|root| root.key(name)).collect::<Vec<_>>();
    let (rules_at, tests_at) = (children("rules"), children("tests"));
    for (root, rules_at) in roots.iter().zip(&rules_at) {
        root.mapping(&["rules", "tests"]);
        if rules_at.shape() == Shape::Absent {
            rules_at.missing("write `rules:` with a list; without it every request would be refused");
        }
    }
    let fields: Vec<Field<'_>> = rules_at.iter().flat_map(Field::items).collect();
    let specs: Vec<Option<RuleSpec>> = fields.iter().map(|field| rule(field, issuers)).collect();
    refuse_doubled_ids(&fields, &specs);
    warn_of_logins(&fields, &specs);
    let tests_at = tests_at.iter().filter(|tests| tests.shape() != Shape::Absent);
    let tests: Vec<Option<RuleTest>> = tests_at.flat_map(Field::items).map(|test| rule_test_of(&test, issuers)).collect();
    // a rule that could not be read may be one half of a clash, so the others are compared as well
    let (numbers, read): (Vec<usize>, Vec<RuleSpec>) = specs.into_iter().enumerate().filter_map(|(n, spec)| Some((n, spec?))).unzip();
    let ids: Vec<String> = read.iter().map(|spec| spec.id.clone()).collect();
    match RuleSet::compile(read) {
        Ok(mut rules) => {
            rules.note_issuers(issuers.clone());
            let places = numbers.iter().filter_map(|n| fields.get(*n));
            rules.note_places(places.map(|field| Written { file: field.document().file().clone(), line: field.place().line }));
            Some((rules, tests.into_iter().collect::<Option<_>>()?))
        }
        Err(clashes) => {
            clashes.iter().for_each(|clash| report(clash, &fields, &numbers, &ids));
            None
        }
    }
}

fn rule_test_of(field: &Field<'_>, issuers: &IssuerNames) -> Option<RuleTest> {
    super::rule_test::rule_test(field, issuers)
}

fn refuse_doubled_ids(fields: &[Field<'_>], specs: &[Option<RuleSpec>]) {
    let mut seen: HashMap<&str, &Field<'_>> = HashMap::with_capacity(specs.len());
    for (field, spec) in fields.iter().zip(specs) {
        let Some(spec) = spec else { continue };
        if let Some(other) = seen.insert(&spec.id, field) {
            let what = format!("`{}` is the id of the rule in {} too", spec.id, place(other.document(), other.key("id").place(), field));
            field.key("id").problem(Complaint::new(what, "give each rule an id of its own"));
        }
    }
}

/// A place as told to whoever looks at `here`: the line alone where it is in the same file.
fn place(document: &Document<'_>, Place { line, .. }: Place, here: &Field<'_>) -> String {
    if std::ptr::eq(document, here.document()) { format!("line {line}") } else { format!("{}:{line}", document.file()) }
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
    let what = format!(
        "`{}` here and `{}` in {} both take {} and demand different things",
        id(clash.second),
        id(clash.first),
        place(first.document(), first.place(), second),
        clash.example
    );
    second.problem(Complaint::new(what, "let their hosts, paths or methods differ, or let both demand the same"));
}

#[cfg(test)]
mod tests;
