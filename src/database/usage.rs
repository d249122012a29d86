//! Usage: one row for each hour, key and rule. Rows stay when the key has ended.

use super::acts::spelled;
use super::{Database, DatabaseError, column, time};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::usage::{Counts, HOUR};

/// Rows that one statement adds.
const TOGETHER: usize = 64;
/// How long the number of a process that no longer writes is kept: as long as it might try once more.
const WRITERS_KEPT_MS: u64 = 30 * 24 * 3600 * 1000;

/// What came of the checks of one hour, by one key under one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The key.
    pub key: Id,
    /// The beginning of the hour.
    pub hour: UnixMs,
    /// The rule's id.
    pub rule: String,
    /// How many.
    pub counts: Counts,
}

type Columns = (String, i64, String, i64, i64, i64);

fn row((key, hour, rule, allowed, refused, limited): Columns) -> Result<UsageRow, DatabaseError> {
    let count = |column: i64| u64::try_from(column).unwrap_or(0);
    let counts = Counts { allowed: count(allowed), refused: count(refused), limited: count(limited) };
    Ok(UsageRow { key: spelled("usage_hours", &key)?, hour: time(hour), rule, counts })
}

impl Database {
    /// Adds `rows`, the portion `number` of a process, in one transaction: all of it, or nothing. One that stands there already is not
    /// added again.
    ///
    /// # Errors
    /// Where it cannot be written, or nobody knows whether it was.
    pub async fn add_usage(&self, process: Id, number: i64, rows: &[UsageRow]) -> Result<(), DatabaseError> {
        let mut write = self.pool.begin_with(self.engine.begin()).await?;
        let (now, process) = (self.now(), process.to_string());
        let moved = sqlx::query(self.sql("UPDATE usage_writers SET written = ?, at = ? WHERE process = ? AND written < ?"))
            .bind(number)
            .bind(now)
            .bind(&process)
            .bind(number)
            .execute(&mut *write)
            .await?;
        if moved.rows_affected() == 0 {
            let known: Option<(i64,)> = sqlx::query_as(self.sql("SELECT written FROM usage_writers WHERE process = ?"))
                .bind(&process)
                .fetch_optional(&mut *write)
                .await?;
            if known.is_some() {
                return Ok(());
            }
            let insert = sqlx::query(self.sql("INSERT INTO usage_writers (process, written, at) VALUES (?, ?, ?)"));
            insert.bind(&process).bind(number).bind(now).execute(&mut *write).await?;
        }
        for rows in rows.chunks(TOGETHER) {
            let mut query = sqlx::query(self.engine.sql_of(&adding(self.engine, rows.len())));
            for UsageRow { key, hour, rule, counts } in rows {
                query = query.bind(key.to_string()).bind(column(*hour)).bind(rule);
                query = [counts.allowed, counts.refused, counts.limited]
                    .into_iter()
                    .fold(query, |query, count| query.bind(i64::try_from(count).unwrap_or(i64::MAX)));
            }
            query.execute(&mut *write).await?;
        }
        Ok(write.commit().await?)
    }

    /// A process that has written its last portion is forgotten, and those that have not written for long.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn forget_usage_writer(&self, process: Id) -> Result<(), DatabaseError> {
        let old = column(UnixMs(self.clock.now().0.saturating_sub(WRITERS_KEPT_MS)));
        let delete = sqlx::query(self.sql("DELETE FROM usage_writers WHERE process = ? OR at < ?"));
        delete.bind(process.to_string()).bind(old).execute(&self.pool).await?;
        Ok(())
    }

    /// What a key was used for in the hours from `from` until before `to`, in the order of (hour, rule), after `after`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn usage_of(
        &self,
        key: Id,
        (from, to): (UnixMs, UnixMs),
        after: Option<(UnixMs, &str)>,
        limit: u32,
    ) -> Result<Vec<UsageRow>, DatabaseError> {
        let (hour, rule) = after.map_or((-1, ""), |(hour, rule)| (column(hour), rule));
        let rows: Vec<Columns> = sqlx::query_as(self.sql(
            "SELECT key_id, began_at, rule, allowed, refused, limited FROM usage_hours
             WHERE key_id = ? AND began_at >= ? AND began_at < ? AND (began_at, rule) > (?, ?) ORDER BY began_at, rule LIMIT ?",
        ))
        .bind(key.to_string())
        .bind(column(from))
        .bind(column(to))
        .bind(hour)
        .bind(rule)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(row).collect()
    }

    /// Drops the hours that began before `before`, one after the other: each is locked for a moment only.
    ///
    /// # Errors
    /// Where it cannot be written; what was dropped until then is.
    pub async fn forget_usage(&self, before: UnixMs) -> Result<(), DatabaseError> {
        loop {
            let (oldest,): (Option<i64>,) = sqlx::query_as(self.sql("SELECT MIN(began_at) FROM usage_hours")).fetch_one(&self.pool).await?;
            let Some(oldest) = oldest.map(time).filter(|oldest| *oldest < before) else { return Ok(()) };
            let until = oldest.after(HOUR).min(before);
            sqlx::query(self.sql("DELETE FROM usage_hours WHERE began_at < ?")).bind(column(until)).execute(&self.pool).await?;
        }
    }

    /// The owner and the name of a key, live or not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn key_named(&self, key: Id) -> Result<Option<(Id, String)>, DatabaseError> {
        let row: Option<(String, String)> = sqlx::query_as(self.sql("SELECT principal, name FROM api_keys WHERE id = ?"))
            .bind(key.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|(principal, name)| Ok((spelled("keys", &principal)?, name))).transpose()
    }
}

#[cfg(test)]
impl Database {
    /// How many rows of usage there are, and how many checks they tell of.
    pub(crate) async fn usage_in_test(&self) -> (i64, i64) {
        let rows: Vec<(i64, i64, i64)> =
            sqlx::query_as("SELECT allowed, refused, limited FROM usage_hours").fetch_all(&self.pool).await.unwrap();
        (i64::try_from(rows.len()).unwrap(), rows.iter().map(|(allowed, refused, limited)| allowed + refused + limited).sum())
    }
}

/// Adds so many rows to what stands there.
fn adding(engine: super::Engine, rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?)"; rows].join(", ");
    let insert = format!("INSERT INTO usage_hours (key_id, began_at, rule, allowed, refused, limited) VALUES {values}");
    let add = |given: fn(&str) -> String| {
        ["allowed", "refused", "limited"].map(|name| format!("{name} = usage_hours.{name} + {}", given(name))).join(", ")
    };
    match engine {
        super::Engine::Mysql => format!("{insert} ON DUPLICATE KEY UPDATE {}", add(|name| format!("VALUES({name})"))),
        super::Engine::Sqlite | super::Engine::Postgres => {
            format!("{insert} ON CONFLICT (key_id, began_at, rule) DO UPDATE SET {}", add(|name| format!("excluded.{name}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_server::TestDatabase;
    use super::*;
    use crate::clock::Clock;

    const NOON: UnixMs = UnixMs(1_900_000_800_000);
    const KEY: Id = Id::from_bytes([7; 16]);
    const ME: Id = Id::from_bytes([1; 16]);
    const OTHER: Id = Id::from_bytes([2; 16]);

    fn at(key: Id, hours: u64, rule: &str, [allowed, refused, limited]: [u64; 3]) -> UsageRow {
        UsageRow {
            key,
            hour: NOON.after(HOUR * u32::try_from(hours).unwrap()),
            rule: rule.to_owned(),
            counts: Counts { allowed, refused, limited },
        }
    }

    async fn all(database: &Database) -> Vec<UsageRow> {
        database.usage_of(KEY, (UnixMs(0), UnixMs(i64::MAX as u64)), None, 1000).await.unwrap()
    }

    #[tokio::test]
    async fn what_several_processes_count_adds_up() {
        let data = TestDatabase::here().await;
        let (one, two) = (data.open(Clock::manual(NOON)).await, data.open(Clock::manual(NOON)).await);
        let rows = [at(KEY, 0, "orders", [5, 1, 0]), at(KEY, 0, "stock", [1, 0, 0]), at(KEY, 1, "orders", [2, 0, 7])];
        one.add_usage(ME, 1, &rows).await.unwrap();
        two.add_usage(OTHER, 1, &rows[..1]).await.unwrap();
        one.add_usage(ME, 2, &rows[2..]).await.unwrap();
        let expected = [at(KEY, 0, "orders", [10, 2, 0]), at(KEY, 0, "stock", [1, 0, 0]), at(KEY, 1, "orders", [4, 0, 14])];
        assert_eq!(all(&two).await, expected);
        let hour = (NOON.after(HOUR), NOON.after(HOUR * 2));
        assert_eq!(one.usage_of(KEY, hour, None, 10).await.unwrap(), &expected[2..]);
        assert_eq!(one.usage_of(KEY, (NOON, NOON.after(HOUR)), Some((NOON, "orders")), 10).await.unwrap(), &expected[1..2]);
        assert_eq!(one.usage_of(KEY, (NOON, hour.1), None, 1).await.unwrap(), &expected[..1]);
        assert_eq!(one.usage_of(OTHER, (NOON, hour.1), None, 10).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_portion_is_added_once() {
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(NOON)).await;
        let rows: Vec<_> = (0..300).map(|n| at(KEY, n % 3, &format!("rule-{n:03}"), [n + 1, 0, 0])).collect();
        for _ in 0..3 {
            database.add_usage(ME, 1, &rows).await.unwrap();
        }
        let found = all(&database).await;
        assert_eq!((found.len(), found.iter().map(|row| row.counts.allowed).sum::<u64>()), (300, 300 * 301 / 2));
        database.add_usage(ME, 2, &rows[..1]).await.unwrap();
        database.add_usage(ME, 1, &rows[..1]).await.unwrap();
        assert_eq!(all(&database).await[0].counts.allowed, 2);
        database.forget_usage_writer(ME).await.unwrap();
        let (left,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM usage_writers").fetch_one(&database.pool).await.unwrap();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn what_is_too_old_is_dropped() {
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(NOON)).await;
        let rows: Vec<_> = (0..6).map(|n| at(KEY, n * 5, "orders", [1, 0, 0])).collect();
        database.add_usage(ME, 1, &rows).await.unwrap();
        database.forget_usage(rows[3].hour).await.unwrap();
        assert_eq!(all(&database).await, &rows[3..]);
        database.forget_usage(UnixMs(0)).await.unwrap();
        assert_eq!(all(&database).await.len(), 3);
    }
}
