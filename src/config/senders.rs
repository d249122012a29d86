//! What sends one-time codes.

use std::path::Path;

use http::HeaderName;
use secrecy::SecretString;

use super::oidc::is_safe;
use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{secret, values};
use crate::senders::{Email, Method, Settings, Sms, Smtp, Template};

pub(super) fn senders(field: &Field<'_>, data: Option<&Path>) -> Option<Settings> {
    field.mapping(&["email", "sms", "log"]);
    let present = |at: &Field<'_>| at.shape() != Shape::Absent;
    let (email_at, sms_at, log_at) = (field.key("email"), field.key("sms"), field.key("log"));
    let email_read = present(&email_at).then(|| email(&email_at, data));
    let sms_read = present(&sms_at).then(|| sms(&sms_at, data));
    let log = if present(&log_at) { log_at.read(values::boolean) } else { Some(false) };
    if log == Some(true) {
        log_at.warning(Complaint::new(
            "one-time codes stand in the log: whoever reads it can log in as anyone",
            "keep it for a first try, then configure email or sms",
        ));
    }
    Some(Settings { email: absent_or_read(email_read)?, sms: absent_or_read(sms_read)?, log: log? })
}

/// `None` where it was there but could not be read.
fn absent_or_read<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

fn email(field: &Field<'_>, data: Option<&Path>) -> Option<Email> {
    field.mapping(&["smtp", "password", "from"]);
    let smtp = field.key("smtp").need(|text| {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        if rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err(Complaint::new("a password in the address", "write it as password: { env: NAME }"));
        }
        Smtp::read(text).ok_or_else(|| {
            Complaint::new(
                format!("`{text}` is no mail server"),
                "write one like smtp://user@smtp.example.com:587 or smtps://user@smtp.example.com",
            )
        })
    });
    let at = field.key("password");
    let password = secret::text(&at, data);
    let from = field.key("from").need(values::mailbox);
    if at.shape() != Shape::Absent && password.is_none() {
        return None;
    }
    let smtp = smtp?;
    match (&smtp.user, &password) {
        (Some(_), None) => field.problem(Complaint::new("a user without a password", "write password: { env: NAME }")),
        (None, Some(_)) => {
            field.problem(Complaint::new("a password without a user", "write the user in smtp, like smtp://user@smtp.example.com:587"))
        }
        _ => {}
    }
    Some(Email { smtp, password, from: from? })
}

fn sms(field: &Field<'_>, data: Option<&Path>) -> Option<Sms> {
    field.mapping(&["url", "method", "headers", "body"]);
    let url = field.key("url").need(|text| {
        let plain = ["{phone}", "{phone_digits}", "{code}"].iter().fold(text.to_owned(), |text, place| text.replace(place, "0"));
        let address = values::http_url(plain.split('?').next().unwrap_or_default())?;
        if !is_safe(&address) {
            return Err(Complaint::new("whoever is between us and this gateway could read the codes", "write an https address"));
        }
        Template::of_url(text)
            .map_err(|_| Complaint::new("the host depends on number or code", "write them into the path, the query, headers or body"))
    });
    let methods = [("GET", Method::Get), ("POST", Method::Post), ("PUT", Method::Put)];
    let method_at = field.key("method");
    let method = if method_at.shape() == Shape::Absent { Some(Method::Post) } else { method_at.read(values::one_of(&methods)) };
    let headers_at = field.key("headers");
    let headers: Vec<_> = headers_at.named().into_iter().map(|(name, at)| header(name, &at, data)).collect();
    let body_at = field.key("body");
    let body = if body_at.shape() == Shape::Absent { Some(String::new()) } else { body_at.read(|text| Ok(String::from(text))) };
    let (url, body, headers) = (url?, body?, headers.into_iter().collect::<Option<Vec<_>>>()?);
    let body_is_json =
        body.trim_start().starts_with(['{', '[']) && !body.trim_start().starts_with("{phone") && !body.trim_start().starts_with("{code}");
    let body = Template::new(&body);
    let templates = || {
        use secrecy::ExposeSecret;
        let headers = headers.iter().map(|(_, value): &(HeaderName, SecretString)| Template::new(value.expose_secret()));
        [url.clone(), body.clone()].into_iter().chain(headers)
    };
    if !templates().any(|template| template.names_phone()) {
        field.problem(Complaint::new("{phone} is neither in url nor in headers or body", "write it where it belongs"));
    }
    if !templates().any(|template| template.names_code()) {
        field.problem(Complaint::new("{code} is neither in url nor in headers or body", "write it where it belongs"));
    }
    Some(Sms { url, method: method?, headers, body, body_is_json })
}

fn header(name: &str, field: &Field<'_>, data: Option<&Path>) -> Option<(HeaderName, SecretString)> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        field.problem(Complaint::new("not a header name", "write letters, digits and `-`"));
        return None;
    };
    Some((name, secret::plain_or_secret(field, data)?))
}
