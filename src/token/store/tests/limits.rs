//! What limits need of the store: rates of which each process leases a part, and how many processes there are.

use std::time::Duration;

use super::house::{House, KEY, until_answered};
use crate::decision::limit::Rate;
use crate::token::store::{Ask, TokenStore, Unavailable};

const HOUR_MS: u64 = 3_600_000;

pub(super) async fn a_rate_is_leased_looked_at_and_given_back(house: House) {
    until_answered(house.store(), Ask::Key(KEY)).await;
    let other = house.replica().await;
    until_answered(&other, Ask::Key(KEY)).await;
    // what a busy machine did not answer may have been given: then another bucket
    for bucket in 0..5 {
        if are_leased(&format!("bucket{bucket}"), house.store(), &other).await.is_ok() {
            return;
        }
    }
    panic!("unavailable each time");
}

async fn are_leased(bucket: &str, one: &TokenStore, other: &TokenStore) -> Result<(), Unavailable> {
    let rate = Rate { count: 1, per_ms: HOUR_MS, burst: 64 };
    for (by, wanted, units) in
        [(other, 0, 64), (one, 40, 40), (other, 0, 24), (other, -20, 0), (one, 0, 44), (other, 100, 44), (one, 0, 0), (one, 1, 0)]
    {
        let (leased, next_ms) = by.lease(bucket, rate, wanted).await?.unwrap();
        assert_eq!(leased, units, "{wanted} wanted");
        let is_empty = wanted >= 0 && leased == 0 || wanted == 100;
        assert!(!is_empty || (HOUR_MS - 60_000..=HOUR_MS).contains(&next_ms), "{next_ms}");
    }
    Ok(())
}

pub(super) async fn each_process_knows_how_many_there_are(house: House) {
    let other = house.replica().await;
    for _ in 0..200 {
        if (house.store().replicas(), other.replicas()) == (2, 2) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} and {}", house.store().replicas(), other.replicas());
}
