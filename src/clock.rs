//! Time: the only home of the system's clocks.
//!
//! A [`Clock`] tells Unix time in milliseconds and never goes back: setting the system clock back
//! revives no credential that has ended. It runs on `CLOCK_BOOTTIME`, which counts suspension,
//! from an anchor that is moved forward when the wall clock is ahead, never back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A point in time, milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// The later point `by` from here; saturates.
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// The earlier point `by` before here; saturates at 1970.
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }

    /// How long from `earlier` to here; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// `duration` in whole milliseconds; saturates.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Tells the time; clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Unix milliseconds at boot: wall time minus boot time, as far ahead as it was ever seen.
    System(Arc<AtomicU64>),
    /// What a test says.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        let clock = Self(Source::System(Arc::new(AtomicU64::new(0))));
        clock.now();
        clock
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: UnixMs) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(now.0))))
    }

    /// The time now; never less than any answer before, nor than any floor.
    pub fn now(&self) -> UnixMs {
        match &self.0 {
            Source::System(anchor) => {
                let up = boottime_ms();
                let seen = wall_ms().saturating_sub(up);
                let anchor = anchor.fetch_max(seen, Ordering::AcqRel).max(seen);
                UnixMs(anchor.saturating_add(up))
            }
            Source::Manual(now) => UnixMs(now.load(Ordering::Acquire)),
        }
    }

    /// From here on the time is at least `floor`: the high-water mark an earlier process left.
    pub fn raise_floor(&self, floor: UnixMs) {
        match &self.0 {
            Source::System(anchor) => {
                anchor.fetch_max(floor.0.saturating_sub(boottime_ms()), Ordering::AcqRel);
            }
            Source::Manual(now) => {
                now.fetch_max(floor.0, Ordering::AcqRel);
            }
        }
    }

    /// Moves a manual clock on; the machine's clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(millis(by), Ordering::AcqRel);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, millis)
}

/// Milliseconds since boot, suspension included (`CLOCK_BOOTTIME`).
pub fn boottime_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_below_its_floor() {
        let clock = Clock::system();
        let ahead = clock.now().after(Duration::from_secs(3600));
        clock.raise_floor(ahead);
        assert!(clock.now() >= ahead);
        clock.raise_floor(UnixMs(1));
        assert!(clock.now() >= ahead);
    }

    #[test]
    fn manual_clock_moves_when_told() {
        let clock = Clock::manual(UnixMs(1_000));
        assert_eq!(clock.now(), UnixMs(1_000));
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now(), UnixMs(3_000));
    }
}
