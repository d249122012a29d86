//! Processes that may hold leases of the token store in Redis: how long a strict end waits for those it cannot ask.

use std::time::Duration;

use super::{Database, DatabaseError, column};
use crate::clock::{UnixMs, millis};

/// A process as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its id.
    pub id: String,
    /// How long its leases last.
    pub bound: Duration,
    /// How long it may use its cache after them, at most.
    pub cached: Duration,
    /// How often it has listed itself.
    pub listings: i64,
}

impl Database {
    /// Lists the process `id`, whose leases last `bound` and whose cache is used for `cached` beyond them; a longer time listed
    /// before stays.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn list_replica(&self, id: &str, bound: Duration, cached: Duration) -> Result<(), DatabaseError> {
        let (bound, cached) = (column(UnixMs(millis(bound))), column(UnixMs(millis(cached))));
        let again = self.sql(
            "UPDATE replicas SET bound_ms = CASE WHEN bound_ms > ? THEN bound_ms ELSE ? END,
                cached_ms = CASE WHEN cached_ms > ? THEN cached_ms ELSE ? END, listings = listings + 1 WHERE id = ?",
        );
        let known = sqlx::query(again).bind(bound).bind(bound).bind(cached).bind(cached).bind(id).execute(&self.pool).await?;
        if known.rows_affected() == 0 {
            let insert = self.sql("INSERT INTO replicas (id, bound_ms, cached_ms, listings) VALUES (?, ?, ?, 1)");
            sqlx::query(insert).bind(id).bind(bound).bind(cached).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Who is listed.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn listed_replicas(&self) -> Result<Vec<Replica>, DatabaseError> {
        let rows: Vec<(String, i64, i64, i64)> =
            sqlx::query_as(self.sql("SELECT id, bound_ms, cached_ms, listings FROM replicas")).fetch_all(&self.pool).await?;
        let replica =
            |(id, bound_ms, cached_ms, listings)| Replica { id, bound: duration(bound_ms), cached: duration(cached_ms), listings };
        Ok(rows.into_iter().map(replica).collect())
    }

    /// Takes a process off the list; with `listings`, only where it has not listed itself again since.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn unlist_replica(&self, id: &str, listings: Option<i64>) -> Result<(), DatabaseError> {
        let delete = self.sql("DELETE FROM replicas WHERE id = ? AND (listings = ? OR ? = 0)");
        let (number, is_asked) = (listings.unwrap_or(0), i64::from(listings.is_some()));
        sqlx::query(delete).bind(id).bind(number).bind(is_asked).execute(&self.pool).await?;
        Ok(())
    }

    /// The longest leases of any process listed, and the longest time any uses its cache beyond them.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn longest_leases(&self) -> Result<(Duration, Duration), DatabaseError> {
        let (bound, cached): (Option<i64>, Option<i64>) =
            sqlx::query_as(self.sql("SELECT MAX(bound_ms), MAX(cached_ms) FROM replicas")).fetch_one(&self.pool).await?;
        Ok((bound.map_or(Duration::ZERO, duration), cached.map_or(Duration::ZERO, duration)))
    }
}

fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::test_server::TestDatabase;
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn the_longest_counts_until_it_is_taken_off() {
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(UnixMs(1_900_000_000_000))).await;
        let of = Duration::from_secs;
        assert_eq!(database.longest_leases().await.unwrap(), (of(0), of(0)));
        database.list_replica("a", of(1), of(30)).await.unwrap();
        database.list_replica("b", of(5), of(0)).await.unwrap();
        assert_eq!(database.longest_leases().await.unwrap(), (of(5), of(30)));
        database.list_replica("a", of(1), of(10)).await.unwrap();
        assert_eq!(database.longest_leases().await.unwrap(), (of(5), of(30)), "what was used may be used still");
        let mut listed = database.listed_replicas().await.unwrap();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        let row = |id: &str, bound, cached, listings| Replica { id: id.to_owned(), bound: of(bound), cached: of(cached), listings };
        assert_eq!(listed, [row("a", 1, 30, 2), row("b", 5, 0, 1)]);
        database.unlist_replica("a", Some(1)).await.unwrap();
        assert_eq!(database.listed_replicas().await.unwrap().len(), 2, "it has listed itself again");
        database.unlist_replica("a", Some(2)).await.unwrap();
        database.unlist_replica("b", None).await.unwrap();
        assert_eq!(database.longest_leases().await.unwrap(), (of(0), of(0)));
    }
}
