//! `/v1/issuers`, and the document of RFC 9728.

use super::*;
use crate::issuers::{Issuer, Issuers, KeySource};

fn issuer(name: &str, iss: &str, audiences: &[&str]) -> Issuer {
    Issuer {
        name: name.to_owned(),
        issuer: iss.to_owned(),
        keys: KeySource::Discovery,
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        algorithms: Vec::new(),
        scope_claim: "scope".to_owned(),
        tenant_claim: None,
        access_tokens_only: false,
    }
}

/// Two of them, `corp` and `partner`.
pub(super) fn configured() -> Arc<Issuers> {
    let configured = vec![
        issuer("corp", "https://id.example/", &["https://app.example.com/mcp", "other", "https://deep.example.com/tenants/7/mcp"]),
        issuer("partner", "https://partner.example", &["https://api.example.com", "https://app.example.com/mcp"]),
    ];
    Issuers::known(configured)
}

async fn house() -> House {
    House::taking(configured()).await
}

#[tokio::test]
async fn super_admins_deny_and_lift() {
    let house = house().await;
    let ann = house.person("ann").await;
    let list = house.ask(Ask::get("/v1/issuers").bearer(&ann.jwt)).await;
    let audiences = ["https://app.example.com/mcp", "other", "https://deep.example.com/tenants/7/mcp"];
    let corp = json!({ "name": "corp", "issuer": "https://id.example/", "audiences": audiences, "keys": null });
    assert_eq!(list.is(200).body["issuers"][0], corp);

    let path = "/v1/issuers/corp/denials";
    let deny = async |body: Value| house.ask(Ask::post(path).bearer(&ann.jwt).json(body)).await;
    let one = deny(json!({ "jti": "t1", "until": 1_900_000_100 })).await;
    assert_eq!((&one.is(200).body["propagated"], &one.body["denial"]["jti"]), (&json!(true), &json!("t1")));
    assert_eq!((&one.body["denial"]["until"], &one.body["denial"]["created_at"]), (&json!(1_900_000_100), &json!(1_900_000_000)));
    let again = deny(json!({ "jti": "t1" })).await;
    assert_eq!((&again.body["denial"]["id"], &again.body["denial"]["until"]), (&one.body["denial"]["id"], &Value::Null));
    let strict = house.ask(Ask::post(&format!("{path}?strict=true")).bearer(&ann.jwt).json(json!({ "sub": "auth0|7" }))).await;
    assert_eq!(strict.is(200).body["strict"], json!(true));

    let list = house.ask(Ask::get(path).bearer(&ann.jwt)).await;
    let denials = list.is(200).body["denials"].as_array().unwrap().clone();
    assert_eq!(denials.len(), 2);
    assert!(denials.iter().any(|denial| denial["sub"] == "auth0|7" && denial.get("jti").is_none()));
    let others = house.ask(Ask::get("/v1/issuers/partner/denials").bearer(&ann.jwt)).await;
    assert_eq!(others.is(200).body["denials"], json!([]));

    let id = one.text("/denial/id");
    let delete = |name: &str| Ask::new("DELETE", &format!("/v1/issuers/{name}/denials/{id}")).bearer(&ann.jwt);
    house.ask(delete("partner")).await.is_refused(404, "not found");
    let lifted = house.ask(delete("corp")).await;
    assert_eq!((&lifted.is(200).body["deleted"], &lifted.body["propagated"]), (&json!(true), &json!(true)));
    house.ask(delete("corp")).await.is_refused(404, "not found");

    deny(json!({})).await.is_invalid("jti");
    deny(json!({ "jti": "a", "sub": "b" })).await.is_invalid("sub");
    deny(json!({ "jti": "a", "until": 1 })).await.is_invalid("until");
    deny(json!({ "jti": "a", "until": u64::MAX })).await.is_invalid("until");
    for wrong in ["", "a b", "é", &"x".repeat(256)] {
        deny(json!({ "sub": wrong })).await.is_invalid("sub");
    }
    house.ask(Ask::post("/v1/issuers/nobody/denials").bearer(&ann.jwt).json(json!({ "jti": "a" }))).await.is_refused(404, "not found");
    let audit = house.ask(Ask::get("/v1/audit").bearer(&ann.jwt)).await;
    let actions: Vec<_> = audit.body["entries"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert!(actions.contains(&json!("deny")) && actions.contains(&json!("denial_end")), "{actions:?}");
}

#[tokio::test]
async fn nobody_else_does() {
    let house = house().await;
    house.sign_up("founder").await.is(201);
    let bob = house.person("bob").await;
    for ask in [
        Ask::get("/v1/issuers"),
        Ask::get("/v1/issuers/corp/denials"),
        Ask::post("/v1/issuers/corp/denials").json(json!({ "jti": "a" })),
        Ask::new("DELETE", &format!("/v1/issuers/corp/denials/{}", "ab".repeat(16))),
    ] {
        house.ask(ask.bearer(&bob.jwt)).await.is_refused(403, "forbidden");
    }
    house.ask(Ask::get("/v1/issuers")).await.is(401);
}

#[tokio::test]
async fn clients_learn_whose_tokens_are_taken() {
    let house = house().await;
    let document = async |host: &str, path: &str| {
        let mut ask = Ask::get(&format!("/.well-known/oauth-protected-resource{path}"));
        ask.headers = vec![("host", host.to_owned())];
        house.ask(ask).await
    };
    let of_app = json!({ "resource": "https://app.example.com/mcp", "authorization_servers": ["https://id.example/", "https://partner.example"],
                         "bearer_methods_supported": ["header"] });
    assert_eq!(document("App.example.com", "").await.is(200).body, of_app);
    assert_eq!(document("app.example.com", "/mcp").await.is(200).body, of_app);
    let of_api = document("api.example.com", "").await;
    assert_eq!(of_api.is(200).body["resource"], json!("https://api.example.com"));
    assert_eq!(of_api.body["authorization_servers"], json!(["https://partner.example"]));
    // a host that no audience names, with its port; in the clear on this machine alone
    let elsewhere = document("localhost:8443", "").await;
    assert_eq!(elsewhere.is(200).body["resource"], json!("http://localhost:8443"));
    assert_eq!(elsewhere.body["authorization_servers"].as_array().unwrap().len(), 2);
    // with slashes in it, byte for byte
    let deep = document("deep.example.com", "/tenants/7/mcp").await;
    assert_eq!(deep.is(200).body["resource"], json!("https://deep.example.com/tenants/7/mcp"));
    for (host, path) in [
        ("app.example.com", "/other"),
        ("app.example.com", "/mcp/x"),
        ("app.example.com", "/mcp/"),
        ("app.example.com", "/x/../mcp"),
        ("deep.example.com", "/tenants/7"),
        ("deep.example.com", "/tenants/7/mcp/"),
        ("deep.example.com", "/tenants%2F7/mcp"),
        ("deep.example.com", "//tenants/7/mcp"),
        ("evil", "/mcp"),
        ("a/b", ""),
        ("", ""),
    ] {
        document(host, path).await.is(404);
    }
    let none = House::new().await;
    none.ask(Ask::get("/.well-known/oauth-protected-resource")).await.is_refused(404, "not found");
}
