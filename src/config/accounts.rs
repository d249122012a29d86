//! Sign-up, passwords and sessions.

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{AccountsConfig, RequirePhone, SessionsConfig, SignUp, values};
use crate::decision::scopes::ScopeSet;

/// Least that `password_min_length` may be.
const PASSWORD_MIN_LENGTH: u64 = 8;
/// Most that it may be: a password must stay possible.
const PASSWORD_MAX_LENGTH: u64 = 128;

pub(super) fn accounts(field: &Field<'_>) -> Option<AccountsConfig> {
    field.mapping(&["sign_up", "direct_scopes", "end_users", "require_phone", "password_min_length", "reveal_unknown_users"]);
    let at = field.key("sign_up");
    let sign_up = at.read(values::one_of(&[("first", SignUp::First), ("open", SignUp::Open), ("invitation", SignUp::Invitation)]));
    let scopes_at = field.key("direct_scopes");
    let direct_scopes = scopes(&scopes_at);
    if sign_up == Some(SignUp::Open) {
        if !scopes_at.is_written() {
            scopes_at.missing("with sign_up: open, write what everybody who signs up may do, like direct_scopes: [orders:read]");
        } else if direct_scopes.as_ref().is_some_and(|scopes| *scopes == ScopeSet::everything()) {
            scopes_at.warning(Complaint::new(
                "everybody can sign up and then holds every scope",
                "write the scopes that anybody may have, or sign_up: invitation",
            ));
        }
    }
    let end_users = end_users(&field.key("end_users"));
    let phone = [("first", RequirePhone::First), ("always", RequirePhone::Always), ("never", RequirePhone::Never)];
    let require_phone = field.key("require_phone").read(values::one_of(&phone));
    let length = field.key("password_min_length").read(values::number(PASSWORD_MIN_LENGTH, PASSWORD_MAX_LENGTH));
    let reveal_unknown_users = field.key("reveal_unknown_users").read(values::boolean);
    Some(AccountsConfig {
        sign_up: sign_up?,
        direct_scopes: direct_scopes?,
        end_users: end_users?,
        require_phone: require_phone?,
        password_min_length: usize::try_from(length?).ok()?,
        reveal_unknown_users: reveal_unknown_users?,
    })
}

/// A list of scopes.
pub(super) fn scopes(field: &Field<'_>) -> Option<ScopeSet> {
    let scopes: Vec<_> = field.items().iter().map(|item| item.read(values::scope)).collect();
    if field.shape() != Shape::Sequence && !field.is_written() {
        return None;
    }
    match ScopeSet::new(scopes.into_iter().collect::<Option<Vec<_>>>()?) {
        Ok(scopes) => Some(scopes),
        Err(error) => {
            field.problem(Complaint::new(error.to_string(), "write fewer, or use a wildcard like orders:*"));
            None
        }
    }
}

/// `off`, or `{ scopes: […] }`.
fn end_users(field: &Field<'_>) -> Option<Option<ScopeSet>> {
    let field = &field.whole();
    if field.shape() != Shape::Mapping {
        return field.read(|text| match text {
            "off" => Ok(None),
            _ => Err(Complaint::new(format!("`{text}` is not known here"), "write off, or { scopes: [orders:read] }")),
        });
    }
    field.mapping(&["scopes"]);
    let at = field.key("scopes");
    if at.shape() == Shape::Absent && !at.is_written() {
        at.missing("write what end users may do, like { scopes: [orders:read] }");
    }
    Some(Some(scopes(&at)?))
}

pub(super) fn sessions(field: &Field<'_>) -> Option<SessionsConfig> {
    field.mapping(&["idle", "max", "domains", "return_hosts"]);
    let idle_at = field.key("idle");
    let idle = idle_at.read(values::lifetime);
    if idle_at.differs_from_shipped() {
        super::later::without_effect(&idle_at);
    }
    let max = field.key("max").read(values::lifetime);
    let hosts = |name| {
        let list = field.key(name);
        let hosts: Vec<_> = list.items().iter().map(|item| item.read(values::host_name)).collect();
        if !hosts.is_empty() {
            super::later::without_effect(&list);
        }
        hosts.into_iter().collect::<Option<Vec<String>>>()
    };
    let (domains, return_hosts) = (hosts("domains"), hosts("return_hosts"));
    Some(SessionsConfig { idle: idle?, max: max?, domains: domains?, return_hosts: return_hosts? })
}
