//! Denials of other issuers' tokens and subjects, and the buckets that the token store knows them by.
//!
//! INVARIANT: a bucket's version grows in the act that changes what is in it.

use std::collections::HashMap;

use sqlx::AnyConnection;

use super::acts::{Act, Page, spelled};
use super::{Database, DatabaseError, Engine, PendingKind, column, time};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::denials::{self, DenialsRecord, Denied};
use crate::token::record::{Content, Record};

/// The version of a bucket that no denial was ever in: above that of a record that is not there, below all others.
const FIRST: u64 = 1;

/// A denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialRow {
    /// A hash over the three that follow.
    pub id: Id,
    /// The `iss` of the tokens.
    pub issuer: String,
    /// What is denied.
    pub denied: Denied,
    /// Its name there.
    pub value: String,
    /// To when; `None` = until it is lifted.
    pub until: Option<UnixMs>,
    /// Since when.
    pub created_at: UnixMs,
}

type Columns = (String, String, String, String, Option<i64>, i64);

fn row((id, issuer, kind, value, until, created_at): Columns) -> Result<DenialRow, DatabaseError> {
    let damaged = || DatabaseError::Unavailable("a row of `denials` is damaged".to_owned());
    Ok(DenialRow {
        id: spelled("denials", &id)?,
        issuer,
        denied: Denied::from_name(&kind).ok_or_else(damaged)?,
        value,
        until: until.map(time),
        created_at: time(created_at),
    })
}

fn standing(found: Vec<(String, Option<i64>)>) -> Result<DenialsRecord, DatabaseError> {
    let denied = found.into_iter().map(|(id, until)| Ok((spelled("denials", &id)?, until.map(time))));
    Ok(DenialsRecord { denied: denied.collect::<Result<_, DatabaseError>>()? })
}

fn version(number: i64) -> Result<u64, DatabaseError> {
    u64::try_from(number).map_err(|_| DatabaseError::Unavailable("a row of `denial_buckets` is damaged".to_owned()))
}

/// A bucket as it stands at `now`; one that has no row is a record as well.
pub(super) async fn bucket(read: &mut AnyConnection, id: Id, now: i64) -> Result<Record, DatabaseError> {
    let engine = Engine::of(read);
    let found: Option<(i64,)> = sqlx::query_as(engine.sql("SELECT version FROM denial_buckets WHERE id = ?"))
        .bind(id.to_string())
        .fetch_optional(&mut *read)
        .await?;
    let denied: Vec<(String, Option<i64>)> =
        sqlx::query_as(engine.sql("SELECT id, until_at FROM denials WHERE bucket = ? AND (until_at IS NULL OR until_at > ?) ORDER BY id"))
            .bind(id.to_string())
            .bind(now)
            .fetch_all(&mut *read)
            .await?;
    let version = found.map_or(Ok(FIRST), |(number,)| version(number))?;
    Ok(Record { id, version, content: Content::Denials(standing(denied)?) })
}

/// The buckets changed at or after `since`, as they stand at `now`.
pub(super) async fn changed(read: &mut AnyConnection, since: i64, now: i64) -> Result<Vec<Record>, DatabaseError> {
    let engine = Engine::of(read);
    let buckets: Vec<(String, i64)> = sqlx::query_as(engine.sql("SELECT id, version FROM denial_buckets WHERE changed_at >= ?"))
        .bind(since)
        .fetch_all(&mut *read)
        .await?;
    let rows: Vec<(String, String, Option<i64>)> = sqlx::query_as(engine.sql(
        "SELECT d.bucket, d.id, d.until_at FROM denials d JOIN denial_buckets b ON b.id = d.bucket
         WHERE b.changed_at >= ? AND (d.until_at IS NULL OR d.until_at > ?) ORDER BY d.id",
    ))
    .bind(since)
    .bind(now)
    .fetch_all(&mut *read)
    .await?;
    let mut of: HashMap<String, Vec<_>> = HashMap::new();
    for (bucket, id, until) in rows {
        of.entry(bucket).or_default().push((id, until));
    }
    let record = |(id, number): (String, i64)| {
        let denied = standing(of.remove(&id).unwrap_or_default())?;
        Ok(Record { id: spelled("denial_buckets", &id)?, version: version(number)?, content: Content::Denials(denied) })
    };
    buckets.into_iter().map(record).collect()
}

/// Reads denials that stand: what follows narrows it, after the time.
macro_rules! live_denials {
    ($rest:literal) => {
        concat!("SELECT id, issuer, kind, value, until_at, created_at FROM denials WHERE (until_at IS NULL OR until_at > ?) ", $rest)
    };
}

impl Database {
    /// The denials of one issuer's tokens and subjects that stand, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn denials_of(&self, issuer: &str, page: Page) -> Result<Vec<DenialRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let rows: Vec<Columns> =
            sqlx::query_as(self.sql(live_denials!("AND issuer = ? AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?")))
                .bind(self.now())
                .bind(issuer)
                .bind(at)
                .bind(id)
                .bind(i64::from(page.limit))
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(row).collect()
    }
}

impl Act {
    /// How many denials there are, those that have run out put away first.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn count_denials(&mut self) -> Result<u64, DatabaseError> {
        let now = self.now_column();
        // no record says anything of them any more
        sqlx::query(self.sql("DELETE FROM denials WHERE until_at IS NOT NULL AND until_at <= ?"))
            .bind(now)
            .execute(self.connection())
            .await?;
        let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM denials").fetch_one(self.connection()).await?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// The denial, if it stands.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn denial(&mut self, id: Id) -> Result<Option<DenialRow>, DatabaseError> {
        let now = self.now_column();
        let found: Option<Columns> =
            sqlx::query_as(self.sql(live_denials!("AND id = ?"))).bind(now).bind(id.to_string()).fetch_optional(self.connection()).await?;
        found.map(row).transpose()
    }

    /// Denies, or denies to another time.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn deny(&mut self, denial: &DenialRow) -> Result<(), DatabaseError> {
        let bucket = denials::bucket(denial.id);
        sqlx::query(self.sql("DELETE FROM denials WHERE id = ?")).bind(denial.id.to_string()).execute(self.connection()).await?;
        sqlx::query(self.sql("INSERT INTO denials (id, bucket, issuer, kind, value, until_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"))
            .bind(denial.id.to_string())
            .bind(bucket.to_string())
            .bind(&denial.issuer)
            .bind(denial.denied.as_str())
            .bind(&denial.value)
            .bind(denial.until.map(column))
            .bind(column(denial.created_at))
            .execute(self.connection())
            .await?;
        self.changed_bucket(bucket).await
    }

    /// Lifts a denial.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn lift_denial(&mut self, id: Id) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("DELETE FROM denials WHERE id = ?")).bind(id.to_string()).execute(self.connection()).await?;
        self.changed_bucket(denials::bucket(id)).await
    }

    async fn changed_bucket(&mut self, bucket: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        let grown = sqlx::query(self.sql("UPDATE denial_buckets SET version = version + 1, changed_at = ? WHERE id = ?"))
            .bind(now)
            .bind(bucket.to_string())
            .execute(self.connection())
            .await?;
        if grown.rows_affected() == 0 {
            sqlx::query(self.sql("INSERT INTO denial_buckets (id, version, changed_at) VALUES (?, ?, ?)"))
                .bind(bucket.to_string())
                .bind(i64::try_from(FIRST + 1).unwrap_or(i64::MAX))
                .bind(now)
                .execute(self.connection())
                .await?;
        }
        self.tell(PendingKind::Denials, bucket).await
    }
}
