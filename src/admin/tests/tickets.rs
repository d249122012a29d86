//! `POST /v1/tickets`

use super::*;
use crate::decision::credential::CredentialKind;
use crate::id::Id;
use crate::token::secret::sha256;
use crate::token::store::Ask as Asked;
use crate::token::ticket::{self, Purpose, Ticket, Worth};

impl House {
    /// What a ticket says.
    fn read(&self, reply: &Reply) -> Ticket {
        reply.is(201).is_envelope(true);
        ticket::read(&self.admin.accounts().keyring(), &reply.text("/ticket")).expect("our own")
    }
}

#[tokio::test]
async fn made_from_whatever_the_caller_holds() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let token = house.exchange(&ann.api_key).await.text("/data/auth_token");
    let (claims, key) = (house.admin.accounts().keyring().read_access(&token).unwrap(), sha256(ann.api_key.as_bytes()));
    let ask = || Ask::post("/v1/tickets");
    for (asked, kind, source, secret) in [
        (ask().bearer(&token), CredentialKind::Token, Some(Asked::Token { id: claims.id, key: claims.key }), None),
        (ask().bearer(&token).header("x-api-key", &ann.api_key), CredentialKind::Token, None, Some(key)),
        (ask().header("x-api-key", &ann.api_key), CredentialKind::ApiKey, Some(Asked::Key(claims.key)), Some(key)),
        (ask().bearer(&ann.jwt), CredentialKind::Jwt, None, None),
    ] {
        let reply = house.ask(asked).await;
        let ticket = house.read(&reply);
        assert_eq!((ticket.source.kind, ticket.source.secret, ticket.path, &ticket.scopes), (kind, secret, None, &None));
        assert!(source.is_none_or(|source| source == ticket.source.ask));
        assert_eq!((ticket.ends, &reply.body["expires_at"]), (house.clock.now().after(ticket::LONGEST), &json!(1_900_000_030)));
        assert_eq!(house.store.ticket(&ticket, Purpose::Use).await, Ok(Worth::Good));
    }
}

#[tokio::test]
async fn made_for_less() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let ask = async |body: Value| house.ask(Ask::post("/v1/tickets").bearer(&ann.jwt).json(body)).await;
    let reply = ask(json!({ "expires_in": 5, "scopes": ["orders:read"], "path": "/ws/prices" })).await;
    let ticket = house.read(&reply);
    assert_eq!((ticket.ends, &reply.body["expires_at"]), (house.clock.now().after(Duration::from_secs(5)), &json!(1_900_000_005)));
    assert_eq!(ticket.scopes, Some("orders:read".parse().unwrap()));
    assert!(ticket.is_for(b"/ws/prices?ticket=x") && !ticket.is_for(b"/ws"));
    assert!(house.read(&ask(json!({ "scopes": [] })).await).scopes.is_some_and(|scopes| scopes.is_empty()));
    for wrong in [0, 31, u64::MAX] {
        ask(json!({ "expires_in": wrong })).await.is_invalid("expires_in");
    }
    for wrong in ["", "ws", "/ws?x", "/a/../b", "/a//b", "/a#b", "/a b", "/%2f", "https://a.example/"] {
        ask(json!({ "path": wrong })).await.is_invalid("path");
    }
    ask(json!({ "scopes": ["a b"] })).await.is_invalid("scopes");
    let many: Vec<_> = (0..64).map(|n| format!("{n:0>60}")).collect();
    ask(json!({ "scopes": many })).await.is_invalid("scopes");
    ask(json!({ "ttl": 5 })).await.is_invalid("ttl");
    let cut = house.ask(Ask::post("/v1/keys").bearer(&ann.jwt).json(json!({ "scopes": ["orders:read"] }))).await.text("/api_key");
    let ask = async |scope: &str| house.ask(Ask::post("/v1/tickets").header("x-api-key", &cut).json(json!({ "scopes": [scope] }))).await;
    ask("orders:read").await.is(201);
    assert_eq!(ask("orders:write").await.is(403).body["message"], json!("scope not held: `orders:write`"));
}

#[tokio::test]
async fn never_longer_than_what_it_is_made_from() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.clock.advance(Duration::from_secs(3600 - 10));
    let reply = house.ask(Ask::post("/v1/tickets").bearer(&ann.jwt)).await;
    assert_eq!(house.read(&reply).ends, UnixMs(1_900_003_600_000));
    house.clock.advance(Duration::from_secs(10));
    house.ask(Ask::post("/v1/tickets").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
}

#[tokio::test]
async fn from_nothing_none_is_made() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let ask = || Ask::post("/v1/tickets");
    house.ask(ask()).await.is(401);
    house.ask(ask().basic("ann", PASSWORD)).await.is_refused(401, "invalid authorization method");
    for wrong in ["gpt_made_up", "a.b.c", "x", &ann.refresh_token, &ann.api_key] {
        house.ask(ask().bearer(wrong)).await.is_refused(401, "invalid token");
    }
    house.ask(ask().header("x-api-key", "gpk_made_up")).await.is_refused(401, "unknown or ended key");
    house.ask(ask().header("x-api-key", "made elsewhere")).await.is_refused(401, "unknown or ended key");
    house.ask(ask().header("x-api-key", &ann.api_key).header("x-api-key", &ann.api_key)).await.is(401);
    // a ticket makes no ticket
    let ticket = house.ask(ask().bearer(&ann.jwt)).await.text("/ticket");
    house.ask(ask().bearer(&ticket)).await.is_refused(401, "invalid token");
    house.ask(ask().header("x-api-key", &ticket)).await.is_refused(401, "unknown or ended key");
    // what has ended makes none
    let token = house.exchange(&ann.api_key).await.text("/data/auth_token");
    let key: Id = house.admin.accounts().keyring().read_access(&token).unwrap().key;
    house.ask(Ask::new("DELETE", &format!("/v1/keys/{key}")).bearer(&ann.jwt)).await.is(200);
    house.ask(ask().bearer(&token)).await.is_refused(401, "invalid token");
    house.ask(ask().header("x-api-key", &ann.api_key)).await.is_refused(401, "unknown or ended key");
    house.ask(Ask::post("/v1/logout").bearer(&ann.refresh_token)).await.is(200);
    house.ask(ask().bearer(&ann.jwt)).await.is_refused(401, "invalid token");
}
