//! TLS: a certificate chain with its key, and what a listener serves by it.
//!
//! INVARIANT: a [`Pair`] exists only where the key belongs to the chain's first certificate, so whatever is put in
//! force can serve. Replacing it concerns handshakes to come; connections keep what they began with.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::timers::Timers;

/// How long a handshake may take, from the connection to its end.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The only protocol that is served: HTTP/2 would let one connection ask for many things at once.
const HTTP_1: &[u8] = b"http/1.1";

/// Makes ring the process's cryptography, for whatever speaks TLS as a client. To be called once, before anything else.
pub fn install_cryptography() {
    // that there is one already means that it was called twice
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A certificate chain and the key that belongs to it, ready to serve.
#[derive(Clone)]
pub struct Pair(Arc<ServerConfig>);

/// Why two texts are no pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairError {
    /// The certificates cannot be used.
    Certificate(String),
    /// The key cannot be used.
    Key(String),
    /// Each for itself is right, but the key belongs to another certificate.
    Mismatch,
}

impl Pair {
    /// Reads a chain (PEM, the server's own certificate first) and a key (PEM: PKCS#8, SEC1 or PKCS#1).
    ///
    /// # Errors
    /// With what is wrong, and with which of the two. Nothing of either text is repeated.
    pub fn read(certificates: &str, key: &str) -> Result<Self, PairError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| PairError::Certificate(not_pem(&error).into()))?;
        if certificates.is_empty() {
            return Err(PairError::Certificate("no certificate in it".into()));
        }
        let encrypted = key.contains("ENCRYPTED");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| {
            PairError::Key(match error {
                _ if encrypted => "the key is encrypted, and nobody is there to type its password".into(),
                pem::Error::NoItemsFound => "no private key in it".into(),
                error => not_pem(&error).into(),
            })
        })?;
        Self::of(certificates, key)
    }

    fn of(certificates: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, PairError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key =
            provider.key_provider.load_private_key(key).map_err(|error| PairError::Key(format!("the key cannot be used: {error}")))?;
        let certified = CertifiedKey::new(certificates, key);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => PairError::Mismatch,
            error => PairError::Certificate(format!("its first certificate cannot be used: {error}")),
        })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| PairError::Certificate(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

fn not_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM section without its end",
        pem::Error::Base64Decode(_) => "a PEM section that is not base64",
        pem::Error::SectionTooLarge => "a PEM section that is too long",
        _ => "not PEM",
    }
}

/// Mute: it holds a private key.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair")
    }
}

/// The pair in force on one or more listeners.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ArcSwap<Pair>>);

impl Tls {
    /// Puts a pair in force.
    pub fn new(pair: Pair) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(pair)))
    }

    /// Puts another one in force.
    pub fn replace(&self, pair: Pair) {
        self.0.store(Arc::new(pair));
    }

    /// The handshake of one connection; `None` where it fails or takes too long.
    pub(super) async fn handshake(&self, stream: TcpStream, timers: &Timers) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0.load().0));
        match timers.timeout_at(Instant::now() + HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took longer than {} s", HANDSHAKE_TIMEOUT.as_secs());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
