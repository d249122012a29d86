//! How long decisions take: a histogram that every thread counts in its own cell.
//!
//! A sample is two additions to memory that no other core writes: no lock, no list of samples to fold later, no look-up.
//! Who asks for it adds the cells up and writes the text itself (Prometheus text format 0.0.4).

use std::cell::Cell;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::BUCKETS;

/// Threads beyond so many share cells.
const CELLS: usize = 32;

/// A histogram.
pub(super) struct Durations {
    cells: [Counts; CELLS],
}

/// What one thread counted. A place in memory of its own: cores that write side by side slow each other down.
#[repr(align(128))]
struct Counts {
    /// Up to each bound, then beyond them all.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    sum_ns: AtomicU64,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's cell; [`usize::MAX`] = none yet.
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The cell that this thread counts in.
fn mine() -> usize {
    let cell = CELL.get();
    if cell != usize::MAX {
        return cell;
    }
    let cell = THREADS.fetch_add(1, Ordering::Relaxed) % CELLS;
    CELL.set(cell);
    cell
}

impl Counts {
    const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS.len() + 1], sum_ns: AtomicU64::new(0) }
    }
}

impl Durations {
    /// Nothing counted.
    pub(super) const fn new() -> Self {
        Self { cells: [const { Counts::new() }; CELLS] }
    }

    /// Counts one.
    pub(super) fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let Some(counts) = self.cells.get(mine()) else { return };
        let bucket = BUCKETS.iter().position(|bound| ns <= bound_ns(*bound)).unwrap_or(BUCKETS.len());
        if let Some(count) = counts.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        counts.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.cells.iter().flat_map(|counts| &counts.buckets).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Writes it as the histogram `name`.
    pub(super) fn render(&self, name: &str, help: &str, text: &mut String) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        let sum = |counter: &dyn Fn(&Counts) -> Option<&AtomicU64>| -> u64 {
            self.cells.iter().filter_map(counter).map(|counter| counter.load(Ordering::Relaxed)).sum()
        };
        let mut count = 0;
        for (n, bound) in BUCKETS.iter().enumerate() {
            count += sum(&|counts| counts.buckets.get(n));
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        count += sum(&|counts| counts.buckets.last());
        let sum_ns = sum(&|counts| Some(&counts.sum_ns));
        let seconds = Duration::from_nanos(sum_ns).as_secs_f64();
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {seconds}\n{name}_count {count}\n");
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are a few seconds at most")]
const fn bound_ns(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_count_is_added_up() {
        static TOOK: Durations = Durations::new();
        let count = || [10, 50, 51, 900_000, 2_000_000].map(|micros| TOOK.record(Duration::from_micros(micros)));
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(count)).collect();
        threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap().len(), 5));
        assert_eq!(TOOK.count(), 15);
        let mut text = String::new();
        TOOK.render("x_seconds", "how long", &mut text);
        for line in [
            "# HELP x_seconds how long",
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{le=\"0.00005\"} 6",
            "x_seconds_bucket{le=\"0.0001\"} 9",
            "x_seconds_bucket{le=\"0.5\"} 9",
            "x_seconds_bucket{le=\"1\"} 12",
            "x_seconds_bucket{le=\"+Inf\"} 15",
            "x_seconds_sum 8.700333",
            "x_seconds_count 15",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
