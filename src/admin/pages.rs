//! Pages: plain HTML for browsers. No script; what stands in a page is escaped where it is put in.

pub(super) mod home;
pub(super) mod host;
pub(super) mod login;

use std::fmt;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answer::whole;
use super::failure::Failure;
use crate::token::secret::sha256;

/// How pages look: one column, light or dark as the reader likes it, large enough for fingers.
const STYLE: &str = include_str!("pages/style.css");

/// Only our own style sheet, and nothing else from anywhere.
static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(sha256(STYLE.as_bytes()))));

/// Text put into a page.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_fmt(format_args!("{other}"))?,
            }
        }
        Ok(())
    }
}

/// A page to be answered.
pub(super) struct Page {
    pub(super) status: StatusCode,
    /// Plain text.
    pub(super) title: &'static str,
    /// HTML.
    pub(super) body: String,
    /// Where its forms may lead in the end, besides our own pages: browsers hold the redirects after a form against this, too.
    pub(super) leads_to: Option<String>,
}

impl Page {
    pub(super) fn new(title: &'static str, body: String) -> Self {
        Self { status: StatusCode::OK, title, body, leads_to: None }
    }

    /// The response.
    pub(super) fn response(self) -> Response {
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n",
            title = Escaped(self.title),
            body = self.body,
        );
        let forms = self.leads_to.map(|site| format!("'self' {site}")).unwrap_or_else(|| "'self'".to_owned());
        let policy =
            format!("default-src 'none'; style-src {}; form-action {forms}; base-uri 'none'; frame-ancestors 'none'", *STYLE_SOURCE);
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        // not no-referrer: our own forms would then come from the origin `null`
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.extend(HeaderValue::try_from(policy).ok().map(|policy| (CONTENT_SECURITY_POLICY, policy)));
        whole(response)
    }
}

/// A failure as a page, with the headers that belong to it.
pub(super) fn failed(failure: &Failure, title: &'static str) -> Response {
    let body = format!("<p role=\"alert\" class=\"alert\">{}</p>", Escaped(&sentence(failure.message())));
    let mut response = Page { status: failure.status(), ..Page::new(title, body) }.response();
    response.headers_mut().extend(failure.headers());
    response
}

/// A message as a sentence.
pub(super) fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    characters.next().map(|first| format!("{}{}.", first.to_uppercase(), characters.as_str())).unwrap_or_default()
}
