//! The ledger: what the token store reads from the authority and writes into it.
//!
//! Here are the records (keys, sessions, subjects, policies) as they stand; [`tokens`] holds the
//! token rows, [`outbox`] what the store must still be told and the time high-water mark.
//!
//! INVARIANT: what one record hangs on is read in one transaction, so versions and contents belong
//! together.

mod arrivals;
mod outbox;
mod rows;
mod tokens;

use sqlx::AnyConnection;

pub use arrivals::Arriving;

use super::{Act, Database, DatabaseError, column, denials};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::record::{Content, Record, TokenRecord};
use crate::token::store::CHAIN_DEPTH;

/// What an outbox row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PendingKind {
    /// An access token ended.
    Token,
    /// A key was made, changed or ended.
    Key,
    /// A session was made or ended.
    Session,
    /// A principal or tenant was made or changed.
    Subject,
    /// A policy was made, changed or deleted.
    Policy,
    /// Keys were imported; about no record.
    Imports,
    /// A denial in this bucket was made or lifted.
    Denials,
}

impl PendingKind {
    /// As in the outbox.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Key => "key",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::Policy => "policy",
            Self::Imports => "imports",
            Self::Denials => "denials",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Token, Self::Key, Self::Session, Self::Subject, Self::Policy, Self::Imports, Self::Denials]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// An outbox row that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its number; they are applied in this order.
    pub n: i64,
    /// What it is about.
    pub kind: PendingKind,
    /// Whose.
    pub id: Id,
}

/// A token row with its idle end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveToken {
    /// The record.
    pub token: TokenRecord,
    /// When it ends if not used again.
    pub idle_end: UnixMs,
}

impl Database {
    /// Every record a key (or session, or subject) hangs on, the first one being its own: key or session, then principal chain,
    /// tenant, policies. One read transaction. Empty where there is no such row.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn records_of(&self, kind: PendingKind, id: Id) -> Result<Vec<Record>, DatabaseError> {
        records_of(&mut *self.reading().await?, kind, id, self.now()).await
    }

    /// One record as it stands. `None` where there is no such row. Not for tokens.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn record(&self, kind: PendingKind, id: Id) -> Result<Option<Record>, DatabaseError> {
        one(&mut *self.reading().await?, kind, id, self.now()).await
    }

    /// Every subject and policy record, every denial, every key that has not ended and every session that has not: for the embedded
    /// store's start.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn all_records(&self) -> Result<Vec<Record>, DatabaseError> {
        let mut read = self.reading().await?;
        let mut records = rows::principals(&mut read, rows::SINCE, 0).await?;
        records.extend(rows::tenants(&mut read, rows::SINCE, 0).await?);
        records.extend(rows::policies(&mut read, rows::SINCE, 0).await?);
        records.extend(rows::keys(&mut read, rows::LIVE, self.now(), self.now()).await?);
        records.extend(rows::sessions(&mut read, rows::LIVE, self.now()).await?);
        records.extend(denials::changed(&mut read, 0, self.now()).await?);
        Ok(records)
    }

    /// Every key, session, subject, policy record and bucket of denials changed at or after `since`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn records_changed(&self, since: UnixMs) -> Result<Vec<Record>, DatabaseError> {
        let since = column(since);
        let mut read = self.reading().await?;
        let mut records = rows::principals(&mut read, rows::SINCE, since).await?;
        records.extend(rows::tenants(&mut read, rows::SINCE, since).await?);
        records.extend(rows::policies(&mut read, rows::SINCE, since).await?);
        records.extend(rows::keys(&mut read, rows::SINCE, since, self.now()).await?);
        records.extend(rows::sessions(&mut read, rows::SINCE, since).await?);
        records.extend(denials::changed(&mut read, since, self.now()).await?);
        Ok(records)
    }

    /// Every record of a key that came by an import after this one.
    pub(super) async fn records_imported_after(&self, import: i64) -> Result<Vec<Record>, DatabaseError> {
        let mut read = self.reading().await?;
        rows::keys(&mut read, rows::IMPORTED, import, self.now()).await
    }
}

impl Act {
    /// What [`Database::records_of`] reads, with what this act has changed.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn records_of(&mut self, kind: PendingKind, id: Id) -> Result<Vec<Record>, DatabaseError> {
        let now = self.now_column();
        records_of(self.connection(), kind, id, now).await
    }
}

async fn records_of(read: &mut AnyConnection, kind: PendingKind, id: Id, now: i64) -> Result<Vec<Record>, DatabaseError> {
    let mut records = Vec::new();
    let Some(own) = one(read, kind, id, now).await? else { return Ok(records) };
    let mut up = above(&own.content);
    records.push(own);
    let mut policies = Vec::new();
    while let Some(id) = up {
        if records.len() > CHAIN_DEPTH {
            break;
        }
        let Some(subject) = rows::subject(read, id).await? else { break };
        up = above(&subject.content);
        records.push(subject);
    }
    for record in &records {
        if let Content::Subject(subject) = &record.content {
            policies.extend(&subject.policies);
        }
    }
    policies.sort_unstable();
    policies.dedup();
    for id in policies {
        records.extend(one(read, PendingKind::Policy, id, now).await?);
    }
    Ok(records)
}

async fn one(read: &mut AnyConnection, kind: PendingKind, id: Id, now: i64) -> Result<Option<Record>, DatabaseError> {
    let name = id.to_string();
    let mut found = match kind {
        PendingKind::Token | PendingKind::Imports => return Ok(None),
        PendingKind::Key => rows::keys(read, rows::ONE, name, now).await?,
        PendingKind::Session => rows::sessions(read, rows::ONE, name).await?,
        PendingKind::Subject => return rows::subject(read, id).await,
        PendingKind::Policy => rows::policies(read, rows::ONE, name).await?,
        PendingKind::Denials => return denials::bucket(read, id, now).await.map(Some),
    };
    Ok(found.pop())
}

/// The subject that a record hangs on.
fn above(content: &Content) -> Option<Id> {
    match content {
        Content::Key(key) => Some(key.subject),
        Content::Session(session) => Some(session.subject),
        Content::Subject(subject) => subject.up,
        Content::Policy(_) | Content::Denials(_) => None,
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
impl Database {
    /// Runs statements in one transaction, for tests below other folders, which may not name sqlx. Bytes are written `x'00ff'`.
    pub(crate) async fn run_in_test(&self, statements: &[String]) {
        let mut write = self.pool.begin_with(self.engine.begin()).await.unwrap();
        for statement in statements {
            let statement = if self.engine == super::Engine::Postgres { statement.replace("(x'", r"('\x") } else { statement.to_owned() };
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *write).await.unwrap();
        }
        write.commit().await.unwrap();
    }

    /// The number of the outbox row written last.
    pub(crate) async fn last_row_in_test(&self) -> i64 {
        sqlx::query_as::<_, (i64,)>("SELECT COALESCE(MAX(n), 0) FROM outbox").fetch_one(&self.pool).await.unwrap().0
    }

    /// As if the database were gone.
    pub(crate) async fn close_in_test(&self) {
        self.pool.close().await;
    }
}
