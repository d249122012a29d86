//! `/v1/keys`

use super::*;
use crate::token::access;
use crate::token::store::Ask as Check;

const DAY: u64 = 24 * 3600;

async fn create(house: &House, jwt: &str, body: Value) -> Reply {
    house.ask(Ask::post("/v1/keys").bearer(jwt).json(body)).await
}

/// Whether an access token would be allowed to do `scope` by the next check.
async fn may(house: &House, token: &str, scope: &str) -> bool {
    let claims = house.admin.accounts().keyring().read_access(token).unwrap();
    let ask = Check::Token { id: claims.id, key: claims.key };
    let Some(fill) = house.store.look_up(ask).await.unwrap() else { return false };
    crate::token::holder::live(ask, fill, None, house.clock.now(), 3600)
        .is_some_and(|live| live.holder.grant.holds(&scope.parse().unwrap()))
}

#[tokio::test]
async fn a_key_is_made_and_listed() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.clock.advance(Duration::from_secs(1));
    let made = create(&house, &ann.jwt, json!({ "name": "ci", "scopes": ["orders:write", "orders:read"], "expires_in": 60 })).await;
    made.is(201).is_envelope(true);
    let key = &made.body["key"];
    assert!(is_id(key["id"].as_str().unwrap()));
    assert_eq!((&key["name"], &key["scopes"]), (&json!("ci"), &json!(["orders:read", "orders:write"])));
    assert_eq!((&key["created_at"], &key["expires_at"]), (&json!(1_900_000_001), &json!(1_900_000_061)));
    assert_eq!(key["last_used_at"], Value::Null);
    assert!(made.text("/api_key").starts_with("gpk_"));
    let list = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await;
    let keys = list.is(200).body["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[1], &list.body["next_cursor"]), (2, key, &Value::Null));
    assert_eq!((&keys[0]["name"], &keys[0]["scopes"], &keys[0]["expires_at"]), (&json!("sign-up"), &json!(["*"]), &Value::Null));
    assert!(!list.body.to_string().contains("gpk_"));
    house.clock.advance(Duration::from_secs(60));
    house.exchange(&made.text("/api_key")).await.is(401);
    let list = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await;
    assert_eq!(list.body["keys"].as_array().unwrap().len(), 1, "ended by itself");
}

#[tokio::test]
async fn without_a_word_a_key_holds_what_its_owner_holds() {
    let house = House::with(|rules| rules.direct_scopes = "orders:* users:read".parse().unwrap()).await;
    let ann = house.person("ann").await;
    for ask in [Ask::post("/v1/keys"), Ask::post("/v1/keys").json(json!({}))] {
        let made = house.ask(ask.bearer(&ann.jwt)).await;
        assert_eq!(made.is(201).body["key"]["scopes"], json!(["orders:*", "users:read"]));
    }
}

#[tokio::test]
async fn what_is_refused() {
    let house = House::with(|rules| rules.direct_scopes = "orders:*".parse().unwrap()).await;
    let ann = house.person("ann").await;
    let held = create(&house, &ann.jwt, json!({ "scopes": ["orders:read", "users:read", "*"] })).await;
    assert_eq!((held.is(403).text("/error"), held.text("/message")), ("forbidden".into(), "scope not held: `*`, `users:read`".into()));
    for (body, field) in [
        (json!({ "scopes": "orders:read" }), "scopes"),
        (json!({ "scopes": ["orders read"] }), "scopes"),
        (json!({ "scopes": [7] }), "scopes[0]"),
        (json!({ "name": "x".repeat(101) }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "expires_in": 0 }), "expires_in"),
        (json!({ "expires_in": -1 }), "expires_in"),
        (json!({ "expires_in": 1.5 }), "expires_in"),
        (json!({ "expires_in": u64::MAX }), "expires_in"),
        (json!({ "scope": ["orders:read"] }), "scope"),
    ] {
        create(&house, &ann.jwt, body).await.is_invalid(field);
    }
    create(&house, &ann.jwt, json!({ "name": "é".repeat(100) })).await.is(201);
    let without = house.ask(Ask::get("/v1/keys")).await;
    without.is_refused(401, "missing authorization header");
    assert_eq!(without.header("www-authenticate"), Some("Bearer realm=\"gatepost\""));
    for token in ["x", &ann.api_key, &ann.refresh_token] {
        house.ask(Ask::get("/v1/keys").bearer(token)).await.is_refused(401, "invalid token");
    }
    house.ask(Ask::get("/v1/keys").basic("ann", PASSWORD)).await.is(401);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    for n in 0..5 {
        create(&house, &ann.jwt, json!({ "name": format!("key {n}") })).await.is(201);
    }
    let (mut names, mut path) = (Vec::new(), "/v1/keys?limit=4".to_owned());
    loop {
        let page = house.ask(Ask::get(&path).bearer(&ann.jwt)).await;
        names.extend(page.is(200).body["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        path = format!("/v1/keys?limit=4&cursor={next}");
    }
    names.sort();
    assert_eq!(names, ["key 0", "key 1", "key 2", "key 3", "key 4", "sign-up"]);
    for (query, field) in
        [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor"), ("principal=x", "principal")]
    {
        house.ask(Ask::get(&format!("/v1/keys?{query}")).bearer(&ann.jwt)).await.is_invalid(field);
    }
}

#[tokio::test]
async fn only_ones_own() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let key = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.text("/keys/0/id");
    let asks = [
        Ask::new("DELETE", &format!("/v1/keys/{key}")),
        Ask::post(&format!("/v1/keys/{key}/rotate")),
        Ask::new("PUT", &format!("/v1/keys/{key}/scopes")).json(json!({ "scopes": [] })),
        Ask::get(&format!("/v1/keys?principal={}", ann.uid)),
        Ask::new("DELETE", "/v1/keys/not-an-id"),
        Ask::new("DELETE", &format!("/v1/keys/{}", "0".repeat(32))),
        Ask::new("PUT", &format!("/v1/keys/{}/scopes", "0".repeat(32))).json(json!({ "scopes": [] })),
    ];
    for ask in asks {
        house.ask(ask.bearer(&bob.jwt)).await.is_refused(404, "not found");
    }
    house.exchange(&ann.api_key).await.is(200);
    house.ask(Ask::get(&format!("/v1/keys?principal={}", bob.uid)).bearer(&bob.jwt)).await.is(200);
}

#[tokio::test]
async fn an_ended_key_takes_its_tokens_along() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let key = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.text("/keys/0/id");
    let token = house.exchange(&ann.api_key).await.text("/data/auth_token");
    assert!(may(&house, &token, "orders:read").await);
    let ended = house.ask(Ask::new("DELETE", &format!("/v1/keys/{key}?strict=true")).bearer(&ann.jwt)).await;
    assert_eq!((&ended.is(200).body["deleted"], &ended.body["propagated"]), (&json!(true), &json!(true)));
    assert_eq!(ended.body["strict"], json!(true));
    assert!(!may(&house, &token, "orders:read").await);
    house.exchange(&ann.api_key).await.is(401);
    house.ask(Ask::new("DELETE", &format!("/v1/keys/{key}")).bearer(&ann.jwt)).await.is_refused(404, "not found");
    house.ask(Ask::post(&format!("/v1/keys/{key}/rotate")).bearer(&ann.jwt)).await.is_refused(404, "not found");
}

#[tokio::test]
async fn changed_scopes_act_on_live_tokens() {
    let house = House::with(|rules| rules.direct_scopes = "orders:*".parse().unwrap()).await;
    let ann = house.person("ann").await;
    let key = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.text("/keys/0/id");
    let token = house.exchange(&ann.api_key).await.text("/data/auth_token");
    let put = |scopes: Value| Ask::new("PUT", &format!("/v1/keys/{key}/scopes")).bearer(&ann.jwt).json(json!({ "scopes": scopes }));
    let reply = house.ask(put(json!(["orders:read"]))).await;
    assert_eq!((&reply.is(200).body["key"]["scopes"], &reply.body["propagated"]), (&json!(["orders:read"]), &json!(true)));
    assert!(may(&house, &token, "orders:read").await && !may(&house, &token, "orders:write").await);
    house.ask(put(json!(["orders:*"]))).await.is(200);
    assert!(may(&house, &token, "orders:write").await);
    assert_eq!(house.ask(put(json!(["users:read"]))).await.is(403).text("/message"), "scope not held: `users:read`");
    house.ask(put(json!("orders:read"))).await.is_invalid("scopes");
    house.ask(Ask::new("PUT", &format!("/v1/keys/{key}/scopes")).bearer(&ann.jwt).json(json!({}))).await.is_invalid("scopes");
}

#[tokio::test]
async fn rotation_keeps_the_id_and_the_tokens() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let key = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.text("/keys/0/id");
    let token = house.exchange(&ann.api_key).await.text("/data/auth_token");
    let rotate = |body: Value| Ask::post(&format!("/v1/keys/{key}/rotate")).bearer(&ann.jwt).json(body);
    let first = house.ask(Ask::post(&format!("/v1/keys/{key}/rotate")).bearer(&ann.jwt)).await;
    assert_eq!((first.is(200).text("/key/id"), &first.body["propagated"]), (key.clone(), &json!(true)));
    house.exchange(&ann.api_key).await.is(401);
    assert!(may(&house, &token, "orders:read").await);
    assert_eq!(house.exchange(&first.text("/api_key")).await.is(200).text("/data/auth_token"), token);
    let second = house.ask(rotate(json!({ "grace": 60 }))).await;
    house.exchange(&first.text("/api_key")).await.is(200);
    house.exchange(&second.is(200).text("/api_key")).await.is(200);
    // at most two live: the one in its grace ends when the next takes its place
    let third = house.ask(rotate(json!({ "grace": 60 }))).await;
    house.exchange(&first.text("/api_key")).await.is(401);
    house.exchange(&second.text("/api_key")).await.is(200);
    house.clock.advance(Duration::from_secs(60));
    house.exchange(&second.text("/api_key")).await.is(401);
    house.exchange(&third.text("/api_key")).await.is(200);
    house.ask(rotate(json!({ "grace": 7 * DAY }))).await.is(200);
    house.ask(rotate(json!({ "grace": 7 * DAY + 1 }))).await.is_invalid("grace");
    house.ask(rotate(json!({ "grace": -1 }))).await.is_invalid("grace");
}

#[tokio::test]
async fn a_token_text_is_made_again_from_its_record() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let token = house.exchange(&ann.api_key).await.text("/data/auth_token");
    assert!(token.starts_with(access::PREFIX));
    assert_eq!(house.exchange(&ann.api_key).await.text("/data/auth_token"), token);
}

#[tokio::test]
async fn those_above_reach_the_keys_of_those_below() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (top, child, grandchild) = (ann.uid.parse().unwrap(), crate::id::Id::random().unwrap(), crate::id::Id::random().unwrap());
    let tenant = crate::accounts::standing::of_principal(&house.database, top).await.unwrap().unwrap().subject.tenant;
    let scopes = "orders:*".parse().unwrap();
    let mut act = house.database.act().await.unwrap();
    for (uid, parent, role) in
        [(child, top, crate::token::record::Role::Client), (grandchild, child, crate::token::record::Role::SubClient)]
    {
        let new = crate::database::NewPrincipal {
            uid,
            tenant,
            parent: Some(parent),
            role,
            user: None,
            email: None,
            phone: None,
            verified: &[],
            password: None,
            scopes: &scopes,
        };
        act.insert_principal(&new).await.unwrap();
    }
    let act = act.commit(&crate::audit::By::system().did(crate::audit::Action::SignUp, child)).await.unwrap();
    house.admin.accounts().propagate(act).await;
    let owner = crate::accounts::standing::of_principal(&house.database, grandchild).await.unwrap().unwrap();
    let keys = house.admin.accounts().keys(None);
    let (key, secret, act) =
        keys.create(&crate::audit::By::system(), crate::accounts::keys::Reach::Everyone, &owner, Default::default()).await.unwrap();
    house.admin.accounts().propagate(act).await;
    let token = house.exchange(secret.reveal()).await.text("/data/auth_token");

    let list = house.ask(Ask::get(&format!("/v1/keys?principal={grandchild}")).bearer(&ann.jwt)).await;
    assert_eq!(list.is(200).body["keys"][0]["id"], json!(key.id));
    house.ask(Ask::get(&format!("/v1/tokens?principal={grandchild}")).bearer(&ann.jwt)).await.is(200);
    let put = Ask::new("PUT", &format!("/v1/keys/{}/scopes", key.id)).json(json!({ "scopes": ["users:read"] }));
    assert_eq!(house.ask(put.bearer(&ann.jwt)).await.is(403).text("/message"), "scope not held: `users:read`", "the owner's scopes count");
    house.ask(Ask::get(&format!("/v1/keys?principal={grandchild}")).bearer(&bob.jwt)).await.is_refused(404, "not found");
    house.ask(Ask::new("DELETE", &format!("/v1/keys/{}", key.id)).bearer(&bob.jwt)).await.is_refused(404, "not found");
    house.ask(Ask::new("DELETE", &format!("/v1/keys/{}", key.id)).bearer(&ann.jwt)).await.is(200);
    assert!(!may(&house, &token, "orders:read").await);
}

#[tokio::test]
async fn imported_keys_that_nobody_used_are_reported() {
    use crate::database::ImportedKey;
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let mint = crate::token::secret::SecretMint::new(&house.database.installation().key_tag);
    let key = |text: &str, owner: &str| {
        let hash = crate::token::secret::sha256(text.as_bytes());
        let (scopes, name) = ("orders:read".parse().unwrap(), text.to_owned());
        ImportedKey {
            id: mint.id_of_foreign(&hash),
            hash,
            principal: owner.parse().unwrap(),
            name,
            scopes,
            expires_at: None,
            terms: Default::default(),
        }
    };
    let keys = [key("an old key of ann's", &ann.uid), key("another key of ann's", &ann.uid), key("an-old-key-of-bob", &bob.uid)];
    let mut act = house.database.act().await.unwrap();
    assert_eq!(act.import_keys(&keys).await.unwrap(), 3);
    let act = act.commit(&crate::audit::By::cli().did(crate::audit::Action::KeyImport, "3 keys")).await.unwrap();
    house.admin.accounts().propagate(act).await;
    let names = async |query: &str, jwt: &str| {
        let list = house.ask(Ask::get(&format!("/v1/keys?{query}")).bearer(jwt)).await;
        list.is(200).body["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut all = names("imported=true&unused=true&everyone=true", &ann.jwt).await;
    all.sort();
    assert_eq!(all, ["an old key of ann's", "an-old-key-of-bob", "another key of ann's"]);
    // exchanged like any
    let token = house.exchange("an old key of ann's").await;
    assert!(may(&house, &token.is(200).text("/data/auth_token"), "orders:read").await);
    house.exchange("a key that nobody imported").await.is(401);
    house.database.keys_used([(keys[0].id, house.clock.now())]).await.unwrap();
    assert_eq!(names("imported=true&unused=true", &ann.jwt).await, ["another key of ann's"]);
    assert_eq!(names("imported=true", &bob.jwt).await, ["an-old-key-of-bob"]);
    assert_eq!(names("unused=true", &bob.jwt).await.len(), 2);
    let list = house.ask(Ask::get("/v1/keys?imported=true").bearer(&bob.jwt)).await;
    assert_eq!((&list.body["keys"][0]["principal"], &list.body["keys"][0]["imported"]), (&json!(bob.uid), &json!(true)));
    house.ask(Ask::get("/v1/keys?everyone=true").bearer(&bob.jwt)).await.is_refused(403, "forbidden");
    house.ask(Ask::get("/v1/keys?imported=yes").bearer(&bob.jwt)).await.is_invalid("imported");
    // for OAuth its id is the client
    let form = |secret: &str| Ask::post("/v1/oauth/token").basic(&keys[2].id.to_string(), secret).form("grant_type=client_credentials");
    house.ask(form("an-old-key-of-bob")).await.is(200);
    house.ask(form("a-key-that-nobody-imported")).await.is(401);
}

#[tokio::test]
async fn a_key_may_be_bound_to_networks() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    // lists are in order of time
    house.clock.advance(Duration::from_secs(1));
    let made = create(&house, &ann.jwt, json!({ "terms": { "networks": ["10.0.0.0/8", "2001:db8::1", "::ffff:192.0.2.0/120"] } })).await;
    assert_eq!(made.is(201).body["key"]["terms"]["networks"], json!(["10.0.0.0/8", "2001:db8::1/128", "192.0.2.0/24"]));
    let listed = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await;
    assert_eq!(listed.body["keys"][0]["terms"], json!({}), "the first one is bound to none");
    assert_eq!(listed.body["keys"][1]["terms"], made.body["key"]["terms"]);
    // its tokens are bound as it is
    let token = house.exchange(&made.text("/api_key")).await.text("/data/auth_token").to_owned();
    let claims = house.admin.accounts().keyring().read_access(&token).unwrap();
    let fill = house.store.look_up(Check::Token { id: claims.id, key: claims.key }).await.unwrap().unwrap();
    let live = crate::token::holder::live(Check::Token { id: claims.id, key: claims.key }, fill, None, house.clock.now(), 3600).unwrap();
    assert_eq!(live.holder.networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "2001:db8::1/128", "192.0.2.0/24"]);
    for (networks, what) in [
        (json!(["10.0.0.1/8"]), "has bits set after its prefix"),
        (json!(["anywhere"]), "is no network"),
        (json!(vec!["::1"; 65]), "at most 64"),
    ] {
        let refused = create(&house, &ann.jwt, json!({ "terms": { "networks": networks } })).await;
        assert!(refused.is(400).text("/message").contains(what), "{:?}", refused.body);
    }
}
