//! `POST /v1/password/change`

use super::*;
use crate::accounts::Refusal;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::database::NameKind;

const OTHER: &str = "eleven blue umbrellas";

fn change(user: &str, old: &str, body: Value) -> Ask {
    Ask::post("/v1/password/change").basic(user, old).json(body)
}

#[tokio::test]
async fn the_old_one_no_longer_works_and_sessions_go_on() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let reply = house.ask(change("ann", PASSWORD, json!({ "new_password": OTHER }))).await;
    reply.is(200).is_envelope(true);
    assert_eq!((&reply.body["changed_password"], &reply.body["killed_sessions"]), (&json!(true), &json!(false)));
    house.log_in("ann").await.is_refused(401, "incorrect credentials");
    house.ask(Ask::get("/v1/login").basic("ann", OTHER)).await.is(200);
    house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.is(200);
}

#[tokio::test]
async fn sessions_end_where_that_is_asked() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let other = house.log_in("ann").await.text("/jwt/token");
    let mut ask = change("ann", PASSWORD, json!({ "new_password": OTHER, "kill_sessions": true }));
    ask.path.push_str("?strict=true");
    let reply = house.ask(ask).await;
    assert_eq!((&reply.is(200).body["killed_sessions"], &reply.body["propagated"]), (&json!(true), &json!(true)));
    assert_eq!(reply.body["strict"], json!(true));
    for jwt in [&ann.jwt, &other] {
        house.ask(Ask::post("/v1/verify").bearer(jwt)).await.is_refused(401, "invalid token");
    }
    house.ask(Ask::post("/v1/token/refresh").bearer(&ann.refresh_token)).await.is_refused(404, "session does not exist");
}

#[tokio::test]
async fn what_is_refused() {
    let house = House::new().await;
    house.sign_up("ann").await.is(201);
    let without = Ask::post("/v1/password/change").json(json!({ "new_password": OTHER }));
    house.ask(without).await.is_refused(400, "missing authorization header");
    let bearer = Ask::post("/v1/password/change").bearer("x").json(json!({ "new_password": OTHER }));
    house.ask(bearer).await.is_refused(400, "missing authorization header");
    house.ask(change("ann", PASSWORD, json!({}))).await.is_invalid("new_password");
    house.ask(change("ann", PASSWORD, json!({ "new_password": OTHER, "kill_sessions": 1 }))).await.is_invalid("kill_sessions");
    house.ask(change("ann", PASSWORD, json!({ "new_password": "short" }))).await.is_refused(400, "weak password");
    house.ask(change("ann", "wrong", json!({ "new_password": OTHER }))).await.is_refused(401, "incorrect credentials");
    house.ask(change("nobody", PASSWORD, json!({ "new_password": OTHER }))).await.is_refused(401, "incorrect credentials");
    let house = House::with(|rules| rules.reveal_unknown_users = true).await;
    house.ask(change("nobody", PASSWORD, json!({ "new_password": OTHER }))).await.is_refused(404, "session does not exist");
}

#[tokio::test]
async fn of_two_changes_that_both_knew_the_old_one_one_stands() {
    let house = House::new().await;
    house.sign_up("ann").await.is(201);
    let (a, b) = tokio::join!(
        house.ask(change("ann", PASSWORD, json!({ "new_password": OTHER }))),
        house.ask(change("ann", PASSWORD, json!({ "new_password": "nine yellow lanterns" }))),
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn a_login_with_the_old_one_that_is_under_way_comes_to_nothing() {
    let house = House::new().await;
    let accounts = house.admin.accounts();
    house.sign_up("ann").await.is(201);
    let password = || Password::new("password", PASSWORD).unwrap();
    let name = Name::given(NameKind::User, "ann").unwrap();
    let early = accounts.prove_password(&name, password(), None, LOCAL).await.unwrap();
    accounts.open_browser(&early, None, None, LOCAL).await.unwrap();
    house.ask(change("ann", PASSWORD, json!({ "new_password": OTHER, "kill_sessions": true }))).await.is(200);
    assert_eq!(accounts.open_browser(&early, None, None, LOCAL).await.unwrap_err(), Refusal::IncorrectCredentials);
    let ann = house.ask(Ask::get("/v1/login").basic("ann", OTHER)).await.text("/jwt/token");
    assert_eq!(house.ask(Ask::get("/v1/sessions").bearer(&ann)).await.is(200).body["sessions"].as_array().map(Vec::len), Some(1));
}
