//! `POST /v1/refresh-key`, `POST /v1/refresh-key/login`

use super::otp::{PHONE, Sending, log_in};
use super::*;

const KEY: &str = "eleven purple kettles";

fn set(jwt: &str, key: &str) -> Ask {
    Ask::post("/v1/refresh-key").bearer(jwt).json(json!({ "refresh_key": key }))
}

fn by_key(phone: &str, key: &str) -> Ask {
    Ask::post("/v1/refresh-key/login").json(json!({ "phone": phone, "refresh_key": key }))
}

/// Someone who came by phone: their login's JWT.
async fn phoned() -> (Sending, String, String) {
    let sending = Sending::founded().await;
    let (challenge, code) = sending.code("phone", PHONE).await;
    let reply = sending.house.ask(log_in(&challenge, &code)).await;
    (sending, reply.text("/jwt/token"), reply.text("/uid"))
}

#[tokio::test]
async fn who_proved_a_phone_logs_in_by_a_key_of_their_own() {
    let (sending, jwt, uid) = phoned().await;
    let reply = sending.house.ask(set(&jwt, KEY)).await;
    reply.is(200).is_envelope(true);
    assert_eq!(reply.body["refresh_key_set"], json!(true));
    let reply = sending.house.ask(by_key(PHONE, KEY)).await;
    reply.is(200).is_envelope(true);
    assert_eq!((reply.text("/uid"), reply.text("/jwt/payload/uid")), (uid.clone(), uid));
    sending.house.ask(Ask::post("/v1/verify").bearer(&reply.text("/jwt/token"))).await.is(200);
    // a key is no password
    sending.house.ask(Ask::get("/v1/login").basic(PHONE, KEY)).await.is(401);
    sending.house.ask(set(&jwt, "another seven kettles")).await.is(200);
    sending.house.ask(by_key(PHONE, KEY)).await.is_refused(401, "incorrect credentials");
    sending.house.ask(by_key(PHONE, "another seven kettles")).await.is(200);
}

#[tokio::test]
async fn weak_keys_are_refused() {
    let (sending, jwt, _) = phoned().await;
    for weak in ["", "short", "passwordpassword", "123456789012345", PHONE, "4917612345678ab", "+49 176 1234 5678 mine"] {
        sending.house.ask(set(&jwt, weak)).await.is_refused(400, "weak refresh key");
    }
    sending.house.ask(set(&jwt, &"x".repeat(2000))).await.is_invalid("refresh_key");
    sending.house.ask(Ask::post("/v1/refresh-key").json(json!({ "refresh_key": KEY }))).await.is(401);
    sending.house.ask(Ask::post("/v1/refresh-key").bearer(&jwt).json(json!({}))).await.is_invalid("refresh_key");
    let boss = sending.house.log_in("boss").await.text("/jwt/token");
    sending.house.ask(set(&boss, KEY)).await.is_refused(403, "phone required");
}

#[tokio::test]
async fn known_and_unknown_numbers_are_refused_and_throttled_alike() {
    let (sending, jwt, _) = phoned().await;
    sending.house.ask(set(&jwt, KEY)).await.is(200);
    for phone in [PHONE, "+4917600000000"] {
        for _ in 0..5 {
            let reply = sending.house.ask(by_key(phone, "wrong")).await;
            reply.is_refused(401, "incorrect credentials");
            assert!(reply.header("www-authenticate").is_some());
        }
        let reply = sending.house.ask(by_key(phone, KEY)).await;
        reply.is_refused(429, "too many tries");
        assert_eq!(reply.header("retry-after"), Some("1"));
        // the same counter as the password's
        let login = Ask::post("/v1/login").json(json!({ "phone": phone, "password": PASSWORD }));
        sending.house.ask(login).await.is_refused(429, "too many tries");
    }
    sending.house.clock.advance(Duration::from_secs(1));
    sending.house.ask(by_key(PHONE, KEY)).await.is(200);
}

#[tokio::test]
async fn an_unproved_number_has_no_key() {
    let sending = Sending::with(|_| {}).await;
    let body = json!({ "user": "ann", "password": PASSWORD, "phone": PHONE });
    sending.house.ask(Ask::post("/v1/register").json(body)).await.is(201);
    let jwt = sending.house.log_in("ann").await.text("/jwt/token");
    sending.house.ask(set(&jwt, KEY)).await.is_refused(403, "phone required");
    sending.house.ask(by_key(PHONE, PASSWORD)).await.is_refused(401, "incorrect credentials");
    sending.house.ask(by_key("no number", KEY)).await.is_refused(401, "incorrect credentials");
}
