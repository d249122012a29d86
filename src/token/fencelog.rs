//! FenceLog: how the caches of many processes stay provably fresh before one Redis (COHERENCE §3).
//!
//! Every end is counted and logged by the script that applies it. A process follows that log; a heartbeat tells how far
//! the log is, and only a process that has applied all of it gets a lease, measured from *before* the heartbeat was sent.
//! Without a lease nothing is allowed. So an allow happens either after the process heard of the end, or less than the
//! bound after it.
//!
//! This is the protocol without I/O: events go in with the time they happen at, what to do next comes out. Redis, the
//! database and the clock are outside ([`super::redis`]); the simulation puts made-up ones there, which lose, delay and
//! reorder. One file for each rule of the protocol:
//!
//! | rule | file |
//! |---|---|
//! | HEARTBEAT, LOG: epochs adopted, entries applied, leases given | [`follower`] |
//! | END: committed, applied, done | [`ending`] |
//! | MINT: read, write unless newer, save | [`minting`] |
//! | RECOVER: a Redis that lost data is made whole | [`recovery`] |
//! | STRICT: when an end is seen by everybody | [`strict`] |
//! | who is waited for, and from when on no more | [`listing`], [`presence`] |
//! | CHECK, FILL: lease, then stamps, then the record | [`check`], [`super::fence`] |

pub mod check;
pub mod ending;
pub mod follower;
pub mod listing;
pub mod minting;
pub mod presence;
pub mod recovery;
pub mod strict;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Names one life of the data in Redis. Whatever was rolled back, copied or emptied gets a new one once it is whole again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The epoch of this nonce.
    pub fn new(nonce: &str) -> Self {
        Self(nonce.into())
    }

    /// Its nonce.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// What a script said that asks first whether the epoch it was sent is whole here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran<T> {
    /// It did its work.
    Done(T),
    /// The epoch is not whole here, or not this one: nothing was done.
    OtherEpoch,
    /// No answer: it may have been done or not.
    Unanswered,
}

/// How long a lease lasts on the clock of whoever holds it: a clock may run 10 % slow (COHERENCE §2 A1).
pub fn lease(bound: Duration) -> Duration {
    bound.mul_f64(0.9)
}

/// How long who waits for a lease to be over waits on its own clock: it may run 10 % fast.
pub fn outlasting(bound: Duration) -> Duration {
    bound.mul_f64(1.1)
}

/// Nanoseconds, the unit of every point in time here: since boot, suspension included.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
