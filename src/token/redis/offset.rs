//! What time Redis tells, by our clock: how far the two are apart, as heartbeats show.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{UnixMs, millis};

/// So much of a difference changes nothing, so that an idle end read and written again stays the same to the millisecond.
const TOLERATED_MS: u64 = 100;

/// Redis's time less ours, in ms.
#[derive(Debug, Default)]
pub(super) struct Offset(AtomicI64);

impl Offset {
    /// Our time as Redis tells it.
    pub(super) fn redis_time(&self, at: UnixMs) -> UnixMs {
        UnixMs(at.0.saturating_add_signed(self.ms()))
    }

    /// Redis's time as we tell it.
    pub(super) fn our_time(&self, at: UnixMs) -> UnixMs {
        UnixMs(at.0.saturating_add_signed(self.ms().saturating_neg()))
    }

    /// Redis told this time in answer to what was sent and received then. It was told somewhere in between, so the longer the round
    /// trip, the more it takes to contradict what is known.
    pub(super) fn note(&self, redis: UnixMs, sent: UnixMs, received: UnixMs) {
        let signed = |at: UnixMs| i64::try_from(at.0).unwrap_or(i64::MAX);
        let seen = signed(redis).saturating_sub(signed(UnixMs(sent.0.midpoint(received.0))));
        if seen.abs_diff(self.ms()) > TOLERATED_MS.saturating_add(millis(received.since(sent)) / 2) {
            self.0.store(seen, Ordering::Relaxed);
        }
    }

    /// How far Redis is ahead of us, in ms.
    pub(super) fn ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time 1000 of ours, after a heartbeat whose answer took so long and told a time that is ahead by so much.
    fn seen(offset: &Offset, took: u64, ahead: u64) -> u64 {
        offset.note(UnixMs(50_000 + ahead), UnixMs(50_000 - took / 2), UnixMs(50_000 + took / 2));
        assert_eq!(offset.our_time(offset.redis_time(UnixMs(1000))), UnixMs(1000));
        offset.redis_time(UnixMs(1000)).0
    }

    #[test]
    fn what_the_round_trip_accounts_for_changes_nothing() {
        let offset = Offset::default();
        assert_eq!(seen(&offset, 2, 5000), 6000, "another clock");
        assert_eq!(seen(&offset, 2, 5090), 6000, "a small difference");
        assert_eq!(seen(&offset, 4000, 3100), 6000, "told at the beginning of four seconds");
        assert_eq!(seen(&offset, 4000, 8000), 9000, "more than they account for");
        assert_eq!(seen(&offset, 2, 5000), 6000, "a short one mends that");
    }
}
