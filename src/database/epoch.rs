//! The epoch of the token store in Redis, and who may found the next: the database has one, so that there is one token store for it.

use super::{Database, DatabaseError, column};
use crate::clock::UnixMs;

/// What a process that holds an epoch looks for all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The epoch written last.
    pub epoch: Option<String>,
    /// Whether the token store must be told of anything.
    pub is_pending: bool,
    /// The token store of somebody who asks to found the next epoch; who holds the present one refuses it.
    pub claim: Option<String>,
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
            "SELECT epoch, (SELECT MIN(n) FROM outbox WHERE done_at IS NULL), (SELECT MIN(store) FROM claims WHERE refused_by IS NULL)
               FROM installation",
        );
        let (epoch, pending, claim): (Option<String>, Option<i64>, Option<String>) = sqlx::query_as(select).fetch_one(&self.pool).await?;
        Ok(Outlook { epoch, is_pending: pending.is_some(), claim })
    }

    /// Writes a new epoch in place of `old`; false where another one stands there: somebody else recovers. Whoever claims another has to ask
    /// again.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn swap_epoch(&self, old: Option<&str>, new: &str) -> Result<bool, DatabaseError> {
        let mut write = self.pool.begin_with(self.engine.begin()).await?;
        let update = self.sql("UPDATE installation SET epoch = ? WHERE COALESCE(epoch, '') = ?");
        let done = sqlx::query(update).bind(new).bind(old.unwrap_or_default()).execute(&mut *write).await?;
        let is_done = done.rows_affected() > 0;
        if is_done {
            sqlx::query(self.sql("DELETE FROM claims")).execute(&mut *write).await?;
        }
        write.commit().await?;
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

    /// Refuses every claim, where the database still has the epoch `epoch`: it is held, in the token store `by`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn refuse_claims(&self, epoch: &str, by: &str) -> Result<(), DatabaseError> {
        let update = self
            .sql("UPDATE claims SET refused_by = ? WHERE refused_by IS NULL AND EXISTS (SELECT 1 FROM installation i WHERE i.epoch = ?)");
        sqlx::query(update).bind(by).bind(epoch).execute(&self.pool).await?;
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

    /// Deletes claims made before `before`.
    ///
    /// # Errors
    /// Where they cannot be deleted.
    pub async fn forget_claims(&self, before: UnixMs) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("DELETE FROM claims WHERE made_at < ?")).bind(column(before)).execute(&self.pool).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_server::TestDatabase;
    use super::*;
    use crate::clock::Clock;

    const NOW: UnixMs = UnixMs(1_900_000_000_000);

    #[tokio::test]
    async fn a_claim_stands_until_it_is_refused_or_another_epoch_comes() {
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(NOW)).await;
        assert_eq!(database.outlook().await.unwrap(), Outlook { epoch: None, is_pending: false, claim: None });
        assert!(database.swap_epoch(None, "e0").await.unwrap());
        assert!(!database.swap_epoch(None, "e1").await.unwrap(), "somebody else was there first");
        assert_eq!(database.epoch().await.unwrap().as_deref(), Some("e0"));

        let sees = async || database.outlook().await.unwrap().claim;
        for (epoch, store) in [("e1", "redis://a:6379"), ("e2", "redis://b:6379")] {
            database.claim(epoch, store).await.unwrap();
            assert_eq!((database.claimed(epoch).await.unwrap(), sees().await.as_deref()), (Claim::Stands, Some("redis://a:6379")));
        }
        database.refuse_claims("other", "redis://there:6379").await.unwrap();
        assert_eq!(database.claimed("e1").await.unwrap(), Claim::Stands, "that epoch is over");
        database.refuse_claims("e0", "redis://here:6379").await.unwrap();
        let refused = Claim::Refused("redis://here:6379".to_owned());
        for epoch in ["e1", "e2"] {
            assert_eq!((database.claimed(epoch).await.unwrap(), sees().await), (refused.clone(), None));
        }
        database.drop_claim("e1").await.unwrap();
        assert_eq!(database.claimed("e1").await.unwrap(), Claim::Gone);
        database.forget_claims(NOW).await.unwrap();
        assert_eq!(database.claimed("e2").await.unwrap(), refused);
        database.forget_claims(UnixMs(NOW.0 + 1)).await.unwrap();
        assert_eq!(database.claimed("e2").await.unwrap(), Claim::Gone);
        database.claim("e2", "redis://b:6379").await.unwrap();
        assert!(!database.swap_epoch(Some("other"), "e3").await.unwrap());
        assert_eq!(database.claimed("e2").await.unwrap(), Claim::Stands);
        assert!(database.swap_epoch(Some("e0"), "e3").await.unwrap());
        assert_eq!(database.claimed("e2").await.unwrap(), Claim::Gone);
        assert_eq!(database.outlook().await.unwrap(), Outlook { epoch: Some("e3".to_owned()), is_pending: false, claim: None });
    }
}
