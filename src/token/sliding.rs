//! Sliding expiry without a write per check (COHERENCE §4): idle ends lie on a grid.
//!
//! A check wants `ceil_g(now + ttl + delay)`, the same on every replica. Only where that is later than
//! the idle end it saw is there anything to write: at most one write per grid step and token,
//! however many checks and replicas. The idle end is never earlier than promised (now + ttl, until
//! the cap) and at most one step and the delay later.

use std::time::Duration;

use crate::clock::{UnixMs, millis};

/// Idle ends wait at most this long for the flusher; what a crash can lose of idle time.
pub(super) const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// The grid of one ttl.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    ttl_ms: u64,
    step_ms: u64,
}

impl Grid {
    /// Steps of a tenth of `ttl`, at least one second.
    pub(super) fn new(ttl: Duration) -> Self {
        let ttl_ms = millis(ttl);
        Self { ttl_ms, step_ms: (ttl_ms / 10).max(1000) }
    }

    /// The idle end of a token used at `now`; never after `cap`.
    pub(super) fn idle_end(&self, now: UnixMs, cap: UnixMs) -> UnixMs {
        let least = now.0.saturating_add(self.ttl_ms).saturating_add(millis(FLUSH_EVERY));
        UnixMs(least.div_ceil(self.step_ms).saturating_mul(self.step_ms).min(cap.0))
    }

    /// The first moment at which a use moves `idle_end` on; never where it is the cap already.
    pub(super) fn due(&self, idle_end: UnixMs, cap: UnixMs) -> UnixMs {
        let due = idle_end.0.saturating_sub(self.ttl_ms).saturating_sub(millis(FLUSH_EVERY)).saturating_add(1);
        UnixMs(if idle_end >= cap { u64::MAX } else { due })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEVER: UnixMs = UnixMs(u64::MAX);

    #[test]
    fn steps_are_a_tenth_of_the_ttl_but_at_least_a_second() {
        assert_eq!(Grid::new(Duration::from_secs(3600)).step_ms, 360_000);
        assert_eq!(Grid::new(Duration::from_secs(3)).step_ms, 1000);
    }

    proptest! {
        #[test]
        fn never_earlier_than_promised_nor_much_later(now in 0u64..1 << 45, ttl in 1u64..90_000) {
            let ttl = Duration::from_secs(ttl);
            let grid = Grid::new(ttl);
            let end = grid.idle_end(UnixMs(now), NEVER);
            prop_assert!(end >= UnixMs(now).after(ttl));
            prop_assert!(end < UnixMs(now).after(ttl + FLUSH_EVERY + Duration::from_millis(grid.step_ms)));
            prop_assert_eq!(end.0 % grid.step_ms, 0);
            prop_assert_eq!(grid.idle_end(UnixMs(now), UnixMs(now)), UnixMs(now));
            prop_assert_eq!(grid.due(UnixMs(now), UnixMs(now)), NEVER);
            let due = grid.due(end, NEVER);
            prop_assert_eq!(grid.idle_end(UnixMs(due.0 - 1), NEVER), end, "nothing to write before");
            prop_assert!(grid.idle_end(due, NEVER) > end);
        }
    }
}
