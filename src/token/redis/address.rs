//! The address of a token store: what `tokens.store` may say where it names Redis or Valkey.
//!
//! ```text
//! redis://[user:password@]host[:6379][/database]
//! redis+sentinel://[user:password@]host[:26379][,host…]/service[/database]
//! redis+cluster://[user:password@]host[:6379][,host…]
//! ```
//! `rediss` in place of `redis` speaks TLS, with the Sentinels too. Options after `?` are those of [`OPTIONS`].
//!
//! INVARIANT: nothing of what cannot be read is repeated in an error; debug output shows no password, and what is shown of an address neither
//! that nor a user.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::keys::{self, Keys};

/// Whose port is meant where none is written.
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// What stands for what in an address.
const OPTIONS: [&str; 7] = ["ca", "cert", "key", "sentinel_user", "sentinel_password", "max_lag", "tag"];
/// Longest replication lag that may be declared.
const LONGEST_LAG_S: u64 = 3600;

/// Where the store is, and how to speak with it.
#[derive(Debug, Clone)]
pub struct Address {
    pub(super) kind: Kind,
    /// At least one: the server itself, Sentinels, or nodes of the Cluster to ask first.
    pub(super) hosts: Vec<Host>,
    pub(super) login: Login,
    /// Sentinels have users of their own.
    pub(super) sentinel_login: Login,
    pub(super) database: u16,
    /// `None` = plain.
    pub(super) tls: Option<TlsFiles>,
    /// `min-replicas-max-lag` as the address says it, for where Redis does not let it be read.
    pub(super) max_lag: Option<Duration>,
    /// What our keys are called.
    pub(super) keys: Arc<Keys>,
}

/// What the hosts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// One server, always the same.
    Single,
    /// Sentinels that know which server is the primary of this service.
    Sentinel(String),
    /// Nodes of a Cluster.
    Cluster,
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Host {
    /// A name or an address; IPv6 without brackets.
    pub(super) name: String,
    pub(super) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') { write!(f, "[{}]:{}", self.name, self.port) } else { write!(f, "{}:{}", self.name, self.port) }
    }
}

/// Who we are there; without a password, whoever may come without one.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
}

/// Files in PEM; absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Who may sign the servers' certificates; `None` = whom the system trusts.
    pub(super) ca: Option<PathBuf>,
    /// Our own certificate and its key.
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

/// Why it is no address; repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {what_to_do}")]
pub struct AddressError {
    /// What is wrong.
    pub what: &'static str,
    /// What to do.
    pub what_to_do: &'static str,
}

impl fmt::Display for Address {
    /// What tells it from another, as it would be written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.tls.is_some() { "s" } else { "" };
        let (kind, service) = match &self.kind {
            Kind::Single => ("", String::new()),
            Kind::Sentinel(service) => ("+sentinel", format!("/{service}")),
            Kind::Cluster => ("+cluster", String::new()),
        };
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        write!(f, "redis{s}{kind}://{}{service}", hosts.join(","))?;
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        match self.keys.tag() {
            keys::TAG => Ok(()),
            tag => write!(f, "?tag={tag}"),
        }
    }
}

type Reading<T> = Result<T, AddressError>;

/// What one looks like, of each kind.
const LIKE: [&str; 3] = [
    "write one like redis://user:password@redis.internal:6379/0",
    "write one like redis+sentinel://user:password@sentinel1:26379,sentinel2:26379,sentinel3:26379/service",
    "write one like redis+cluster://user:password@node1:6379,node2:6379,node3:6379",
];

impl Address {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, without anything of it.
    pub fn parse(text: &str) -> Reading<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (kind, tls) = match scheme {
            "redis" | "rediss" => (Kind::Single, scheme == "rediss"),
            "redis+sentinel" | "rediss+sentinel" => (Kind::Sentinel(String::new()), scheme == "rediss+sentinel"),
            "redis+cluster" | "rediss+cluster" => (Kind::Cluster, scheme == "rediss+cluster"),
            _ => {
                return Err(AddressError {
                    what: "not a token store",
                    what_to_do: "write embedded, or an address like redis://redis.internal:6379",
                });
            }
        };
        let (what, what_to_do, port) = match kind {
            Kind::Single => ("not a Redis address", LIKE[0], REDIS_PORT),
            Kind::Sentinel(_) => ("not an address of Sentinels", LIKE[1], SENTINEL_PORT),
            Kind::Cluster => ("not an address of a Cluster", LIKE[2], REDIS_PORT),
        };
        let wrong = AddressError { what, what_to_do };
        if rest.chars().any(|c| c == '#' || c.is_whitespace() || c.is_control()) {
            return Err(wrong);
        }
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        let hosts: Vec<Host> = hosts.split(',').map(|host| read_host(host, port).ok_or(wrong)).collect::<Reading<_>>()?;
        if kind == Kind::Single && hosts.len() > 1 {
            return Err(AddressError {
                what: "several hosts",
                what_to_do: "write redis+sentinel:// or redis+cluster:// for more than one",
            });
        }
        let (service, database) = match kind {
            Kind::Sentinel(_) => path.split_once('/').unwrap_or((path, "")),
            _ => ("", path),
        };
        let kind = match kind {
            Kind::Sentinel(_) if service.is_empty() => {
                return Err(AddressError {
                    what: "the address names no service",
                    what_to_do: "write after the hosts what the Sentinels call it, as in `sentinel monitor`: …:26379/service",
                });
            }
            Kind::Sentinel(_) => Kind::Sentinel(decoded(service).ok_or(wrong)?),
            kind => kind,
        };
        let database = if database.is_empty() { 0 } else { database.parse().map_err(|_| wrong)? };
        if kind == Kind::Cluster && database != 0 {
            return Err(AddressError { what: "a Cluster has only database 0", what_to_do: "leave the number out" });
        }
        let read = Self {
            kind,
            hosts,
            login: login.map_or(Ok(Login::default()), read_login)?,
            sentinel_login: Login::default(),
            database,
            tls: tls.then(TlsFiles::default),
            max_lag: None,
            keys: Arc::default(),
        };
        read.with(options)
    }

    /// With what stands after `?`.
    fn with(mut self, options: &str) -> Reading<Self> {
        let mut given: [Option<String>; OPTIONS.len()] = Default::default();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let unknown = AddressError {
                what: "the address has an option that is not known here",
                what_to_do: "write ca, cert, key (TLS), sentinel_user, sentinel_password (Sentinel), max_lag (Sentinel, Cluster), tag, each once",
            };
            let (name, value) = option.split_once('=').ok_or(unknown)?;
            let slot = OPTIONS.iter().zip(&mut given).find(|(known, _)| **known == name).map(|(_, slot)| slot).ok_or(unknown)?;
            if slot.replace(decoded(value).ok_or(unknown)?).is_some() {
                return Err(unknown);
            }
        }
        let [ca, cert, key, sentinel_user, sentinel_password, max_lag, tag] = given;
        match &mut self.tls {
            Some(files) => {
                files.ca = ca.map(absolute).transpose()?;
                files.own = match (cert, key) {
                    (Some(cert), Some(key)) => Some((absolute(cert)?, absolute(key)?)),
                    (None, None) => None,
                    _ => return Err(AddressError { what: "cert and key belong together", what_to_do: "name both, or neither" }),
                };
            }
            None if ca.is_some() || cert.is_some() || key.is_some() => {
                return Err(AddressError { what: "ca, cert and key are for TLS", what_to_do: "begin with rediss, or leave them out" });
            }
            None => {}
        }
        if matches!(self.kind, Kind::Sentinel(_)) {
            if sentinel_user.is_some() && sentinel_password.is_none() {
                return Err(AddressError { what: "sentinel_user has no password", what_to_do: "write sentinel_password as well" });
            }
            self.sentinel_login = Login { user: sentinel_user, password: sentinel_password.map(SecretString::from) };
        } else if sentinel_user.is_some() || sentinel_password.is_some() {
            return Err(AddressError { what: "sentinel_user and sentinel_password are for Sentinels", what_to_do: "leave them out" });
        }
        self.max_lag = max_lag.map(|text| read_lag(&text)).transpose()?;
        if self.max_lag.is_some() && self.is_single() {
            return Err(AddressError { what: "max_lag is for Sentinel and Cluster", what_to_do: "leave it out" });
        }
        if let Some(tag) = tag {
            let wrong =
                AddressError { what: "the tag cannot be read", what_to_do: "write letters, digits, -, _ and ., at most 32 of them" };
            self.keys = Arc::new(Keys::tagged(&tag).ok_or(wrong)?);
        }
        Ok(self)
    }

    /// Whether it is one server that no other takes over from.
    pub(super) fn is_single(&self) -> bool {
        self.kind == Kind::Single
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.into_owned())
}

/// `user:password`, `:password`; both may be percent-encoded.
fn read_login(text: &str) -> Reading<Login> {
    let wrong = AddressError {
        what: "the address names no password, or none that can be read",
        what_to_do: "write user:password@ (or :password@) before the host, with % and two hex digits for each of @ : / ? # %",
    };
    // a user without password would come in as the default user, with other rights than were meant
    let (user, password) = text.split_once(':').ok_or(wrong)?;
    let user = if user.is_empty() { None } else { Some(decoded(user).ok_or(wrong)?) };
    Ok(Login { user, password: Some(SecretString::from(decoded(password).ok_or(wrong)?)) })
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn read_host(text: &str, port: u16) -> Option<Host> {
    let (name, written) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) => {
            v6.parse::<std::net::Ipv6Addr>().ok()?;
            (v6, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let is_v6 = name.contains(':');
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if name.is_empty() || name.len() > 253 || name.starts_with(['-', '.']) || !(is_v6 || plain) {
        return None;
    }
    let port = match written {
        None => port,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|port| *port > 0)?,
        Some(_) => return None,
    };
    Some(Host { name: name.to_owned(), port })
}

fn absolute(path: String) -> Reading<PathBuf> {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(AddressError { what: "a file in the address has no absolute path", what_to_do: "write one like ca=/etc/gatepost/redis-ca.pem" })
    }
}

/// Whole seconds, as Redis counts it: `10s`.
fn read_lag(text: &str) -> Reading<Duration> {
    let seconds = text.strip_suffix('s').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).and_then(|digits| digits.parse().ok());
    seconds.filter(|seconds| (1..=LONGEST_LAG_S).contains(seconds)).map(Duration::from_secs).ok_or(AddressError {
        what: "max_lag is no number of seconds",
        what_to_do: "write what Redis has for min-replicas-max-lag, like max_lag=10s",
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn hosts(address: &Address) -> Vec<String> {
        address.hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_server() {
        let address = read("redis://redis.internal");
        assert_eq!((hosts(&address), address.database, address.is_single()), (vec!["redis.internal:6379".into()], 0, true));
        assert!(address.login.user.is_none() && address.login.password.is_none() && address.tls.is_none());
        let address = read("rediss://u%40x:p%3A%2F%25w@[::1]:7000/2?ca=/etc/ca.pem");
        assert_eq!((hosts(&address), address.database), (vec!["[::1]:7000".into()], 2));
        assert_eq!(address.login.user.as_deref(), Some("u@x"));
        assert_eq!(address.login.password.as_ref().unwrap().expose_secret(), "p:/%w");
        assert_eq!(address.tls, Some(TlsFiles { ca: Some("/etc/ca.pem".into()), own: None }));
        assert_eq!(read("redis://:p@h/").login.user, None);
        assert!(!format!("{address:?}").contains("p:/"), "debug output is mute");
    }

    #[test]
    fn shown_it_tells_where_it_is_and_not_who_we_are() {
        for (written, shown) in [
            ("redis://u:p@redis.internal/0", "redis://redis.internal:6379"),
            ("rediss://:p@[::1]:7000/2?ca=/etc/ca.pem&tag=shop", "rediss://[::1]:7000/2?tag=shop"),
            ("redis+sentinel://u:p@a,b:1/main/3?sentinel_password=x", "redis+sentinel://a:26379,b:1/main/3"),
            ("rediss+cluster://u:p@a,b:1?max_lag=4s", "rediss+cluster://a:6379,b:1"),
        ] {
            assert_eq!(read(written).to_string(), shown);
        }
    }

    #[test]
    fn sentinels() {
        let address = read("redis+sentinel://u:p@a,b:1,[::2]/main/3?sentinel_password=x%26y&sentinel_user=s&max_lag=4s");
        assert_eq!(hosts(&address), ["a:26379", "b:1", "[::2]:26379"]);
        assert_eq!((&address.kind, address.database), (&Kind::Sentinel("main".into()), 3));
        assert_eq!(address.sentinel_login.user.as_deref(), Some("s"));
        assert_eq!(address.sentinel_login.password.as_ref().unwrap().expose_secret(), "x&y");
        assert_eq!(address.max_lag, Some(Duration::from_secs(4)));
        assert!(!address.is_single());
        assert!(read("rediss+sentinel://a/main").tls.is_some());
    }

    #[test]
    fn clusters() {
        let address = read("rediss+cluster://a:1,b:2?cert=/c.pem&key=/k.pem");
        assert_eq!((hosts(&address), &address.kind), (vec!["a:1".into(), "b:2".into()], &Kind::Cluster));
        assert_eq!(address.tls, Some(TlsFiles { ca: None, own: Some(("/c.pem".into(), "/k.pem".into())) }));
        read("redis+cluster://a/0");
    }

    #[test]
    fn keys_have_a_tag() {
        assert_eq!(read("redis://h").keys.prefix(), "{gp}:");
        for address in ["redis://h/1?tag=shop", "redis+sentinel://h/service?max_lag=10s&tag=shop", "redis+cluster://h?tag=shop"] {
            assert_eq!(read(address).keys.prefix(), "{shop}:");
        }
    }

    #[test]
    fn whatever_is_wrong_is_said_without_the_address() {
        let cases = [
            ("", "not a token store"),
            ("http://hunter2", "not a token store"),
            ("redis://", "not a Redis address"),
            ("redis://:hunter2@h:x", "not a Redis address"),
            ("redis://:hunter2@h:0", "not a Redis address"),
            ("redis://:hunter2@h:70000", "not a Redis address"),
            ("redis://:hunter2@h/x", "not a Redis address"),
            ("redis://:hunter2@h /1", "not a Redis address"),
            ("redis://:hunter2@-h", "not a Redis address"),
            ("redis://:hunter2@h#1", "not a Redis address"),
            ("redis://[::x]:1", "not a Redis address"),
            ("redis://[::1]x", "not a Redis address"),
            ("redis://a,b", "several hosts"),
            ("redis://hunter2@h", "the address names no password"),
            ("redis://u:@h", "the address names no password"),
            ("redis://u:%ff@h", "the address names no password"),
            ("redis://h?ca=/x", "ca, cert and key are for TLS"),
            ("rediss://h?ca=x", "a file in the address has no absolute path"),
            ("rediss://h?cert=/x", "cert and key belong together"),
            ("rediss://h?cat=/x", "the address has an option that is not known here"),
            ("rediss://h?ca=/x&ca=/y", "the address has an option that is not known here"),
            ("redis://h?max_lag=1s", "max_lag is for Sentinel and Cluster"),
            ("redis://h?sentinel_password=hunter2", "sentinel_user and sentinel_password are for Sentinels"),
            ("redis+sentinel://r", "the address names no service"),
            ("redis+sentinel://r/m/x", "not an address of Sentinels"),
            ("redis+sentinel://r,/m", "not an address of Sentinels"),
            ("redis+sentinel://r/m?sentinel_user=u", "sentinel_user has no password"),
            ("redis+sentinel://r/m?max_lag=10", "max_lag is no number of seconds"),
            ("redis+sentinel://r/m?max_lag=0s", "max_lag is no number of seconds"),
            ("redis+cluster://r/1", "a Cluster has only database 0"),
            ("redis+cluster://", "not an address of a Cluster"),
            ("redis://h?tag=a:b", "the tag cannot be read"),
            ("redis://h?tag=", "the address has an option that is not known here"),
        ];
        for (text, expected) in cases {
            let error = Address::parse(text).expect_err(text);
            assert!(error.what.starts_with(expected), "{text}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
