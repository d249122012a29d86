//! Redis loses data, in every way it can: nothing that was ended comes back.

use std::time::{Duration, Instant};

use super::Engine;
use super::house::{House, KEY, SECOND, SESSION, ask, check, fill, start_redis, until_answered};
use super::server::{Server, free_port};
use crate::token::store::{Ask, MintRefusal, Propagated, Unavailable};

async fn end_session(house: &House) {
    let sql = format!("UPDATE sessions SET ended_at = NOW, version = version + 1, changed_at = NOW WHERE id = '{SESSION}'");
    house.change(&sql, "session", SESSION).await;
}

pub(super) async fn flushall_forgets_tokens_but_not_keys(house: House) {
    let minted = house.token().await;
    end_session(&house).await;
    house.server().command(&["FLUSHALL"]).await;
    assert!(house.check(ask(&minted)).await.is_none(), "refused, not guessed");
    assert!(house.check(Ask::Key(KEY)).await.is_some(), "brought from the database");
    assert!(house.check(Ask::Session(SESSION)).await.is_none(), "ended stays ended");
    let again = house.token().await;
    assert!(house.check(ask(&again)).await.is_some());
    house.end_key().await;
    house.server().command(&["FLUSHALL"]).await;
    assert!(house.check(Ask::Key(KEY)).await.is_none());
    assert!(house.check(ask(&again)).await.is_none());
}

pub(super) async fn an_older_snapshot_brings_nothing_back(mut house: House) {
    let (ended, kept) = (house.token().await, house.mint(house.order_of("orders:read orders:write")).await.unwrap());
    assert!(house.check(Ask::Session(SESSION)).await.is_some());
    let before = house.database.epoch().await.unwrap();
    house.server().command(&["SAVE"]).await;
    house.end_token(ended.token.id).await;
    end_session(&house).await;
    house
        .change(&format!("UPDATE api_keys SET scopes = 'orders:read', version = 5, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY)
        .await;
    house.server_mut().kill();
    house.server_mut().run().await;
    assert!(house.server().dump().exists());
    assert!(house.check(ask(&ended)).await.is_none());
    assert!(house.check(Ask::Session(SESSION)).await.is_none());
    assert!(house.allows(ask(&kept), "orders:read").await, "what was live and in the snapshot goes on");
    assert!(!house.allows(ask(&kept), "orders:write").await);
    assert_ne!(house.database.epoch().await.unwrap(), before, "a new epoch");
}

pub(super) async fn two_replicas_recover_and_both_serve(mut house: House) {
    let other = house.replica().await;
    let (minted, ended) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    assert!(check(&other, &house.clock, ask(&minted)).await.is_some());
    house.server().command(&["SAVE"]).await;
    house.end_token(ended.token.id).await;
    assert!(check(&other, &house.clock, ask(&ended)).await.is_none(), "an end by one acts on the other");
    for _ in 0..3 {
        house.server_mut().kill();
        house.server_mut().run().await;
        for store in [house.store(), &other] {
            until_answered(store, ask(&minted)).await;
            assert!(check(store, &house.clock, ask(&minted)).await.is_some());
            assert!(check(store, &house.clock, ask(&ended)).await.is_none());
        }
        let founded = house.server().text(&["HGET", "{gp}:epoch", "nonce"]).await;
        assert_eq!(house.database.epoch().await.unwrap(), Some(founded), "one epoch, and the database knows it");
    }
    house.end_key().await;
    assert!(check(&other, &house.clock, ask(&minted)).await.is_none());
}

pub(super) async fn ends_committed_while_it_is_away_are_applied_on_its_return(mut house: House) {
    let minted = house.token().await;
    house.server().command(&["SAVE"]).await;
    house.server_mut().kill();
    house.commit(&format!("UPDATE api_keys SET ended_at = NOW, version = 2, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY).await;
    let row = house.database.last_row_in_test().await;
    assert_eq!(house.store().apply(row).await, Propagated::Later);
    house.server_mut().run().await;
    assert!(house.check(ask(&minted)).await.is_none(), "replayed before anything is answered");
    let begun = Instant::now();
    while !house.database.is_done(row).await.unwrap() {
        assert!(begun.elapsed() < 3 * SECOND, "the relay does it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(house.store().apply(row).await, Propagated::Yes);
}

pub(super) async fn an_epoch_that_the_database_lost_is_replaced(house: House) {
    let minted = house.token().await;
    // as after a restore of the database from a backup
    house.database.run_in_test(&["UPDATE installation SET epoch = 'another'".to_owned()]).await;
    house.commit(&format!("UPDATE tokens SET ended_at = NOW WHERE id = '{}'", minted.token.id), "token", minted.token.id).await;
    let row = house.database.last_row_in_test().await;
    let begun = Instant::now();
    while house.store().apply(row).await == Propagated::Later {
        assert!(begun.elapsed() < 5 * SECOND, "never done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(house.check(ask(&minted)).await.is_none());
    let founded = house.server().text(&["HGET", "{gp}:epoch", "nonce"]).await;
    assert_eq!(house.database.epoch().await.unwrap(), Some(founded));
}

/// As where another Redis's process took the database: what ends there is not heard of here.
pub(super) async fn without_the_databases_epoch_nothing_is_allowed(house: House) {
    let minted = house.token().await;
    assert!(house.check(ask(&minted)).await.is_some() && house.store().is_ready());
    let before = house.database.epoch().await.unwrap();
    house.database.run_in_test(&["UPDATE installation SET epoch = 'another'".to_owned()]).await;
    let begun = Instant::now();
    while house.store().is_ready() {
        assert!(begun.elapsed() < SECOND, "it goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let there = house.server().text(&["HGET", "{gp}:epoch", "nonce"]).await;
    assert_eq!(Some(there), before, "at the first difference, not when it founds another");
    // nobody founds it: it founds one
    until_answered(house.store(), ask(&minted)).await;
    while !house.store().is_ready() || house.database.epoch().await.unwrap().as_deref() == Some("another") {
        assert!(begun.elapsed() < 5 * SECOND, "never again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let founded = house.server().text(&["HGET", "{gp}:epoch", "nonce"]).await;
    assert_eq!(house.database.epoch().await.unwrap(), Some(founded));
    assert!(house.check(ask(&minted)).await.is_some());
}

pub(super) async fn a_promoted_replica_is_not_whole(house: House) {
    let (ended, kept) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    let port = house.server().port.to_string();
    let replica =
        Server::start_with(house.engine, free_port(), &["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]).await;
    let begun = Instant::now();
    while !replica.text(&["INFO", "replication"]).await.contains("master_link_status:up") {
        assert!(begun.elapsed() < 10 * SECOND, "does not replicate");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // as long as it is a replica it answers nothing
    let store = start_redis(&replica.url(), &house.database, house.settings).await.unwrap();
    assert_eq!(store.look_up(ask(&kept)).await, Err(Unavailable));
    // nobody is there: what it has is a copy from now on
    replica.command(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]).await;
    house.end_token(ended.token.id).await;
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    until_answered(&store, ask(&kept)).await;
    assert!(fill(&store, ask(&ended)).await.is_none(), "its copy was older than the end");
    assert!(fill(&store, ask(&kept)).await.is_some());
}

pub(super) async fn a_mint_that_read_before_an_end_aborts(house: House) {
    house.token().await;
    let key = format!("{{gp}}:k:{KEY}");
    // an end that the mint's reading of the database did not see yet
    house.server().command(&["HSET", &key, "v", "99", "e", "1"]).await;
    let begun = Instant::now();
    assert_eq!(house.store().mint(house.order_of("orders:read")).await.unwrap_err(), MintRefusal::Unavailable);
    assert!(begun.elapsed() < SECOND);
    assert_eq!(house.server().text(&["HGET", &key, "v"]).await, "99", "and overwrites nothing");
    let tokens: Vec<String> = ::redis::FromRedisValue::from_redis_value(house.server().command(&["KEYS", "{gp}:t:*"]).await).unwrap();
    assert_eq!(tokens.len(), 1);
}

pub(super) async fn an_epoch_founded_under_another_process_serves_nothing(house: House) {
    let minted = house.token().await;
    for field in ["replid", "run_id"] {
        // the epoch as a copy would show it; the recovery lock keeps anybody from founding the next
        let taken = ["SET", "{gp}:recovery", "somebody", "PX", "60000"];
        house.server().command(&taken).await;
        let before = house.server().text(&["HGET", "{gp}:epoch", field]).await;
        house.server().command(&["HSET", "{gp}:epoch", field, "x"]).await;
        // the fill knows by itself, unless only run_id differs, which it need not ask: no restart leaves the other as it was
        if field != "run_id" {
            assert_eq!(house.store().look_up(ask(&minted)).await, Err(Unavailable), "{field}");
        }
        assert_eq!(house.store().mint(house.order()).await.unwrap_err(), MintRefusal::Unavailable, "{field}");
        house.commit("UPDATE installation SET one = 1", "key", KEY).await;
        assert_eq!(house.store().apply(house.database.last_row_in_test().await).await, Propagated::Later, "{field}");
        house.server().command(&["HSET", "{gp}:epoch", field, &before]).await;
        house.server().command(&["DEL", "{gp}:recovery"]).await;
        assert!(house.check(ask(&minted)).await.is_some());
    }
}

/// Anything in any order, by two replicas: whatever was ended and applied is never found live again.
pub(super) async fn whatever_happens_nothing_ended_comes_back(mut house: House) {
    let stores = [house.store().clone(), house.replica().await];
    let seed = u64::from_le_bytes(crate::id::random_bytes().unwrap());
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut roll = |sides: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % sides
    };
    let (mut live, mut ended, mut n) = (Vec::new(), Vec::new(), 0);
    for _ in 0..120 {
        let store = &stores[usize::try_from(roll(2)).unwrap()];
        match roll(12) {
            0..=4 => {
                n += 1;
                let scope = ["orders:read", "orders:write", "users:read", "orders:read users:read"][n % 4];
                // mostly patiently, sometimes right into a recovery
                let (patience, begun) = (if n % 4 == 0 { Duration::ZERO } else { 5 * SECOND }, Instant::now());
                let minted = loop {
                    match store.mint(house.order_of(scope)).await {
                        Ok(minted) => break Some(minted),
                        Err(refused) => assert_eq!(refused, MintRefusal::Unavailable),
                    }
                    if begun.elapsed() >= patience {
                        break None;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                };
                if let Some(minted) = minted {
                    assert!(!ended.contains(&minted.token.id), "an ended token was handed out");
                    live.push(minted);
                }
            }
            5..=7 if !live.is_empty() => {
                let minted = live.swap_remove(usize::try_from(roll(live.len() as u64)).unwrap());
                let id = minted.token.id;
                live.retain(|other| other.token.id != id);
                house.commit(&format!("UPDATE tokens SET ended_at = NOW WHERE id = '{id}'"), "token", id).await;
                let row = house.database.last_row_in_test().await;
                let begun = Instant::now();
                while store.apply(row).await == Propagated::Later {
                    assert!(begun.elapsed() < 10 * SECOND, "never applied");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                ended.push(id);
            }
            8 => drop(house.server().command(&["SAVE"]).await),
            9 => {
                house.server_mut().kill();
                house.server_mut().run().await;
            }
            10 => drop(house.server().command(&["FLUSHALL"]).await),
            _ => drop(house.server().try_command(&["CLIENT", "KILL", "TYPE", "normal"]).await),
        }
        for id in &ended {
            for store in &stores {
                let found = store.look_up(Ask::Token { id: *id, key: KEY }).await;
                assert!(!matches!(found, Ok(Some(_))), "{id} is back");
            }
        }
    }
    assert!(ended.len() > 3, "something was ended");
    assert_eq!(house.token().await.token.key, KEY);
}

#[tokio::test]
async fn an_end_of_another_process_mid_recovery_is_not_lost() {
    // the founder has written its epoch into the database: an end that ran in the old one may not be marked done
    let house = House::new(Engine::Redis).await;
    let minted = house.token().await;
    let old = house.database.epoch().await.unwrap();
    assert!(house.database.swap_epoch(old.as_deref(), "founder").await.unwrap());
    house.commit(&format!("UPDATE tokens SET ended_at = NOW WHERE id = '{}'", minted.token.id), "token", minted.token.id).await;
    let row = house.database.last_row_in_test().await;
    house.store().apply(row).await;
    let epoch = house.database.epoch().await.unwrap();
    assert!(epoch.as_deref() != old.as_deref());
    let begun = Instant::now();
    while !house.database.is_done(row).await.unwrap() {
        assert!(begun.elapsed() < 5 * SECOND, "never done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(house.check(ask(&minted)).await.is_none());
}
