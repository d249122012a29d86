//! What is agreed about keys and principals: by whom, and what of it is told.

use super::*;

async fn send(house: &House, method: &'static str, path: &str, jwt: &str, body: Value) -> Reply {
    house.ask(Ask::new(method, path).bearer(jwt).json(body)).await
}

/// A client below `ann`, logged in: its uid, its JWT and the id of its first key.
async fn client(house: &House, ann: &Person, terms: Value) -> (String, String, String) {
    let made = send(house, "POST", "/v1/clients", &ann.jwt, json!({ "user": "cleo", "password": PASSWORD, "terms": terms })).await;
    made.is(201);
    let jwt = house.log_in("cleo").await.text("/jwt/token");
    let key = house.ask(Ask::get("/v1/keys").bearer(&jwt)).await.text("/keys/0/id");
    (made.text("/principal/uid"), jwt, key)
}

#[tokio::test]
async fn what_is_agreed_comes_back_wherever_it_is_asked_for() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let gold = json!({ "external_id": "cus_1", "metadata": { "plan": "gold" } });
    let (uid, _, key) = client(&house, &ann, gold.clone()).await;
    let path = format!("/v1/clients/{uid}");
    assert_eq!(house.ask(Ask::get(&path).bearer(&ann.jwt)).await.is(200).body["principal"]["terms"], gold);
    assert_eq!(house.ask(Ask::get("/v1/clients").bearer(&ann.jwt)).await.body["principals"][0]["terms"], gold);
    let silver = json!({ "metadata": { "plan": "silver" } });
    let changed = send(&house, "PATCH", &path, &ann.jwt, json!({ "terms": silver })).await;
    assert_eq!((&changed.is(200).body["principal"]["terms"], &changed.body["principal"]["scopes"]), (&silver, &json!(["*"])));
    let both = send(&house, "PATCH", &path, &ann.jwt, json!({ "terms": {}, "blocked": false })).await;
    assert_eq!(both.is(200).body["principal"]["terms"], json!({}));
    // its key, and another that is made for it
    let put = send(&house, "PUT", &format!("/v1/keys/{key}/terms?strict=true"), &ann.jwt, gold.clone()).await;
    assert_eq!((&put.is(200).body["key"]["terms"], &put.body["propagated"], &put.body["strict"]), (&gold, &json!(true), &json!(true)));
    let made = send(&house, "POST", "/v1/keys", &ann.jwt, json!({ "principal": uid, "name": "second", "terms": silver })).await;
    assert_eq!(made.is(201).body["key"]["terms"], silver);
    house.exchange(&made.text("/api_key")).await.is(200);
    let list = house.ask(Ask::get(&format!("/v1/keys?principal={uid}")).bearer(&ann.jwt)).await;
    let of = |name: &str| list.body["keys"].as_array().unwrap().iter().find(|key| key["name"] == name).unwrap()["terms"].clone();
    assert_eq!((of("first"), of("second")), (gold.clone(), silver.clone()));
    // they replace what was agreed, whole
    let put = send(&house, "PUT", &format!("/v1/keys/{key}/terms"), &ann.jwt, silver.clone()).await;
    assert_eq!(put.body["key"]["terms"], silver);
    let trail = house.ask(Ask::get("/v1/audit").bearer(&ann.jwt)).await.body.to_string();
    for action in ["key_terms", "principal_terms", "principal_unblock"] {
        assert!(trail.contains(action), "{action}: {trail}");
    }
}

#[tokio::test]
async fn nobody_agrees_with_themselves() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (uid, cleo, key) = client(&house, &ann, json!({})).await;
    let gold = json!({ "metadata": { "plan": "gold" } });
    send(&house, "PUT", &format!("/v1/keys/{key}/terms"), &cleo, gold.clone()).await.is_refused(403, "forbidden");
    send(&house, "POST", "/v1/keys", &cleo, json!({ "terms": gold })).await.is_refused(403, "forbidden");
    send(&house, "PATCH", &format!("/v1/clients/{uid}"), &cleo, json!({ "terms": gold })).await.is_refused(403, "forbidden");
    send(&house, "POST", "/v1/keys", &cleo, json!({ "principal": ann.uid })).await.is_refused(404, "not found");
    send(&house, "POST", "/v1/keys", &cleo, json!({ "principal": uid, "terms": {} })).await.is(201);
    let anns = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.text("/keys/0/id");
    send(&house, "PUT", &format!("/v1/keys/{anns}/terms"), &cleo, gold.clone()).await.is_refused(404, "not found");
    // a super admin has nobody above
    send(&house, "PUT", &format!("/v1/keys/{anns}/terms"), &ann.jwt, gold.clone()).await.is(200);
    send(&house, "POST", "/v1/keys", &ann.jwt, json!({ "terms": gold })).await.is(201);
    let list = house.ask(Ask::get("/v1/keys").bearer(&cleo)).await;
    assert!(list.body["keys"].as_array().unwrap().iter().all(|key| key["terms"] == json!({})), "{}", list.body);
}

#[tokio::test]
async fn what_cannot_be_agreed() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let key = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.text("/keys/0/id");
    for (terms, field) in [
        (json!({ "external_id": "" }), "external_id"),
        (json!({ "external_id": "x".repeat(257) }), "external_id"),
        (json!({ "external_id": "a\r\nX-Auth-User: root" }), "external_id"),
        (json!({ "metadata": { "a b": "c" } }), "metadata"),
        (json!({ "metadata": { "a": "b".repeat(1024) } }), "metadata"),
        (json!({ "metadata": { "a": 1 } }), "metadata.a"),
        (json!({ "meta": {} }), "meta"),
    ] {
        send(&house, "PUT", &format!("/v1/keys/{key}/terms"), &ann.jwt, terms.clone()).await.is_invalid(field);
        let within = if matches!(field, "external_id" | "metadata") { field.to_owned() } else { format!("terms.{field}") };
        send(&house, "POST", "/v1/keys", &ann.jwt, json!({ "terms": terms })).await.is_invalid(&within);
        send(&house, "POST", "/v1/clients", &ann.jwt, json!({ "user": "cleo", "terms": terms })).await.is_invalid(&within);
    }
}
