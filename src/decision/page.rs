//! The page: what a browser says of where a request comes from, and what for.
//!
//! A browser sends its cookies whoever wrote the page that asks, so a session counts for what changes something only
//! where a page of the same host asks. Whoever says nothing is not believed.

use super::cookies::Domains;
use super::credential::Carrier;
use super::request::Host;

/// What the request's headers say of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Page<'a> {
    /// `Sec-Fetch-Site`
    pub site: Carrier<'a>,
    /// `Sec-Fetch-Mode`
    pub mode: Carrier<'a>,
    /// `Origin`
    pub origin: Carrier<'a>,
    /// `Accept`
    pub accept: Accept<'a>,
    /// Whether the connection is to become another (WebSocket): a GET that is no reading.
    pub upgrade: bool,
    /// Whether the proxy says that it was asked without TLS.
    pub in_the_clear: bool,
    /// The original host with the port that the proxy tells, if it tells one.
    pub authority: &'a [u8],
}

/// The lines of `Accept`, which count together (RFC 9110 §5.3). The first is looked into when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accept<'a> {
    first: Option<&'a [u8]>,
    another_names_html: bool,
}

impl<'a> Accept<'a> {
    /// Those of a request, in order.
    pub fn of(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut lines = lines.into_iter();
        Self { first: lines.next(), another_names_html: lines.any(names_html) }
    }

    fn names_html(&self) -> bool {
        self.another_names_html || self.first.is_some_and(names_html)
    }
}

fn names_html(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"text/html").is_some()
}

impl Page<'_> {
    /// Whether a person asks for a page: a refusal may then be an invitation to log in.
    pub fn is_navigation(&self) -> bool {
        !self.upgrade
            && match self.mode {
                Carrier::Once(mode) => mode == b"navigate",
                Carrier::Absent => self.accept.names_html(),
                Carrier::Doubled => false,
            }
    }

    /// Whether a session may stand for this request: it changes nothing, or a page of the same host asks. Where a configured domain
    /// covers the host, any page of that domain.
    pub fn may_use_session(&self, method: &[u8], host: &Host<'_>, domains: &Domains) -> bool {
        let reads = matches!(method, b"GET" | b"HEAD") && !self.upgrade;
        reads || self.is_of(host, domains)
    }

    fn is_of(&self, host: &Host<'_>, domains: &Domains) -> bool {
        match self.site {
            Carrier::Once(b"same-origin") => true,
            // a domain may be narrower than what browsers call a site
            Carrier::Once(b"same-site") => match domains.covering(host.as_bytes()) {
                None => false,
                Some(domain) => match self.origin {
                    Carrier::Absent => true,
                    Carrier::Once(origin) => {
                        origin_host(origin).is_some_and(|(_, from, _)| domains.covering(from.as_bytes()) == Some(domain))
                    }
                    Carrier::Doubled => false,
                },
            },
            Carrier::Once(_) | Carrier::Doubled => false,
            // WebSockets and older browsers send no more than this
            Carrier::Absent => self.origin.once().is_some_and(|origin| self.is_origin(origin, host)),
        }
    }

    /// Whether `Origin` names the original request's own origin.
    fn is_origin(&self, origin: &[u8], host: &Host<'_>) -> bool {
        let Some((https, from, port)) = origin_host(origin) else { return false };
        // the cookie is `Secure`: in the clear it lives on this machine only
        let is_right_scheme = https || (self.in_the_clear && matches!(host.as_bytes(), b"localhost" | b"127.0.0.1" | b"[::1]"));
        // where the proxy tells no port, any: cookies know none (RFC 6265 §8.5), so a page at another port of this host has ours anyway
        let is_right_port = port_of(self.authority).is_none_or(|own| number(own, https) == number(port.unwrap_or_default(), https));
        is_right_scheme && from == *host && is_right_port
    }
}

/// Scheme, host and port of an `Origin`. `None` = `null`, or none.
fn origin_host(origin: &[u8]) -> Option<(bool, Host<'_>, Option<&[u8]>)> {
    let (https, authority) = match origin.strip_prefix(b"https://") {
        Some(authority) => (true, authority),
        None => (false, origin.strip_prefix(b"http://")?),
    };
    Some((https, Host::read(authority)?, port_of(authority)))
}

/// The digits after the host.
fn port_of(authority: &[u8]) -> Option<&[u8]> {
    let at = memchr::memrchr(b':', authority)?;
    let digits = authority.get(at + 1..)?;
    digits.iter().all(u8::is_ascii_digit).then_some(digits)
}

/// A port by its digits; the scheme's own where there are none.
fn number(digits: &[u8], https: bool) -> Option<u16> {
    match digits {
        [] => Some(if https { 443 } else { 80 }),
        digits => std::str::from_utf8(digits).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(text: &'static str) -> Carrier<'static> {
        match text {
            "" => Carrier::Absent,
            "2" => Carrier::Doubled,
            text => Carrier::Once(text.as_bytes()),
        }
    }

    /// Whether a session stands for `method` on app.example.com with these `Sec-Fetch-Site` and `Origin`.
    fn may(method: &str, site: &'static str, origin: &'static str, domains: &[&str]) -> bool {
        let domains = Domains::new(domains.iter().map(|domain| (*domain).to_owned()).collect());
        let page = Page { site: once(site), origin: once(origin), authority: b"app.example.com", ..Page::default() };
        page.may_use_session(method.as_bytes(), &Host::read(b"app.example.com").unwrap(), &domains)
    }

    #[test]
    fn what_changes_nothing_needs_no_page() {
        for site in ["", "2", "cross-site", "same-site", "none", "same-origin"] {
            assert!(may("GET", site, "https://evil.example", &[]));
            assert!(may("HEAD", site, "null", &[]));
        }
    }

    #[test]
    fn what_changes_something_needs_a_page_of_the_same_host() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "PROPFIND"] {
            for (site, origin, expected) in [
                ("same-origin", "", true),
                ("same-origin", "https://app.example.com", true),
                ("same-origin", "null", true),
                ("same-site", "https://other.example.com", false),
                ("cross-site", "https://app.example.com", false),
                ("cross-site", "", false),
                ("none", "", false),
                ("Same-Origin", "", false),
                ("same-origin, cross-site", "", false),
                ("2", "https://app.example.com", false),
                ("", "", false),
                ("", "https://app.example.com", true),
                ("", "https://app.example.com:443", true),
                ("", "http://app.example.com", false),
                ("", "https://other.example.com", false),
                ("", "https://app.example.com.evil.example", false),
                ("", "https://app.example.com@evil.example", false),
                ("", "https://app.example.com/", false),
                ("", "null", false),
                ("", "2", false),
                ("", "app.example.com", false),
            ] {
                assert_eq!(may(method, site, origin, &[]), expected, "{method} {site} {origin}");
            }
        }
    }

    #[test]
    fn with_a_domain_any_page_of_it() {
        for (site, origin, domains, expected) in [
            ("same-site", "", &["example.com"][..], true),
            ("same-site", "https://other.example.com", &["example.com"], true),
            ("same-site", "https://example.com", &["example.com"], true),
            ("same-site", "null", &["example.com"], false),
            ("same-site", "2", &["example.com"], false),
            ("same-site", "https://evil.example", &["example.com"], false),
            ("same-site", "https://other.example.com", &["app.example.com"], false),
            ("same-site", "https://other.test", &["example.com", "other.test"], false),
            ("same-site", "https://other.example.com", &["other.test"], false),
            ("cross-site", "https://other.example.com", &["example.com"], false),
            ("", "https://other.example.com", &["example.com"], false),
        ] {
            assert_eq!(may("POST", site, origin, domains), expected, "{site} {origin} {domains:?}");
        }
    }

    #[test]
    fn an_upgrade_is_no_reading() {
        let host = Host::read(b"app.example.com").unwrap();
        let page = |origin| Page { upgrade: true, origin: once(origin), authority: b"app.example.com", ..Page::default() };
        assert!(page("https://app.example.com").may_use_session(b"GET", &host, &Domains::default()));
        for origin in ["", "https://evil.example", "null"] {
            assert!(!page(origin).may_use_session(b"GET", &host, &Domains::default()), "{origin}");
        }
    }

    #[test]
    fn ports_and_schemes() {
        for (authority, in_the_clear, origin, expected) in [
            ("app.example:8443", false, "https://app.example:8443", true),
            ("app.example:8443", false, "https://app.example", false),
            ("app.example:443", false, "https://app.example", true),
            ("app.example", false, "https://app.example:8443", true),
            ("app.example", true, "http://app.example", false),
            ("localhost:8081", true, "http://localhost:8081", true),
            ("localhost:8081", true, "http://localhost:8082", false),
            ("localhost", true, "http://localhost:8082", true),
            ("localhost:8081", false, "http://localhost:8081", false),
            ("[::1]:8081", true, "http://[::1]:8081", true),
        ] {
            let page = Page { origin: once(origin), authority: authority.as_bytes(), in_the_clear, ..Page::default() };
            let host = Host::read(authority.as_bytes()).unwrap();
            assert_eq!(page.may_use_session(b"POST", &host, &Domains::default()), expected, "{authority} {origin}");
        }
    }

    #[test]
    fn navigation() {
        for (mode, takes_html, upgrade, expected) in [
            ("navigate", true, false, true),
            ("navigate", false, false, true),
            ("cors", true, false, false),
            ("websocket", true, true, false),
            ("navigate", true, true, false),
            ("2", true, false, false),
            ("", true, false, true),
            ("", false, false, false),
        ] {
            let accept = Accept::of([if takes_html { b"text/html,*/*;q=0.8".as_slice() } else { b"application/json" }]);
            let page = Page { mode: once(mode), accept, upgrade, ..Page::default() };
            assert_eq!(page.is_navigation(), expected, "{mode} {takes_html} {upgrade}");
        }
    }
}
