//! The second factor: set up, asked for by every way in, good once, throttled, removed, required, reset.

use super::browser::{AUTH, Browser, field, form, house};
use super::*;
use crate::accounts::totp::TotpSecret;
use crate::decision::cookies::Domains;

const STEP: Duration = Duration::from_secs(30);

/// Sets one up for whoever holds this login: its secret and recovery codes.
pub(super) async fn set_up(house: &House, jwt: &str) -> (TotpSecret, Vec<String>) {
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

#[tokio::test]
async fn recovery_codes_are_made_anew_by_a_code() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let renew =
        async |totp: &str| house.ask(Ask::post("/v1/second-factor/recovery-codes").bearer(&ann.jwt).json(json!({ "totp": totp }))).await;
    renew("123456").await.is_refused(404, "not found");
    let (secret, old) = set_up(&house, &ann.jwt).await;
    renew("").await.is_refused(401, "second factor required");
    renew("12345").await.is_refused(401, "incorrect second factor");
    house.clock.advance(STEP);
    let code = secret.code_at(house.clock.now());
    let renewed = renew(&code).await;
    let codes: Vec<String> = serde_json::from_value(renewed.is(200).body["recovery_codes"].clone()).unwrap();
    assert!(codes.len() == 10 && codes.iter().all(|code| !old.contains(code)));
    renew(&code).await.is_refused(401, "incorrect second factor");
    logs_in(&house, &old[0]).await.is_refused(401, "incorrect second factor");
    logs_in(&house, &codes[0]).await.is(200);
    // the last one left makes others
    renew(&codes[9]).await.is(200);
    assert_eq!(house.ask(Ask::get("/v1/second-factor").bearer(&ann.jwt)).await.body["second_factor"]["recovery_codes"], json!(10));
}

/// Somebody below `jwt`, with a password: uid and login.
async fn below(house: &House, jwt: &str, role: &str, user: &str) -> (String, String) {
    let made = house.ask(Ask::post(&format!("/v1/{role}")).bearer(jwt).json(json!({ "user": user, "password": PASSWORD }))).await;
    made.is(201);
    (made.text("/principal/uid"), house.log_in(user).await.is(200).text("/jwt/token"))
}

#[track_caller]
fn is_held_up(reply: &Reply) {
    assert_eq!((reply.status.as_u16(), &reply.body["error"]), (403, &json!("second_factor_setup_required")), "{}", reply.body);
}

#[tokio::test]
async fn whoever_manages_others_sets_one_up_before_anything_else() {
    let house = House::with(|rules| rules.require_second_factor = RequireSecondFactor::Managers).await;
    let ann = house.person("ann").await;
    for ask in [
        Ask::get("/v1/keys"),
        Ask::post("/v1/keys").json(json!({ "scopes": ["a"] })),
        Ask::get("/v1/audit"),
        Ask::get("/v1/rules"),
        Ask::post("/v1/tickets"),
        Ask::post("/v1/clients").json(json!({ "user": "carl", "password": PASSWORD })),
        Ask::post("/v1/profile").json(json!({ "email": "ann@example.com" })),
        Ask::post("/v1/second-factor/remove").json(json!({ "totp": "123456" })),
        Ask::post("/v1/introspect").form("token=x"),
    ] {
        let what = ask.path.clone();
        let reply = house.ask(ask.bearer(&ann.jwt)).await;
        is_held_up(&reply);
        // by the name that RFC 6749 §5.2 gives it, or by ours
        let said = if what == "/v1/introspect" { "/error_description" } else { "/message" };
        assert!(reply.text(said).contains("POST /v1/second-factor"), "{what}");
    }
    assert!(house.database.contacts_of(ann.uid.parse().unwrap()).await.unwrap().unwrap().pending_email.is_none());
    // a key that is there is no login
    house.exchange(&ann.api_key).await.is(200);
    assert_eq!(house.ask(Ask::get("/v1/second-factor").bearer(&ann.jwt)).await.is(200).body["second_factor"]["active"], json!(false));
    let (_, codes) = set_up(&house, &ann.jwt).await;
    house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.is(200);

    // a client manages nobody, until somebody stands below
    let (_, carl) = below(&house, &ann.jwt, "clients", "carl").await;
    house.ask(Ask::get("/v1/keys").bearer(&carl)).await.is(200);
    let (sue, _) = below(&house, &carl, "sub-clients", "sue").await;
    is_held_up(&house.ask(Ask::get("/v1/keys").bearer(&carl)).await);
    house.ask(Ask::new("DELETE", &format!("/v1/sub-clients/{sue}")).bearer(&ann.jwt)).await.is(200);
    house.ask(Ask::get("/v1/keys").bearer(&carl)).await.is(200);
    // without one again, nothing again
    house.ask(Ask::post("/v1/second-factor/remove").bearer(&ann.jwt).json(json!({ "totp": codes[0] }))).await.is(200);
    is_held_up(&house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await);
}

#[tokio::test]
async fn where_it_is_always_required_a_client_sets_one_up_too() {
    let house = House::with(|rules| rules.require_second_factor = RequireSecondFactor::Always).await;
    let ann = house.person("ann").await;
    set_up(&house, &ann.jwt).await;
    let (_, carl) = below(&house, &ann.jwt, "clients", "carl").await;
    is_held_up(&house.ask(Ask::get("/v1/tokens").bearer(&carl)).await);
    set_up(&house, &carl).await;
    house.ask(Ask::get("/v1/tokens").bearer(&carl)).await.is(200);
}

#[tokio::test]
async fn a_browser_is_led_to_where_one_is_set_up_and_has_no_cookie_for_the_gate_before() {
    let house = House::with(|rules| {
        rules.require_second_factor = RequireSecondFactor::Managers;
        rules.returns = ReturnRules {
            public_url: Some(format!("https://{AUTH}")),
            domains: Domains::new(vec!["example.com".to_owned()]),
            hosts: vec!["app.other.test".to_owned()],
        };
    })
    .await;
    house.ask(Ask::post("/v1/register").json(json!({ "user": "ann", "password": PASSWORD }))).await.is(201);
    let mut browser = Browser::new(&house);
    let page = "/console/account/second-factor";
    browser.log_in("https://app.example.com/x", "ann", PASSWORD).await.is(303);
    assert!(browser.cookie(AUTH, "__Host-gatepost-console").is_some());
    assert_eq!(browser.cookie(".example.com", "__Secure-gatepost"), None);
    let state = "ab".repeat(32);
    for path in [
        "/",
        "/console/keys",
        "/console/people",
        "/login?rd=https://app.example.com/x",
        &format!("/login?rd=https://app.other.test/&state={state}"),
    ] {
        let away = browser.get(&format!("https://{AUTH}{path}")).await;
        assert_eq!(away.is(303).header("location"), Some(page), "{path}");
    }
    assert_eq!(browser.cookie(".example.com", "__Secure-gatepost"), None);
    let before = browser.get(&format!("https://{AUTH}{page}")).await;
    let token = field(before.is(200), "token");
    for path in ["/console/keys", "/console/people/clients/x/block"] {
        let away = browser.send(form(path, &[("token", &token), ("name", "planted")]), AUTH).await;
        assert_eq!(away.is(303).header("location"), Some(page), "{path}");
    }
    assert_eq!(browser.send(form(page, &[("token", &token)]), AUTH).await.is(303).header("location"), Some(page));
    let begun = browser.get(&format!("https://{AUTH}{page}")).await;
    let html = begun.is(200).body.as_str().unwrap().to_owned();
    let secret = TotpSecret::typed(html.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap());
    let code = secret.code_at(house.clock.now());
    let on = browser.send(form(&format!("{page}/confirm"), &[("token", &token), ("totp", &code)]), AUTH).await;
    assert!(on.is(200).body.as_str().unwrap().contains("href=\"/login?rd=%2Fconsole%2Faccount\""), "{}", on.body);
    let next = browser.get(&format!("https://{AUTH}/login?rd=%2Fconsole%2Faccount")).await;
    assert_eq!(next.is(303).header("location"), Some("/console/account"));
    assert!(browser.cookie(".example.com", "__Secure-gatepost").is_some());
    browser.get(&format!("https://{AUTH}/console/account")).await.is(200);
}

#[tokio::test]
async fn somebody_above_resets_one_and_the_logins_end() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (bob, bobs) = below(&house, &ann.jwt, "admins", "bob").await;
    let (carl, carls) = below(&house, &bobs, "clients", "carl").await;
    let reset = async |jwt: &str, uid: &str| house.ask(Ask::new("DELETE", &format!("/v1/second-factor/{uid}")).bearer(jwt)).await;
    reset(&bobs, &carl).await.is_refused(404, "not found");
    set_up(&house, &carls).await;
    set_up(&house, &bobs).await;
    set_up(&house, &ann.jwt).await;
    for (jwt, uid, status) in
        [(&carls, &bob, 404), (&carls, &carl, 403), (&bobs, &ann.uid, 404), (&bobs, &"07".repeat(16), 404), (&ann.jwt, &ann.uid, 403)]
    {
        assert_eq!(reset(jwt, uid).await.status.as_u16(), status, "{uid}");
    }
    house.log_in("carl").await.is_refused(401, "second factor required");
    assert_eq!(reset(&bobs, &carl).await.is(200).body["propagated"], json!(true));
    house.ask(Ask::get("/v1/keys").bearer(&carls)).await.is_refused(401, "invalid token");
    house.log_in("carl").await.is(200);
    assert_eq!(reset(&ann.jwt, &bob).await.is(200).body["removed"], json!(true));
    reset(&ann.jwt, &bob).await.is_refused(404, "not found");
    let trail = house.ask(Ask::get("/v1/audit").bearer(&ann.jwt)).await;
    let entries = trail.body["entries"].as_array().unwrap();
    let done = entries.iter().filter(|entry| entry["action"] == json!("second_factor_reset") && entry["result"] == json!("done"));
    let targets: Vec<&str> = done.filter_map(|entry| entry["target"].as_str()).collect();
    assert_eq!(targets, [bob.as_str(), carl.as_str()]);
}
