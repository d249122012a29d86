//! One rule of the rules file.
//!
//! INVARIANT: a key that would narrow a rule is never ignored. One that this version cannot do is a
//! problem, and so is a demand beside `access: anonymous`, and an empty list where leaving out means "any".

use std::time::Duration;

use super::accounts::scopes;
use super::limit::limit;
use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::values;
use crate::clock::millis;
use crate::decision::credential::CredentialKind;
use crate::decision::issuer::IssuerNames;
use crate::decision::rules::{Accepts, Attribute, Demand, HostPattern, MatchClause, Method, PathPattern, Requirement, RuleSpec};
use crate::id::Id;

/// What an anonymous rule cannot have: it lets everybody pass.
const DEMANDS: [&str; 10] =
    ["scopes", "credentials", "match", "tenants", "from_networks", "enforce", "on_store_error", "preflight", "login_redirect", "limit"];
/// For how long what is cached may be used without the store. A strict end waits as long.
const SHORTEST_CACHED: Duration = Duration::from_secs(1);
const LONGEST_CACHED: Duration = Duration::from_secs(3600);
/// Longest id, in bytes.
const ID_BYTES: usize = 128;
/// Methods that are written in lower case by mistake only.
const USUAL_METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// Reads a rule; `None` only after a problem.
pub(super) fn rule(field: &Field<'_>, issuers: &IssuerNames) -> Option<RuleSpec> {
    field.mapping(&[
        "id",
        "hosts",
        "methods",
        "path",
        "scopes",
        "credentials",
        "match",
        "tenants",
        "from_networks",
        "enforce",
        "on_store_error",
        "preflight",
        "access",
        "fallthrough",
        "login_redirect",
        "limit",
    ]);
    let id = field.key("id").need(id);
    let hosts = set(&field.key("hosts"), |text| HostPattern::parse(text).map_err(|error| Complaint::new(error.to_string(), "mend it")));
    let methods = set(&field.key("methods"), method);
    let path_at = field.key("path");
    let path = path_at
        .need(|text| PathPattern::parse(text).map_err(|error| Complaint::new(error.to_string(), "write one like /orders/{id} or /api/**")));
    let access_at = field.key("access");
    let anonymous = optional(&access_at, false, values::one_of(&[("anonymous", true)]));
    let fallthrough = optional(&field.key("fallthrough"), false, values::boolean);
    let requirement =
        if access_at.shape() == Shape::Absent { requirement(field, id.as_deref(), path.as_ref(), issuers) } else { without_demands(field) };
    if anonymous == Some(true) && path.as_ref().is_some_and(|path| path.rest && path.segments.is_empty()) {
        path_at.warning(Complaint::new(
            "everybody passes, wherever no other rule matches",
            "write the paths that are meant, unless these are all",
        ));
    }
    anonymous?;
    let (hosts, methods) = (hosts?, methods?);
    Some(RuleSpec { id: id?, hosts, methods, path: path?, fallthrough: fallthrough?, requirement: requirement? })
}

fn without_demands(field: &Field<'_>) -> Option<Requirement> {
    let mut requirement = Some(Requirement::anonymous());
    for demand in DEMANDS.map(|name| field.key(name)).iter().filter(|demand| demand.shape() != Shape::Absent) {
        demand.problem(Complaint::new("an anonymous rule demands nothing", "take this out, or `access: anonymous`"));
        requirement = None;
    }
    requirement
}

fn requirement(field: &Field<'_>, id: Option<&str>, path: Option<&PathPattern>, issuers: &IssuerNames) -> Option<Requirement> {
    let credentials = credentials(&field.key("credentials"), issuers);
    let scopes = demand(&field.key("scopes"));
    let matches = matches(&field.key("match"), path);
    let tenants = set(&field.key("tenants"), values::text);
    let networks = set(&field.key("from_networks"), values::network);
    let enforce = optional(&field.key("enforce"), true, values::boolean);
    let preflight = optional(&field.key("preflight"), false, values::one_of(&[("allow", true), ("deny", false)]));
    let on_store_error = on_store_error(&field.key("on_store_error"));
    let login_redirect = login_redirect(field, credentials);
    let limit = limit(&field.key("limit"));
    Some(Requirement {
        anonymous: false,
        credentials: credentials?,
        scopes: scopes?,
        matches: matches?,
        tenants: tenants?,
        networks: networks?,
        shadow: !enforce?,
        preflight: preflight?,
        login_redirect: login_redirect?,
        cached_for_ms: millis(on_store_error?),
        limits: match limit? {
            Some(limit) => limit.said_by(Id::named("rule", id?)).collect(),
            None => Vec::new(),
        },
    })
}

fn id(text: &str) -> Result<String, Complaint> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._:/-".contains(&b);
    if (1..=ID_BYTES).contains(&text.len()) && text.bytes().all(fine) {
        Ok(text.into())
    } else {
        Err(Complaint::new("not an id", format!("write at most {ID_BYTES} letters, digits, `.`, `_`, `:`, `/` or `-`, like orders-read")))
    }
}

fn method(text: &str) -> Result<Method, Complaint> {
    let upper = text.to_ascii_uppercase();
    if upper != text && USUAL_METHODS.contains(&upper.as_str()) {
        return Err(Complaint::new(format!("`{text}` is another method than {upper}"), format!("write {upper}")));
    }
    Method::parse(text).ok_or_else(|| Complaint::new(format!("`{text}` is not a method"), "write one like GET"))
}

fn credentials(field: &Field<'_>, issuers: &IssuerNames) -> Option<Accepts> {
    if field.shape() == Shape::Absent {
        return Some(Accepts::default().with(CredentialKind::Token));
    }
    let kinds = set(field, |text| match issuers.kind(text) {
        Some(kind) => Ok(kind),
        None if text.starts_with("issuer:") => {
            let what_to_do = format!("name it in `issuers:` of the main file, or write one of {}", issuers.known());
            Err(Complaint::new(format!("`{text}` is not configured"), what_to_do))
        }
        None => Err(Complaint::new(format!("`{text}` is no kind of credential"), format!("write one of {}", issuers.known()))),
    });
    Some(kinds?.into_iter().fold(Accepts::default(), Accepts::with))
}

/// Whether a person in a browser is sent to log in. The host they return to must be known, and their session be taken there.
fn login_redirect(rule: &Field<'_>, credentials: Option<Accepts>) -> Option<bool> {
    let field = rule.key("login_redirect");
    let wanted = optional(&field, false, values::boolean)?;
    if !wanted {
        return Some(false);
    }
    let hosts = rule.key("hosts");
    let exact = hosts.shape() == Shape::Sequence
        && hosts.items().iter().all(|host| matches!(host.read(|text| Ok(!text.starts_with("*."))), Some(true)));
    if !exact {
        field.problem(Complaint::new(
            "a login leads back to a host, and this rule has none, or one for any",
            "write exact hosts, like hosts: [app.example.com]",
        ));
        return None;
    }
    if credentials.is_some_and(|credentials| !credentials.takes(CredentialKind::Session)) {
        field.problem(Complaint::new(
            "whoever logs in gets a session, and this rule does not take it",
            "write credentials: [session], or take this out",
        ));
        return None;
    }
    Some(true)
}

/// `{ all: […] }` or `{ any: […] }`.
fn demand(field: &Field<'_>) -> Option<Demand> {
    match field.shape() {
        Shape::Absent => return Some(Demand::Nothing),
        Shape::Sequence => {
            field.problem(Complaint::new("a list does not say whether all or any of it is needed", "write { all: […] } or { any: […] }"));
            return None;
        }
        _ => field.mapping(&["all", "any"]),
    }
    let (all, any) = (field.key("all"), field.key("any"));
    let (chosen, demand): (_, fn(_) -> _) = match (all.shape() != Shape::Absent, any.shape() != Shape::Absent) {
        (true, false) => (all, Demand::All),
        (false, true) => (any, Demand::Any),
        _ => {
            if field.shape() == Shape::Mapping {
                field.problem(Complaint::new("either all or any is needed, not both", "write { all: […] } or { any: […] }"));
            }
            return None;
        }
    };
    let scopes = scopes(&chosen)?;
    if scopes.is_empty() {
        chosen.problem(Complaint::new("no scope", "write one, or take scopes out so that any live credential passes"));
        return None;
    }
    Some(demand(scopes))
}

/// `{ parameter: attribute }`
fn matches(field: &Field<'_>, path: Option<&PathPattern>) -> Option<Vec<MatchClause>> {
    if field.shape() == Shape::Absent {
        return Some(Vec::new());
    }
    let clause = |(parameter, at): (&str, Field<'_>)| {
        let attribute = at.read(|text| {
            let known = "write subject.uid, subject.name, subject.tenant, subject.role or key.id";
            Attribute::from_name(text).ok_or_else(|| Complaint::new(format!("`{text}` is no attribute"), known))
        });
        let segment = path?.parameters().find(|(_, name)| *name == parameter).map(|(segment, _)| segment);
        if segment.is_none() {
            at.problem(Complaint::new(
                format!("the path has no {{{parameter}}}"),
                "name one of the path's parameters, or write it into the path",
            ));
        }
        Some(MatchClause { segment: segment?, parameter: parameter.into(), attribute: attribute? })
    };
    let clauses: Vec<_> = field.named().into_iter().map(clause).collect();
    if clauses.is_empty() && field.shape() == Shape::Mapping {
        field.problem(Complaint::new("nothing to match", "write { id: subject.tenant }, or take it out"));
    }
    clauses.into_iter().collect()
}

/// How long what is cached is used where the store cannot be asked: not at all, unless the rule says so.
fn on_store_error(field: &Field<'_>) -> Option<Duration> {
    match field.shape() {
        Shape::Absent => Some(Duration::ZERO),
        Shape::Mapping => {
            field.mapping(&["allow_cached_for"]);
            field.key("allow_cached_for").need(values::duration(SHORTEST_CACHED, LONGEST_CACHED))
        }
        _ => field.read(values::one_of(&[("deny", Duration::ZERO)])),
    }
}

/// The items of a list that may be left out, but not be empty nor hold anything twice.
fn set<T: PartialEq>(field: &Field<'_>, read: impl Fn(&str) -> Result<T, Complaint>) -> Option<Vec<T>> {
    if field.shape() == Shape::Absent {
        return Some(Vec::new());
    }
    let items = field.items();
    if items.is_empty() && field.shape() == Shape::Sequence {
        field.problem(Complaint::new("an empty list", "write what is meant, or take it out"));
    }
    let mut set = Vec::with_capacity(items.len());
    let mut whole = field.shape() == Shape::Sequence;
    for item in &items {
        let Some(value) = item.read(&read) else {
            whole = false;
            continue;
        };
        if set.contains(&value) {
            item.problem(Complaint::new("stands twice", "take one out"));
        }
        set.push(value);
    }
    whole.then_some(set)
}

/// The value, or `default` where there is none.
pub(super) fn optional<T>(field: &Field<'_>, default: T, read: impl Fn(&str) -> Result<T, Complaint>) -> Option<T> {
    if field.shape() == Shape::Absent { Some(default) } else { field.read(read) }
}
