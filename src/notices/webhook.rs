//! Webhooks: an event as a signed POST.
//!
//! The address is the configuration's, never anybody's who asks; nothing is followed from there, and nothing of the answer is read but
//! its status.

use std::time::Duration;

use reqwest::redirect::Policy;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use super::event::{Event, EventKind};
use crate::causes::with_causes;
use crate::clock::UnixMs;
use crate::id::hex;
use crate::token::secret::sha256;

/// `t=SECONDS,v1=HEX`: when it was signed, and the HMAC-SHA256 over `SECONDS.BODY` under the secret.
pub(super) const SIGNATURE: &str = "Gatepost-Signature";
/// The event's id: the same in every try.
const EVENT_ID: &str = "Gatepost-Event-Id";
/// Longest that one may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A system that is told, as it is written.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where: https, or on this machine.
    pub url: String,
    /// What its requests are signed with.
    pub secret: SecretString,
    /// Of what it is told.
    pub events: Vec<EventKind>,
}

impl Webhook {
    /// By what it is known among deliveries.
    pub(super) fn name(&self) -> String {
        hex(&sha256(self.url.as_bytes()))
    }
}

/// What posts.
pub(super) struct Client(reqwest::Client);

impl Client {
    /// Makes it ready.
    pub(super) fn new() -> Result<Self, String> {
        // who was first has set the same
        let _ = rustls::crypto::ring::default_provider().install_default();
        // a redirect would carry the event to wherever it says
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .user_agent(concat!("gatepost/", env!("CARGO_PKG_VERSION")));
        client.build().map(Self).map_err(|error| with_causes(&error))
    }

    /// Posts an event: 2xx means that it was taken.
    pub(super) async fn post(&self, webhook: &Webhook, event: &Event, body: &str, now: UnixMs) -> Result<(), String> {
        let request = self
            .0
            .post(&webhook.url)
            .header("Content-Type", "application/json")
            .header(EVENT_ID, event.id.to_string())
            .header(SIGNATURE, signature(&webhook.secret, now, body))
            .body(body.to_owned());
        // an address is no secret, but nobody needs it in the log of each try
        let status = request.send().await.map_err(|error| with_causes(&error.without_url()))?.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }
}

fn signature(secret: &SecretString, now: UnixMs, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let at = now.seconds();
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_time_and_body() {
        // printf '1900000000.{"a":1}' | openssl dgst -sha256 -hmac 'a secret of sixteen'
        let of = |secret: &str, at, body| signature(&secret.into(), UnixMs(at), body);
        let right = of("a secret of sixteen", 1_900_000_000_999, r#"{"a":1}"#);
        assert_eq!(right, "t=1900000000,v1=e4327253b490c2cb9f3a923b5af034c9f9738256ba244518f0a4a91997ccfa3f");
        for other in [
            of("a secret of sixteen", 1_900_000_001_000, r#"{"a":1}"#),
            of("a secret of sixteen", 1_900_000_000_999, r#"{"a":2}"#),
            of("another", 1_900_000_000_999, r#"{"a":1}"#),
        ] {
            assert_ne!(other.split("v1=").nth(1), right.split("v1=").nth(1));
        }
    }
}
