use std::time::Duration;

use super::*;
use crate::database::Database;
use crate::decision::limit::Limit;
use crate::token::embedded::Embedded;
use crate::token::store::{Settings, TokenStore};

/// Processes that share one database; each counts rates by itself, as the embedded store does.
struct House {
    clock: Clock,
    database: Database,
    tokens: TokenStore,
    _data: tempfile::TempDir,
}

const BEGAN: UnixMs = UnixMs(1_900_022_400_000); // 2030-03-18T00:00Z

impl House {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock = Clock::manual(BEGAN);
        let database = Database::open_sqlite(&data.path().join("gatepost.db"), clock.clone()).await.unwrap();
        let ttl = Duration::from_secs(3600);
        let settings = Settings { ttl, max_lifetime: 12 * ttl, staleness_bound: Duration::from_secs(1) };
        let tokens = TokenStore::embedded(Embedded::start(database.clone(), settings).await.unwrap()).unwrap();
        Self { clock, database, tokens, _data: data }
    }

    fn meters(&self) -> Meters {
        let known = HashMap::with_hasher(foldhash::fast::RandomState::default());
        Meters { known, source: Source::new(self.tokens.clone(), self.database.clone()), clock: self.clock.clone() }
    }
}

fn charges(limit: (&str, Option<u64>, &str), who: u8) -> Vec<Charge> {
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    let (rate, burst, quota) = limit;
    let limit = Limit::parse(some(Box::leak(rate.to_owned().into())), burst, some(Box::leak(quota.to_owned().into())), None).unwrap();
    let of = Id::from_bytes([9; 16]);
    limit.said_by(of).map(|limited| Charge::new(Id::from_bytes([who; 16]), of, limited.allowance)).collect()
}

/// One check, asking for more where that may be had.
async fn check(meters: &Meters, charges: &[Charge]) -> Charged {
    let charge = || meters.charge(charges.iter().copied(), meters.clock.now());
    match charge() {
        Charged::Asks => {
            meters.lease(charges).await.unwrap();
            charge()
        }
        charged => charged,
    }
}

async fn passed(meters: &Meters, charges: &[Charge], times: usize) -> usize {
    let mut passed = 0;
    for _ in 0..times {
        passed += usize::from(check(meters, charges).await == Charged::Passed);
    }
    passed
}

#[tokio::test]
async fn ten_times_the_rate_lets_the_rate_pass_over_days() {
    let house = House::new().await;
    let meters = house.meters();
    for (rate, burst, step_ms, steps) in [("100/s", None, 1, 20_000), ("30/m", None, 200, 20_000), ("5/h", Some(2), 72_000, 4_000)] {
        let charges = charges((rate, burst, ""), rate.len() as u8);
        let Allowance::Rate(of) = charges[0].allowance else { unreachable!() };
        let began = house.clock.now();
        let mut admitted = 0;
        for _ in 0..steps {
            admitted += passed(&meters, &charges, 1).await;
            house.clock.advance(Duration::from_millis(step_ms));
        }
        let expected = house.clock.now().since(began).as_millis() as f64 / of.interval_ms();
        let ratio = admitted as f64 / expected;
        assert!((0.95..=1.0 + of.burst as f64 / expected).contains(&ratio), "{rate}: {admitted} of {expected}");
    }
}

#[tokio::test]
async fn whoever_stays_below_the_rate_is_never_refused() {
    let house = House::new().await;
    let meters = house.meters();
    let charges = charges(("100/s", Some(20), ""), 1);
    for _ in 0..5_000 {
        assert_eq!(check(&meters, &charges).await, Charged::Passed);
        house.clock.advance(Duration::from_millis(11));
    }
}

#[tokio::test]
async fn a_quota_is_the_days_and_never_exceeded_by_many_processes() {
    let house = House::new().await;
    let charges = charges(("", None, "1000/day"), 1);
    for _day in 0..3 {
        let replicas = [house.meters(), house.meters(), house.meters(), house.meters()];
        let mut admitted = 0;
        for _ in 0..2_500 {
            for meters in &replicas {
                admitted += passed(meters, &charges, 1).await;
            }
            house.clock.advance(Duration::from_millis(10));
        }
        assert_eq!(admitted, 1000);
        let Charged::Refused(exceeded) = check(&replicas[0], &charges).await else { panic!("let pass") };
        assert!((28_000..=86_400).contains(&exceeded.retry_after_s), "{exceeded:?}");
        house.clock.advance(Duration::from_secs(exceeded.retry_after_s));
    }
}

#[tokio::test]
async fn a_crash_loses_one_batch_at_most_and_a_stop_nothing() {
    let house = House::new().await;
    let charges = charges(("", None, "1000/month"), 1);
    let crashed = house.meters();
    assert_eq!(passed(&crashed, &charges, 101).await, 101);
    drop(crashed);
    let stopped = house.meters();
    assert_eq!(passed(&stopped, &charges, 103).await, 103);
    stopped.stop().await;
    let last = house.meters();
    let rest = passed(&last, &charges, 2000).await;
    assert!((1000 - 101 - 103 - 10..=1000 - 101 - 103).contains(&rest), "{rest}");
}

#[tokio::test]
async fn a_check_is_charged_all_or_nothing() {
    let house = House::new().await;
    let meters = house.meters();
    let both = charges(("1/s", Some(1), "3/day"), 1);
    let quota = &both[1..];
    assert_eq!(passed(&meters, &both, 50).await, 1, "the rate refuses, and the quota is not charged for it");
    assert_eq!(passed(&meters, quota, 50).await, 2);
    house.clock.advance(Duration::from_secs(5));
    let Charged::Refused(exceeded) = check(&meters, &both).await else { panic!("let pass") };
    assert!(matches!(exceeded.allowance, Allowance::Quota(_)));
    let rate = &both[..1];
    assert_eq!(check(&meters, rate).await, Charged::Passed, "and the other way round");
}

#[tokio::test]
async fn others_are_counted_by_themselves_and_an_explanation_charges_nothing() {
    let house = House::new().await;
    let meters = house.meters();
    let (one, other) = (charges(("", None, "2/day"), 1), charges(("", None, "2/day"), 2));
    assert_eq!(passed(&meters, &one, 9).await, 2);
    let now = house.clock.now();
    assert!(meters.refused(one.iter().copied(), now).is_some());
    assert!(meters.refused(other.iter().copied(), now).is_none());
    assert!(meters.refused(one.iter().copied(), now.after(TOLD_FOR + Duration::from_millis(1))).is_none());
    assert_eq!(passed(&meters, &other, 9).await, 2);
}

#[tokio::test]
async fn what_is_idle_is_given_back_and_then_forgotten() {
    let house = House::new().await;
    let (first, second) = (house.meters(), house.meters());
    let charges = charges(("", None, "1000/day"), 1);
    assert_eq!(passed(&first, &charges, 1).await, 1);
    assert!(first.known.pin().values().any(|counted| counted.meter.left() > 0));
    for _ in 0..=IDLE_QUOTA {
        first.sweep().await;
    }
    assert_eq!(passed(&second, &charges, 2000).await, 999);
    assert_eq!(first.known.len(), 1);
    for _ in 0..2 * FORGOTTEN {
        first.sweep().await;
    }
    assert_eq!(first.known.len(), 0);
}

#[tokio::test]
async fn a_quota_that_runs_is_never_forgotten_and_one_of_the_past_is() {
    let house = House::new().await;
    let of_month = charges(("", None, "100/month"), 1);
    assert_eq!(passed(&house.meters(), &of_month, 100).await, 100);
    for _hour in 0..13 * 24 {
        assert_eq!(house.database.forget_quotas(house.clock.now().before(PAST)).await.unwrap(), 0);
        house.clock.advance(FORGET_EVERY);
    }
    assert_eq!(passed(&house.meters(), &of_month, 1).await, 0);
    house.clock.advance(PAST);
    assert_eq!(house.database.forget_quotas(house.clock.now().before(PAST)).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_put_back_passes_another() {
    let house = House::new().await;
    let meters = house.meters();
    let charges = charges(("1/h", Some(1), "1/day"), 1);
    assert_eq!(check(&meters, &charges).await, Charged::Passed);
    assert!(matches!(check(&meters, &charges).await, Charged::Refused(_)));
    meters.put_back(charges.iter().copied());
    assert_eq!(check(&meters, &charges).await, Charged::Passed);
    assert!(matches!(check(&meters, &charges).await, Charged::Refused(_)));
    meters.put_back(std::iter::empty());
    assert!(matches!(check(&meters, &charges).await, Charged::Refused(_)));
}
