//! The yardstick: a bare hyper server that answers everything with one constant 200 and five identity headers.
//!
//! Same profile, same answer as an allowed check; no check. It is hyper as its examples run it: on a runtime that shares its work, and with
//! every setting as it comes. Usage: `bare ADDRESS WORKERS [204|core]`; with 204 it answers that and no header, as whoever measured other
//! servers did; with `core` it serves on a thread of its own and writes in one piece, as gates do.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;

const IDENTITY: [(&str, &str); 5] = [
    ("x-auth-user", "alice"),
    ("x-auth-scopes", "orders:read orders:write"),
    ("x-auth-tenant", "0123456789abcdef0123456789abcdef"),
    ("x-auth-key-id", "0123456789abcdef0123456789abcdef"),
    ("x-auth-expires-in", "3600"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: bare ADDRESS WORKERS [204|core]")?;
    let workers = arguments.next().unwrap_or_default().parse().unwrap_or(1);
    let how = arguments.next().unwrap_or_default();
    let answer = if how == "204" { nothing } else { allowed };
    let on_core = how == "core";
    let mut runtime = if on_core { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    runtime.worker_threads(workers).enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let mut http = http1::Builder::new();
            if on_core {
                http.writev(false);
            }
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(move |_| std::future::ready(answer()))));
        }
    })
}

fn allowed() -> Result<Response<Full<Bytes>>, Infallible> {
    let mut answer = Response::new(Full::default());
    let headers: &mut HeaderMap = answer.headers_mut();
    for (name, value) in IDENTITY {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Ok(answer)
}

fn nothing() -> Result<Response<Full<Bytes>>, Infallible> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}
