//! The way to the login page: what a person in a browser is answered instead of a refusal.

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::{Answer, Asked, Call, Dialect, NO_STORE, Proxy};
use crate::decision::credential::Carrier;
use crate::decision::{Denial, Verdict};

/// Longest original URI that is returned to; after a longer one the login leads to the host's first page. The answer's head must fit the
/// 4 KiB that nginx reads.
const LONGEST: usize = 1024;

impl Dialect {
    /// The answer to a check: a verdict, and for a person without a login the way to one.
    pub fn answer(&self, asked: &Asked<'_>, verdict: &Verdict<'_>) -> Answer {
        let call = asked.call.unwrap_or(Call::Verify);
        match (verdict, &self.login_at) {
            (Verdict::Deny(denial), Some(public_url)) if denial.to_login => match location(public_url, asked) {
                Some(location) => self.invite(call, denial, location),
                None => self.render(call, verdict),
            },
            _ => self.render(call, verdict),
        }
    }

    fn invite(&self, call: Call, denial: &Denial<'_>, location: HeaderValue) -> Answer {
        if call == Call::Verify && self.proxy == Proxy::Nginx {
            // nginx hears 401 and asks once more, for this status
            return self.refuse_in_nginx(denial, StatusCode::FOUND.as_u16());
        }
        let mut answer = Answer::default();
        *answer.status_mut() = StatusCode::FOUND;
        answer.headers_mut().extend([NO_STORE, (LOCATION, location)]);
        answer
    }
}

/// The login page, told where to return to.
fn location(public_url: &str, asked: &Asked<'_>) -> Option<HeaderValue> {
    let (Carrier::Once(host), Carrier::Once(uri)) = (asked.told.host, asked.told.uri) else { return None };
    let uri = if uri.len() <= LONGEST { uri } else { b"/" };
    // cookies are `Secure`, so a page that a person can log in to is seen by TLS, wherever it ends; in the clear on this machine only
    let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_here = name == b"localhost" || name == b"127.0.0.1" || host.starts_with(b"[::1]");
    let scheme = if is_here && asked.request.as_ref().is_ok_and(|request| request.page.in_the_clear) { "http" } else { "https" };
    let mut text = format!("{public_url}/login?rd={scheme}%3A%2F%2F");
    for byte in host.iter().chain(uri) {
        // RFC 3986 §2.3
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            use std::fmt::Write;
            let _ = write!(text, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(text).ok()
}
