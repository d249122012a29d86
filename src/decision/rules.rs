//! Rules: which requirement a request meets.
//!
//! Candidates are the rules whose host and path match. The most specific (host, path) wins: host
//! exact > wildcard (longer first) > any, then per segment literal > parameter > rest. The walk visits
//! candidates in that order, so the first that speaks decides and its cost does not grow with the
//! number of rules. Rules of one (host, path) stand in one group; two that both take a method must
//! demand the same, otherwise the set does not compile.

mod named;
mod near;
mod pattern;
mod tree;

use std::collections::HashSet;
use std::sync::Arc;

use named::Named;
pub use near::Near;
pub use pattern::{HostPattern, PathPattern, PatternError, Segment};
use tree::{Group, Tree};

use super::credential::CredentialKind;
use super::issuer::{IssuerNames, IssuerNumber};
use super::limit::Limited;
use super::network::Network;
use super::request::{Request, is_method};
use super::scopes::ScopeSet;

/// A request method, with case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Method(Box<[u8]>);

impl Method {
    /// The method of this name. `None` where it is no method (RFC 9110 §9.1).
    pub fn parse(name: &str) -> Option<Self> {
        is_method(name.as_bytes()).then(|| Self(name.as_bytes().into()))
    }

    fn is(&self, name: &[u8]) -> bool {
        *self.0 == *name
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A rule as written.
#[derive(Debug, Clone)]
pub struct RuleSpec {
    /// Unique; shown in logs, metrics, explain.
    pub id: String,
    /// Empty = any.
    pub hosts: Vec<HostPattern>,
    /// Empty = any. HEAD follows GET.
    pub methods: Vec<Method>,
    /// Where.
    pub path: PathPattern,
    /// Whether a request whose method no rule of the group lists is handed to the next broader path.
    pub fallthrough: bool,
    /// What it demands.
    pub requirement: Requirement,
}

/// What a rule demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Credentials are ignored and no store is asked.
    pub anonymous: bool,
    /// Which kinds of credential it takes.
    pub credentials: Accepts,
    /// Which scopes.
    pub scopes: Demand,
    /// Path parameters that must equal an attribute of the principal.
    pub matches: Vec<MatchClause>,
    /// Tenants that may pass; empty = any.
    pub tenants: Vec<String>,
    /// Networks it may be asked from; empty = any.
    pub networks: Vec<Network>,
    /// Shadow: allow, but log and count what would have been refused.
    pub shadow: bool,
    /// A CORS preflight for a method of this rule passes without credential.
    pub preflight: bool,
    /// A person who asks for a page without a live session is sent to log in.
    pub login_redirect: bool,
    /// How long, in ms, what is cached is used where the store cannot be asked (`on_store_error: { allow_cached_for: D }`).
    pub cached_for_ms: u64,
    /// How much may pass (`limit:`), in place of what is agreed about the credential; empty = as agreed.
    pub limits: Vec<Limited>,
}

impl Requirement {
    /// The requirement of `access: anonymous`.
    pub fn anonymous() -> Self {
        Self { anonymous: true, ..Self::token() }
    }

    /// Any live access token.
    pub fn token() -> Self {
        Self {
            anonymous: false,
            credentials: Accepts::default().with(CredentialKind::Token),
            scopes: Demand::Nothing,
            matches: Vec::new(),
            tenants: Vec::new(),
            networks: Vec::new(),
            shadow: false,
            preflight: false,
            login_redirect: false,
            cached_for_ms: 0,
            limits: Vec::new(),
        }
    }
}

/// A set of kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepts {
    token: bool,
    api_key: bool,
    session: bool,
    jwt: bool,
    ticket: bool,
    /// One bit for each other issuer.
    issuers: u64,
}

impl Accepts {
    /// With this kind besides.
    #[must_use]
    pub fn with(mut self, kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Token => self.token = true,
            CredentialKind::ApiKey => self.api_key = true,
            CredentialKind::Session => self.session = true,
            CredentialKind::Jwt => self.jwt = true,
            CredentialKind::Ticket => self.ticket = true,
            CredentialKind::Issuer(number) => self.issuers |= number.bit(),
        }
        self
    }

    /// Whether this kind is among them.
    pub fn takes(self, kind: CredentialKind) -> bool {
        match kind {
            CredentialKind::Token => self.token,
            CredentialKind::ApiKey => self.api_key,
            CredentialKind::Session => self.session,
            CredentialKind::Jwt => self.jwt,
            CredentialKind::Ticket => self.ticket,
            CredentialKind::Issuer(number) => self.issuers & number.bit() != 0,
        }
    }

    /// Whether tokens of any other issuer are.
    pub fn takes_issuers(self) -> bool {
        self.issuers != 0
    }

    /// Every kind among them.
    pub fn kinds(self) -> impl Iterator<Item = CredentialKind> {
        let issuers = (0..).map_while(IssuerNumber::new).map(CredentialKind::Issuer);
        CredentialKind::OWN.into_iter().chain(issuers).filter(move |kind| self.takes(*kind))
    }
}

/// Which scopes a rule demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// None: any live credential.
    Nothing,
    /// Every one of these.
    All(ScopeSet),
    /// One of these.
    Any(ScopeSet),
}

/// `match: { id: subject.tenant }`: a path parameter must equal an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchClause {
    /// The parameter's place among the path's segments, from 0.
    pub segment: usize,
    /// The parameter's name, for messages.
    pub parameter: String,
    /// What it must equal.
    pub attribute: Attribute,
}

/// An attribute of the principal or of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `subject.uid`
    Uid,
    /// `subject.name`
    Name,
    /// `subject.tenant`
    Tenant,
    /// `subject.role`
    Role,
    /// `key.id`
    KeyId,
}

impl Attribute {
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Uid, "subject.uid"),
        (Self::Name, "subject.name"),
        (Self::Tenant, "subject.tenant"),
        (Self::Role, "subject.role"),
        (Self::KeyId, "key.id"),
    ];

    /// The attribute of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map(|(attribute, _)| attribute)
    }
}

/// A compiled rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its place among the rules, from 0.
    pub number: usize,
    /// As written.
    pub id: String,
    /// What it demands.
    pub requirement: Requirement,
    /// Where it holds, as written.
    pub place: Box<Place>,
}

/// Where a rule holds, as written: for whoever reads the rules in force.
#[derive(Debug, Clone)]
pub struct Place {
    /// Empty = any.
    pub hosts: Vec<HostPattern>,
    /// Empty = any.
    pub methods: Vec<Method>,
    /// Where.
    pub path: PathPattern,
    /// Where it was written down, for whoever looks for it. `None` where nobody said.
    pub written: Option<Written>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// As it was named.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Two rules of equal precedence that can both match, with different demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The earlier rule's place.
    pub first: usize,
    /// The later rule's place.
    pub second: usize,
    /// A request that both match, `METHOD scheme://host/path`.
    pub example: String,
}

/// Rules, compiled: finding one costs the same with 10 or 100,000.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    issuers: IssuerNames,
    exact: Named<Tree>,
    /// By what follows the `*`, the dot included.
    wildcard: Named<Tree>,
    any: Tree,
}

/// What the rules say to one reading of a request.
#[derive(Debug, Clone, Copy)]
pub enum Found<'r> {
    /// This rule decides.
    Rule(&'r Rule),
    /// A CORS preflight for a method of this rule, which lets it pass.
    Preflight(&'r Rule),
    /// Rules for host and path, none of which lists the method.
    MethodNotListed,
    /// No rule for host and path.
    NoRule,
}

impl RuleSet {
    /// Compiles rules.
    ///
    /// # Errors
    /// Every pair of equal precedence that can both match with different demands.
    pub fn compile(specs: Vec<RuleSpec>) -> Result<Self, Vec<Clash>> {
        let mut set = Self::default();
        let (mut clashes, mut told) = (Vec::new(), HashSet::new());
        for (number, spec) in specs.into_iter().enumerate() {
            let RuleSpec { id, hosts, methods, path, fallthrough, requirement } = spec;
            let place = Box::new(Place { hosts: hosts.clone(), methods: methods.clone(), path: path.clone(), written: None });
            set.rules.push(Rule { number, id, requirement, place });
            let rules = &set.rules;
            let mut insert = |tree: &mut Tree, host: &str| {
                let group = tree.group_at(&path);
                let mut clash = |first, second, method: &str| {
                    if told.insert((first, second)) {
                        clashes.push(Clash { first, second, example: format!("{method} https://{host}{}", path.example()) });
                    }
                };
                group.insert(number, &methods, fallthrough, |a, b| same_demand(rules, a, b), &mut |first, method: &str| {
                    clash(first, number, method);
                });
                // a preflight is an OPTIONS request: one rule would let it pass, the other asks for more
                if let Some(options) =
                    group.rule_for(b"OPTIONS").and_then(|options| rules.get(options)).filter(|o| !o.requirement.anonymous)
                {
                    let lets_pass = |other: &Rule| other.requirement.preflight && other.requirement != options.requirement;
                    for other in group.rules().filter_map(|other| rules.get(other)).filter(|other| lets_pass(other)) {
                        clash(other.number.min(options.number), other.number.max(options.number), "OPTIONS");
                    }
                }
            };
            if hosts.is_empty() {
                insert(&mut set.any, "any.example");
            }
            for host in &hosts {
                match host {
                    HostPattern::Exact(name) => insert(set.exact.at(name.as_bytes()), name),
                    HostPattern::Wildcard(suffix) => {
                        insert(set.wildcard.at(suffix.as_bytes()), &format!("any{suffix}"));
                    }
                }
            }
        }
        if clashes.is_empty() { Ok(set) } else { Err(clashes) }
    }

    /// The longest that any rule uses what is cached without the store, in ms.
    pub fn longest_cached_ms(&self) -> u64 {
        self.rules.iter().map(|rule| rule.requirement.cached_for_ms).max().unwrap_or_default()
    }

    /// Notes where each rule was written down, in the order they were given in.
    pub fn note_places(&mut self, places: impl IntoIterator<Item = Written>) {
        for (rule, written) in self.rules.iter_mut().zip(places) {
            rule.place.written = Some(written);
        }
    }

    /// Notes what the issuers are called that its rules take tokens of.
    pub fn note_issuers(&mut self, issuers: IssuerNames) {
        self.issuers = issuers;
    }

    /// What the issuers are called.
    pub fn issuers(&self) -> &IssuerNames {
        &self.issuers
    }

    /// Where the rule of this id was written down, where rules stand in several files.
    pub fn written(&self, id: &str) -> Option<&Written> {
        let mut files = self.rules.iter().filter_map(|rule| rule.place.written.as_ref());
        let first = files.next()?;
        files.find(|other| other.file != first.file)?;
        self.rules.iter().find(|rule| rule.id == id)?.place.written.as_ref()
    }

    /// Every rule, in the order written.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What the rules say to one reading of the request's path.
    pub fn find(&self, request: &Request<'_>, reading: &[u8]) -> Found<'_> {
        let mut heard = Found::NoRule;
        for tree in self.trees(request.host.as_bytes()) {
            let found = tree.walk(reading, &mut |group: &Group| {
                heard = Found::MethodNotListed;
                self.ask(group, request)
            });
            match found {
                Some(Answer::Rule(found)) => return found,
                Some(Answer::Stop) => return Found::MethodNotListed,
                None => {}
            }
        }
        heard
    }

    /// Every group whose host and path match, most specific first, with whether it lists the method: for explain.
    pub fn candidates(&self, request: &Request<'_>, reading: &[u8]) -> Vec<(&Rule, bool)> {
        let mut seen = Vec::new();
        for tree in self.trees(request.host.as_bytes()) {
            let _: Option<()> = tree.walk(reading, &mut |group: &Group| {
                let taken = group.rule_for(request.method);
                seen.extend(group.rules().filter_map(|number| self.rules.get(number)).map(|rule| (rule, taken == Some(rule.number))));
                None
            });
        }
        seen
    }

    /// The trees of a host, most specific first.
    fn trees<'s>(&'s self, host: &'s [u8]) -> impl Iterator<Item = &'s Tree> {
        let wildcards = if self.wildcard.is_empty() { &[] } else { host };
        let suffixes = memchr::memchr_iter(b'.', wildcards).filter(|at| *at > 0).filter_map(|at| self.wildcard.get(host.get(at..)?));
        self.exact.get(host).into_iter().chain(suffixes).chain(std::iter::once(&self.any))
    }

    fn ask(&self, group: &Group, request: &Request<'_>) -> Option<Answer<'_>> {
        let rule = |number: usize| self.rules.get(number);
        if let Some(preflight) =
            request.preflight_for.and_then(|method| rule(group.rule_for(method)?)).filter(|rule| rule.requirement.preflight)
        {
            return Some(Answer::Rule(Found::Preflight(preflight)));
        }
        match group.rule_for(request.method).and_then(rule) {
            Some(rule) => Some(Answer::Rule(Found::Rule(rule))),
            None if group.falls_through() => None,
            None => Some(Answer::Stop),
        }
    }
}

enum Answer<'r> {
    Rule(Found<'r>),
    Stop,
}

fn same_demand(rules: &[Rule], a: usize, b: usize) -> bool {
    rules.get(a).map(|rule| &rule.requirement) == rules.get(b).map(|rule| &rule.requirement)
}

#[cfg(test)]
mod tests;
