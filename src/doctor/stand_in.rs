//! The stand-in: an application that keeps what reaches it. Where the proxy's route leads here, doctor sees what an application gets.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::lock::Mutex;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Most requests kept.
const KEPT: usize = 1000;

/// A request as an application gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
}

impl Reached {
    /// Every value of this header.
    pub(super) fn all<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Whether this nonce stands in it.
    pub(super) fn carries(&self, nonce: &str) -> bool {
        self.target.contains(nonce) || self.headers.iter().any(|(_, value)| value.contains(nonce))
    }
}

/// Stands in until it is dropped.
pub(super) struct StandIn {
    kept: Arc<Mutex<Vec<Reached>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl StandIn {
    /// Stands in at this address.
    ///
    /// # Errors
    /// Where it cannot listen there.
    pub(super) async fn start(address: SocketAddr) -> Result<Self, String> {
        let wrong = |error: std::io::Error| {
            format!("cannot stand in for the application at {address}: {error}; stop what listens there, or choose another address")
        };
        let listener = TcpListener::bind(address).await.map_err(wrong)?;
        let kept = Arc::<Mutex<Vec<Reached>>>::default();
        let keeps = Arc::clone(&kept);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keeps = Arc::clone(&keeps);
                let service = service_fn(move |request: http::Request<Incoming>| {
                    keep(&keeps, &request);
                    async {
                        let mut answer = Response::new(Full::<Bytes>::from("gatepost doctor\n"));
                        *answer.status_mut() = StatusCode::NOT_FOUND;
                        Ok::<_, std::convert::Infallible>(answer)
                    }
                });
                // its end is nobody's loss
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { kept, serving })
    }

    /// Everything that reached it.
    pub(super) fn reached(&self) -> Vec<Reached> {
        self.kept.lock().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn keep(kept: &Mutex<Vec<Reached>>, request: &http::Request<Incoming>) {
    let headers = request.headers().iter();
    let reached = Reached {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect(),
    };
    let mut kept = kept.lock();
    if kept.len() < KEPT {
        kept.push(reached);
    }
}
