//! RECOVER: a Redis that restarted, was emptied or promoted is made whole from the database.
//!
//! Order is everything: the lock; the new epoch into the database; only then are the ends and changes read there,
//! replayed under the lock and logged under the new epoch; then the epoch is founded, only where process and lock are what
//! they were. An end committed before the reading is replayed; one committed later finds the new epoch when it is to be
//! marked done, and is applied again.

use super::{Epoch, Ran};

/// So many ends in a row that the database's epoch did not let be done, and a new epoch is founded though the one there is whole: nobody
/// is on the way to found what the database has.
pub const STRAYS: u32 = 3;

/// One RECOVER under way.
#[derive(Debug)]
pub struct Recovery {
    old: Option<Epoch>,
    new: Epoch,
    portions: usize,
}

/// What came of taking the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// It is ours.
    Ours,
    /// Somebody has it, or it is whole by now.
    ByOthers,
    /// The keys are of another installation.
    Foreign,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Put the new epoch into the database in place of the old, if that still is there.
    SwapEpoch(Option<Epoch>, Epoch),
    /// Read every end and change that may be missing; say how many portions that makes.
    ReadEnds,
    /// Replay this portion.
    Replay(usize),
    /// Found the epoch.
    Found,
    /// It is founded.
    Founded,
    /// Somebody else does it, or will.
    ByOthers,
    /// The keys are of another installation.
    Foreign,
    /// Redis did not answer: let go of the lock, try again.
    Interrupted,
}

impl Recovery {
    /// Begins: the epoch the database has, read before the lock is taken, and the one to come.
    pub fn begin(old: Option<Epoch>, new: Epoch) -> Self {
        Self { old, new, portions: 0 }
    }

    /// Whether the database had no epoch before: then nobody has another, and the new one is settled (see
    /// [`Follower::settled`](super::follower::Follower::settled)).
    pub fn is_first(&self) -> bool {
        self.old.is_none()
    }

    /// The lock was asked for.
    pub fn locked(&self, locked: Locked) -> Next {
        match locked {
            // another recovery may have come in between: the swap notices
            Locked::Ours => Next::SwapEpoch(self.old.clone(), self.new.clone()),
            Locked::ByOthers => Next::ByOthers,
            Locked::Foreign => Next::Foreign,
        }
    }

    /// Whether the database took the new epoch.
    pub fn swapped(&self, swapped: bool) -> Next {
        if swapped { Next::ReadEnds } else { Next::ByOthers }
    }

    /// The ends and changes were read: so many portions.
    pub fn read(&mut self, portions: usize) -> Next {
        self.portions = portions;
        self.portion(0)
    }

    /// This portion was replayed.
    pub fn replayed(&self, portion: usize, ran: Ran<()>) -> Next {
        match ran {
            Ran::Done(()) => self.portion(portion + 1),
            Ran::OtherEpoch => Next::ByOthers,
            Ran::Unanswered => Next::Interrupted,
        }
    }

    fn portion(&self, n: usize) -> Next {
        if n < self.portions { Next::Replay(n) } else { Next::Found }
    }

    /// The epoch was to be founded.
    pub fn founded(&self, ran: Ran<()>) -> Next {
        match ran {
            Ran::Done(()) => Next::Founded,
            Ran::OtherEpoch => Next::ByOthers,
            Ran::Unanswered => Next::Interrupted,
        }
    }
}
