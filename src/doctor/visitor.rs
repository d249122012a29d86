//! The visitor: sends probes through the proxy as they are written, neither cleaned nor followed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest body that is read.
const BODY_BYTES: usize = 256 * 1024;
/// What a probe's body says.
const BODY: &str = "probe";

/// Where the proxy is, and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `http` or `https`.
    pub(super) scheme: String,
    /// The value of `Host`.
    pub(super) authority: String,
    /// Without port.
    pub(super) host: String,
    pub(super) port: u16,
    /// The path, without a slash at the end.
    pub(super) below: String,
}

impl Place {
    /// Reads the URL of a protected location.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{url}`: {what}; write it like https://api.example.com/ or http://127.0.0.1:8081/api");
        let uri: Uri = url.parse().map_err(|_| wrong("not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong("not a whole URL")) };
        let port = match (scheme, authority.port_u16()) {
            ("http" | "https", Some(port)) => port,
            ("http", None) => 80,
            ("https", None) => 443,
            _ => return Err(wrong("neither http nor https")),
        };
        if authority.as_str().contains('@') {
            return Err(wrong("a user name in it"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(wrong("a query or fragment"));
        }
        let below = uri.path().trim_end_matches('/');
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte));
        let parts = below.strip_prefix('/').unwrap_or(below);
        if !parts.split('/').all(plain) || (!parts.is_empty() && parts.split('/').any(|part| part.bytes().all(|byte| byte == b'.'))) {
            return Err(wrong("a path of more than plain segments"));
        }
        let host = authority.host().to_owned();
        Ok(Self { scheme: scheme.to_owned(), authority: authority.as_str().to_owned(), host, port, below: below.to_owned() })
    }
}

/// What a client was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) took: Duration,
}

/// One request to send.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) has_body: bool,
}

/// Sends over one connection for as long as the proxy keeps it.
pub(super) struct Visitor {
    place: Place,
    address: String,
    tls: Option<Arc<ClientConfig>>,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Visitor {
    /// A visitor of this place. `connect` is where to connect to in place of what the URL says; `ca` a file of further roots.
    ///
    /// # Errors
    /// Where the roots cannot be read.
    pub(super) fn new(place: Place, connect: Option<&str>, ca: Option<&Path>) -> Result<Self, String> {
        let tls = match place.scheme.as_str() {
            "https" => Some(Arc::new(trust(ca)?)),
            _ => None,
        };
        let address = connect.map_or_else(|| format!("{}:{}", place.host, place.port), str::to_owned);
        Ok(Self { place, address, tls, open: None })
    }

    /// Another one, with a connection of its own.
    pub(super) fn another(&self) -> Self {
        Self { place: self.place.clone(), address: self.address.clone(), tls: self.tls.clone(), open: None }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn send(&mut self, sending: &Sending) -> Result<Reply, String> {
        let began = Instant::now();
        match tokio::time::timeout(PATIENCE, self.ask(sending)).await {
            Ok(Ok(mut reply)) => {
                reply.took = began.elapsed();
                Ok(reply)
            }
            Ok(Err(problem)) => {
                self.open = None;
                Err(problem)
            }
            Err(_) => {
                self.open = None;
                Err(format!("no answer within {} s", PATIENCE.as_secs()))
            }
        }
    }

    async fn ask(&mut self, sending: &Sending) -> Result<Reply, String> {
        let kept = match self.open.take() {
            Some(mut open) => open.ready().await.is_ok().then_some(open),
            None => None,
        };
        let ready = match kept {
            Some(open) => open,
            None => self.connect().await?,
        };
        let sender = self.open.insert(ready);
        let request = request(&self.place.authority, sending)?;
        let answer = sender.send_request(request).await.map_err(|error| format!("the connection ended: {error}"))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, BODY_BYTES).collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body, took: Duration::ZERO })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("cannot connect to {}: {error}", self.address);
        let tcp = tokio::time::timeout(CONNECT, TcpStream::connect(&self.address)).await;
        let tcp = tcp.map_err(|_| wrong(&"no answer"))?.map_err(|error| wrong(&error))?;
        match &self.tls {
            None => serve(TokioIo::new(tcp)).await,
            Some(tls) => {
                let name = self.place.host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(name).map_err(|error| wrong(&error))?;
                let tls = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await.map_err(|error| wrong(&error))?;
                serve(TokioIo::new(tls)).await
            }
        }
    }
}

async fn serve(io: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static) -> Result<SendRequest<Full<Bytes>>, String> {
    let (sender, connection) = handshake(io).await.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // its end is seen by whoever sends next
        let _ = connection.await;
    });
    Ok(sender)
}

fn request(authority: &str, sending: &Sending) -> Result<Request<Full<Bytes>>, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("the probe cannot be written: {what}");
    let body = if sending.has_body { Full::from(BODY) } else { Full::default() };
    let mut request = Request::new(body);
    *request.method_mut() = sending.method.parse().map_err(|error: http::method::InvalidMethod| wrong(&error))?;
    *request.uri_mut() = sending.target.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    let headers = request.headers_mut();
    headers.insert(http::header::HOST, HeaderValue::try_from(authority).map_err(|error| wrong(&error))?);
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(concat!("gatepost-doctor/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &sending.headers {
        let name = HeaderName::try_from(name).map_err(|error| wrong(&error))?;
        headers.append(name, HeaderValue::try_from(value).map_err(|error| wrong(&error))?);
    }
    Ok(request)
}

fn trust(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let wrong = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
            roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |url: &str| Place::read(url).map(|place| (place.scheme, place.authority, place.port, place.below));
        let is = |scheme: &str, authority: &str, port, below: &str| Ok((scheme.to_owned(), authority.to_owned(), port, below.to_owned()));
        assert_eq!(place("http://127.0.0.1:8081"), is("http", "127.0.0.1:8081", 8081, ""));
        assert_eq!(place("https://api.example.com/"), is("https", "api.example.com", 443, ""));
        assert_eq!(place("http://[::1]/a/b/"), is("http", "[::1]", 80, "/a/b"));
        for wrong in [
            "",
            "/a",
            "api.example.com",
            "ftp://a/",
            "http://u@a/",
            "http://a/?b",
            "http://a/#b",
            "http://a/%41",
            "http://a/../b",
            "http://a//b/..",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
