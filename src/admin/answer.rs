//! Answers: the envelopes, the headers all answers share, and the one place where a refusal becomes a status.
//!
//! Handlers return [`Answer`] or [`Failure`]; both travel as response extensions to [`finish`], which
//! knows the path (and with it the envelope), the time and the request's id.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Admin;
use super::failure::Failure;
use crate::clock::UnixMs;
use crate::id::Id;
use crate::metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The route with an envelope of its own.
const GET_TOKEN: &str = "/get-token";
/// `code` in that envelope's failures, whatever the status.
const GET_TOKEN_FAILED: u16 = 411;

/// What a handler grants.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// In the envelope of `/v1`.
    Enveloped(StatusCode, Map<String, Value>),
    /// As it is.
    Plain(Value),
}

impl Answer {
    /// 200 with these fields.
    pub(super) fn ok(fields: Value) -> Self {
        Self::with(StatusCode::OK, fields)
    }

    /// 201 with these fields.
    pub(super) fn created(fields: Value) -> Self {
        Self::with(StatusCode::CREATED, fields)
    }

    /// These fields; anything but an object stands under `data`.
    pub(super) fn with(status: StatusCode, fields: Value) -> Self {
        match fields {
            Value::Object(fields) => Self::Enveloped(status, fields),
            other => Self::Enveloped(status, Map::from_iter([("data".to_owned(), other)])),
        }
    }
}

/// What travels to [`finish`].
#[derive(Clone)]
enum Outcome {
    Granted(Answer),
    Refused(Failure),
}

/// Marks a response that is whole: a page or a redirect. [`finish`] adds what all answers share.
#[derive(Clone, Copy)]
struct Whole;

/// A page or a redirect as it is.
pub(super) fn whole(mut response: Response) -> Response {
    response.extensions_mut().insert(Whole);
    response
}

fn carrying(outcome: Outcome) -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(outcome);
    response
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        carrying(Outcome::Granted(self))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        carrying(Outcome::Refused(self))
    }
}

/// Runs the route and writes what it decided: the last layer, around everything.
pub(super) async fn finish(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let method = request.method().clone();
    let is_get_token = request.uri().path() == GET_TOKEN;
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let mut inner = next.run(request).await;
    if inner.extensions_mut().remove::<Whole>().is_some() {
        tracing::debug!(target: "admin", request_id, %method, %route, status = inner.status().as_u16(), "answered");
        metrics::admin_answered(&route, inner.status().as_u16());
        inner.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        inner.headers_mut().extend(HeaderValue::try_from(request_id).ok().map(|id| (REQUEST_ID, id)));
        return inner;
    }
    let outcome = inner.extensions_mut().remove::<Outcome>().unwrap_or_else(|| Outcome::Refused(Failure::of_status(inner.status())));
    let now = admin.accounts.database().clock().now();
    let (status, body, mut headers) = match outcome {
        Outcome::Granted(Answer::Plain(body)) => (StatusCode::OK, body, HeaderMap::new()),
        Outcome::Granted(Answer::Enveloped(status, fields)) => (status, granted(fields, now), HeaderMap::new()),
        Outcome::Refused(failure) => {
            if let Some(cause) = failure.cause() {
                tracing::warn!(target: "admin", request_id, %route, cause, "unavailable");
            }
            let body = if is_get_token { get_token_failed(&failure) } else { refused(&failure, now) };
            (failure.status(), body, failure.headers())
        }
    };
    tracing::debug!(target: "admin", request_id, %method, %route, status = status.as_u16(), "answered");
    metrics::admin_answered(&route, status.as_u16());
    if let Some(allow) = inner.headers_mut().remove(ALLOW) {
        headers.insert(ALLOW, allow);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(HeaderValue::try_from(request_id).ok().map(|id| (REQUEST_ID, id)));
    (status, headers, body.to_string()).into_response()
}

fn granted(mut fields: Map<String, Value>, now: UnixMs) -> Value {
    fields.insert("ok".to_owned(), Value::Bool(true));
    fields.insert("timestamp".to_owned(), timestamp(now));
    Value::Object(fields)
}

fn refused(failure: &Failure, now: UnixMs) -> Value {
    json!({ "ok": false, "error": failure.code(), "message": failure.message(), "timestamp": timestamp(now) })
}

fn get_token_failed(failure: &Failure) -> Value {
    json!({ "data": {}, "status": "failed", "code": GET_TOKEN_FAILED, "message": failure.message() })
}

/// Seconds with fraction.
fn timestamp(now: UnixMs) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2^53 for 280,000 years")]
    let seconds = now.0 as f64 / 1000.0;
    Value::from(seconds)
}

/// The request's own id where it is one, otherwise a made one.
fn request_id(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let given = values.next().and_then(|value| value.to_str().ok());
    match (given, values.next()) {
        (Some(id), None) if (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
            id.to_owned()
        }
        _ => Id::random().map(|id| id.to_string()).unwrap_or_default(),
    }
}
