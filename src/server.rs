//! Serving: accept loops, limits and the drain. Knows no handler.
//!
//! Gates: 256 headers, 128 KiB of head; idle connections stay (proxies keep theirs for an hour, and
//! whoever closes first gives sporadic 500s), a half-sent head is dropped after 10 s. Admin and
//! metrics: 64 headers, 16 KiB, 10 s. A TLS handshake has 10 s as well and a place among the connections.

mod drain;
mod guard;
mod listener;
mod passed;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

pub use drain::{Drain, Phase, Stopper};
use guard::Guarded;
use listener::Accepted;
pub use listener::{BindError, Listen, Listener, Peer, bind};
pub use passed::{Passed, PassedError};
pub use tls::{Pair, PairError, Tls, install_cryptography};

/// How long a head may take from its first byte to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection that was taken just before the end has for its first request.
const FIRST_REQUEST: Duration = Duration::from_millis(250);
/// Most connections of one listener at once.
const CONNECTIONS: usize = 16_384;

/// What a listener allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// A check listener. `raw_target` = the request line carries the original URI (Envoy).
    Gate {
        /// Whether a `#` in the request line must be refused: hyper would drop it and what follows.
        raw_target: bool,
    },
    /// The admin and metrics listeners.
    Admin,
}

/// Accepts connections and serves each with `handler`, until the drain closes.
///
/// From a socket that was passed it accepts to the very end: what it leaves there waits for the process that comes after, and
/// would wait the longer the earlier this one looked away.
pub async fn serve<H, F, B>(listener: Listener, limits: Limits, drain: Drain, handler: Arc<H>)
where
    H: Fn(hyper::Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Result<http::Response<B>, Infallible>> + Send + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let last = if listener.is_passed() { Phase::Ending } else { Phase::Closing };
    let accepting = drain.alive();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.until(last) => return,
        };
        let Ok((accepted, peer)) = accepted else {
            // out of file descriptors, most likely: give the others time to end
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (handler, drain, alive) = (handler.clone(), drain.clone(), accepting.clone());
        tokio::spawn(async move {
            connection(accepted, peer, limits, drain, handler).await;
            drop((place, alive));
        });
    }
}

async fn connection<H, F, B>(accepted: Accepted, peer: Peer, limits: Limits, drain: Drain, handler: Arc<H>)
where
    H: Fn(hyper::Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Result<http::Response<B>, Infallible>> + Send + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let opened = tokio::select! {
        biased;
        opened = accepted.open() => opened,
        () = drain.until(Phase::Ending) => None,
    };
    let Some(stream) = opened else { return };
    let closing = drain.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let asking = asked.clone();
    let service = service_fn(move |request| {
        asking.store(true, Ordering::Relaxed);
        let answer = handler(request, peer);
        let close = closing.phase() >= Phase::Closing;
        async move {
            let mut answer = answer.await?;
            if close {
                // tells the proxy before the connection goes, so that it sends nothing into a closed one
                answer.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    let io = match limits {
        Limits::Gate { raw_target } => {
            http.max_headers(256).max_header_size(128 * 1024).max_buf_size(128 * 1024);
            Guarded::heads(stream, HEAD_TIMEOUT, raw_target)
        }
        Limits::Admin => {
            http.max_headers(64)
                .max_header_size(16 * 1024)
                .max_buf_size(16 * 1024)
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT);
            Guarded::open(stream)
        }
    };
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        _ = serving.as_mut() => return,
        () = drain.until(Phase::Ending) => {}
    }
    if !asked.load(Ordering::Relaxed) && tokio::time::timeout(FIRST_REQUEST, serving.as_mut()).await.is_ok() {
        return;
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}
