//! The metrics listener: `/metrics`, `/healthz`, `/readyz`.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::server::{Drain, Phase};
use crate::token::store::TokenStore;

/// Answers for the process.
pub struct Probes {
    metrics: PrometheusHandle,
    drain: Drain,
    tokens: TokenStore,
}

impl Probes {
    /// Answers for this store and this drain.
    pub fn new(metrics: PrometheusHandle, drain: Drain, tokens: TokenStore) -> Self {
        Self { metrics, drain, tokens }
    }

    /// `/healthz`: the process answers. `/readyz`: it can decide, and is not about to stop.
    ///
    /// # Errors
    /// None.
    pub async fn answer<B>(&self, request: http::Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (status, kind, body) = match request.uri().path() {
            "/metrics" => {
                crate::metrics::store_up(self.tokens.is_ready());
                (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", crate::metrics::render(&self.metrics))
            }
            "/healthz" => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
            "/readyz" => match self.not_ready() {
                None => (StatusCode::OK, "text/plain", "ready\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("not ready: {why}\n")),
            },
            _ => (StatusCode::NOT_FOUND, "text/plain", "here are /metrics, /healthz and /readyz\n".to_owned()),
        };
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    fn not_ready(&self) -> Option<&'static str> {
        if self.drain.has_reached(Phase::Unready) {
            Some("stopping")
        } else if !self.tokens.is_ready() {
            Some("the token store does not answer")
        } else {
            None
        }
    }
}
