//! Whatever takes rights away, or gives some, acts at the next check.

use std::time::Duration;

use super::house::{ADMIN, CLIENT, House, KEY, POLICY, SECRET, SESSION, TENANT, ask, check};
use crate::id::Id;
use crate::token::store::{Ask, MintOrder, MintRefusal};

pub(super) async fn an_ended_token_is_gone_at_the_next_check(house: House) {
    let (gone, other) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    house.end_token(gone.token.id).await;
    assert!(house.check(ask(&gone)).await.is_none());
    assert!(house.check(ask(&other)).await.is_some());
    assert_ne!(house.token().await.token.id, gone.token.id, "an id never comes back");
    assert!(house.check(ask(&gone)).await.is_none());
}

pub(super) async fn an_ended_key_is_gone_at_the_next_check(house: House) {
    let minted = house.token().await;
    assert!(house.check(Ask::Key(KEY)).await.is_some());
    house.end_key().await;
    assert!(house.check(ask(&minted)).await.is_none());
    assert!(house.check(Ask::Key(KEY)).await.is_none());
    assert_eq!(house.mint(house.order()).await.unwrap_err(), MintRefusal::NoSuchKey);
}

pub(super) async fn an_ended_session_is_gone_at_the_next_check(house: House) {
    assert!(house.check(Ask::Session(SESSION)).await.is_some());
    let sql = format!("UPDATE sessions SET ended_at = NOW, version = version + 1, changed_at = NOW WHERE id = '{SESSION}'");
    house.change(&sql, "session", SESSION).await;
    assert!(house.check(Ask::Session(SESSION)).await.is_none());
}

pub(super) async fn narrowed_scopes_act_at_the_next_check(house: House) {
    let minted = house.token().await;
    let set = async |text: &str| {
        let sql = format!("UPDATE api_keys SET scopes = '{text}', version = version + 1, changed_at = NOW WHERE id = '{KEY}'");
        house.change(&sql, "key", KEY).await;
    };
    set("orders:read").await;
    assert!(!house.allows(ask(&minted), "orders:write").await);
    assert!(house.allows(ask(&minted), "orders:read").await);
    set("orders:read orders:write").await;
    assert!(house.allows(ask(&minted), "orders:write").await, "and widened again");
}

pub(super) async fn a_policy_just_attached_acts_and_one_taken_away_too(house: House) {
    let minted = house.token().await;
    let attach = format!("INSERT INTO principal_policies (principal, policy) VALUES ('{ADMIN}', '{POLICY}')");
    let bump = |uid| format!("UPDATE principals SET version = version + 1, changed_at = NOW WHERE uid = '{uid}'");
    house.database.run_in_test(&[attach]).await;
    house.change(&bump(ADMIN), "subject", ADMIN).await;
    assert!(!house.allows(ask(&minted), "orders:write").await, "the deny of a level above");
    assert!(house.allows(ask(&minted), "orders:read").await, "a policy that Redis had not seen does not refuse everything");
    house
        .change(&format!("UPDATE policies SET deny = '', version = version + 1, changed_at = NOW WHERE id = '{POLICY}'"), "policy", POLICY)
        .await;
    assert!(house.allows(ask(&minted), "orders:write").await);
}

pub(super) async fn a_blocked_tenant_or_ancestor_refuses_everyone_below(house: House) {
    let minted = house.token().await;
    for (table, column, id) in [("tenants", "id", TENANT), ("principals", "uid", ADMIN), ("principals", "uid", CLIENT)] {
        for blocked in [1, 0] {
            let sql = format!("UPDATE {table} SET blocked = {blocked}, version = version + 1, changed_at = NOW WHERE {column} = '{id}'");
            house.change(&sql, "subject", id).await;
            for asked in [ask(&minted), Ask::Key(KEY), Ask::Session(SESSION)] {
                assert_eq!(house.check(asked).await.is_some(), blocked == 0, "{table} {asked:?}");
            }
        }
    }
}

pub(super) async fn a_rotated_secret_has_its_grace(house: House) {
    let minted = house.token().await;
    let until = house.now().after(Duration::from_secs(30)).0;
    let old = format!("UPDATE key_secrets SET until = {until} WHERE key_id = '{KEY}'");
    let new = format!("INSERT INTO key_secrets (hash, key_id, created_at) VALUES (x'{}', '{KEY}', {until})", "08".repeat(32));
    house.database.run_in_test(&[old, new]).await;
    house.change(&format!("UPDATE api_keys SET version = version + 1, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY).await;
    let with = |secret| MintOrder { secret: Some(secret), ..house.order() };
    assert_eq!(house.mint(with([8; 32])).await.unwrap().token, minted.token, "its tokens go on");
    assert_eq!(house.mint(with(SECRET)).await.unwrap().token, minted.token);
    assert!(house.check(Ask::Key(KEY)).await.is_some());
    house.advance(Duration::from_secs(30)).await;
    assert_eq!(house.mint(with(SECRET)).await.unwrap_err(), MintRefusal::NoSuchKey);
    assert!(house.check(Ask::Key(KEY)).await.is_none(), "a check refuses it too");
    assert!(house.mint(with([8; 32])).await.is_ok());
}

pub(super) async fn a_key_just_made_is_there(house: House) {
    let id = Id::from_bytes([0x31; 16]);
    let hash = "07".repeat(31) + "01";
    house
        .database
        .run_in_test(&[format!(
            "INSERT INTO api_keys (id, principal, name, scopes, created_at, changed_at) VALUES ('{id}', '{CLIENT}', 'n', 'orders:read', 1, {})",
            house.now().0
        )])
        .await;
    house.change(&format!("INSERT INTO key_secrets (hash, key_id, created_at) VALUES (x'{hash}', '{id}', 1)"), "key", id).await;
    let fill = house.fill(Ask::Key(id)).await.unwrap();
    assert_eq!(fill.chain.len(), 3);
    assert!(house.mint(MintOrder { key: id, secret: None, ..house.order() }).await.is_ok());
}

pub(super) async fn rows_left_by_another_process_are_applied(house: House) {
    let minted = house.token().await;
    let cli = house.data.open(house.clock.clone()).await;
    house.commit(&format!("UPDATE api_keys SET ended_at = NOW, version = 2, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY).await;
    let row = cli.last_row_in_test().await;
    for _ in 0..40 {
        if cli.is_done(row).await.unwrap() {
            return assert!(house.check(ask(&minted)).await.is_none());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not done in two seconds");
}

pub(super) async fn a_strict_end_waits_for_every_process(house: House) {
    let (minted, replica) = (house.token().await, house.replica().await);
    assert!(check(&replica, house.database.clock(), ask(&minted)).await.is_some());
    house.end_token(minted.token.id).await;
    house.store().strict().await.unwrap();
    assert!(check(&replica, house.database.clock(), ask(&minted)).await.is_none());
}

pub(super) async fn a_strict_end_waits_out_who_does_not_answer(house: House) {
    let token = house.token().await;
    // somebody else who may hold leases, for longer than we do, and says nothing
    house.database.list_replica("other", Duration::from_millis(1500), Duration::ZERO).await.unwrap();
    house.server().command(&["HSET", "{gp}:members", "other", "1.0 1500 0"]).await;
    house.end_token(token.token.id).await;
    let begun = std::time::Instant::now();
    house.store().strict().await.unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1650), "1.1 times its bound: {took:?}");
    // it says so
    house.end_key().await;
    let (epoch, seq) = (house.database.epoch().await.unwrap().unwrap(), house.server().command(&["GET", "{gp}:seq"]).await);
    let ::redis::Value::BulkString(seq) = seq else { panic!("{seq:?}") };
    house.server().command(&["HSET", "{gp}:ack", "other", &format!("{epoch} {}", String::from_utf8(seq).unwrap())]).await;
    let begun = std::time::Instant::now();
    house.store().strict().await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(500), "{took:?}");
}
