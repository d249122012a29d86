//! `POST /v1/profile`, `POST /v1/profile/verify`

use super::otp::{EMAIL, PHONE, Sending, log_in, wrong};
use super::*;

fn change(jwt: &str, body: Value) -> Ask {
    Ask::post("/v1/profile").bearer(jwt).json(body)
}

fn verify(jwt: &str, challenge: &str, code: &str) -> Ask {
    Ask::post("/v1/profile/verify").bearer(jwt).json(json!({ "challenge": challenge, "code": code }))
}

#[tokio::test]
async fn what_is_said_is_unproved_until_it_is_proved() {
    let sending = Sending::with(|_| {}).await;
    let ann = sending.house.person("ann").await;
    let reply = sending.house.ask(Ask::post("/v1/profile").bearer(&ann.jwt)).await;
    reply.is(200).is_envelope(true);
    let expected = json!({
        "uid": ann.uid, "name": "ann", "user": "ann", "email": null, "email_verified": false, "phone": null, "phone_verified": false,
        "pending_email": null, "pending_phone": null, "phone_required": true,
    });
    assert_eq!(reply.body["profile"], expected);

    let reply = sending.house.ask(change(&ann.jwt, json!({ "phone": PHONE, "email": "Ann@Example.com" }))).await;
    reply.is(200);
    let profile = &reply.body["profile"];
    assert_eq!((&profile["phone"], &profile["phone_verified"]), (&json!(PHONE), &json!(false)));
    assert_eq!((&profile["email"], &profile["email_verified"], &profile["phone_required"]), (&json!(EMAIL), &json!(false), &json!(false)));
    // it stands on no account: nobody logs in by it
    sending.house.ask(Ask::get("/v1/login").basic(EMAIL, PASSWORD)).await.is(401);

    let (challenge, code) = sending.code("phone", PHONE).await;
    sending.house.ask(verify(&ann.jwt, &challenge, &wrong(&code))).await.is_refused(401, "incorrect code");
    let reply = sending.house.ask(verify(&ann.jwt, &challenge, &code)).await;
    reply.is(200);
    assert_eq!((&reply.body["profile"]["phone"], &reply.body["profile"]["phone_verified"]), (&json!(PHONE), &json!(true)));
    sending.house.ask(verify(&ann.jwt, &challenge, &code)).await.is_refused(401, "incorrect code");
    let (challenge, code) = sending.code("email", EMAIL).await;
    sending.house.ask(verify(&ann.jwt, &challenge, &code)).await.is(200);
    sending.house.ask(Ask::get("/v1/login").basic(EMAIL, PASSWORD)).await.is(200);
    sending.house.log_in("ann").await.is(200);
}

#[tokio::test]
async fn a_proved_one_stays_until_its_successor_is_proved() {
    let sending = Sending::with(|_| {}).await;
    let ann = sending.house.person("ann").await;
    let prove = async |email: &str| {
        sending.house.ask(change(&ann.jwt, json!({ "email": email }))).await.is(200);
        let (challenge, code) = sending.code("email", email).await;
        sending.house.ask(verify(&ann.jwt, &challenge, &code)).await
    };
    prove("old@example.com").await.is(200);
    let reply = sending.house.ask(change(&ann.jwt, json!({ "email": "new@example.com" }))).await;
    let profile = &reply.body["profile"];
    let shown = (&profile["email"], &profile["email_verified"], &profile["pending_email"]);
    assert_eq!(shown, (&json!("old@example.com"), &json!(true), &json!("new@example.com")));
    sending.house.ask(Ask::get("/v1/login").basic("old@example.com", PASSWORD)).await.is(200);
    let reply = prove("new@example.com").await;
    assert_eq!((&reply.body["profile"]["email"], &reply.body["profile"]["pending_email"]), (&json!("new@example.com"), &Value::Null));
    sending.house.ask(Ask::get("/v1/login").basic("old@example.com", PASSWORD)).await.is(401);
}

#[tokio::test]
async fn anothers_address_is_neither_told_nor_taken() {
    let sending = Sending::with(|rules| rules.sign_up = SignUp::Open).await;
    let (ann, bob) = (sending.house.person("ann").await, sending.house.person("bob").await);
    sending.house.ask(change(&ann.jwt, json!({ "email": EMAIL }))).await.is(200);
    let (challenge, code) = sending.code("email", EMAIL).await;
    // bob's own login proves nothing that bob did not say
    sending.house.ask(verify(&bob.jwt, &challenge, &code)).await.is_refused(401, "incorrect code");
    sending.house.ask(verify(&ann.jwt, &challenge, &code)).await.is(200);
    // proved on ann: the same answer, and only who reads the mailbox learns it
    let reply = sending.house.ask(change(&bob.jwt, json!({ "email": EMAIL }))).await;
    assert_eq!(reply.is(200).body["profile"]["email"], json!(EMAIL));
    let (challenge, code) = sending.code("email", EMAIL).await;
    sending.house.ask(verify(&bob.jwt, &challenge, &code)).await.is_refused(400, "user already exist");
    sending.house.ask(Ask::get("/v1/login").basic(EMAIL, PASSWORD)).await.is(200);
}

#[tokio::test]
async fn what_someone_only_says_keeps_nobody_out() {
    let sending = Sending::with(|rules| rules.sign_up = SignUp::Open).await;
    let bob = sending.house.person("bob").await;
    sending.house.ask(change(&bob.jwt, json!({ "email": EMAIL, "phone": PHONE }))).await.is(200);
    let body = json!({ "email": EMAIL, "password": PASSWORD, "phone": PHONE });
    sending.house.ask(Ask::post("/v1/register").json(body)).await.is(201);
}

#[tokio::test]
async fn who_must_prove_a_phone_gets_no_key_before() {
    let sending = Sending::with(|rules| rules.require_phone = RequirePhone::Always).await;
    let made = sending.house.sign_up("ann").await;
    assert_eq!((made.is(201).body.get("api_key"), &made.body["phone_required"]), (None, &json!(true)));
    let jwt = sending.house.log_in("ann").await.text("/jwt/token");
    sending.house.ask(Ask::post("/v1/keys").bearer(&jwt)).await.is_refused(403, "phone required");
    let reply = sending.house.ask(change(&jwt, json!({ "phone": PHONE }))).await;
    assert_eq!(reply.body["profile"]["phone_required"], json!(true), "said is not proved");
    let (challenge, code) = sending.code("phone", PHONE).await;
    let reply = sending.house.ask(verify(&jwt, &challenge, &code)).await;
    assert_eq!(reply.is(200).body["profile"]["phone_required"], json!(false));
    sending.house.ask(Ask::post("/v1/keys").bearer(&jwt)).await.is(201);
}

#[tokio::test]
async fn who_comes_by_phone_has_proved_one() {
    let sending = Sending::with(|rules| rules.require_phone = RequirePhone::Always).await;
    for (field, to, has_key) in [("phone", PHONE, true), ("email", EMAIL, false)] {
        let change = |rules: &mut Rules| {
            rules.require_phone = RequirePhone::Always;
            rules.sign_up = SignUp::Open;
        };
        let sending = Sending::with(change).await;
        let (challenge, code) = sending.code(field, to).await;
        let reply = sending.house.ask(log_in(&challenge, &code)).await;
        reply.is(200);
        assert_eq!(reply.body.get("api_key").is_some(), has_key, "{field}");
    }
    drop(sending);
}

#[tokio::test]
async fn what_is_refused() {
    let sending = Sending::with(|_| {}).await;
    let ann = sending.house.person("ann").await;
    sending.house.ask(change(&ann.jwt, json!({ "phone": "0176" }))).await.is_invalid("phone");
    sending.house.ask(change(&ann.jwt, json!({ "email": "ann" }))).await.is_invalid("email");
    sending.house.ask(change(&ann.jwt, json!({ "user": "bob" }))).await.is_invalid("user");
    sending.house.ask(Ask::post("/v1/profile").json(json!({}))).await.is(401);
    sending.house.ask(Ask::post("/v1/profile/verify").json(json!({ "challenge": "x", "code": "x" }))).await.is(401);
    sending.house.ask(change("x", json!({}))).await.is(401);
    sending.house.ask(verify(&ann.jwt, "x", "123456")).await.is_refused(401, "incorrect code");
}
