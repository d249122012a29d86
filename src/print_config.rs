//! `gatepost print-config`: what a proxy needs to ask a gate of this configuration.
//!
//! The shipped files are the templates. What they say of the shipped configuration is replaced by what the user's says,
//! and nothing else: with the shipped configuration the shipped files come out.
//! INVARIANT: no secret is printed; the placeholder of the shipped files stays.

mod files;
mod proxies;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use clap::{Args, ValueEnum};

use crate::config::{Config, GateConfig, Listen, Proxy};
pub use files::{File, shown, write};

/// What to print.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gatepost print-config nginx --dir /etc/nginx       six files; one line at http level, three for each server
  gatepost print-config caddy > Caddyfile
  gatepost print-config haproxy --gate unix:/run/gatepost/haproxy.sock --dir /etc/haproxy

Without a gate for the proxy in the configuration, its usual port is printed, and what to add is said.")]
pub struct PrintConfigArguments {
    /// For which proxy. gateway-api: a Kubernetes HTTPRoute with Traefik's middlewares.
    pub proxy: Target,
    /// Which of several gates for this proxy: where it listens, as it stands in the configuration.
    #[arg(long, value_name = "LISTEN")]
    pub gate: Option<String>,
    /// Write the files into this directory instead of printing them. Files that are there and differ stay as they are.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<std::path::PathBuf>,
    /// With --dir: write over files that are there.
    #[arg(long, requires = "dir")]
    pub force: bool,
}

/// What can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Target {
    Nginx,
    Traefik,
    Caddy,
    Envoy,
    Haproxy,
    GatewayApi,
}

impl Target {
    /// Who asks at the gate.
    fn proxy(self) -> Proxy {
        match self {
            Self::Nginx => Proxy::Nginx,
            Self::Traefik | Self::GatewayApi => Proxy::Traefik,
            Self::Caddy => Proxy::Caddy,
            Self::Envoy => Proxy::Envoy,
            Self::Haproxy => Proxy::Haproxy,
        }
    }

    /// Where its gate is in the shipped files.
    fn usual_port(self) -> u16 {
        match self.proxy() {
            Proxy::Nginx => 9001,
            Proxy::Traefik => 9002,
            Proxy::Caddy => 9003,
            Proxy::Haproxy => 9004,
            Proxy::Envoy => 9005,
        }
    }
}

/// What comes out.
#[derive(Debug)]
pub struct Printed {
    /// The files.
    pub files: Vec<File>,
    /// What the user must know or do besides.
    pub notes: Vec<String>,
}

/// What a proxy must know of the configuration.
#[derive(Debug)]
struct Places {
    gate: Upstream,
    admin: Upstream,
    /// Headers that the gate must see besides those of the shipped files.
    shown: Vec<String>,
    /// Headers with credentials, which no application needs to see.
    taken: Vec<String>,
    /// Headers that the gate tells the application besides those of the shipped files, which no client may say.
    told: Vec<String>,
}

/// A listener as the proxy reaches it.
#[derive(Debug)]
struct Upstream {
    listen: Listen,
    /// The name that its certificate must show; `None` = plain HTTP.
    tls_name: Option<String>,
}

/// Stands where the user must write a name of the gate's certificate.
const SOME_NAME: &str = "gatepost.example.com";

/// Fills the shipped files for `target`.
///
/// # Errors
/// Where no gate, or more than one, is meant, and where the proxy cannot reach it.
pub fn print(target: Target, wanted: Option<&str>, config: &Config) -> Result<Printed, String> {
    let mut notes = Vec::new();
    let meant = chosen(target, wanted, config)?;
    let taken = meant.map(carried_to).unwrap_or_default();
    let mut shown = meant.map(|gate| shown_to(gate, &mut notes)).unwrap_or_default();
    shown.extend(taken.iter().cloned());
    let told = meant.map(|gate| gate.identity.own.iter().map(|(name, _)| name.to_string()).collect()).unwrap_or_default();
    let gate = match meant {
        Some(gate) => upstream(&gate.listen, gate.tls.as_ref().map(|_| SOME_NAME.to_owned()), &mut notes)?,
        None => {
            let usual = SocketAddr::from(([127, 0, 0, 1], target.usual_port()));
            let proxy = target.proxy().as_str();
            notes.push(format!("no gate for {proxy} is configured: add `- {{ proxy: {proxy}, listen: {usual} }}` below `gates:`"));
            Upstream { listen: Listen::Tcp(usual), tls_name: None }
        }
    };
    if gate.tls_name.is_some() {
        notes.push(format!("this gate speaks TLS: where `{SOME_NAME}` stands, write a name that its certificate has"));
    }
    let admin_name = config.admin.tls.as_ref().map(|_| config.admin.public_url.as_deref().map_or(SOME_NAME, host_of).to_owned());
    let admin = upstream(&Listen::Tcp(config.admin.listen), admin_name, &mut notes)?;
    let files = proxies::fill(target, &Places { gate, admin, shown, taken, told }, &mut notes)?;
    if let Some(file) = files.iter().find(|file| file.text.contains(PLACEHOLDER)) {
        let asked = meant.is_some_and(|gate| gate.secret.is_some());
        notes.push(match asked {
            true => format!("this gate asks for its secret: write it where `{PLACEHOLDER}` stands in {}", file.name),
            false => format!("this gate has no secret, so `{PLACEHOLDER}` in {} is not looked at", file.name),
        });
    }
    if let Some(url) = config.admin.public_url.as_deref().filter(|_| config.admin.tls.is_none()) {
        notes.push(format!(
            "the login pages are at {url}: let your proxy lead {} to {}, with X-Forwarded-For and X-Forwarded-Proto, unchecked by the gate",
            host_of(url),
            config.admin.listen
        ));
    }
    if target == Target::Nginx {
        notes.push("once in http { }: `include gatepost.conf;`".to_owned());
        notes.push("in each server { }: `include gatepost_server.conf;`".to_owned());
        notes.push("in its location / { }, beside proxy_pass: `include gatepost_location.conf; include gatepost_proxy.conf;`".to_owned());
    }
    Ok(Printed { files, notes })
}

/// What the shipped files say of a client's address: the one that the proxy sees.
const CLIENTS_ADDRESS: &str = "x-forwarded-for";

/// What the proxy must show this gate besides what the shipped files show.
fn shown_to(gate: &GateConfig, notes: &mut Vec<String>) -> Vec<String> {
    let Some(client_ip) = &gate.client_ip else { return Vec::new() };
    let name = client_ip.header.as_str();
    if name != CLIENTS_ADDRESS {
        notes.push(format!("this gate believes what stands in {name}: see that nobody but a proxy in front of this one can send it"));
        return vec![name.to_owned()];
    }
    if client_ip.from_right > 1 {
        notes.push(format!(
            "client_ip counts to the {}. address from the right, and this file tells the gate the one that the proxy itself sees: behind another \
             proxy, let this one add that to the list it gets (docs/gates.md, \"Behind another proxy\"), or name another header; until then nobody is in \
             any network",
            client_ip.from_right
        ));
    }
    Vec::new()
}

/// Which headers carry credentials to this gate besides those that the shipped files know.
fn carried_to(gate: &GateConfig) -> Vec<String> {
    const KNOWN: [&str; 3] = ["authorization", "x-authorization", "x-api-key"];
    let headers = gate.carriage.iter().flat_map(|carriage| carriage.headers());
    headers.filter(|name| !KNOWN.contains(&name.as_str())).map(ToString::to_string).collect()
}

/// What stands for the proxy's secret in the shipped files.
const PLACEHOLDER: &str = "s3cret";

/// The gate that is meant; `None` where none is for this proxy.
fn chosen<'c>(target: Target, wanted: Option<&str>, config: &'c Config) -> Result<Option<&'c GateConfig>, String> {
    let proxy = target.proxy();
    let gates: Vec<&GateConfig> = config.gates.iter().filter(|gate| gate.proxy == proxy).collect();
    let names = || gates.iter().map(|gate| gate.listen.to_string()).collect::<Vec<_>>().join(", ");
    match (wanted, gates.as_slice()) {
        (Some(wanted), _) => match gates.iter().find(|gate| gate.listen.to_string() == wanted) {
            Some(gate) => Ok(Some(gate)),
            None if gates.is_empty() => Err(format!("no gate for {} is configured", proxy.as_str())),
            None => Err(format!("no gate for {} listens on `{wanted}`; there are: {}", proxy.as_str(), names())),
        },
        (None, []) => Ok(None),
        (None, [gate]) => Ok(Some(gate)),
        (None, _) => Err(format!("several gates are for {}: choose one by --gate: {}", proxy.as_str(), names())),
    }
}

/// How a proxy on this machine reaches a listener.
fn upstream(listen: &Listen, tls_name: Option<String>, notes: &mut Vec<String>) -> Result<Upstream, String> {
    let listen = match listen {
        Listen::Tcp(address) if address.port() == 0 => {
            return Err(format!("`{address}` has no port yet: the system chooses one at each start; write one"));
        }
        Listen::Tcp(address) if address.ip().is_unspecified() => {
            let here = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
            let here = SocketAddr::new(here, address.port());
            notes.push(format!("`{address}` is every address of the machine: {here} is written, for a proxy on the same one"));
            Listen::Tcp(here)
        }
        Listen::Unix(path) if !is_plain(path) => {
            return Err(format!("`{}` holds characters that mean something to proxies: use letters, digits, . _ - and /", path.display()));
        }
        listen => listen.clone(),
    };
    Ok(Upstream { listen, tls_name })
}

/// Whether no proxy's file format sees more in it than a path.
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)))
}

/// The host of an address like `https://auth.example.com:8443/x`, without port.
fn host_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match authority.find(']') {
        Some(end) => authority.get(..=end).unwrap_or(authority),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

#[cfg(test)]
mod tests;
