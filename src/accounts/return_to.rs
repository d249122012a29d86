//! Where a browser goes after its login: an address that was checked, never one that a stranger chose.
//!
//! What is not plainly an own page or a page of a configured host becomes the start page. Nothing is mended: an
//! address that two programs could read as two hosts is none (CVE-2020-5233, -4037, -11053, CVE-2026-81509).
//!
//! INVARIANT: the text of a [`ReturnTo`] means the same host to every browser as it did to us: it is written again from its checked parts.

use std::fmt;

/// Longest address, in bytes.
const LONGEST: usize = 2048;
/// Hosts that are this machine: browsers keep `Secure` cookies for them without TLS.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Which hosts a login may return to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReturnRules {
    /// `admin.public_url`: where the login pages are, as browsers see them.
    pub public_url: Option<String>,
    /// `sessions.domains`: each covers itself and its subdomains. None lies below another.
    pub domains: Vec<String>,
    /// `sessions.return_hosts`: exact.
    pub hosts: Vec<String>,
}

/// A place on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Whether by TLS; without it only on this machine.
    pub https: bool,
    /// In lower case, without port.
    pub host: String,
    /// Where it is written.
    pub port: Option<u16>,
}

/// A checked return address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReturnTo {
    /// The start page.
    #[default]
    Start,
    /// Path and query of a page where the login pages are.
    Own(String),
    /// Path and query of a page of another host.
    Elsewhere(Site, String),
}

impl ReturnRules {
    /// The domain that covers this host.
    pub fn domain_of(&self, host: &str) -> Option<&str> {
        let covers = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        self.domains.iter().map(String::as_str).find(|domain| covers(domain))
    }

    /// Where the login pages are.
    pub fn own_site(&self) -> Option<Site> {
        self.public_url.as_deref().and_then(split).map(|(site, _)| site)
    }

    /// Whether a session may be carried to this host.
    pub fn allows(&self, host: &str) -> bool {
        self.hosts.iter().any(|allowed| allowed == host) || self.domain_of(host).is_some()
    }
}

impl ReturnTo {
    /// The address that `text` spells; the start page where it may not be returned to.
    pub fn parse(text: &str, rules: &ReturnRules) -> Self {
        Self::checked(text, rules).unwrap_or_default()
    }

    fn checked(text: &str, rules: &ReturnRules) -> Option<Self> {
        // a fragment stays in the browser and means nothing here
        let text = text.split('#').next().unwrap_or_default();
        if text.len() > LONGEST || !text.bytes().all(is_plain) {
            return None;
        }
        if text.starts_with('/') {
            // `//host` and `/\host` are hosts to a browser; `/..//host` is one to whoever cleans paths
            let path = text.split('?').next().unwrap_or_default();
            let is_own = !path.contains("//") && !path.contains("/.");
            return is_own.then(|| if text == "/" { Self::Start } else { Self::Own(text.to_owned()) });
        }
        let (site, target) = split(text)?;
        if rules.own_site().is_some_and(|own| own == site) {
            return Self::checked(&target, rules);
        }
        (rules.allows(&site.host) || rules.own_site().is_some_and(|own| own.host == site.host)).then_some(Self::Elsewhere(site, target))
    }

    /// The other site, where it is one.
    pub fn site(&self) -> Option<&Site> {
        match self {
            Self::Elsewhere(site, _) => Some(site),
            Self::Start | Self::Own(_) => None,
        }
    }
}

/// Parses to the same address again; `/` for the start page.
impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("/"),
            Self::Own(target) => f.write_str(target),
            Self::Elsewhere(site, target) => write!(f, "{site}{target}"),
        }
    }
}

/// As an origin: scheme, host and, where it is written, port.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.https { "https://" } else { "http://" })?;
        f.write_str(&self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Site and target of an absolute address.
fn split(text: &str) -> Option<(Site, String)> {
    let (https, rest) = match text.split_once("://")? {
        ("https", rest) => (true, rest),
        ("http", rest) => (false, rest),
        _ => return None,
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        None => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let usual = if https { 443 } else { 80 };
            Some(digits.parse::<u16>().ok().filter(|port| *port != 0)?).filter(|port| *port != usual)
        }
        Some(_) => return None,
    };
    let host = host.to_ascii_lowercase();
    // the cookies are `Secure`: without TLS they live on this machine only
    if !is_host(&host) || !(https || LOOPBACK.contains(&host.as_str())) {
        return None;
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Some((Site { https, host, port }, format!("{slash}{target}")))
}

/// Visible ASCII that no browser reads as something else: a `\` is a slash to them, a tab is nothing.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte)
}

/// A name in labels, or this machine's IPv6 address. No user, no percent, no dot at the end.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    host == "[::1]" || (host.len() <= 253 && host.split('.').all(label))
}

/// Whether this host is this machine.
pub fn is_loopback(host: &str) -> bool {
    LOOPBACK.contains(&host)
}

#[cfg(test)]
mod tests;
