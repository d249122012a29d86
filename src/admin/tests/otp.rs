//! `POST /v1/otp/send`, `POST /v1/otp/login`

use super::*;
use crate::senders::sinks::{Sink, both, code_in};

pub(super) const PHONE: &str = "+4917612345678";
pub(super) const EMAIL: &str = "ann@example.com";

/// A house that sends codes to the two.
pub(super) struct Sending {
    pub(super) house: House,
    pub(super) web: Sink,
    pub(super) mail: Sink,
}

impl Sending {
    pub(super) async fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let (web, mail) = (Sink::web(&[200]).await, Sink::mail().await);
        Self { house: House::sending(change, both(&web, &mail)).await, web, mail }
    }

    /// With end users, founded by `boss`.
    pub(super) async fn founded() -> Self {
        let sending = Self::with(|rules| rules.end_users = Some(ScopeSet::parse(["orders:read"]).unwrap())).await;
        sending.house.sign_up("boss").await.is(201);
        sending
    }

    /// Asks for a code: the answer's challenge, and the code from where it went.
    pub(super) async fn code(&self, field: &str, to: &str) -> (String, String) {
        let sink = if field == "phone" { &self.web } else { &self.mail };
        let before = sink.count();
        let reply = self.house.ask(send(field, to)).await;
        reply.is(200);
        let taken = sink.taken(before + 1).await;
        (reply.text("/challenge"), code_in(taken.last().unwrap().split_once("\r\n\r\n").unwrap().1))
    }
}

pub(super) fn send(field: &str, to: &str) -> Ask {
    Ask::post("/v1/otp/send").json(json!({ field: to }))
}

pub(super) fn log_in(challenge: &str, code: &str) -> Ask {
    Ask::post("/v1/otp/login").json(json!({ "challenge": challenge, "code": code }))
}

/// A code that is not `code`.
pub(super) fn wrong(code: &str) -> String {
    let first = if code.starts_with('0') { "1" } else { "0" };
    first.to_owned() + &code[1..]
}

#[tokio::test]
async fn who_has_no_account_becomes_an_end_user_and_logs_in_again() {
    let sending = Sending::founded().await;
    for (field, to) in [("phone", PHONE), ("email", EMAIL)] {
        let (challenge, code) = sending.code(field, to).await;
        let reply = sending.house.ask(log_in(&challenge, &code)).await;
        reply.is(200).is_envelope(true);
        assert_eq!(reply.body["created"], json!(true));
        let uid = reply.text("/uid");
        assert_eq!(reply.text("/jwt/payload/uid"), uid);
        sending.house.ask(Ask::post("/v1/verify").bearer(&reply.text("/jwt/token"))).await.is(200);
        sending.house.exchange(&reply.text("/api_key")).await.is(200);
        let shown = sending.house.database.shown_name(uid.parse().unwrap()).await.unwrap();
        assert_eq!(shown.as_deref(), Some(to), "a proved contact is shown");

        let (challenge, code) = sending.code(field, to).await;
        let reply = sending.house.ask(log_in(&challenge, &code)).await;
        reply.is(200);
        assert_eq!((reply.text("/uid"), &reply.body["created"], reply.body.get("api_key")), (uid, &json!(false), None));
    }
}

#[tokio::test]
async fn what_is_answered_to_a_wish_for_a_code() {
    let sending = Sending::founded().await;
    let reply = sending.house.ask(send("email", "Ann@Example.COM")).await;
    reply.is(200).is_envelope(true);
    assert_eq!((&reply.body["sent"], &reply.body["expires_in"]), (&json!(true), &json!(300)));
    assert!(is_id(&reply.text("/challenge")));
    assert!(sending.mail.taken(1).await[0].contains("To: ann@example.com"));
    let bad = [
        (json!({ "phone": "017612345678" }), "phone"),
        (json!({ "email": "ann" }), "email"),
        (json!({}), "phone"),
        (json!({ "phone": PHONE, "email": EMAIL }), "email"),
        (json!({ "user": "ann" }), "user"),
    ];
    for (body, field) in bad {
        sending.house.ask(Ask::post("/v1/otp/send").json(body)).await.is_invalid(field);
    }
    let silent = House::new().await;
    silent.ask(send("phone", PHONE)).await.is_invalid("phone");
    assert!(silent.ask(send("email", EMAIL)).await.text("/message").contains("`senders.email`"));
}

#[tokio::test]
async fn unknown_people_are_answered_alike_and_sent_nothing() {
    let sending = Sending::with(|_| {}).await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    sending.house.ask(Ask::post("/v1/register").json(body)).await.is(201);
    let known = sending.house.ask(send("email", EMAIL)).await;
    let unknown = sending.house.ask(send("email", "nobody@example.com")).await;
    let shape = |reply: &Reply| {
        let mut body = reply.body.clone();
        body["challenge"] = json!(reply.text("/challenge").len());
        let mut headers: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
        headers.sort();
        (reply.status, body, headers)
    };
    assert_eq!(shape(&known), shape(&unknown));
    // whatever is answered: no code is right
    for code in ["000000", "123456"] {
        sending.house.ask(log_in(&unknown.text("/challenge"), code)).await.is_refused(401, "incorrect code");
    }
    sending.mail.taken(1).await;
    sending.code("email", EMAIL).await;
    assert_eq!(sending.mail.count(), 2);
    // limits count for both
    sending.house.ask(send("email", EMAIL)).await.is(200);
    for _ in 0..2 {
        sending.house.ask(send("email", "nobody@example.com")).await.is(200);
    }
    for to in [EMAIL, "nobody@example.com"] {
        sending.house.ask(send("email", to)).await.is_refused(429, "too many tries");
    }
}

#[tokio::test]
async fn a_code_is_good_once_for_its_own_challenge() {
    let sending = Sending::founded().await;
    let (first, first_code) = sending.code("phone", PHONE).await;
    let (second, second_code) = sending.code("phone", PHONE).await;
    if first_code != second_code {
        sending.house.ask(log_in(&second, &first_code)).await.is_refused(401, "incorrect code");
    }
    sending.house.ask(log_in(&first, &first_code)).await.is(200);
    sending.house.ask(log_in(&first, &first_code)).await.is_refused(401, "incorrect code");
    for (challenge, code) in [("", "123456"), ("x", "123456"), (&"0".repeat(32), "123456"), (&second, ""), (&second, "12345x")] {
        let reply = sending.house.ask(log_in(challenge, code)).await;
        reply.is_refused(401, "incorrect code");
        assert!(reply.header("www-authenticate").is_some());
    }
    sending.house.ask(log_in(&second, &second_code)).await.is(200);
    sending.house.ask(Ask::post("/v1/otp/login").json(json!({ "challenge": second }))).await.is(400);
}

#[tokio::test]
async fn five_tries_and_five_minutes() {
    let sending = Sending::founded().await;
    let (challenge, code) = sending.code("phone", PHONE).await;
    for _ in 0..5 {
        sending.house.ask(log_in(&challenge, &wrong(&code))).await.is_refused(401, "incorrect code");
    }
    sending.house.ask(log_in(&challenge, &code)).await.is_refused(401, "incorrect code");

    let (challenge, code) = sending.code("phone", PHONE).await;
    for _ in 0..4 {
        sending.house.ask(log_in(&challenge, &wrong(&code))).await.is(401);
    }
    sending.house.ask(log_in(&challenge, &code)).await.is(200);

    let (challenge, code) = sending.code("phone", PHONE).await;
    sending.house.clock.advance(Duration::from_secs(300));
    sending.house.ask(log_in(&challenge, &code)).await.is_refused(401, "incorrect code");
}

#[tokio::test]
async fn of_two_uses_at_one_time_one_wins() {
    let sending = Arc::new(Sending::founded().await);
    let (challenge, code) = sending.code("phone", PHONE).await;
    let logins: Vec<_> = (0..5)
        .map(|_| {
            let (sending, ask) = (Arc::clone(&sending), log_in(&challenge, &code));
            tokio::spawn(async move { sending.house.ask(ask).await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for login in logins {
        statuses.push(login.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401]);
}

#[tokio::test]
async fn three_codes_in_ten_minutes_to_one_and_twenty_from_one_network() {
    let sending = Sending::founded().await;
    for _ in 0..3 {
        sending.house.ask(send("phone", PHONE)).await.is(200);
        sending.house.clock.advance(Duration::from_secs(60));
    }
    let reply = sending.house.ask(send("phone", PHONE).from("192.0.2.1")).await;
    reply.is_refused(429, "too many tries");
    assert_eq!(reply.header("retry-after"), Some("420"), "from elsewhere too");
    sending.house.clock.advance(Duration::from_secs(420));
    sending.house.ask(send("phone", PHONE)).await.is(200);

    for n in 0..20 {
        sending.house.ask(send("phone", &format!("+49176000{n:04}")).from("198.51.100.1")).await.is(200);
    }
    let reply = sending.house.ask(send("email", EMAIL).from("198.51.100.1")).await;
    reply.is_refused(429, "too many tries");
    assert_eq!(reply.header("retry-after"), Some("600"));
    sending.house.ask(send("email", EMAIL).from("198.51.100.2")).await.is(200);
}

#[tokio::test]
async fn wrong_codes_of_many_challenges_are_counted_together() {
    let sending = Sending::founded().await;
    // each from a network of its own: theirs are counted elsewhere
    for peer in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        sending.house.clock.advance(Duration::from_secs(600));
        let (challenge, code) = sending.code("phone", PHONE).await;
        for _ in 0..5 {
            sending.house.ask(log_in(&challenge, &wrong(&code)).from(peer)).await.is_refused(401, "incorrect code");
        }
    }
    let (challenge, code) = sending.code("phone", PHONE).await;
    let reply = sending.house.ask(log_in(&challenge, &code)).await;
    reply.is_refused(429, "too many tries");
    sending.house.clock.advance(Duration::from_secs(1));
    sending.house.ask(log_in(&challenge, &code)).await.is(200);
}

#[tokio::test]
async fn without_an_invitation_nobody_comes_and_the_code_stays_good() {
    let sending = Sending::with(|_| {}).await;
    let boss = sending.house.person("boss").await;
    // someone could come: by the invitation that is open
    let mut act = sending.house.database.act().await.unwrap();
    let (invitation, code) = invite(&sending.house, &mut act, &boss).await;
    let _ = act.commit(&crate::audit::By::system().did(crate::audit::Action::SignUp, invitation)).await.unwrap();
    let (challenge, sent) = sending.code("email", EMAIL).await;
    sending.house.ask(log_in(&challenge, &sent)).await.is_refused(403, "invitation required");
    let by = |invitation: &str| Ask::post("/v1/otp/login").json(json!({ "challenge": challenge, "code": sent, "invitation": invitation }));
    sending.house.ask(by("gpi_nonsense")).await.is_refused(403, "invitation required");
    let reply = sending.house.ask(by(&code)).await;
    reply.is(200);
    assert_eq!(reply.body["created"], json!(true));
    sending.house.exchange(&reply.text("/api_key")).await.is(200);
    sending.house.ask(by(&code)).await.is_refused(401, "incorrect code");
}

async fn invite(house: &House, act: &mut crate::database::Act, by: &Person) -> (crate::id::Id, String) {
    use crate::token::secret::{SecretKind, SecretMint};
    let id = crate::id::Id::random().unwrap();
    let code = SecretMint::new(&house.database.installation().key_tag).make(SecretKind::Invitation, id).unwrap();
    let inviter = by.uid.parse().unwrap();
    let standing = crate::accounts::standing::of_principal(&house.database, inviter).await.unwrap().unwrap();
    let new = crate::database::InvitationRow {
        id,
        tenant: standing.subject.tenant,
        inviter,
        role: crate::token::record::Role::Client,
        scopes: ScopeSet::parse(["orders:read"]).unwrap(),
        policies: Vec::new(),
        created_at: act.now(),
        expires_at: act.now().after(Duration::from_secs(86_400)),
    };
    act.insert_invitation(&new, code.hashed()).await.unwrap();
    (id, code.reveal().to_owned())
}

#[tokio::test]
async fn whoever_signed_up_under_anothers_address_is_out_when_its_owner_logs_in() {
    let sending = Sending::with(|rules| rules.sign_up = SignUp::Open).await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let attacker = sending.house.ask(Ask::post("/v1/register").json(body)).await;
    attacker.is(201);
    let login = sending.house.ask(Ask::get("/v1/login").basic(EMAIL, PASSWORD)).await;
    login.is(200);

    let (challenge, code) = sending.code("email", EMAIL).await;
    let reply = sending.house.ask(log_in(&challenge, &code)).await;
    reply.is(200);
    assert_eq!((reply.text("/uid"), &reply.body["created"]), (attacker.text("/uid"), &json!(false)));
    sending.house.ask(Ask::get("/v1/login").basic(EMAIL, PASSWORD)).await.is_refused(401, "incorrect credentials");
    sending.house.ask(Ask::post("/v1/verify").bearer(&login.text("/jwt/token"))).await.is_refused(401, "invalid token");
    let refresh = Ask::post("/v1/token/refresh").bearer(&login.text("/jwt/refresh_token"));
    sending.house.ask(refresh).await.is_refused(404, "session does not exist");
    sending.house.exchange(&attacker.text("/api_key")).await.is(401);
    // the owner goes on
    sending.house.ask(Ask::post("/v1/verify").bearer(&reply.text("/jwt/token"))).await.is(200);
}

#[tokio::test]
async fn founding_by_code_takes_the_set_up_code_from_elsewhere() {
    let sending = Sending::with(|_| {}).await;
    let (challenge, code) = sending.code("email", EMAIL).await;
    let from = |ask: Ask| ask.from("192.0.2.1");
    sending.house.ask(from(log_in(&challenge, &code))).await.is_refused(403, "setup code required");
    let setup = sending.house.admin.setup_code().unwrap().to_owned();
    let reply = sending.house.ask(from(log_in(&challenge, &code).header("x-setup-code", setup))).await;
    reply.is(200);
    assert_eq!(reply.body["created"], json!(true));
    // nobody else: no account could be made, so nothing is sent
    let unknown = sending.house.ask(send("phone", PHONE)).await;
    unknown.is(200);
    sending.code("email", EMAIL).await;
    assert_eq!(sending.web.count(), 0);
}

#[tokio::test]
async fn what_is_unproved_is_nobodys_name() {
    let sending = Sending::with(|rules| rules.sign_up = SignUp::Open).await;
    let body = json!({ "email": EMAIL, "phone": PHONE, "password": PASSWORD });
    let uid = sending.house.ask(Ask::post("/v1/register").json(body)).await.is(201).text("/uid");
    let shown = async || sending.house.database.shown_name(uid.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(shown().await, uid);
    let (challenge, code) = sending.code("phone", PHONE).await;
    assert_eq!(sending.house.ask(log_in(&challenge, &code)).await.is(200).text("/uid"), uid);
    assert_eq!(shown().await, PHONE);
}

#[tokio::test]
async fn who_has_ended_is_told_what_everybody_is_told() {
    let sending = Sending::founded().await;
    let (challenge, code) = sending.code("email", EMAIL).await;
    let uid = sending.house.ask(log_in(&challenge, &code)).await.text("/uid").parse().unwrap();
    let (challenge, code) = sending.code("email", EMAIL).await;
    let mut act = sending.house.database.act().await.unwrap();
    act.end_principal(uid).await.unwrap();
    let _ = act.commit(&crate::audit::By::system().did(crate::audit::Action::KeyEnd, uid)).await.unwrap();
    sending.house.ask(log_in(&challenge, &code)).await.is_refused(401, "incorrect code");
}

#[tokio::test]
async fn neither_code_nor_address_is_kept_readable() {
    let sending = Sending::founded().await;
    let (challenge, code) = sending.code("phone", PHONE).await;
    let row = sending.house.database.open_challenge(challenge.parse().unwrap(), 5).await.unwrap().unwrap();
    assert_ne!(row.code, crate::token::secret::sha256(code.as_bytes()));
    let other = Keyring::parse(&"cd".repeat(32)).unwrap();
    assert_ne!(row.code, other.signing().unwrap().code_mac(challenge.parse().unwrap(), &code), "kept under the secret key");
}
