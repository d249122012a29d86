//! Where the program listens: gates, the admin listener, metrics.
//!
//! INVARIANT: nothing that carries secrets listens off this machine without what protects it there:
//! a gate has its proxy secret (TLS does not replace it: it proves the gate to the proxy, not the proxy to the gate), the
//! admin listener TLS, or a proxy in front whose word counts.

use std::net::SocketAddr;
use std::path::Path;

use http::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::identity::TakenHeaders;
use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::tls::tls;
use super::{AdminConfig, ClientIp, GateConfig, Listen, Network, Proxy, SecretSource, TlsConfig, secret, values};
use crate::dialect;

/// The placeholder in the proxy configurations that come with the program.
const PLACEHOLDER: &str = "s3cret";

/// Farthest from the right that an address counts: one for each proxy in front.
const FARTHEST_RIGHT: u64 = 16;

/// Every listener.
pub(super) struct Listeners {
    pub(super) gates: Vec<GateConfig>,
    pub(super) admin: AdminConfig,
    pub(super) metrics: SocketAddr,
}

/// Where files are that the listeners name.
pub(super) struct Places<'a> {
    /// Secrets; `None` after a problem.
    pub(super) data: Option<&'a Path>,
    /// Certificates.
    pub(super) beside: &'a Path,
    /// Whether a proxy secret's file that is not there is made at the start: not where replicas would each make their own.
    pub(super) makes_secrets: bool,
}

/// Reads `metrics.listen`.
pub(super) fn metrics(root: &Field<'_>) -> Option<SocketAddr> {
    root.key("metrics").key("listen").read(values::socket_address)
}

/// Reads `gates`, `admin` and `metrics`.
pub(super) fn read(root: &Field<'_>, places: &Places<'_>) -> Option<Listeners> {
    let mut taken = Taken::default();
    let field = root.key("gates");
    let items = field.items();
    if items.is_empty() && field.shape() == Shape::Sequence {
        field.problem(Complaint::new("no gate", "write at least one, like { proxy: nginx, listen: 127.0.0.1:9001 }"));
    }
    let gates: Vec<Option<GateConfig>> = items.iter().map(|item| gate(item, places, &mut taken)).collect();
    let admin = admin(&root.key("admin"), places.beside, &mut taken);
    let metrics = root.key("metrics");
    metrics.mapping(&["listen"]);
    let listen = metrics.key("listen");
    let metrics = listen.read(values::socket_address);
    taken.add(&listen, metrics.map(Listen::Tcp).as_ref());
    Some(Listeners { gates: gates.into_iter().collect::<Option<_>>()?, admin: admin?, metrics: metrics? })
}

fn gate(field: &Field<'_>, places: &Places<'_>, taken: &mut Taken) -> Option<GateConfig> {
    field.mapping(&["proxy", "listen", "secret", "tls", "from", "client_ip", "identity_headers", "standard_headers"]);
    let proxy = field.key("proxy").need(values::one_of(&Proxy::ALL.map(|proxy| (proxy.as_str(), proxy))));
    let listen = field.key("listen").need(values::listen);
    taken.add(&field.key("listen"), listen.as_ref());
    let tls = gate_tls(&field.key("tls"), listen.as_ref(), places.beside);
    let at = field.key("secret");
    let secret = secret::text_or_file_to_make(&at, places.data, places.makes_secrets);
    if let Some(SecretSource::Text(secret)) = &secret {
        check_proxy_secret(&at, secret);
    }
    let listen = listen?;
    if !listen.is_local() && at.shape() == Shape::Absent {
        at.missing(&format!(
            "`{listen}` can be reached from other machines, so anybody could ask: write secret: {{ env: GATEPOST_PROXY_SECRET }} and let the proxy send it as X-Proxy-Secret, or listen on 127.0.0.1 or a unix socket"
        ));
    }
    let client_ip = client_ip(&field.key("client_ip"), proxy);
    let carriage = super::carriage::read(&field.key("from"), proxy);
    let taken = TakenHeaders {
        proxy,
        client_ip: client_ip.as_ref().and_then(Option::as_ref),
        carriage: carriage.as_ref().and_then(Option::as_ref),
    };
    let identity = super::identity::read(field, &taken);
    Some(GateConfig { proxy: proxy?, listen, secret, tls: tls?, client_ip: client_ip?, identity: identity?, carriage: carriage? })
}

/// `{ header: X-Forwarded-For, from_right: 1 }`
fn client_ip(field: &Field<'_>, proxy: Option<Proxy>) -> Option<Option<ClientIp>> {
    if field.shape() == Shape::Absent {
        return Some(None);
    }
    field.mapping(&["header", "from_right"]);
    let header = field.key("header").need(|text| {
        let header = header_name(text)?;
        match proxy.is_some_and(|proxy| dialect::reads(proxy, &header)) {
            true => Err(Complaint::new(
                format!("`{text}` says something else to a gate"),
                "name the header that holds addresses, like X-Forwarded-For",
            )),
            false => Ok(header),
        }
    });
    let at = field.key("from_right");
    let from_right = if at.shape() == Shape::Absent { Some(1) } else { at.read(values::number(1, FARTHEST_RIGHT)) };
    Some(Some(ClientIp { header: header?, from_right: usize::try_from(from_right?).ok()? }))
}

/// A header's name as proxies pass it on: letters, digits and `-`. Some drop a name with another character, some read `_` as `-`.
pub(super) fn header_name(text: &str) -> Result<HeaderName, Complaint> {
    let fine = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let name = if fine { HeaderName::try_from(text).ok() } else { None };
    name.ok_or_else(|| {
        Complaint::new(
            format!("`{text}` is no name of a header that every proxy passes on"),
            "write letters, digits and `-`, like X-Forwarded-For",
        )
    })
}

fn gate_tls(field: &Field<'_>, listen: Option<&Listen>, beside: &Path) -> Option<Option<TlsConfig>> {
    if matches!(listen, Some(Listen::Unix(_))) && field.shape() != Shape::Absent {
        field.problem(Complaint::new("a unix socket takes no TLS: only this machine reaches it", "take it out"));
        return None;
    }
    tls(field, beside)
}

fn check_proxy_secret(field: &Field<'_>, secret: &SecretString) {
    let value = secret.expose_secret();
    // a header value loses blanks at its ends, and what lies outside ASCII differs from proxy to proxy
    if !value.bytes().all(|b| b.is_ascii_graphic()) {
        field.problem(Complaint::new("a proxy secret is visible ASCII without spaces", "make one with `openssl rand -hex 32`"));
    } else if value == PLACEHOLDER {
        field.warning(Complaint::new("the secret is the placeholder of the examples", "make one with `openssl rand -hex 32`"));
    }
}

fn admin(field: &Field<'_>, beside: &Path, taken: &mut Taken) -> Option<AdminConfig> {
    field.mapping(&["listen", "public_url", "tls", "trusted_proxies"]);
    let at = field.key("listen");
    let listen = at.read(values::socket_address);
    taken.add(&at, listen.map(Listen::Tcp).as_ref());
    let public_url = field.key("public_url").read(values::http_url);
    let tls_at = field.key("tls");
    let tls = tls(&tls_at, beside);
    let proxies = field.key("trusted_proxies");
    let trusted_proxies: Vec<_> = proxies.items().iter().map(|item| (item.read(values::network), item.path())).collect();
    for (network, _) in &trusted_proxies {
        if network.is_some_and(Network::is_everybody) {
            proxies.warning(Complaint::new(
                "every address is trusted: any client can claim to be any other",
                "write the addresses of the proxies only",
            ));
        }
    }
    let listen = listen?;
    if !listen.ip().is_loopback() && trusted_proxies.is_empty() && tls_at.shape() == Shape::Absent {
        at.problem(Complaint::new(
            format!("passwords and keys would cross the network to `{listen}` in the clear"),
            "listen on 127.0.0.1, write tls: { cert: …, key: … }, or put a proxy that speaks TLS in front and write its network as admin.trusted_proxies",
        ));
    }
    let trusted_proxies = trusted_proxies.into_iter().map(|(network, _)| network).collect::<Option<_>>()?;
    Some(AdminConfig { listen, public_url, tls: tls?, trusted_proxies })
}

/// Who listens where, so that nothing listens twice.
#[derive(Default)]
struct Taken(Vec<(Listen, String)>);

impl Taken {
    fn add(&mut self, field: &Field<'_>, listen: Option<&Listen>) {
        let Some(listen) = listen else { return };
        if let Some((_, other)) = self.0.iter().find(|(other, _)| collide(other, listen)) {
            field.problem(Complaint::new(format!("`{listen}` is taken by {other}"), "give each listener a port of its own"));
        }
        self.0.push((listen.clone(), field.path()));
    }
}

/// Whether both cannot be listened on at once. Port 0 lets the system choose.
fn collide(a: &Listen, b: &Listen) -> bool {
    match (a, b) {
        (Listen::Tcp(a), Listen::Tcp(b)) => {
            a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
        }
        (Listen::Unix(a), Listen::Unix(b)) => a == b,
        _ => false,
    }
}
