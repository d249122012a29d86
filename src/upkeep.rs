//! Upkeep: when it is looked for what is old and may go.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// When first: a start has enough to do.
const FIRST: Duration = Duration::from_secs(60);

/// Ticks again and again, a minute after the start first.
pub(crate) fn after_the_start(every: Duration) -> Interval {
    let mut due = interval_at(Instant::now() + FIRST, every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due
}
