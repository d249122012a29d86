//! The epoch of the token store in Redis, and who may found the next: the database has one, so that there is one token store for it.

use super::{Database, DatabaseError};

/// What a process that holds an epoch looks for all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The epoch written last.
    pub epoch: Option<String>,
    /// Whether the token store must be told of anything.
    pub is_pending: bool,
    /// The epoch that somebody asks to found, and the token store of whoever does; who holds the present one refuses it.
    pub claim: Option<(String, String)>,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has refused it.
    Stands,
    /// The one holding the present epoch did, whose token store is this.
    Refused(String),
    /// Another epoch was founded meanwhile.
    Gone,
}

impl Database {
    /// The epoch written last.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn epoch(&self) -> Result<Option<String>, DatabaseError> {
        let (epoch,): (Option<String>,) = sqlx::query_as(self.sql("SELECT epoch FROM installation")).fetch_one(&self.pool).await?;
        Ok(epoch)
    }

    /// Epoch, outbox and claims in one reading.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn outlook(&self) -> Result<Outlook, DatabaseError> {
        let select = self.sql(
            "SELECT i.epoch, (SELECT MIN(n) FROM outbox WHERE done_at IS NULL), c.epoch, c.store
               FROM installation i LEFT JOIN claims c ON c.epoch = (SELECT MIN(epoch) FROM claims WHERE refused_by IS NULL)",
        );
        let (epoch, pending, claim, store): (Option<String>, Option<i64>, Option<String>, Option<String>) =
            sqlx::query_as(select).fetch_one(&self.pool).await?;
        Ok(Outlook { epoch, is_pending: pending.is_some(), claim: claim.zip(store) })
    }

    /// Writes a new epoch in place of `old`; false where another one stands there: somebody else recovers. Whoever claims another has to ask
    /// again.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn swap_epoch(&self, old: Option<&str>, new: &str) -> Result<bool, DatabaseError> {
        let done = sqlx::query(self.sql("UPDATE installation SET epoch = ? WHERE COALESCE(epoch, '') = ?"))
            .bind(new)
            .bind(old.unwrap_or_default())
            .execute(&self.pool)
            .await?;
        let is_done = done.rows_affected() > 0;
        if is_done {
            sqlx::query(self.sql("DELETE FROM claims")).execute(&self.pool).await?;
        }
        Ok(is_done)
    }

    /// Asks to found the epoch `epoch` in the token store `store`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn claim(&self, epoch: &str, store: &str) -> Result<(), DatabaseError> {
        let insert = self.sql("INSERT INTO claims (epoch, store, made_at) VALUES (?, ?, ?)");
        sqlx::query(insert).bind(epoch).bind(store).bind(self.now()).execute(&self.pool).await?;
        Ok(())
    }

    /// Refuses a claim: the present epoch is held, in the token store `by`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn refuse_claim(&self, epoch: &str, by: &str) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("UPDATE claims SET refused_by = ? WHERE epoch = ?")).bind(by).bind(epoch).execute(&self.pool).await?;
        Ok(())
    }

    /// What became of a claim.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn claimed(&self, epoch: &str) -> Result<Claim, DatabaseError> {
        let row: Option<(Option<String>,)> =
            sqlx::query_as(self.sql("SELECT refused_by FROM claims WHERE epoch = ?")).bind(epoch).fetch_optional(&self.pool).await?;
        Ok(match row {
            None => Claim::Gone,
            Some((None,)) => Claim::Stands,
            Some((Some(by),)) => Claim::Refused(by),
        })
    }

    /// Gives a claim up.
    ///
    /// # Errors
    /// Where it cannot be deleted.
    pub async fn drop_claim(&self, epoch: &str) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("DELETE FROM claims WHERE epoch = ?")).bind(epoch).execute(&self.pool).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_server::TestDatabase;
    use super::*;
    use crate::clock::{Clock, UnixMs};

    #[tokio::test]
    async fn a_claim_stands_until_it_is_refused_or_another_epoch_comes() {
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(UnixMs(1_900_000_000_000))).await;
        assert_eq!(database.outlook().await.unwrap(), Outlook { epoch: None, is_pending: false, claim: None });
        assert!(database.swap_epoch(None, "e0").await.unwrap());
        assert!(!database.swap_epoch(None, "e1").await.unwrap(), "somebody else was there first");
        assert_eq!(database.epoch().await.unwrap().as_deref(), Some("e0"));

        for (epoch, store) in [("e2", "redis://b:6379"), ("e1", "redis://a:6379")] {
            database.claim(epoch, store).await.unwrap();
            assert_eq!(database.claimed(epoch).await.unwrap(), Claim::Stands);
        }
        let sees = async || database.outlook().await.unwrap().claim.unwrap_or_default();
        assert_eq!(sees().await, ("e1".to_owned(), "redis://a:6379".to_owned()));
        database.refuse_claim("e1", "redis://here:6379").await.unwrap();
        assert_eq!(database.claimed("e1").await.unwrap(), Claim::Refused("redis://here:6379".to_owned()));
        assert_eq!(sees().await.0, "e2", "one after the other");
        database.drop_claim("e1").await.unwrap();
        assert_eq!(database.claimed("e1").await.unwrap(), Claim::Gone);
        assert!(!database.swap_epoch(Some("other"), "e3").await.unwrap());
        assert_eq!(database.claimed("e2").await.unwrap(), Claim::Stands);
        assert!(database.swap_epoch(Some("e0"), "e3").await.unwrap());
        assert_eq!(database.claimed("e2").await.unwrap(), Claim::Gone);
        assert_eq!(database.outlook().await.unwrap(), Outlook { epoch: Some("e3".to_owned()), is_pending: false, claim: None });
    }
}
