//! `POST /get-token`

use super::*;

fn ask(body: Value) -> Ask {
    Ask::post("/get-token").json(body)
}

#[track_caller]
fn is_failed(reply: &Reply, status: u16, message: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
    assert_eq!(reply.body, json!({ "data": {}, "status": "failed", "code": 411, "message": message }));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_token() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let reply = house.ask(ask(json!({ "api_key": ann.api_key, "scopes": ["users:read", "orders:read"] }))).await;
    let token = reply.text("/data/auth_token");
    let data = json!({ "auth_token": token, "expires_in": 3600, "scopes": ["orders:read", "users:read"] });
    assert_eq!(reply.is(200).body, json!({ "data": data, "status": "success", "code": 200, "message": "token successfully created" }));
    assert!(token.starts_with("gpt_"));
    let all = house.exchange(&ann.api_key).await;
    assert_eq!(all.is(200).body["data"]["scopes"], json!(["*"]));
    assert_ne!(all.text("/data/auth_token"), token);
}

#[tokio::test]
async fn asking_again_restores_the_time() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let first = house.exchange(&ann.api_key).await;
    house.clock.advance(Duration::from_secs(1800));
    let again = house.exchange(&ann.api_key).await;
    assert_eq!((again.text("/data/auth_token"), &again.body["data"]["expires_in"]), (first.text("/data/auth_token"), &json!(3600)));
}

#[tokio::test]
async fn what_is_refused() {
    let house = House::with(|rules| rules.direct_scopes = "orders:*".parse().unwrap()).await;
    let ann = house.person("ann").await;
    let unknown =
        house.admin.accounts().keys(None).mint.make(crate::token::secret::SecretKind::ApiKey, "0".repeat(32).parse().unwrap()).unwrap();
    for key in ["", "x", &ann.refresh_token, &ann.jwt, &format!("{}0", ann.api_key), unknown.reveal()] {
        is_failed(&house.exchange(key).await, 401, "unknown or ended key");
    }
    is_failed(&house.ask(ask(json!({ "api_key": ann.api_key, "scopes": ["users:read"] }))).await, 403, "scope not held: `users:read`");
    for (body, word) in [
        (json!({}), "`api_key`"),
        (json!({ "api_key": 7 }), "`api_key`"),
        (json!({ "api_key": ann.api_key, "scopes": "orders:read" }), "`scopes`"),
        (json!({ "api_key": ann.api_key, "scopes": ["orders read"] }), "`scopes`"),
        (
            json!({ "api_key": ann.api_key, "scopes": vec!["a"; 1].into_iter().map(str::to_owned).chain((0..64).map(|n| format!("orders:{n}"))).collect::<Vec<_>>() }),
            "`scopes`",
        ),
        (json!({ "api_key": ann.api_key, "scope": ["orders:read"] }), "`scope`"),
    ] {
        let reply = house.ask(ask(body)).await;
        assert!(reply.is(400).text("/message").contains(word), "{}", reply.body);
        is_failed(&reply, 400, &reply.text("/message"));
    }
    is_failed(&house.ask(Ask { body: b"{}".to_vec(), ..Ask::post("/get-token") }).await, 415, "unsupported media type");
    is_failed(&house.ask(ask(json!({ "api_key": "x".repeat(65 * 1024) }))).await, 413, "body too large");
    is_failed(&house.ask(Ask::get("/get-token")).await, 405, "method not allowed");
}

#[tokio::test]
async fn sixty_four_live_tokens_a_key() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    for n in 0..64 {
        house.ask(ask(json!({ "api_key": ann.api_key, "scopes": [format!("orders:{n}")] }))).await.is(200);
    }
    let reply = house.ask(ask(json!({ "api_key": ann.api_key, "scopes": ["orders:64"] }))).await;
    is_failed(&reply, 429, "too many live tokens");
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test]
async fn a_made_up_key_asks_neither_store_nor_database() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.database.close().await;
    is_failed(&house.exchange(&ann.api_key.replace("gpk_", "gpk_0")).await, 401, "unknown or ended key");
}

#[tokio::test]
async fn jwt_format_names_the_principal() {
    let house = House::with(|rules| rules.format = TokenFormat::Jwt).await;
    let ann = house.person("ann").await;
    let token = house.exchange(&ann.api_key).await.is(200).text("/data/auth_token");
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!((&claims["sub"], &claims["scopes"], &claims["iss"]), (&json!(ann.uid), &json!("*"), &json!("gatepost")));
    assert!(house.admin.accounts().keyring().read_access(&token).is_some());
}
