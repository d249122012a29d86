//! The files of `gatepost apply`: what they declare, each with its place.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::accounts::scopes;
use super::environment::Environment;
use super::limit::limit;
use super::problem::{Complaint, Problem};
use super::reader::{Document, Field, Shape};
use super::yaml::{self, Place};
use super::{rules_file, values};
use crate::accounts::declared::{Declared, Key, Policy, Principal, Tenant};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::{Id, from_hex};
use crate::token::record::Role;
use crate::token::terms::{LimitText, Terms, TermsError};

/// Largest file.
const BYTES: u64 = 16 << 20;

/// Reads every `*.yaml` of a directory, in the order of their names.
///
/// # Errors
/// Everything that is wrong.
pub fn load(folder: &Path) -> Result<Declared, Vec<Problem>> {
    let pattern = folder.join("*.yaml");
    let whole = |path: &Path, what| {
        let what_to_do = "name a directory with files that declare something, *.yaml".to_owned();
        vec![Problem { file: rules_file::name_of(path), line: 1, column: 1, path: "(file)".into(), what, what_to_do }]
    };
    let files = rules_file::files_of(&pattern).map_err(|what| whole(&pattern, what))?;
    let (mut declared, mut problems) = (Declared::default(), Vec::new());
    for path in files {
        match super::file::read_text(&path, BYTES) {
            Err(what) => problems.extend(whole(&path, what)),
            Ok(text) => {
                let environment = Environment::default();
                let document = Document::new(rules_file::name_of(&path), &environment);
                let (written, faults) = yaml::parse(&text);
                let unreadable = written.is_none() && !faults.is_empty();
                document.faults(faults);
                if !unreadable {
                    read(&document.root(written.as_ref(), None), &mut declared);
                }
                problems.extend(document.collector.finish().0);
            }
        }
    }
    if problems.is_empty() { Ok(declared) } else { Err(problems) }
}

fn read(root: &Field<'_>, declared: &mut Declared) {
    root.mapping(&["tenants", "policies", "principals", "keys"]);
    let at = ["tenants", "policies", "principals", "keys"].map(|name| root.key(name));
    let [tenants, policies, principals, keys] = &at;
    declared.tenants.extend(list(tenants, tenant));
    declared.policies.extend(list(policies, policy));
    declared.principals.extend(list(principals, principal));
    declared.keys.extend(list(keys, key));
}

fn list<T>(at: &Field<'_>, read: fn(&Field<'_>) -> Option<T>) -> Vec<T> {
    if at.shape() == Shape::Absent { Vec::new() } else { at.items().iter().filter_map(read).collect() }
}

/// `FILE:LINE:COLUMN: path`
fn at(field: &Field<'_>) -> String {
    let Place { line, column } = field.place();
    format!("{}:{line}:{column}: {}", field.document().file(), field.path())
}

fn tenant(field: &Field<'_>) -> Option<Tenant> {
    field.mapping(&["name", "blocked"]);
    let name = field.key("name").need(name);
    let blocked = optional(&field.key("blocked"), false, values::boolean);
    Some(Tenant { name: name?, blocked: blocked?, at: at(field) })
}

fn policy(field: &Field<'_>) -> Option<Policy> {
    field.mapping(&["name", "tenant", "allow", "deny", "limit"]);
    let named = field.key("name").need(name);
    let tenant = optional(&field.key("tenant"), None, |text| name(text).map(Some));
    let (allow, deny) = (scopes_or(&field.key("allow"), ScopeSet::default), scopes_or(&field.key("deny"), ScopeSet::default));
    let limit = limit(&field.key("limit"));
    let terms = Terms { limit: limit?.map(LimitText::from), ..Terms::default() };
    Some(Policy { name: named?, tenant: tenant?, allow: allow?, deny: deny?, terms, at: at(field) })
}

fn principal(field: &Field<'_>) -> Option<Principal> {
    const ROLES: [(&str, Role); 3] = [("admin", Role::Admin), ("client", Role::Client), ("sub_client", Role::SubClient)];
    field.mapping(&["user", "tenant", "email", "role", "below", "policies", "scopes", "blocked", "terms"]);
    let user = field.key("user").need(name);
    let tenant = optional(&field.key("tenant"), None, |text| name(text).map(Some));
    let email = optional(&field.key("email"), None, |text| values::text(text).map(Some));
    let role = field.key("role").need(values::one_of(&ROLES));
    let below_at = field.key("below");
    let below = optional(&below_at, None, |text| name(text).map(Some));
    let (policies_at, scopes_at) = (field.key("policies"), field.key("scopes"));
    let policies = match policies_at.shape() {
        Shape::Absent => Some(Vec::new()),
        _ => policies_at.items().iter().map(|item| item.read(name)).collect(),
    };
    let top = below_at.shape() == Shape::Absent;
    if top && scopes_at.shape() == Shape::Absent && policies_at.shape() == Shape::Absent {
        scopes_at.missing("nobody stands above to say what it may do: write scopes, or policies");
    }
    // below somebody: without policies whatever that one may, with them exactly what they allow
    let own = || if policies_at.shape() == Shape::Absent { ScopeSet::everything() } else { ScopeSet::default() };
    let scopes = scopes_or(&scopes_at, own);
    let blocked = optional(&field.key("blocked"), false, values::boolean);
    let terms = terms(&field.key("terms"));
    let (user, tenant, email, role, below, policies) = (user?, tenant?, email?, role?, below?, policies?);
    Some(Principal { user, tenant, email, role, below, policies, scopes: scopes?, blocked: blocked?, terms: terms?, at: at(field) })
}

fn key(field: &Field<'_>) -> Option<Key> {
    field.mapping(&["id", "hash", "principal", "name", "scopes", "expires_at", "terms"]);
    const HOW: &str = "`gatepost keys declare` prints both";
    let id = field.key("id").need(|text| text.parse::<Id>().map_err(|error| Complaint::new(error.to_string(), HOW)));
    let hash = field.key("hash").need(|text| {
        // whoever writes the key itself should not see it again in the log
        from_hex::<32>(text).ok_or_else(|| Complaint::new("not the SHA-256 of a key, 64 lower-case hex digits", HOW))
    });
    let principal = field.key("principal").need(name);
    let named = field.key("name").need(name);
    let scopes_at = field.key("scopes");
    if scopes_at.shape() == Shape::Absent {
        scopes_at.missing("write what the key may do, like [orders:read]");
    }
    let expires_at = optional(&field.key("expires_at"), None, |text| moment(text).map(Some));
    let (scopes, terms) = (scopes(&scopes_at), key_terms(&field.key("terms")));
    let (id, hash, principal, name) = (id?, hash?, principal?, named?);
    Some(Key { id, hash, principal, name, scopes: scopes?, expires_at: expires_at?, terms: terms?, at: at(field) })
}

/// What is agreed about a key; without a word nothing.
fn key_terms(field: &Field<'_>) -> Option<Terms> {
    field.mapping(&["external_id", "metadata", "networks", "limit"]);
    let networks_at = field.key("networks");
    let networks = match networks_at.shape() {
        Shape::Absent => Some(Vec::new()),
        _ => networks_at.items().iter().map(|item| item.read(values::network)).collect(),
    };
    let terms = Terms { networks: networks?, ..naming(field)? };
    checked(field, terms)
}

/// What is agreed about a principal; without a word nothing.
fn terms(field: &Field<'_>) -> Option<Terms> {
    field.mapping(&["external_id", "metadata", "limit"]);
    checked(field, naming(field)?)
}

fn naming(field: &Field<'_>) -> Option<Terms> {
    let limit = limit(&field.key("limit"));
    let external_id = optional(&field.key("external_id"), None, |text| values::text(text).map(Some));
    let metadata_at = field.key("metadata");
    let pair = |(name, value): (&str, Field<'_>)| Some((name.to_owned(), value.need(values::text)?));
    let metadata = metadata_at.named().into_iter().map(pair).collect::<Option<_>>();
    Some(Terms { limit: limit?.map(LimitText::from), ..Terms::naming(external_id?, metadata?) })
}

fn checked(field: &Field<'_>, terms: Terms) -> Option<Terms> {
    let wrong = |error: TermsError| field.key(error.field).problem(Complaint::new(error.problem, "write another"));
    terms.checked().map_err(wrong).ok()
}

fn name(text: &str) -> Result<String, Complaint> {
    let text = values::text(text)?;
    if text.chars().count() <= 100 { Ok(text) } else { Err(Complaint::new("longer than 100 characters", "write a shorter one")) }
}

/// Unix seconds, or as RFC 3339 writes it; seconds count.
fn moment(text: &str) -> Result<UnixMs, Complaint> {
    let written = || humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
    let seconds = text.parse().ok().or_else(written);
    seconds
        .and_then(|seconds| seconds.checked_mul(1000).map(UnixMs))
        .ok_or_else(|| Complaint::new(format!("`{text}` is no moment"), "write Unix seconds, or one like 2027-01-31T00:00:00Z"))
}

fn scopes_or(field: &Field<'_>, otherwise: impl FnOnce() -> ScopeSet) -> Option<ScopeSet> {
    if field.shape() == Shape::Absent { Some(otherwise()) } else { scopes(field) }
}

fn optional<T>(field: &Field<'_>, default: T, read: impl Fn(&str) -> Result<T, Complaint>) -> Option<T> {
    if field.shape() == Shape::Absent { Some(default) } else { field.read(read) }
}

#[cfg(test)]
mod tests;
