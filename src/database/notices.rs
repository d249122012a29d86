//! Notices: which keys something is to be told of, what was told of which, and what is on its way to whom.

use std::time::Duration;

use super::acts::{agreed, spelled};
use super::{Database, DatabaseError, column, time};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::terms::Terms;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a key goes unused before that is told.
const UNUSED_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);
/// What is longer past than this is not told any more: nobody is told of everything at once when telling begins.
const FRESH: Duration = Duration::from_secs(7 * 24 * 3600);

/// Of which keys something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeWindow {
    /// Those that end within `days`, unless within `unless`, and were made longer before.
    Expiring {
        /// Days before the end.
        days: u32,
        /// The days of the next notice.
        unless: u32,
    },
    /// Those that were never used.
    Unused,
    /// Those that were deleted.
    Deleted,
    /// Those that have run out.
    Expired,
    /// Those whose owner, or who stands above that, was deleted.
    OwnerDeleted,
}

impl NoticeWindow {
    /// What is told once of a key.
    fn told_as(self) -> String {
        match self {
            Self::Expiring { days, .. } => format!("expiring-{days}"),
            Self::Unused => "unused".to_owned(),
            Self::Deleted | Self::Expired | Self::OwnerDeleted => "ended".to_owned(),
        }
    }
}

/// A key of which something is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyToTell {
    /// Its id.
    pub id: Id,
    /// What its owner calls it.
    pub name: String,
    /// Whose.
    pub owner: Id,
    /// The owner's tenant.
    pub tenant: Id,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it ends by itself.
    pub expires_at: Option<UnixMs>,
    /// When it was last used, roughly.
    pub last_used_at: Option<UnixMs>,
    /// What is agreed besides.
    pub terms: Terms,
}

/// A delivery to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Of which event.
    pub event: Id,
    /// To whom.
    pub target: String,
    /// What.
    pub body: String,
}

/// A delivery on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Of which event.
    pub event: Id,
    /// To whom.
    pub target: String,
    /// What.
    pub body: String,
    /// When it is to be tried next.
    pub due_at: UnixMs,
    /// How often it was tried, this time included.
    pub tries: u32,
    /// Since when.
    pub made_at: UnixMs,
}

#[cfg(test)]
impl Database {
    /// How many deliveries are on their way.
    pub(crate) async fn deliveries_in_test(&self) -> i64 {
        sqlx::query_as::<_, (i64,)>("SELECT COUNT(*) FROM deliveries").fetch_one(&self.pool).await.unwrap().0
    }
}

/// `SELECT` of keys of which nothing of a kind was told; the first value is the kind.
macro_rules! keys_not_told {
    ($condition:literal) => {
        keys_not_told!(anyone, "p.ended_at IS NULL AND ", $condition)
    };
    (anyone, $($condition:literal),+) => {
        concat!(
            "SELECT k.id, k.name, k.principal, p.tenant, k.created_at, k.expires_at, k.last_used_at, k.terms
             FROM api_keys k JOIN principals p ON p.uid = k.principal
             WHERE NOT EXISTS (SELECT 1 FROM key_notices n WHERE n.key_id = k.id AND n.told = ?)
               AND p.role <> 'quickstart' AND ",
            $($condition,)+
            " ORDER BY k.id LIMIT ?"
        )
    };
}

impl Database {
    /// Keys of which something is to be told that was not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn keys_to_tell(&self, window: NoticeWindow, limit: u32) -> Result<Vec<KeyToTell>, DatabaseError> {
        type Columns = (String, String, String, String, i64, Option<i64>, Option<i64>, Option<String>);
        let now = self.clock.now();
        let (statement, times) = match window {
            NoticeWindow::Expiring { days, unless } => (
                keys_not_told!("k.ended_at IS NULL AND k.expires_at > ? AND k.expires_at <= ? AND k.expires_at - k.created_at > ?"),
                vec![column(now.after(DAY * unless)), column(now.after(DAY * days)), column(UnixMs(0).after(DAY * days))],
            ),
            NoticeWindow::Unused => (
                keys_not_told!(
                    "k.created_at <= ? AND k.created_at > ? AND k.last_used_at IS NULL AND k.ended_at IS NULL
                     AND (k.expires_at IS NULL OR k.expires_at > ?)"
                ),
                vec![column(now.before(UNUSED_AFTER)), column(now.before(UNUSED_AFTER + FRESH)), column(now)],
            ),
            NoticeWindow::Deleted => {
                (keys_not_told!("k.changed_at > ? AND k.ended_at > ?"), vec![column(now.before(FRESH)), column(now.before(FRESH))])
            }
            NoticeWindow::Expired => (
                keys_not_told!("k.expires_at <= ? AND k.expires_at > ? AND k.ended_at IS NULL"),
                vec![column(now), column(now.before(FRESH))],
            ),
            NoticeWindow::OwnerDeleted => (
                keys_not_told!(
                    anyone,
                    "k.ended_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?) AND k.principal IN (
                         WITH RECURSIVE gone (uid) AS (
                             SELECT uid FROM principals WHERE changed_at > ? AND ended_at > ?
                             UNION SELECT below.uid FROM principals below JOIN gone ON below.parent = gone.uid
                         )
                         SELECT uid FROM gone
                     )"
                ),
                vec![column(now), column(now.before(FRESH)), column(now.before(FRESH))],
            ),
        };
        let query = sqlx::query_as(self.sql(statement)).bind(window.told_as());
        let query = times.into_iter().fold(query, |query, time| query.bind(time));
        let rows: Vec<Columns> = query.bind(i64::from(limit)).fetch_all(&self.pool).await?;
        let read = |(id, name, owner, tenant, created_at, expires_at, last_used_at, terms): Columns| {
            Ok(KeyToTell {
                id: spelled("keys", &id)?,
                name,
                owner: spelled("keys", &owner)?,
                tenant: spelled("principals", &tenant)?,
                created_at: time(created_at),
                expires_at: expires_at.map(time),
                last_used_at: last_used_at.map(time),
                terms: agreed("keys", terms.as_deref())?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Notes that something is told of a key, with what is to be delivered. `false` = it was noted before; nothing is then done.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn note_event(&self, key: Id, window: NoticeWindow, deliveries: &[NewDelivery]) -> Result<bool, DatabaseError> {
        let (now, mut write) = (self.now(), self.pool.begin_with(self.engine.begin()).await?);
        let note = self.sql("INSERT INTO key_notices (key_id, told, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
        let noted = sqlx::query(note).bind(key.to_string()).bind(window.told_as()).bind(now).execute(&mut *write).await?;
        if noted.rows_affected() == 0 {
            return Ok(false);
        }
        for NewDelivery { event, target, body } in deliveries {
            let insert = self.sql("INSERT INTO deliveries (event, target, body, due_at, tries, made_at) VALUES (?, ?, ?, ?, 0, ?)");
            sqlx::query(insert).bind(event.to_string()).bind(target).bind(body).bind(now).bind(now).execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(true)
    }

    /// Deliveries that are due, those that waited longest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn deliveries_due(&self, limit: u32) -> Result<Vec<Delivery>, DatabaseError> {
        type Columns = (String, String, String, i64, i64, i64);
        let rows: Vec<Columns> = sqlx::query_as(
            self.sql("SELECT event, target, body, due_at, tries, made_at FROM deliveries WHERE due_at <= ? ORDER BY due_at LIMIT ?"),
        )
        .bind(self.now())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let read = |(event, target, body, due_at, tries, made_at): Columns| {
            let tries = u32::try_from(tries).unwrap_or(u32::MAX).saturating_add(1);
            Ok(Delivery { event: spelled("deliveries", &event)?, target, body, due_at: time(due_at), tries, made_at: time(made_at) })
        };
        rows.into_iter().map(read).collect()
    }

    /// Takes a delivery for so long. `false` = another process has, or it is done.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn claim_delivery(&self, delivery: &Delivery, until: Duration) -> Result<bool, DatabaseError> {
        let claim = self.sql("UPDATE deliveries SET due_at = ?, tries = ? WHERE event = ? AND target = ? AND due_at = ? AND tries = ?");
        let claimed = sqlx::query(claim)
            .bind(column(self.clock.now().after(until)))
            .bind(i64::from(delivery.tries))
            .bind(delivery.event.to_string())
            .bind(&delivery.target)
            .bind(column(delivery.due_at))
            .bind(i64::from(delivery.tries) - 1)
            .execute(&self.pool)
            .await?;
        Ok(claimed.rows_affected() == 1)
    }

    /// A delivery that was taken is tried again at `due`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn postpone_delivery(&self, delivery: &Delivery, due: UnixMs) -> Result<(), DatabaseError> {
        let postpone = self.sql("UPDATE deliveries SET due_at = ? WHERE event = ? AND target = ? AND tries = ?");
        sqlx::query(postpone)
            .bind(column(due))
            .bind(delivery.event.to_string())
            .bind(&delivery.target)
            .bind(i64::from(delivery.tries))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A delivery is made, or given up.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_delivery(&self, delivery: &Delivery) -> Result<(), DatabaseError> {
        let end = sqlx::query(self.sql("DELETE FROM deliveries WHERE event = ? AND target = ?"));
        end.bind(delivery.event.to_string()).bind(&delivery.target).execute(&self.pool).await?;
        Ok(())
    }
}
