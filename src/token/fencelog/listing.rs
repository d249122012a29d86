//! LISTING: what the database knows of a process that may hold leases. A strict end waits for the longest that is written there, since
//! Redis may have lost its list of members while one of them still uses what is cached.
//!
//! INVARIANT: a heartbeat gives a lease only where the database knew of this process, and of all it may use, before it was sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::presence::Member;
use crate::clock::millis;

/// How long who is not among the members stays in the database beyond what it may use.
const UNLISTED: Duration = Duration::from_secs(600);

/// What the database knows of this process: the longest `allow_cached_for` (D) it may use, in ms. It only grows.
#[derive(Debug, Default)]
pub struct Listing {
    cached_ms: AtomicU64,
    /// Whether it knows of it since the last heartbeat that found it not among the members. A heartbeat lists it there in any
    /// case, so only the first one tells.
    is_written: AtomicBool,
    /// When the last heartbeat that was answered was sent, nanoseconds since boot.
    heard_ns: AtomicU64,
}

impl Listing {
    /// The longest D it may use.
    pub fn cached(&self) -> Duration {
        Duration::from_millis(self.cached_ms.load(Ordering::Acquire))
    }

    /// A heartbeat sent then was answered. Where this process was not among the members, the others may have taken it off the database's
    /// list, too; and where it was unheard for long, one whose answer got lost may have been the first.
    pub fn hear(&self, sent_ns: u64, was_member: bool) {
        let unheard = Duration::from_nanos(sent_ns.saturating_sub(self.heard_ns.swap(sent_ns, Ordering::AcqRel)));
        if !was_member || unheard > UNLISTED / 2 {
            self.is_written.store(false, Ordering::Release);
        }
    }

    /// Another epoch is adopted: whoever held leases meanwhile may have taken this process off the database's list.
    pub fn doubt(&self) {
        self.is_written.store(false, Ordering::Release);
    }

    /// Which D has to be written before a heartbeat may give a lease, where the rules' longest is this; `None` = the database knows enough.
    pub fn lacks(&self, longest: Duration) -> Option<Duration> {
        let is_enough = self.is_written.load(Ordering::Acquire) && self.cached() >= longest;
        (!is_enough).then(|| longest.max(self.cached()))
    }

    /// The database knows of this D.
    pub fn wrote(&self, cached: Duration) {
        self.cached_ms.fetch_max(millis(cached), Ordering::AcqRel);
        self.is_written.store(true, Ordering::Release);
    }
}

/// Who is in the database and not among the members, with the L and D that it has written there and how often. A superseded primary may have given it
/// leases for `slack` longer.
pub fn unlisted<S>(id: String, listings: S, (bound, cached): (Duration, Duration), slack: Duration) -> Member<S> {
    let lasts = [bound, cached, slack].into_iter().fold(UNLISTED, Duration::saturating_add);
    Member { id, sign: listings, lasts }
}

#[cfg(test)]
mod tests {
    use super::super::presence::Presence;
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn row(cached: Duration, listings: i64) -> Member<i64> {
        unlisted("a".to_owned(), listings, (Duration::from_secs(1), cached), Duration::ZERO)
    }

    #[test]
    fn a_row_stays_for_as_long_as_anything_of_that_process_may_be_used() {
        let gone_at = |cached: Duration| {
            let mut presence = Presence::default();
            (0..200).find(|minute| !presence.gone(vec![row(cached, 1)], minute * MINUTE).is_empty())
        };
        assert_eq!(gone_at(Duration::ZERO), Some(12), "more than 1.1 × 10 min");
        assert_eq!(gone_at(Duration::from_secs(3600)), Some(78), "more than 1.1 × (10 min + 1 h)");
    }

    #[test]
    fn it_is_written_again_where_it_may_have_been_removed() {
        let listing = Listing::default();
        let writes = |minute: u64, was_member| {
            listing.hear(minute * MINUTE, was_member);
            let lacks = listing.lacks(Duration::ZERO);
            lacks.inspect(|cached| listing.wrote(*cached)).is_some()
        };
        let heard = [(100, false), (101, true), (102, false), (103, true), (106, true), (112, true), (113, true)];
        assert_eq!(heard.map(|(minute, was_member)| writes(minute, was_member)), [true, false, true, false, false, true, false]);
    }

    #[test]
    fn a_longer_use_of_what_is_cached_is_written_first_and_never_shortened() {
        let (listing, second) = (Listing::default(), Duration::from_secs(1));
        listing.hear(MINUTE, true);
        assert_eq!(listing.lacks(second), Some(second));
        listing.wrote(second);
        assert_eq!([listing.lacks(second), listing.lacks(Duration::ZERO), listing.lacks(2 * second)], [None, None, Some(2 * second)]);
        listing.doubt();
        assert_eq!(listing.lacks(Duration::ZERO), Some(second), "what was used may be used still");
        listing.wrote(second);
        listing.hear(2 * MINUTE, false);
        assert_eq!(listing.lacks(Duration::ZERO), Some(second));
    }

    #[test]
    fn whoever_lists_itself_again_begins_anew() {
        let mut presence = Presence::default();
        let mut is_gone = |minute: u64, listings| !presence.gone(vec![row(Duration::ZERO, listings)], minute * MINUTE).is_empty();
        assert_eq!([is_gone(0, 1), is_gone(10, 2), is_gone(20, 2), is_gone(22, 2)], [false, false, false, true]);
    }
}
