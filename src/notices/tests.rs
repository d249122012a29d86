//! What is told, when, to whom and how often, on a clock that tests move; over real web and mail servers.

use super::*;
use crate::audit::{Action, By};
use crate::clock::{Clock, UnixMs};
use crate::database::KeyRow;
use crate::database::test_server::TestDatabase;
use crate::id::Id;
use crate::senders::sinks::{self, Sink};
use crate::senders::{self, Senders};
use crate::token::terms::Terms;

const NOW: UnixMs = UnixMs(1_900_000_800_000);
const SECRET: &str = "a secret of sixteen";
const DAY: Duration = Duration::from_secs(DAY_S);

struct House {
    database: Database,
    clock: Clock,
    _data: TestDatabase,
}

impl House {
    /// With ann, whose mail is proved, and bob, whose is not.
    async fn new() -> Self {
        let data = TestDatabase::here().await;
        let clock = Clock::manual(NOW);
        let database = data.open(clock.clone()).await;
        let person = |uid: u8, name: &str, proved: u8| {
            let (uid, tenant) = (Id::from_bytes([uid; 16]), Id::from_bytes([9; 16]));
            format!(
                "INSERT INTO principals (uid, tenant, role, user_name, email, email_verified, scopes, created_at, changed_at)
                 VALUES ('{uid}', '{tenant}', 'admin', '{name}', '{name}@example.com', {proved}, '*', 1, 1)"
            )
        };
        let tenant = format!("INSERT INTO tenants (id, name, created_at, changed_at) VALUES ('{}', 'acme', 1, 1)", Id::from_bytes([9; 16]));
        database.run_in_test(&[tenant, person(1, "ann", 1), person(2, "bob", 0)]).await;
        Self { database, clock, _data: data }
    }

    async fn key(&self, n: u8, owner: u8, life: Option<Duration>) -> Id {
        let (id, now) = (Id::from_bytes([n; 16]), self.clock.now());
        let key = KeyRow {
            id,
            principal: Id::from_bytes([owner; 16]),
            name: format!("key {n}"),
            scopes: "*".parse().unwrap(),
            created_at: now,
            expires_at: life.map(|life| now.after(life)),
            last_used_at: None,
            terms: Terms { external_id: Some("cus_1".into()), ..Terms::default() },
            imported: false,
        };
        let mut act = self.database.act().await.unwrap();
        act.insert_key(&key, [n; 32]).await.unwrap();
        let _ = act.commit(&By::system().did(Action::KeyCreate, id)).await.unwrap();
        id
    }

    async fn end(&self, key: Id) {
        let mut act = self.database.act().await.unwrap();
        act.end_key(key).await.unwrap();
        let _ = act.commit(&By::system().did(Action::KeyEnd, key)).await.unwrap();
    }

    fn teller(&self, web: Option<&Sink>, mail: Option<&Sink>) -> Arc<Teller> {
        let webhook = |sink: &Sink| Webhook {
            url: format!("http://127.0.0.1:{}/told", sink.port),
            secret: SECRET.into(),
            events: EventKind::ALL.to_vec(),
        };
        let settings = senders::Settings { email: mail.map(|mail| sinks::email(mail.port)), ..Default::default() };
        let letters = mail.and_then(|_| Senders::start(settings).unwrap().letters());
        Arc::new(Teller {
            client: Client::new().unwrap(),
            database: self.database.clone(),
            told: Told { letters, webhooks: web.into_iter().map(webhook).collect() },
        })
    }
}

/// Head and body of a request, whose signature is right.
fn taken(request: &str) -> (String, serde_json::Value) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{}:", name.to_ascii_lowercase())));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).split_once(": ").unwrap().1.to_owned()
    };
    let signature = field(webhook::SIGNATURE);
    let (time, tag) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    ring::hmac::verify(&key, format!("{time}.{body}").as_bytes(), &crate::id::from_hex::<32>(tag).unwrap()).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["id"], field("gatepost-event-id"));
    assert_eq!(field("content-type"), "application/json");
    (head.to_owned(), body)
}

/// Type, days and cause of each.
fn said(requests: &[String]) -> Vec<(String, Option<u64>, Option<String>)> {
    let said = |request: &String| {
        let (_, body) = taken(request);
        (body["type"].as_str().unwrap().to_owned(), body["days"].as_u64(), body["cause"].as_str().map(str::to_owned))
    };
    requests.iter().map(said).collect()
}

#[tokio::test]
async fn an_end_that_is_near_is_told_three_times_and_then_the_end() {
    let house = House::new().await;
    let web = Sink::web(&[204]).await;
    let teller = house.teller(Some(&web), None);
    let key = house.key(1, 1, Some(60 * DAY)).await;
    house.database.keys_used([(key, NOW)]).await.unwrap();
    let mut told = Vec::new();
    for day in 0..=70u64 {
        teller.round().await.unwrap();
        teller.round().await.unwrap();
        if web.count() > told.len() {
            told.push(day);
        }
        assert_eq!(web.count(), told.len(), "one at a time");
        house.clock.advance(DAY);
    }
    assert_eq!(told, [30, 53, 59, 60]);
    let requests = web.taken(4).await;
    let expiring = |days| ("key.expiring".to_owned(), Some(days), None);
    assert_eq!(said(&requests), [expiring(30), expiring(7), expiring(1), ("key.ended".to_owned(), None, Some("expired".to_owned()))]);
    let (_, first) = taken(&requests[0]);
    let about = serde_json::json!({
        "id": key, "name": "key 1", "owner": Id::from_bytes([1; 16]), "tenant": Id::from_bytes([9; 16]), "external_id": "cus_1",
        "created_at": NOW.seconds(), "expires_at": NOW.seconds() + 60 * DAY_S, "last_used_at": NOW.seconds(),
    });
    assert_eq!((&first["key"], &first["at"]), (&about, &serde_json::json!(NOW.seconds() + 30 * DAY_S)));
}

#[tokio::test]
async fn a_short_life_is_told_of_by_what_fits_into_it() {
    let house = House::new().await;
    let web = Sink::web(&[204]).await;
    let teller = house.teller(Some(&web), None);
    house.key(1, 1, Some(Duration::from_secs(3600))).await;
    house.key(2, 1, Some(3 * DAY)).await;
    teller.round().await.unwrap();
    assert_eq!(web.count(), 0);
    house.clock.advance(2 * DAY);
    teller.round().await.unwrap();
    let mut found = said(&web.taken(2).await);
    found.sort();
    assert_eq!(found, [("key.ended".to_owned(), None, Some("expired".to_owned())), ("key.expiring".to_owned(), Some(1), None)]);
}

#[tokio::test]
async fn a_key_that_is_never_used_and_one_that_is_deleted() {
    let house = House::new().await;
    let web = Sink::web(&[204]).await;
    let teller = house.teller(Some(&web), None);
    let (used, _, deleted) = (house.key(1, 1, None).await, house.key(2, 1, None).await, house.key(3, 1, None).await);
    house.clock.advance(29 * DAY);
    house.database.keys_used([(used, house.clock.now())]).await.unwrap();
    teller.round().await.unwrap();
    assert_eq!(web.count(), 0);
    house.end(deleted).await;
    teller.round().await.unwrap();
    house.clock.advance(2 * DAY);
    for _ in 0..3 {
        teller.round().await.unwrap();
    }
    let requests = web.taken(2).await;
    assert_eq!(said(&requests), [("key.ended".to_owned(), None, Some("deleted".to_owned())), ("key.unused".to_owned(), None, None)]);
    assert_eq!(taken(&requests[1]).1["key"]["name"], "key 2");
    // who begins to tell much later does not tell all that was
    house.key(4, 1, None).await;
    house.clock.advance(100 * DAY);
    teller.round().await.unwrap();
    assert_eq!(web.count(), 2);
}

#[tokio::test]
async fn keys_that_end_with_their_owner_are_told_of_by_webhook() {
    let house = House::new().await;
    let (web, mail) = (Sink::web(&[204]).await, Sink::mail().await);
    let teller = house.teller(Some(&web), Some(&mail));
    // carl stands below ann
    let carl = format!(
        "INSERT INTO principals (uid, tenant, parent, role, user_name, scopes, created_at, changed_at)
         VALUES ('{}', '{}', '{}', 'client', 'carl', '*', 1, 1)",
        Id::from_bytes([3; 16]),
        Id::from_bytes([9; 16]),
        Id::from_bytes([1; 16])
    );
    house.database.run_in_test(&[carl]).await;
    for (n, owner) in [(1, 1), (2, 2), (3, 3)] {
        house.key(n, owner, None).await;
    }
    house.key(4, 1, Some(DAY / 24)).await;
    house.clock.advance(DAY / 12);
    let mut act = house.database.act().await.unwrap();
    act.end_principal(Id::from_bytes([1; 16])).await.unwrap();
    let _ = act.commit(&By::system().did(Action::PrincipalEnd, Id::from_bytes([1; 16]))).await.unwrap();
    for _ in 0..3 {
        teller.round().await.unwrap();
    }
    let requests = web.taken(2).await;
    let told = ("key.ended".to_owned(), None, Some("owner_deleted".to_owned()));
    assert_eq!(said(&requests), [told.clone(), told]);
    let mut names: Vec<_> = requests.iter().map(|request| taken(request).1["key"]["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["key 1", "key 3"], "bob's goes on, and the fourth had run out before");
    assert_eq!(mail.count(), 0);
}

#[tokio::test]
async fn of_several_processes_one_tells() {
    let house = House::new().await;
    let web = Sink::web(&[204]).await;
    let (one, two) = (house.teller(Some(&web), None), house.teller(Some(&web), None));
    for n in 1..=20 {
        let key = house.key(n, 1, None).await;
        house.end(key).await;
    }
    let (first, second) = tokio::join!(one.round(), two.round());
    first.unwrap();
    second.unwrap();
    for _ in 0..3 {
        one.round().await.unwrap();
        two.round().await.unwrap();
    }
    let mut ids: Vec<String> = web.taken(20).await.iter().map(|request| taken(request).1["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), web.count()), (20, 20));
}

#[tokio::test]
async fn what_is_not_taken_is_told_again_by_whoever_runs_then() {
    let house = House::new().await;
    let web = Sink::web(&[500, 302, 429, 200]).await;
    let key = house.key(1, 1, None).await;
    house.end(key).await;
    house.teller(Some(&web), None).round().await.unwrap();
    assert_eq!(web.taken(1).await.len(), 1);
    for (wait, expected) in [(4, 1), (1, 2), (9, 2), (1, 3), (19, 3), (1, 4), (3600, 4)] {
        house.clock.advance(Duration::from_secs(wait));
        // a process that was started meanwhile
        house.teller(Some(&web), None).round().await.unwrap();
        assert_eq!(web.taken(expected).await.len(), expected, "{wait}");
    }
    let requests = web.taken(4).await;
    let ids: Vec<_> = requests.iter().map(|request| taken(request).1["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test]
async fn one_that_dies_while_it_tells_is_followed_by_another() {
    let house = House::new().await;
    let web = Sink::web(&[204]).await;
    let key = house.key(1, 1, None).await;
    house.end(key).await;
    let teller = house.teller(Some(&web), None);
    teller.note(EventKind::Ended, NoticeWindow::Deleted).await.unwrap();
    let [delivery] = &house.database.deliveries_due(10).await.unwrap()[..] else { panic!("one") };
    assert!(house.database.claim_delivery(delivery, CLAIM).await.unwrap());
    assert!(!house.database.claim_delivery(delivery, CLAIM).await.unwrap(), "it is taken");
    teller.round().await.unwrap();
    assert_eq!(web.count(), 0);
    house.clock.advance(CLAIM);
    teller.round().await.unwrap();
    web.taken(1).await;
}

#[tokio::test]
async fn after_three_days_it_is_given_up() {
    let house = House::new().await;
    let web = Sink::web(&[500]).await;
    let key = house.key(1, 1, None).await;
    house.end(key).await;
    let teller = house.teller(Some(&web), None);
    let mut hours = 0;
    teller.round().await.unwrap();
    while !house.database.deliveries_due(10).await.unwrap().is_empty() || house.deliveries().await > 0 {
        house.clock.advance(LONGEST_WAIT);
        teller.round().await.unwrap();
        hours += 1;
        assert!(hours < 80, "for ever");
    }
    assert_eq!(hours, 72);
    // nobody is configured any more
    let key = house.key(2, 1, None).await;
    house.end(key).await;
    teller.note(EventKind::Ended, NoticeWindow::Deleted).await.unwrap();
    let other = Sink::web(&[204]).await;
    house.teller(Some(&other), None).round().await.unwrap();
    assert_eq!((house.deliveries().await, other.count()), (0, 0));
}

#[tokio::test]
async fn owners_are_told_by_mail_where_their_address_is_proved() {
    let house = House::new().await;
    let (web, mail) = (Sink::web(&[204]).await, Sink::mail().await);
    let teller = house.teller(Some(&web), Some(&mail));
    house.key(1, 1, Some(60 * DAY)).await;
    let (anns, bobs) = (house.key(2, 1, None).await, house.key(3, 2, None).await);
    house.end(anns).await;
    house.end(bobs).await;
    teller.round().await.unwrap();
    house.clock.advance(30 * DAY);
    teller.round().await.unwrap();
    let mut mails = mail.taken(3).await;
    mails.sort();
    assert_eq!(web.taken(4).await.len(), 4);
    assert!(mails.iter().all(|mail| mail.contains("To: ann@example.com\r\n")), "{mails:?}");
    let all = mails.concat();
    for line in [
        "Subject: Your API key \"key 2\" was deleted\r\n",
        "Subject: Your API key \"key 1\" ends in 30 days\r\n",
        "Subject: Your API key \"key 1\" was never used\r\n",
        "Ends: 2030-05-16T18:00:00Z\r\n",
        "Last used: never\r\n",
    ] {
        assert!(all.contains(line), "{line}\n{all}");
    }
    assert_eq!(house.deliveries().await, 0);
}

impl House {
    async fn deliveries(&self) -> i64 {
        self.database.deliveries_in_test().await
    }
}
