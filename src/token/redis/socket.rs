//! A connection to one host: TCP, and TLS on it where the address says so.
//!
//! INVARIANT: a server's certificate is always checked, for the name or address it was reached by.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::{Host, TlsFiles};
use super::link::Failure;

/// What was sent and is not acknowledged for so long is lost: the connection is.
const USER_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Dialer {
    tls: Option<TlsConnector>,
}

/// A connection.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Dialer {
    /// Plain, or with these files, which are read here.
    pub(super) fn new(files: Option<&TlsFiles>) -> Result<Self, String> {
        Ok(Self { tls: files.map(|files| settings(files).map(|settings| TlsConnector::from(Arc::new(settings)))).transpose()? })
    }

    /// A connection to `host`.
    pub(super) async fn dial(&self, host: &Host) -> Result<Socket, Failure> {
        let stream = reach(host).await.map_err(|error| Failure::Broken(format!("{host}: {error}")))?;
        let Some(tls) = &self.tls else { return Ok(Socket::Plain(stream)) };
        let name = ServerName::try_from(host.name.clone())
            .map_err(|_| Failure::Unusable(format!("`{host}` is no name to check a certificate for")))?;
        tls.connect(name, stream).await.map(|stream| Socket::Tls(Box::new(stream))).map_err(|error| untrusted(host, &error))
    }
}

/// Whichever of the host's addresses answers first.
async fn reach(host: &Host) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    for address in tokio::net::lookup_host((host.name.as_str(), host.port)).await? {
        attempts.spawn(TcpStream::connect(address));
    }
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(attempt) = attempts.join_next().await {
        match attempt.map_err(io::Error::other)? {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                let timeout_ms = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
                rustix::net::sockopt::set_tcp_user_timeout(&stream, timeout_ms)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A certificate that does not hold is not mended by waiting; a handshake cut off may be.
fn untrusted(host: &Host, error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => Failure::Unusable(format!(
            "the certificate of {host} is not trusted: {why:?}; it must be made for that name or address, by a CA that the system trusts or `?ca=FILE` names"
        )),
        Some(rustls::Error::InvalidMessage(_)) => {
            Failure::Unusable(format!("{host} does not speak TLS there; name its `tls-port`, or write redis in place of rediss"))
        }
        _ => Failure::Broken(format!("{host}: {error}")),
    }
}

fn settings(files: &TlsFiles) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    match &files.ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| format!("`{}`: {error}", file.display()))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err("this system trusts no certificate authority; name the one of Redis with `?ca=FILE`".to_owned());
    }
    let settings = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some((cert, key)) = &files.own else { return Ok(settings.with_no_client_auth()) };
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, &error))?;
    settings
        .with_client_auth_cert(certificates(cert)?, secret)
        .map_err(|error| format!("`{}` and `{}`: {error}", cert.display(), key.display()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let found = found.map_err(|error| unread(file, &error))?;
    if found.is_empty() { Err(format!("`{}` holds no certificate; name a PEM file", file.display())) } else { Ok(found) }
}

fn unread(file: &Path, error: &rustls::pki_types::pem::Error) -> String {
    format!("`{}` cannot be read: {error}; name a PEM file that this program may read", file.display())
}
