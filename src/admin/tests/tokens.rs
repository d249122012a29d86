//! `/v1/tokens`

use super::*;

#[tokio::test]
async fn live_tokens_are_listed_and_ended() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let text = house.exchange(&ann.api_key).await.text("/data/auth_token");
    house.clock.advance(Duration::from_secs(10));
    house.ask(Ask::post("/get-token").json(json!({ "api_key": ann.api_key, "scopes": ["orders:read"] }))).await.is(200);
    house.exchange(&bob.api_key).await.is(200);
    let list = house.ask(Ask::get("/v1/tokens").bearer(&ann.jwt)).await;
    let tokens = list.is(200).body["tokens"].as_array().unwrap().clone();
    assert_eq!((tokens.len(), &list.body["next_cursor"]), (2, &Value::Null));
    let id = house.admin.accounts().keyring().read_access(&text).unwrap();
    assert_eq!((&tokens[0]["id"], &tokens[0]["key_id"]), (&json!(id.id), &json!(id.key)));
    assert_eq!((&tokens[0]["scopes"], &tokens[1]["scopes"]), (&json!(["*"]), &json!(["orders:read"])));
    assert_eq!((&tokens[0]["issued_at"], &tokens[1]["issued_at"]), (&json!(1_900_000_000), &json!(1_900_000_010)));
    assert!(tokens[0]["expires_at"].as_u64().unwrap() >= 1_900_003_600);

    let path = format!("/v1/tokens/{}", id.id);
    house.ask(Ask::new("DELETE", &path).bearer(&bob.jwt)).await.is_refused(404, "not found");
    let ended = house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await;
    assert_eq!((&ended.is(200).body["deleted"], &ended.body["propagated"]), (&json!(true), &json!(true)));
    house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await.is_refused(404, "not found");
    let list = house.ask(Ask::get("/v1/tokens").bearer(&ann.jwt)).await;
    assert_eq!(list.body["tokens"].as_array().unwrap().len(), 1);
    // an ended token is not given again
    assert_ne!(house.exchange(&ann.api_key).await.text("/data/auth_token"), text);
}

#[tokio::test]
async fn pages_leave_out_what_has_run_out() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let mint = async |scope: String| house.ask(Ask::post("/get-token").json(json!({ "api_key": ann.api_key, "scopes": [scope] }))).await;
    for n in 0..3 {
        mint(format!("old:{n}")).await.is(200);
    }
    house.clock.advance(Duration::from_secs(4000));
    for n in 0..3 {
        mint(format!("young:{n}")).await.is(200);
    }
    let jwt = house.log_in("ann").await.text("/jwt/token");
    let first = house.ask(Ask::get("/v1/tokens?limit=2").bearer(&jwt)).await;
    assert_eq!(first.is(200).body["tokens"].as_array().unwrap().len(), 2);
    let next = house.ask(Ask::get(&format!("/v1/tokens?limit=2&cursor={}", first.text("/next_cursor"))).bearer(&jwt)).await;
    let tokens = next.is(200).body["tokens"].as_array().unwrap();
    assert_eq!((tokens.len(), &next.body["next_cursor"]), (1, &Value::Null));
    assert!(tokens[0]["scopes"][0].as_str().unwrap().starts_with("young:"));
}
