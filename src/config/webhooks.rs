//! Webhooks: systems that are told of keys.

use std::path::Path;

use secrecy::ExposeSecret;

use super::oidc::is_safe;
use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{WebhookConfig, secret, values};
use crate::notices::EventKind;

/// Most of them.
const MOST: usize = 20;
/// Shortest secret, in characters.
const SECRET_CHARS: usize = 16;

pub(super) fn webhooks(field: &Field<'_>, data: Option<&Path>) -> Option<Vec<WebhookConfig>> {
    let items = field.items();
    if items.len() > MOST {
        field.problem(Complaint::new(format!("more than {MOST} webhooks"), "take some out"));
    }
    let read: Vec<_> = items.iter().map(|item| webhook(item, data)).collect();
    let webhooks: Vec<WebhookConfig> = read.into_iter().collect::<Option<_>>()?;
    for (n, (one, item)) in webhooks.iter().zip(&items).enumerate() {
        if webhooks.iter().take(n).any(|other| other.url == one.url) {
            item.key("url").problem(Complaint::new("another webhook has this address", "keep one of them"));
        }
    }
    Some(webhooks)
}

fn webhook(field: &Field<'_>, data: Option<&Path>) -> Option<WebhookConfig> {
    field.mapping(&["url", "secret", "events"]);
    let url = field.key("url").need(|text| {
        let address = values::http_url(text)?;
        if is_safe(&address) {
            Ok(address)
        } else {
            Err(Complaint::new("whoever is between us and this address could read what is told", "write an https address"))
        }
    });
    let at = field.key("secret");
    if at.shape() == Shape::Absent {
        at.missing("write { env: NAME } or { file: PATH }");
    }
    let secret = secret::text(&at, data).filter(|secret| {
        let is_long = secret.expose_secret().chars().count() >= SECRET_CHARS;
        if !is_long {
            at.problem(Complaint::new(format!("fewer than {SECRET_CHARS} characters"), "make one with `openssl rand -hex 32`"));
        }
        is_long
    });
    let kinds = EventKind::ALL.map(|kind| (kind.as_str(), kind));
    let events_at = field.key("events");
    let events: Option<Vec<EventKind>> = match events_at.shape() {
        Shape::Absent => Some(EventKind::ALL.to_vec()),
        _ => events_at.items().iter().map(|item| item.read(values::one_of(&kinds))).collect::<Vec<_>>().into_iter().collect(),
    };
    if events.as_ref().is_some_and(Vec::is_empty) {
        events_at.problem(Complaint::new("it is told nothing", "leave `events` out, or write some of key.expiring, key.unused, key.ended"));
    }
    Some(WebhookConfig { url: url?, secret: secret?, events: events? })
}
