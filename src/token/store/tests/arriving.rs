//! Live tokens that came with a copy of another database: a Redis that never saw them is given them, once, and none that has ended.

use std::time::Instant;

use super::house::{House, SECOND, TTL, ask, check, patiently};
use crate::id::Id;
use crate::token::store::Minted;

/// As after an import: the rows are there, and Redis knows nothing.
async fn copied(house: &House, tokens: &[Id]) {
    let arrivals: Vec<String> = tokens.iter().map(|id| format!("INSERT INTO arrivals (token) VALUES ('{id}')")).collect();
    house.database.run_in_test(&arrivals).await;
}

async fn until_arrived(house: &House) {
    let begun = Instant::now();
    while house.database.arrivals().await.unwrap() > 0 {
        assert!(begun.elapsed() < 10 * SECOND, "never");
        tokio::time::sleep(SECOND / 50).await;
    }
}

async fn idle_end(house: &House, minted: &Minted) -> crate::clock::UnixMs {
    let tokens = [minted.token.id];
    patiently(|| house.store().idle_ends(&tokens)).await[0].unwrap()
}

pub(super) async fn a_new_redis_is_given_what_is_live(house: House) {
    let (live, ended) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    let run_out = house.mint(house.order_of("users:read")).await.unwrap();
    house.end_token(ended.token.id).await;
    let past = format!("UPDATE tokens SET idle_end = {} WHERE id = '{}'", house.now().0, run_out.token.id);
    house.database.run_in_test(&[past]).await;
    house.server().command(&["FLUSHALL"]).await;
    assert!(house.check(ask(&live)).await.is_none());
    let other = house.replica().await;
    assert!(check(&other, &house.clock, ask(&live)).await.is_none());
    let gone = Id::from_bytes([0x77; 16]);
    copied(&house, &[live.token.id, ended.token.id, run_out.token.id, gone]).await;
    let third = house.replica().await;
    until_arrived(&house).await;
    // who has noted that it is not there hears of it
    tokio::time::sleep(SECOND / 4).await;
    for store in [house.store(), &other, &third] {
        assert!(check(store, &house.clock, ask(&live)).await.is_some());
        assert!(check(store, &house.clock, ask(&ended)).await.is_none(), "what has ended stays ended");
        assert!(check(store, &house.clock, ask(&run_out)).await.is_none());
    }
    let end = idle_end(&house, &live).await;
    assert!(end.since(live.idle_end).max(live.idle_end.since(end)) < TTL / 4, "{end:?} for {:?}", live.idle_end);
    assert_eq!(house.token().await.token.id, live.token.id, "asking again gives it, not another");
    house.end_token(live.token.id).await;
    assert!(check(&other, &house.clock, ask(&live)).await.is_none());
}

pub(super) async fn what_is_there_already_stays_as_it_is(house: House) {
    let minted = house.token().await;
    let before = idle_end(&house, &minted).await;
    let earlier = format!("UPDATE tokens SET idle_end = {} WHERE id = '{}'", house.now().after(TTL / 4).0, minted.token.id);
    house.database.run_in_test(&[earlier]).await;
    copied(&house, &[minted.token.id]).await;
    let _other = house.replica().await;
    until_arrived(&house).await;
    let after = idle_end(&house, &minted).await;
    assert!(after.since(before).max(before.since(after)) < TTL / 4, "{after:?} for {before:?}");
}

pub(super) async fn a_redis_that_is_away_is_given_them_on_its_return(mut house: House) {
    let minted = house.token().await;
    house.server_mut().kill();
    copied(&house, &[minted.token.id]).await;
    let other = house.replica().await;
    assert_eq!(house.database.arrivals().await.unwrap(), 1);
    // empty: nothing of it was on the disk
    house.server_mut().run().await;
    until_arrived(&house).await;
    assert!(check(&other, &house.clock, ask(&minted)).await.is_some());
}
