//! The second factor: set up, asked for by every way in, good once, throttled, removed.

use super::browser::{AUTH, Browser, field, form, house};
use super::*;
use crate::accounts::totp::TotpSecret;

const STEP: Duration = Duration::from_secs(30);

/// Sets one up for whoever holds this login: its secret and recovery codes.
async fn set_up(house: &House, jwt: &str) -> (TotpSecret, Vec<String>) {
    let begun = house.ask(Ask::post("/v1/second-factor").bearer(jwt)).await;
    begun.is(201);
    let secret = TotpSecret::typed(&begun.text("/secret"));
    assert!(begun.text("/uri").starts_with("otpauth://totp/Gatepost"), "{}", begun.body);
    let code = secret.code_at(house.clock.now());
    let confirmed = house.ask(Ask::post("/v1/second-factor/confirm").bearer(jwt).json(json!({ "totp": code }))).await;
    let codes: Vec<String> = serde_json::from_value(confirmed.is(200).body["recovery_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

async fn logs_in(house: &House, totp: &str) -> Reply {
    house.ask(Ask::post("/v1/login").json(json!({ "user": "ann", "password": PASSWORD, "totp": totp }))).await
}

#[tokio::test]
async fn every_login_asks_for_a_code_which_is_good_once() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (secret, _) = set_up(&house, &ann.jwt).await;
    house.log_in("ann").await.is_refused(401, "second factor required");
    house
        .ask(Ask::post("/v1/login").basic("ann", "not the password").json(json!({ "totp": "1" })))
        .await
        .is_refused(401, "incorrect credentials");
    // the code that turned it on is used
    logs_in(&house, &secret.code_at(house.clock.now())).await.is_refused(401, "incorrect second factor");
    house.clock.advance(STEP);
    let code = secret.code_at(house.clock.now());
    logs_in(&house, &code).await.is(200);
    logs_in(&house, &code).await.is_refused(401, "incorrect second factor");
    house.clock.advance(STEP);
    let code = secret.code_at(house.clock.now());
    house
        .ask(Ask::post("/v1/login").basic("ann", PASSWORD).json(json!({ "totp": format!("{} {}", &code[..3], &code[3..]) })))
        .await
        .is(200);
    // keys and the logins that were there go on
    house.exchange(&ann.api_key).await.is(200);
    house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.is(200);
}

#[tokio::test]
async fn of_two_who_show_one_code_at_once_one_gets_in() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (secret, _) = set_up(&house, &ann.jwt).await;
    house.clock.advance(STEP);
    let code = secret.code_at(house.clock.now());
    let (one, other) = tokio::join!(logs_in(&house, &code), logs_in(&house, &code));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn recovery_codes_are_good_once_and_the_database_holds_neither_them_nor_the_secret() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (secret, codes) = set_up(&house, &ann.jwt).await;
    let left = async || house.ask(Ask::get("/v1/second-factor").bearer(&ann.jwt)).await.body["second_factor"]["recovery_codes"].as_u64();
    assert_eq!(left().await, Some(10));
    logs_in(&house, &codes[3].to_uppercase().replace('-', " ")).await.is(200);
    logs_in(&house, &codes[3]).await.is_refused(401, "incorrect second factor");
    assert_eq!(left().await, Some(9));
    let mut act = house.database.act().await.unwrap();
    let row = act.second_factor(ann.uid.parse().unwrap()).await.unwrap().unwrap();
    let bare = data_encoding::BASE32_NOPAD.decode(secret.reveal().as_bytes()).unwrap();
    assert!(row.sealed.len() > bare.len() && !row.sealed.windows(bare.len()).any(|window| window == bare));
}

#[tokio::test]
async fn wrong_codes_are_throttled_and_a_right_password_forgives_none() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (secret, _) = set_up(&house, &ann.jwt).await;
    for _ in 0..5 {
        logs_in(&house, "000000x").await.is_refused(401, "incorrect second factor");
    }
    house.clock.advance(Duration::from_millis(10));
    let waiting = logs_in(&house, &secret.code_at(house.clock.now())).await;
    waiting.is_refused(429, "too many tries");
    assert!(waiting.header("retry-after").is_some());
    house.clock.advance(STEP);
    logs_in(&house, &secret.code_at(house.clock.now())).await.is(200);
}

#[tokio::test]
async fn it_is_set_up_by_a_code_and_removed_by_one() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let post = async |path: &str, totp: &str| {
        house.ask(Ask::post(&format!("/v1/second-factor/{path}")).bearer(&ann.jwt).json(json!({ "totp": totp }))).await
    };
    post("confirm", "123456").await.is_refused(404, "not found");
    post("remove", "123456").await.is_refused(404, "not found");
    house.ask(Ask::post("/v1/second-factor").bearer(&ann.jwt)).await.is(201);
    post("confirm", "12345").await.is_refused(401, "incorrect second factor");
    // one that is not confirmed asks nobody for anything
    house.log_in("ann").await.is(200);
    let (secret, codes) = set_up(&house, &ann.jwt).await;
    house.ask(Ask::post("/v1/second-factor").bearer(&ann.jwt)).await.is_invalid("totp");
    post("remove", "12345").await.is_refused(401, "incorrect second factor");
    house.clock.advance(STEP);
    post("remove", &secret.code_at(house.clock.now())).await.is(200);
    house.log_in("ann").await.is(200);
    logs_in(&house, &codes[0]).await.is(200);
    assert_eq!(house.ask(Ask::get("/v1/second-factor").bearer(&ann.jwt)).await.body["second_factor"]["recovery_codes"], json!(0));
    let trail = house.ask(Ask::get("/v1/audit").bearer(&ann.jwt)).await;
    let done: Vec<&str> = trail.body["entries"].as_array().unwrap().iter().filter_map(|entry| entry["action"].as_str()).collect();
    for action in ["second_factor_begin", "second_factor_set", "second_factor_end"] {
        assert!(done.contains(&action), "{action}: {done:?}");
    }
}

#[tokio::test]
async fn a_password_is_changed_with_it_only() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (_, codes) = set_up(&house, &ann.jwt).await;
    let change = async |body: Value| house.ask(Ask::post("/v1/password/change").basic("ann", PASSWORD).json(body)).await;
    change(json!({ "new_password": "eleven blue umbrellas" })).await.is_refused(401, "second factor required");
    change(json!({ "new_password": "eleven blue umbrellas", "totp": "1" })).await.is_refused(401, "incorrect second factor");
    change(json!({ "new_password": "eleven blue umbrellas", "totp": codes[0] })).await.is(200);
}

#[tokio::test]
async fn a_browser_is_asked_after_the_password_and_half_a_login_is_worth_nothing() {
    let house = house().await;
    let jwt = house.log_in("ann").await.text("/jwt/token");
    let (secret, _) = set_up(&house, &jwt).await;
    let mut browser = Browser::new(&house);
    let asked = browser.log_in("https://app.example.com/x", "ann", PASSWORD).await;
    assert!(asked.is(200).body.as_str().unwrap().contains("authenticator app"));
    assert!(browser.cookie(AUTH, "__Host-gatepost-console").is_none());
    let (token, rd, half) = (field(&asked, "token"), field(&asked, "rd"), field(&asked, "half"));
    let answer = |token: &str, half: &str, totp: &str| form("/login", &[("token", token), ("rd", &rd), ("half", half), ("totp", totp)]);
    let wrong = browser.send(answer(&token, &half, "12345"), AUTH).await;
    assert!(wrong.is(401).body.as_str().unwrap().contains("role=\"alert\""));
    house.clock.advance(STEP);
    let code = secret.code_at(house.clock.now());
    // in another browser it is nobody's, made up it is nothing
    let mut other = Browser::new(&house);
    let others = field(&other.get(&format!("https://{AUTH}/login")).await, "token");
    other.send(answer(&others, &half, &code), AUTH).await.is(403);
    browser.send(answer(&token, &half[1..], &code), AUTH).await.is(403);
    let entered = browser.send(answer(&token, &half, &code), AUTH).await;
    assert_eq!(entered.is(303).header("location"), Some("https://app.example.com/x"));
    // for five minutes, and while the password stands
    let mut late = Browser::new(&house);
    let asked = late.log_in("/", "ann", PASSWORD).await;
    let (token, half) = (field(&asked, "token"), field(&asked, "half"));
    house.clock.advance(Duration::from_secs(301));
    let code = secret.code_at(house.clock.now());
    late.send(form("/login", &[("token", &token), ("half", &half), ("totp", &code)]), AUTH).await.is(403);
}
