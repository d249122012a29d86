//! Arguments: what the user typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::decision::scopes::ScopeSet;
use crate::decision::trial::CredentialState;

/// The forward-auth server for API keys, scopes and instant revocation.
///
/// A reverse proxy asks it, for each request, whether that may go through. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "gatepost", version, after_help = AFTER_HELP)]
pub struct Arguments {
    /// The configuration file. Default: $GATEPOST_CONFIG, else config/gatepost.yaml below the working directory,
    /// else built-in defaults equal to the shipped file.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER_HELP: &str = "\
Exit status: 0 fine, 1 failed or found something, 64 bad configuration.

First steps:
  gatepost                            serve; without a configuration everything is embedded and on loopback
  gatepost create-admin --user ann    the first admin, for a machine without a browser
  gatepost check-config               everything that is wrong with the configuration, at once
  gatepost apply people/ --check      what differs from tenants, policies, principals and keys declared in files
  gatepost export backup.jsonl        a copy of everything, while servers run; `gatepost import` restores or moves it
  gatepost explain GET https://api.example.com/orders/1 --scopes orders:read
                                      which rule decides, and how
  gatepost test-rules                 run the tests that stand in the rules file
  gatepost import openapi api.yaml    rules from an OpenAPI document
  gatepost print-config nginx         what nginx (or traefik, caddy, envoy, haproxy, gateway-api) needs
  gatepost doctor http://127.0.0.1:8081/ --user ann
                                      what is wrong with the proxy before it";

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: gates, admin and metrics listeners. The default.
    Serve,
    /// Check configuration and rules; print everything that is wrong or risky.
    CheckConfig,
    /// Run the tests of the rules file.
    TestRules,
    /// Print what a proxy needs to ask the gate of this configuration.
    PrintConfig(crate::print_config::PrintConfigArguments),
    /// Show how the rules decide a request, and why.
    Explain(Box<ExplainArguments>),
    /// Make, list, rotate and revoke API keys.
    Keys(crate::keys_command::KeysCommand),
    /// Make the first admin, or one more.
    CreateAdmin(crate::create_admin_command::CreateAdminCommand),
    /// Let somebody log in who lost phone and recovery codes.
    ResetSecondFactor(crate::reset_second_factor_command::ResetSecondFactorCommand),
    /// Find out through the real proxy what is wrong with its configuration.
    Doctor(Box<crate::doctor::DoctorCommand>),
    /// Make tenants, policies, principals and keys what files declare.
    Apply(crate::apply_command::ApplyCommand),
    /// Write a copy of everything, while servers run: a backup, or a move.
    Export(crate::backup::export::ExportCommand),
    /// Put a copy into empty stores; or make rules of what others wrote.
    Import(ImportCommand),
    /// Print the OpenAPI document of the admin listener; the same as its /openapi.json.
    Openapi,
    /// Ask the running program whether it can decide, as containers do.
    Healthcheck(crate::healthcheck::HealthcheckCommand),
}

/// Put a copy made by `gatepost export` into the stores that the configuration names; or make rules of what others wrote.
///
/// The database must be empty and nobody may serve from it; all of the copy stands then, or nothing. Live tokens are put into the token
/// store, so whoever holds one goes on. The secret keys must be those of the copied installation.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  gatepost import gatepost-2026-11-21.jsonl                       restore a backup
  zstd -dc gatepost.jsonl.zst | gatepost import -                 from standard input
  gatepost import --config cluster.yaml gatepost.jsonl            a move to the database and the Redis of cluster.yaml
  gatepost import openapi api.yaml                                rules from an OpenAPI document"
)]
pub struct ImportCommand {
    /// What is no copy.
    #[command(subcommand)]
    pub from: Option<ImportFrom>,
    /// A copy.
    #[command(flatten)]
    pub copy: crate::backup::import::CopyArguments,
}

/// What rules can be made of.
#[derive(Debug, Subcommand)]
pub enum ImportFrom {
    /// Make rules of the `security` of an OpenAPI 3 document, YAML or JSON.
    Openapi(crate::import_openapi::ImportOpenapiArguments),
}

/// What to explain.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gatepost explain GET https://api.example.com/orders/t1 --scopes orders:read --as tenant=t1
  gatepost explain DELETE /orders/7 --credential none
  gatepost explain GET /orders/7 --token gpt_…      (whether it is authentic, and live in the embedded store)
  gatepost explain GET /orders/7 --token gpt_… --admin https://auth.example.com --admin-token-file login.jwt
                                                    (a running instance, with its rules and its token store)
  gatepost explain --gate nginx --header 'X-Original-URI: /a' --header 'X-Original-Method: GET'")]
pub struct ExplainArguments {
    /// The original method.
    #[arg(requires = "url")]
    pub method: Option<String>,
    /// The original URL: https://host/path?query, or a path alone (host `localhost`).
    pub url: Option<std::ffi::OsString>,
    /// Through which gate: its proxy, or, of several for one proxy, where it listens. Default: the first one configured. A proxy
    /// without a gate is explained as if one were configured.
    #[arg(long, value_name = "PROXY|LISTEN")]
    pub gate: Option<String>,
    /// An access token or a login's JWT.
    #[arg(long, conflicts_with = "api_key")]
    pub token: Option<String>,
    /// An API key, sent directly.
    #[arg(long)]
    pub api_key: Option<String>,
    /// As if a live credential held these scopes.
    #[arg(long, value_name = "A,B", value_parser = scopes, conflicts_with_all = ["token", "api_key"])]
    pub scopes: Option<ScopeSet>,
    /// As if it were of this holder: uid=…, name=…, tenant=…, role=…, key_id=…
    #[arg(long = "as", value_name = "NAME=VALUE", conflicts_with_all = ["token", "api_key"])]
    pub attributes: Vec<String>,
    /// Which kind of credential is presented: none, token, api_key, session, jwt, ticket or issuer:NAME. Default: token with --scopes
    /// or --as, else none.
    #[arg(long, value_name = "KIND", conflicts_with_all = ["token", "api_key"])]
    pub credential: Option<String>,
    /// What becomes of the credential that is made up; what became of a real one is looked up.
    #[arg(long, value_enum, default_value_t = State::Live, conflicts_with_all = ["token", "api_key"])]
    pub state: State,
    /// A CORS preflight about this method.
    #[arg(long, value_name = "METHOD")]
    pub preflight_for: Option<String>,
    /// The client's address, for rules and keys that are for some networks only.
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<std::net::IpAddr>,
    /// A header of the check itself, `Name: value`, in place of METHOD and URL. Repeat it for each.
    #[arg(long = "header", value_name = "HEADER", conflicts_with = "method")]
    pub headers: Vec<std::ffi::OsString>,
    /// The request line of the check itself, for gates that read it (Envoy): `GET /verify/path`.
    #[arg(long, value_name = "LINE", conflicts_with = "method")]
    pub request_line: Option<String>,
    /// As if the proxy had not sent its secret.
    #[arg(long)]
    pub no_proxy_secret: bool,
    /// Ask a running instance at the address of its admin listener. Its configuration and rules count, none are read here.
    #[arg(long, value_name = "URL", conflicts_with_all = ["attributes", "credential", "preflight_for", "headers", "request_line", "no_proxy_secret"])]
    pub admin: Option<String>,
    /// With --admin: a file with a super admin's login, the `jwt.token` of POST /v1/login; - for standard input. Default: $GATEPOST_ADMIN_TOKEN.
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub admin_token_file: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What becomes of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// It is live.
    Live,
    /// It is malformed, forged, unknown or ended.
    Invalid,
    /// It is a ticket that has been used.
    Used,
    /// The store cannot be asked.
    StoreUnavailable,
    /// It is live, and its key may not be used from where the client is.
    Outside,
    /// It is live, and may not pass as often.
    RateLimited,
    /// It is live, and its quota is used up.
    QuotaExceeded,
}

impl From<State> for CredentialState {
    fn from(state: State) -> Self {
        match state {
            State::Live => Self::Live,
            State::Invalid => Self::Invalid,
            State::Used => Self::Used,
            State::StoreUnavailable => Self::StoreUnavailable,
            State::Outside => Self::Outside,
            State::RateLimited => Self::RateLimited,
            State::QuotaExceeded => Self::QuotaExceeded,
        }
    }
}

fn scopes(text: &str) -> Result<ScopeSet, String> {
    ScopeSet::parse(text.split([',', ' ']).filter(|scope| !scope.is_empty())).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;
