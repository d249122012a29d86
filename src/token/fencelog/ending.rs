//! END: something is taken away. The database has committed it (step 1, with a row in its outbox); here the store is told
//! (step 2) and the row marked done (step 3). Only then has it been applied.
//!
//! INVARIANT: a row is done only in a statement that finds the database's epoch still the one the store was told in:
//! otherwise the founder of the next may have read the database before the end was committed.
//! INVARIANT: and only where that epoch was settled before the store was told (see [`Follower::settled`]): otherwise it may be
//! one of a superseded primary, while whoever has the promoted one goes on in an earlier epoch and hears of nothing.
//!
//! [`Follower::settled`]: super::follower::Follower::settled

use super::{Epoch, Ran};

/// One END under way.
#[derive(Debug)]
pub struct Ending {
    epoch: Epoch,
    is_settled: bool,
    told: Option<Told>,
}

/// What the store was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// In this epoch.
    pub epoch: Epoch,
    /// The number of the last entry in the log.
    pub n: u64,
    /// When the answer came, nanoseconds since boot.
    pub at: u64,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Mark the rows done, where the database's epoch still is this one.
    MarkDone(Epoch),
    /// It has been applied.
    Applied(Told),
    /// The epoch is over: do it again in the next.
    InNextEpoch,
    /// The store was told, in an epoch that is not settled yet: do it again once it is.
    OnceSettled,
    /// The store cannot be told now: the relay does it later.
    Later,
}

impl Ending {
    /// Begins, in the epoch held, settled or not. To be called before the rows and what they tell of are read from the database.
    pub fn begin(held: &Epoch, is_settled: bool) -> Self {
        Self { epoch: held.clone(), is_settled, told: None }
    }

    /// The epoch to send `gp_end` in.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// `gp_end` ran: the number of its last entry.
    pub fn ran(&mut self, at: u64, ran: Ran<u64>) -> Next {
        match ran {
            Ran::Done(_) if !self.is_settled => Next::OnceSettled,
            Ran::Done(n) => {
                self.told = Some(Told { epoch: self.epoch.clone(), n, at });
                Next::MarkDone(self.epoch.clone())
            }
            Ran::OtherEpoch => Next::InNextEpoch,
            Ran::Unanswered => Next::Later,
        }
    }

    /// Whether the rows were marked; `None` = not known.
    pub fn marked(&mut self, done: Option<bool>) -> Next {
        match (done, self.told.take()) {
            (Some(true), Some(told)) => Next::Applied(told),
            (Some(false), _) => Next::InNextEpoch,
            (None, _) | (_, None) => Next::Later,
        }
    }
}
