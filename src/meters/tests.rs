use std::time::Duration;

use super::*;
use crate::database::Database;
use crate::database::test_server::TestDatabase;
use crate::decision::limit::Limit;
use crate::token::embedded::Embedded;
use crate::token::store::{Settings, TokenStore};

/// Processes that share one database; each counts rates by itself, as the embedded store does.
struct House {
    clock: Clock,
    database: Database,
    tokens: TokenStore,
    _data: TestDatabase,
}

const BEGAN: UnixMs = UnixMs(1_900_022_400_000); // 2030-03-18T00:00Z

impl House {
    async fn new() -> Self {
        Self::at(BEGAN).await
    }

    async fn at(began: UnixMs) -> Self {
        let data = TestDatabase::here().await;
        let clock = Clock::manual(began);
        let database = data.open(clock.clone()).await;
        let ttl = Duration::from_secs(3600);
        let settings = Settings { ttl, max_lifetime: 12 * ttl, staleness_bound: Duration::from_secs(1) };
        let tokens = TokenStore::embedded(Embedded::start(database.clone(), settings).await.unwrap()).unwrap();
        Self { clock, database, tokens, _data: data }
    }

    fn meters(&self) -> Arc<Meters> {
        let known = HashMap::with_hasher(foldhash::fast::RandomState::default());
        Arc::new(Meters { known, source: Source::new(self.tokens.clone(), self.database.clone()), clock: self.clock.clone() })
    }
}

fn charges(limit: (&str, Option<u64>, &str), who: u8) -> Vec<Charge> {
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    let (rate, burst, quota) = limit;
    let limit = Limit::parse(some(Box::leak(rate.to_owned().into())), burst, some(Box::leak(quota.to_owned().into())), None).unwrap();
    let of = Id::from_bytes([9; 16]);
    limit.said_by(of).map(|limited| Charge { who: Id::from_bytes([who; 16]), of, allowance: limited.allowance }).collect()
}

/// One check, asking for more where that may be had.
async fn check(meters: &Arc<Meters>, charges: &[Charge]) -> Charged {
    match meters.charge(charges.iter().copied(), meters.clock.now()) {
        Charged::Asks => match meters.lease(charges).await {
            Ok(leased) => {
                assert!(leased.spend(charges.iter().copied()));
                Charged::Passed
            }
            Err(Unleased::Exceeded(exceeded)) => Charged::Refused(exceeded),
            Err(Unleased::Unknown(unknown)) => panic!("{unknown}"),
        },
        charged => charged,
    }
}

async fn passed(meters: &Arc<Meters>, charges: &[Charge], times: usize) -> usize {
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
async fn a_month_ends() {
    let house = House::at(UnixMs(1_898_553_599_000)).await; // 2030-02-28T23:59:59Z
    let (meters, charges) = (house.meters(), charges(("", None, "3/month"), 1));
    for (until_the_next_s, passes) in [(1, 3), (31 * 86_400, 3)] {
        assert_eq!(passed(&meters, &charges, 9).await, passes);
        let Charged::Refused(exceeded) = check(&meters, &charges).await else { panic!("let pass") };
        assert_eq!(exceeded.retry_after_s, until_the_next_s);
        house.clock.advance(Duration::from_secs(until_the_next_s));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_not_refused_below_the_limit() {
    let house = House::new().await;
    let (meters, charges) = (house.meters(), charges(("100/s", None, "100/day"), 1));
    let checks = (0..50).map(|_| {
        let (meters, charges) = (Arc::clone(&meters), charges.clone());
        tokio::spawn(async move { check(&meters, &charges).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), Charged::Passed);
    }
    assert_eq!(passed(&meters, &charges, 60).await, 50, "and each was charged once");
}

#[tokio::test]
async fn a_limit_that_is_changed_counts_at_the_next_check() {
    let house = House::new().await;
    let meters = house.meters();
    for (who, (before, passes), (after, pass)) in [
        (1, (("1/h", None, ""), 1), (("100/s", None, ""), 5)),
        (2, (("1000/s", None, ""), 5), (("1/h", None, ""), 1)),
        (3, (("", None, "1/day"), 1), (("", None, "3/day"), 2)),
        (4, (("", None, "1000/day"), 5), (("", None, "3/day"), 0)),
    ] {
        assert_eq!(passed(&meters, &charges(before, who), 5).await, passes, "{before:?}");
        assert_eq!(passed(&meters, &charges(after, who), 5).await, pass, "{before:?}, then {after:?}");
    }
}

#[tokio::test]
async fn what_a_check_was_charged_that_gave_up_goes_back() {
    let house = House::new().await;
    let (meters, charges) = (house.meters(), charges(("1/h", Some(1), "1/day"), 1));
    drop(meters.lease(&charges).await.unwrap());
    let leased = meters.lease(&charges).await.unwrap();
    assert!(!leased.spend(charges.iter().copied().take(1)), "other limits came into force");
    drop(leased);
    assert_eq!(passed(&meters, &charges, 5).await, 1);
}

#[tokio::test]
async fn without_the_database_what_was_leased_passes_and_then_nobody_knows() {
    let house = House::new().await;
    let meters = house.meters();
    let (quota, both) = (charges(("", None, "1000/day"), 1), charges(("1/h", Some(1), "1000/day"), 2));
    assert_eq!(passed(&meters, &quota, 1).await, 1);
    house.database.close().await;
    assert_eq!(passed(&meters, &quota, 9).await, 9);
    assert_eq!(meters.charge(quota.iter().copied(), house.clock.now()), Charged::Asks);
    assert!(matches!(meters.lease(&quota).await, Err(Unleased::Unknown(_))));
    assert!(matches!(meters.look(&quota).await, Err(Unleased::Unknown(_))));
    assert!(matches!(meters.lease(&both).await, Err(Unleased::Unknown(_))));
    assert_eq!(passed(&meters, &both[..1], 5).await, 1, "the rate was not charged for it");
}

#[tokio::test]
async fn what_another_process_refuses_is_told_and_nothing_charged() {
    let house = House::new().await;
    let (one, other) = (house.meters(), house.meters());
    let (quota, rate) = (charges(("", None, "2/day"), 1), charges(("1/h", Some(2), ""), 1));
    for _ in 0..20 {
        assert_eq!((other.look(&quota).await, one.look(&rate).await), (Ok(()), Ok(())));
    }
    assert_eq!((passed(&one, &quota, 9).await, passed(&one, &rate, 9).await), (2, 2));
    assert_eq!(other.refused(quota.iter().copied(), house.clock.now()), None);
    let Charged::Refused(exceeded) = check(&one, &quota).await else { panic!("let pass") };
    assert_eq!(other.look(&quota).await, Err(Unleased::Exceeded(exceeded)));
    assert_eq!(other.refused(quota.iter().copied(), house.clock.now()), Some(exceeded), "and is not asked for again");
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
