//! The ledger: what the token store reads from the authority and writes into it.
//!
//! SIGNATURES FIXED, bodies to be written.

use super::{Database, DatabaseError};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::record::{Record, TokenRecord};

/// What an outbox row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        }
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

#[expect(unused_variables, clippy::todo, clippy::unused_async, reason = "bodies to be written")]
impl Database {
    /// Every record a key (or session, or subject) hangs on, the first one being its own: key or session, then principal chain,
    /// tenant, policies. One read transaction. Empty where there is no such row.
    pub async fn records_of(&self, kind: PendingKind, id: Id) -> Result<Vec<Record>, DatabaseError> {
        todo!()
    }
    /// One record as it stands. `None` where there is no such row. Not for tokens.
    pub async fn record(&self, kind: PendingKind, id: Id) -> Result<Option<Record>, DatabaseError> {
        todo!()
    }
    /// Every key, session, subject and policy record, for the embedded store's start (ended ones of the last `max_lifetime` too: harmless).
    pub async fn all_records(&self) -> Result<Vec<Record>, DatabaseError> {
        todo!()
    }
    /// Every key, session, subject, policy record changed at or after `since`.
    pub async fn records_changed(&self, since: UnixMs) -> Result<Vec<Record>, DatabaseError> {
        todo!()
    }
    /// Ids of tokens ended at or after `since`.
    pub async fn tokens_ended(&self, since: UnixMs) -> Result<Vec<Id>, DatabaseError> {
        todo!()
    }
    /// Every token not ended whose idle end and cap are later than `now`.
    pub async fn live_tokens(&self, now: UnixMs) -> Result<Vec<LiveToken>, DatabaseError> {
        todo!()
    }
    /// Upserts a token row (idle_end too). Never revives an ended one: answers false then.
    pub async fn save_token(&self, token: &LiveToken) -> Result<bool, DatabaseError> {
        todo!()
    }
    /// Moves idle ends on (never back, never of ended tokens), one transaction.
    pub async fn slide_tokens(&self, ends: &[(Id, UnixMs)]) -> Result<(), DatabaseError> {
        todo!()
    }
    /// Deletes token rows that ended or whose cap passed before `before`; returns how many.
    pub async fn forget_tokens(&self, before: UnixMs) -> Result<u64, DatabaseError> {
        todo!()
    }
    /// Raises the time high-water mark.
    pub async fn raise_high_water(&self, to: UnixMs) -> Result<(), DatabaseError> {
        todo!()
    }
    /// Outbox rows not done, oldest first, at most `limit`.
    pub async fn pending(&self, limit: u32) -> Result<Vec<Pending>, DatabaseError> {
        todo!()
    }
    /// Marks rows done, in one statement, only where the database's epoch still is `epoch` (None for the embedded store: no question asked).
    /// Answers false where it is another.
    pub async fn done(&self, rows: &[i64], epoch: Option<&str>) -> Result<bool, DatabaseError> {
        todo!()
    }
    /// The epoch written last.
    pub async fn epoch(&self) -> Result<Option<String>, DatabaseError> {
        todo!()
    }
    /// Writes a new epoch.
    pub async fn set_epoch(&self, epoch: &str) -> Result<(), DatabaseError> {
        todo!()
    }
}
