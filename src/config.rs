//! What the program relies on: one struct per concern, checked, with defaults filled in.
//!
//! What the user wrote (YAML and `GATEPOST_*` variables) is read by [`file`] and [`rules_file`];
//! everything wrong with it is reported at once, each [`problem::Problem`] with its place.

mod accounts;
mod carriage;
pub mod check;
pub mod declared;
mod environment;
pub mod file;
pub mod foreign;
mod identity;
mod issuers;
mod limit;
mod listeners;
mod oidc;
pub mod problem;
mod reader;
mod rule;
mod rule_test;
pub mod rules_file;
mod secret;
mod sections;
mod senders;
mod suggest;
mod tls;
mod values;
pub mod watch;
mod webhooks;
mod yaml;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::decision::scopes::ScopeSet;

pub use crate::accounts::{RequirePhone, RequireSecondFactor, SignUp};
pub use crate::database::Engine;
pub use crate::decision::network::Network;
pub use crate::dialect::{Carriage, ClientIp, IdentityHeaders, Proxy};
pub use crate::issuers::Issuer;
pub use crate::notices::Webhook as WebhookConfig;
pub use crate::oidc::{ClaimGrant, Provider as OidcProvider, ProviderKind};
pub use crate::senders::Settings as SendersConfig;
pub use crate::server::Listen;
pub use crate::token::secret::KeyPrefix;
pub use environment::Environment;

/// Exit status of a configuration, or a command line, that cannot be taken (`EX_USAGE` of sysexits.h).
pub const BAD_CONFIGURATION: u8 = 64;

/// Everything.
#[derive(Debug, Clone)]
pub struct Config {
    /// The check listeners, at least one.
    pub gates: Vec<GateConfig>,
    /// The admin listener.
    pub admin: AdminConfig,
    /// Where `/metrics`, `/healthz` and `/readyz` live.
    pub metrics: SocketAddr,
    /// Directory for the database, the secret key and the embedded store. Made with mode 0700. Default `data` below the working directory.
    pub data: PathBuf,
    /// The rules.
    pub rules: RulesSource,
    /// Where people, keys and ends are kept.
    pub database: DatabaseConfig,
    /// Access tokens.
    pub tokens: TokensConfig,
    /// Where the secret keys come from.
    pub secret_key: SecretSource,
    /// What API keys made from now on begin with.
    pub key_prefix: KeyPrefix,
    /// A fixed status in place of 401 and 403; `None` = standard.
    pub denial_status: Option<u16>,
    /// Sign-up and passwords.
    pub accounts: AccountsConfig,
    /// OpenID Connect providers. Default none.
    pub oidc: Vec<OidcProvider>,
    /// Other issuers whose tokens rules may take. Default none.
    pub issuers: Vec<Issuer>,
    /// What sends one-time codes. Default nothing.
    pub senders: SendersConfig,
    /// Systems that are told of keys. Default none.
    pub webhooks: Vec<WebhookConfig>,
    /// How long sessions last.
    pub sessions: SessionsConfig,
    /// Threads that answer checks, and as many for everything else; at least 1.
    pub workers: usize,
    /// What is counted of each key.
    pub usage: UsageConfig,
    /// The log.
    pub log: LogConfig,
}

/// Where the rules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulesSource {
    /// This file; already relative to the working directory, not to the configuration file.
    File(PathBuf),
    /// Every file of one directory whose name matches: a `*` stands for any characters. As above.
    Files(PathBuf),
    /// The starter rules inside the program: nobody wrote a configuration file.
    BuiltIn,
}

/// One check listener.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// The dialect: fixed here, never guessed from headers.
    pub proxy: Proxy,
    /// Where.
    pub listen: Listen,
    /// `X-Proxy-Secret` must match; required off loopback and unix sockets. A file here is one that is not there yet: the start makes it.
    pub secret: Option<SecretSource>,
    /// TLS on this listener; `None` = plain HTTP. It does not replace the secret.
    pub tls: Option<TlsConfig>,
    /// Where it learns the client's address; `None` = it does not.
    pub client_ip: Option<ClientIp>,
    /// What an application is told. Default: the standard five.
    pub identity: IdentityHeaders,
    /// Where credentials stand; `None` = as everywhere.
    pub carriage: Option<Carriage>,
}

impl GateConfig {
    /// The gate that is meant by its proxy, the first of them, or by where it listens. Without a name the first one.
    ///
    /// # Errors
    /// Where there is none, with the names of those that are there.
    pub fn meant<'c>(gates: &'c [Self], name: Option<&str>) -> Result<&'c Self, String> {
        let listens = |gate: &&Self| name.is_none_or(|name| gate.listen.to_string() == name);
        let asks = |gate: &&Self| name.is_some_and(|name| gate.proxy.as_str() == name);
        let found = gates.iter().find(listens).or_else(|| gates.iter().find(asks));
        found.ok_or_else(|| match (name, gates) {
            (Some(name), [_, ..]) => {
                format!("there is no gate `{name}`: name one of {}, or where it listens", Self::names(gates).join(", "))
            }
            _ => "no gate is configured".to_owned(),
        })
    }

    /// By what each is meant: its proxy, or where it listens if there are several for one.
    pub fn names(gates: &[Self]) -> Vec<String> {
        let only = |gate: &Self| gates.iter().filter(|other| other.proxy == gate.proxy).count() == 1;
        gates.iter().map(|gate| if only(gate) { gate.proxy.as_str().to_owned() } else { gate.listen.to_string() }).collect()
    }
}

/// The admin listener.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Where. Default 127.0.0.1:8000.
    pub listen: SocketAddr,
    /// As browsers and clients see it, without a slash at the end.
    pub public_url: Option<String>,
    /// TLS on this listener; `None` = plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Networks whose `X-Forwarded-For` and `-Proto` count.
    pub trusted_proxies: Vec<Network>,
}

/// TLS of one listener, read and found to fit.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// Where it was read, and is read again.
    pub files: TlsFiles,
    /// SHA-256 over what they held.
    pub hash: [u8; 32],
    /// What they held.
    pub pair: crate::server::Pair,
}

/// The files of a certificate chain and its key; already relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// PEM, the server's own certificate first.
    pub cert: PathBuf,
    /// PEM: PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// Where people, keys and ends are kept.
#[derive(Debug, Clone)]
pub enum DatabaseConfig {
    /// The file; relative paths are below `data`.
    Sqlite(PathBuf),
    /// PostgreSQL or MySQL at this address, `postgres://` or `mysql://`.
    Server(Engine, SecretString),
}

/// Access tokens.
#[derive(Debug, Clone)]
pub struct TokensConfig {
    /// Where presence is asked.
    pub store: StoreConfig,
    /// How tokens minted from here on are written.
    pub format: crate::token::record::TokenFormat,
    /// Idle time. Default 60 min.
    pub ttl: Duration,
    /// Absolute. Default 12 h.
    pub max_lifetime: Duration,
    /// COHERENCE §1, 100 ms to 10 s. Default 1 s.
    pub staleness_bound: Duration,
}

/// Where presence is asked.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// In this process.
    Embedded,
    /// A Redis or Valkey at this address: one server, behind Sentinels, or a Cluster.
    Redis(SecretString),
}

/// Where a secret comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// A file; relative paths are below `data`.
    File(PathBuf),
    /// This text, from the environment or a file that was read.
    Text(SecretString),
}

/// Sign-up and passwords.
#[derive(Debug, Clone)]
pub struct AccountsConfig {
    /// Default: first.
    pub sign_up: SignUp,
    /// What a direct sign-up holds in the tenant it founds. Default `*`.
    pub direct_scopes: ScopeSet,
    /// Default: first.
    pub require_phone: RequirePhone,
    /// Default: never.
    pub require_second_factor: RequireSecondFactor,
    /// In characters. Default 15.
    pub password_min_length: usize,
    /// Whether login tells an unknown user from a wrong password. Default: no.
    pub reveal_unknown_users: bool,
    /// What whoever proves an identity without an account holds, as end user of the founding tenant;
    /// `None` = such a person is refused. Default `None`. Without effect in this version.
    pub end_users: Option<ScopeSet>,
}

/// How long sessions last.
#[derive(Debug, Clone)]
pub struct SessionsConfig {
    /// Idle end of a browser's session. Default 60 min.
    pub idle: Duration,
    /// Absolute end. Default 12 h.
    pub max: Duration,
    /// Domains whose subdomains share one login. Default none.
    pub domains: Vec<String>,
    /// Hosts a login may return to. Default none.
    pub return_hosts: Vec<String>,
}

/// What is counted of each key.
#[derive(Debug, Clone, Copy)]
pub struct UsageConfig {
    /// How long the counts of an hour are kept. Default 400 days.
    pub keep: Duration,
    /// Whether anything is counted. Default true; it is for measurements that it can be switched off.
    pub enabled: bool,
}

/// The log.
#[derive(Debug, Clone, Copy)]
pub struct LogConfig {
    /// Lowest level written.
    pub level: tracing::Level,
    /// Text or JSON.
    pub json: bool,
}
