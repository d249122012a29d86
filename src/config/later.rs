//! Keys that this version reads and checks, but does nothing with: senders.
//!
//! They warn, so that nobody waits for a code that nothing sends. A key whose absence would open
//! something is never among them: it is a problem where it stands.

use std::path::Path;

use secrecy::SecretString;

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{secret, values};

/// What sends one-time codes.
#[derive(Debug, Clone, Default)]
pub struct Senders {
    /// By e-mail.
    pub email: Option<Email>,
    /// By SMS.
    pub sms: Option<Sms>,
    /// Into the log, for a first try.
    pub log: bool,
}

/// An SMTP server.
#[derive(Debug, Clone)]
pub struct Email {
    /// `smtp://user@host:587`
    pub smtp: String,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The sender's address.
    pub from: String,
}

/// A web request that sends an SMS.
#[derive(Debug, Clone)]
pub struct Sms {
    /// With `{phone}` and `{code}`.
    pub url: String,
    /// GET, POST or PUT.
    pub method: String,
    /// Names and values.
    pub headers: Vec<(String, SecretString)>,
    /// With `{phone}` and `{code}`.
    pub body: String,
}

/// Warns that what is written here does nothing.
pub(super) fn without_effect(field: &Field<'_>) {
    field.warning(Complaint::new("has no effect in this version", "nothing to do: it begins to work with a later one"));
}

pub(super) fn senders(field: &Field<'_>, data: Option<&Path>) -> Option<Senders> {
    field.mapping(&["email", "sms", "log"]);
    let present = |at: &Field<'_>| at.shape() != Shape::Absent;
    let (email_at, sms_at, log_at) = (field.key("email"), field.key("sms"), field.key("log"));
    let email_read = present(&email_at).then(|| email(&email_at, data));
    let sms_read = present(&sms_at).then(|| sms(&sms_at, data));
    let log = if present(&log_at) { log_at.read(values::boolean) } else { Some(false) };
    if present(&email_at) || present(&sms_at) || log == Some(true) {
        without_effect(field);
    }
    Some(Senders { email: absent_or_read(email_read)?, sms: absent_or_read(sms_read)?, log: log? })
}

/// `None` where it was there but could not be read.
fn absent_or_read<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

fn email(field: &Field<'_>, data: Option<&Path>) -> Option<Email> {
    field.mapping(&["smtp", "password", "from"]);
    let smtp = field.key("smtp").need(|text| {
        let rest = text.strip_prefix("smtp://").or_else(|| text.strip_prefix("smtps://")).unwrap_or_default();
        let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        if user.contains(':') {
            Err(Complaint::new("a password in the address", "write it as password: { env: NAME }"))
        } else if values::is_authority(host) {
            Ok(String::from(text))
        } else {
            Err(Complaint::new(format!("`{text}` is no mail server"), "write one like smtp://user@smtp.example.com:587"))
        }
    });
    let at = field.key("password");
    let password = secret::text(&at, data);
    let from = field.key("from").need(values::email_address);
    if at.shape() != Shape::Absent && password.is_none() {
        return None;
    }
    Some(Email { smtp: smtp?, password, from: from? })
}

fn sms(field: &Field<'_>, data: Option<&Path>) -> Option<Sms> {
    field.mapping(&["url", "method", "headers", "body"]);
    let url = field.key("url").need(|text| {
        let plain = text.replace("{phone}", "0").replace("{code}", "0");
        values::http_url(plain.split('?').next().unwrap_or_default()).map(|_| String::from(text))
    });
    let methods = [("GET", "GET"), ("POST", "POST"), ("PUT", "PUT")];
    let method_at = field.key("method");
    let method = if method_at.shape() == Shape::Absent { Some("POST") } else { method_at.read(values::one_of(&methods)) };
    let headers_at = field.key("headers");
    let headers: Vec<_> = headers_at.named().into_iter().map(|(name, at)| header(name, &at, data)).collect();
    let body_at = field.key("body");
    let body = if body_at.shape() == Shape::Absent { Some(String::new()) } else { body_at.read(|text| Ok(String::from(text))) };
    let (url, body) = (url?, body?);
    for part in ["{phone}", "{code}"] {
        if !url.contains(part) && !body.contains(part) {
            field.problem(Complaint::new(format!("{part} is neither in url nor in body"), "write it where it belongs"));
        }
    }
    Some(Sms { url, method: method?.into(), headers: headers.into_iter().collect::<Option<_>>()?, body })
}

fn header(name: &str, field: &Field<'_>, data: Option<&Path>) -> Option<(String, SecretString)> {
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        field.problem(Complaint::new("not a header name", "write letters, digits and `-`"));
        return None;
    }
    Some((name.into(), secret::plain_or_secret(field, data)?))
}
