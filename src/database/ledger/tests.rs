use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::database::test_server::TestDatabase;
use crate::token::record::{KeyRecord, PolicyRecord, Role, SessionRecord, SubjectRecord, TokenFormat};
use crate::token::terms::Terms;

const NOW: UnixMs = UnixMs(1_900_000_000_000);

struct House {
    database: Database,
    _data: TestDatabase,
}

/// Tenant 10, admin 11 (policy 20), client 12 below it (policies 20 and 21, the latter ended), key 30, session 40.
async fn house() -> House {
    let data = TestDatabase::here().await;
    let database = data.open(Clock::manual(NOW)).await;
    for sql in [
        "INSERT INTO tenants (id, name, created_at, changed_at) VALUES (:10, 'acme', 1, 1)",
        "INSERT INTO principals (uid, tenant, role, user_name, scopes, created_at, changed_at) VALUES (:11, :10, 'admin', 'ada', '*', 1, 1)",
        "INSERT INTO principals (uid, tenant, parent, role, email, phone, phone_verified, scopes, version, created_at, changed_at)
         VALUES (:12, :10, :11, 'client', 'c@example.com', '+4915', 1, 'orders:read', 7, 1, 500)",
        "INSERT INTO policies (id, tenant, name, allow, deny, created_at, changed_at) VALUES (:20, :10, 'p', 'orders:*', 'orders:delete', 1, 1)",
        "INSERT INTO policies (id, tenant, name, allow, deny, ended_at, version, created_at, changed_at) VALUES (:21, :10, 'q', '', '', 9, 2, 1, 9)",
        "INSERT INTO principal_policies (principal, policy) VALUES (:11, :20), (:12, :21), (:12, :20)",
        "INSERT INTO api_keys (id, principal, name, scopes, created_at, version, changed_at) VALUES (:30, :12, 'k', 'orders:read', 1, 3, 800)",
        "INSERT INTO key_secrets (hash, key_id, until, created_at) VALUES (x'0000000000000000000000000000000000000000000000000000000000000000', :30, NULL, 3)",
        "INSERT INTO key_secrets (hash, key_id, until, created_at) VALUES (x'3131313131313131313131313131313131313131313131313131313131313131', :30, 1900000000001, 2)",
        "INSERT INTO key_secrets (hash, key_id, until, created_at) VALUES (x'3232323232323232323232323232323232323232323232323232323232323232', :30, 1900000000000, 1)",
        "INSERT INTO sessions (id, principal, created_at, ends_at, changed_at) VALUES (:40, :12, 1, 1900000000005, 1)",
    ] {
        run(&database, sql).await;
    }
    House { database, _data: data }
}

/// Runs a statement in which `:10` stands for the quoted id of 16 bytes 0x10.
async fn run(database: &Database, sql: &str) {
    let mut parts = sql.split(':');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        match part.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_digit())) {
            Some(two) => text += &format!("'{}'{}", two.repeat(16), &part[2..]),
            None => text += &format!(":{part}"),
        }
    }
    database.run_in_test(&[text]).await;
}

fn id(byte: u8) -> Id {
    Id::from_bytes([byte; 16])
}

fn scopes(text: &str) -> crate::decision::scopes::ScopeSet {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_key_comes_with_all_it_hangs_on() {
    let house = house().await;
    let records = house.database.records_of(PendingKind::Key, id(0x30)).await.unwrap();
    let shape: Vec<_> = records.iter().map(|r| (r.id, r.version)).collect();
    assert_eq!(shape, [(id(0x30), 3), (id(0x12), 7), (id(0x11), 1), (id(0x10), 1), (id(0x20), 1), (id(0x21), 2)]);
    let [key, client, admin, tenant, p, q] = <[Record; 6]>::try_from(records).unwrap();
    assert_eq!(
        key.content,
        Content::Key(KeyRecord {
            subject: id(0x12),
            scopes: scopes("orders:read"),
            secrets: vec![([0; 32], None), ([b'1'; 32], Some(UnixMs(NOW.0 + 1)))],
            ends: None,
            ended: false,
            terms: Terms::default(),
        }),
        "a secret whose grace is over is left out"
    );
    let Content::Subject(client) = client.content else { panic!() };
    assert_eq!((client.name.as_str(), client.up, client.policies), ("+4915", Some(id(0x11)), vec![id(0x20), id(0x21)]));
    let Content::Subject(admin) = admin.content else { panic!() };
    assert_eq!((admin.name.as_str(), admin.role, admin.up), ("ada", Role::Admin, Some(id(0x10))));
    assert_eq!(
        tenant.content,
        Content::Subject(SubjectRecord {
            name: "acme".into(),
            role: Role::Tenant,
            up: None,
            tenant: id(0x10),
            scopes: scopes("*"),
            policies: vec![],
            blocked: false,
            terms: Terms::default(),
        })
    );
    assert_eq!(
        p.content,
        Content::Policy(PolicyRecord { allow: scopes("orders:*"), deny: scopes("orders:delete"), ended: false, terms: Terms::default() })
    );
    assert_eq!(
        q.content,
        Content::Policy(PolicyRecord { allow: scopes(""), deny: scopes(""), ended: true, terms: Terms::default() }),
        "an ended policy is given as ended"
    );
}

#[tokio::test]
async fn sessions_subjects_and_strangers() {
    let house = house().await;
    let database = &house.database;
    let of = async |kind, byte| database.records_of(kind, id(byte)).await.unwrap().iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(of(PendingKind::Session, 0x40).await, [id(0x40), id(0x12), id(0x11), id(0x10), id(0x20), id(0x21)]);
    assert_eq!(of(PendingKind::Subject, 0x11).await, [id(0x11), id(0x10), id(0x20)]);
    assert_eq!(of(PendingKind::Subject, 0x10).await, [id(0x10)]);
    assert_eq!(of(PendingKind::Key, 0x99).await, []);
    assert_eq!(of(PendingKind::Token, 0x30).await, []);
    let session = database.record(PendingKind::Session, id(0x40)).await.unwrap().unwrap();
    assert_eq!(
        session.content,
        Content::Session(SessionRecord { subject: id(0x12), ends: UnixMs(NOW.0 + 5), idle_ends: None, ended: false })
    );
    assert_eq!(database.record(PendingKind::Policy, id(0x99)).await.unwrap(), None);
}

#[tokio::test]
async fn deleted_and_blocked_both_refuse() {
    let house = house().await;
    let database = &house.database;
    run(database, "UPDATE principals SET ended_at = 5 WHERE uid = :12").await;
    run(database, "UPDATE tenants SET blocked = 1").await;
    for byte in [0x12, 0x10] {
        let Content::Subject(subject) = database.record(PendingKind::Subject, id(byte)).await.unwrap().unwrap().content else { panic!() };
        assert!(subject.blocked, "{byte:x}");
    }
}

#[tokio::test]
async fn all_and_changed() {
    let house = house().await;
    let database = &house.database;
    assert_eq!(database.all_records().await.unwrap().len(), 7);
    run(database, "UPDATE api_keys SET ended_at = 900, changed_at = 900").await;
    run(database, "UPDATE sessions SET ends_at = 1900000000000").await;
    assert_eq!(database.all_records().await.unwrap().len(), 5, "an ended key and a session past its end are left out");
    let changed = |since| {
        let database = database.clone();
        async move { database.records_changed(UnixMs(since)).await.unwrap().iter().map(|r| r.id).collect::<Vec<_>>() }
    };
    assert_eq!(changed(500).await, [id(0x12), id(0x30)], "what was changed then counts");
    assert_eq!(changed(501).await, [id(0x30)], "an ended key too");
    assert_eq!(changed(1).await.len(), 7);
}

#[tokio::test]
async fn a_damaged_row_is_an_error_not_a_gap() {
    let house = house().await;
    let database = &house.database;
    run(database, "UPDATE principals SET role = 'emperor' WHERE uid = :11").await;
    assert!(database.records_of(PendingKind::Key, id(0x30)).await.is_err());
    assert!(database.all_records().await.is_err());
}

fn token(byte: u8) -> LiveToken {
    LiveToken {
        token: TokenRecord {
            id: id(byte),
            key: id(0x30),
            scopes: scopes("orders:read"),
            issued: NOW,
            cap: NOW.after(Duration::from_secs(100)),
            format: TokenFormat::Jwt,
            signed_by: "name".into(),
            issuer: "https://auth.example.com".into(),
        },
        idle_end: NOW.after(Duration::from_secs(10)),
    }
}

#[tokio::test]
async fn tokens_are_saved_slid_and_never_revived() {
    let house = house().await;
    let database = &house.database;
    assert!(database.save_token(&token(1)).await.unwrap());
    assert!(database.save_token(&token(2)).await.unwrap());
    let mut later = token(1);
    later.idle_end = NOW.after(Duration::from_secs(20));
    assert!(database.save_token(&later).await.unwrap());
    assert!(database.save_token(&token(1)).await.unwrap());
    let mut live = database.live_tokens(NOW).await.unwrap();
    live.sort_by_key(|live| live.token.id);
    assert_eq!(live, [later.clone(), token(2)], "never back");

    let end = NOW.after(Duration::from_secs(30));
    run(database, "UPDATE tokens SET ended_at = 77 WHERE id = :02").await;
    database.slide_tokens(&[(id(1), end), (id(2), end), (id(3), end)]).await.unwrap();
    database.slide_tokens(&[(id(1), NOW)]).await.unwrap();
    assert!(!database.save_token(&token(2)).await.unwrap(), "an ended token is not revived");
    assert_eq!(database.live_tokens(NOW).await.unwrap(), [LiveToken { idle_end: end, ..later }]);
    assert_eq!(database.live_tokens(end).await.unwrap(), []);
    assert_eq!(database.tokens_ended(UnixMs(77)).await.unwrap(), [id(2)]);
    assert_eq!(database.tokens_ended(UnixMs(78)).await.unwrap(), []);

    assert_eq!(database.forget_tokens(UnixMs(77)).await.unwrap(), 0);
    assert_eq!(database.forget_tokens(UnixMs(78)).await.unwrap(), 1);
    assert_eq!(database.forget_tokens(NOW.after(Duration::from_secs(101))).await.unwrap(), 1);
}

#[tokio::test]
async fn outbox_rows_are_done_only_in_their_epoch() {
    let house = house().await;
    let database = &house.database;
    for kind in ["token", "key", "session", "subject", "policy"] {
        run(database, &format!("INSERT INTO outbox (kind, id, at) VALUES ('{kind}', :30, 1)")).await;
    }
    let pending = database.pending(0, 2).await.unwrap();
    assert_eq!(pending[1], Pending { n: 2, kind: PendingKind::Key, id: id(0x30) });
    assert_eq!(pending.len(), 2);
    assert_eq!(database.pending(2, 2).await.unwrap().iter().map(|p| p.n).collect::<Vec<_>>(), [3, 4]);
    assert!(database.done(&[], Some("e1")).await.unwrap());
    assert!(!database.done(&[1], Some("e1")).await.unwrap(), "no epoch yet");
    assert!(database.outlook().await.unwrap().is_pending);
    assert!(database.swap_epoch(None, "e1").await.unwrap());
    assert!(database.done(&[1, 2], Some("e1")).await.unwrap());
    assert!(database.done(&[1], Some("e1")).await.unwrap(), "done already is done");
    assert!(!database.done(&[3], Some("e0")).await.unwrap());
    assert!(database.done(&[3], None).await.unwrap());
    assert_eq!(database.pending(0, 10).await.unwrap().iter().map(|p| p.n).collect::<Vec<_>>(), [4, 5]);
    assert!(database.is_done(3).await.unwrap() && database.outlook().await.unwrap().is_pending);
    assert!(!database.is_done(4).await.unwrap());
    assert_eq!(database.forget_done(NOW).await.unwrap(), 0);
    assert_eq!(database.forget_done(NOW.after(Duration::from_millis(1))).await.unwrap(), 3);
}

#[tokio::test]
async fn the_high_water_mark_only_rises_and_is_the_floor_of_the_next_start() {
    let data = TestDatabase::here().await;
    let database = data.open(Clock::manual(NOW)).await;
    database.raise_high_water(NOW).await.unwrap();
    database.raise_high_water(UnixMs(5)).await.unwrap();
    let set_back = Clock::manual(UnixMs(1));
    data.open(set_back.clone()).await;
    assert_eq!(set_back.now(), NOW);
}
