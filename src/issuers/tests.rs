//! Each claim, each header field, each kind of key: one thing wrong at a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::*;

const ISS: &str = "https://id.example/";
const NOW: UnixMs = UnixMs(1_700_000_000_000);
const NOW_S: u64 = NOW.0 / 1000;

/// An Ed25519 key of an issuer: what signs, and what is published.
fn key(seed: u8, kid: &str) -> (EncodingKey, Value) {
    const HEAD: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let seed = [seed; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    (EncodingKey::from_ed_der(&[&HEAD[..], &seed].concat()), json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x }))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn settings(change: impl FnOnce(&mut Issuer)) -> Issuer {
    let mut issuer = Issuer {
        name: "corp".to_owned(),
        issuer: ISS.to_owned(),
        keys: KeySource::Discovery,
        audiences: vec!["https://api.example".to_owned(), "other".to_owned()],
        algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        scope_claim: "scope".to_owned(),
        tenant_claim: Some("org.id".to_owned()),
        access_tokens_only: false,
    };
    change(&mut issuer);
    issuer
}

fn issuers(settings: Issuer, keys: &Value) -> Issuers {
    let issuers = Issuers::waiting(vec![settings]);
    issuers.each[0].keys.store(Some(Arc::new(read_set(&json!({ "keys": keys })).unwrap())));
    issuers
}

fn claims() -> Value {
    json!({ "iss": ISS, "sub": "auth0|7", "aud": ["x", "https://api.example"], "exp": NOW_S + 300, "iat": NOW_S, "jti": "t1",
            "scope": "orders:read https://x.example/y * orders:* users:read", "org": { "id": "t-9" } })
}

/// A right token with its claims changed: what comes of it.
fn with_claims(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Proved, Fault> {
    let (private, public) = key(1, "a");
    let mut claims = claims();
    change(claims.as_object_mut().unwrap());
    let token = signed(&json!({ "alg": "EdDSA", "kid": "a" }), &claims, &private, Algorithm::EdDSA);
    issuers(settings(|_| {}), &json!([public])).read(&token, NOW).unwrap().1
}

/// A right token with its header changed.
fn with_header(header: &Value, settings: Issuer) -> Result<Proved, Fault> {
    let (private, public) = key(1, "a");
    let token = signed(header, &claims(), &private, Algorithm::EdDSA);
    issuers(settings, &json!([public])).read(&token, NOW).unwrap().1
}

#[test]
fn what_a_right_token_says() {
    let proved = with_claims(|_| {}).unwrap();
    assert_eq!((proved.subject.as_str(), proved.tenant.as_str()), ("auth0|7", "t-9"));
    assert_eq!(proved.scopes.to_string(), "orders:read users:read", "no wildcard, and nothing that a rule could not demand");
    assert_eq!(proved.ends, UnixMs((NOW_S + 300) * 1000));
    assert_eq!(proved.token_id, Some(denials::id(ISS, Denied::Token, "t1")));
    assert_eq!(proved.subject_id, denials::id(ISS, Denied::Subject, "auth0|7"));
}

#[test]
fn each_claim() {
    let refused = |what: &str, name: &str, value: Value| {
        let said = with_claims(|claims| drop(claims.insert(name.to_owned(), value.clone())));
        assert!(matches!(said, Err(Fault::Refused(why)) if why.contains(what)), "{name}: {value}: {said:?}");
    };
    for aud in [json!("https://api.example/"), json!([]), json!("x"), json!(["x", 7]), json!({ "https://api.example": 1 }), json!(null)] {
        refused("`aud`", "aud", aud);
    }
    refused("expired", "exp", json!(NOW_S));
    refused("expired", "exp", json!(NOW_S - 1));
    for exp in [json!("later"), json!(-1), json!(1e300), json!(null), json!([NOW_S + 300])] {
        refused("when it ends", "exp", exp);
    }
    for name in ["nbf", "iat"] {
        refused("a time that is none", name, json!("now"));
        let ahead = |by: u64| with_claims(|claims| drop(claims.insert(name.to_owned(), json!(NOW_S + by))));
        assert!(ahead(60).is_ok());
        assert!(matches!(ahead(61), Err(Fault::NotYet(_))), "it will be");
    }
    for sub in [json!(""), json!("a b"), json!("é"), json!("x".repeat(256)), json!(7), json!("a\nb"), json!(null)] {
        refused("`sub`", "sub", sub);
    }
    for jti in [json!(""), json!(7), json!("a b"), json!("x".repeat(256))] {
        refused("`jti`", "jti", jti);
    }
    refused("`cnf`", "cnf", json!({ "jkt": "x" }));
    refused("tenant", "org", json!({ "id": 7 }));
    refused("scopes", "scope", json!({ "a": 1 }));
    refused("scopes", "scope", json!(["a", 1]));
    refused("scopes", "scope", json!((0..65).map(|n| format!("s:{n}")).collect::<Vec<_>>().join(" ")));
    for name in ["aud", "exp", "sub"] {
        assert!(with_claims(|claims| drop(claims.remove(name))).is_err(), "{name} is needed");
    }
    for name in ["jti", "scope", "org", "iat"] {
        assert!(with_claims(|claims| drop(claims.remove(name))).is_ok(), "{name} is not");
    }
    assert_eq!(with_claims(|claims| drop(claims.remove("jti"))).unwrap().token_id, None);
    let listed = with_claims(|claims| drop(claims.insert("scope".to_owned(), json!(["b", "a"])))).unwrap();
    assert_eq!(listed.scopes.to_string(), "a b");
    assert_eq!(with_claims(|claims| drop(claims.insert("aud".to_owned(), json!("other")))).unwrap().subject, "auth0|7");
    assert!(with_claims(|claims| drop(claims.insert("exp".to_owned(), json!(NOW_S as f64 + 0.9)))).is_err(), "a fraction is not lived in");
}

#[test]
fn each_field_of_the_header() {
    let said = |header: Value| with_header(&header, settings(|_| {}));
    for header in [
        json!({ "alg": "EdDSA", "kid": "a" }),
        json!({ "alg": "EdDSA", "kid": "a", "typ": "JWT" }),
        json!({ "alg": "EdDSA", "kid": "a", "typ": "at+jwt" }),
        json!({ "alg": "EdDSA", "kid": "a", "typ": "application/AT+JWT" }),
        json!({ "alg": "EdDSA" }),
    ] {
        assert!(said(header.clone()).is_ok(), "{header}");
    }
    // `jwk` and its kind point at keys: they choose nothing
    let theirs = json!({ "alg": "EdDSA", "kid": "a", "jku": "https://evil.example", "x5u": "https://evil.example", "jwk": key(2, "a").1 });
    assert!(said(theirs).is_ok(), "the issuer's own key signed it all the same");
    for (header, what) in [
        (json!({ "alg": "EdDSA", "kid": "a", "typ": "login+jwt" }), "`typ`"),
        (json!({ "alg": "EdDSA", "kid": "a", "typ": "logout+jwt" }), "`typ`"),
        (json!({ "alg": "EdDSA", "kid": "a", "typ": 7 }), "`typ`"),
        (json!({ "alg": "EdDSA", "kid": "a", "crit": ["b64"], "b64": false }), "`crit`"),
        (json!({ "alg": "none", "kid": "a" }), "`alg`"),
        (json!({ "alg": "None" }), "`alg`"),
        (json!({ "alg": "" }), "`alg`"),
        (json!({}), "`alg`"),
        (json!({ "alg": "HS256", "kid": "a" }), "`alg`"),
        (json!({ "alg": "PS256", "kid": "a" }), "`alg`"),
        (json!({ "alg": "EdDSA", "kid": 7 }), "`kid`"),
    ] {
        assert!(matches!(said(header.clone()), Err(Fault::Refused(why)) if why.contains(what)), "{header}");
    }
    let strict = || settings(|issuer| issuer.access_tokens_only = true);
    assert!(with_header(&json!({ "alg": "EdDSA", "kid": "a", "typ": "at+jwt" }), strict()).is_ok());
    for header in [json!({ "alg": "EdDSA", "kid": "a" }), json!({ "alg": "EdDSA", "kid": "a", "typ": "JWT" })] {
        assert!(with_header(&header, strict()).is_err(), "{header}");
    }
}

#[test]
fn only_the_issuers_own_signature_counts() {
    let (private, public) = key(1, "a");
    let (other, _) = key(2, "a");
    let header = json!({ "alg": "EdDSA", "kid": "a" });
    let of = issuers(settings(|_| {}), &json!([public]));
    let read = |token: &str| of.read(token, NOW).map(|(_, read)| read);
    let right = signed(&header, &claims(), &private, Algorithm::EdDSA);
    assert!(read(&right).unwrap().is_ok());
    let forged = signed(&header, &claims(), &other, Algorithm::EdDSA);
    assert!(matches!(read(&forged), Some(Err(Fault::Refused(why))) if why.contains("signature")));
    // other claims below the same signature
    let mut parts: Vec<String> = right.split('.').map(str::to_owned).collect();
    let mut more = claims();
    more["scope"] = json!("admin");
    parts[1] = part(&more);
    assert!(read(&parts.join(".")).unwrap().is_err());
    // the name of a key of another kind
    let confused = signed(&json!({ "alg": "RS256", "kid": "a" }), &claims(), &private, Algorithm::EdDSA);
    assert!(matches!(read(&confused), Some(Err(Fault::Refused(why))) if why.contains("of its key")));
    // no signature at all, with and without its dot
    assert!(read(&format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims()))).unwrap().is_err());
    assert!(read(&format!("{}.{}", part(&json!({ "alg": "none" })), part(&claims()))).is_none());
    // nobody's
    let mut nobodys = claims();
    for iss in [json!("https://id.example"), json!("https://evil.example/"), json!([ISS]), json!(null)] {
        nobodys["iss"] = iss;
        assert!(read(&signed(&header, &nobodys, &private, Algorithm::EdDSA)).is_none());
    }
    for text in ["", ".", "..", "a.b.c", &format!("{right}.x"), &"x".repeat(TOKEN_BYTES + 1)] {
        assert!(read(text).is_none(), "{text}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    // what stands in the set is known to everybody: signed with it as HMAC key, a token proves nothing (HS/RS confusion)
    let (_, public) = key(1, "a");
    let secrets = [public["x"].as_str().unwrap().as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(public["x"].as_str().unwrap()).unwrap()];
    for secret in secrets {
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let named = json!({ "alg": format!("{alg:?}"), "kid": "a" });
            let token = signed(&named, &claims(), &EncodingKey::from_secret(&secret), alg);
            assert!(issuers(settings(|_| {}), &json!([public])).read(&token, NOW).unwrap().1.is_err());
        }
    }
    assert!(ALGORITHMS.iter().all(|(name, _)| !name.starts_with("HS") && *name != "none"));
}

#[test]
fn which_keys_of_a_set_count() {
    let (_, good) = key(1, "a");
    let count = |more: Value| {
        let mut key = good.clone();
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read_set(&json!({ "keys": [key] })).map(|set| set.len()).unwrap_or(0)
    };
    for fine in [json!({}), json!({ "use": "sig" }), json!({ "key_ops": ["verify"] }), json!({ "alg": "EdDSA" }), json!({ "kid": null })] {
        assert_eq!(count(fine.clone()), 1, "{fine}");
    }
    for other in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "key_ops": "verify" }),
        json!({ "alg": "RS256" }),
        json!({ "d": "AAAA" }),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "crv": "Ed448" }),
        json!({ "x": "*" }),
        json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" }),
    ] {
        assert_eq!(count(other.clone()), 0, "{other}");
    }
    assert_eq!(count(json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "AQAB" })), 1);
    for set in [json!({}), json!([]), json!({ "keys": {} }), json!({ "keys": [] })] {
        assert!(read_set(&set).is_err(), "{set}");
    }
}

#[test]
fn a_token_without_a_name_of_its_key_is_proved_by_an_only_one() {
    let ((private, first), (_, second)) = (key(1, "a"), key(2, "b"));
    let token = signed(&json!({ "alg": "EdDSA" }), &claims(), &private, Algorithm::EdDSA);
    let read = |keys: &Value| issuers(settings(|_| {}), keys).read(&token, NOW).unwrap().1;
    assert!(read(&json!([first])).is_ok());
    assert_eq!(read(&json!([first, second])), Err(Fault::Unavailable), "which one it is would be a guess; the set may have changed");
}

#[test]
fn an_unknown_key_is_asked_for_before_anybody_is_called_a_forger() {
    let ((private, _), (_, old)) = (key(1, "new"), key(2, "old"));
    let token = signed(&json!({ "alg": "EdDSA", "kid": "new" }), &claims(), &private, Algorithm::EdDSA);
    let of = issuers(settings(|_| {}), &json!([old]));
    assert_eq!(of.read(&token, NOW).unwrap().1, Err(Fault::Unavailable));
    let none = Issuers::waiting(vec![settings(|_| {})]);
    assert_eq!(none.read(&token, NOW).unwrap().1, Err(Fault::Unavailable), "no keys were ever fetched");
}
