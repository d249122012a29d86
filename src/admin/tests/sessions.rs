//! `/v1/logout`, `/v1/token/refresh`, `/v1/verify`, `/v1/sessions`

use super::*;
use crate::audit::{Action, By};
use crate::database::{Page, SessionRow};
use crate::id::Id;
use crate::token::jwt::LoginJwt;

fn refresh(token: &str) -> Ask {
    Ask::post("/v1/token/refresh").bearer(token)
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_its_successor() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.clock.advance(Duration::from_secs(1800));
    let reply = house.ask(Ask::get("/v1/token/refresh").bearer(&ann.refresh_token)).await;
    reply.is(200).is_envelope(true);
    assert_eq!(reply.text("/uid"), ann.uid);
    assert_eq!(reply.body["jwt"]["payload"]["exp"], json!(1_900_005_400));
    let next = reply.text("/jwt/refresh_token");
    assert_ne!(next, ann.refresh_token);
    house.ask(Ask::post("/v1/verify").bearer(&reply.text("/jwt/token"))).await.is(200);
    house.ask(refresh(&next)).await.is(200);
}

#[tokio::test]
async fn a_lost_answer_is_given_again_for_ten_seconds() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let first = house.ask(refresh(&ann.refresh_token)).await.text("/jwt/refresh_token");
    house.clock.advance(Duration::from_secs(10));
    assert_eq!(house.ask(refresh(&ann.refresh_token)).await.is(200).text("/jwt/refresh_token"), first);
    house.clock.advance(Duration::from_millis(1));
    house.ask(refresh(&ann.refresh_token)).await.is_refused(404, "session does not exist");
    house.ask(refresh(&first)).await.is_refused(404, "session does not exist");
    house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
}

#[tokio::test]
async fn reuse_after_the_successor_was_used_ends_the_family() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let second = house.ask(refresh(&ann.refresh_token)).await.text("/jwt/refresh_token");
    let third = house.ask(refresh(&second)).await.text("/jwt/refresh_token");
    house.ask(refresh(&ann.refresh_token)).await.is_refused(404, "session does not exist");
    house.ask(refresh(&third)).await.is_refused(404, "session does not exist");
}

#[tokio::test]
async fn exchanges_that_race_answer_the_same_successor() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (a, b, c) = tokio::join!(
        house.ask(refresh(&ann.refresh_token)),
        house.ask(refresh(&ann.refresh_token)),
        house.ask(refresh(&ann.refresh_token))
    );
    let next = a.is(200).text("/jwt/refresh_token");
    assert_eq!((b.is(200).text("/jwt/refresh_token"), c.is(200).text("/jwt/refresh_token")), (next.clone(), next));
}

#[tokio::test]
async fn a_session_ends_at_its_absolute_end() {
    let house = House::new().await;
    let mut token = house.person("ann").await.refresh_token;
    for _ in 0..11 {
        house.clock.advance(Duration::from_secs(3600));
        token = house.ask(refresh(&token)).await.is(200).text("/jwt/refresh_token");
    }
    house.clock.advance(Duration::from_secs(3600));
    house.ask(refresh(&token)).await.is_refused(404, "session does not exist");
}

#[tokio::test]
async fn logout_ends_the_session() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let reply = house.ask(Ask::post("/v1/logout?strict=true").bearer(&ann.refresh_token)).await;
    reply.is(200).is_envelope(true);
    let body = &reply.body;
    assert_eq!((&body["logged_out"], &body["uid"], &body["token"]), (&json!(true), &json!(ann.uid), &json!(ann.refresh_token)));
    assert_eq!((&body["propagated"], &body["strict"]), (&json!(true), &json!(true)));
    house.ask(Ask::post("/v1/logout").bearer(&ann.refresh_token)).await.is_refused(404, "session does not exist");
    house.ask(refresh(&ann.refresh_token)).await.is_refused(404, "session does not exist");
    house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
    house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
}

#[tokio::test]
async fn what_a_refresh_token_must_be() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    for path in ["/v1/logout", "/v1/token/refresh"] {
        house.ask(Ask::post(path)).await.is_refused(400, "missing authorization header");
        house.ask(Ask::post(path).basic("ann", PASSWORD)).await.is_refused(400, "invalid authorization method");
        house.ask(Ask::post(path).header("authorization", "Basic not-base64")).await.is_refused(400, "invalid authorization method");
        house.ask(Ask::post(path).header("authorization", "Bearer")).await.is_refused(400, "invalid authorization token");
        house.ask(Ask::post(path).header("authorization", "Bearer   ")).await.is_refused(400, "invalid authorization token");
        for token in ["x", &ann.jwt, &ann.api_key, &ann.api_key.replace("gpk_", "gpr_")] {
            house.ask(Ask::post(path).bearer(token)).await.is_refused(404, "session does not exist");
        }
    }
    house.ask(Ask::post("/v1/logout?strict=maybe").bearer(&ann.refresh_token)).await.is_invalid("strict");
}

#[tokio::test]
async fn verify_tells_what_is_wrong() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let verify = |token: &str| Ask::post("/v1/verify").bearer(token);
    let reply = house.ask(verify(&ann.jwt)).await;
    assert_eq!((&reply.is(200).body["valid"], &reply.body["payload"]["uid"]), (&json!(true), &json!(ann.uid)));
    house.ask(Ask::post("/v1/verify")).await.is_refused(400, "missing authorization header");
    house.ask(Ask::post("/v1/verify").basic("a", "b")).await.is_refused(400, "invalid authorization method");
    house.ask(Ask::post("/v1/verify").header("authorization", "Bearer ")).await.is_refused(400, "invalid authorization token");
    for token in ["x", "a.b.c", &ann.api_key, &ann.refresh_token] {
        house.ask(verify(token)).await.is_refused(401, "invalid token");
    }
    // its claims changed
    let mut parts: Vec<String> = ann.jwt.split('.').map(str::to_owned).collect();
    let claims = parts[1].replacen("eyJzaWQi", "eyJzaWUi", 1);
    assert_ne!(claims, parts[1]);
    parts[1] = claims;
    house.ask(verify(&parts.join("."))).await.is_refused(401, "invalid signature");
    // signed by another installation
    let claims = LoginJwt::new(Id::random().unwrap(), ann.uid.parse().unwrap(), house.clock.now(), Duration::from_secs(60), "gatepost");
    let other = Keyring::parse(&"cd".repeat(32)).unwrap().signing().unwrap().login_jwt().sign_login(&claims).unwrap();
    house.ask(verify(&other)).await.is_refused(401, "invalid signature");
    // ours, of a session that never was
    let ours = house.admin.accounts().keyring().signing().unwrap().login_jwt().sign_login(&claims).unwrap();
    let reply = house.ask(verify(&ours)).await;
    reply.is_refused(401, "invalid token");
    assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"gatepost\", error=\"invalid_token\""));
    house.clock.advance(Duration::from_secs(3600));
    house.ask(verify(&ann.jwt)).await.is_refused(401, "expired signature");
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    house.clock.advance(Duration::from_secs(1));
    let second = house.log_in("ann").await;
    let list = house.ask(Ask::get("/v1/sessions").bearer(&ann.jwt)).await;
    let sessions = list.is(200).body["sessions"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[1]["id"], second.body["jwt"]["payload"]["sid"]);
    assert_eq!((&sessions[0]["created_at"], &sessions[0]["expires_at"]), (&json!(1_900_000_000), &json!(1_900_043_200)));
    let path = format!("/v1/sessions/{}", second.text("/jwt/payload/sid"));
    house.ask(Ask::new("DELETE", &path).bearer(&bob.jwt)).await.is_refused(404, "not found");
    let ended = house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await;
    assert_eq!((&ended.is(200).body["deleted"], &ended.body["propagated"]), (&json!(true), &json!(true)));
    house.ask(Ask::post("/v1/verify").bearer(&second.text("/jwt/token"))).await.is_refused(401, "invalid token");
    house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await.is_refused(404, "not found");
}

#[tokio::test]
async fn a_login_beyond_many_ends_the_oldest() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let uid: Id = ann.uid.parse().unwrap();
    let live = async || house.database.sessions_of(uid, Page { after: None, limit: 200 }).await.unwrap();
    for more in [62_u8, 2] {
        let mut act = house.database.act().await.unwrap();
        for _ in 0..more {
            house.clock.advance(Duration::from_millis(1));
            let now = act.now();
            let (id, ends_at) = (Id::random().unwrap(), now.after(Duration::from_secs(60)));
            let row = SessionRow { id, principal: uid, created_at: house.clock.now(), ends_at, idle_ends_at: None };
            act.insert_session(&row).await.unwrap();
        }
        let act = act.commit(&By::system().did(Action::Login, uid)).await.unwrap();
        house.admin.accounts().propagate(act).await;
        house.clock.advance(Duration::from_millis(1));
        house.log_in("ann").await.is(200);
        assert_eq!(live().await.len(), 64);
        let is_live = house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.status == 200;
        assert_eq!(is_live, more == 62, "the oldest goes first");
    }
}

#[tokio::test]
async fn old_sessions_are_forgotten() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let session = house.database.sessions_of(ann.uid.parse().unwrap(), Page { after: None, limit: 1 }).await.unwrap()[0].id;
    // a code that nobody used does not hold its session
    house.database.insert_host_code([7; 32], session, "app.test", "https://app.test/", Duration::from_secs(30)).await.unwrap();
    house.clock.advance(Duration::from_secs(13 * 3600));
    let ago = |hours: u64| house.clock.now().before(Duration::from_secs(hours * 3600));
    assert_eq!(house.database.forget_sessions(ago(2)).await.unwrap(), 0);
    assert_eq!(house.database.forget_sessions(ago(0)).await.unwrap(), 1);
    house.ask(refresh(&ann.refresh_token)).await.is_refused(404, "session does not exist");
}
