//! The pulse of this process: what its gates decided, sample by sample, for the console's overview.
//!
//! In memory, bounded, and of this process alone; what lasts and adds up over replicas is in the metrics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, UnixMs};
use crate::decision::Reason;
use crate::lock::Mutex;

/// How often a sample is taken.
const EVERY: Duration = Duration::from_secs(5);
/// Samples kept: ten minutes of them.
const KEPT: usize = 121;

/// Totals since the start, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: UnixMs,
    /// Checks that were decided.
    pub decided: u64,
    /// Those that were refused, in the order of [`Reason::ALL`].
    pub refused: [u64; Reason::ALL.len()],
    /// Commands to the token store.
    pub asked: u64,
}

/// The samples of the last minutes.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<VecDeque<Sample>>);

impl Pulse {
    /// Takes one in; the oldest makes room.
    pub fn push(&self, sample: Sample) {
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// The oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        self.0.lock().iter().cloned().collect()
    }

    /// Takes a sample again and again.
    pub async fn beat(self: Arc<Self>, clock: Clock, sample: impl Fn(UnixMs) -> Sample) {
        let mut due = tokio::time::interval(EVERY);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            self.push(sample(clock.now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let pulse = Pulse::default();
        for n in 0..=KEPT as u64 {
            pulse.push(Sample { decided: n, ..Sample::default() });
        }
        let samples = pulse.samples();
        assert_eq!((samples.len(), samples[0].decided, samples[KEPT - 1].decided), (KEPT, 1, KEPT as u64));
    }
}
