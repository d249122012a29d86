use super::*;
use crate::audit::{Action, By};
use crate::clock::Clock;
use crate::database::test_server::TestDatabase;
use crate::decision::scopes::ScopeSet;
use crate::token::record::Role;

async fn database() -> (Database, TestDatabase) {
    let data = TestDatabase::here().await;
    (data.open(Clock::manual(UnixMs(1_900_000_000_000))).await, data)
}

fn id(byte: u8) -> Id {
    Id::from_bytes([byte; 16])
}

async fn count(database: &Database, statement: &'static str) -> i64 {
    let (count,): (i64,) = sqlx::query_as(statement).fetch_one(&database.pool).await.unwrap();
    count
}

#[tokio::test]
async fn an_act_leaves_its_audit_entry_and_what_the_store_must_learn() {
    let (database, _data) = database().await;
    let mut act = database.act().await.unwrap();
    act.insert_tenant(id(1), "ann").await.unwrap();
    let committed = act.commit(&By::principal(id(2), "192.0.2.1").did(Action::SignUp, id(1))).await.unwrap();
    let pending = database.pending(0, 10).await.unwrap();
    assert_eq!(
        pending.iter().map(|row| (row.n, row.kind, row.id)).collect::<Vec<_>>(),
        [(committed.until.unwrap(), PendingKind::Subject, id(1))]
    );
    let entry: (i64, String, String, String, String, String) =
        sqlx::query_as("SELECT at, actor, action, target, origin, result FROM audit").fetch_one(&database.pool).await.unwrap();
    let expected = (1_900_000_000_000, id(2).to_string(), "sign_up".into(), id(1).to_string(), "192.0.2.1".into(), "done".into());
    assert_eq!(entry, expected);
}

#[tokio::test]
async fn an_act_that_is_dropped_leaves_nothing() {
    let (database, _data) = database().await;
    let mut act = database.act().await.unwrap();
    act.insert_tenant(id(1), "ann").await.unwrap();
    assert!(act.found(id(2)).await.unwrap());
    drop(act);
    assert!(!database.is_founded().await.unwrap());
    assert!(database.pending(0, 10).await.unwrap().is_empty());
    assert_eq!(count(&database, "SELECT count(*) FROM tenants").await, 0);
    assert_eq!(count(&database, "SELECT count(*) FROM audit").await, 0);
}

#[tokio::test]
async fn acts_take_turns_and_reads_go_on_meanwhile() {
    let (database, _data) = database().await;
    let mut first = database.act().await.unwrap();
    assert!(first.found(id(1)).await.unwrap());
    // more than there are connections: who waits holds none
    let others: Vec<_> = (2..20u8)
        .map(|n| {
            let database = database.clone();
            tokio::spawn(async move { database.act().await.unwrap().found(id(n)).await.unwrap() })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(!database.is_founded().await.unwrap());
    let _ = first.commit(&By::system().did(Action::Found, id(1))).await.unwrap();
    for other in others {
        assert!(!other.await.unwrap(), "there is one founder");
    }
}

#[tokio::test]
async fn a_name_stays_taken_after_its_end() {
    let (database, _data) = database().await;
    let scopes = ScopeSet::everything();
    let ann = |uid| crate::database::NewPrincipal {
        uid,
        tenant: id(1),
        parent: None,
        role: Role::Admin,
        user: Some("ann"),
        email: None,
        phone: None,
        verified: &[],
        password: None,
        scopes: &scopes,
    };
    let mut act = database.act().await.unwrap();
    act.insert_tenant(id(1), "ann").await.unwrap();
    act.insert_principal(&ann(id(2))).await.unwrap();
    act.end_principal(id(2)).await.unwrap();
    let _ = act.commit(&By::system().did(Action::SignUp, id(2))).await.unwrap();
    let mut act = database.act().await.unwrap();
    assert!(matches!(act.insert_principal(&ann(id(3))).await, Err(DatabaseError::Taken)));
}
