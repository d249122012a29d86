//! Single values: text in, typed value or complaint out.
//!
//! INVARIANT: complaints about values that may hold a secret (store and database addresses) do not repeat them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::problem::Complaint;
use super::{Listen, Network};
use crate::decision::network::NetworkError;
use crate::decision::scopes::Scope;

type Reading<T> = Result<T, Complaint>;

/// Longest duration: ten years.
const LONGEST_DAYS: u64 = 3653;

pub(super) fn text(text: &str) -> Reading<String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Complaint::new("empty, or with control characters in it", "write one line of text"));
    }
    Ok(text.into())
}

pub(super) fn path(text: &str) -> Reading<PathBuf> {
    self::text(text).map(PathBuf::from)
}

pub(super) fn boolean(text: &str) -> Reading<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Complaint::new(format!("`{text}` is neither true nor false"), "write true or false")),
    }
}

/// A whole number between the two, both included.
pub(super) fn number(low: u64, high: u64) -> impl Fn(&str) -> Reading<u64> {
    move |text| match text.parse() {
        Ok(number) if (low..=high).contains(&number) && text.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
        _ => Err(Complaint::new(format!("`{text}` is no whole number from {low} to {high}"), format!("write one from {low} to {high}"))),
    }
}

/// One of these words.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Reading<T> {
    move |text| {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let what_to_do = match super::suggest::nearest(text, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.len() == 1 => format!("write {}", names.concat()),
                None => format!("write one of {}", names.join(", ")),
            };
            Complaint::new(format!("`{text}` is not known here"), what_to_do)
        })
    }
}

/// A number with `ms`, `s`, `m`, `h` or `d`, between the two, both included.
pub(super) fn duration(low: Duration, high: Duration) -> impl Fn(&str) -> Reading<Duration> {
    move |text| {
        let Some(read) = read_duration(text) else {
            return Err(Complaint::new(
                format!("`{text}` is no duration"),
                "write a whole number with its unit, like 100ms, 30s, 60m, 12h or 7d",
            ));
        };
        if (low..=high).contains(&read) {
            Ok(read)
        } else {
            let range = format!("from {} to {}", humantime::format_duration(low), humantime::format_duration(high));
            Err(Complaint::new(format!("`{text}` is out of bounds"), format!("write one {range}")))
        }
    }
}

/// Any duration from one second to ten years.
pub(super) fn lifetime(text: &str) -> Reading<Duration> {
    duration(Duration::from_secs(1), Duration::from_secs(LONGEST_DAYS * 86_400))(text)
}

/// Any duration from one day to ten years.
pub(super) fn days(text: &str) -> Reading<Duration> {
    duration(Duration::from_secs(86_400), Duration::from_secs(LONGEST_DAYS * 86_400))(text)
}

fn read_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

pub(super) fn socket_address(text: &str) -> Reading<SocketAddr> {
    text.parse().map_err(|_| {
        let example = match text.rsplit_once(':') {
            Some(("localhost", port)) => format!("write 127.0.0.1:{port}"),
            Some(("" | "*", port)) => format!("write 0.0.0.0:{port} for every address of this machine, or one of them"),
            _ => "write one like 127.0.0.1:9001 or [::1]:9001".into(),
        };
        Complaint::new(format!("`{text}` is no address and port"), example)
    })
}

pub(super) fn address(text: &str) -> Reading<IpAddr> {
    text.parse().map_err(|_| Complaint::new(format!("`{text}` is no address"), "write one like 192.0.2.7 or 2001:db8::1"))
}

pub(super) fn listen(text: &str) -> Reading<Listen> {
    /// What `sockaddr_un` holds, less the end mark.
    const UNIX_PATH_BYTES: usize = 107;
    let Some(path) = text.strip_prefix("unix:") else {
        return socket_address(text)
            .map(Listen::Tcp)
            .map_err(|complaint| Complaint { what_to_do: complaint.what_to_do + ", or unix:/run/gatepost/nginx.sock", ..complaint });
    };
    if !path.starts_with('/') || path.contains('\0') || path.ends_with('/') {
        return Err(Complaint::new(format!("`{text}` is no unix socket"), "write an absolute path, like unix:/run/gatepost/nginx.sock"));
    }
    if path.len() > UNIX_PATH_BYTES {
        return Err(Complaint::new(format!("a unix socket's path has at most {UNIX_PATH_BYTES} bytes"), "write a shorter one"));
    }
    Ok(Listen::Unix(path.into()))
}

pub(super) fn network(text: &str) -> Reading<Network> {
    text.parse().map_err(|error: NetworkError| {
        let what_to_do = match &error {
            NetworkError::BitsAfterPrefix { address, meant, .. } => format!("write {meant}, or {address} for that one address"),
            NetworkError::Malformed(_) | NetworkError::Prefix { .. } => "write one like 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32".into(),
        };
        Complaint::new(error.to_string(), what_to_do)
    })
}

/// An `http://` or `https://` address without user, query or fragment; without a slash at the end.
pub(super) fn http_url(text: &str) -> Reading<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>@".contains(&b));
    if is_authority(authority) && plain {
        Ok(text.trim_end_matches('/').into())
    } else {
        Err(Complaint::new(format!("`{text}` is no web address"), "write one like https://auth.example.com"))
    }
}

/// `host`, `host:port`, `[v6]:port`.
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", rest.strip_prefix(':').or((rest.is_empty()).then_some("1"))),
        _ => text.split_once(':').map_or((text, Some("1")), |(host, port)| (host, Some(port))),
    };
    is_host_name(host) && port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// Letters, digits, `-` and `_` in parts with `.` between.
pub(super) fn is_host_name(text: &str) -> bool {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(part)
}

pub(super) fn host_name(text: &str) -> Reading<String> {
    if is_host_name(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Complaint::new(format!("`{text}` is no host name"), "write one like example.com, without scheme, port or `*`"))
    }
}

pub(super) fn email_address(text: &str) -> Reading<String> {
    match text.split_once('@') {
        Some((local, host)) if !local.is_empty() && is_host_name(host) && text.bytes().all(|b| b.is_ascii_graphic()) => Ok(text.into()),
        _ => Err(Complaint::new(format!("`{text}` is no e-mail address"), "write one like gatepost@example.com")),
    }
}

/// `ann@example.com` or `Ann <ann@example.com>`.
pub(super) fn mailbox(text: &str) -> Reading<crate::senders::Mailbox> {
    let address = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    email_address(address)?;
    text.parse().map_err(|_| Complaint::new(format!("`{text}` is no e-mail address"), "write one like gatepost@example.com"))
}

pub(super) fn scope(text: &str) -> Reading<Scope> {
    text.parse()
        .map_err(|error: crate::decision::scopes::ScopeError| Complaint::new(error.to_string(), "write one like orders:read or orders:*"))
}

#[cfg(test)]
mod tests;
