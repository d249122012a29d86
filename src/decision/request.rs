//! The original request: what the client asked the proxy for, as bytes.

use std::borrow::Cow;

use super::credential::Ways;
use super::network::Client;
use super::page::Page;
use super::path::{Path, PathFault};

/// What a proxy says of the original request, read but not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its method, compared with case.
    pub method: &'a [u8],
    /// Its host.
    pub host: Host<'a>,
    /// Its path.
    pub path: Path<'a>,
    /// For a CORS preflight: the method it asks about.
    pub preflight_for: Option<&'a [u8]>,
    /// What its headers say of the page that asks.
    pub page: Page<'a>,
    /// Where it comes from.
    pub client: Client<'a>,
    /// How credentials are sent here; `None` = as everywhere.
    pub ways: Option<&'a Ways>,
}

/// Why a request cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The proxy did not describe it: a header is missing, empty, doubled or unparsable.
    #[error("{0}")]
    NotDescribed(&'static str),
    /// Its path means different things to different servers.
    #[error("{0}")]
    Path(#[from] PathFault),
}

impl<'a> Request<'a> {
    /// Reads the parts; nothing is known of its page, nor where it comes from.
    ///
    /// # Errors
    /// See [`RequestFault`].
    pub fn read(method: &'a [u8], host: &'a [u8], uri: &'a [u8], preflight_for: Option<&'a [u8]>) -> Result<Self, RequestFault> {
        if !is_method(method) {
            return Err(RequestFault::NotDescribed("the original method is not a method"));
        }
        // Caddy tells `/` for `CONNECT host:port`, the application gets the CONNECT (BYP-082)
        if method == b"CONNECT" {
            return Err(RequestFault::NotDescribed("a CONNECT request has no path to judge"));
        }
        let host = Host::read(host).ok_or(RequestFault::NotDescribed("the original host is not a host name"))?;
        Ok(Self {
            method,
            host,
            path: Path::read(uri)?,
            preflight_for: preflight_for.filter(|_| method == b"OPTIONS"),
            page: Page::default(),
            client: Client::NotConfigured,
            ways: None,
        })
    }
}

/// Whether these bytes are a method (RFC 9110 §5.6.2, token), of at most 64 bytes.
pub fn is_method(bytes: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    (1..=64).contains(&bytes.len()) && bytes.iter().all(tchar)
}

/// A host without its port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'a>(Cow<'a, [u8]>);

impl<'a> Host<'a> {
    /// Reads `name`, `name:port`, `1.2.3.4:port`, `[v6]:port`. User information, lists, slashes, empty labels
    /// and a dot at the end are refused: two servers would not agree on whose name that is.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (length, has_upper) = match bytes.first()? {
            b'[' => bracketed(bytes)?,
            _ => labels(bytes)?,
        };
        let (name, port) = bytes.split_at_checked(length)?;
        let port_is_fine = match port {
            [] => true,
            [b':', digits @ ..] => (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if !port_is_fine || length > 253 {
            return None;
        }
        Some(Self(if has_upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) }))
    }

    /// In lower case, without port.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a byte is in a name.
const LABEL: u8 = 1;
const UPPER: u8 = 2;
const DOT: u8 = 4;
const FOREIGN: u8 = 8;

const KINDS: [u8; 256] = {
    let mut kinds = [FOREIGN; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "below 256, evaluated by the compiler")]
        {
            kinds[byte] = match byte as u8 {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => LABEL,
                b'A'..=b'Z' => LABEL | UPPER,
                b'.' => DOT,
                _ => FOREIGN,
            };
        }
        byte += 1;
    }
    kinds
};

/// Labels of letters, digits, `-` and `_` with single dots between, up to a colon: how many bytes they take, and whether any letter is
/// upper case. `None` = no name.
fn labels(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut before, mut all, mut twice, mut length) = (DOT, 0, 0, 0);
    for byte in bytes {
        let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(FOREIGN);
        if kind == FOREIGN {
            break;
        }
        (twice, all, before, length) = (twice | (kind & before), all | kind, kind, length + 1);
    }
    let ends = matches!(bytes.get(length), None | Some(b':'));
    (ends && twice & DOT == 0 && before & LABEL != 0).then_some((length, all & UPPER != 0))
}

/// The same of an address of IPv6 in brackets.
fn bracketed(bytes: &[u8]) -> Option<(usize, bool)> {
    let length = memchr::memchr(b']', bytes)? + 1;
    let inside = bytes.get(1..length - 1).and_then(|inside| std::str::from_utf8(inside).ok())?;
    inside.parse::<std::net::Ipv6Addr>().ok()?;
    Some((length, inside.bytes().any(|byte| byte.is_ascii_uppercase())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Option<String> {
        Host::read(text.as_bytes()).map(|host| String::from_utf8(host.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("app.example", "app.example"),
            ("App.Example:8443", "app.example"),
            ("localhost", "localhost"),
            ("a_b-c.example", "a_b-c.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:",
            "a:x",
            "a:123456",
            "a:80:80",
            "app.example@evil.example",
            "app.example,evil.example",
            "app.example/x",
            "a b",
            "a\\b",
            "app.example.",
            ".app.example",
            "a..b",
            "[::1",
            "::1",
            "[x]",
            "[::1]x",
            "é.example",
            "a?b",
            "a#b",
            "a%2e",
            "*.example",
            "a\t",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn methods() {
        let read = |method: &str| Request::read(method.as_bytes(), b"a", b"/", None).is_ok();
        for (method, fine) in [
            ("GET", true),
            ("get", true),
            ("M-SEARCH", true),
            ("CONNECT", false),
            ("", false),
            ("GET /admin", false),
            ("GET,POST", false),
            ("G\u{e9}T", false),
        ] {
            assert_eq!(read(method), fine, "{method}");
        }
        assert!(!read(&"A".repeat(65)));
    }

    #[test]
    fn only_options_is_a_preflight() {
        assert_eq!(Request::read(b"GET", b"a", b"/", Some(b"PUT")).unwrap().preflight_for, None);
        assert_eq!(Request::read(b"OPTIONS", b"a", b"/", Some(b"PUT")).unwrap().preflight_for, Some(&b"PUT"[..]));
    }

    proptest! {
        /// What is accepted is one name that means the same in upper case and with a port.
        #[test]
        fn host_spellings_agree(name in "[a-zA-Z0-9._:@/,\\[\\]-]{0,16}") {
            if let Some(lower) = host(&name) {
                prop_assert_eq!(host(&name.to_ascii_uppercase()), Some(lower.clone()));
                prop_assert_eq!(host(&lower), Some(lower));
            }
        }
    }
}
