//! STRICT: when no check that begins from now on can be allowed by what has ended.
//!
//! Either every process that may hold a lease has said that it applied the end, or so much time has passed that no lease
//! given before it can last.

use std::time::Duration;

use super::ending::Told;
use super::follower::Ack;
use super::{Epoch, nanos, outlasting};

/// What a wait depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// The longest bound (L) of any process that the database knows of.
    pub bound: Duration,
    /// The longest `allow_cached_for` (D) of any.
    pub cached: Duration,
    /// How long a superseded primary may still take writes, and so give leases: Sentinel and Cluster; zero for one Redis alone.
    pub slack: Duration,
}

impl Longest {
    /// W: what no lease given before an end was applied can outlast. A superseded primary gave its last one before that: the epoch was
    /// settled.
    pub fn wait(self) -> Duration {
        outlasting(self.bound.saturating_add(self.cached))
    }

    /// What no lease given before an epoch was founded can outlast.
    fn hold(self) -> Duration {
        outlasting(self.bound.saturating_add(self.cached).saturating_add(self.slack))
    }
}

/// One strict end that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strict {
    told: Told,
    longest: Longest,
}

impl Strict {
    /// Begins to wait: the end has been applied.
    pub fn begin(told: Told, longest: Longest) -> Self {
        Self { told, longest }
    }

    /// When it returns at the latest, nanoseconds since boot.
    pub fn until(&self) -> u64 {
        self.told.at.saturating_add(nanos(self.longest.wait()))
    }

    /// Whether the acknowledgements of the members count: this process has held the epoch for so long that no lease of an
    /// earlier one is left, so whoever holds one is listed.
    pub fn may_ask(&self, now: u64, held: Option<(&Epoch, u64)>) -> bool {
        let outlasted = |since: u64| now.saturating_sub(since) >= nanos(self.longest.hold());
        held.is_some_and(|(epoch, since)| *epoch == self.told.epoch && outlasted(since))
    }

    /// Whether these, one for each listed member, say that all have applied it.
    pub fn is_acknowledged<'a>(&self, acks: impl IntoIterator<Item = Option<&'a Ack>>) -> bool {
        acks.into_iter().all(|ack| ack.is_some_and(|ack| ack.epoch == self.told.epoch && ack.n >= self.told.n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn strict(slack: u64) -> Strict {
        let longest = Longest { bound: Duration::from_secs(1), cached: Duration::from_secs(2), slack: Duration::from_secs(slack) };
        Strict::begin(Told { epoch: Epoch::new("a"), n: 5, at: 10 * SECOND }, longest)
    }

    fn ack(epoch: &str, n: u64) -> Ack {
        Ack { epoch: Epoch::new(epoch), n }
    }

    #[test]
    fn by_time() {
        assert_eq!(strict(0).until(), 13 * SECOND + 300_000_000);
        assert_eq!(strict(3).until(), 13 * SECOND + 300_000_000);
    }

    #[test]
    fn by_acknowledgement_in_an_epoch_held_long_enough() {
        let (a, b) = (Epoch::new("a"), Epoch::new("b"));
        assert!(strict(0).may_ask(10 * SECOND, Some((&a, 6 * SECOND))));
        assert!(!strict(0).may_ask(10 * SECOND, Some((&a, 7 * SECOND))), "a lease of the epoch before may be left");
        assert!(!strict(0).may_ask(10 * SECOND, Some((&b, 0))), "another epoch");
        assert!(!strict(0).may_ask(10 * SECOND, None));
        assert!(!strict(4).may_ask(10 * SECOND, Some((&a, 3 * SECOND))), "a superseded primary may have given leases meanwhile");
        assert!(strict(4).may_ask(10 * SECOND, Some((&a, 2 * SECOND))));
    }

    #[test]
    fn everybody_has_to_say_so_in_this_epoch() {
        let said = |acks: &[Option<Ack>]| strict(0).is_acknowledged(acks.iter().map(Option::as_ref));
        assert!(said(&[Some(ack("a", 5)), Some(ack("a", 9))]));
        assert!(!said(&[Some(ack("a", 5)), None]));
        assert!(!said(&[Some(ack("a", 4))]));
        assert!(!said(&[Some(ack("b", 9))]));
    }
}
