//! Answers: their shapes and the headers that all of them share.
//!
//! Handlers return [`Answer`] or [`Failure`], pages and redirects included; both travel as response extensions
//! to [`finish`], which knows the path (and with it the shape), the time and the request's id. A response that
//! carries neither was made by the router or an extractor, and is answered by its status.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Admin;
use super::failure::Failure;
use crate::clock::UnixMs;
use crate::id::Id;
use crate::metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: &str = "application/json";
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// `code` in the failures of `/get-token`, whatever the status.
const GET_TOKEN_FAILED: u16 = 411;

/// What failures look like, and whether what is granted is enveloped; the path decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// `ok`, `timestamp`, and for failures `error` and `message`.
    Envelope,
    /// `/get-token`'s own.
    GetToken,
    /// RFC 6749 §5.2: `error` and `error_description`.
    OAuth,
}

impl Shape {
    /// Every shape.
    pub(super) const ALL: [Self; 3] = [Self::Envelope, Self::GetToken, Self::OAuth];

    /// The shape of what is answered under `path`.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/get-token" => Self::GetToken,
            "/v1/oauth/token" | "/v1/introspect" | "/v1/revoke" => Self::OAuth,
            _ => Self::Envelope,
        }
    }

    fn failed(self, failure: &Failure, now: UnixMs) -> Value {
        match self {
            Self::Envelope => {
                json!({ "ok": false, "error": failure.code(), "message": failure.message(), "timestamp": timestamp(now) })
            }
            Self::GetToken => json!({ "data": {}, "status": "failed", "code": GET_TOKEN_FAILED, "message": failure.message() }),
            Self::OAuth => json!({ "error": oauth_code(failure), "error_description": failure.message() }),
        }
    }
}

/// The code as RFC 6749 has it, where it has one for the status.
fn oauth_code(failure: &Failure) -> &str {
    match failure.status().as_u16() {
        405 | 408 | 413 | 415 => "invalid_request",
        500 => "server_error",
        503 => "temporarily_unavailable",
        _ => failure.code(),
    }
}

/// What a handler grants.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// These fields in the envelope of `/v1`.
    Enveloped(Map<String, Value>),
    /// JSON as it is.
    Json(Value),
    /// Anything else; its type stands in the headers.
    Bytes(Bytes),
}

impl Answer {
    /// 200 with these fields in the envelope.
    pub(super) fn ok(fields: impl Serialize) -> Self {
        Self::with(StatusCode::OK, fields)
    }

    /// 201 with these fields in the envelope.
    pub(super) fn created(fields: impl Serialize) -> Self {
        Self::with(StatusCode::CREATED, fields)
    }

    /// These fields in the envelope; anything but an object stands under `data`.
    pub(super) fn with(status: StatusCode, fields: impl Serialize) -> Self {
        Self::new(
            status,
            Content::Enveloped(match serde_json::to_value(fields).unwrap_or_default() {
                Value::Object(fields) => fields,
                other => Map::from_iter([("data".to_owned(), other)]),
            }),
        )
    }

    /// 200 with this JSON and nothing around it.
    pub(super) fn plain(body: impl Serialize) -> Self {
        Self::new(StatusCode::OK, Content::Json(serde_json::to_value(body).unwrap_or_default()))
    }

    /// A page.
    pub(super) fn html(status: StatusCode, page: impl Into<Bytes>) -> Self {
        Self::bytes(status, "text/html; charset=utf-8", page)
    }

    /// Bytes of this type.
    pub(super) fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self::new(status, Content::Bytes(body.into())).header(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    /// Another place to go to; 303 follows a form with a GET.
    pub(super) fn redirect(status: StatusCode, to: HeaderValue) -> Self {
        Self::new(status, Content::Bytes(Bytes::new())).header(LOCATION, to)
    }

    /// The same with this header. `Cache-Control` is `no-store` where none is given here.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with one cookie more: the whole value of a `Set-Cookie`.
    pub(super) fn cookie(mut self, cookie: HeaderValue) -> Self {
        self.headers.append(SET_COOKIE, cookie);
        self
    }

    fn new(status: StatusCode, content: Content) -> Self {
        Self { status, headers: HeaderMap::new(), content }
    }
}

/// What travels to [`finish`].
#[derive(Clone)]
enum Outcome {
    Granted(Answer),
    Refused(Failure),
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
    let shape = Shape::of(request.uri().path());
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let mut inner = next.run(request).await;
    let outcome = inner.extensions_mut().remove::<Outcome>().unwrap_or_else(|| Outcome::Refused(Failure::of_status(inner.status())));
    let now = admin.accounts.database().clock().now();
    let (status, mut headers, content) = match outcome {
        Outcome::Granted(Answer { status, headers, content }) => (status, headers, content),
        Outcome::Refused(failure) => {
            if let Some(cause) = failure.cause() {
                tracing::warn!(target: "admin", request_id, %route, cause, "unavailable");
            }
            (failure.status(), failure.headers(), Content::Json(shape.failed(&failure, now)))
        }
    };
    tracing::debug!(target: "admin", request_id, %method, %route, status = status.as_u16(), "answered");
    metrics::admin_answered(&route, status.as_u16());
    let (content_type, body) = match content {
        Content::Enveloped(fields) => (Some(JSON), Bytes::from(granted(fields, now).to_string())),
        Content::Json(body) => (Some(JSON), Bytes::from(body.to_string())),
        Content::Bytes(body) => (None, body),
    };
    headers.extend(content_type.map(|json| (CONTENT_TYPE, HeaderValue::from_static(json))));
    if let Some(allow) = inner.headers_mut().remove(ALLOW) {
        headers.insert(ALLOW, allow);
    }
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    headers.extend(HeaderValue::try_from(request_id).ok().map(|id| (REQUEST_ID, id)));
    let mut response = Response::new(Body::from(body));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}

fn granted(mut fields: Map<String, Value>, now: UnixMs) -> Value {
    fields.insert("ok".to_owned(), Value::Bool(true));
    fields.insert("timestamp".to_owned(), timestamp(now));
    Value::Object(fields)
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
