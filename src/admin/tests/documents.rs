//! What all answers share, and what anyone may read.

use super::*;

#[tokio::test]
async fn name_and_version() {
    let house = House::new().await;
    let reply = house.ask(Ask::get("/")).await;
    assert_eq!(reply.is(200).body, json!({ "name": "gatepost", "version": env!("CARGO_PKG_VERSION") }));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn public_keys_are_those_of_access_tokens() {
    let house = House::new().await;
    let reply = house.ask(Ask::get("/.well-known/jwks.json")).await;
    let key = &reply.is(200).body["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["alg"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig")));
    assert_eq!(key["x"].as_str().unwrap().len(), 43);
    let keyring = house.admin.accounts().keyring();
    assert_eq!(key["kid"], json!(keyring.signing().unwrap().access_jwt().id()));
    assert_eq!(reply.body["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_id_is_taken_over_where_it_is_one() {
    let house = House::new().await;
    for (given, kept) in
        [("a-B.c_9", true), (&"x".repeat(128), true), (&"x".repeat(129), false), ("a b", false), ("a/b", false), ("", false)]
    {
        let reply = house.ask(Ask::get("/").header("x-request-id", given)).await;
        assert_eq!(reply.header("x-request-id") == Some(given), kept, "{given}");
        assert!(!reply.header("x-request-id").unwrap().is_empty());
    }
    let twice = house.ask(Ask::get("/").header("x-request-id", "a").header("x-request-id", "b")).await;
    assert!(is_id(twice.header("x-request-id").unwrap()));
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_done() {
    let house = House::new().await;
    for path in ["/nothing", "/v1", "/v1/otp/receive", "/v1/admin", "/v1/policies/", "/v1/keys/", "/V1/login", "/get-token/"] {
        house.ask(Ask::post(path).json(json!({}))).await.is_refused(404, "not found");
    }
    for (method, path, allow) in
        [("DELETE", "/v1/login", "GET"), ("GET", "/v1/register", "POST"), ("POST", "/", "GET"), ("PATCH", "/v1/keys", "POST")]
    {
        let reply = house.ask(Ask::new(method, path)).await;
        reply.is_refused(405, "method not allowed");
        assert!(reply.header("allow").unwrap().contains(allow), "{path}: {:?}", reply.headers);
    }
}

#[tokio::test]
async fn bodies_are_bounded_and_are_json() {
    let house = House::new().await;
    let long = json!({ "user": "ann", "password": "x".repeat(65 * 1024) });
    house.ask(Ask::post("/v1/register").json(long)).await.is_refused(413, "body too large");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let ask = Ask { body: b"{}".to_vec(), ..Ask::post("/v1/register").header("content-type", kind) };
        house.ask(ask).await.is(415).is_envelope(false);
    }
    house.ask(Ask { body: b"{}".to_vec(), ..Ask::post("/v1/register") }).await.is(415);
    let charset = Ask { body: b"{}".to_vec(), ..Ask::post("/v1/login").header("content-type", "Application/JSON; charset=utf-8") };
    house.ask(charset).await.is_refused(400, "missing authorization header");
    for body in ["{", "[]", "null", "{} {}", "{\"user\":\"a\",}", "\u{0}"] {
        let ask = Ask { body: body.as_bytes().to_vec(), ..Ask::post("/v1/register").header("content-type", "application/json") };
        let reply = house.ask(ask).await;
        assert_eq!((reply.is(400).body["error"].clone(), body), (json!("invalid_request"), body));
    }
    house.ask(Ask::post("/v1/register").json(json!({ "user": 7 }))).await.is_invalid("user");
    house.ask(Ask::post("/v1/register").json(json!({ "user": "ann", "password": PASSWORD, "rank": "king" }))).await.is_invalid("rank");
}

#[tokio::test]
async fn a_database_that_is_away_is_503_everywhere() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.database.close().await;
    let asks = [
        Ask::post("/v1/register").json(json!({ "user": "bob", "password": PASSWORD })),
        Ask::get("/v1/login").basic("ann", PASSWORD),
        Ask::post("/v1/logout").bearer(&ann.refresh_token),
        Ask::post("/v1/token/refresh").bearer(&ann.refresh_token),
        Ask::post("/v1/verify").bearer(&ann.jwt),
        Ask::get("/v1/keys").bearer(&ann.jwt),
        Ask::post("/v1/password/change").basic("ann", PASSWORD).json(json!({ "new_password": "another long password" })),
    ];
    for ask in asks {
        let reply = house.ask(ask).await;
        reply.is_refused(503, "unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert!(!reply.body.to_string().contains("pool"), "the cause is for the log");
    }
    // and so is every route that asks who calls
    let document = serde_json::to_value(crate::admin::openapi()).unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].as_array().is_some_and(|ways| ways.iter().any(|way| way.get("login").is_some())) {
                let method = ["GET", "PUT", "POST", "PATCH", "DELETE"].into_iter().find(|name| name.eq_ignore_ascii_case(method)).unwrap();
                let path = path.replace("{id}", &"0".repeat(32)).replace("{uid}", &"0".repeat(32));
                let ask = Ask::new(method, &path).bearer(&ann.jwt);
                let ask = if operation["requestBody"]["content"].get("application/x-www-form-urlencoded").is_some() {
                    ask.form("token=x")
                } else {
                    ask.json(json!({}))
                };
                let reply = house.ask(ask).await;
                assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("1")), "{method} {path}: {}", reply.body);
                asked += 1;
            }
        }
    }
    assert!(asked > 40, "{asked}");
}
