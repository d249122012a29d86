//! `POST /v1/register`

use super::*;
use crate::accounts::standing;
use crate::token::record::Role;

async fn role(house: &House, uid: &str) -> Role {
    standing::of_principal(&house.database, uid.parse().unwrap()).await.unwrap().unwrap().subject.role
}

#[tokio::test]
async fn the_first_founds_and_gets_a_key() {
    let house = House::new().await;
    let reply = house.sign_up("Ann").await;
    reply.is(201).is_envelope(true);
    assert!(is_id(&reply.text("/uid")));
    assert_eq!(reply.body["reg_date"], json!(1_900_000_000));
    assert_eq!(reply.body["phone_required"], json!(true));
    assert_eq!(role(&house, &reply.text("/uid")).await, Role::SuperAdmin);
    house.exchange(&reply.text("/api_key")).await.is(200);
    house.sign_up("bob").await.is_refused(403, "invitation required");
    house.log_in("ann").await.is(200);
}

#[tokio::test]
async fn by_basic_or_by_body() {
    let house = House::open().await;
    house.ask(Ask::post("/v1/register").basic("ann", PASSWORD)).await.is(201);
    house.ask(Ask::post("/v1/register").basic("bob@example.com", PASSWORD)).await.is(201);
    house.ask(Ask::post("/v1/register").json(json!({ "email": "Cy@Example.com", "password": PASSWORD }))).await.is(201);
    let given_phone = house.ask(Ask::post("/v1/register").basic("dee", PASSWORD).json(json!({ "phone": "+4917612345678" }))).await;
    assert_eq!(given_phone.is(201).body["phone_required"], json!(false));
    for name in ["ann", "bob@example.com", "cy@example.com", "DEE", "+4917612345678"] {
        house.log_in(name).await.is(200);
    }
}

#[tokio::test]
async fn everyone_founds_a_tenant_where_sign_up_is_open() {
    let house = House::with(|rules| {
        rules.sign_up = SignUp::Open;
        rules.direct_scopes = "orders:* users:read".parse().unwrap();
    })
    .await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    assert_eq!((role(&house, &ann.uid).await, role(&house, &bob.uid).await), (Role::SuperAdmin, Role::Admin));
    let tenant = async |uid: &str| standing::of_principal(&house.database, uid.parse().unwrap()).await.unwrap().unwrap().subject.tenant;
    assert_ne!(tenant(&ann.uid).await, tenant(&bob.uid).await);
    let token = house.exchange(&bob.api_key).await;
    assert_eq!(token.is(200).body["data"]["scopes"], json!(["orders:*", "users:read"]));
}

#[tokio::test]
async fn nobody_signs_up_by_invitation_yet() {
    let house = House::with(|rules| rules.sign_up = SignUp::Invitation).await;
    house.sign_up("ann").await.is_refused(403, "invitation required");
    let house = House::open().await;
    let with_code = json!({ "user": "ann", "password": PASSWORD, "invitation": "any" });
    house.ask(Ask::post("/v1/register").json(with_code)).await.is_refused(403, "invitation required");
}

#[tokio::test]
async fn names_are_unique_for_ever() {
    let house = House::open().await;
    house.sign_up("ann").await.is(201);
    for user in ["ann", "ANN"] {
        house.sign_up(user).await.is_refused(400, "user already exist");
    }
    house.sign_up("quickstart").await.is_refused(400, "user already exist");
    house.ask(Ask::post("/v1/register").json(json!({ "email": "a@b.c", "password": PASSWORD, "phone": "+4917612345678" }))).await.is(201);
    let same_mail = json!({ "email": "A@B.c", "password": PASSWORD });
    house.ask(Ask::post("/v1/register").json(same_mail)).await.is_refused(400, "user already exist");
    let same_phone = json!({ "user": "cy", "password": PASSWORD, "phone": "+4917612345678" });
    house.ask(Ask::post("/v1/register").json(same_phone)).await.is_refused(400, "user already exist");
}

#[tokio::test]
async fn what_is_refused() {
    let house = House::new().await;
    house.ask(Ask::post("/v1/register")).await.is_refused(400, "missing authorization header");
    house.ask(Ask::post("/v1/register").json(json!({}))).await.is_refused(400, "missing authorization header");
    house.ask(Ask::post("/v1/register").bearer("x")).await.is_refused(400, "missing authorization header");
    for password in ["short", "fourteen chars", "passwordpassword", "aaaaaaaaaaaaaaaa"] {
        house.ask(Ask::post("/v1/register").basic("ann", password)).await.is_refused(400, "weak password");
    }
    let fields = [
        (json!({ "user": "a b", "password": PASSWORD }), "user"),
        (json!({ "user": "+4917612345678", "password": PASSWORD }), "user"),
        (json!({ "user": "ann@example.com", "password": PASSWORD }), "user"),
        (json!({ "user": "ab".repeat(16), "password": PASSWORD }), "user"),
        (json!({ "email": "ann", "password": PASSWORD }), "email"),
        (json!({ "user": "ann", "password": PASSWORD, "phone": "110" }), "phone"),
        (json!({ "user": "ann" }), "password"),
        (json!({ "password": PASSWORD }), "user"),
        (json!({ "user": "ann", "email": "a@b.c", "password": PASSWORD }), "user"),
        (json!({ "user": "ann", "password": "x".repeat(257) }), "password"),
        (json!({ "user": "ann", "password": ["x"] }), "password"),
    ];
    for (body, field) in fields {
        house.ask(Ask::post("/v1/register").json(body)).await.is_invalid(field);
    }
    house.ask(Ask::post("/v1/register").basic("+4917612345678", PASSWORD)).await.is_invalid("user");
    house.ask(Ask::post("/v1/register").basic("ann", PASSWORD).json(json!({ "user": "bob" }))).await.is_invalid("authorization");
    house.ask(Ask::post("/v1/register").header("authorization", "Basic !!")).await.is_invalid("authorization");
    // nothing of this founded
    house.sign_up("ann").await.is(201);
}

#[tokio::test]
async fn founding_from_elsewhere_needs_the_setup_code() {
    let house = House::new().await;
    let code = house.admin.setup_code().unwrap().to_owned();
    let body = |code: Option<&str>| json!({ "user": "ann", "password": PASSWORD, "setup_code": code });
    let register = || Ask::post("/v1/register");
    let elsewhere = [
        register().json(body(None)).from("192.0.2.7"),
        register().json(body(Some(""))).from("192.0.2.7"),
        register().json(body(Some("0000"))).from("192.0.2.7"),
        register().json(body(None)).header("x-forwarded-for", "127.0.0.1"),
        register().json(body(None)).header("forwarded", "for=127.0.0.1"),
        register().json(body(None)).header("x-real-ip", "127.0.0.1"),
        Ask { headers: vec![("host", "auth.example.com".into())], ..register() }.json(body(None)),
        register().json(body(None)).header("origin", "https://evil.example"),
        register().basic("ann", PASSWORD).header("x-setup-code", "wrong").from("2001:db8::1"),
    ];
    for ask in elsewhere {
        house.ask(ask).await.is_refused(403, "setup code required");
    }
    house.ask(register().json(body(Some(&code))).from("192.0.2.7")).await.is(201);
}

#[tokio::test]
async fn the_setup_code_may_stand_in_a_header_and_is_asked_of_the_founder_only() {
    let house = House::open().await;
    let code = house.admin.setup_code().unwrap().to_owned();
    house.ask(Ask::post("/v1/register").basic("ann", PASSWORD).header("x-setup-code", code).from("192.0.2.7")).await.is(201);
    house.ask(Ask::post("/v1/register").basic("bob", PASSWORD).from("192.0.2.7")).await.is(201);
}

#[tokio::test]
async fn whether_a_phone_number_is_asked_for() {
    for (require, key, asked) in
        [(RequirePhone::First, true, true), (RequirePhone::Always, false, true), (RequirePhone::Never, true, false)]
    {
        let house = House::with(|rules| rules.require_phone = require).await;
        let reply = house.sign_up("ann").await;
        assert_eq!(reply.is(201).body["phone_required"], json!(asked), "{require:?}");
        assert_eq!(reply.body.get("api_key").is_some(), key, "{require:?}");
        let jwt = house.log_in("ann").await.text("/jwt/token");
        let made = house.ask(Ask::post("/v1/keys").bearer(&jwt)).await;
        if key { assert_eq!(made.status, 201) } else { made.is_refused(403, "phone required") }
    }
}

#[tokio::test]
async fn of_two_that_race_to_found_one_founds() {
    for sign_up in [SignUp::First, SignUp::Open] {
        for _ in 0..5 {
            let house = House::with(|rules| rules.sign_up = sign_up).await;
            let (a, b, c) = tokio::join!(house.sign_up("ann"), house.sign_up("bob"), house.sign_up("cy"));
            let mut roles = Vec::new();
            for reply in [&a, &b, &c] {
                match reply.status.as_u16() {
                    201 => roles.push(role(&house, &reply.text("/uid")).await),
                    _ => reply.is_refused(403, "invitation required"),
                }
            }
            roles.sort();
            match sign_up {
                SignUp::First | SignUp::Invitation => assert_eq!(roles, [Role::SuperAdmin]),
                SignUp::Open => assert_eq!(roles, [Role::SuperAdmin, Role::Admin, Role::Admin]),
            }
        }
    }
}

#[tokio::test]
async fn of_two_that_race_for_a_name_one_gets_it() {
    let house = House::open().await;
    house.sign_up("founder").await.is(201);
    let (a, b, c) = tokio::join!(house.sign_up("ann"), house.sign_up("ANN"), house.sign_up("Ann"));
    let made = [&a, &b, &c].iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 1);
    for reply in [&a, &b, &c].iter().filter(|reply| reply.status != 201) {
        reply.is_refused(400, "user already exist");
    }
}

#[tokio::test]
async fn the_key_of_the_first_minutes() {
    let house = House::new().await;
    let first = house.admin.quickstart_key().await.unwrap().unwrap();
    let token = house.exchange(&first).await;
    assert_eq!(token.is(200).body["data"]["scopes"], json!(["quickstart:read"]));
    let second = house.admin.quickstart_key().await.unwrap().unwrap();
    house.exchange(&first).await.is(401);
    house.exchange(&second).await.is(200);
    house.log_in("quickstart").await.is_refused(401, "incorrect credentials");
    assert!(!house.database.is_founded().await.unwrap());
    house.sign_up("ann").await.is(201);
    house.exchange(&second).await.is(401);
    assert_eq!(house.admin.quickstart_key().await.unwrap(), None);
}

#[tokio::test]
async fn the_key_of_the_first_minutes_ends_after_an_hour() {
    let house = House::new().await;
    let key = house.admin.quickstart_key().await.unwrap().unwrap();
    house.clock.advance(Duration::from_secs(3601));
    house.exchange(&key).await.is(401);
}
