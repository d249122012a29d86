//! Every table is copied or left on purpose, every value comes back as it was, and all of it stands or nothing.

use std::collections::BTreeSet;

use super::*;
use crate::audit::{Action, By};
use crate::clock::{Clock, UnixMs};
use crate::database::Database;
use crate::database::engine::newest_migration;
use crate::database::test_server::TestDatabase;
use crate::id::Id;

const NOW: UnixMs = UnixMs(1_900_000_000_000);

async fn database() -> (Database, TestDatabase) {
    let data = TestDatabase::here().await;
    (data.open(Clock::manual(NOW)).await, data)
}

async fn sqlite() -> (Database, TestDatabase) {
    let data = TestDatabase::new(Engine::Sqlite).await;
    (data.open(Clock::manual(NOW)).await, data)
}

/// The tables that the schema has.
async fn live(database: &Database) -> BTreeSet<String> {
    let statement = match database.engine() {
        Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        Engine::Postgres => "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()",
        Engine::Mysql => "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE()",
    };
    let names: Vec<(String,)> = sqlx::query_as(statement).fetch_all(&database.pool).await.unwrap();
    names.into_iter().map(|(name,)| name).collect()
}

#[tokio::test]
async fn every_table_is_copied_or_left_on_purpose() {
    let (database, _data) = database().await;
    // a file has a lock of its own in place of `turn`
    let left = LEFT.iter().filter(|name| database.engine() != Engine::Sqlite || **name != "turn");
    let known: BTreeSet<String> = COPIED.iter().chain(left).map(|name| (*name).to_owned()).collect();
    assert_eq!(
        live(&database).await,
        known,
        "a table of the schema is neither copied nor left on purpose: add it to COPIED in src/database/copy.rs, after the tables that its \
         rows refer to, or to LEFT, where a copy has no use for it"
    );
}

#[test]
fn the_engines_have_the_same_schema() {
    let newest = newest_migration(Engine::Postgres);
    assert_eq!(newest_migration(Engine::Mysql), newest, "a migration is missing on one engine");
    assert_eq!(newest_migration(Engine::Sqlite), newest + 1, "a migration is missing on one engine; SQLite had one more at first");
}

/// One row in every table, whatever its columns are: what a copy has to bring over.
async fn one_row_everywhere(database: &Database) {
    let mut filling = database.fill().await.unwrap();
    for table in filling.tables() {
        let value = |column: &Column| match (column.kind, column.name.as_str()) {
            // nobody stands above who is at the top
            (_, "parent") => Value::Null,
            (Kind::Number, _) => Value::Number(1),
            (Kind::Text, _) => Value::Text("é1".to_owned()),
            (Kind::Bytes, "key_tag") => Value::Bytes(vec![7; 32]),
            (Kind::Bytes, _) => Value::Bytes(vec![0, 0xff, b'1']),
        };
        let row = table.columns.iter().map(value).collect();
        filling.insert(&table, &[row]).await.unwrap();
    }
    filling.commit(&By::cli().did(Action::Import, "x"), false).await.unwrap();
}

/// A table's name, columns and rows.
type Read = (&'static str, Vec<String>, Vec<Row>);
/// The same, each row as its named values.
type Sorted = (&'static str, Vec<Vec<(String, String)>>);

async fn rows(database: &Database) -> Vec<Read> {
    let mut snapshot = database.snapshot().await.unwrap();
    let mut all = Vec::new();
    for table in snapshot.tables() {
        let mut rows = Vec::new();
        let take = async |portion: Vec<Row>| {
            rows.extend(portion);
            Ok::<_, DatabaseError>(())
        };
        snapshot.read(&table, 2, take).await.unwrap();
        all.push((table.name, table.columns.iter().map(|column| column.name.clone()).collect(), rows));
    }
    all
}

async fn copy(from: &Database, to: &Database) -> Result<(), DatabaseError> {
    let mut filling = to.fill().await?;
    put(from, &mut filling).await?;
    filling.commit(&By::cli().did(Action::Import, "copied"), true).await
}

async fn put(from: &Database, filling: &mut Filling) -> Result<(), DatabaseError> {
    for (name, columns, rows) in rows(from).await {
        let known = filling.tables();
        let known = known.iter().find(|table| table.name == name).unwrap();
        let columns = columns.iter().map(|column| known.columns[known.place(column).unwrap()].clone()).collect();
        filling.insert(&Table { name: known.name, columns }, &rows).await?;
    }
    Ok(())
}

/// Sorted, without the entry of the import, column by name: engines list columns in orders of their own.
fn sorted(mut all: Vec<Read>) -> Vec<Sorted> {
    all.iter_mut()
        .map(|(name, columns, rows)| {
            let named = |row: &Row| {
                let mut values: Vec<_> = columns.iter().cloned().zip(row.iter().map(|value| format!("{value:?}"))).collect();
                values.sort();
                values
            };
            let mut rows: Vec<_> =
                rows.iter().map(named).filter(|row| !row.contains(&("target".into(), "Text(\"copied\")".into()))).collect();
            rows.sort();
            (*name, rows)
        })
        .collect()
}

#[tokio::test]
async fn every_value_of_every_column_comes_over_and_back() {
    let (source, _a) = sqlite().await;
    let (other, _b) = database().await;
    let (back, _c) = sqlite().await;
    one_row_everywhere(&source).await;
    let first = sorted(rows(&source).await);
    assert!(first.iter().all(|(_, rows)| !rows.is_empty()), "a table is empty: {first:?}");
    copy(&source, &other).await.unwrap();
    assert_eq!(sorted(rows(&other).await), first);
    copy(&other, &back).await.unwrap();
    assert_eq!(sorted(rows(&back).await), first);
}

#[tokio::test]
async fn ids_of_its_own_and_counts_that_go_on() {
    let (source, _a) = sqlite().await;
    let (other, data) = database().await;
    one_row_everywhere(&source).await;
    let own = other.installation().id;
    copy(&source, &other).await.unwrap();
    let other = data.open(Clock::manual(NOW)).await;
    assert_eq!(other.installation().id, own, "a token store that served the other installation must not be believed");
    assert_eq!(other.installation().key_tag, [7; 32]);
    assert_eq!(other.epoch().await.unwrap(), None);
    let mut act = other.act().await.unwrap();
    act.tell(crate::database::PendingKind::Key, Id::from_bytes([1; 16])).await.unwrap();
    let _ = act.commit(&By::cli().did(Action::KeyEnd, "x")).await.unwrap();
    assert_eq!(other.last_row_in_test().await, 2, "numbers are not given twice");
}

#[tokio::test]
async fn whoever_stands_above_comes_first() {
    let (source, _a) = sqlite().await;
    let (other, _b) = database().await;
    let mut people =
        vec![format!("INSERT INTO tenants (id, name, created_at, changed_at) VALUES ('{}', 't', 1, 1)", Id::from_bytes([0; 16]))];
    // the higher someone stands, the later the uid
    for depth in 0..7u8 {
        let (uid, above) = (Id::from_bytes([20 - depth; 16]), Id::from_bytes([21 - depth; 16]));
        let above = if depth == 0 { "NULL".to_owned() } else { format!("'{above}'") };
        people.push(format!(
            "INSERT INTO principals (uid, tenant, parent, role, scopes, created_at, changed_at)
             VALUES ('{uid}', '{}', {above}, 'client', '*', 1, 1)",
            Id::from_bytes([0; 16])
        ));
    }
    source.run_in_test(&people).await;
    copy(&source, &other).await.unwrap();
    assert_eq!(sorted(rows(&other).await), sorted(rows(&source).await));
}

#[tokio::test]
async fn what_is_not_committed_leaves_nothing() {
    let (source, _a) = sqlite().await;
    let (other, data) = database().await;
    one_row_everywhere(&source).await;
    let mut filling = other.fill().await.unwrap();
    assert_eq!(filling.occupied().await.unwrap(), None);
    put(&source, &mut filling).await.unwrap();
    assert!(filling.occupied().await.unwrap().is_some());
    drop(filling);
    let again = data.open(Clock::manual(NOW)).await;
    assert_eq!(again.fill().await.unwrap().occupied().await.unwrap(), None);
    copy(&source, &again).await.unwrap();
    assert!(again.fill().await.unwrap().occupied().await.unwrap().is_some());
    again.list_replica("a", std::time::Duration::ZERO, std::time::Duration::ZERO).await.unwrap();
    assert!(again.fill().await.unwrap().is_served().await.unwrap());
}

#[tokio::test]
async fn live_tokens_wait_for_a_store_that_needs_them() {
    let (source, _a) = sqlite().await;
    let (other, _b) = database().await;
    one_row_everywhere(&source).await;
    let (long, now) = (NOW.0 + 60_000, NOW.0);
    let token = |byte: u8, cap: u64, idle_end: u64, ended: &str| {
        let id = Id::from_bytes([byte; 16]);
        format!(
            "INSERT INTO tokens (id, key_id, scopes, format, signed_by, issuer, issued_at, cap, idle_end, ended_at)
             VALUES ('{id}', 'é1', 'a', 'opaque', 's', '', 1, {cap}, {idle_end}, {ended})"
        )
    };
    let rows = [token(1, long, long, "NULL"), token(2, long, long, "5"), token(3, now, long, "NULL"), token(4, long, now, "NULL")];
    source.run_in_test(&rows).await;
    copy(&source, &other).await.unwrap();
    assert_eq!(other.arrivals().await.unwrap(), 1, "neither what has ended nor what has run out");
}
