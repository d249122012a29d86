//! Stores, tokens, keys, log: the sections of the main file that are about neither listeners nor people.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{DatabaseConfig, Engine, LogConfig, SecretSource, StoreConfig, TokensConfig, UsageConfig, secret, values};
use crate::token::keyring::Keyring;
use crate::token::record::TokenFormat;

/// Most worker threads.
const WORKERS: u64 = 1024;

pub(super) fn database(field: &Field<'_>, data: Option<&Path>) -> Option<DatabaseConfig> {
    let complain = |what: &str, what_to_do: &str| {
        field.problem(Complaint::new(what, what_to_do));
        None
    };
    // not repeated in problems: it may hold a password
    let address = secret::plain_or_secret(field, data)?;
    match address.expose_secret().split_once(':') {
        Some(("sqlite", path)) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.starts_with(':') || path.contains(['?', '#']) || path.chars().any(char::is_control) {
                return complain("no file after `sqlite:`", "write a path relative to data, like sqlite:gatepost.db, or an absolute one");
            }
            Some(DatabaseConfig::Sqlite(PathBuf::from(path)))
        }
        Some((scheme @ ("postgres" | "postgresql" | "mysql" | "mariadb"), rest)) => {
            let engine = if scheme.starts_with("postgres") { Engine::Postgres } else { Engine::Mysql };
            match database_address(engine, rest) {
                Ok(()) => Some(DatabaseConfig::Server(engine, address)),
                Err((what, what_to_do)) => complain(what, what_to_do),
            }
        }
        _ => {
            complain("not a database address", "write sqlite:gatepost.db, or one like postgres://user:password@host:5432/name or mysql://…")
        }
    }
}

/// `//[user[:password]@][host[:port]]/name[?options]`: what is wrong with it, and what to do.
fn database_address(engine: Engine, rest: &str) -> Result<(), (&'static str, &'static str)> {
    const LIKE: &str = "write one like postgres://user:password@host:5432/name or mysql://user:password@host:3306/name; \
                        percent-encode what is none of A-Z a-z 0-9 . _ ~ - in user and password";
    let wrong = ("not the address of a database server", LIKE);
    if rest.chars().any(|c| c.is_control() || c == ' ' || c == '#') {
        return Err(wrong);
    }
    let rest = rest.strip_prefix("//").ok_or(wrong)?;
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, name) = place.split_once('/').unwrap_or((place, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (known, socket): (&[&str], &str) = match engine {
        Engine::Postgres => (
            &[
                "sslmode",
                "ssl-mode",
                "sslrootcert",
                "ssl-root-cert",
                "sslcert",
                "ssl-cert",
                "sslkey",
                "ssl-key",
                "host",
                "port",
                "options",
                "application_name",
            ],
            "host",
        ),
        _ => (&["sslmode", "ssl-mode", "sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key", "socket"], "socket"),
    };
    let mut options = options.split('&').filter(|option| !option.is_empty()).map(|option| option.split_once('=').unwrap_or((option, "")).0);
    let by_socket = options.clone().any(|option| option == socket);
    if !(values::is_authority(host) || host.is_empty() && by_socket) {
        return Err(wrong);
    }
    if name.is_empty() || name.contains('/') {
        return Err(("the address names no database", LIKE));
    }
    // a mistyped sslmode must not be passed over
    if !options.all(|option| known.contains(&option)) {
        return Err((
            "the address has an option that is not known here",
            "write sslmode, sslrootcert (PostgreSQL) or sslca (MySQL), sslcert, sslkey, or the socket: host (PostgreSQL), socket (MySQL)",
        ));
    }
    Ok(())
}

pub(super) fn tokens(field: &Field<'_>, data: Option<&Path>) -> Option<TokensConfig> {
    field.mapping(&["store", "format", "ttl", "max_lifetime", "staleness_bound"]);
    let store = store(&field.key("store"), data);
    let format = field.key("format").read(values::one_of(&[("opaque", TokenFormat::Opaque), ("jwt", TokenFormat::Jwt)]));
    let (ttl_at, cap_at) = (field.key("ttl"), field.key("max_lifetime"));
    let ttl = ttl_at.read(values::lifetime);
    let max_lifetime = cap_at.read(values::lifetime);
    let bound = values::duration(Duration::from_millis(100), Duration::from_secs(10));
    let staleness_bound = field.key("staleness_bound").read(bound);
    let (ttl, max_lifetime) = (ttl?, max_lifetime?);
    if max_lifetime < ttl {
        let (ttl_text, cap_text) = (humantime::format_duration(ttl), humantime::format_duration(max_lifetime));
        let what = format!("ttl {ttl_text} is longer than max_lifetime {cap_text}");
        let at = if cap_at.is_written() { cap_at } else { ttl_at };
        at.problem(Complaint::new(what, "make max_lifetime at least as long as ttl"));
    }
    Some(TokensConfig { store: store?, format: format?, ttl, max_lifetime, staleness_bound: staleness_bound? })
}

fn store(field: &Field<'_>, data: Option<&Path>) -> Option<StoreConfig> {
    // not repeated in problems: it may hold a password
    let address = secret::plain_or_secret(field, data)?;
    if address.expose_secret() == "embedded" {
        return Some(StoreConfig::Embedded);
    }
    match crate::token::redis::check_address(&address) {
        Ok(()) => Some(StoreConfig::Redis(address)),
        Err((what, what_to_do)) => {
            field.problem(Complaint::new(what, what_to_do));
            None
        }
    }
}

/// Reads `secret_key`, or the variable `GATEPOST_SECRET_KEY`, and checks the keys where they can be read.
/// `made` = a key file that does not exist will be made at the first start.
pub(super) fn secret_key(field: &Field<'_>, data: Option<&Path>, made: bool) -> Option<SecretSource> {
    let checked = |text: &str, place: &str| match Keyring::parse(text) {
        Ok(_) => true,
        Err(error) => {
            field.problem(Complaint::new(format!("{place}: {error}"), "one key a line: the first signs, all verify"));
            false
        }
    };
    match secret::source(field)? {
        secret::Source::Variable(name, text) => checked(text.expose_secret(), &format!("in `{name}`")).then_some(SecretSource::Text(text)),
        secret::Source::File(path) => {
            let full = data?.join(&path);
            let shown = full.display();
            match std::fs::read_to_string(&full) {
                Ok(text) => checked(&text, &format!("in `{shown}`")).then_some(SecretSource::File(path)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && made => Some(SecretSource::File(path)),
                Err(error) => {
                    let hint = "make one, the same for every replica: `openssl rand -hex 32`, mode 0600";
                    field.problem(Complaint::new(format!("`{shown}` cannot be read: {error}"), hint));
                    None
                }
            }
        }
    }
}

/// `standard`, or the status that replaces 401 and 403.
pub(super) fn denials(field: &Field<'_>) -> Option<Option<u16>> {
    field.mapping(&["status"]);
    field.key("status").read(|text| {
        if text == "standard" {
            return Ok(None);
        }
        match text.parse() {
            // 429 and 503 tell proxies and clients to come again, which a refusal must not
            Ok(status) if (400..=499).contains(&status) && status != 429 => Ok(Some(status)),
            _ => Err(Complaint::new(
                format!("`{text}` is not a status that can stand for a refusal"),
                "write standard, or a number from 400 to 499 other than 429",
            )),
        }
    })
}

pub(super) fn usage(field: &Field<'_>) -> Option<UsageConfig> {
    field.mapping(&["keep", "enabled"]);
    let keep = field.key("keep").read(values::days);
    let enabled_at = field.key("enabled");
    let enabled = if enabled_at.shape() == Shape::Absent { Some(true) } else { enabled_at.read(values::boolean) };
    Some(UsageConfig { keep: keep?, enabled: enabled? })
}

pub(super) fn workers(field: &Field<'_>) -> Option<usize> {
    let workers = field.read(values::number(0, WORKERS))?;
    match usize::try_from(workers).ok()? {
        0 => Some(std::thread::available_parallelism().map_or(1, usize::from)),
        workers => Some(workers),
    }
}

pub(super) fn log(field: &Field<'_>) -> Option<LogConfig> {
    use tracing::Level;
    field.mapping(&["level", "format"]);
    let levels = [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG), ("trace", Level::TRACE)];
    let level = field.key("level").read(values::one_of(&levels));
    let json = field.key("format").read(values::one_of(&[("text", false), ("json", true)]));
    Some(LogConfig { level: level?, json: json? })
}
