//! Sign-up, passwords and sessions.

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{AccountsConfig, RequirePhone, RequireSecondFactor, SessionsConfig, SignUp, values};
use crate::decision::scopes::ScopeSet;

/// Least that `password_min_length` may be.
const PASSWORD_MIN_LENGTH: u64 = 8;
/// Most that it may be: a password must stay possible.
const PASSWORD_MAX_LENGTH: u64 = 128;

pub(super) fn accounts(field: &Field<'_>) -> Option<AccountsConfig> {
    field.mapping(&[
        "sign_up",
        "direct_scopes",
        "end_users",
        "require_phone",
        "require_second_factor",
        "password_min_length",
        "reveal_unknown_users",
    ]);
    let at = field.key("sign_up");
    let sign_up = at.read(values::one_of(&[("first", SignUp::First), ("open", SignUp::Open), ("invitation", SignUp::Invitation)]));
    let scopes_at = field.key("direct_scopes");
    let direct_scopes = scopes(&scopes_at);
    if sign_up == Some(SignUp::Open) {
        if !scopes_at.is_written() {
            scopes_at.missing("with sign_up: open, write what everybody who signs up may do, like direct_scopes: [orders:read]");
        } else if direct_scopes.as_ref().is_some_and(holds_everything) {
            scopes_at.warning(Complaint::new(
                "everybody can sign up and then holds every scope",
                "write the scopes that anybody may have, or sign_up: invitation",
            ));
        }
    }
    let end_users = end_users(&field.key("end_users"));
    let phone = [("first", RequirePhone::First), ("always", RequirePhone::Always), ("never", RequirePhone::Never)];
    let require_phone = field.key("require_phone").read(values::one_of(&phone));
    let factor =
        [("never", RequireSecondFactor::Never), ("managers", RequireSecondFactor::Managers), ("always", RequireSecondFactor::Always)];
    let require_second_factor = field.key("require_second_factor").read(values::one_of(&factor));
    let length = field.key("password_min_length").read(values::number(PASSWORD_MIN_LENGTH, PASSWORD_MAX_LENGTH));
    let reveal_unknown_users = field.key("reveal_unknown_users").read(values::boolean);
    Some(AccountsConfig {
        sign_up: sign_up?,
        direct_scopes: direct_scopes?,
        end_users: end_users?,
        require_phone: require_phone?,
        require_second_factor: require_second_factor?,
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
    let scopes = scopes(&at)?;
    if holds_everything(&scopes) {
        at.warning(Complaint::new(
            "everybody who proves a phone, an e-mail or an identity joins and then holds every scope",
            "write the scopes that anybody may have",
        ));
    }
    Some(Some(scopes))
}

/// Whether `*` is among them.
fn holds_everything(scopes: &ScopeSet) -> bool {
    ScopeSet::everything().iter().all(|everything| scopes.covers(everything))
}

/// Sessions. `public_url` is where the login pages are.
pub(super) fn sessions(field: &Field<'_>, public_url: Option<&str>) -> Option<SessionsConfig> {
    field.mapping(&["idle", "max", "domains", "return_hosts"]);
    let idle = field.key("idle").read(values::lifetime);
    let max = field.key("max").read(values::lifetime);
    let hosts = |name| {
        let list = field.key(name);
        let hosts: Vec<_> = list.items().iter().map(|item| item.read(values::host_name)).collect();
        let hosts = hosts.into_iter().collect::<Option<Vec<String>>>()?;
        if !hosts.is_empty() {
            needs_login_pages(&list, public_url);
        }
        Some(hosts)
    };
    let (domains, return_hosts) = (hosts("domains"), hosts("return_hosts"));
    let domains = domains?;
    for (n, (domain, at)) in domains.iter().zip(&field.key("domains").items()).enumerate() {
        let below = |other: &String| domain == other || domain.strip_suffix(other.as_str()).is_some_and(|rest| rest.ends_with('.'));
        if !domain.contains('.') || domain.parse::<std::net::Ipv4Addr>().is_ok() {
            let what = format!("`{domain}` is no domain whose hosts are all yours: browsers keep no cookie for it");
            at.problem(Complaint::new(what, "write one like example.com, or the hosts one by one as sessions.return_hosts"));
        } else if let Some((_, other)) = domains.iter().enumerate().find(|(other_n, other)| *other_n != n && below(other)) {
            at.problem(Complaint::new(format!("`{domain}` is `{other}`, or lies below it"), "write one of the two"));
        }
    }
    Some(SessionsConfig { idle: idle?, max: max?, domains, return_hosts: return_hosts? })
}

/// A login that leads to other hosts has its pages somewhere, and cookies that browsers keep by TLS only.
fn needs_login_pages(field: &Field<'_>, public_url: Option<&str>) {
    match public_url {
        None => field.problem(Complaint::new(
            "a login that leads here has no pages to begin on",
            "write where browsers find the admin listener, like admin: { public_url: https://auth.example.com }",
        )),
        Some(url) if !is_secure(url) => field.problem(Complaint::new(
            "browsers keep a session's cookies by TLS only, and admin.public_url is without",
            "write an https:// address; http:// is for localhost alone",
        )),
        Some(_) => {}
    }
}

/// Whether browsers keep `Secure` cookies at this address.
pub(super) fn is_secure(url: &str) -> bool {
    let host = url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    name.is_none_or(|name| matches!(name, "localhost" | "127.0.0.1" | "[::1]"))
}
