//! Serving: accept loops, limits and the drain. Knows no handler.
//!
//! Gates: 256 headers, 128 KiB of head; idle connections stay (proxies keep theirs for an hour, and
//! whoever closes first gives sporadic 500s), a half-sent head is dropped after 10 s. Admin and
//! metrics: 64 headers, 16 KiB, 10 s. A TLS handshake has 10 s as well and a place among the connections.

mod cores;
mod drain;
mod guard;
mod listener;
mod passed;
mod timers;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use cores::Cores;
pub use drain::{Drain, Phase, Stopper};
use guard::{Guarded, Turn};
use listener::{Accepted, Accepting};
pub use listener::{BindError, Listen, Listener, Peer, bind};
pub use passed::{Passed, PassedError};
use timers::Timers;
pub use tls::{Pair, PairError, Tls, install_cryptography};

/// How long a head may take from its first byte to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection that was taken just before the end has for its first request.
const FIRST_REQUEST: Duration = Duration::from_millis(250);
/// Most connections of one listener at once.
const CONNECTIONS: usize = 16_384;

/// Connections accepted so far, by every listener.
static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// The number of the next connection: those that are open have lower ones.
pub fn next_connection() -> u64 {
    ACCEPTED.load(Ordering::Relaxed)
}

/// What a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: Peer,
    /// Which of all that this process accepted.
    pub number: u64,
}

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

/// Accepts connections on the first of these cores, where what this returns is to be spawned, and serves each with `handler` on one of
/// them, until the drain closes.
///
/// From a socket that was passed it accepts to the very end: what it leaves there waits for the process that comes after, and
/// would wait the longer the earlier this one looked away.
///
/// # Errors
/// Where the system does not let it wait for connections.
pub fn serve<H, F, B, E>(
    listener: Listener,
    limits: Limits,
    cores: Arc<Cores>,
    drain: Drain,
    handler: Arc<H>,
) -> std::io::Result<impl Future<Output = ()> + Send>
where
    H: Fn(hyper::Request<Incoming>, Connection) -> F + Send + Sync + 'static,
    F: Future<Output = Result<http::Response<B>, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let last = if listener.is_passed() { Phase::Ending } else { Phase::Closing };
    let timers = Timers::here();
    let _there = cores.acceptor().enter();
    let accepting = listener.accepting()?;
    Ok(accept(accepting, limits, cores.clone(), timers, drain, last, handler))
}

async fn accept<H, F, B, E>(
    listener: Accepting,
    limits: Limits,
    cores: Arc<Cores>,
    timers: Timers,
    drain: Drain,
    last: Phase,
    handler: Arc<H>,
) where
    H: Fn(hyper::Request<Incoming>, Connection) -> F + Send + Sync + 'static,
    F: Future<Output = Result<http::Response<B>, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let accepting = drain.alive();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.until(last) => return,
        };
        let Ok((accepted, peer)) = accepted else {
            // out of file descriptors, most likely: give the others time to end
            timers.sleep_until(Instant::now() + Duration::from_millis(50)).await;
            continue;
        };
        let (handler, timers, drain, alive) = (handler.clone(), timers.clone(), drain.clone(), accepting.clone());
        let from = Connection { peer, number: ACCEPTED.fetch_add(1, Ordering::Relaxed) };
        let core = cores.place();
        let Ok(accepted) = (if core.is_here { Ok(accepted) } else { accepted.elsewhere() }) else { continue };
        core.runtime.spawn(async move {
            connection(accepted, from, limits, timers, drain, handler).await;
            drop((place, core.held, alive));
        });
    }
}

async fn connection<H, F, B, E>(accepted: Accepted, from: Connection, limits: Limits, timers: Timers, drain: Drain, handler: Arc<H>)
where
    H: Fn(hyper::Request<Incoming>, Connection) -> F + Send + Sync + 'static,
    F: Future<Output = Result<http::Response<B>, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let opened = tokio::select! {
        biased;
        opened = accepted.open(&timers) => opened,
        () = drain.until(Phase::Ending) => None,
    };
    let Some(stream) = opened else { return };
    let first_request = Instant::now() + FIRST_REQUEST;
    let turn = Arc::new(Turn::default());
    let (closing, turns) = (drain.clone(), turn.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        turns.asked();
        Answering { answer: handler(request, from), closes: closing.has_reached(Phase::Closing) }
    });
    let mut http = http1::Builder::new();
    match limits {
        Limits::Gate { raw_target } => {
            http.max_header_size(128 * 1024).max_buf_size(128 * 1024);
            let few = http.serve_connection(TokioIo::new(Guarded::heads(stream, HEAD_TIMEOUT, raw_target, turn, timers.clone())), &service);
            let Some(Parts { io, read_buf, .. }) = until_over(few, &drain, &timers, first_request).await else { return };
            if let Some(io) = io.into_inner().resumed(&read_buf) {
                let many = http.max_headers(256).serve_connection(TokioIo::new(io), &service);
                until_over(many, &drain, &timers, first_request).await;
            }
        }
        Limits::Admin => {
            http.max_headers(64)
                .max_header_size(16 * 1024)
                .max_buf_size(16 * 1024)
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT);
            let serving = http.serve_connection(TokioIo::new(Guarded::open(stream, timers.clone())), &service);
            until_over(serving, &drain, &timers, first_request).await;
        }
    }
}

pin_project! {
    /// An answer on its way.
    struct Answering<F> {
        #[pin]
        answer: F,
        // whether it tells the proxy that the connection goes, so that it sends nothing into a closed one
        closes: bool,
    }
}

impl<F: Future<Output = Result<http::Response<B>, E>>, B, E> Future for Answering<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut polled = this.answer.poll(context);
        if *this.closes
            && let Poll::Ready(Ok(answer)) = &mut polled
        {
            answer.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        polled
    }
}

/// Serves a connection to its end, or until the process ends and what it is answering is answered; one that was taken just before
/// may still ask until `first_request`. Returns what is left of it where it ended by itself.
async fn until_over<S, B>(
    mut serving: http1::Connection<TokioIo<Guarded>, S>,
    drain: &Drain,
    timers: &Timers,
    first_request: Instant,
) -> Option<Parts<TokioIo<Guarded>, S>>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut ending = std::pin::pin!(drain.until(Phase::Ending));
    let mut listens = false;
    let is_over = std::future::poll_fn(|context| {
        if Pin::new(&mut serving).poll(context).is_ready() {
            return Poll::Ready(true);
        }
        // asked once, it wakes this task at the first change of phase: until then there is no need to ask it with every request; from
        // then on it has to be asked again, or nothing would tell of the next one
        if listens && !drain.has_reached(Phase::Unready) {
            return Poll::Pending;
        }
        listens = true;
        ending.as_mut().poll(context).map(|()| false)
    })
    .await;
    // by now each answer says `close`: what was taken lately and is still open has not asked yet, or is being answered
    if is_over || timers.timeout_at(first_request, Pin::new(&mut serving)).await.is_ok() {
        return Some(serving.into_parts());
    }
    Pin::new(&mut serving).graceful_shutdown();
    let _ = serving.await;
    None
}
