//! Claims: what a token of another issuer must say before its signature is worth looking at.

use serde_json::{Map, Value};

use super::{Fault, Issuer};
use crate::clock::UnixMs;
use crate::decision::scopes::{Scope, ScopeSet};
use crate::oidc::claim;

/// How far an issuer's clock may be ahead of ours. Behind, its tokens end early, and nothing more.
const SKEW_S: u64 = 60;
/// Longest `sub`, `jti` and tenant: what headers and columns carry.
const TEXT_BYTES: usize = 255;

/// What a token says of itself.
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) token: Option<String>,
    pub(super) tenant: String,
    pub(super) scopes: ScopeSet,
    pub(super) ends: UnixMs,
}

/// Reads the claims of a token whose `iss` is this issuer's.
pub(super) fn read(said: &Map<String, Value>, settings: &Issuer, now: UnixMs) -> Result<Claims, Fault> {
    let refused = |why| Err(Fault::Refused(why));
    let is_ours = |audience: &Value| audience.as_str().is_some_and(|audience| settings.audiences.iter().any(|ours| ours == audience));
    let is_for_us = match said.get("aud") {
        Some(Value::Array(several)) => several.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    };
    if !is_for_us {
        return refused("the token is not meant for here (`aud`)");
    }
    let Some(ends) = seconds(said.get("exp")).flatten() else { return refused("the token does not say when it ends (`exp`)") };
    if ends <= now.seconds() {
        return refused("the token has expired");
    }
    for name in ["nbf", "iat"] {
        match seconds(said.get(name)) {
            None => return refused("the token says a time that is none"),
            Some(Some(from)) if from > now.seconds().saturating_add(SKEW_S) => {
                return Err(Fault::NotYet("the token is not valid yet"));
            }
            Some(_) => {}
        }
    }
    // whoever presents it would have to prove that a key is theirs (RFC 7800), which is not asked here
    if said.contains_key("cnf") {
        return refused("the token is bound to a key (`cnf`), and as a bearer token good for nothing");
    }
    let Some(Some(subject)) = text(said.get("sub")) else { return refused("the token says of nobody whose it is (`sub`)") };
    let Some(token) = text(said.get("jti")) else { return refused("the token's `jti` is no text of 1 to 255 visible characters") };
    let tenant = settings.tenant_claim.as_deref().map(|name| text(claim(said, name)));
    let Some(tenant) = tenant.unwrap_or(Some(None)) else { return refused("the token's tenant is no text of 1 to 255 visible characters") };
    let Some(scopes) = scopes(claim(said, &settings.scope_claim)) else { return refused("the token's scopes cannot be read") };
    let (subject, token, tenant) = (subject.to_owned(), token.map(str::to_owned), tenant.unwrap_or_default().to_owned());
    Ok(Claims { subject, token, tenant, scopes, ends: UnixMs(ends.saturating_mul(1000)) })
}

/// A time, in whole seconds; the outer `None` = what stands there is none.
#[expect(clippy::option_option, reason = "absent and wrong differ")]
fn seconds(value: Option<&Value>) -> Option<Option<u64>> {
    let Some(value) = value else { return Some(None) };
    let number = value.as_number()?;
    // fractions of a second may stand there (RFC 7519 §2); what is left of them is not lived in
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and below")]
    let floor = |float: f64| (0.0..1e15).contains(&float).then_some(float as u64);
    number.as_u64().or_else(|| number.as_f64().and_then(floor)).map(Some)
}

/// A text that headers carry; the outer `None` = what stands there is none.
#[expect(clippy::option_option, reason = "absent and wrong differ")]
fn text(value: Option<&Value>) -> Option<Option<&str>> {
    let Some(value) = value else { return Some(None) };
    let text = value.as_str()?;
    ((1..=TEXT_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())).then_some(Some(text))
}

/// What of the named scopes a rule could demand. A wildcard is none here: what it would cover is ours to say, not another issuer's.
/// `None` = neither a text nor a list of texts, or more than a token may hold.
fn scopes(value: Option<&Value>) -> Option<ScopeSet> {
    let names: Vec<&str> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(names)) => names.split(' ').collect(),
        Some(Value::Array(names)) => names.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    ScopeSet::new(names.into_iter().filter_map(|name| name.parse().ok()).filter(|scope: &Scope| !scope.is_wildcard())).ok()
}
