//! Redis is away, stalled, busy or out of memory: refused in time, never `not found`, and soon back.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinHandle;

use super::house::{House, KEY, SECOND, SOON, ask, check, fill, start_redis, until_answered};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::record::Fill;
use crate::token::store::{Ask, MintRefusal, TokenStore, Unavailable};

/// Asks so often: `Unavailable`, never `not found`, and in time.
async fn refused_in_time(store: &TokenStore, ask: Ask, times: usize) {
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        assert_eq!(store.look_up(ask).await, Err(Unavailable), "never `not found`");
        took.push(begun.elapsed());
    }
    is_in_time(took);
}

/// What a check came to, and how long it took.
type Timed = (Result<Option<Fill>, Unavailable>, Duration);

/// The same of checks that are under way.
async fn refused(checks: Vec<JoinHandle<Timed>>) {
    let mut took = Vec::new();
    for check in checks {
        let (answer, so_long) = check.await.unwrap();
        assert_eq!(answer, Err(Unavailable));
        took.push(so_long);
    }
    is_in_time(took);
}

/// A busy machine holds up some of them.
fn is_in_time(mut took: Vec<Duration>) {
    took.sort();
    assert!(took[(took.len() - 1) / 2] < Duration::from_millis(250), "{took:?}");
    assert!(took[took.len() - 1] < SOON, "{took:?}");
}

pub(super) async fn killed_and_restarted_it_serves_within_a_second(mut house: House) {
    let minted = house.token().await;
    house.server().command(&["SAVE"]).await;
    house.server_mut().kill();
    tokio::time::sleep(Duration::from_millis(50)).await;
    refused_in_time(house.store(), ask(&minted), 5).await;
    tokio::time::sleep(house.settings.staleness_bound).await;
    assert!(!house.store().is_ready(), "the lease is over");
    assert_eq!(house.store().mint(house.order()).await.unwrap_err(), MintRefusal::Unavailable);
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.server_mut().run().await;
    let back = until_answered(house.store(), ask(&minted)).await;
    assert!(back < SOON, "{back:?}");
    assert!(house.check(ask(&minted)).await.is_some());
    assert!(house.store().is_ready());
}

pub(super) async fn stopped_it_is_unavailable_in_time_and_back_within_a_second(house: House) {
    let minted = house.token().await;
    house.server().signal(Signal::STOP);
    let sockets = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let checks = (0..100).map(|_| {
        let (store, asked) = (house.store().clone(), ask(&minted));
        tokio::spawn(async move {
            let begun = Instant::now();
            (store.look_up(asked).await, begun.elapsed())
        })
    });
    refused(checks.collect()).await;
    let before = sockets();
    let begun = Instant::now();
    let mut asked = 0;
    while begun.elapsed() < 2 * SECOND {
        assert_eq!(house.store().look_up(ask(&minted)).await, Err(Unavailable));
        asked += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // each would take a tenth of a second were the breaker not open
    assert!(asked > 30 && sockets() < before + 50, "no heap of half-open connections");
    house.server().signal(Signal::CONT);
    let back = until_answered(house.store(), ask(&minted)).await;
    assert!(back < SOON, "{back:?}");
    assert!(house.check(ask(&minted)).await.is_some());
}

pub(super) async fn out_of_memory_checks_and_ends_go_on(house: House) {
    let (minted, ended) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    house.server().command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(house.check(ask(&minted)).await.is_some());
    house.end_token(ended.token.id).await;
    assert!(house.check(ask(&ended)).await.is_none(), "an end needs no room");
    assert_eq!(house.store().mint(house.order_of("users:read")).await.unwrap_err(), MintRefusal::Unavailable);
    house.server().command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(house.mint(house.order_of("users:read")).await.is_ok());
}

pub(super) async fn a_wrong_type_at_a_key_is_unavailable_not_absent(house: House) {
    let (broken, fine) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    let name = format!("{{gp}}:t:{}", broken.token.id);
    house.server().command(&["SET", &name, "x"]).await;
    assert_eq!(house.store().look_up(ask(&broken)).await, Err(Unavailable));
    assert!(house.check(ask(&fine)).await.is_some(), "one broken key does not take the others down");
    assert!(house.store().is_ready());
    house.server().command(&["DEL", &name]).await;
    house.server().command(&["HSET", &name, "c", "no json", "k", &KEY.to_string()]).await;
    assert_eq!(house.store().look_up(ask(&broken)).await, Err(Unavailable));
}

pub(super) async fn scripts_flushed_and_clients_killed(house: House) {
    let minted = house.token().await;
    house.server().command(&["SCRIPT", "FLUSH"]).await;
    assert!(house.check(ask(&minted)).await.is_some());
    assert_eq!(house.token().await.token, minted.token);
    house.server().try_command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await.unwrap();
    let back = until_answered(house.store(), ask(&minted)).await;
    assert!(back < SOON, "{back:?}");
}

pub(super) async fn busy_it_is_unavailable_and_back_within_a_second(house: House) {
    let minted = house.token().await;
    house.server().command(&["CONFIG", "SET", "busy-reply-threshold", "20"]).await;
    let url = house.server().url();
    // a script that never ends, whose client does not wait for it
    let busy = tokio::spawn(async move {
        let mut connection = ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        let mut endless = ::redis::cmd("EVAL");
        endless.arg("while true do end").arg(0);
        drop(endless.query_async::<()>(&mut connection).await);
    });
    while house.server().try_command(&["PING"]).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    refused_in_time(house.store(), ask(&minted), 10).await;
    house.server().command(&["SCRIPT", "KILL"]).await;
    let back = until_answered(house.store(), ask(&minted)).await;
    assert!(back < SOON, "{back:?}");
    busy.await.unwrap();
}

pub(super) async fn a_half_open_connection_is_replaced_within_a_second(house: House) {
    // a way to Redis on which what was open goes silent, without an end, while anew it is open
    let way = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, redis) = (way.local_addr().unwrap().port(), house.server().port);
    let (silence, silent) = tokio::sync::watch::channel(());
    let relay = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut near, _)) = way.accept().await {
            let mut silent = silent.clone();
            silent.mark_unchanged();
            kept.push(tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(("127.0.0.1", redis)).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = silent.changed() => tokio::time::sleep(Duration::from_secs(60)).await,
                }
            }));
        }
    });
    let store = start_redis(&format!("redis://127.0.0.1:{port}/"), &house.database, house.settings).await.unwrap();
    let minted = house.token().await;
    assert!(fill(&store, ask(&minted)).await.is_some());
    silence.send(()).unwrap();
    refused_in_time(&store, ask(&minted), 1).await;
    let back = until_answered(&store, ask(&minted)).await;
    assert!(back < SOON, "{back:?}");
    relay.abort();
}

pub(super) async fn more_than_it_takes_are_refused_at_once(house: House) {
    let minted = house.token().await;
    house.server().signal(Signal::STOP);
    let checks: Vec<_> = (0..3000)
        .map(|_| {
            let (store, asked) = (house.store().clone(), ask(&minted));
            tokio::spawn(async move {
                let begun = Instant::now();
                (store.look_up(asked).await, begun.elapsed())
            })
        })
        .collect();
    refused(checks).await;
    house.server().signal(Signal::CONT);
    assert!(until_answered(house.store(), ask(&minted)).await < SOON);
}

pub(super) async fn idle_ends_that_could_not_be_written_wait(house: House) {
    let minted = house.token().await;
    let slide = |from: u128| {
        for n in from..from + 2000 {
            house.store().slide(Id::from_bytes(n.to_le_bytes()), minted.token.cap, UnixMs(0));
        }
    };
    let before = house.server().calls("pexpireat").await;
    slide(0);
    house.server().signal(Signal::STOP);
    // given up while the first portion is on its way
    let store = house.store().clone();
    let flush = tokio::spawn(async move { store.flush().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    flush.abort();
    assert!(flush.await.is_err(), "it hung");
    house.server().signal(Signal::CONT);
    until_answered(house.store(), ask(&minted)).await;
    house.store().flush().await;
    assert!(house.server().calls("pexpireat").await >= before + 2000);

    house.server().signal(Signal::STOP);
    slide(2000);
    let begun = Instant::now();
    house.store().flush().await;
    assert!(begun.elapsed() < SOON, "the first portion that fails is the last, {:?}", begun.elapsed());
    house.server().signal(Signal::CONT);
    until_answered(house.store(), ask(&minted)).await;
    house.store().flush().await;
    assert!(house.server().calls("pexpireat").await >= before + 4000);
}

pub(super) async fn an_entry_of_the_log_that_nobody_can_read_is_not_asked_for_without_a_pause(house: House) {
    let connections = async || {
        let stats = house.server().text(&["INFO", "stats"]).await;
        stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")?.parse::<u64>().ok()).unwrap()
    };
    house.server().command(&["XADD", "{gp}:log", "*", "kind", "k"]).await;
    let (before, begun) = (connections().await, Instant::now());
    tokio::time::sleep(SECOND).await;
    let made = connections().await - before;
    let seconds = begun.elapsed().as_secs_f64();
    assert!(made >= 2 && made as f64 / seconds < 20.0, "{made} connections in {seconds} seconds");
    // whatever comes behind it is heard of
    let other = house.replica().await;
    house.end_key().await;
    tokio::time::sleep(2 * house.settings.staleness_bound).await;
    assert!(check(&other, &house.clock, Ask::Key(KEY)).await.is_none());
    assert!(house.store().is_ready());
}
