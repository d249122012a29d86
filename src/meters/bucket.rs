//! Buckets: how much of a rate is there to be leased, where no other process counts.
//!
//! The same arithmetic as `lease.lua`: a bucket is one number, the moment at which it will be full.

use crate::clock::UnixMs;
use crate::decision::limit::Rate;

/// What there is of one rate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    full_at_ms: f64,
}

impl Bucket {
    /// Takes up to `wanted` units out; where none are wanted, says how many are there. How many those are, and in how many milliseconds there
    /// is one more.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "far below 2^52, not negative"
    )]
    pub(super) fn take(&mut self, rate: Rate, wanted: u64, now: UnixMs) -> (u64, u64) {
        let (now_ms, interval_ms, burst) = (now.0 as f64, rate.interval_ms(), rate.burst as f64);
        // of a bucket that another rate left behind no more is missing than fits in
        let full_at_ms = self.full_at_ms.clamp(now_ms, now_ms + burst * interval_ms);
        let there = burst - (full_at_ms - now_ms) / interval_ms;
        let whole = (there + 1e-6).floor().max(0.0);
        let units = whole.min(wanted as f64);
        self.full_at_ms = full_at_ms + units * interval_ms;
        let next_ms = ((1.0 - (there - units)) * interval_ms).max(0.0).ceil();
        let said = if wanted > 0 { units } else { whole };
        (said as u64, next_ms as u64)
    }

    /// Puts units back that were not used.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(super) fn put_back(&mut self, rate: Rate, units: u64) {
        self.full_at_ms -= units as f64 * rate.interval_ms();
    }

    /// Whether it says no more than a new one would.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(super) fn is_full(&self, now: UnixMs) -> bool {
        self.full_at_ms <= now.0 as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { count: 10, per_ms: 1000, burst: 5 };

    #[test]
    fn a_burst_then_one_by_one() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(RATE, 3, UnixMs(1000)), (3, 0));
        assert_eq!(bucket.take(RATE, 9, UnixMs(1000)), (2, 100));
        assert_eq!(bucket.take(RATE, 9, UnixMs(1050)), (0, 50));
        assert_eq!([bucket.take(RATE, 0, UnixMs(1050)), bucket.take(RATE, 0, UnixMs(1250))], [(0, 50), (2, 0)], "looked at, not taken");
        assert_eq!(bucket.take(RATE, 9, UnixMs(1100)), (1, 100));
        bucket.put_back(RATE, 1);
        assert_eq!(bucket.take(RATE, 9, UnixMs(1100)).0, 1);
        assert!(!bucket.is_full(UnixMs(1500)) && bucket.is_full(UnixMs(1600)));
    }

    proptest! {
        /// Whatever is asked whenever: never more than a burst and what the time has brought.
        #[test]
        fn never_more_than_the_rate_gives(asked in proptest::collection::vec((0u64..300, 0u64..50), 1..60), count in 1u64..200, burst in 1u64..40) {
            let rate = Rate { count, per_ms: 1000, burst };
            let (mut bucket, mut now, mut given) = (Bucket::default(), 1_900_000_000_000, 0);
            let began = now;
            for (pause, wanted) in asked {
                now += pause;
                given += bucket.take(rate, wanted, UnixMs(now)).0.min(wanted);
                let most = burst as f64 + (now - began) as f64 / rate.interval_ms();
                prop_assert!(given as f64 <= most + 0.01, "{given} of {most}");
            }
        }
    }
}
