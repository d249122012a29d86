//! Keys that this version reads and checks, but does nothing with: OpenID Connect.
//!
//! They warn, so that nobody waits for what does not come. A key whose absence would open
//! something is never among them: it is a problem where it stands.

use std::path::Path;

use secrecy::SecretString;

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{secret, values};

/// An OpenID Connect provider.
#[derive(Debug, Clone)]
pub struct OidcProvider {
    /// As in its routes: `/v1/oidc/{name}/login`.
    pub name: String,
    /// Its address.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// How we show it.
    pub client_secret: SecretString,
    /// E-mail domains that count; empty = every one.
    pub allowed_domains: Vec<String>,
}

/// Warns that what is written here does nothing.
pub(super) fn without_effect(field: &Field<'_>) {
    field.warning(Complaint::new("has no effect in this version", "nothing to do: it begins to work with a later one"));
}

pub(super) fn oidc(field: &Field<'_>, data: Option<&Path>) -> Option<Vec<OidcProvider>> {
    let providers: Vec<_> = field.named().into_iter().map(|(name, at)| provider(name, &at, data)).collect();
    if !providers.is_empty() {
        without_effect(field);
    }
    providers.into_iter().collect()
}

fn provider(name: &str, field: &Field<'_>, data: Option<&Path>) -> Option<OidcProvider> {
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') || name.len() > 32 {
        field.problem(Complaint::new("a provider's name is part of an address", "write at most 32 of a-z, 0-9 and `-`"));
    }
    field.mapping(&["issuer", "client_id", "client_secret", "allowed_domains"]);
    let issuer = field.key("issuer").need(values::http_url);
    let client_id = field.key("client_id").need(values::text);
    let at = field.key("client_secret");
    if at.shape() == Shape::Absent {
        at.missing("write { env: NAME } or { file: PATH }");
    }
    let client_secret = secret::text(&at, data);
    let domains: Vec<_> = field.key("allowed_domains").items().iter().map(|item| item.read(values::host_name)).collect();
    Some(OidcProvider {
        name: name.into(),
        issuer: issuer?,
        client_id: client_id?,
        client_secret: client_secret?,
        allowed_domains: domains.into_iter().collect::<Option<_>>()?,
    })
}
