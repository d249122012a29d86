//! Trials: a request tried against rules with made-up evidence. Rule tests and `explain` run them.

use std::borrow::Cow;
use std::net::IpAddr;

use super::credential::CredentialKind;
use super::holder::{Grant, Holder};
use super::limit::{Allowance, Exceeded};
use super::network::{Client, Network};
use super::request::Request;
use super::rules::RuleSet;
use super::scopes::ScopeSet;
use super::told::About;
use super::{Denial, Evidence, Judged, Reason, Verdict, decide, withdrawn};

/// A request with what its credential would show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its method.
    pub method: String,
    /// Its host, with or without port.
    pub host: String,
    /// Path and query, raw.
    pub uri: String,
    /// For an OPTIONS request: the method its preflight asks about.
    pub preflight_for: Option<String>,
    /// Where it comes from; `None` = not known.
    pub from: Option<IpAddr>,
    /// What is presented; `None` = nothing.
    pub credential: Option<CredentialKind>,
    /// What becomes of it.
    pub state: CredentialState,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Whose it is.
    pub holder: Attributes,
}

/// Attributes a trial sets; empty = not set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// `subject.uid`
    pub uid: String,
    /// `subject.name`
    pub name: String,
    /// `subject.tenant`
    pub tenant: String,
    /// `subject.role`
    pub role: String,
    /// `key.id`
    pub key_id: String,
}

/// What becomes of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialState {
    /// It is live.
    #[default]
    Live,
    /// It is malformed, forged, unknown or ended.
    Invalid,
    /// It is a ticket that has been used.
    Used,
    /// The store cannot be asked.
    StoreUnavailable,
    /// It is live, and its key may not be used from where the client is.
    Outside,
    /// It is live, and may not pass as often.
    RateLimited,
    /// It is live, and its quota is used up.
    QuotaExceeded,
}

impl CredentialState {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Invalid => "invalid",
            Self::Used => "used",
            Self::StoreUnavailable => "store-unavailable",
            Self::Outside => "outside",
            Self::RateLimited => "rate-limited",
            Self::QuotaExceeded => "quota-exceeded",
        }
    }

    /// The networks that the key may be used from.
    fn networks(self) -> Vec<Network> {
        if self == Self::Outside { vec![Network::NOBODY] } else { Vec::new() }
    }

    /// What becomes of a verdict where a limit is used up: leave to pass is withdrawn. What the rules do not say may be agreed about the key.
    pub fn charged<'r>(self, verdict: Verdict<'r>, judged: &Judged<'r>) -> Verdict<'r> {
        let reason = match self {
            Self::RateLimited => Reason::RateLimited,
            Self::QuotaExceeded => Reason::QuotaExceeded,
            _ => return verdict,
        };
        match verdict {
            Verdict::Allow(permit) if permit.holder.is_some() => {
                let is_quota = reason == Reason::QuotaExceeded;
                let said = judged.limits().map(|limit| limit.allowance).find(|said| matches!(said, Allowance::Quota(_)) == is_quota);
                withdrawn(permit, reason, said.map(|allowance| Exceeded { allowance, retry_after_s: 1 }))
            }
            verdict => verdict,
        }
    }
}

/// Host and URI of a URL, as bytes: whatever a client may send can be tried. The host ends at the first of `/`, `?` and `#`, and a path that is
/// empty is sent as `/` (RFC 3986 §3.2, RFC 9112 §3.2.1). A path alone is asked of `localhost`.
///
/// # Errors
/// Where it is of another scheme.
pub fn split_url(url: &[u8]) -> Result<(&[u8], Cow<'_, [u8]>), &'static str> {
    let schemes = [&b"https://"[..], b"http://", b"wss://", b"ws://"];
    let Some(rest) = schemes.iter().find_map(|scheme| url.strip_prefix(*scheme)) else {
        return match memchr::memmem::find(url, b"://") {
            Some(_) if !url.starts_with(b"/") => Err("a URL begins with http://, https:// or `/`"),
            _ => Ok((b"localhost", url.into())),
        };
    };
    let end = memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
    let (host, uri) = rest.split_at_checked(end).unwrap_or((rest, b""));
    Ok((host, if uri.starts_with(b"/") { uri.into() } else { [b"/", uri].concat().into() }))
}

impl Trial {
    /// A trial of `METHOD URL` with a live access token. The URL is `scheme://host/path?query`, or a path alone (host `localhost`).
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(method: &str, url: &str) -> Result<Self, &'static str> {
        let (host, uri) = split_url(url.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self {
            method: method.to_owned(),
            host: text(host),
            uri: text(&uri),
            preflight_for: None,
            from: None,
            credential: Some(CredentialKind::Token),
            state: CredentialState::Live,
            scopes: ScopeSet::default(),
            holder: Attributes::default(),
        })
    }

    /// The evidence it stands for, given what the rules take.
    pub fn evidence<'e>(&self, judged: &Judged<'_>) -> Evidence<'e> {
        match (self.credential, self.state) {
            (None, _) => Evidence::Nothing,
            (Some(_), CredentialState::Invalid) => Evidence::Invalid("malformed, forged, unknown or ended credential"),
            (Some(kind), _) if !judged.takes(kind) => Evidence::NotTaken(kind),
            (Some(_), CredentialState::Used) => Evidence::UsedTicket,
            (Some(_), CredentialState::StoreUnavailable) => Evidence::Unavailable,
            (Some(kind), state) => Evidence::made(
                Holder {
                    kind,
                    uid: self.holder.uid.clone(),
                    name: self.holder.name.clone(),
                    tenant: self.holder.tenant.clone(),
                    role: self.holder.role.clone(),
                    key_id: self.holder.key_id.clone(),
                    networks: state.networks(),
                    subject: About::default(),
                    key: About::default(),
                    grant: Grant { allow: self.scopes.clone(), deny: ScopeSet::default() },
                },
                None,
            ),
        }
    }

    /// Where it comes from.
    pub fn client<'a>(&self) -> Client<'a> {
        self.from.map_or(Client::NotTold, Client::At)
    }

    /// The request it stands for.
    ///
    /// # Errors
    /// Why it would be refused unjudged.
    pub fn request(&self) -> Result<Request<'_>, super::request::RequestFault> {
        let preflight_for = self.preflight_for.as_deref().map(str::as_bytes);
        let request = Request::read(self.method.as_bytes(), self.host.as_bytes(), self.uri.as_bytes(), preflight_for)?;
        Ok(Request { client: self.client(), ..request })
    }

    /// Tries it.
    pub fn run<'r>(&self, rules: &'r RuleSet) -> Verdict<'r> {
        match self.request() {
            Err(fault) => Verdict::deny(Denial::of_fault(fault)),
            Ok(request) => {
                let judged = Judged::of(rules, &request);
                self.state.charged(decide(&request, &judged, self.evidence(&judged)), &judged)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_ends_where_path_query_or_fragment_begins() {
        for (url, host, uri) in [
            ("https://api.example:8443/a?b#c", "api.example:8443", "/a?b#c"),
            ("https://api.example", "api.example", "/"),
            ("https://api.example?x=1", "api.example", "/?x=1"),
            ("https://api.example?at=/orders", "api.example", "/?at=/orders"),
            ("wss://api.example#top", "api.example", "/#top"),
            ("/a?next=https://other.example/", "localhost", "/a?next=https://other.example/"),
        ] {
            let trial = Trial::parse("GET", url).unwrap();
            assert_eq!((trial.host.as_str(), trial.uri.as_str()), (host, uri), "{url}");
        }
        assert!(Trial::parse("GET", "ftp://api.example/").is_err());
        assert_eq!(split_url(b"https://api.example/\xff").unwrap(), (&b"api.example"[..], b"/\xff"[..].into()), "not only text");
    }
}
