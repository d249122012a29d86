//! Every route that ends something: what it answers, with `?strict=true` and without, with the token store there and away.

use std::collections::BTreeSet;

use super::*;

/// What the document says takes `strict`, as method and path.
fn documented() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            if parameters.iter().any(|parameter| parameter["name"] == "strict") {
                documented.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    documented
}

/// The one that this asks.
fn operation<'d>(documented: &'d BTreeSet<(String, String)>, ask: &Ask) -> Option<&'d (String, String)> {
    let asked: Vec<_> = ask.path.split('?').next().unwrap().split('/').collect();
    let is = |path: &str| {
        let segments: Vec<_> = path.split('/').collect();
        segments.len() == asked.len() && segments.iter().zip(&asked).all(|(segment, asked)| segment.starts_with('{') || segment == asked)
    };
    documented.iter().find(|(method, path)| *method == ask.method && is(path))
}

/// One of each, with `query`. What ends the very login that asks comes last.
async fn asks(house: &House, ann: &Person, query: &str) -> Vec<Ask> {
    let made = async |path: &str, body: Value| {
        let reply = house.ask(Ask::post(path).bearer(&ann.jwt).json(body)).await;
        reply.is(201);
        reply
    };
    let fresh = || json!({ "user": format!("u{}", crate::id::Id::random().unwrap()).split_at(20).0 });
    let mut asks = Vec::new();
    let mut add = |ask: Ask| asks.push(Ask { path: ask.path.clone() + query, ..ask });
    let above = made("/v1/clients", fresh()).await.text("/principal/uid");
    for role in ["admins", "clients", "sub-clients"] {
        let mut body = fresh();
        if role == "sub-clients" {
            body["parent"] = json!(above);
        }
        let path = format!("/v1/{role}/{}", made(&format!("/v1/{role}"), body).await.text("/principal/uid"));
        add(Ask::new("PATCH", &path).json(json!({ "blocked": true })));
        add(Ask::new("PATCH", &path).json(json!({ "policies": [] })));
        add(Ask::new("DELETE", &path));
    }
    let name = fresh()["user"].as_str().unwrap().to_owned();
    let policy = format!("/v1/policies/{}", made("/v1/policies", json!({ "name": name, "allow": [] })).await.text("/policy/id"));
    add(Ask::new("PUT", &policy).json(json!({ "name": name, "allow": [], "deny": ["x"] })));
    add(Ask::new("DELETE", &policy));
    let stranger = house.sign_up(&name).await.is(201).text("/uid").parse().unwrap();
    let tenant = house.database.principal(stranger).await.unwrap().unwrap().tenant;
    add(Ask::new("PATCH", &format!("/v1/tenants/{tenant}")).json(json!({ "blocked": true })));
    let key = format!("/v1/keys/{}", made("/v1/keys", json!({})).await.text("/key/id"));
    add(Ask::new("PUT", &format!("{key}/scopes")).json(json!({ "scopes": ["a"] })));
    add(Ask::new("PUT", &format!("{key}/terms")).json(json!({ "networks": ["10.0.0.0/8"] })));
    add(Ask::post(&format!("{key}/rotate")));
    add(Ask::new("DELETE", &key));
    let denials = "/v1/issuers/corp/denials";
    let denied = house.ask(Ask::post(denials).bearer(&ann.jwt).json(json!({ "jti": name }))).await.text("/denial/id");
    add(Ask::post(denials).json(json!({ "sub": name })));
    add(Ask::new("DELETE", &format!("{denials}/{denied}")));
    let guarded = json!({ "user": format!("s{}", &name[1..]), "password": PASSWORD });
    let uid = made("/v1/clients", guarded.clone()).await.text("/principal/uid");
    let jwt = house.log_in(guarded["user"].as_str().unwrap()).await.text("/jwt/token");
    second_factor::set_up(house, &jwt).await;
    add(Ask::new("DELETE", &format!("/v1/second-factor/{uid}")));
    let other = house.log_in("ann").await;
    add(Ask::new("DELETE", &format!("/v1/sessions/{}", other.text("/jwt/payload/sid"))));
    add(Ask::post("/v1/logout").bearer(&house.log_in("ann").await.text("/jwt/refresh_token")));
    let same = json!({ "new_password": PASSWORD, "kill_sessions": true });
    add(Ask::post("/v1/password/change").basic("ann", PASSWORD).json(same));
    asks
}

/// Asks, as ann where the request says of nobody else.
async fn answer(house: &House, ann: &Person, ask: Ask) -> Reply {
    let named = ask.headers.iter().any(|(name, _)| *name == "authorization");
    house.ask(if named { ask } else { ask.bearer(&ann.jwt) }).await
}

#[tokio::test]
async fn once_applied_it_is_200_and_strict_where_that_is_asked() {
    let house = House::taking(issuers::configured()).await;
    house.sign_up("ann").await.is(201);
    let (documented, mut asked) = (documented(), BTreeSet::new());
    for (query, strict) in [("?strict=true", json!(true)), ("?strict=false", Value::Null), ("", Value::Null)] {
        let login = house.log_in("ann").await;
        let key = house.ask(Ask::post("/v1/keys").bearer(&login.text("/jwt/token")).json(json!({}))).await.text("/api_key");
        let (jwt, refresh_token) = (login.text("/jwt/token"), login.text("/jwt/refresh_token"));
        let ann = Person { uid: login.text("/uid"), api_key: key, jwt, refresh_token };
        // what is for the store alone, or not at all
        let token = house.exchange(&ann.api_key).await.text("/data/auth_token");
        let token = house.admin.accounts().keyring().read_access(&token).unwrap().id;
        let invitation = house.ask(Ask::post("/v1/invitations").bearer(&ann.jwt).json(json!({ "role": "client" }))).await;
        let mut all = asks(&house, &ann, query).await;
        all.insert(0, Ask::new("DELETE", &format!("/v1/tokens/{token}{query}")));
        all.insert(0, Ask::new("DELETE", &format!("/v1/invitations/{}{query}", invitation.text("/invitation/id"))));
        for ask in all {
            let what = format!("{} {}", ask.method, ask.path);
            asked.insert(operation(&documented, &ask).unwrap_or_else(|| panic!("{what} is not documented as taking `strict`")).clone());
            let reply = answer(&house, &ann, ask).await;
            reply.is(200).is_envelope(true);
            let said = (&reply.body["propagated"], reply.body.get("strict").unwrap_or(&Value::Null));
            assert_eq!(said, (&json!(true), &strict), "{what}: {}", reply.body);
        }
    }
    assert_eq!(asked, documented);
}

#[tokio::test]
async fn while_the_store_is_away_it_is_202_and_never_strict() {
    let house = super::store_away::house().await;
    let ann = house.person("ann").await;
    for ask in asks(&house, &ann, "?strict=true").await {
        let what = format!("{} {}", ask.method, ask.path);
        let reply = answer(&house, &ann, ask).await;
        assert_eq!((reply.status.as_u16(), &reply.body["propagated"], reply.body.get("strict")), (202, &json!(false), None), "{what}");
    }
}
