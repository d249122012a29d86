//! HEARTBEAT and LOG: one process follows the log of ends, and holds a lease while it is up to date.
//!
//! INVARIANT: generations are bumped, then the entry counts as applied, then a lease is stored: a check that sees the
//! lease sees every end before it.
//! INVARIANT: a lease is measured from before its heartbeat was sent.
//! INVARIANT: and given only in the epoch that the database was found to have: a Redis that is whole may be another one than that whose
//! ends the database marks done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Epoch, lease, nanos, outlasting};
use crate::id::Id;
use crate::token::fence::Fence;

/// Most heartbeats that wait for the log; the oldest goes, a newer one gives the longer lease.
const WAITING: usize = 8;
/// So often in a row has the database another epoch than a whole Redis, and a new one is founded: nobody is on the way to found what the
/// database has.
const STRAYS: u32 = 3;
/// For so long after its last heartbeat does who held the database's epoch refuse that another, who has never known it, founds the next.
const DEFENDED: Duration = Duration::from_secs(60);

/// What a heartbeat brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// When it was sent, nanoseconds since boot, read before sending.
    pub sent: u64,
    /// The longest `allow_cached_for` that the database listed when it was sent.
    pub cached: Duration,
    /// How far the log was applied when it was sent.
    pub applied: Option<Ack>,
    /// The connection it came by, numbered by the caller.
    pub link: u64,
    /// The epoch, where it is whole; `None` = Redis restarted, was promoted or emptied.
    pub whole: Option<Epoch>,
    /// Whether somebody wrote down beside the epoch that it is settled.
    pub settled: bool,
    /// How many entries the log has had in this epoch.
    pub seq: u64,
    /// The position of the last of them.
    pub last: Arc<str>,
}

/// What an entry of the log concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// One token, key or session.
    One(Id),
    /// A subject, policy or tenant: whoever hangs on it is not known here.
    All,
    /// Keys that were imported: nothing ended.
    Imports,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The epoch it was written in.
    pub epoch: Epoch,
    /// Its number in it.
    pub n: u64,
    /// What ended or changed.
    pub concerns: Concern,
    /// Where it is in the log.
    pub position: Arc<str>,
}

/// What follows from a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// RECOVER is due.
    NotWhole,
    /// A new epoch: what was cached is forgotten, the log is read from a new position.
    Adopted,
    /// The epoch held; a lease comes once the log is applied.
    Ours,
}

/// How far the log was applied, to be told to whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// In this epoch.
    pub epoch: Epoch,
    /// Up to this entry.
    pub n: u64,
}

/// Follows the log.
#[derive(Debug)]
pub struct Follower {
    fence: Arc<Fence>,
    lease: u64,
    patience: u64,
    held: Option<Held>,
    /// The epoch held last, or about to be founded by this process, and until when it is defended.
    known: Option<(Epoch, u64)>,
}

#[derive(Debug)]
struct Held {
    epoch: Epoch,
    since: u64,
    settled: bool,
    agreement: Agreement,
    applied: u64,
    position: Arc<str>,
    /// Heartbeats whose log is not applied yet.
    waiting: VecDeque<Waiting>,
}

/// Whether the database has the epoch held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// Nothing is held, or the database was not asked.
    Unknown,
    /// It has.
    Agrees,
    /// So many times in a row it had another.
    Differs(u32),
}

impl Held {
    /// Whether the log has not brought for so long what the heartbeats count. Where they wait for the database, that says nothing.
    fn is_behind(&self, now: u64, patience: u64) -> bool {
        self.agreement == Agreement::Agrees && self.waiting.front().is_some_and(|oldest| now.saturating_sub(oldest.sent) >= patience)
    }
}

#[derive(Debug)]
struct Waiting {
    sent: u64,
    cached: Duration,
    link: u64,
    seq: u64,
}

impl Follower {
    /// Follows nothing yet. `bound` is L.
    pub fn new(fence: Arc<Fence>, bound: Duration) -> Self {
        Self { fence, lease: nanos(lease(bound)), patience: nanos(bound), held: None, known: None }
    }

    /// The epoch held.
    pub fn epoch(&self) -> Option<&Epoch> {
        self.held.as_ref().map(|held| &held.epoch)
    }

    /// The epoch held, and since when.
    pub fn held(&self) -> Option<(&Epoch, u64)> {
        self.held.as_ref().map(|held| (&held.epoch, held.since))
    }

    /// The epoch held, where it is settled at `now`: no superseded primary's. `slack` is how long one may still take writes, zero for
    /// one Redis alone. A primary that takes a write in an epoch held for longer than that was not superseded when the epoch was
    /// founded, so whoever has another primary has one that this superseded, or one that was promoted since and has a later epoch.
    /// The first epoch of all is settled from the beginning: nobody has another.
    pub fn settled(&self, now: u64, slack: Duration) -> Option<&Epoch> {
        let is_settled = |held: &&Held| held.settled || now.saturating_sub(held.since) >= nanos(outlasting(slack));
        self.held.as_ref().filter(is_settled).map(|held| &held.epoch)
    }

    /// The same where that had to be waited for and nobody wrote it down beside the epoch: the next heartbeat does.
    pub fn settles(&self, now: u64, slack: Duration) -> Option<&Epoch> {
        let is_known = slack.is_zero() || self.held.as_ref().is_some_and(|held| held.settled);
        self.settled(now, slack).filter(|_| !is_known)
    }

    /// The database was asked after `epoch` had been taken from [`Self::epoch`]: whether it has that one. Where it has another, somebody
    /// founds that one here, or has done so in another Redis: no lease is given before the two agree, by the next heartbeat.
    pub fn compared(&mut self, now: u64, epoch: &Epoch, has_it: bool) {
        let Some(held) = self.held.as_mut().filter(|held| held.epoch == *epoch) else { return };
        held.agreement = match held.agreement {
            _ if has_it => Agreement::Agrees,
            Agreement::Differs(times) => Agreement::Differs(times.saturating_add(1)),
            Agreement::Unknown | Agreement::Agrees => Agreement::Differs(1),
        };
        if !has_it {
            // what may be used after a lease may be from here on
            self.fence.set_lease(self.fence.lease().min(now));
        }
    }

    /// Whether the database has the epoch held, as it was found to when it was asked last.
    pub fn agreement(&self) -> Agreement {
        self.held.as_ref().map_or(Agreement::Unknown, |held| held.agreement)
    }

    /// Whether `epoch` is the one held, and the database goes on having another: it lost that one, its founder died, or it is another Redis's.
    pub fn is_stray(&self, epoch: &str) -> bool {
        let is_stray = |held: &Held| held.epoch.as_str() == epoch && matches!(held.agreement, Agreement::Differs(times) if times >= STRAYS);
        self.held.as_ref().is_some_and(is_stray)
    }

    /// Whether this process knows that `epoch` belongs to its Redis.
    pub fn has_known(&self, epoch: &Epoch) -> bool {
        self.known.as_ref().is_some_and(|(known, _)| known == epoch)
    }

    /// Whether it still speaks for it at `now`: see [`Recovery::locked`](super::recovery::Recovery::locked).
    pub fn defends(&self, epoch: &Epoch, now: u64) -> bool {
        self.known.as_ref().is_some_and(|(known, until)| known == epoch && now < *until)
    }

    /// RECOVER: the database has this epoch, which this process is about to found.
    pub fn founds(&mut self, epoch: &Epoch, now: u64) {
        self.known = Some((epoch.clone(), now + nanos(DEFENDED)));
    }

    /// RECOVER came to nothing: whoever can may found another.
    pub fn gives_up(&mut self, epoch: &Epoch) {
        if let Some((_, until)) = self.known.as_mut().filter(|(known, _)| known == epoch) {
            *until = 0;
        }
    }

    /// From where the log is to be read.
    pub fn position(&self) -> Option<Arc<str>> {
        self.held.as_ref().map(|held| Arc::clone(&held.position))
    }

    /// How far the log is applied.
    pub fn ack(&self) -> Option<Ack> {
        self.held.as_ref().map(|held| Ack { epoch: held.epoch.clone(), n: held.applied })
    }

    /// HEARTBEAT: an answer came.
    pub fn beat(&mut self, now: u64, beat: Beat) -> Heard {
        let Some(epoch) = beat.whole else {
            self.fence.set_lease(0);
            self.held = None;
            return Heard::NotWhole;
        };
        self.founds(&epoch, now);
        let patience = self.patience;
        // numbers that begin again, though nobody founded an epoch, were lost by hand or in a Cluster's move of its keys
        let begins_again = beat.applied.is_some_and(|known| known.epoch == epoch && beat.seq < known.n);
        match self.held.as_mut().filter(|held| held.epoch == epoch && !begins_again) {
            // a log that does not bring what the heartbeats count has lost it: begin anew behind the gap
            Some(held) if !held.is_behind(now, patience) => {
                if held.waiting.len() == WAITING {
                    // the oldest stays: it says since when the log is behind
                    held.waiting.remove(1);
                }
                held.settled |= beat.settled;
                held.waiting.push_back(Waiting { sent: beat.sent, cached: beat.cached, link: beat.link, seq: beat.seq });
                self.give_lease();
                Heard::Ours
            }
            _ => {
                self.fence.set_lease(0);
                self.fence.bump_all();
                self.fence.bump_imports();
                let (position, waiting) = (beat.last, VecDeque::new());
                let agreement = self.held.take().filter(|held| held.epoch == epoch).map_or(Agreement::Unknown, |held| held.agreement);
                self.held = Some(Held { epoch, since: now, settled: beat.settled, agreement, applied: beat.seq, position, waiting });
                Heard::Adopted
            }
        }
    }

    /// LOG: entries came, in their order.
    pub fn entries(&mut self, entries: &[Entry]) -> Option<Ack> {
        let held = self.held.as_mut()?;
        for entry in entries {
            held.position = Arc::clone(&entry.position);
            if entry.epoch != held.epoch {
                continue;
            }
            if entry.n != held.applied + 1 {
                self.fence.bump_all();
                self.fence.bump_imports();
            }
            match entry.concerns {
                Concern::One(id) => self.fence.bump(id),
                Concern::All => self.fence.bump_all(),
                Concern::Imports => self.fence.bump_imports(),
            }
            held.applied = entry.n;
        }
        self.give_lease();
        self.ack()
    }

    /// A connection that carried heartbeats and fills ended: answers that still wait die with it. What is cached stays until the
    /// lease is over.
    pub fn lost(&mut self, link: u64) {
        if let Some(held) = &mut self.held {
            held.waiting.retain(|waiting| waiting.link != link);
        }
    }

    /// Another connection stands in its place: what was read before is read again.
    pub fn replaced(&self) {
        self.fence.bump_all();
    }

    /// The process stops: no check is allowed from here on.
    pub fn stop(&mut self) {
        self.held = None;
        self.fence.set_lease(0);
    }

    fn give_lease(&mut self) {
        let Some(held) = &mut self.held else { return };
        if held.agreement != Agreement::Agrees {
            return;
        }
        let applied = held.applied;
        let longest = held.waiting.iter().filter(|waiting| waiting.seq <= applied).max_by_key(|waiting| waiting.sent);
        if let Some(Waiting { sent, cached, .. }) = longest {
            self.fence.set_lease(self.fence.lease().max(sent.saturating_add(self.lease)));
            // not before: whoever waits for an earlier lease may not know of it
            self.fence.allow_cached(*cached);
        }
        held.waiting.retain(|waiting| waiting.seq > applied);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::store::Ask;

    const SECOND: u64 = 1_000_000_000;
    const LEASE: u64 = 900_000_000;

    fn follower() -> (Follower, Arc<Fence>) {
        let fence = Arc::new(Fence::default());
        (Follower::new(Arc::clone(&fence), Duration::from_secs(1)), fence)
    }

    fn beat(sent: u64, epoch: &str, seq: u64) -> Beat {
        Beat {
            sent,
            cached: Duration::ZERO,
            applied: None,
            link: 1,
            whole: (!epoch.is_empty()).then(|| Epoch::new(epoch)),
            settled: false,
            seq,
            last: "0-0".into(),
        }
    }

    /// The database has the epoch held.
    fn agree(follower: &mut Follower) {
        let held = follower.epoch().unwrap().clone();
        follower.compared(0, &held, true);
    }

    fn entry(epoch: &str, n: u64, concerns: Concern) -> Entry {
        Entry { epoch: Epoch::new(epoch), n, concerns, position: format!("{n}-0").into() }
    }

    #[test]
    fn an_epoch_is_settled_once_no_superseded_primary_can_still_write_in_it() {
        let (mut follower, _) = follower();
        let (a, slack) = (Epoch::new("a"), Duration::from_secs(10));
        assert_eq!(follower.settled(SECOND, Duration::ZERO), None);
        follower.beat(SECOND, beat(SECOND, "a", 7));
        assert_eq!(
            (follower.settled(SECOND, Duration::ZERO), follower.settles(SECOND, Duration::ZERO)),
            (Some(&a), None),
            "one Redis alone"
        );
        assert_eq!(follower.settled(12 * SECOND - 1, slack), None);
        assert_eq!(
            (follower.settled(12 * SECOND, slack), follower.settles(12 * SECOND, slack)),
            (Some(&a), Some(&a)),
            "held for 1.1 of it"
        );
        follower.beat(13 * SECOND, Beat { settled: true, ..beat(13 * SECOND, "a", 7) });
        assert_eq!((follower.settled(13 * SECOND, slack), follower.settles(13 * SECOND, slack)), (Some(&a), None), "it is written down");
        follower.beat(14 * SECOND, beat(14 * SECOND, "b", 0));
        assert_eq!(follower.settled(14 * SECOND, slack), None, "another epoch");
        follower.beat(15 * SECOND, Beat { settled: true, ..beat(15 * SECOND, "c", 0) });
        assert_eq!(follower.settled(15 * SECOND, slack), Some(&Epoch::new("c")), "others know");
    }

    #[test]
    fn an_epoch_is_adopted_before_it_gives_a_lease() {
        let (mut follower, fence) = follower();
        assert_eq!(follower.beat(SECOND, beat(SECOND, "a", 7)), Heard::Adopted);
        assert_eq!(fence.lease(), 0);
        agree(&mut follower);
        assert_eq!(follower.beat(2 * SECOND, beat(2 * SECOND, "a", 7)), Heard::Ours);
        assert_eq!(fence.lease(), 2 * SECOND + LEASE, "from when it was sent");
        assert_eq!(follower.ack(), Some(Ack { epoch: Epoch::new("a"), n: 7 }));
    }

    #[test]
    fn no_lease_is_given_in_an_epoch_that_the_database_does_not_have() {
        let (mut follower, fence) = follower();
        let (a, b) = (Epoch::new("a"), Epoch::new("b"));
        follower.beat(SECOND, beat(SECOND, "a", 7));
        follower.beat(SECOND, beat(SECOND, "a", 7));
        assert_eq!((fence.lease(), follower.agreement()), (0, Agreement::Unknown));
        follower.compared(SECOND, &b, true);
        assert_eq!(fence.lease(), 0, "that was another");
        follower.compared(SECOND, &a, true);
        follower.beat(SECOND, beat(SECOND, "a", 7));
        assert_eq!(fence.lease(), SECOND + LEASE);
        let now = 3 * SECOND / 2;
        let leases = [false, false, true, false, false, false].map(|has_it| {
            follower.compared(now, &a, has_it);
            follower.beat(now, beat(now, "a", 7));
            (fence.lease() > now, follower.is_stray("a"))
        });
        assert_eq!(leases, [(false, false), (false, false), (true, false), (false, false), (false, false), (false, true)]);
        assert_eq!(fence.lease(), now, "what may be used after a lease may be from here on");
        follower.beat(3 * SECOND, Beat { applied: follower.ack(), ..beat(3 * SECOND, "a", 6) });
        assert_eq!([follower.is_stray("a"), follower.is_stray("b")], [true, false], "adopted again, it still is not the database's");
        follower.beat(4 * SECOND, beat(4 * SECOND, "b", 0));
        assert!(!follower.is_stray("a") && !follower.is_stray("b"), "another was founded");
    }

    #[test]
    fn who_held_an_epoch_defends_it_for_a_minute() {
        let (mut follower, _) = follower();
        let (a, b) = (Epoch::new("a"), Epoch::new("b"));
        follower.beat(SECOND, beat(SECOND, "a", 7));
        follower.beat(2 * SECOND, beat(2 * SECOND, "", 0));
        assert_eq!([follower.defends(&a, 60 * SECOND), follower.defends(&a, 61 * SECOND)], [true, false]);
        assert_eq!([follower.defends(&b, 2 * SECOND), follower.has_known(&b), follower.has_known(&a)], [false, false, true]);
        follower.founds(&b, 3 * SECOND);
        assert!(follower.defends(&b, 3 * SECOND) && follower.has_known(&b), "while it replays, too");
        follower.gives_up(&a);
        assert!(follower.defends(&b, 3 * SECOND));
        follower.gives_up(&b);
        assert!(!follower.defends(&b, 3 * SECOND) && follower.has_known(&b), "the next attempt is its own");
    }

    #[test]
    fn a_lease_waits_for_the_log() {
        let (mut follower, fence) = follower();
        let id = Id::from_bytes([3; 16]);
        follower.beat(0, beat(0, "a", 7));
        agree(&mut follower);
        let stamps = fence.stamps(Ask::Key(id));
        assert_eq!(follower.beat(100, beat(100, "a", 9)), Heard::Ours);
        assert_eq!(fence.lease(), 0);
        follower.entries(&[entry("a", 8, Concern::One(Id::from_bytes([4; 16])))]);
        assert_eq!((fence.lease(), fence.stamps(Ask::Key(id)) == stamps), (0, true));
        let ack = follower.entries(&[entry("other", 1, Concern::All), entry("a", 9, Concern::One(id))]);
        assert_eq!(ack, Some(Ack { epoch: Epoch::new("a"), n: 9 }));
        assert_eq!(fence.lease(), 100 + LEASE);
        assert_ne!(fence.stamps(Ask::Key(id)), stamps);
        assert_eq!(follower.position().as_deref(), Some("9-0"));
    }

    #[test]
    fn a_gap_or_a_number_again_forgets_everything() {
        let (mut follower, fence) = follower();
        let (one, other) = (Id::from_bytes([3; 16]), Ask::Key(Id::from_bytes([4; 16])));
        follower.beat(0, beat(0, "a", 7));
        agree(&mut follower);
        let mut forgets = |n| {
            let stamps = fence.stamps(other);
            follower.entries(&[entry("a", n, Concern::One(one))]);
            fence.stamps(other) != stamps
        };
        assert_eq!([8, 10, 11, 11, 3, 4].map(&mut forgets), [false, true, false, true, true, false]);
    }

    #[test]
    fn numbers_that_begin_again_are_no_lease() {
        let (mut follower, fence) = follower();
        follower.beat(0, beat(0, "a", 7));
        agree(&mut follower);
        follower.beat(1, beat(1, "a", 7));
        let stamps = fence.stamps(Ask::Key(Id::from_bytes([3; 16])));
        let sent = Beat { applied: follower.ack(), ..beat(2, "a", 6) };
        follower.entries(&[entry("a", 8, Concern::One(Id::from_bytes([9; 16])))]);
        let late = Beat { applied: Some(Ack { epoch: Epoch::new("a"), n: 7 }), ..beat(2, "a", 7) };
        assert_eq!(follower.beat(3, late), Heard::Ours, "the log was faster than the answer");
        assert_eq!(follower.beat(3, sent), Heard::Adopted);
        assert_eq!((fence.lease(), follower.ack().unwrap().n), (0, 6));
        assert_ne!(fence.stamps(Ask::Key(Id::from_bytes([3; 16]))), stamps);
    }

    #[test]
    fn a_longer_use_of_what_is_cached_counts_from_a_lease_asked_for_after_it_was_listed() {
        let (mut follower, fence) = follower();
        let second = Duration::from_secs(1);
        follower.beat(0, beat(0, "a", 7));
        agree(&mut follower);
        follower.beat(1, beat(1, "a", 7));
        assert_eq!(fence.cached_for(second), 0);
        let listed = |sent, seq| Beat { cached: second, ..beat(sent, "a", seq) };
        follower.beat(2, listed(2, 8));
        assert_eq!(fence.cached_for(second), 0, "its lease waits");
        follower.entries(&[entry("a", 8, Concern::All)]);
        assert_eq!(fence.cached_for(second), LEASE);
    }

    #[test]
    fn an_import_is_heard_of_before_a_lease_and_wherever_the_log_may_have_told_of_one() {
        let (mut follower, fence) = follower();
        let other = Ask::Key(Id::from_bytes([4; 16]));
        let mut heard = fence.imports();
        let mut hears = |fence: &Fence| std::mem::replace(&mut heard, fence.imports()) != fence.imports();
        follower.beat(0, beat(0, "a", 7));
        agree(&mut follower);
        assert!(hears(&fence), "an epoch is adopted");
        follower.beat(100, beat(100, "a", 8));
        assert_eq!(fence.lease(), 0);
        let stamps = fence.stamps(other);
        follower.entries(&[entry("a", 8, Concern::Imports)]);
        assert_eq!((fence.lease(), fence.stamps(other) == stamps, hears(&fence)), (100 + LEASE, true, true), "nothing cached is forgotten");
        follower.entries(&[entry("a", 9, Concern::All)]);
        assert!(!hears(&fence));
        follower.entries(&[entry("a", 11, Concern::All)]);
        assert!(hears(&fence), "a gap");
    }

    #[test]
    fn what_waits_dies_with_its_connection() {
        let (mut follower, fence) = follower();
        follower.beat(0, beat(0, "a", 7));
        agree(&mut follower);
        follower.beat(100, beat(100, "a", 8));
        follower.lost(1);
        follower.entries(&[entry("a", 8, Concern::All)]);
        assert_eq!(fence.lease(), 0);
    }

    #[test]
    fn not_whole_ends_the_lease_and_the_epoch() {
        let (mut follower, fence) = follower();
        follower.beat(0, beat(0, "a", 0));
        follower.beat(1, beat(1, "a", 0));
        assert_eq!(follower.beat(2, beat(2, "", 0)), Heard::NotWhole);
        assert_eq!((fence.lease(), follower.epoch()), (0, None));
        assert_eq!(follower.entries(&[entry("a", 1, Concern::All)]), None);
    }

    #[test]
    fn a_log_that_lost_its_entries_is_begun_anew() {
        let (mut follower, fence) = follower();
        follower.beat(0, beat(0, "a", 7));
        agree(&mut follower);
        let stamps = fence.stamps(Ask::Key(Id::from_bytes([3; 16])));
        for sent in 1..40 {
            let heard = follower.beat(sent * SECOND / 20, beat(sent * SECOND / 20, "a", 9));
            if heard == Heard::Adopted {
                assert!(sent > 20, "only after the patience of one bound");
                assert_ne!(fence.stamps(Ask::Key(Id::from_bytes([3; 16]))), stamps);
                assert_eq!(follower.ack().unwrap().n, 9);
                return;
            }
            assert_eq!(fence.lease(), 0);
        }
        panic!("stuck for ever");
    }
}
