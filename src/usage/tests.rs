//! Counting, gathering and writing, on a clock that tests move.

use super::*;
use crate::config::rules_file;
use crate::database::UsageRow;
use crate::database::test_server::TestDatabase;
use crate::decision::rules::RuleSet;

/// Full hours, and a little.
const NOW: UnixMs = UnixMs(1_900_000_800_000 + 3_599_000);

struct House {
    usage: Usage,
    rules: RuleSet,
    numbers: RuleNumbers,
    database: Database,
    clock: Clock,
    data: TestDatabase,
}

impl House {
    async fn new() -> Self {
        let data = TestDatabase::here().await;
        let clock = Clock::manual(NOW);
        let database = data.open(clock.clone()).await;
        let text = "rules: [{ id: orders, path: /orders }, { id: stock, path: /stock }]";
        let rules = rules_file::load("rules.yaml".into(), text).unwrap().rules;
        let usage = Usage::start(database.clone(), Duration::from_secs(400 * 86_400)).unwrap();
        Self { usage, numbers: RuleNumbers::of(&rules), rules, database, clock, data }
    }

    fn count(&self, key: Id, rule: &str, outcome: Outcome) {
        let rule = self.rules.rules().iter().find(|found| found.id == rule).unwrap();
        self.usage.0.as_ref().unwrap().count(&self.numbers, rule, Some(key), outcome);
    }

    /// Hours since the first, rule and counts.
    async fn of(&self, key: Id) -> Vec<(u64, String, [u64; 3])> {
        let rows = self.database.usage_of(key, (UnixMs(0), UnixMs(u64::MAX >> 1)), None, 10_000).await.unwrap();
        let hours = |row: &UsageRow| row.hour.since(hour_of(NOW)).as_secs() / 3600;
        rows.iter().map(|row| (hours(row), row.rule.clone(), [row.counts.allowed, row.counts.refused, row.counts.limited])).collect()
    }
}

fn key(n: u32) -> Id {
    Id::from_bytes((u128::from(n) + 1).to_le_bytes())
}

#[tokio::test]
async fn counts_stand_in_the_hour_they_were_counted_in() {
    let house = House::new().await;
    for outcome in [Outcome::Allowed, Outcome::Allowed, Outcome::Refused, Outcome::Limited] {
        house.count(key(1), "orders", outcome);
    }
    house.count(key(1), "stock", Outcome::Allowed);
    house.clock.advance(Duration::from_secs(2));
    house.usage.flush().await;
    house.count(key(1), "orders", Outcome::Allowed);
    house.usage.flush().await;
    house.usage.flush().await;
    let expected = [(0, "orders".to_owned(), [2, 1, 1]), (0, "stock".to_owned(), [1, 0, 0]), (1, "orders".to_owned(), [1, 0, 0])];
    assert_eq!(house.of(key(1)).await, expected);
    assert!(house.of(key(2)).await.is_empty());
}

#[tokio::test]
async fn more_keys_than_a_table_holds_on_several_threads_lose_nothing() {
    let house = House::new().await;
    let keys = 3000u32;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..2 * keys {
                    house.count(key(n % keys), "orders", Outcome::Allowed);
                }
            });
        }
    });
    house.usage.flush().await;
    for n in [0, 1, 1024, 2047, keys - 1] {
        assert_eq!(house.of(key(n)).await, [(0, "orders".to_owned(), [6, 0, 0])], "{n}");
    }
    let (rows, sum) = house.database.usage_in_test().await;
    assert_eq!((rows, sum), (i64::from(keys), i64::from(6 * keys)));
}

#[tokio::test]
async fn while_the_database_is_away_counts_are_kept_and_written_once() {
    let house = House::new().await;
    let gone = ["ALTER TABLE usage_hours RENAME TO elsewhere".to_owned()];
    let back = ["ALTER TABLE elsewhere RENAME TO usage_hours".to_owned()];
    house.count(key(1), "orders", Outcome::Allowed);
    house.database.run_in_test(&gone).await;
    for _ in 0..3 {
        house.usage.flush().await;
        house.count(key(1), "orders", Outcome::Refused);
    }
    house.clock.advance(HOUR);
    house.database.run_in_test(&back).await;
    house.usage.flush().await;
    house.usage.flush().await;
    assert_eq!(house.of(key(1)).await, [(0, "orders".to_owned(), [1, 3, 0])]);
    // the connections break
    house.data.cut(&house.database).await;
    house.count(key(1), "orders", Outcome::Allowed);
    house.usage.flush().await;
    house.usage.flush().await;
    assert_eq!(house.of(key(1)).await.last(), Some(&(1, "orders".to_owned(), [1, 0, 0])));
}

#[tokio::test]
async fn a_stop_leaves_nothing_behind() {
    let house = House::new().await;
    house.count(key(1), "orders", Outcome::Allowed);
    house.usage.stop().await;
    assert_eq!(house.of(key(1)).await, [(0, "orders".to_owned(), [1, 0, 0])]);
}

#[tokio::test]
async fn switched_off_it_does_nothing() {
    let usage = Usage::off();
    usage.flush().await;
    usage.stop().await;
    assert!(usage.0.is_none());
}

#[tokio::test]
async fn who_has_no_key_is_not_counted() {
    let house = House::new().await;
    let rule = &house.rules.rules()[0];
    house.usage.0.as_ref().unwrap().count(&house.numbers, rule, None, Outcome::Allowed);
    house.usage.flush().await;
    assert_eq!(house.database.usage_in_test().await, (0, 0));
}

#[tokio::test]
async fn tables_are_gathered_when_an_hour_is_full() {
    let house = House::new().await;
    let counting = house.usage.0.as_ref().unwrap();
    assert_eq!(counting.until_next(), Duration::from_secs(1));
    house.clock.advance(Duration::from_millis(1001));
    assert_eq!(counting.until_next(), Duration::from_millis(4999));
}
