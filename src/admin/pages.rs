//! Pages: HTML for browsers, made on the server. What stands in a page is escaped where it is put in (`maud`).
//!
//! Every page works without script. A page of the console carries one small script of our own, and nothing from anywhere else.

mod account;
mod audit;
mod chart;
mod frame;
pub(super) mod home;
pub(super) mod host;
mod invitations;
mod issuers;
mod keys;
mod limits;
pub(super) mod login;
mod names;
mod overview;
mod parts;
mod people;
mod policies;
mod refusals;
pub(super) mod routes;
mod rules;
pub(super) mod second_factor;
pub(super) mod secret;
mod sessions;
mod sign_up;
mod tenants;
mod tokens;
mod try_it;
mod usage;
mod visit;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ObjectBuilder, RefOr};

use super::answer::Answer;
use super::document;
use super::failure::Failure;
use crate::token::secret::sha256;
use frame::Frame;

/// How pages look: light or dark as the reader likes it, large enough for fingers.
const STYLE: &str = include_str!("pages/style.css");
/// What pages of the console do better with script.
const SCRIPT: &str = include_str!("pages/script.js");

/// Only our own style sheet and script, and nothing else from anywhere.
static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source(STYLE));
static SCRIPT_SOURCE: LazyLock<String> = LazyLock::new(|| source(SCRIPT));

fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(sha256(text.as_bytes())))
}

/// A page to be answered.
pub(super) struct Page {
    status: StatusCode,
    title: Cow<'static, str>,
    body: Markup,
    /// Where its forms may lead in the end, besides our own pages: browsers hold the redirects after a form against this, too.
    leads_to: Option<String>,
    /// What stands around a page of the console.
    frame: Option<Frame>,
    /// Seconds after which a browser without script asks for it again.
    again_s: Option<u32>,
    has_script: bool,
}

impl Page {
    pub(super) fn new(title: impl Into<Cow<'static, str>>, body: Markup) -> Self {
        Self { status: StatusCode::OK, title: title.into(), body, leads_to: None, frame: None, again_s: None, has_script: false }
    }

    /// The same, answered with this status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with our script.
    pub(super) fn with_script(self) -> Self {
        Self { has_script: true, ..self }
    }

    /// The same in the console's frame.
    fn framed(self, frame: Frame) -> Self {
        Self { frame: Some(frame), has_script: true, ..self }
    }

    /// The answer.
    pub(super) fn answer(self) -> Answer {
        let title = &self.title;
        let html = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) @if self.frame.is_some() { " · Gatepost" } }
                    @if let Some(seconds) = self.again_s { noscript { meta http-equiv="refresh" content=(seconds); } }
                    style { (PreEscaped(STYLE)) }
                }
                @match &self.frame {
                    Some(frame) => (frame.around(title, &self.body)),
                    None => body.alone { main { p.brand { (frame::brand()) } h1 { (title) } (self.body) } },
                }
                @if self.has_script { script { (PreEscaped(SCRIPT)) } }
            }
        };
        let forms = self.leads_to.map(|site| format!("'self' {site}")).unwrap_or_else(|| "'self'".to_owned());
        let script = if self.has_script { format!("script-src {}; connect-src 'self'; ", *SCRIPT_SOURCE) } else { String::new() };
        let policy = format!(
            "default-src 'none'; {script}style-src {}; form-action {forms}; base-uri 'none'; frame-ancestors 'none'",
            *STYLE_SOURCE
        );
        let headers = [
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            // not no-referrer: our own forms would then come from the origin `null`
            (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        ];
        let policy = HeaderValue::try_from(policy).ok().map(|policy| (CONTENT_SECURITY_POLICY, policy));
        with_headers(Answer::html(self.status, html.into_string()), headers.into_iter().chain(policy).collect())
    }
}

/// The answer with these headers besides.
pub(super) fn with_headers(answer: Answer, headers: HeaderMap) -> Answer {
    headers.into_iter().filter_map(|(name, value)| Some((name?, value))).fold(answer, |answer, (name, value)| answer.header(name, value))
}

/// What was wrong, read out to whoever cannot see it.
pub(super) fn alert(text: &str) -> Markup {
    html! { p.alert role="alert" { (text) } }
}

/// A failure is a page here, too.
pub(super) fn answered(result: Result<Answer, Failure>) -> Answer {
    result.unwrap_or_else(|failure| failed(&failure, html! {}))
}

/// The page of a failure, with a way on.
fn failed(failure: &Failure, way_on: Markup) -> Answer {
    let body = html! { (alert(&words::plain(failure))) (way_on) };
    with_headers(Page::new("Gatepost", body).with_status(failure.status()).answer(), failure.headers())
}

/// How pages fail.
pub(super) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let page = |text: &str| {
            let content = ContentBuilder::new().schema(Some(ObjectBuilder::new().build())).build();
            RefOr::T(ResponseBuilder::new().description(text).content("text/html", content).build())
        };
        let pages = [
            ("401", page("Name or password is wrong.")),
            ("403", page("Another site's page may have sent this.")),
            ("404", page("Not on this host.")),
            ("415", page("Not a form.")),
            ("429", page("Too many tries.")),
        ];
        document::Read::responses().into_iter().chain(pages.map(|(status, page)| (status.to_owned(), page))).collect()
    }
}
