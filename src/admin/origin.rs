//! Where a request comes from: the client's address, and whether it is plainly of this machine.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

use super::Network;
use crate::accounts::Origin;

const X_FORWARDED: &str = "x-forwarded-";
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// Headers that proxies add besides `X-Forwarded-*`.
const FORWARDING: [&str; 6] = ["forwarded", "x-real-ip", "via", "x-client-ip", "true-client-ip", "cf-connecting-ip"];

/// The origin of a request that came over a connection from `peer`.
pub(super) fn origin(peer: IpAddr, headers: &HeaderMap, uri: &Uri, trusted: &[Network]) -> Origin {
    let peer = peer.to_canonical();
    Origin { address: client(peer, headers, trusted), local: is_local(peer, headers, uri) }
}

/// Read from the right, `X-Forwarded-For` is believed as far as trusted proxies wrote it.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let lines: Vec<&str> = headers.get_all(X_FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut client = peer;
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(client) {
            break;
        }
        // what a trusted proxy passed on unread is not believed
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

/// Whether the request plainly comes from a program or page of this machine. A forwarding header may hide a stranger
/// behind a local proxy, another `Host` a stranger's page by DNS rebinding, another `Origin` a stranger's page directly.
fn is_local(peer: IpAddr, headers: &HeaderMap, uri: &Uri) -> bool {
    let forwarded = headers.keys().any(|name| name.as_str().starts_with(X_FORWARDED) || FORWARDING.contains(&name.as_str()));
    let mut hosts = headers.get_all(HOST).iter();
    let one_local_host = match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) => is_local_host(host),
        _ => false,
    };
    let target_is_local = uri.authority().is_none_or(|authority| is_local_host(authority.as_str()));
    let page_is_local = headers.get_all(ORIGIN).iter().all(|page| {
        let host = page.to_str().ok().and_then(|page| page.strip_prefix("http://").or_else(|| page.strip_prefix("https://")));
        host.is_some_and(is_local_host)
    });
    peer.is_loopback() && !forwarded && one_local_host && target_is_local && page_is_local
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port or none.
fn is_local_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| match host.strip_prefix(local) {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn local(peer: &str, lines: &[(&'static str, &str)]) -> bool {
        origin(peer.parse().unwrap(), &headers(lines), &Uri::from_static("/v1/register"), &[]).local
    }

    #[test]
    fn plainly_local() {
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000"] {
            assert!(local("127.0.0.1", &[("host", host)]), "{host}");
        }
        assert!(local("::1", &[("host", "localhost")]));
        assert!(local("::ffff:127.0.0.1", &[("host", "localhost"), ("origin", "http://localhost:8000")]));
    }

    #[test]
    fn not_plainly_local() {
        type Lines<'a> = &'a [(&'static str, &'a str)];
        let cases: &[(&str, Lines<'_>)] = &[
            ("192.0.2.1", &[("host", "localhost")]),
            ("0.0.0.0", &[("host", "localhost")]),
            ("127.0.0.1", &[]),
            ("127.0.0.1", &[("host", "auth.example.com")]),
            ("127.0.0.1", &[("host", "localhost.example.com")]),
            ("127.0.0.1", &[("host", "127.0.0.1.nip.io")]),
            ("127.0.0.1", &[("host", "127.0.0.2")]),
            ("127.0.0.1", &[("host", "::1")]),
            ("127.0.0.1", &[("host", "localhost:")]),
            ("127.0.0.1", &[("host", "localhost:80x")]),
            ("127.0.0.1", &[("host", "localhost"), ("host", "localhost")]),
            ("127.0.0.1", &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")]),
            ("127.0.0.1", &[("host", "localhost"), ("x-forwarded-anything", "")]),
            ("127.0.0.1", &[("host", "localhost"), ("forwarded", "for=127.0.0.1")]),
            ("127.0.0.1", &[("host", "localhost"), ("x-real-ip", "127.0.0.1")]),
            ("127.0.0.1", &[("host", "localhost"), ("origin", "https://evil.example")]),
            ("127.0.0.1", &[("host", "localhost"), ("origin", "null")]),
        ];
        for (peer, lines) in cases {
            assert!(!local(peer, lines), "{peer} {lines:?}");
        }
        let absolute = Uri::from_static("http://auth.example.com/v1/register");
        assert!(!origin("127.0.0.1".parse().unwrap(), &headers(&[("host", "localhost")]), &absolute, &[]).local);
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let trusted = ["10.0.0.0/8", "fd00::/64"].map(|network| network.parse::<Network>().unwrap());
        let check = |peer: &str, lines: &[&str], expected: &str| {
            let lines: Vec<_> = lines.iter().map(|line| (X_FORWARDED_FOR, *line)).collect();
            let found = origin(peer.parse().unwrap(), &headers(&lines), &Uri::from_static("/"), &trusted).address;
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        };
        check("192.0.2.1", &["198.51.100.1"], "192.0.2.1");
        check("10.1.2.3", &["198.51.100.1"], "198.51.100.1");
        check("fd00::1", &["203.0.113.9, 198.51.100.1, 10.0.0.1"], "198.51.100.1");
        check("10.1.2.3", &["203.0.113.9", "198.51.100.1"], "198.51.100.1");
        check("10.1.2.3", &["203.0.113.9, unknown"], "10.1.2.3");
        check("10.1.2.3", &["203.0.113.9, , 10.0.0.1"], "10.0.0.1");
        check("10.1.2.3", &[], "10.1.2.3");
    }
}
