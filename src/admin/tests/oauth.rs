//! OAuth: client credentials, introspection, revocation, and where they are.

use super::*;

const TOKEN: &str = "/v1/oauth/token";
const FORM: &str = "grant_type=client_credentials";

/// A key with its id.
struct Client {
    id: String,
    secret: String,
}

impl House {
    async fn client(&self, of: &Person, scopes: &[&str]) -> Client {
        let made = self.ask(Ask::post("/v1/keys").bearer(&of.jwt).json(json!({ "scopes": scopes }))).await;
        made.is(201);
        Client { id: made.text("/key/id"), secret: made.text("/api_key") }
    }

    async fn introspect(&self, by: &Client, token: &str) -> Reply {
        let reply = self.ask(Ask::post("/v1/introspect").basic(&by.id, &by.secret).form(&format!("token={token}"))).await;
        reply.is(200);
        reply
    }

    async fn revoke(&self, by: &Client, token: &str) {
        let reply = self.ask(Ask::post("/v1/revoke").basic(&by.id, &by.secret).form(&format!("token={token}"))).await;
        assert_eq!(reply.is(200).body, json!({}));
    }
}

impl Client {
    fn basic(&self, path: &str) -> Ask {
        Ask::post(path).basic(&self.id, &self.secret)
    }

    fn in_body(&self) -> String {
        format!("client_id={}&client_secret={}", self.id, self.secret)
    }
}

impl Reply {
    #[track_caller]
    fn is_error(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status.as_u16(), &self.body["error"]), (status, &json!(code)), "{}", self.body);
        let fields: Vec<&String> = self.body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["error", "error_description"], "no envelope");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        self
    }
}

#[tokio::test]
async fn client_credentials_give_the_token_of_the_key() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let client = house.client(&ann, &["orders:read", "orders:write"]).await;
    let by_basic = house.ask(client.basic(TOKEN).form(FORM)).await;
    assert_eq!(by_basic.is(200).body["token_type"], json!("Bearer"));
    assert_eq!((&by_basic.body["expires_in"], &by_basic.body["scope"]), (&json!(3600), &json!("orders:read orders:write")));
    assert_eq!((by_basic.header("cache-control"), by_basic.header("pragma")), (Some("no-store"), Some("no-cache")));
    assert_eq!(by_basic.body.as_object().unwrap().len(), 4, "no envelope");
    let in_body = house.ask(Ask::post(TOKEN).form(&format!("{FORM}&{}", client.in_body()))).await;
    assert_eq!(in_body.is(200).text("/access_token"), by_basic.text("/access_token"));
    let elsewhere = house.exchange(&client.secret).await;
    assert_eq!(elsewhere.text("/data/auth_token"), by_basic.text("/access_token"), "the same token");
    // both parts of Basic are form-urlencoded, and what is not known is ignored
    let encoded = client.id.replace('a', "%61");
    let narrow = house.ask(Ask::post(TOKEN).basic(&encoded, &client.secret).form(&format!("{FORM}&scope=orders%3Aread&resource=x"))).await;
    assert_eq!(narrow.is(200).body["scope"], json!("orders:read"));
    let charset =
        Ask { body: FORM.into(), ..client.basic(TOKEN).header("content-type", "application/x-www-form-urlencoded;charset=UTF-8") };
    house.ask(charset).await.is(200);
}

#[tokio::test]
async fn every_error_of_the_token_route() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let client = house.client(&ann, &["a"]).await;
    let other = house.client(&ann, &["a"]).await;
    let body = client.in_body();
    let form = |fields: &str| Ask::post(TOKEN).form(fields);
    let cases = [
        (form(&body), 400, "invalid_request"),
        (form(&format!("{FORM}&{FORM}&{body}")), 400, "invalid_request"),
        (form(&format!("{FORM}&{body}&x=%zz")), 400, "invalid_request"),
        (client.basic(TOKEN).form(&format!("{FORM}&{body}")), 400, "invalid_request"),
        (client.basic(TOKEN).form(&format!("{FORM}&client_id={}", other.id)), 400, "invalid_request"),
        (Ask::post(TOKEN).bearer(&ann.jwt).form(&format!("{FORM}&{body}")), 400, "invalid_request"),
        (form(&format!("grant_type=password&{body}")), 400, "unsupported_grant_type"),
        (form(&format!("{FORM}&{body}&scope=b")), 400, "invalid_scope"),
        (form(&format!("{FORM}&{body}&scope=a%20%20a")), 400, "invalid_scope"),
        (form(&format!("{FORM}&{body}&scope=%C3%A9")), 400, "invalid_scope"),
        (form(FORM), 401, "invalid_client"),
        (form(&format!("{FORM}&client_id={}", client.id)), 401, "invalid_client"),
        (form(&format!("{FORM}&client_id={}&client_secret={}", other.id, client.secret)), 401, "invalid_client"),
        (form(&format!("{FORM}&client_id=x&client_secret={}", client.secret)), 401, "invalid_client"),
        (form(&format!("{FORM}&client_id={}&client_secret=gpk_x", client.id)), 401, "invalid_client"),
        (Ask::post(TOKEN).basic(&client.id, "gpk_x").form(FORM), 401, "invalid_client"),
        (Ask::post(TOKEN).basic("%zz", &client.secret).form(FORM), 401, "invalid_client"),
        (Ask::post(TOKEN).header("authorization", "Basic !").form(FORM), 401, "invalid_client"),
        (Ask::post(TOKEN).header("authorization", "Digest x").form(FORM), 401, "invalid_client"),
        (Ask::post(TOKEN).bearer(&ann.jwt).form(FORM), 401, "invalid_client"),
        (Ask::post(TOKEN).json(json!({ "grant_type": "client_credentials" })), 415, "invalid_request"),
        (form(&"x".repeat(65 * 1024)), 413, "invalid_request"),
        (Ask::get(TOKEN), 405, "invalid_request"),
    ];
    for (n, (ask, status, code)) in cases.into_iter().enumerate() {
        let reply = house.ask(ask).await;
        assert_eq!((n, reply.status.as_u16(), &reply.body["error"]), (n, status, &json!(code)), "{}", reply.body);
        reply.is_error(status, code);
        assert_eq!(reply.header("www-authenticate"), (status == 401).then_some("Basic realm=\"gatepost\""), "{n}");
    }
    house.ask(Ask::new("DELETE", &format!("/v1/keys/{}", client.id)).bearer(&ann.jwt)).await.is(200);
    house.ask(form(&format!("{FORM}&{body}"))).await.is_error(401, "invalid_client");
    house.database.close().await;
    assert_eq!(house.ask(other.basic(TOKEN).form(FORM)).await.is_error(503, "temporarily_unavailable").header("retry-after"), Some("1"));
}

#[tokio::test]
async fn guesses_are_throttled_by_network() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let client = house.client(&ann, &["a"]).await;
    for n in 0..50 {
        // no proxy is trusted here: what one claims to have forwarded makes no other network of it
        let guess = Ask::post(TOKEN).basic(&client.id, "gpk_guess").form(FORM).header("x-forwarded-for", format!("203.0.113.{n}"));
        house.ask(guess.from("192.0.2.1")).await.is(401);
    }
    for path in [TOKEN, "/v1/introspect", "/v1/revoke"] {
        let reply = house.ask(client.basic(path).form("grant_type=client_credentials&token=x").from("192.0.2.1")).await;
        assert!(reply.is_error(429, "too_many_tries").header("retry-after").is_some());
    }
    let elsewhere = Ask::post("/get-token").json(json!({ "api_key": client.secret })).from("192.0.2.1");
    assert_eq!(house.ask(elsewhere).await.is(429).body["code"], json!(411), "one counter");
    house.ask(client.basic(TOKEN).form(FORM)).await.is(200);
}

#[tokio::test]
async fn introspection_tells_what_an_access_token_may_do_now() {
    for format in [TokenFormat::Opaque, TokenFormat::Jwt] {
        let house = House::with(|rules| (rules.sign_up, rules.format) = (SignUp::Open, format)).await;
        let ann = house.person("ann").await;
        let (client, asking) = (house.client(&ann, &["a", "b"]).await, house.client(&ann, &["none"]).await);
        let token = house.exchange(&client.secret).await.text("/data/auth_token");
        house.clock.advance(Duration::from_secs(600));
        let found = house.introspect(&asking, &token).await;
        let body = &found.body;
        assert_eq!((&body["active"], &body["scope"], &body["token_type"]), (&json!(true), &json!("a b"), &json!("Bearer")));
        assert_eq!((&body["client_id"], &body["sub"], &body["username"]), (&json!(client.id), &json!(ann.uid), &json!("ann")));
        // the idle end lies on a grid of a tenth of the ttl
        let left = body["exp"].as_u64().unwrap() - 1_900_000_000;
        assert!((3600..3960).contains(&left) && body["iat"] == json!(1_900_000_000), "asking does not keep it alive: {body}");
        assert_eq!((&body["iss"], &body["aud"]), (&json!("gatepost"), &json!("gatepost")));
        assert!(is_id(&found.text("/jti")));
        // what the key may do now
        let narrower = Ask::new("PUT", &format!("/v1/keys/{}/scopes", client.id)).bearer(&ann.jwt).json(json!({ "scopes": ["b", "c"] }));
        house.ask(narrower).await.is(200);
        assert_eq!(house.introspect(&asking, &token).await.body["scope"], json!("b"));
        house.ask(Ask::new("DELETE", &format!("/v1/keys/{}", client.id)).bearer(&ann.jwt)).await.is(200);
        assert_eq!(house.introspect(&asking, &token).await.body, json!({ "active": false }));
    }
}

#[tokio::test]
async fn what_is_nothing_to_the_client_is_not_active() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (hers, his) = (house.client(&ann, &["a"]).await, house.client(&bob, &["a"]).await);
    let token = house.exchange(&hers.secret).await.text("/data/auth_token");
    let (start, last) = token.split_at(token.len() - 1);
    let forged = format!("{start}{}", if last == "A" { "B" } else { "A" });
    for token in [&token, &ann.refresh_token] {
        assert_eq!(house.introspect(&his, token).await.body, json!({ "active": false }), "another tenant's");
    }
    for token in [&forged, "x", &hers.secret, &ann.jwt, "gpt_", "gpr_"] {
        assert_eq!(house.introspect(&hers, token).await.body, json!({ "active": false }), "{token}");
    }
    assert_eq!(house.introspect(&hers, &token).await.body["active"], json!(true));
    house.clock.advance(Duration::from_secs(3961));
    assert_eq!(house.introspect(&hers, &token).await.body, json!({ "active": false }), "run out");
}

#[tokio::test]
async fn refresh_tokens_are_introspected_while_they_can_be_exchanged() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let client = house.client(&ann, &["a"]).await;
    let found = house.introspect(&client, &ann.refresh_token).await;
    assert_eq!((&found.body["active"], &found.body["sub"], &found.body["username"]), (&json!(true), &json!(ann.uid), &json!("ann")));
    assert_eq!(found.body["exp"], json!(1_900_000_000 + 12 * 3600));
    assert_eq!((found.body.get("scope"), found.body.get("token_type")), (None, None));
    let successor = house.ask(Ask::post("/v1/token/refresh").bearer(&ann.refresh_token)).await.text("/jwt/refresh_token");
    house.clock.advance(Duration::from_secs(11));
    assert_eq!(house.introspect(&client, &ann.refresh_token).await.body, json!({ "active": false }), "rotated");
    assert_eq!(house.introspect(&client, &successor).await.body["active"], json!(true), "asking is no reuse");
    house.revoke(&client, &ann.refresh_token).await;
    assert_eq!(house.introspect(&client, &successor).await.body, json!({ "active": false }), "the family has ended");
    house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
}

#[tokio::test]
async fn revocation_ends_ones_own_tokens_only() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (hers, his) = (house.client(&ann, &["a"]).await, house.client(&bob, &["a"]).await);
    let token = house.exchange(&hers.secret).await.text("/data/auth_token");
    for token in [&token, &ann.refresh_token, "x", "gpt_x"] {
        house.revoke(&his, token).await;
    }
    assert_eq!(house.introspect(&hers, &token).await.body["active"], json!(true));
    assert_eq!(house.introspect(&hers, &ann.refresh_token).await.body["active"], json!(true));
    for _ in 0..2 {
        house.revoke(&hers, &token).await;
        assert_eq!(house.introspect(&hers, &token).await.body, json!({ "active": false }));
    }
    let again = house.exchange(&hers.secret).await.text("/data/auth_token");
    assert_ne!(again, token);
    // by a login, with a hint that is wrong
    let ask = Ask::post("/v1/revoke").bearer(&ann.jwt).form(&format!("token={again}&token_type_hint=refresh_token"));
    house.ask(ask).await.is(200);
    assert_eq!(house.introspect(&hers, &again).await.body, json!({ "active": false }));
}

#[tokio::test]
async fn every_error_of_introspection_and_revocation() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let client = house.client(&ann, &["a"]).await;
    // the last character carries two bits only: one further in is changed
    let (before, after) = ann.jwt.split_at(ann.jwt.len() - 10);
    let wrong = format!("{before}{}{}", if after.starts_with('A') { "B" } else { "A" }, after.split_at(1).1);
    for path in ["/v1/introspect", "/v1/revoke"] {
        house.ask(Ask::post(path).bearer(&ann.jwt).form("token=x")).await.is(200);
        house.ask(Ask::post(path).form(&format!("token=x&{}", client.in_body()))).await.is(200);
        let basic = Some("Basic realm=\"gatepost\"");
        let bearer = Some("Bearer realm=\"gatepost\", error=\"invalid_token\"");
        let cases = [
            (client.basic(path).form(""), 400, "invalid_request", None),
            (client.basic(path).form("token=a&token=b"), 400, "invalid_request", None),
            (client.basic(path).form(&format!("token=x&{}", client.in_body())), 400, "invalid_request", None),
            (Ask::post(path).form("token=x"), 401, "invalid_client", basic),
            (Ask::post(path).basic(&client.id, "gpk_x").form("token=x"), 401, "invalid_client", basic),
            (Ask::post(path).bearer(&wrong).form("token=x"), 401, "invalid_token", bearer),
            (Ask::post(path).bearer(&ann.refresh_token).form("token=x"), 401, "invalid_token", bearer),
            (client.basic(path).json(json!({ "token": "x" })), 415, "invalid_request", None),
        ];
        for (n, (ask, status, code, challenge)) in cases.into_iter().enumerate() {
            let reply = house.ask(ask).await;
            assert_eq!((n, reply.status.as_u16(), &reply.body["error"]), (n, status, &json!(code)), "{}", reply.body);
            assert_eq!(reply.header("www-authenticate"), challenge, "{n}");
        }
    }
    house.database.close().await;
    for path in ["/v1/introspect", "/v1/revoke"] {
        house.ask(client.basic(path).form("token=x")).await.is_error(503, "temporarily_unavailable");
    }
}

#[tokio::test]
async fn where_the_routes_are() {
    let path = "/.well-known/oauth-authorization-server";
    let house = House::new().await;
    let here = house.ask(Ask::get(path)).await;
    assert_eq!(here.is(200).body["issuer"], json!("http://localhost:8000"));
    assert_eq!(here.body["token_endpoint"], json!("http://localhost:8000/v1/oauth/token"));
    assert_eq!((&here.body["grant_types_supported"], &here.body["response_types_supported"]), (&json!(["client_credentials"]), &json!([])));
    house.ask(Ask::get(path).from("192.0.2.1")).await.is_refused(404, "not found");
    let rebound = Ask { headers: vec![("host", "evil.example".to_owned())], ..Ask::get(path) };
    house.ask(rebound).await.is_refused(404, "not found");
    let house = House::with(|rules| rules.issuer = "https://auth.example.com".to_owned()).await;
    let public = house.ask(Ask::get(path).from("192.0.2.1")).await;
    assert_eq!(public.is(200).body["jwks_uri"], json!("https://auth.example.com/.well-known/jwks.json"));
    // each is there
    for name in ["token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri", "service_documentation"] {
        let path = public.text(&format!("/{name}")).replace("https://auth.example.com", "");
        assert_ne!(house.ask(Ask::get(&path)).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
