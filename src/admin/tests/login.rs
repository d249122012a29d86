//! `GET` and `POST /v1/login`

use super::*;

#[tokio::test]
async fn answers_a_jwt_and_a_refresh_token() {
    let house = House::new().await;
    let uid = house.sign_up("ann").await.text("/uid");
    let asks = [
        Ask::get("/v1/login").basic("ann", PASSWORD),
        Ask::post("/v1/login").basic("ANN", PASSWORD),
        Ask::post("/v1/login").json(json!({ "user": "Ann", "password": PASSWORD })),
    ];
    for ask in asks {
        let reply = house.ask(ask).await;
        reply.is(200).is_envelope(true);
        assert_eq!(reply.text("/uid"), uid);
        let payload = &reply.body["jwt"]["payload"];
        assert_eq!((&payload["iat"], &payload["exp"], &payload["uid"]), (&json!(1_900_000_000), &json!(1_900_003_600), &json!(uid)));
        assert!(is_id(payload["sid"].as_str().unwrap()));
        assert!(reply.text("/jwt/refresh_token").starts_with("gpr_"));
        house.ask(Ask::post("/v1/verify").bearer(&reply.text("/jwt/token"))).await.is(200);
    }
}

#[tokio::test]
async fn by_email_however_it_is_spelled() {
    let house = House::new().await;
    house.ask(Ask::post("/v1/register").json(json!({ "email": "ann@example.com", "password": PASSWORD }))).await.is(201);
    house.ask(Ask::get("/v1/login").basic("Ann@EXAMPLE.com", PASSWORD)).await.is(200);
    house.ask(Ask::post("/v1/login").json(json!({ "email": "ann@example.com", "password": PASSWORD }))).await.is(200);
    // as a user name it is nobody's
    house.ask(Ask::post("/v1/login").json(json!({ "user": "ann@example.com", "password": PASSWORD }))).await.is(401);
}

#[tokio::test]
async fn what_is_refused() {
    let house = House::new().await;
    house.sign_up("ann").await.is(201);
    house.ask(Ask::get("/v1/login")).await.is_refused(400, "missing authorization header");
    house.ask(Ask::post("/v1/login").json(json!({}))).await.is_refused(400, "missing authorization header");
    house.ask(Ask::get("/v1/login").bearer("x")).await.is_refused(400, "missing authorization header");
    house.ask(Ask::post("/v1/login").json(json!({ "user": "ann" }))).await.is_invalid("password");
    house.ask(Ask::post("/v1/login").json(json!({ "user": "ann", "phone": "+1", "password": "x" }))).await.is_invalid("phone");
    for (name, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("nobody@example.com", PASSWORD), ("", ""), ("a b", PASSWORD)] {
        let reply = house.ask(Ask::get("/v1/login").basic(name, password)).await;
        reply.is_refused(401, "incorrect credentials");
        assert!(reply.header("www-authenticate").is_some());
    }
}

#[tokio::test]
async fn an_unknown_user_is_told_apart_only_where_the_configuration_says_so() {
    let house = House::with(|rules| rules.reveal_unknown_users = true).await;
    house.sign_up("ann").await.is(201);
    house.ask(Ask::get("/v1/login").basic("nobody", PASSWORD)).await.is_refused(404, "user does not exist");
    house.ask(Ask::get("/v1/login").basic("ann", "wrong")).await.is_refused(401, "incorrect credentials");
}

#[tokio::test]
async fn known_and_unknown_names_are_throttled_alike() {
    let house = House::new().await;
    house.sign_up("ann").await.is(201);
    for names in [["ann", "ANN"], ["nobody", "NoBody"]] {
        for n in 0..5 {
            house.ask(Ask::get("/v1/login").basic(names[n % 2], "wrong")).await.is_refused(401, "incorrect credentials");
        }
        for name in names {
            let reply = house.ask(Ask::get("/v1/login").basic(name, PASSWORD)).await;
            reply.is_refused(429, "too many tries");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
    }
    // the same counter on every route that takes a password
    let change = Ask::post("/v1/password/change").basic("ann", PASSWORD).json(json!({ "new_password": "another long password" }));
    house.ask(change).await.is_refused(429, "too many tries");
    house.clock.advance(Duration::from_secs(1));
    house.ask(Ask::get("/v1/login").basic("ann", "wrong")).await.is(401);
    assert_eq!(house.log_in("ann").await.is(429).header("retry-after"), Some("2"));
    house.clock.advance(Duration::from_secs(2));
    house.log_in("ann").await.is(200);
    house.ask(Ask::get("/v1/login").basic("ann", "wrong")).await.is(401);
    house.log_in("ann").await.is(200);
}

#[tokio::test]
async fn guesses_sent_together_are_counted_one_by_one() {
    let house = Arc::new(House::new().await);
    house.sign_up("ann").await.is(201);
    let guesses: Vec<_> = (0..20)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.ask(Ask::get("/v1/login").basic("ann", "wrong")).await.status.as_u16() })
        })
        .collect();
    let mut compared = 0;
    for guess in guesses {
        compared += usize::from(guess.await.unwrap() == 401);
    }
    let threads = (std::thread::available_parallelism().unwrap().get() / 2).max(1);
    assert!((5..5 + threads).contains(&compared), "{compared} compared");
}

#[tokio::test]
async fn right_passwords_sent_together_all_count() {
    let house = Arc::new(House::new().await);
    house.sign_up("ann").await.is(201);
    let logins: Vec<_> =
        (0..20).map(|_| Arc::clone(&house)).map(|house| tokio::spawn(async move { house.log_in("ann").await.status })).collect();
    for login in logins {
        assert_eq!(login.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn an_ended_principal_is_nobody() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let mut act = house.database.act().await.unwrap();
    act.end_principal(ann.uid.parse().unwrap()).await.unwrap();
    let act = act.commit(&crate::audit::By::system().did(crate::audit::Action::KeyEnd, &ann.uid)).await.unwrap();
    house.admin.accounts().propagate(act).await;
    house.log_in("ann").await.is_refused(401, "incorrect credentials");
    house.ask(Ask::post("/v1/verify").bearer(&ann.jwt)).await.is_refused(401, "invalid token");
    house.ask(Ask::post("/v1/token/refresh").bearer(&ann.refresh_token)).await.is_refused(404, "session does not exist");
    house.exchange(&ann.api_key).await.is(401);
    house.sign_up("ann").await.is_refused(403, "invitation required");
}

#[tokio::test]
async fn a_hash_of_other_parameters_is_replaced_at_login() {
    use argon2::password_hash::PasswordHasher;
    let house = House::new().await;
    let uid = house.sign_up("ann").await.text("/uid").parse().unwrap();
    let hash = async || house.database.login_row(crate::database::NameKind::User, "ann").await.unwrap().unwrap().password.unwrap();
    let weak = argon2::Argon2::from(argon2::Params::new(64, 1, 1, None).unwrap());
    let stale = weak.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap().to_string();
    let mut act = house.database.act().await.unwrap();
    assert!(act.replace_password(uid, &hash().await, &stale).await.unwrap());
    let _ = act.commit(&crate::audit::By::system().did(crate::audit::Action::PasswordChange, uid)).await.unwrap();
    house.ask(Ask::get("/v1/login").basic("ann", "wrong")).await.is(401);
    assert_eq!(hash().await, stale);
    house.log_in("ann").await.is(200);
    assert!(hash().await.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    house.log_in("ann").await.is(200);
}

/// What takes the time of a login is one hash, whoever it is for; what it is compared with where there is nobody, costs the same
/// (`the_hash_of_nobody_costs_as_much_as_anyones`).
#[tokio::test]
async fn an_unknown_name_costs_what_a_known_one_does() {
    let house = House::new().await;
    house.sign_up("ann").await.is(201);
    for name in ["ann", "nobody"] {
        let before = house.admin.accounts().passwords_hashed();
        house.ask(Ask::get("/v1/login").basic(name, "wrong")).await.is(401);
        assert_eq!(house.admin.accounts().passwords_hashed() - before, 1, "{name}");
    }
}

#[tokio::test]
async fn a_full_queue_is_told_and_empties() {
    let house = Arc::new(House::new().await);
    house.person("ann").await;
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..120 {
        let house = Arc::clone(&house);
        // a flood from many networks, so that none of them is throttled
        let peer: &'static str = Box::leak(format!("198.51.100.{n}").into_boxed_str());
        asked.spawn(async move { house.ask(Ask { peer, ..Ask::post("/v1/login").basic(&format!("nobody-{n}"), PASSWORD) }).await });
    }
    let replies = asked.join_all().await;
    let (busy, others): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 503);
    for reply in &busy {
        reply.is_refused(503, "busy");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    others.iter().for_each(|reply| reply.is_refused(401, "incorrect credentials"));
    assert!(busy.len() >= 20 && others.len() >= 50, "{} busy, {} others", busy.len(), others.len());
    house.log_in("ann").await.is(200);
}
