//! The token store is away: what is saved is answered as saved, what needs the store is 503.

use secrecy::SecretString;

use super::*;
use crate::token::redis::Redis;

/// A house whose Redis nobody answers for.
pub(super) async fn house() -> House {
    let house = House::new().await;
    let settings = store::Settings {
        ttl: Duration::from_secs(3600),
        max_lifetime: Duration::from_secs(12 * 3600),
        staleness_bound: Duration::from_secs(1),
    };
    let url = SecretString::from("redis://127.0.0.1:1/");
    let store = TokenStore::redis(Redis::start(&url, house.database.clone(), settings).await.unwrap()).unwrap();
    let keyring = Arc::new(ArcSwap::from_pointee(Keyring::parse(&"ab".repeat(32)).unwrap()));
    let rules = Rules { sign_up: SignUp::Open, ..rules() };
    let settings = Settings { rules, trusted_proxies: Vec::new(), oidc: Vec::new(), issuers: super::issuers::configured() };
    // not even a task of the embedded store may apply the outbox
    let House { database, clock, _data, .. } = house;
    let senders = Senders::start(senders::Settings::default()).unwrap();
    let admin = Admin::start(settings, database.clone(), store.clone(), keyring, senders).await.unwrap();
    House { admin, database, store, clock, _data }
}

#[tokio::test]
async fn ends_stand_in_the_database_and_are_applied_on_return() {
    let house = house().await;
    let ann = house.person("ann").await;
    let key = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.text("/keys/0/id");
    let later = async |ask: Ask| {
        let reply = house.ask(ask).await;
        reply.is(202).is_envelope(true);
        assert_eq!((&reply.body["propagated"], reply.body.get("strict")), (&json!(false), None));
    };
    later(Ask::new("PUT", &format!("/v1/keys/{key}/scopes")).bearer(&ann.jwt).json(json!({ "scopes": ["a"] }))).await;
    later(Ask::post(&format!("/v1/keys/{key}/rotate?strict=true")).bearer(&ann.jwt)).await;
    // people and policies are made all the same, and blocked and changed for when it returns
    let made = async |path: &str, body: Value| house.ask(Ask::post(path).bearer(&ann.jwt).json(body)).await;
    let cleo = made("/v1/clients", json!({ "user": "cleo" })).await.is(201).text("/principal/uid");
    let policy = made("/v1/policies", json!({ "name": "p", "allow": [] })).await.is(201).text("/policy/id");
    let invitation = made("/v1/invitations", json!({ "role": "client" })).await.is(201).text("/invitation/id");
    later(Ask::new("PATCH", &format!("/v1/clients/{cleo}?strict=true")).bearer(&ann.jwt).json(json!({ "blocked": true }))).await;
    later(Ask::new("PUT", &format!("/v1/policies/{policy}")).bearer(&ann.jwt).json(json!({ "name": "q", "allow": [] }))).await;
    later(Ask::new("DELETE", &format!("/v1/policies/{policy}")).bearer(&ann.jwt)).await;
    later(Ask::new("DELETE", &format!("/v1/clients/{cleo}")).bearer(&ann.jwt)).await;
    // no store knows of invitations
    house.ask(Ask::new("DELETE", &format!("/v1/invitations/{invitation}")).bearer(&ann.jwt)).await.is(200);
    later(Ask::new("DELETE", &format!("/v1/keys/{key}?strict=true")).bearer(&ann.jwt)).await;
    later(Ask::post("/v1/logout").bearer(&ann.refresh_token)).await;
    house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
    assert!(!house.database.pending(0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_needs_the_store_is_503() {
    let house = house().await;
    let ann = house.person("ann").await;
    let reply = house.exchange(&ann.api_key).await;
    assert_eq!((reply.is(503).header("retry-after"), &reply.body["code"]), (Some("1"), &json!(411)));
    house.exchange("gpk_made_up").await.is(401);
    let ticket = house.ask(Ask::post("/v1/tickets").bearer(&ann.jwt)).await;
    assert_eq!(ticket.is(503).header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_token_is_revoked_once_the_store_has_heard_of_it() {
    let house = house().await;
    let ann = house.person("ann").await;
    let other = house.log_in("ann").await.text("/jwt/token");
    // the first try ends it in the database, the second finds it ended: neither may say so yet
    for _ in 0..2 {
        let reply = house.ask(Ask::post("/v1/revoke").bearer(&other).form(&format!("token={}", ann.refresh_token))).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("1")));
    }
    house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
}
