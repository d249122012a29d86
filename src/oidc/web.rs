//! Requests to providers: bounded in time and size, and never sent on to anywhere else.

use crate::causes::with_causes;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse};

/// Longest wait for a whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest answer; a set of keys has a few kilobytes.
const BODY_BYTES: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WebFault(String);

/// Sends requests; clones share connections.
#[derive(Clone)]
pub(crate) struct Web(Result<reqwest::Client, String>);

impl Web {
    /// Trusts what this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` count). Where that cannot be read, every
    /// request fails, not the start.
    pub(crate) fn new() -> Self {
        Self(client())
    }

    /// Sends nothing.
    pub(super) fn none() -> Self {
        Self(Err("no provider is configured".to_owned()))
    }

    /// Sends one request.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, WebFault> {
        let client = self.0.as_ref().map_err(|error| WebFault(error.clone()))?;
        let request = reqwest::Request::try_from(request).map_err(fault)?;
        let mut response = client.execute(request).await.map_err(fault)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if body.len() + chunk.len() > BODY_BYTES {
                return Err(WebFault(format!("an answer of more than {BODY_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }

    /// What stands at this address, where it stands there as JSON with status 200.
    pub(crate) async fn json(&self, address: &str) -> Result<serde_json::Value, WebFault> {
        let request = http::Request::get(address).header(http::header::ACCEPT, "application/json").body(Vec::new());
        let request = request.map_err(|error| WebFault(format!("`{address}` is no address: {error}")))?;
        let answer = self.send(request).await?;
        if answer.status() != http::StatusCode::OK {
            return Err(WebFault(format!("`{address}` answered {}", answer.status().as_u16())));
        }
        serde_json::from_slice(answer.body()).map_err(|error| WebFault(format!("`{address}` answered no JSON: {error}")))
    }
}

fn client() -> Result<reqwest::Client, String> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, unread) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!(unread, errors = ?found.errors, "no certificate authorities found: providers cannot be reached by https");
    }
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // a redirect would take the client secret, or our trust, elsewhere
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .connect_timeout(CONNECT)
        .user_agent(concat!("gatepost/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .no_proxy()
        .build()
        .map_err(|error| with_causes(&error))
}

#[expect(clippy::needless_pass_by_value, reason = "taken by map_err")]
fn fault(error: reqwest::Error) -> WebFault {
    WebFault(with_causes(&error))
}
