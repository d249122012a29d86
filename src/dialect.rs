//! Dialects: how one proxy describes the original request, and what it must be answered.
//!
//! The dialect is fixed per listener, never guessed: every proxy forwards the other families'
//! headers straight from the client (CVE-2026-40575, BYP-058). Each file below names one family's
//! headers; what they share is here.

mod answer;
mod carriage;
mod client_ip;
mod envoy;
mod field;
mod forwarded;
mod identity;
mod login;
mod nginx;
mod number;
mod proxy;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Uri, header};
use secrecy::{ExposeSecret, SecretString};

pub use answer::{Answer, CLOSE, final_status};
pub use carriage::{Carriage, Holds, Place};
pub use client_ip::ClientIp;
pub use identity::{IdentityHeaders, further};
pub use proxy::Proxy;

use self::field::{Field, Fields, Found};
use self::identity::Said;
use crate::decision::credential::{Carrier, Carriers, Presented, Ways};
use crate::decision::network::Client;
use crate::decision::page::{Accept, Page};
use crate::decision::request::{Request, RequestFault};
use crate::decision::told::Further;

/// How one gate is asked and answers.
#[derive(Debug)]
pub struct Dialect {
    proxy: Proxy,
    secret: Option<SecretString>,
    /// Replaces 401 and 403.
    denial_status: Option<u16>,
    /// Where the login pages are: `admin.public_url`.
    login_at: Option<String>,
    /// Where the client's address is told.
    client_ip: Option<ClientIp>,
    /// What an application is told.
    said: Said,
    /// Where credentials stand; `None` = where they stand everywhere.
    carriage: Option<Carriage>,
}

/// Which headers describe the original request.
struct Names {
    /// `None` = the request's own.
    method: Option<&'static str>,
    /// `None` = what follows `/verify` in the request's own target.
    uri: Option<&'static str>,
    host: &'static str,
    proto: &'static str,
    /// Says, besides `Upgrade`, that the connection is to become another.
    upgrade: Option<&'static str>,
}

/// What a proxy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// May this go through?
    Verify,
    /// The same decision as native status and JSON; never 2xx.
    Explain,
}

/// Everything one check says, read in one pass over its headers.
#[derive(Debug)]
pub struct Asked<'a> {
    /// What is asked for; `None` = nothing that lives on a gate.
    pub call: Option<Call>,
    /// The original request, or why it cannot be judged.
    pub request: Result<Request<'a>, RequestFault>,
    /// What it presents.
    pub presented: Presented<'a>,
    /// Whether the proxy may ask.
    pub secret_is_right: bool,
    /// A body is announced: the answer ends the connection.
    pub announces_body: bool,
    /// `X-Request-Id`; see [`Asked::request_id`].
    pub request_id: Carrier<'a>,
    /// The parts as given, for the log.
    pub told: Told<'a>,
}

/// The description as given, for the log.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The original method.
    pub method: Carrier<'a>,
    /// The original URI.
    pub uri: Carrier<'a>,
    /// The original host.
    pub host: Carrier<'a>,
    /// The original scheme.
    pub proto: Carrier<'a>,
    /// The check's own request line.
    pub line: (&'a Method, &'a Uri),
}

impl Dialect {
    /// The dialect of `proxy`.
    pub fn new(proxy: Proxy, secret: Option<SecretString>, denial_status: Option<u16>) -> Self {
        Self {
            proxy,
            secret,
            denial_status,
            login_at: None,
            client_ip: None,
            said: Said::new(&IdentityHeaders::default(), Arc::default()),
            carriage: None,
        }
    }

    /// The same, knowing where the login pages are.
    #[must_use]
    pub fn with_login_at(mut self, public_url: Option<String>) -> Self {
        self.login_at = public_url;
        self
    }

    /// The same, knowing where the client's address is told.
    #[must_use]
    pub fn with_client_ip(mut self, client_ip: Option<ClientIp>) -> Self {
        self.client_ip = client_ip;
        self
    }

    /// The same with these identity headers; `further` is what all gates of the process want, as [`further`] makes it.
    #[must_use]
    pub fn with_identity(mut self, headers: &IdentityHeaders, further: Arc<[Further]>) -> Self {
        self.said = Said::new(headers, further);
        self
    }

    /// The same, reading credentials at these places.
    #[must_use]
    pub fn with_carriage(mut self, carriage: Option<Carriage>) -> Self {
        self.carriage = carriage;
        self
    }

    /// Whose dialect it is.
    pub fn proxy(&self) -> Proxy {
        self.proxy
    }

    /// Whether the request line carries the original URI, which then must reach [`Dialect::read`] unabridged.
    pub fn reads_request_line(&self) -> bool {
        names_of(self.proxy).uri.is_none()
    }

    /// Reads a check. Headers of other families are not looked at.
    pub fn read<'a>(&'a self, method: &'a Method, target: &'a Uri, headers: &'a HeaderMap) -> Asked<'a> {
        let (names, found) = (names_of(self.proxy), Found::read(fields_of(self.proxy), headers));
        let mut told = Told {
            method: found.get(Field::Method),
            uri: found.get(Field::Uri),
            host: found.get(Field::Host),
            proto: found.get(Field::Proto),
            line: (method, target),
        };
        let (call, own_uri) = Self::call(target, names.uri.is_none());
        if names.method.is_none() {
            told.method = Carrier::Once(method.as_str().as_bytes());
        }
        if let Some(uri) = own_uri {
            told.uri = Carrier::Once(uri.as_bytes());
        }
        let origin = found.get(Field::Origin);
        let preflight_for = origin.once().and(found.get(Field::PreflightFor).once());
        let presented = match &self.carriage {
            None => Presented::read(&Carriers {
                authorization: found.get(Field::Authorization),
                x_authorization: found.get(Field::XAuthorization),
                x_api_key: found.get(Field::XApiKey),
            }),
            Some(carriage) => carriage.read(headers),
        };
        let presented = match presented {
            Presented::Nothing if found.has(Field::Cookie) => {
                Presented::in_cookies(|| headers.get_all(header::COOKIE).iter().map(|line| line.as_bytes()))
            }
            presented => presented,
        };
        let mut request = described(&told, preflight_for);
        if let Ok(request) = &mut request {
            request.page = Page {
                site: found.get(Field::FetchSite),
                mode: found.get(Field::FetchMode),
                origin,
                accept: match found.get(Field::Accept) {
                    Carrier::Doubled => Accept::of(headers.get_all(header::ACCEPT).iter().map(|line| line.as_bytes())),
                    once => Accept::of(once.once()),
                },
                upgrade: found.has(Field::Upgrade),
                in_the_clear: matches!(told.proto, Carrier::Once(b"http" | b"ws")),
                authority: told.host.once().unwrap_or_default(),
            };
            request.client = self.client_ip.as_ref().map_or(Client::NotConfigured, |client_ip| client_ip.read(headers));
            request.ways = self.ways();
        }
        Asked {
            call,
            request,
            presented,
            secret_is_right: self.is_our_proxy(found.get(Field::ProxySecret)),
            announces_body: found.has(Field::TransferEncoding)
                || !matches!(found.get(Field::ContentLength), Carrier::Absent | Carrier::Once(b"0")),
            request_id: found.get(Field::RequestId),
            told,
        }
    }

    /// How a client is told to send credentials, where that is not as everywhere.
    pub fn ways(&self) -> Option<&Ways> {
        self.carriage.as_ref().map(Carriage::ways)
    }

    /// What the target asks for, and the original URI where the target carries it. The query of the check's own
    /// target is the client's (Caddy appends it) and changes nothing.
    fn call(target: &Uri, carries_uri: bool) -> (Option<Call>, Option<&str>) {
        // a target with a host of its own would say twice where the request goes
        if target.authority().is_some() {
            return (None, None);
        }
        let split = |text: &str| match text {
            _ if text.starts_with("/verify") => Some((Call::Verify, "/verify".len())),
            _ if text.starts_with("/explain") => Some((Call::Explain, "/explain".len())),
            _ => None,
        };
        let text = if carries_uri { target.path_and_query().map_or("", |target| target.as_str()) } else { target.path() };
        match split(text).map(|(call, at)| (call, text.get(at..).unwrap_or_default())) {
            Some((call, rest)) if carries_uri => (Some(call), Some(rest)),
            Some((call, "")) => (Some(call), None),
            _ => (None, None),
        }
    }

    /// Compared in constant time: nobody else may ask, or probe for tokens, where a secret is set.
    fn is_our_proxy(&self, presented: Carrier<'_>) -> bool {
        match (&self.secret, presented) {
            (None, _) => true,
            (Some(secret), Carrier::Once(presented)) => subtle::ConstantTimeEq::ct_eq(secret.expose_secret().as_bytes(), presented).into(),
            (Some(_), _) => false,
        }
    }
}

/// Whether a gate for this proxy reads the header already, whatever is configured.
pub fn reads(proxy: Proxy, name: &HeaderName) -> bool {
    fields_of(proxy).field(name.as_str()).is_some()
}

fn names_of(proxy: Proxy) -> &'static Names {
    match proxy {
        Proxy::Nginx => &nginx::NAMES,
        Proxy::Traefik | Proxy::Caddy | Proxy::Haproxy => &forwarded::NAMES,
        Proxy::Envoy => &envoy::NAMES,
    }
}

fn fields_of(proxy: Proxy) -> &'static Fields {
    static NGINX: Fields = Fields::of(&nginx::NAMES);
    static FORWARDED: Fields = Fields::of(&forwarded::NAMES);
    static ENVOY: Fields = Fields::of(&envoy::NAMES);
    match proxy {
        Proxy::Nginx => &NGINX,
        Proxy::Traefik | Proxy::Caddy | Proxy::Haproxy => &FORWARDED,
        Proxy::Envoy => &ENVOY,
    }
}

/// Missing, empty, doubled or unparsable = refuse, never a default of `/` or GET.
fn described<'a>(told: &Told<'a>, preflight_for: Option<&'a [u8]>) -> Result<Request<'a>, RequestFault> {
    let once = |carrier: Carrier<'a>, absent, doubled| match carrier {
        Carrier::Absent | Carrier::Once([]) => Err(RequestFault::NotDescribed(absent)),
        Carrier::Doubled => Err(RequestFault::NotDescribed(doubled)),
        Carrier::Once(value) => Ok(value),
    };
    let method = once(told.method, "the proxy did not tell the original method", "the original method is told twice")?;
    let uri = once(told.uri, "the proxy did not tell the original URI", "the original URI is told twice")?;
    let host = once(told.host, "the proxy did not tell the original host", "the original host is told twice")?;
    match told.proto {
        Carrier::Absent | Carrier::Once(b"http" | b"https" | b"ws" | b"wss") => {}
        _ => return Err(RequestFault::NotDescribed("the original scheme is not one of http, https, ws, wss")),
    }
    Request::read(method, host, uri, preflight_for)
}

impl<'a> Asked<'a> {
    /// The request's id, where it is `[A-Za-z0-9._-]{1,128}`.
    pub fn request_id(&self) -> Option<&'a str> {
        let value = self.request_id.once()?;
        let fine = (1..=128).contains(&value.len()) && value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        fine.then(|| std::str::from_utf8(value).ok()).flatten()
    }
}

impl Told<'_> {
    /// The headers that say the same, credentials left out: for `gatepost explain`. Two of a name say "doubled".
    pub fn as_headers(&self, proxy: Proxy) -> Vec<(&'static str, Vec<u8>)> {
        let names = names_of(proxy);
        let mut headers = Vec::new();
        let mut add = |name: Option<&'static str>, carrier: Carrier<'_>| {
            let Some(name) = name else { return };
            match carrier {
                Carrier::Absent => {}
                Carrier::Once(value) => headers.push((name, value.to_vec())),
                Carrier::Doubled => headers.extend([(name, b"x".to_vec()), (name, b"x".to_vec())]),
            }
        };
        // what the request line says is not said again
        add(names.method, self.method);
        add(names.uri, self.uri);
        add(Some(names.host), self.host);
        add(Some(names.proto), self.proto);
        headers
    }

    /// The check's own request line, without version.
    pub fn as_request_line(&self) -> String {
        format!("{} {}", self.line.0, self.line.1)
    }
}

/// A check that asks for nothing that lives on a gate.
pub const NOTHING_HERE: RequestFault = RequestFault::NotDescribed("nothing lives here but /verify and /explain");

/// On every refusal: no cache may answer for the gate.
pub const NO_STORE: (header::HeaderName, http::HeaderValue) = (header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));

#[cfg(test)]
mod tests;
