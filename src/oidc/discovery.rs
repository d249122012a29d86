//! What a provider says of itself: its addresses and its keys, fetched at first use and kept.
//!
//! INVARIANT: what was learnt last stays in force while the provider is away. Nobody waits for a renewal
//! unless what is known is a day old, and nobody waits for a provider that was away a moment ago.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use openidconnect::core::CoreJsonWebKey;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::web::Web;
use super::{Fault, Provider};
use crate::clock::{Clock, UnixMs};

/// What is younger is not asked for again.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// What is older is asked for before it is used.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Not asked again this long after it was away.
const AWAY: Duration = Duration::from_secs(5);
/// Unknown keys make us ask at most this often.
const REFETCH_EVERY: Duration = Duration::from_secs(5 * 60);
/// Where Microsoft writes a tenant's id.
const TENANT: &str = "{tenantid}";
/// Most keys worth keeping.
const KEYS: usize = 100;

/// What is known of a provider.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) issuer: Issuer,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    /// `client_secret_post` and not `client_secret_basic`.
    pub(super) takes_secret_in_body_only: bool,
    /// Promises `iss` in its callbacks (RFC 9207).
    pub(super) says_iss: bool,
    pub(super) keys: Vec<Key>,
    at: UnixMs,
}

/// A key that signs ID tokens.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The one issuer it signs for, where it says so (Microsoft).
    pub(super) issuer: Option<String>,
    pub(super) key: CoreJsonWebKey,
}

/// Who a provider says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Issuer {
    /// This one.
    Exactly(String),
    /// One for each tenant: this with the tenant's id in place of `{tenantid}`.
    Each(String),
}

impl Issuer {
    /// What `iss` must be in a token of tenant `tid`.
    pub(super) fn of_tenant(&self, tid: Option<&str>) -> Option<String> {
        match self {
            Self::Exactly(issuer) => Some(issuer.clone()),
            Self::Each(template) => tid.filter(|tid| is_tenant(tid)).map(|tid| template.replace(TENANT, tid)),
        }
    }

    /// Whether `iss` is it, or of one of its tenants.
    pub(super) fn is(&self, iss: &str) -> bool {
        match self {
            Self::Exactly(issuer) => issuer == iss,
            Self::Each(template) => template.split_once(TENANT).is_some_and(|(before, after)| {
                template == iss || iss.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(is_tenant)
            }),
        }
    }
}

/// A GUID: what stands in place of `{tenantid}` can be nothing that changes the rest of the address.
fn is_tenant(tid: &str) -> bool {
    tid.len() == 36 && tid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// The discovery document, as far as we rely on it.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Asks one provider.
pub(super) struct Discovery {
    issuer: String,
    web: Web,
    clock: Clock,
    known: ArcSwapOption<Known>,
    /// Whoever asks holds it, so that one asks.
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    away: Option<(UnixMs, Fault)>,
    refetched: Option<UnixMs>,
}

impl Discovery {
    pub(super) fn new(provider: &Provider, web: Web, clock: Clock) -> Self {
        Self { issuer: provider.issuer.clone(), web, clock, known: ArcSwapOption::empty(), asked: Mutex::default() }
    }

    /// What is known, asking first where nothing is.
    pub(super) async fn known(self: &Arc<Self>) -> Result<Arc<Known>, Fault> {
        let Some(known) = self.known.load_full() else { return self.ask().await };
        let age = self.clock.now().since(known.at);
        if age >= STALE {
            return Ok(self.ask().await.unwrap_or(known));
        }
        if age >= FRESH && self.asked.try_lock().is_ok() {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.ask().await });
        }
        Ok(known)
    }

    /// Asks, unless somebody has meanwhile, or the provider was away a moment ago.
    async fn ask(&self) -> Result<Arc<Known>, Fault> {
        let mut asked = self.asked.lock().await;
        let now = self.clock.now();
        if let Some(known) = self.known.load_full().filter(|known| now.since(known.at) < FRESH) {
            return Ok(known);
        }
        if let Some((at, fault)) = &asked.away
            && now.since(*at) < AWAY
        {
            return Err(fault.clone());
        }
        self.fetch(&mut asked).await
    }

    /// What is known after asking once more for keys; at most once in five minutes.
    pub(super) async fn refetched(&self) -> Result<Arc<Known>, Fault> {
        let mut asked = self.asked.lock().await;
        let now = self.clock.now();
        let known = self.known.load_full();
        match (asked.refetched, known) {
            (Some(at), Some(known)) if now.since(at) < REFETCH_EVERY => Ok(known),
            _ => {
                asked.refetched = Some(now);
                self.fetch(&mut asked).await
            }
        }
    }

    async fn fetch(&self, asked: &mut Asked) -> Result<Arc<Known>, Fault> {
        match self.read().await {
            Ok(known) => {
                let known = Arc::new(known);
                self.known.store(Some(Arc::clone(&known)));
                asked.away = None;
                Ok(known)
            }
            Err(fault) => {
                tracing::warn!(issuer = %self.issuer, %fault, "an OpenID provider cannot be asked");
                asked.away = Some((self.clock.now(), fault.clone()));
                Err(fault)
            }
        }
    }

    async fn read(&self) -> Result<Known, Fault> {
        let unavailable = |what: String| Fault::Unavailable(what);
        let document = self.web.json(&format!("{}/.well-known/openid-configuration", self.issuer)).await?;
        let document: Document =
            serde_json::from_value(document).map_err(|error| unavailable(format!("its discovery document cannot be read: {error}")))?;
        let issuer = issuer(&self.issuer, &document.issuer)
            .ok_or_else(|| unavailable(format!("it says that it is `{}`; write that as its `issuer`", document.issuer)))?;
        for address in [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri] {
            if !is_safe(&self.issuer, address) {
                return Err(unavailable(format!("`{address}` is no https address")));
            }
        }
        let keys = keys(&self.web.json(&document.jwks_uri).await?);
        if keys.is_empty() {
            return Err(unavailable(format!("`{}` has no key that can be read", document.jwks_uri)));
        }
        let methods = document.token_endpoint_auth_methods_supported.unwrap_or_default();
        let takes = |method: &str| methods.iter().any(|other| other == method);
        Ok(Known {
            issuer,
            authorization_endpoint: document.authorization_endpoint,
            token_endpoint: document.token_endpoint,
            takes_secret_in_body_only: takes("client_secret_post") && !takes("client_secret_basic"),
            says_iss: document.authorization_response_iss_parameter_supported,
            keys,
            at: self.clock.now(),
        })
    }
}

/// What is asked by https is never answered with addresses in the clear.
fn is_safe(issuer: &str, address: &str) -> bool {
    address.starts_with("https://") || (issuer.starts_with("http://") && address.starts_with("http://"))
}

/// What an issuer of tokens says of itself, as far as its keys go.
#[derive(Deserialize)]
struct KeysDocument {
    issuer: String,
    jwks_uri: String,
}

/// Where the keys are of an issuer that says of itself that it is this one, byte for byte: by OpenID Connect Discovery, or else by RFC 8414.
///
/// # Errors
/// Where it says nothing of the kind.
pub(crate) async fn jwks_address(web: &Web, issuer: &str) -> Result<String, String> {
    let [by_discovery, by_rfc_8414] = document_addresses(issuer);
    let document = match web.json(&by_discovery).await {
        Ok(document) => document,
        Err(fault) => web.json(&by_rfc_8414).await.map_err(|other| format!("{fault}; {other}"))?,
    };
    let document: KeysDocument =
        serde_json::from_value(document).map_err(|error| format!("its discovery document cannot be read: {error}"))?;
    if document.issuer != issuer {
        return Err(format!("it says that it is `{}`; write that as its `issuer`", document.issuer));
    }
    if !is_safe(issuer, &document.jwks_uri) {
        return Err(format!("`{}` is no https address", document.jwks_uri));
    }
    Ok(document.jwks_uri)
}

/// Where an issuer's document may be: below its address, or between its host and its path.
fn document_addresses(issuer: &str) -> [String; 2] {
    let base = issuer.trim_end_matches('/');
    let after_scheme = base.find("://").map_or(0, |at| at + 3);
    let path_at = base.get(after_scheme..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| after_scheme + at);
    let (host, path) = base.split_at_checked(path_at).unwrap_or((base, ""));
    [format!("{base}/.well-known/openid-configuration"), format!("{host}/.well-known/oauth-authorization-server{path}")]
}

/// Who the provider at `configured` is, if it may say that it is `said`.
fn issuer(configured: &str, said: &str) -> Option<Issuer> {
    // some end in a slash, which the configuration does not keep
    if said == configured || said.strip_suffix('/') == Some(configured) {
        return Some(Issuer::Exactly(said.to_owned()));
    }
    let shared = ["common", "organizations"].iter().any(|shared| {
        let (from, to) = (format!("/{shared}/"), format!("/{TENANT}/"));
        format!("{configured}/").replacen(&from, &to, 1) == format!("{said}/") && said.matches(TENANT).count() == 1
    });
    shared.then(|| Issuer::Each(said.to_owned()))
}

/// The keys of a set that can be read; others are for somebody else.
fn keys(set: &serde_json::Value) -> Vec<Key> {
    let keys = set.get("keys").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let read = |value: &serde_json::Value| {
        let key = serde_json::from_value(value.clone()).ok()?;
        Some(Key { issuer: value.get("issuer").and_then(serde_json::Value::as_str).map(str::to_owned), key })
    };
    keys.iter().filter_map(read).take(KEYS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TID: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    #[test]
    fn a_provider_is_who_it_was_configured_to_be() {
        let check = |configured: &str, said: &str, expected: Option<Issuer>| assert_eq!(issuer(configured, said), expected, "{said}");
        let exactly = |said: &str| Some(Issuer::Exactly(said.to_owned()));
        check("https://accounts.google.com", "https://accounts.google.com", exactly("https://accounts.google.com"));
        check("https://x.auth0.com", "https://x.auth0.com/", exactly("https://x.auth0.com/"));
        check("https://accounts.google.com", "https://evil.example", None);
        check("https://accounts.google.com", "https://accounts.google.com//", None);
        let microsoft = "https://login.microsoftonline.com/{tenantid}/v2.0";
        for shared in ["common", "organizations"] {
            check(&format!("https://login.microsoftonline.com/{shared}/v2.0"), microsoft, Some(Issuer::Each(microsoft.to_owned())));
        }
        check("https://login.microsoftonline.com/consumers/v2.0", microsoft, None);
        check("https://evil.example/common/v2.0", microsoft, None);
    }

    #[test]
    fn where_documents_are() {
        for (issuer, below, between) in [
            (
                "https://id.example",
                "https://id.example/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.example/t/one/",
                "https://id.example/t/one/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server/t/one",
            ),
        ] {
            assert_eq!(document_addresses(issuer), [below, between]);
        }
    }

    #[test]
    fn an_issuer_for_each_tenant() {
        let each = Issuer::Each("https://login.microsoftonline.com/{tenantid}/v2.0".to_owned());
        let of = format!("https://login.microsoftonline.com/{TID}/v2.0");
        assert_eq!(each.of_tenant(Some(TID)), Some(of.clone()));
        assert!(each.is(&of) && each.is("https://login.microsoftonline.com/{tenantid}/v2.0"));
        for tid in ["", "common", "../evil", "72f988bf-86f1-41af-91ab-2d7cd011db4/", "72f988bf-86f1-41af-91ab-2d7cd011db477"] {
            assert_eq!(each.of_tenant(Some(tid)), None, "{tid}");
            assert!(!each.is(&format!("https://login.microsoftonline.com/{tid}/v2.0")), "{tid}");
        }
        assert_eq!(each.of_tenant(None), None);
        assert!(!each.is("https://evil.example"));
    }
}
