//! What an owner reads.

use super::event::{Event, EventKind};
use crate::clock::UnixMs;
use crate::senders::Letter;

/// The mail of an event. Its message id names the event, so that a program sees one that comes twice.
pub(super) fn of(event: &Event, to: String) -> Letter {
    let key = &event.about;
    let name = &key.name;
    let (subject, what) = match event.kind {
        EventKind::Expiring => {
            let left = match event.days_left() {
                1 => "1 day".to_owned(),
                days => format!("{days} days"),
            };
            (
                format!("Your API key \"{name}\" ends in {left}"),
                format!("ends in {left}. Programs that use it are refused from then on: give them another key before."),
            )
        }
        EventKind::Unused => (
            format!("Your API key \"{name}\" was never used"),
            "was made 30 days ago and never used. If nobody needs it, delete it: what is not there cannot be stolen.".to_owned(),
        ),
        EventKind::Ended if event.cause.as_deref() == Some("deleted") => (
            format!("Your API key \"{name}\" was deleted"),
            "was deleted. Whatever uses it is refused. If that was neither you nor somebody above you, tell whoever runs this place."
                .to_owned(),
        ),
        EventKind::Ended => (
            format!("Your API key \"{name}\" has ended"),
            "has ended, as it was meant to when it was made. Whatever uses it is refused.".to_owned(),
        ),
    };
    let mut text = format!("Your API key \"{name}\" {what}\r\n\r\nIts id: {}\r\nMade: {}\r\n", key.id, date(key.created_at));
    if let Some(ends) = key.expires_at {
        text.push_str(&format!("Ends: {}\r\n", date(ends)));
    }
    text.push_str(&format!("Last used: {}\r\n", key.last_used_at.map_or_else(|| "never".to_owned(), date)));
    Letter { to, subject, text, id: event.id }
}

fn date(seconds: u64) -> String {
    UnixMs(seconds.saturating_mul(1000)).rfc3339()
}
