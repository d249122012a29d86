//! SMS by a web request, as any gateway wants it: address, headers and body are templates.

use http::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};

use super::template::Escape;
use super::{Message, PATIENCE, Template, Unsent};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// How the request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
}

/// A gateway, as it is written.
#[derive(Debug, Clone)]
pub struct Sms {
    /// Where; the host is fixed.
    pub url: Template,
    /// How.
    pub method: Method,
    /// Names and templates.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// What; empty = no body.
    pub body: Template,
    /// What the body is where no header says so.
    pub body_is_json: bool,
}

/// A gateway, ready.
pub(super) struct Gateway {
    client: reqwest::Client,
    sms: Sms,
    headers: Vec<(HeaderName, Template)>,
    escape: Escape,
    content_type: Option<&'static str>,
}

impl Gateway {
    /// Makes it ready.
    ///
    /// # Errors
    /// Where the system's certificates cannot be read.
    pub(super) fn new(sms: Sms) -> Result<Self, String> {
        // who was first has set the same
        let _ = rustls::crypto::ring::default_provider().install_default();
        // a redirect would carry code and secret to wherever it says
        let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| cause(&error))?;
        let written = sms
            .headers
            .iter()
            .find(|(name, _)| *name == http::header::CONTENT_TYPE)
            .map(|(_, value)| value.expose_secret().to_ascii_lowercase());
        let (escape, content_type) = match written.as_deref().and_then(|text| text.split(';').next()).map(str::trim) {
            Some(FORM) => (Escape::Percent, None),
            Some(kind) if kind == JSON || kind.ends_with("+json") => (Escape::Json, None),
            Some(_) => (Escape::Plain, None),
            None if sms.body.is_empty() => (Escape::Plain, None),
            None if sms.body_is_json => (Escape::Json, Some(JSON)),
            None => (Escape::Percent, Some(FORM)),
        };
        let headers = sms.headers.iter().map(|(name, value)| (name.clone(), Template::new(value.expose_secret()))).collect();
        Ok(Self { client, sms, headers, escape, content_type })
    }

    /// Sends one code: 2xx means that it was taken.
    pub(super) async fn carry(&self, message: &Message) -> Result<(), Unsent> {
        let method = match self.sms.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut request = self.client.request(method, self.sms.url.fill(message, Escape::Percent));
        for (name, value) in &self.headers {
            let mut value = HeaderValue::try_from(value.fill(message, Escape::Plain))
                .map_err(|_| Unsent::Refused(format!("the header `{name}` cannot be written")))?;
            value.set_sensitive(true);
            request = request.header(name.clone(), value);
        }
        if let Some(kind) = self.content_type {
            request = request.header(http::header::CONTENT_TYPE, kind);
        }
        if !self.sms.body.is_empty() {
            request = request.body(self.sms.body.fill(message, self.escape));
        }
        let status = request.send().await.map_err(|error| Unsent::Failed(cause(&error)))?.status();
        match status.as_u16() {
            200..=299 => Ok(()),
            429 | 500..=599 => Err(Unsent::Failed(format!("the gateway answered {status}"))),
            _ => Err(Unsent::Refused(format!("the gateway answered {status}"))),
        }
    }
}

/// What went wrong, without the address: it may hold number, code and secret.
fn cause(error: &reqwest::Error) -> String {
    let what = match error {
        error if error.is_timeout() => "no answer in time",
        error if error.is_connect() => "no connection",
        error if error.is_builder() => "the request cannot be made",
        _ => "the connection broke",
    };
    let mut source = std::error::Error::source(error);
    let mut deepest = None;
    while let Some(error) = source {
        deepest = Some(error.to_string());
        source = error.source();
    }
    deepest.map_or_else(|| what.to_owned(), |deepest| format!("{what}: {deepest}"))
}
