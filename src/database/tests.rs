//! What every engine must do alike: names byte by byte, unique names, turns that nobody holds for long, locks, and an end
//! to every interruption.

use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::time::{sleep, timeout};

use super::test_server::{TestDatabase, here};
use super::*;
use crate::audit::{Action, By};
use crate::decision::scopes::ScopeSet;
use crate::token::record::{Content, Role};

const NOW: UnixMs = UnixMs(1_900_000_000_000);

async fn database() -> (Database, TestDatabase) {
    let data = TestDatabase::here().await;
    (data.open(Clock::manual(NOW)).await, data)
}

fn id(byte: u8) -> Id {
    Id::from_bytes([byte; 16])
}

async fn make(database: &Database, uid: Id, user: &str) -> Result<(), DatabaseError> {
    let scopes = ScopeSet::everything();
    let tenant = Id::random().unwrap();
    let mut act = database.act().await?;
    act.insert_tenant(tenant, user).await?;
    let principal = NewPrincipal {
        uid,
        tenant,
        parent: None,
        role: Role::Admin,
        user: Some(user),
        email: None,
        phone: None,
        password: None,
        verified: Default::default(),
        scopes: &scopes,
    };
    act.insert_principal(&principal).await?;
    act.commit(&By::system().did(Action::SignUp, uid)).await.map(drop)
}

async fn uid_of(database: &Database, user: &str) -> Option<Id> {
    database.login_row(NameKind::User, user).await.unwrap().map(|row| row.uid)
}

#[tokio::test]
async fn names_are_compared_byte_by_byte() {
    let (database, _data) = database().await;
    for (n, name) in (1..).zip(["ann", "Ann", "änn", "a\u{308}nn", "ann\u{1f600}"]) {
        make(&database, id(n), name).await.unwrap();
        assert_eq!(uid_of(&database, name).await, Some(id(n)), "{name}");
    }
    assert!(matches!(make(&database, id(9), "ann").await, Err(DatabaseError::Taken)));
    assert_eq!(uid_of(&database, "ANN").await, None);
}

#[tokio::test]
async fn of_many_who_want_one_name_one_has_it() {
    let (database, data) = database().await;
    let other = data.open(Clock::manual(NOW)).await;
    let racing: Vec<_> = (1..=12u8)
        .map(|n| {
            let database = if n % 2 == 0 { database.clone() } else { other.clone() };
            tokio::spawn(async move { make(&database, id(n), "ann").await })
        })
        .collect();
    let mut made = 0;
    for racer in racing {
        match racer.await.unwrap() {
            Ok(()) => made += 1,
            Err(error) => assert!(matches!(error, DatabaseError::Taken), "{error}"),
        }
    }
    assert_eq!(made, 1);
    let (rows,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM audit").fetch_one(&database.pool).await.unwrap();
    assert_eq!(rows, 1, "nothing is left of the others");
}

#[tokio::test]
async fn of_two_installations_at_once_one_is_made() {
    let data = TestDatabase::here().await;
    let (one, two) = tokio::join!(data.open(Clock::manual(NOW)), data.open(Clock::manual(NOW)));
    assert_eq!(one.installation().id, two.installation().id);
    assert_eq!(one.installation().key_tag, two.installation().key_tag);
}

#[tokio::test]
async fn nothing_and_bytes_come_back_as_they_were() {
    let (database, _data) = database().await;
    make(&database, id(1), "ann").await.unwrap();
    assert_eq!(database.login_row(NameKind::User, "ann").await.unwrap(), Some(LoginRow { uid: id(1), password: None }));
    assert_eq!(database.epoch().await.unwrap(), None);
    let every_byte: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 8).unwrap());
    database.keep_setup_code(every_byte, true).await.unwrap();
    assert!(database.is_setup_code(every_byte).await.unwrap());
    assert!(!database.is_setup_code([0; 32]).await.unwrap());
}

#[tokio::test]
async fn what_several_processes_printed_counts_until_somebody_founds() {
    let (database, data) = database().await;
    let other = data.open(Clock::manual(NOW)).await;
    database.keep_setup_code([1; 32], false).await.unwrap();
    other.keep_setup_code([2; 32], false).await.unwrap();
    for code in [[1; 32], [2; 32]] {
        assert!(database.is_setup_code(code).await.unwrap() && other.is_setup_code(code).await.unwrap());
    }
    database.keep_setup_code([3; 32], true).await.unwrap();
    assert!(!database.is_setup_code([1; 32]).await.unwrap(), "who is alone knows no other");
    let mut act = database.act().await.unwrap();
    assert!(act.found(id(1)).await.unwrap());
    let _ = act.commit(&By::system().did(Action::Found, id(1))).await.unwrap();
    assert!(!database.is_setup_code([3; 32]).await.unwrap());
}

/// A process that is stopped in the middle of an act does not stop the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_the_turn_and_does_nothing_is_put_out() {
    if here() == Engine::Sqlite {
        return; // one process alone writes to it
    }
    let (database, data) = database().await;
    let other = data.open(Clock::manual(NOW)).await;
    let mut stuck = other.act().await.unwrap();
    stuck.insert_tenant(id(7), "half done").await.unwrap();
    let begun = Instant::now();
    make(&database, id(1), "ann").await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(stuck.commit(&By::system().did(Action::SignUp, id(7))).await.is_err());
    assert!(database.record(PendingKind::Subject, id(7)).await.unwrap().is_none(), "nothing of it stands");
    make(&other, id(2), "bob").await.unwrap();
}

#[tokio::test]
async fn connections_that_broke_are_replaced() {
    let (database, data) = database().await;
    make(&database, id(1), "ann").await.unwrap();
    data.cut(&database).await;
    make(&database, id(2), "bob").await.unwrap();
    assert_eq!(uid_of(&database, "bob").await, Some(id(2)));
}

#[tokio::test]
async fn a_record_is_read_as_of_one_moment() {
    let (database, _data) = database().await;
    make(&database, id(1), "ann").await.unwrap();
    let mut read = database.reading().await.unwrap();
    let before = ledger_of(&mut read).await;
    let mut act = database.act().await.unwrap();
    act.end_principal(id(1)).await.unwrap();
    let _ = act.commit(&By::system().did(Action::SignUp, id(1))).await.unwrap();
    assert_eq!(ledger_of(&mut read).await, before);
    drop(read);
    let Content::Subject(subject) = database.record(PendingKind::Subject, id(1)).await.unwrap().unwrap().content else { panic!() };
    assert!(subject.blocked);
}

async fn ledger_of(read: &mut sqlx::Transaction<'static, sqlx::Any>) -> i64 {
    sqlx::query_as::<_, (i64,)>("SELECT COUNT(*) FROM principals WHERE ended_at IS NULL").fetch_one(&mut **read).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_at_a_time_where_the_store_is_embedded() {
    let (database, data) = database().await;
    let other = data.open(Clock::manual(NOW)).await;
    assert!(!other.is_served().await.unwrap());
    let lock = database.lock().await.unwrap();
    assert!(lock.is_held() && other.is_served().await.unwrap());
    let refused = other.lock().await.unwrap_err().to_string();
    assert!(refused.contains("another gatepost serves from it"), "{refused}");
    lock.release().await;
    drop(lock);
    let begun = Instant::now();
    let lock = other.lock().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "who stopped cleanly is not waited for");
    assert!(lock.is_held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lock_is_had_again_unless_another_one_served() {
    if here() == Engine::Sqlite {
        return; // the system keeps it
    }
    let (database, data) = database().await;
    let lock = database.lock().await.unwrap();
    data.cut(&database).await;
    let begun = Instant::now();
    sleep(Duration::from_secs(3)).await;
    assert!(lock.is_held(), "had again within {:?}", begun.elapsed());
    assert!(timeout(Duration::from_millis(10), lock.lost()).await.is_err());
    // as if another process had had it in between
    let other = data.open(Clock::manual(NOW)).await;
    sqlx::query("UPDATE installation SET served_by = 'another'").execute(&other.pool).await.unwrap();
    timeout(Duration::from_secs(3), lock.lost()).await.unwrap();
    assert!(!lock.is_held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_over_waits_until_the_one_before_cannot_serve() {
    if here() == Engine::Sqlite {
        return; // the system knows that it is gone
    }
    let (database, data) = database().await;
    drop(database.lock().await.unwrap());
    let begun = Instant::now();
    let other = data.open(Clock::manual(NOW)).await;
    let lock = other.lock().await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(2));
    assert!(lock.is_held(), "it keeps its own lease meanwhile");
}

/// Rows of the first schema are there after the second.
#[tokio::test]
async fn a_database_of_the_first_version_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("gatepost.db");
    let mut first = Engine::Sqlite.connect_apart(&engine::sqlite_url(&file)).await.unwrap();
    let mut migrator = sqlx::migrate!("src/database/migrations/sqlite");
    migrator.migrations.to_mut().retain(|migration| migration.version == 1);
    migrator.run(&mut first).await.unwrap();
    let (tenant, ann, key, session, policy) = (id(1), id(2), id(3), id(4), id(5));
    for statement in [
        format!("INSERT INTO installation (one, id, key_tag, high_water) VALUES (1, '{}', x'{}', 7)", id(9), "ab".repeat(32)),
        format!("INSERT INTO tenants (id, name, created_at, changed_at) VALUES ('{tenant}', 'ann', 1, 1)"),
        format!("INSERT INTO founding (one, principal, at) VALUES (1, '{ann}', 1)"),
        format!(
            "INSERT INTO principals (uid, tenant, role, user, password, scopes, created_at, changed_at)
             VALUES ('{ann}', '{tenant}', 'super_admin', 'ann', 'phc', '*', 1, 1)"
        ),
        format!(
            "INSERT INTO policies (id, tenant, name, allow, deny, created_at, changed_at) VALUES ('{policy}', '{tenant}', 'p', '', 'a', 1, 1)"
        ),
        format!("INSERT INTO principal_policies (principal, policy) VALUES ('{ann}', '{policy}')"),
        format!("INSERT INTO keys (id, principal, name, scopes, created_at, changed_at) VALUES ('{key}', '{ann}', 'k', 'a b', 1, 1)"),
        format!("INSERT INTO key_secrets (hash, key, created_at) VALUES (x'{}', '{key}', 1)", "07".repeat(32)),
        format!(
            "INSERT INTO tokens (id, key, scopes, format, signed_by, issuer, issued_at, cap, idle_end)
             VALUES ('{}', '{key}', 'a', 'opaque', 's', '', 1, 1900000009000, 1900000005000)",
            id(6)
        ),
        format!("INSERT INTO sessions (id, principal, created_at, ends_at, changed_at) VALUES ('{session}', '{ann}', 1, 1900000009000, 1)"),
        format!("INSERT INTO outbox (kind, id, at) VALUES ('key', '{key}', 1)"),
        format!("INSERT INTO audit (at, actor, action, target, origin, result) VALUES (1, '{ann}', 'found', '{ann}', '::1', 'done')"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut first).await.unwrap();
    }
    first.close().await.unwrap();

    let database = Database::open_sqlite(&file, Clock::manual(NOW)).await.unwrap();
    assert_eq!((database.installation().id, database.installation().key_tag), (id(9), [0xab; 32]));
    assert!(database.is_founded().await.unwrap());
    let row = database.login_row(NameKind::User, "ann").await.unwrap().unwrap();
    assert_eq!(row, LoginRow { uid: ann, password: Some("phc".into()) });
    let records: Vec<_> = database.records_of(PendingKind::Key, key).await.unwrap().into_iter().map(|record| record.id).collect();
    assert_eq!(records, [key, ann, tenant, policy]);
    assert_eq!(database.live_tokens(NOW).await.unwrap().len(), 1);
    assert_eq!(database.record(PendingKind::Session, session).await.unwrap().unwrap().id, session);
    assert_eq!(database.pending(0, 10).await.unwrap().len(), 1);
    make(&database, id(8), "bob").await.unwrap();
}
