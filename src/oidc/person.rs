//! Who came from a provider: the claims of a proved ID token, as far as this provider's word counts.

use serde_json::{Map, Value};

use super::{ClaimGrant, Provider, ProviderKind};

/// Longest issuer and subject (OpenID Connect Core §2).
const ID_BYTES: usize = 255;
/// Google's consumer accounts, which belong to no organisation.
const CONSUMERS: [&str; 2] = ["gmail.com", "googlemail.com"];

/// Somebody whom a provider knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// `iss`: with `sub`, who it is. Never the e-mail, which may be given to somebody else.
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// Folded; only where this provider has verified it.
    pub email: Option<String>,
    /// Google's `hd`, folded.
    organisation: Option<String>,
    claims: Map<String, Value>,
}

impl Person {
    /// Reads proved claims.
    ///
    /// # Errors
    /// Where they name nobody.
    pub(super) fn of(kind: ProviderKind, claims: Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        // spaces at the end: MySQL takes `a` and `a ` for one
        let is_id = |id: &&str| (1..=ID_BYTES).contains(&id.len()) && id.trim_end().len() == id.len();
        let id = |name: &str| text(name).filter(is_id).map(str::to_owned);
        let issuer = id("iss").ok_or("no issuer of 1 to 255 bytes")?;
        let subject = id("sub").ok_or("no subject of 1 to 255 bytes")?;
        let is_verified = match kind {
            // without it, an e-mail is whatever the tenant's administrator wrote (the nOAuth attack)
            ProviderKind::Microsoft => is_true(claims.get("xms_edov")),
            ProviderKind::Google | ProviderKind::Other => is_true(claims.get("email_verified")),
        };
        let email = text("email").filter(|_| is_verified).map(str::to_ascii_lowercase);
        let organisation = text("hd").filter(|_| kind == ProviderKind::Google).map(str::to_ascii_lowercase);
        Ok(Self { issuer, subject, email, organisation, claims })
    }

    /// Somebody with these claims, as if proved.
    #[cfg(test)]
    pub(crate) fn proved(kind: ProviderKind, claims: Map<String, Value>) -> Self {
        Self::of(kind, claims).unwrap_or_else(|what| panic!("{what}"))
    }

    /// Whether somebody of this person's domain may come in.
    pub fn is_allowed(&self, provider: &Provider) -> bool {
        let listed = |domain: &str| provider.allowed_domains.iter().any(|allowed| *allowed == *domain);
        let Some(domain) = self.email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain) else {
            return provider.allowed_domains.is_empty();
        };
        if provider.allowed_domains.is_empty() {
            return true;
        }
        match (provider.kind, &self.organisation) {
            (ProviderKind::Google, Some(organisation)) => listed(organisation),
            // anybody can make a consumer account under an address of an organisation, and keep it after leaving
            (ProviderKind::Google, None) => CONSUMERS.contains(&domain) && listed(domain),
            (ProviderKind::Microsoft | ProviderKind::Other, _) => listed(domain),
        }
    }

    /// The policies that this person's claims give, by name or id.
    pub fn granted<'a>(&'a self, grants: &'a [ClaimGrant]) -> impl Iterator<Item = &'a str> {
        grants.iter().filter(|grant| self.has(&grant.claim, &grant.value)).map(|grant| grant.policy.as_str())
    }

    /// Whether the claim is, or holds, this value.
    fn has(&self, claim: &str, value: &str) -> bool {
        match self::claim(&self.claims, claim) {
            Some(Value::Array(values)) => values.iter().any(|one| is(one, value)),
            Some(one) => is(one, value),
            None => false,
        }
    }
}

/// The claim of this name; where there is none, its dots lead into objects.
pub(crate) fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |at, part| at.get(part))
    })
}

fn is(found: &Value, value: &str) -> bool {
    match found {
        Value::String(text) => text == value,
        Value::Bool(yes) => value == if *yes { "true" } else { "false" },
        Value::Number(number) => {
            let written = number.to_string();
            written == value
        }
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Some write booleans as text, Microsoft also as a number.
fn is_true(claim: Option<&Value>) -> bool {
    match claim {
        Some(Value::Bool(is)) => *is,
        Some(Value::String(text)) => text == "true" || text == "1",
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn person(kind: ProviderKind, more: Value) -> Person {
        let mut claims = json!({ "iss": "https://issuer.example", "sub": "one" });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Person::of(kind, claims.as_object().unwrap().clone()).unwrap()
    }

    fn provider(kind: ProviderKind, allowed_domains: &[&str]) -> Provider {
        Provider {
            name: "p".into(),
            label: "P".into(),
            kind,
            issuer: "https://issuer.example".into(),
            client_id: "c".into(),
            client_secret: "s".into(),
            scopes: Vec::new(),
            allowed_domains: allowed_domains.iter().map(|domain| (*domain).to_owned()).collect(),
            link_verified_email: false,
            grants: Vec::new(),
        }
    }

    #[test]
    fn an_email_counts_only_where_its_provider_verified_it() {
        use ProviderKind::{Google, Microsoft, Other};
        let check = |kind, claims: Value, expected: Option<&str>| {
            assert_eq!(person(kind, claims.clone()).email.as_deref(), expected, "{kind:?} {claims}");
        };
        for kind in [Google, Other] {
            check(kind, json!({ "email": "Ann@Example.com", "email_verified": true }), Some("ann@example.com"));
            check(kind, json!({ "email": "a@b.c", "email_verified": "true" }), Some("a@b.c"));
            check(kind, json!({ "email": "a@b.c", "email_verified": false }), None);
            check(kind, json!({ "email": "a@b.c", "email_verified": "false" }), None);
            check(kind, json!({ "email": "a@b.c" }), None);
            check(kind, json!({ "email": "a@b.c", "xms_edov": true }), None);
        }
        check(Microsoft, json!({ "email": "a@b.c", "email_verified": true }), None);
        check(Microsoft, json!({ "email": "a@b.c", "xms_edov": false }), None);
        check(Microsoft, json!({ "email": "a@b.c", "xms_edov": "0" }), None);
        for yes in [json!(true), json!(1), json!("1"), json!("true")] {
            check(Microsoft, json!({ "email": "a@b.c", "xms_edov": yes }), Some("a@b.c"));
        }
    }

    #[test]
    fn allowed_domains() {
        use ProviderKind::{Google, Microsoft, Other};
        let check = |kind, allowed: &[&str], claims: Value, expected: bool| {
            assert_eq!(person(kind, claims.clone()).is_allowed(&provider(kind, allowed)), expected, "{kind:?} {allowed:?} {claims}");
        };
        let at = |domain: &str| json!({ "email": format!("a@{domain}"), "email_verified": true, "xms_edov": true });
        for kind in [Google, Microsoft, Other] {
            check(kind, &[], json!({}), true);
            check(kind, &[], at("anywhere.example"), true);
            check(kind, &["example.com"], json!({}), false);
            check(kind, &["example.com"], at("evil-example.com"), false);
            check(kind, &["example.com"], at("sub.example.com"), false);
            check(kind, &["example.com"], json!({ "email": "a@example.com" }), false);
        }
        check(Other, &["example.com"], at("example.com"), true);
        check(Microsoft, &["example.com"], at("EXAMPLE.com"), true);
        check(Google, &["example.com"], at("example.com"), false);
        check(Google, &["example.com"], json!({ "email": "a@example.org", "email_verified": true, "hd": "Example.com" }), true);
        check(Google, &["example.com"], json!({ "email": "a@example.com", "email_verified": false, "hd": "example.com" }), false);
        check(Google, &["example.com"], json!({ "email": "a@example.com", "email_verified": true, "hd": "example.org" }), false);
        check(Google, &["gmail.com"], at("gmail.com"), true);
    }

    #[test]
    fn claims_grant() {
        let ann = person(
            ProviderKind::Other,
            json!({ "groups": ["ops", "dev"], "role": "chief", "level": 3, "staff": true,
                    "realm_access": { "roles": ["admin"] }, "https://example.com/role": "x" }),
        );
        for (claim, value, expected) in [
            ("groups", "ops", true),
            ("groups", "op", false),
            ("groups", "ops dev", false),
            ("role", "chief", true),
            ("role", "Chief", false),
            ("level", "3", true),
            ("staff", "true", true),
            ("realm_access.roles", "admin", true),
            ("realm_access", "admin", false),
            ("https://example.com/role", "x", true),
            ("missing", "x", false),
            ("missing.roles", "x", false),
        ] {
            assert_eq!(ann.has(claim, value), expected, "{claim} {value}");
        }
        let grant = |value: &str, policy: &str| ClaimGrant { claim: "groups".into(), value: value.into(), policy: policy.into() };
        let grants = [grant("ops", "one"), grant("sales", "two"), grant("dev", "three")];
        assert_eq!(ann.granted(&grants).collect::<Vec<_>>(), ["one", "three"]);
    }

    #[test]
    fn nobody() {
        for claims in [
            json!({}),
            json!({ "iss": "i" }),
            json!({ "iss": "i", "sub": "" }),
            json!({ "iss": "i", "sub": "x".repeat(256) }),
            json!({ "iss": "i", "sub": "x " }),
        ] {
            assert!(Person::of(ProviderKind::Other, claims.as_object().unwrap().clone()).is_err(), "{claims}");
        }
    }
}
