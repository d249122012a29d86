//! RECOVER: a Redis that restarted, was emptied or promoted is made whole from the database.
//!
//! Order is everything: the lock; the new epoch into the database; only then are the ends and changes read there,
//! replayed under the lock and logged under the new epoch; then the epoch is founded, only where process and lock are what
//! they were. An end committed before the reading is replayed; one committed later finds the new epoch when it is to be
//! marked done, and is applied again.
//!
//! The database has one epoch, so one Redis: who has never known that epoch, and finds nothing of it in its Redis, asks through the database
//! before it takes it from whoever holds it elsewhere. Two Redis on one database are a mistake (each process with one of its own machine, say),
//! and the later comer is told.

use super::{Epoch, Ran};

/// One RECOVER under way.
#[derive(Debug)]
pub struct Recovery {
    old: Option<Epoch>,
    is_known: bool,
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

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// Nobody has refused it in the time that it was given.
    Stands,
    /// Who holds the epoch has.
    Refused,
    /// Another epoch was founded meanwhile.
    Overtaken,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask, through the database, whether somebody holds its epoch in another Redis.
    Claim(Epoch),
    /// Somebody does.
    Refused,
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
    /// Begins: the epoch the database has, read before the lock is taken, and the one to come. `knows`: whether this process has held that
    /// epoch, or its Redis has data of it.
    pub fn begin(old: Option<Epoch>, new: Epoch, knows: impl FnOnce(&Epoch) -> bool) -> Self {
        let is_known = old.as_ref().is_none_or(knows);
        Self { old, is_known, new, portions: 0 }
    }

    /// Whether the database had no epoch before: then nobody has another, and the new one is settled (see
    /// [`Follower::settled`](super::follower::Follower::settled)).
    pub fn is_first(&self) -> bool {
        self.old.is_none()
    }

    /// The lock was asked for.
    pub fn locked(&self, locked: Locked) -> Next {
        match locked {
            Locked::Ours if self.is_known => self.swap(),
            Locked::Ours => Next::Claim(self.new.clone()),
            Locked::ByOthers => Next::ByOthers,
            Locked::Foreign => Next::Foreign,
        }
    }

    /// The claim was made. Refused by mistake, or not in time, nothing is allowed that must not be: who holds an epoch that the database has no
    /// longer has no lease once it has looked.
    pub fn claimed(&self, claimed: Claimed) -> Next {
        match claimed {
            Claimed::Stands => self.swap(),
            Claimed::Refused => Next::Refused,
            // before the database's epoch was read, maybe: the swap would not notice
            Claimed::Overtaken => Next::ByOthers,
        }
    }

    fn swap(&self) -> Next {
        // another recovery may have come in between: the swap notices
        Next::SwapEpoch(self.old.clone(), self.new.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_knew_the_databases_epoch_asks_before_it_founds_the_next() {
        let (old, new) = (Epoch::new("old"), Epoch::new("new"));
        let begin = |old: Option<&Epoch>, knows: bool| Recovery::begin(old.cloned(), new.clone(), |_| knows);
        let swap = |old: Option<&Epoch>| Next::SwapEpoch(old.cloned(), new.clone());
        assert_eq!(begin(None, false).locked(Locked::Ours), swap(None), "the first of all");
        assert_eq!(begin(Some(&old), true).locked(Locked::Ours), swap(Some(&old)));
        let asks = begin(Some(&old), false);
        assert_eq!(asks.locked(Locked::ByOthers), Next::ByOthers);
        assert_eq!(asks.locked(Locked::Ours), Next::Claim(new.clone()));
        let claimed = [Claimed::Stands, Claimed::Refused, Claimed::Overtaken].map(|claimed| asks.claimed(claimed));
        assert_eq!(claimed, [swap(Some(&old)), Next::Refused, Next::ByOthers]);
    }
}
