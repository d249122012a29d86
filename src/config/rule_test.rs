//! The tests inside a rules file: a request, what its credential would show, and what is expected.

use std::sync::Arc;

use super::accounts::scopes;
use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::values;
use super::yaml::Place;
use crate::decision::Verdict;
use crate::decision::credential::CredentialKind;
use crate::decision::issuer::IssuerNames;
use crate::decision::rules::RuleSet;
use crate::decision::scopes::ScopeSet;
use crate::decision::trial::{Attributes, Trial};
use crate::token::record::Role;

/// One test.
#[derive(Debug, Clone)]
pub struct RuleTest {
    /// As written: `GET https://api.example.com/orders`.
    pub request: String,
    /// What is tried.
    pub trial: Trial,
    /// What is expected.
    pub expect: Expectation,
    /// In which rules file it stands.
    pub file: Arc<str>,
    /// Where there.
    pub line: u32,
    pub(super) column: u32,
    pub(super) path: String,
}

/// What a test expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// 200.
    Allow,
    /// Anything else.
    Deny,
}

impl Expectation {
    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the rules answer.
    pub got: Expectation,
    /// Whether that is what was expected.
    pub passed: bool,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Why it was refused (also by a shadow rule that let it pass); empty where nothing refused.
    pub why: String,
}

impl RuleTest {
    /// Tries it.
    pub fn run(&self, rules: &RuleSet) -> Outcome {
        let why = |denial: &crate::decision::Denial<'_>| format!("{}: {}", denial.reason.as_str(), denial.message);
        let (got, rule, why) = match self.trial.run(rules) {
            Verdict::Allow(permit) => {
                let shadow = permit.shadowed().map_or_else(String::new, |denial| format!("shadow: {}", why(denial)));
                (Expectation::Allow, Some(permit.rule().id.clone()), shadow)
            }
            Verdict::Deny(denial) => (Expectation::Deny, denial.rule.map(|rule| rule.id.clone()), why(&denial)),
        };
        Outcome { got, passed: got == self.expect, rule, why }
    }
}

/// Reads a test; `None` only after a problem.
pub(super) fn rule_test(field: &Field<'_>, issuers: &IssuerNames) -> Option<RuleTest> {
    field.mapping(&["request", "scopes", "as", "credential", "from", "expect"]);
    let request_at = field.key("request");
    let request = request_at.need(values::text);
    let trial = request_at.read(trial);
    let scopes_at = field.key("scopes");
    let scopes = if scopes_at.shape() == Shape::Absent { Some(ScopeSet::default()) } else { scopes(&scopes_at) };
    let holder = holder(&field.key("as"));
    let credential_at = field.key("credential");
    let credential = match credential_at.shape() {
        Shape::Absent => Some(Some(CredentialKind::Token)),
        _ => credential_at.read(|text| credential(text, issuers)),
    };
    let from_at = field.key("from");
    let from = match from_at.shape() {
        Shape::Absent => Some(None),
        _ => from_at.read(values::address).map(Some),
    };
    let expect = field.key("expect").need(values::one_of(&[("allow", Expectation::Allow), ("deny", Expectation::Deny)]));
    let Place { line, column } = field.place();
    let trial = Trial { scopes: scopes?, holder: holder?, credential: credential?, from: from?, ..trial? };
    let (file, path) = (field.document().file().clone(), field.path());
    Some(RuleTest { request: request?, trial, expect: expect?, file, line, column, path })
}

/// `METHOD URL`
fn trial(text: &str) -> Result<Trial, Complaint> {
    const HOW: &str = "write one like GET https://api.example.com/orders";
    let Some((method, url)) = text.split_once(' ').filter(|(_, url)| !url.is_empty()) else {
        return Err(Complaint::new(format!("`{text}` is not a method and a URL"), HOW));
    };
    Trial::parse(method, url).map_err(|what| Complaint::new(format!("`{text}`: {what}"), HOW))
}

fn holder(field: &Field<'_>) -> Option<Attributes> {
    field.mapping(&["uid", "name", "tenant", "role", "key_id"]);
    let attribute = |name| {
        let at = field.key(name);
        if at.shape() == Shape::Absent { Some(String::new()) } else { at.read(values::text) }
    };
    let role_at = field.key("role");
    let role = match role_at.shape() {
        Shape::Absent => Some(String::new()),
        _ => role_at.read(|text| {
            let known = "write super_admin, admin, client, sub_client, end_user or quickstart";
            Role::from_name(text).map(|role| role.as_str().into()).ok_or_else(|| Complaint::new(format!("`{text}` is no role"), known))
        }),
    };
    let (uid, name, tenant, key_id) = (attribute("uid"), attribute("name"), attribute("tenant"), attribute("key_id"));
    Some(Attributes { uid: uid?, name: name?, tenant: tenant?, role: role?, key_id: key_id? })
}

/// A kind, or `none` for a request without any.
fn credential(text: &str, issuers: &IssuerNames) -> Result<Option<CredentialKind>, Complaint> {
    match issuers.kind(text) {
        None if text != "none" => Err(Complaint::new(
            format!("`{text}` is no kind of credential"),
            format!("write one of {}, or none for a request without any", issuers.known()),
        )),
        kind => Ok(kind),
    }
}
