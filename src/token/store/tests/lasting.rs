//! How long tokens last: idle ends, restarts, clocks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Engine;
use super::house::{House, KEY, SECOND, SOON, TTL, ask, fill, patiently};
use crate::clock::Clock;
use crate::id::Id;
use crate::token::embedded::Embedded;
use crate::token::store::{Ask, MintRefusal, Propagated, Settings, Unavailable};

pub(super) async fn a_slide_is_written_once_a_step(mut house: House) {
    // a step is one second
    house.restart(house.clock.clone(), Settings { ttl: Duration::from_secs(10), ..house.settings }).await;
    let minted = house.token().await;
    let before = writes(&house, minted.token.id).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let tenth = Duration::from_millis(100);
        house.clock.advance(tenth);
        if house.engine != Engine::Embedded {
            tokio::time::sleep(tenth).await;
        }
        let (token, seen) = house.fill(ask(&minted)).await.unwrap().token.unwrap();
        house.store().slide(token.id, token.cap, seen);
        house.store().flush().await;
    }
    let written = writes(&house, minted.token.id).await - before;
    match house.engine {
        Engine::Embedded => assert_eq!(written, 2000, "two steps on"),
        _ => assert!((1..=begun.elapsed().as_secs() + 1).contains(&written), "{written} writes in {:?}", begun.elapsed()),
    }
    let (_, end) = house.fill(ask(&minted)).await.unwrap().token.unwrap();
    assert!(end >= house.now().after(Duration::from_secs(10)));
}

pub(super) async fn a_slide_is_written_once_a_step_by_however_many(mut house: House) {
    // a step is one second
    house.restart(house.clock.clone(), Settings { ttl: Duration::from_secs(10), ..house.settings }).await;
    let (minted, other) = (house.token().await, house.replica().await);
    let (name, mut ends) = (format!("{{gp}}:t:{}", minted.token.id), BTreeSet::new());
    let begun = Instant::now();
    while begun.elapsed() < 2 * SECOND + SECOND / 2 || ends.len() < 3 {
        assert!(begun.elapsed() < 10 * SECOND, "{ends:?}");
        house.clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(100)).await;
        for store in [house.store(), &other] {
            let (token, seen) = fill(store, ask(&minted)).await.unwrap().token.unwrap();
            store.slide(token.id, token.cap, seen);
            store.flush().await;
            // each write that does anything moves it on
            ends.insert(format!("{:?}", house.server().command(&["PEXPIRETIME", &name]).await));
        }
    }
    let steps = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!(ends.len() <= steps + 1, "{ends:?} in {steps} steps");
}

/// Redis: how many PEXPIREATs ran. Embedded: the idle end in the database.
async fn writes(house: &House, id: Id) -> u64 {
    match &house.server {
        Some(server) => server.calls("pexpireat").await,
        None => {
            let live = house.database.live_tokens(house.now()).await.unwrap();
            live.iter().find(|live| live.token.id == id).unwrap().idle_end.0
        }
    }
}

pub(super) async fn a_slide_never_resurrects(house: House) {
    let minted = house.token().await;
    let (token, seen) = house.fill(ask(&minted)).await.unwrap().token.unwrap();
    house.advance(TTL / 2).await;
    house.end_token(minted.token.id).await;
    house.store().slide(token.id, token.cap, seen);
    house.store().flush().await;
    assert!(house.check(ask(&minted)).await.is_none());
    assert!(house.database.live_tokens(house.now()).await.unwrap().is_empty());
}

pub(super) async fn an_unused_token_runs_out_and_a_used_one_does_not(mut house: House) {
    let ttl = Duration::from_secs(2);
    house.restart(house.clock.clone(), Settings { ttl, ..house.settings }).await;
    let (unused, used) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    // Redis ends tokens by its own clock; a step is a second, so at most two seconds more
    for _ in 0..9 {
        let half = Duration::from_millis(500);
        if house.engine == Engine::Embedded {
            house.clock.advance(half);
        } else {
            tokio::time::sleep(half).await;
            house.clock.advance(half);
        }
        let (token, seen) = house.fill(ask(&used)).await.expect("used: it goes on").token.unwrap();
        house.store().slide(token.id, token.cap, seen);
        house.store().flush().await;
    }
    assert!(house.check(ask(&unused)).await.is_none());
    assert!(house.check(ask(&used)).await.is_some());
    assert_ne!(house.token().await.token.id, unused.token.id);
}

pub(super) async fn idle_ends_of_many(house: House) {
    let minted = house.token().await;
    let tokens = [Id::from_bytes([9; 16]), minted.token.id];
    let ends = patiently(|| house.store().idle_ends(&tokens)).await;
    let [None, Some(end)] = ends[..] else { panic!("{ends:?}") };
    // where Redis tells the time, what a busy machine takes changes what we take it for
    assert!(end.since(minted.idle_end).max(minted.idle_end.since(end)) < TTL / 4, "{end:?} for {:?}", minted.idle_end);
    assert_eq!(patiently(|| house.store().idle_ends(&[])).await, []);
}

pub(super) async fn a_restart_loses_nothing(mut house: House) {
    let (kept, ended) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    house.end_token(ended.token.id).await;
    house.restart(house.clock.clone(), house.settings).await;
    assert!(house.check(ask(&kept)).await.is_some());
    assert!(house.check(ask(&ended)).await.is_none());
    assert_eq!(house.token().await.token, kept.token);
    house.end_key().await;
    house.restart(house.clock.clone(), house.settings).await;
    assert!(house.check(ask(&kept)).await.is_none());
    assert!(house.check(Ask::Key(KEY)).await.is_none());
}

pub(super) async fn without_the_database_nothing_is_guessed(house: House) {
    let minted = house.token().await;
    house.database.close_in_test().await;
    assert!(house.check(ask(&minted)).await.is_some(), "presence is asked of the store alone");
    assert_eq!(house.store().mint(house.order()).await.unwrap_err(), MintRefusal::Unavailable);
    assert_eq!(house.store().apply(i64::MAX).await, Propagated::Later);
    house.advance(TTL / 4).await;
    let found = house.store().look_up(ask(&minted)).await;
    match house.engine {
        Engine::Embedded => assert_eq!(found, Err(Unavailable), "beyond the time mark nobody may judge"),
        _ => assert!(found.unwrap().is_some()),
    }
    if let Some(server) = &house.server {
        server.command(&["DEL", &format!("{{gp}}:k:{KEY}")]).await;
        assert_eq!(house.store().look_up(Ask::Key(KEY)).await, Err(Unavailable), "never `not found`");
    }
}

#[tokio::test]
async fn embedded_a_clock_set_back_revives_nothing() {
    let mut house = House::new(Engine::Embedded).await;
    let minted = house.token().await;
    house.clock.advance(2 * TTL);
    assert!(house.check(ask(&minted)).await.is_none(), "it ran out, and somebody saw it");
    let set_back = Clock::manual(minted.token.issued);
    house.restart(set_back, house.settings).await;
    assert!(house.now() > minted.token.issued.after(TTL));
    assert!(house.check(ask(&minted)).await.is_none());
}

/// A database that another program holds locked costs no check more than its moment, and everybody gets an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_a_locked_database_keeps_nobody_waiting() {
    let house = House::new(Engine::Embedded).await;
    let minted = house.token().await;
    let act = house.database.act().await.unwrap();
    house.clock.advance(Duration::from_secs(30));
    let asked = Instant::now();
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, ask) = (house.store().clone(), ask(&minted));
        checks.spawn(async move { store.look_up(ask).await });
    }
    for found in checks.join_all().await {
        assert_eq!(found, Err(Unavailable));
    }
    // far from the seconds that the database waits for its lock
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert!(!house.store().is_ready());
    drop(act);
    let begun = Instant::now();
    while house.store().look_up(ask(&minted)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(8), "it does not recover");
    }
    assert!(house.store().is_ready());
}

#[tokio::test]
async fn embedded_a_second_process_is_refused() {
    let house = House::new(Engine::Embedded).await;
    let error = Embedded::start(house.database.clone(), house.settings).await.err().unwrap();
    assert!(error.to_string().contains("another gatepost serves"), "{error}");
}

/// Somebody asks for a token again just before it runs out, somebody else uses it just after, before the database has answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_a_token_that_is_given_again_is_looked_up_again() {
    let house = House::new(Engine::Embedded).await;
    let minted = house.token().await;
    house.clock.advance(Duration::from_millis(minted.idle_end.0 - house.now().0 - 1000));
    assert!(house.store().look_up(ask(&minted)).await.unwrap().is_some());
    let act = house.database.act().await.unwrap();
    let (store, order) = (house.store().clone(), house.order());
    let again = tokio::spawn(async move { store.mint(order).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    house.clock.advance(Duration::from_secs(2));
    let stamps = house.fence().stamps(ask(&minted));
    assert_eq!(house.store().look_up(ask(&minted)).await, Ok(None), "it ran out, and that is kept");
    drop(act);
    assert_eq!(again.await.unwrap().unwrap().token.id, minted.token.id);
    assert!(house.store().look_up(ask(&minted)).await.unwrap().is_some());
    assert_ne!(house.fence().stamps(ask(&minted)), stamps, "what was kept counts no more");
}
