//! MINT: records that are missing, and the token that hangs on them.
//!
//! INVARIANT: the epoch is the one held before the records are read. Every end applied in it since then stands in this
//! store under a higher version, and the script writes nothing.
//! INVARIANT: a token's row is saved after the script wrote it, so nobody can end it before; and a token that the
//! database has ended meanwhile is ended in the store, never given out.

use super::{Epoch, Ran};

/// One MINT under way.
#[derive(Debug)]
pub struct Minting {
    epoch: Epoch,
}

/// What `gp_mint` said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrote {
    /// The token, or the one that was there.
    It,
    /// Nothing: a record here is newer than what was read.
    NewerThere,
    /// Nothing: the key has as many live tokens as it may.
    TooMany,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Save the token's row in the database.
    Save,
    /// Give the token out.
    Minted,
    /// The database has ended that token: end it in the store, then begin again.
    EndIt,
    /// Begin again, with a new id.
    Again,
    /// Begin again once the next epoch is held.
    InNextEpoch,
    /// As many live ones as there may be.
    TooMany,
    /// It cannot be known whether it was written; nobody has seen its text.
    Unavailable,
}

impl Minting {
    /// Begins, in the epoch held. To be called before the records are read from the database.
    pub fn begin(held: &Epoch) -> Self {
        Self { epoch: held.clone() }
    }

    /// The epoch to send `gp_mint` in.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// `gp_mint` ran.
    pub fn ran(&self, ran: Ran<Wrote>) -> Next {
        match ran {
            Ran::Done(Wrote::It) => Next::Save,
            Ran::Done(Wrote::NewerThere) => Next::Again,
            Ran::Done(Wrote::TooMany) => Next::TooMany,
            Ran::OtherEpoch => Next::InNextEpoch,
            Ran::Unanswered => Next::Unavailable,
        }
    }

    /// The row was saved, or refused because the database has ended that token; `None` = not known.
    pub fn saved(&self, saved: Option<bool>) -> Next {
        match saved {
            Some(true) => Next::Minted,
            Some(false) => Next::EndIt,
            None => Next::Unavailable,
        }
    }
}
