//! Trials: a request tried against rules with made-up evidence. Rule tests and `explain` run them.

use std::net::IpAddr;

use super::credential::CredentialKind;
use super::holder::{Grant, Holder};
use super::network::Client;
use super::request::Request;
use super::rules::RuleSet;
use super::scopes::ScopeSet;
use super::told::About;
use super::{Denial, Evidence, Judged, Verdict, decide};

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
}

impl CredentialState {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Invalid => "invalid",
            Self::Used => "used",
            Self::StoreUnavailable => "store-unavailable",
        }
    }
}

impl Trial {
    /// A trial of `METHOD URL` with a live access token. The URL is `scheme://host/path?query`, or a path alone (host `localhost`).
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(method: &str, url: &str) -> Result<Self, &'static str> {
        let (host, uri) = match url.split_once("://") {
            Some(("http" | "https" | "ws" | "wss", rest)) => match rest.find('/') {
                Some(at) => rest.split_at(at),
                None => (rest, "/"),
            },
            Some(_) if !url.starts_with('/') => return Err("a URL begins with http://, https:// or `/`"),
            _ => ("localhost", url),
        };
        Ok(Self {
            method: method.to_owned(),
            host: host.to_owned(),
            uri: uri.to_owned(),
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
            (Some(kind), CredentialState::Live | CredentialState::Used | CredentialState::StoreUnavailable) if !judged.takes(kind) => {
                Evidence::NotTaken(kind)
            }
            (Some(_), CredentialState::Invalid) => Evidence::Invalid("malformed, forged, unknown or ended credential"),
            (Some(_), CredentialState::Used) => Evidence::UsedTicket,
            (Some(_), CredentialState::StoreUnavailable) => Evidence::Unavailable,
            (Some(kind), CredentialState::Live) => Evidence::made(
                Holder {
                    kind,
                    uid: self.holder.uid.clone(),
                    name: self.holder.name.clone(),
                    tenant: self.holder.tenant.clone(),
                    role: self.holder.role.clone(),
                    key_id: self.holder.key_id.clone(),
                    networks: Vec::new(),
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
            Err(fault) => Verdict::Deny(Denial::of_fault(fault)),
            Ok(request) => {
                let judged = Judged::of(rules, &request);
                decide(&request, &judged, self.evidence(&judged))
            }
        }
    }
}
