//! OpenID Connect providers.

use std::path::Path;

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{AdminConfig, ClaimGrant, OidcProvider, ProviderKind, secret, values};

/// What is asked for besides `openid` where nothing is written.
const SCOPES: [&str; 2] = ["email", "profile"];
/// Most providers, so that a login page stays one.
const PROVIDERS: usize = 20;

pub(super) fn oidc(field: &Field<'_>, data: Option<&Path>) -> Option<Vec<OidcProvider>> {
    let named = field.named();
    if named.len() > PROVIDERS {
        field.problem(Complaint::new(format!("more than {PROVIDERS} providers"), "take some out"));
    }
    let providers: Vec<_> = named.into_iter().map(|(name, at)| provider(name, &at, data)).collect();
    let providers: Vec<OidcProvider> = providers.into_iter().collect::<Option<_>>()?;
    for (n, one) in providers.iter().enumerate() {
        // people are known by issuer and subject: two names for one issuer would be two rules for one person
        if let Some(other) = providers.iter().take(n).find(|other| other.issuer == one.issuer) {
            let at = field.key(&one.name);
            at.key("issuer").problem(Complaint::new(format!("`{}` has this issuer, too", other.name), "keep one of them"));
        }
    }
    Some(providers)
}

/// Providers send browsers back to one address, which must be known and be a place where our cookies live.
pub(super) fn check_address(root: &Field<'_>, admin: &AdminConfig, providers: Option<&[OidcProvider]>) {
    if providers.is_none_or(<[OidcProvider]>::is_empty) {
        return;
    }
    let section = root.key("admin");
    let at = section.key("public_url");
    match &admin.public_url {
        Some(address) if !is_safe(address) => at.problem(Complaint::new(
            "with a provider in `oidc` people come back here with their logins, in the clear",
            "write the https address",
        )),
        None if !admin.listen.ip().is_loopback() => {
            at.missing("providers in `oidc` send people back to it: write the address of this listener as browsers see it");
        }
        _ => {}
    }
}

fn provider(name: &str, field: &Field<'_>, data: Option<&Path>) -> Option<OidcProvider> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') || name.len() > 32 {
        field.problem(Complaint::new("a provider's name is part of an address", "write 1 to 32 of a-z, 0-9 and `-`"));
    }
    field.mapping(&["issuer", "client_id", "client_secret", "kind", "label", "scopes", "allowed_domains", "link_verified_email", "grants"]);
    let issuer = field.key("issuer").need(issuer);
    let client_id = field.key("client_id").need(values::text);
    let at = field.key("client_secret");
    if at.shape() == Shape::Absent {
        at.missing("write { env: NAME } or { file: PATH }");
    }
    let client_secret = secret::text(&at, data);
    let kinds = [("google", ProviderKind::Google), ("microsoft", ProviderKind::Microsoft), ("other", ProviderKind::Other)];
    let kind = or(&field.key("kind"), issuer.as_deref().map(usual_kind), values::one_of(&kinds));
    let label = or(&field.key("label"), kind.map(|kind| usual_label(kind, name)), values::text);
    let scopes_at = field.key("scopes");
    let scopes: Option<Vec<String>> = match scopes_at.shape() {
        Shape::Absent => Some(SCOPES.map(str::to_owned).to_vec()),
        _ => scopes_at.items().iter().map(|item| item.read(scope)).collect::<Vec<_>>().into_iter().collect(),
    };
    let domains: Vec<_> = field.key("allowed_domains").items().iter().map(|item| item.read(values::host_name)).collect();
    let link_verified_email = or(&field.key("link_verified_email"), Some(false), values::boolean);
    let grants: Vec<_> = field.key("grants").items().iter().map(grant).collect();
    if let (Some(kind), Some(issuer)) = (kind, &issuer)
        && !grants.is_empty()
        && is_shared(kind, issuer)
    {
        field.key("grants").problem(Complaint::new(
            "every organization's people log in by this issuer, and each organization chooses its claims",
            "name your tenant in issuer, like https://login.microsoftonline.com/TENANT-ID/v2.0",
        ));
    }
    Some(OidcProvider {
        name: name.into(),
        label: label?,
        kind: kind?,
        issuer: issuer?,
        client_id: client_id?,
        client_secret: client_secret?,
        scopes: scopes?,
        allowed_domains: domains.into_iter().collect::<Option<_>>()?,
        link_verified_email: link_verified_email?,
        grants: grants.into_iter().collect::<Option<_>>()?,
    })
}

/// Whether an issuer stands for more than one tenant of Microsoft's.
fn is_shared(kind: ProviderKind, issuer: &str) -> bool {
    let microsoft = [kind, usual_kind(issuer)].iter().any(|kind| matches!(kind, ProviderKind::Microsoft));
    microsoft && issuer.split('/').any(|segment| ["common", "organizations"].contains(&segment))
}

/// What is written, or else this.
fn or<T>(field: &Field<'_>, otherwise: Option<T>, read: impl Fn(&str) -> Result<T, Complaint>) -> Option<T> {
    if field.shape() == Shape::Absent && !field.is_written() { otherwise } else { field.read(read) }
}

fn grant(field: &Field<'_>) -> Option<ClaimGrant> {
    field.mapping(&["claim", "value", "policy"]);
    let (claim, value, policy) =
        (field.key("claim").need(values::text), field.key("value").need(values::text), field.key("policy").need(values::text));
    Some(ClaimGrant { claim: claim?, value: value?, policy: policy? })
}

/// An issuer.
fn issuer(text: &str) -> Result<String, Complaint> {
    let address = values::http_url(text)?;
    if !is_safe(&address) {
        return Err(Complaint::new(format!("whoever is between us and `{text}` could be anybody"), "write an https address"));
    }
    if address.len() > 255 { Err(Complaint::new("an issuer has at most 255 bytes", "write its address")) } else { Ok(address) }
}

/// By https, or on this machine.
pub(super) fn is_safe(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else { return true };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| if port.ends_with(']') { authority } else { host });
    ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}

fn scope(text: &str) -> Result<String, Complaint> {
    let is_token = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if !text.is_empty() && text.bytes().all(is_token) {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(format!("`{text}` is no scope of a provider"), "write names like email or profile"))
    }
}

fn usual_kind(issuer: &str) -> ProviderKind {
    let host = issuer.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    match host {
        "accounts.google.com" => ProviderKind::Google,
        "login.microsoftonline.com" | "login.microsoftonline.us" | "login.partner.microsoftonline.cn" | "sts.windows.net" => {
            ProviderKind::Microsoft
        }
        _ => ProviderKind::Other,
    }
}

fn usual_label(kind: ProviderKind, name: &str) -> String {
    match kind {
        ProviderKind::Google => "Google".to_owned(),
        ProviderKind::Microsoft => "Microsoft".to_owned(),
        ProviderKind::Other => name.to_owned(),
    }
}
