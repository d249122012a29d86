//! The environment as configuration sees it: a map, so that tests pass their own.
//!
//! The process's own is taken in [`super::file`], once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables and the working directory.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    directory: PathBuf,
}

impl Environment {
    /// These variables, and the process's working directory.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), directory: PathBuf::new() }
    }

    /// With another working directory.
    #[must_use]
    pub fn in_directory(self, directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), ..self }
    }

    /// What relative paths are relative to; empty for the process's own.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// A variable, if it is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether `name`, or a variable of something in it, is set. Platforms inject variables of their own
    /// (`GATEPOST_DATABASE_SERVICE_HOST`): only those that a key has count.
    pub(super) fn sets(&self, name: &str) -> bool {
        let is_in = |other: &str| other.get(name.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        self.starting(name).any(|(other, _)| is_in(other) && (other == name || is_known(other)))
    }

    /// Every variable whose name starts so.
    pub(super) fn starting<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.variables.range::<str, _>((std::ops::Bound::Included(start), std::ops::Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(start)).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The variable of every key whose value can come from one; `#` stands for a place in a list, `*` for a name of the user's.
const KNOWN: [&str; 52] = [
    "GATES_#_PROXY",
    "GATES_#_LISTEN",
    "GATES_#_SECRET",
    "GATES_#_SECRET_ENV",
    "GATES_#_SECRET_FILE",
    "GATES_#_TLS_CERT",
    "GATES_#_TLS_KEY",
    "ADMIN_LISTEN",
    "ADMIN_PUBLIC_URL",
    "ADMIN_TLS_CERT",
    "ADMIN_TLS_KEY",
    "ADMIN_TRUSTED_PROXIES_#",
    "METRICS_LISTEN",
    "TOKENS_FORMAT",
    "TOKENS_TTL",
    "TOKENS_MAX_LIFETIME",
    "TOKENS_STALENESS_BOUND",
    "ACCOUNTS_SIGN_UP",
    "ACCOUNTS_REQUIRE_PHONE",
    "ACCOUNTS_PASSWORD_MIN_LENGTH",
    "ACCOUNTS_REVEAL_UNKNOWN_USERS",
    "SENDERS_LOG",
    "SENDERS_EMAIL_PASSWORD",
    "SESSIONS_IDLE",
    "SESSIONS_MAX",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "DATABASE_ENV",
    "DATABASE_FILE",
    "TOKENS_STORE_ENV",
    "TOKENS_STORE_FILE",
    "SECRET_KEY_ENV",
    "SECRET_KEY_FILE",
    "DENIALS_STATUS",
    "ACCOUNTS_END_USERS_SCOPES_#",
    "ACCOUNTS_DIRECT_SCOPES_#",
    "OIDC_*_ISSUER",
    "OIDC_*_CLIENT_ID",
    "OIDC_*_CLIENT_SECRET",
    "OIDC_*_CLIENT_SECRET_ENV",
    "OIDC_*_CLIENT_SECRET_FILE",
    "OIDC_*_ALLOWED_DOMAINS_#",
    "SENDERS_EMAIL_SMTP",
    "SENDERS_EMAIL_FROM",
    "SENDERS_EMAIL_PASSWORD_ENV",
    "SENDERS_EMAIL_PASSWORD_FILE",
    "SENDERS_SMS_URL",
    "SENDERS_SMS_METHOD",
    "SENDERS_SMS_BODY",
    "SENDERS_SMS_HEADERS_*",
    "SESSIONS_DOMAINS_#",
    "SESSIONS_RETURN_HOSTS_#",
];

fn is_known(variable: &str) -> bool {
    variable.strip_prefix("GATEPOST_").is_some_and(|name| KNOWN.iter().any(|known| fits(name, known)))
}

/// Whether `name` is what `pattern` stands for.
fn fits(name: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once(['#', '*']) else { return name == pattern };
    let index = pattern.contains('#');
    let Some(rest) = name.strip_prefix(before) else { return false };
    let one = |part: &str| !part.is_empty() && (!index || part.bytes().all(|digit| digit.is_ascii_digit()));
    rest.strip_suffix(after).is_some_and(one)
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("variables", &self.variables.keys()).field("directory", &self.directory).finish()
    }
}
