//! From `security` to what a rule demands.
//!
//! A list is "one of these", an object in it "all of these"; an empty object is "or nobody at all". A rule has one demand for every kind
//! of credential that it takes, so alternatives that differ are kept only as far as that says no less than the document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Notes;
use crate::config::foreign::pointer_to;
use crate::decision::credential::CredentialKind;
use crate::decision::scopes::{Scope, ScopeSet};

/// What a rule demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Demand {
    /// Everybody passes.
    Anonymous,
    /// One of these kinds, with these scopes.
    Credential(BTreeSet<CredentialKind>, Scopes),
    /// What the document asks for cannot be said: nobody passes.
    Nobody,
}

/// Which scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scopes {
    None,
    All(BTreeSet<String>),
    Any(BTreeSet<String>),
}

/// The security schemes of a document.
#[derive(Debug)]
pub(super) struct Schemes<'d>(BTreeMap<&'d str, Result<CredentialKind, String>>);

impl<'d> Schemes<'d> {
    pub(super) fn read(document: &'d Value, notes: &mut Notes) -> Self {
        let at = "/components/securitySchemes";
        let schemes = document.pointer(at).and_then(Value::as_object).into_iter().flatten();
        let scheme = |(name, value): (&'d String, &'d Value)| {
            let value = value.get("$ref").and_then(Value::as_str).and_then(|to| document.pointer(to.strip_prefix('#')?)).unwrap_or(value);
            (name.as_str(), kind(name, value, &pointer_to(at, name), notes))
        };
        Self(schemes.map(scheme).collect())
    }
}

/// What stands for a scheme here, or why nothing does.
fn kind(name: &str, scheme: &Value, pointer: &str, notes: &mut Notes) -> Result<CredentialKind, String> {
    let text = |key: &str| scheme.get(key).and_then(Value::as_str).unwrap_or_default();
    let is = |key: &str, word: &str| text(key).eq_ignore_ascii_case(word);
    match text("type") {
        "oauth2" | "openIdConnect" => Ok(CredentialKind::Token),
        "http" if is("scheme", "bearer") => Ok(CredentialKind::Token),
        "http" => Err(format!("`{name}` is HTTP {}, which belongs to the application", text("scheme"))),
        "apiKey" if text("in") == "header" && is("name", "Authorization") => {
            notes.add(
                pointer,
                format!("`{name}` is a key in Authorization"),
                "clients send `Authorization: Bearer` and an access token here",
            );
            Ok(CredentialKind::Token)
        }
        "apiKey" if text("in") == "cookie" => Err(format!("`{name}` is a cookie, which belongs to the application")),
        "apiKey" => {
            if !(text("in") == "header" && is("name", "X-Api-Key")) {
                let what = format!("`{name}` is a key in the {} `{}`", text("in"), text("name"));
                notes.add(pointer, what, "clients send it in the header X-Api-Key here");
            }
            Ok(CredentialKind::ApiKey)
        }
        other => Err(format!("`{name}` is of the type `{other}`, for which there is no credential here")),
    }
}

/// One way in: every kind it takes (a token stands for the key it was made from), and the scopes it needs.
#[derive(Debug)]
struct Way {
    kinds: BTreeSet<CredentialKind>,
    scopes: BTreeSet<String>,
}

/// What a `security` list demands.
pub(super) fn demand(list: &Value, pointer: &str, schemes: &Schemes<'_>, notes: &mut Notes) -> Demand {
    let Some(list) = list.as_array() else {
        notes.add(pointer, "`security` is no list", "mend it; until then nobody passes");
        return Demand::Nobody;
    };
    let is_open = |way: &Value| way.as_object().is_some_and(Map::is_empty);
    if list.is_empty() {
        return Demand::Anonymous;
    }
    if list.iter().any(is_open) {
        if list.len() > 1 {
            notes.add(
                pointer,
                "a credential is one way, none another",
                "the rule is anonymous: everybody passes, and who it is is not told",
            );
        }
        return Demand::Anonymous;
    }
    let mut ways = Vec::new();
    for (n, alternative) in list.iter().enumerate() {
        match way(alternative, schemes) {
            Ok((way, both)) => {
                if both {
                    notes.add(pointer, "asks for a token and an API key", "the token alone is asked for: it is made of an API key");
                }
                ways.push(way);
            }
            Err(what) => {
                let rest = if list.len() > 1 { "this way in is left out" } else { "nobody passes until you write what the rule demands" };
                notes.add(&pointer_to(pointer, &n.to_string()), what, rest);
            }
        }
    }
    match ways.is_empty() {
        true => Demand::Nobody,
        false => one_of(ways, pointer, notes),
    }
}

fn way(alternative: &Value, schemes: &Schemes<'_>) -> Result<(Way, bool), String> {
    let object = alternative.as_object().ok_or("an entry of `security` that is no object")?;
    let (mut kinds, mut scopes) = (BTreeSet::new(), BTreeSet::new());
    for (name, wanted) in object {
        match schemes.0.get(name.as_str()) {
            Some(Ok(kind)) => kinds.insert(*kind),
            Some(Err(what)) => return Err(what.clone()),
            None => return Err(format!("there is no security scheme `{name}`")),
        };
        for scope in wanted.as_array().into_iter().flatten() {
            let scope = scope.as_str().ok_or("a scope that is no text")?;
            scope.parse::<Scope>().map_err(|error| error.to_string())?;
            scopes.insert(scope.to_owned());
        }
    }
    ScopeSet::parse(scopes.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    let both = kinds.len() > 1;
    if both {
        kinds.remove(&CredentialKind::ApiKey);
    }
    Ok((Way { kinds, scopes }, both))
}

/// The one demand that says no less than any of these ways.
fn one_of(mut ways: Vec<Way>, pointer: &str, notes: &mut Notes) -> Demand {
    let asks = ways.iter().any(|way| !way.scopes.is_empty());
    if asks && ways.iter().any(|way| way.scopes.is_empty()) {
        notes.add(pointer, "one way asks for scopes, another for none", "each must hold the scopes here");
        // whoever comes the way without scopes comes by those of the others
        let free: BTreeSet<CredentialKind> = ways.iter().filter(|way| way.scopes.is_empty()).flat_map(|way| way.kinds.clone()).collect();
        ways.retain(|way| !way.scopes.is_empty());
        ways.iter_mut().for_each(|way| way.kinds.extend(&free));
    }
    // who needs more than another way with the same credential needs only that
    let covered = |n: usize, way: &Way| {
        ways.iter().enumerate().any(|(other_n, other)| {
            let narrower = other.scopes.is_subset(&way.scopes) && way.kinds.is_subset(&other.kinds);
            let same = other.scopes == way.scopes && other.kinds == way.kinds;
            other_n != n && narrower && (!same || other_n < n)
        })
    };
    let kept: Vec<&Way> = ways.iter().enumerate().filter(|(n, way)| !covered(*n, way)).map(|(_, way)| way).collect();
    let Some(first) = kept.first() else { return Demand::Nobody };
    let all = |way: &Way| if way.scopes.is_empty() { Scopes::None } else { Scopes::All(way.scopes.clone()) };
    if kept.iter().all(|way| way.scopes == first.scopes) {
        return Demand::Credential(kept.iter().flat_map(|way| way.kinds.clone()).collect(), all(first));
    }
    if kept.iter().all(|way| way.kinds == first.kinds && way.scopes.len() == 1) {
        return Demand::Credential(first.kinds.clone(), Scopes::Any(kept.iter().flat_map(|way| way.scopes.clone()).collect()));
    }
    notes.add(pointer, "more ways in than one rule can tell apart", "only the first is taken; write the others by hand");
    Demand::Credential(first.kinds.clone(), all(first))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The demand as text, and how many notes there are.
    fn told(list: Value) -> (String, usize) {
        let document = json!({ "components": { "securitySchemes": {
            "oauth": { "type": "oauth2" }, "oidc": { "type": "openIdConnect" }, "bearer": { "type": "http", "scheme": "Bearer" },
            "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" }, "ref": { "$ref": "#/components/securitySchemes/key" },
            "basic": { "type": "http", "scheme": "basic" }, "cookie": { "type": "apiKey", "in": "cookie", "name": "sid" }, "tls": { "type": "mutualTLS" },
        } } });
        let mut notes = Notes::default();
        let schemes = Schemes::read(&document, &mut notes);
        assert!(notes.0.is_empty(), "{notes:?}");
        let demand = match demand(&list, "", &schemes, &mut notes) {
            Demand::Anonymous => "anonymous".to_owned(),
            Demand::Nobody => "nobody".to_owned(),
            Demand::Credential(kinds, scopes) => {
                let kinds: Vec<_> = kinds.into_iter().map(CredentialKind::as_str).collect();
                let (how, scopes) = match scopes {
                    Scopes::None => ("", BTreeSet::new()),
                    Scopes::All(scopes) => (" all ", scopes),
                    Scopes::Any(scopes) => (" any ", scopes),
                };
                format!("{}{how}{}", kinds.join("+"), scopes.into_iter().collect::<Vec<_>>().join(","))
            }
        };
        (demand, notes.0.len())
    }

    #[test]
    fn what_lists_demand() {
        for (list, expected, notes) in [
            (json!([]), "anonymous", 0),
            (json!([{}]), "anonymous", 0),
            (json!([{ "oauth": ["a"] }, {}]), "anonymous", 1),
            (json!([{ "oauth": ["b", "a"] }]), "token all a,b", 0),
            (json!([{ "bearer": [] }]), "token", 0),
            (json!([{ "key": [] }]), "api_key", 0),
            (json!([{ "ref": [] }]), "api_key", 0),
            (json!([{ "oauth": ["a"] }, { "oidc": ["a"] }]), "token all a", 0),
            (json!([{ "oauth": ["a"] }, { "oauth": ["b"] }]), "token any a,b", 0),
            (json!([{ "oauth": ["a"] }, { "oauth": ["a", "b"] }]), "token all a", 0),
            // the key has scopes here too
            (json!([{ "oauth": ["a"] }, { "key": [] }]), "token+api_key all a", 1),
            (json!([{ "oauth": [] }, { "oauth": ["a"] }]), "token all a", 1),
            (json!([{ "bearer": [] }, { "key": [] }]), "token+api_key", 0),
            // both at once: the token is made of the key
            (json!([{ "oauth": ["a"], "key": [] }]), "token all a", 1),
            (json!([{ "oauth": ["a"], "oidc": ["b"] }]), "token all a,b", 0),
            // which scope goes with which cannot be said: no wider than the first
            (json!([{ "oauth": ["a"] }, { "key": ["b"] }]), "token all a", 1),
            (json!([{ "oauth": ["a", "b"] }, { "oauth": ["c", "d"] }]), "token all a,b", 1),
            (json!([{ "key": ["a"] }, { "oauth": ["a", "b"] }]), "api_key all a", 1),
            // what there is no credential for
            (json!([{ "basic": [] }]), "nobody", 1),
            (json!([{ "basic": [] }, { "oauth": ["a"] }]), "token all a", 1),
            (json!([{ "cookie": [], "oauth": ["a"] }]), "nobody", 1),
            (json!([{ "tls": [] }]), "nobody", 1),
            (json!([{ "nowhere": [] }]), "nobody", 1),
            (json!([{ "oauth": ["https://example.com/read"] }]), "nobody", 1),
            (json!([{ "oauth": [1] }]), "nobody", 1),
            (json!(["oauth"]), "nobody", 1),
            (json!({ "oauth": [] }), "nobody", 1),
        ] {
            assert_eq!(told(list.clone()), (expected.to_owned(), notes), "{list}");
        }
    }
}
