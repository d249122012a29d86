//! CHECK and FILL: by what a check may be answered.
//!
//! Its lease is read first ([`Leave::read`]), then the stamps of what it asks for: what is kept under others counts no more. Only then is
//! the store asked, and what that brings is kept under those stamps.
//! INVARIANT: without a lease nothing is allowed, neither kept nor read; but for `allow_cached_for` after it, and only what is kept.

use crate::token::fence::{Fence, Stamps};

/// By what a check may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// By what is kept, and by the store.
    Leased,
    /// By the store alone, which says itself whether it may be asked: the embedded one.
    Unleased,
    /// By nothing; by what is kept, where a rule says so, for a while after this moment.
    Lapsed(u64),
}

impl Leave {
    /// The lease at `now`, nanoseconds since boot. To be read before anything else of a check.
    pub fn read(fence: &Fence, now: u64) -> Self {
        match fence.lease() {
            lease if lease > now => Self::Leased,
            lapsed => Self::Lapsed(lapsed),
        }
    }

    /// Whether the store may be asked: one that was superseded may still answer.
    pub fn asks(self) -> bool {
        !matches!(self, Self::Lapsed(_))
    }

    /// Whether a check whose stamps are `now` may be answered by a fill begun under `begun`: like what is kept, it counts by them under a
    /// valid lease. That it was sent after the check began is not enough: its answer may come from a server that is the primary no
    /// longer.
    pub fn joins(self, begun: Stamps, now: Stamps) -> bool {
        self == Self::Leased && begun == now
    }
}

/// Whether what is kept may still be used at `now` by a rule that allows it for so long ([`Fence::cached_for`], read before the stamps) after a
/// lease that lapsed at `since`; nanoseconds.
pub fn outlasts(since: u64, cached_for: u64, now: u64) -> bool {
    cached_for > 0 && now < since.saturating_add(cached_for)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::token::store::Ask;

    #[test]
    fn a_lease_says_who_is_asked() {
        let fence = Fence::default();
        assert_eq!(Leave::read(&fence, 0), Leave::Lapsed(0), "there was none");
        fence.set_lease(10);
        assert_eq!((Leave::read(&fence, 9), Leave::read(&fence, 10)), (Leave::Leased, Leave::Lapsed(10)));
        assert!(Leave::Leased.asks() && Leave::Unleased.asks() && !Leave::Lapsed(10).asks());
    }

    #[test]
    fn who_may_join() {
        let fence = Fence::default();
        let stamps = || fence.stamps(Ask::Session(Id::from_bytes([1; 16])));
        let old = stamps();
        fence.bump_all();
        let new = stamps();
        assert!(Leave::Leased.joins(new, new), "as good as what is kept");
        assert!(!Leave::Leased.joins(old, new), "something ended since");
        assert!(!Leave::Unleased.joins(new, new), "without a lease stamps say nothing");
    }

    #[test]
    fn what_is_kept_outlasts_a_lease_only_where_a_rule_says_so() {
        assert!(outlasts(10, 5, 14) && !outlasts(10, 5, 15));
        assert!(!outlasts(10, 0, 9), "no rule says so");
    }
}
