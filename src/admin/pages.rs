//! Pages: plain HTML for browsers. No script; what stands in a page is escaped where it is put in.

pub(super) mod home;
pub(super) mod host;
pub(super) mod login;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ObjectBuilder, RefOr};

use super::answer::Answer;
use super::document;
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

    /// The answer.
    pub(super) fn answer(self) -> Answer {
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n",
            title = Escaped(self.title),
            body = self.body,
        );
        let forms = self.leads_to.map(|site| format!("'self' {site}")).unwrap_or_else(|| "'self'".to_owned());
        let policy =
            format!("default-src 'none'; style-src {}; form-action {forms}; base-uri 'none'; frame-ancestors 'none'", *STYLE_SOURCE);
        let headers = [
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            // not no-referrer: our own forms would then come from the origin `null`
            (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        ];
        let policy = HeaderValue::try_from(policy).ok().map(|policy| (CONTENT_SECURITY_POLICY, policy));
        with_headers(Answer::html(self.status, html), headers.into_iter().chain(policy).collect())
    }
}

/// The answer with these headers besides.
pub(super) fn with_headers(answer: Answer, headers: HeaderMap) -> Answer {
    headers.into_iter().filter_map(|(name, value)| Some((name?, value))).fold(answer, |answer, (name, value)| answer.header(name, value))
}

/// A failure is a page here, too.
pub(super) fn answered(result: Result<Answer, Failure>) -> Answer {
    result.unwrap_or_else(|failure| {
        let body = format!("<p role=\"alert\" class=\"alert\">{}</p>", Escaped(&sentence(failure.message())));
        with_headers(Page { status: failure.status(), ..Page::new("Gatepost", body) }.answer(), failure.headers())
    })
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

/// A message as a sentence.
pub(super) fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    characters.next().map(|first| format!("{}{}.", first.to_uppercase(), characters.as_str())).unwrap_or_default()
}
