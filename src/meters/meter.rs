//! Meters: what this process may still let pass of one limit. One atomic decides.
//!
//! A meter holds units that were leased from whoever counts for all processes, and lets each of them pass one check. It never
//! makes any, so all processes together let pass no more than was leased. INVARIANT: nothing here waits, locks or allocates.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::UnixMs;
use crate::decision::limit::Allowance;

/// After so many refusals whoever is refused next may ask for more before the pause is over: a command for so many checks.
const EAGER: u32 = 150;
/// The longest pause between two questions of a process that got less than it wanted, milliseconds: others may have given some back.
const LONGEST_PAUSE_MS: u64 = 5000;
/// The shortest.
const SHORTEST_PAUSE_MS: u64 = 20;
/// How long a quota that is used up is not asked for: another process may give some back.
const QUOTA_PAUSE_MS: u64 = 10_000;
/// A first lease is this part of what may come at once.
const FIRST: u64 = 16;

/// What may still pass.
#[derive(Debug, Default)]
pub struct Meter {
    left: AtomicU64,
    /// When what is left is void: the end of a quota's day or month.
    until_ms: AtomicU64,
    /// Nobody asks for more before this.
    closed_ms: AtomicU64,
    /// Before this only whoever comes after many refusals asks.
    pause_ms: AtomicU64,
    refused: AtomicU32,
    /// How much to ask for next; 0 = nothing was asked for yet.
    wanted: AtomicU64,
    /// When somebody was refused last.
    refused_ms: AtomicU64,
    /// When there may be one more, by whoever counts for all processes; this is told, though somebody may ask before.
    next_ms: AtomicU64,
    /// Whoever asks for more holds it.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// What a meter says to one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may pass.
    Yes,
    /// It may not; one may perhaps pass after so many milliseconds.
    No(u64),
    /// Nothing is left here, and more may be had.
    Ask,
}

/// What was leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// So many units.
    pub units: u64,
    /// Where there were fewer than wanted: after so many milliseconds there may be one more.
    pub next_ms: u64,
    /// When they are void.
    pub until: UnixMs,
}

impl Meter {
    /// Lets one check pass, if it may.
    pub fn take(&self, now: UnixMs) -> Taken {
        if now.0 < self.until_ms.load(Ordering::Acquire) {
            let mut left = self.left.load(Ordering::Relaxed);
            while left > 0 {
                match self.left.compare_exchange_weak(left, left - 1, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => return Taken::Yes,
                    Err(seen) => left = seen,
                }
            }
        }
        if self.may_ask(now) {
            return Taken::Ask;
        }
        let refused = self.refused.fetch_add(1, Ordering::Relaxed);
        self.refused_ms.store(now.0, Ordering::Relaxed);
        let is_closed = now.0 < self.closed_ms.load(Ordering::Acquire);
        if refused >= EAGER && !is_closed { Taken::Ask } else { Taken::No(self.next_in_ms(now).max(1)) }
    }

    /// What a check took is not used: something else refused it.
    pub fn put_back(&self) {
        self.left.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a check was refused here at or after `since`.
    pub fn has_refused(&self, since: UnixMs) -> bool {
        self.refused_ms.load(Ordering::Relaxed) >= since.0.max(1)
    }

    /// When what is left is void.
    pub fn until(&self) -> UnixMs {
        UnixMs(self.until_ms.load(Ordering::Acquire))
    }

    /// Another process refuses: as if this had refused a check, which is told that there may be one more after so many milliseconds.
    pub(super) fn refuse(&self, next_ms: u64, now: UnixMs) {
        self.refused_ms.store(now.0, Ordering::Relaxed);
        self.next_ms.store(now.0.saturating_add(next_ms), Ordering::Relaxed);
    }

    /// In how many milliseconds there may be one more.
    pub fn next_in_ms(&self, now: UnixMs) -> u64 {
        self.next_ms.load(Ordering::Relaxed).saturating_sub(now.0)
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    /// Takes out all that is left, to give it back.
    pub fn drain(&self) -> u64 {
        self.left.swap(0, Ordering::AcqRel)
    }

    /// Whether more may be asked for, many refusals or not.
    fn may_ask(&self, now: UnixMs) -> bool {
        now.0 >= self.pause_ms.load(Ordering::Acquire) && now.0 >= self.closed_ms.load(Ordering::Acquire)
    }

    /// How much to ask for.
    pub(super) fn wants(&self, allowance: Allowance) -> u64 {
        match (allowance, self.wanted.load(Ordering::Acquire)) {
            (Allowance::Rate(rate), 0) => (rate.burst / FIRST).max(1),
            (Allowance::Rate(_), wanted) => wanted,
            // whoever counts says how much is given of it at once
            (Allowance::Quota(_), _) => u64::MAX,
        }
    }

    /// This was leased of the `wanted`, for a check that has the first of it.
    ///
    /// # Errors
    /// In how many milliseconds there may be one for it.
    pub(super) fn fill(&self, lease: Lease, wanted: u64, allowance: Allowance, now: UnixMs) -> Result<(), u64> {
        if self.until_ms.load(Ordering::Acquire) != lease.until.0 {
            // what is left is of another day or month
            self.left.store(0, Ordering::Release);
            self.until_ms.store(lease.until.0, Ordering::Release);
        }
        self.refused.store(0, Ordering::Relaxed);
        let is_short = match allowance {
            Allowance::Rate(rate) => {
                let next = if lease.units < wanted { wanted } else { wanted.saturating_mul(2).min((rate.burst / 2).max(1)) };
                self.wanted.store(next, Ordering::Release);
                lease.units < wanted
            }
            Allowance::Quota(_) => lease.units == 0,
        };
        let (closed, pause) = match (is_short, allowance) {
            (false, _) => (0, 0),
            (true, Allowance::Rate(rate)) => {
                (now.0 + lease.next_ms.min(LONGEST_PAUSE_MS), now.0 + (rate.refill_ms() / 2).clamp(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS))
            }
            (true, Allowance::Quota(_)) => {
                let again = (now.0 + QUOTA_PAUSE_MS).min(lease.until.0);
                (again, again)
            }
        };
        self.closed_ms.store(closed, Ordering::Release);
        self.pause_ms.store(pause, Ordering::Release);
        match lease.units.checked_sub(1) {
            Some(rest) => {
                self.next_ms.store(now.0.saturating_add(lease.next_ms), Ordering::Relaxed);
                self.left.fetch_add(rest, Ordering::AcqRel);
                Ok(())
            }
            None => {
                self.refuse(lease.next_ms, now);
                Err(lease.next_ms.max(1))
            }
        }
    }
}

/// Whether a process may be refusing checks where so many units are there for all: one that got none asks again when half of what may come at
/// once has come back ([`Meter::fill`]).
pub(super) fn may_refuse(allowance: Allowance, units: u64) -> bool {
    match allowance {
        Allowance::Rate(rate) => units <= rate.burst / 2,
        Allowance::Quota(_) => units == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::limit::{Period, Quota, Rate};

    const RATE: Allowance = Allowance::Rate(Rate { count: 100, per_ms: 1000, burst: 100 });
    const QUOTA: Allowance = Allowance::Quota(Quota { amount: 10, each: Period::Day });

    fn lease(units: u64, next_ms: u64) -> Lease {
        Lease { units, next_ms, until: UnixMs(u64::MAX) }
    }

    #[test]
    fn as_many_pass_as_were_leased() {
        let (meter, now) = (Meter::default(), UnixMs(1000));
        assert_eq!(meter.take(now), Taken::Ask);
        assert_eq!(meter.fill(lease(3, 0), 3, RATE, now), Ok(()), "whoever asked has the first");
        assert_eq!([meter.take(now), meter.take(now), meter.take(now)], [Taken::Yes, Taken::Yes, Taken::Ask]);
        meter.put_back();
        assert_eq!((meter.take(now), meter.left()), (Taken::Yes, 0));
    }

    #[test]
    fn whoever_got_too_little_asks_again_after_a_pause_or_many_refusals() {
        let (meter, now) = (Meter::default(), UnixMs(1000));
        assert_eq!(meter.fill(lease(0, 10), 6, RATE, now), Err(10));
        assert_eq!(meter.take(now), Taken::No(10));
        assert!(meter.has_refused(now) && !meter.has_refused(UnixMs(1001)));
        assert_eq!(meter.take(UnixMs(1500)), Taken::Ask, "the pause is over");
        let early = UnixMs(1020);
        let said: Vec<_> = (0..EAGER).map(|_| meter.take(early)).collect();
        assert_eq!(said.iter().filter(|said| **said == Taken::Ask).count(), 1, "one of many");
    }

    #[test]
    fn a_pause_is_short_and_what_is_told_is_not() {
        let (meter, now, hour) = (Meter::default(), UnixMs(1000), 3_600_000);
        let slow = Allowance::Rate(Rate { count: 1, per_ms: hour, burst: 1 });
        assert_eq!(meter.fill(lease(0, hour), 1, slow, now), Err(hour));
        assert_eq!(meter.take(UnixMs(now.0 + LONGEST_PAUSE_MS - 1)), Taken::No(hour - LONGEST_PAUSE_MS + 1));
        assert_eq!(meter.take(UnixMs(now.0 + LONGEST_PAUSE_MS)), Taken::Ask, "somebody may have given some back");
    }

    #[test]
    fn what_is_wanted_grows_while_it_is_given() {
        let (meter, now) = (Meter::default(), UnixMs(1000));
        let mut wanted = Vec::new();
        for _ in 0..5 {
            wanted.push(meter.wants(RATE));
            assert_eq!(meter.fill(lease(meter.wants(RATE), 0), meter.wants(RATE), RATE, now), Ok(()));
        }
        assert_eq!(wanted, [6, 12, 24, 48, 50], "half of what may come at once");
        assert_eq!(meter.fill(lease(1, 10), 50, RATE, now), Ok(()));
        assert_eq!(meter.wants(RATE), 50);
    }

    #[test]
    fn what_is_left_of_a_day_is_void_on_the_next() {
        let meter = Meter::default();
        assert_eq!(meter.fill(Lease { units: 5, next_ms: 0, until: UnixMs(2000) }, u64::MAX, QUOTA, UnixMs(1000)), Ok(()));
        assert_eq!(meter.take(UnixMs(1999)), Taken::Yes);
        assert_eq!(meter.take(UnixMs(2000)), Taken::Ask);
        let none = Lease { units: 0, next_ms: 0, until: UnixMs(9000) };
        assert!(meter.fill(none, u64::MAX, QUOTA, UnixMs(2000)).is_err());
        assert!(matches!(meter.take(UnixMs(2001)), Taken::No(_)));
    }
}
