//! Time: the only home of the system's clocks.
//!
//! A [`Clock`] tells Unix time in milliseconds and never goes back: setting the system clock back
//! revives no credential that has ended. It runs on `CLOCK_BOOTTIME`, which counts suspension,
//! from an anchor that is moved forward when the wall clock is ahead, never back.
//!
//! A floor that is a little ahead ([`Clock::raise_floor`]) does not move the anchor: time stands still until the wall
//! clock is there. Otherwise every start would carry the few seconds on by which the mark of another process, or of the
//! one before, is ahead, and replicas that are started again in turn would drift away from the world.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A point in time, milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
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

    /// As RFC 3339 writes it: UTC, whole seconds.
    pub fn rfc3339(self) -> String {
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_secs(self.seconds())).to_string()
    }
}

/// When a check began, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Nanoseconds since boot: what leases are measured by.
    pub boot_ns: u64,
    /// The time: what ends are measured by.
    pub now: UnixMs,
}

impl Moment {
    /// How long ago it is.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(boottime_ns().saturating_sub(self.boot_ns))
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
    /// The clock of the machine.
    System(Arc<System>),
    /// What a test says.
    Manual(Arc<AtomicU64>),
}

#[derive(Debug, Default)]
struct System {
    /// Unix milliseconds at boot: wall time minus boot time, as far ahead as it was ever seen.
    anchor: AtomicU64,
    /// No earlier than this.
    floor: AtomicU64,
    /// When the wall clock was last looked at, nanoseconds since boot.
    looked: AtomicU64,
}

impl System {
    /// The time by the machine's clocks, the wall clock's first: a pause or a suspension between the two makes what is seen too early,
    /// and the next look mends that. The other way round this process would be ahead for good.
    fn look(&self, wall_ms: impl FnOnce() -> u64, boot_ns: impl FnOnce() -> u64) -> UnixMs {
        let wall = wall_ms();
        let boot_ns = boot_ns();
        let up = boot_ns / 1_000_000;
        self.looked.store(boot_ns, Ordering::Relaxed);
        let seen = wall.saturating_sub(up);
        let anchor = self.anchor.fetch_max(seen, Ordering::AcqRel).max(seen);
        UnixMs(anchor.saturating_add(up).max(self.floor.load(Ordering::Acquire)))
    }
}

/// How often a run of moments looks at the wall clock.
const LOOK_EVERY_NS: u64 = 100_000_000;

/// A floor that is no more than this ahead is waited for. Above it the wall clock was set back, and standing still would
/// keep alive for long what should end.
const STANDSTILL_MS: u64 = 10_000;

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        let clock = Self(Source::System(Arc::default()));
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
            Source::System(system) => system.look(wall_ms, boottime_ns),
            Source::Manual(now) => UnixMs(now.load(Ordering::Acquire)),
        }
    }

    /// Now, by both clocks. The wall clock is looked at now and then only: time goes on without it.
    pub fn moment(&self) -> Moment {
        let boot_ns = boottime_ns();
        let now = match &self.0 {
            Source::System(system) if boot_ns.saturating_sub(system.looked.load(Ordering::Relaxed)) < LOOK_EVERY_NS => {
                let time = system.anchor.load(Ordering::Acquire).saturating_add(boot_ns / 1_000_000);
                UnixMs(time.max(system.floor.load(Ordering::Acquire)))
            }
            _ => self.now(),
        };
        Moment { boot_ns, now }
    }

    /// From here on the time is at least `floor`: the high-water mark an earlier process left.
    pub fn raise_floor(&self, floor: UnixMs) {
        match &self.0 {
            Source::System(system) => {
                if floor.0 > self.now().0.saturating_add(STANDSTILL_MS) {
                    system.anchor.fetch_max(floor.0.saturating_sub(boottime_ms()), Ordering::AcqRel);
                }
                system.floor.fetch_max(floor.0, Ordering::AcqRel);
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
    boottime_ns() / 1_000_000
}

/// Nanoseconds since boot, suspension included (`CLOCK_BOOTTIME`): what leases are measured by.
pub fn boottime_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_in_whole_seconds() {
        let at = [0, 999, 1_900_000_000_000, 1_900_000_000_999, 253_402_300_799_999].map(|ms| UnixMs(ms).rfc3339());
        let expected =
            ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2030-03-17T17:46:40Z", "2030-03-17T17:46:40Z", "9999-12-31T23:59:59Z"];
        assert_eq!(at, expected);
    }

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
    fn a_floor_just_ahead_is_waited_for_and_not_carried_on() {
        let (clock, other) = (Clock::system(), Clock::system());
        let ahead = clock.now().after(Duration::from_millis(300));
        clock.raise_floor(ahead);
        assert_eq!(clock.now(), ahead);
        std::thread::sleep(Duration::from_millis(400));
        assert!(clock.now() > ahead);
        assert!(clock.now().since(other.now()) < Duration::from_millis(100), "as if nothing had been");
    }

    #[test]
    fn a_suspension_while_it_looks_does_not_put_it_ahead() {
        let (system, up) = (System::default(), std::cell::Cell::new(1_000));
        // the machine sleeps for `ms` after whichever clock was read first
        let look = |ms: u64| {
            let sleep = || up.replace(up.get() + ms / 2);
            system.look(|| 1_900_000_000_000 + sleep(), || sleep() * 1_000_000)
        };
        let is = || UnixMs(1_900_000_000_000 + up.get());
        assert_eq!(look(0), is());
        assert!(look(60_000) <= is());
        assert_eq!(look(0), is());
    }

    #[test]
    fn a_moment_is_now() {
        let clock = Clock::system();
        for _ in 0..1000 {
            let (before, moment, after) = (clock.now(), clock.moment(), clock.now());
            assert!(before <= moment.now && moment.now <= after);
        }
        clock.raise_floor(clock.now().after(Duration::from_secs(3600)));
        assert!(clock.moment().now >= clock.now().before(Duration::from_secs(1)));
        assert_eq!(Clock::manual(UnixMs(7)).moment().now, UnixMs(7));
    }

    #[test]
    fn manual_clock_moves_when_told() {
        let clock = Clock::manual(UnixMs(1_000));
        assert_eq!(clock.now(), UnixMs(1_000));
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now(), UnixMs(3_000));
    }
}
