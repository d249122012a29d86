//! The cache: what presented credentials were found to be, so that a check asks no store.
//!
//! It stands before both stores and is right by their fence alone: an entry is used only under a lease, while the
//! generations it was read under are those of now, and before its deadline. Losing entries costs time and nothing else.
//!
//! INVARIANT: the lease is read first, then the stamps, then the store (COHERENCE §3, FILL and CHECK).
//! INVARIANT: what is refused is kept for a while only, and crowds out nothing that is live.

mod common;
mod entry;
mod flight;
mod name;
mod table;
mod text;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use common::{Common, Commons};
use entry::{NEVER, NOBODY, Terms};
use flight::Flights;
use name::Namer;
use table::{GROUPS, Table};

pub use entry::{Entry, Provers};
pub use name::Name;
pub use table::Held;

use super::fence::{Concerned, Fence};
use super::fencelog::check::Leave;
use super::holder::{Standing, judge, judge_foreign};
use super::recognise::{At, Authentic};
use super::record::{Fill, Role};
use super::store::{Ask, Unavailable};
use super::ticket::Source;
use crate::clock::{Clock, Moment, UnixMs};
use crate::decision::credential::{CredentialKind, Presented};
use crate::decision::holder::Grant;
use crate::decision::told::{self, Further};
use crate::id::Id;

/// How long it is kept that a credential may not be used now, as its records say.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// How long it is kept that a credential is nothing: that it is forged, while its keys are in force, or that it is not there. Ids are
/// given once, and what a copy of another database brings back is told like an end. Not for ever, so that it leaves memory.
const NOTHING_FOR: Duration = Duration::from_secs(3600);
/// Groups of the table of what is forged: 8192 refusals, a quarter of its places. Who makes tokens up makes as many as he likes.
const FORGED_GROUPS: usize = 32;
/// The whole table is swept in so many parts, one each [`SWEEP_EVERY`].
const SWEEP_PARTS: usize = 32;
/// How often a part of it is.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What the cache knows of a credential.
pub enum Cached {
    /// This, and it may be used.
    Known(Held),
    /// Nothing that may be used: the store is to be asked.
    Unknown,
    /// The lease lapsed at `since`, nanoseconds since boot, and the store is not to be asked either. What may be used by a rule that says so.
    Lapsed {
        /// When.
        since: u64,
        /// What would be known under a lease.
        known: Option<Held>,
    },
}

/// The cache of one store.
pub struct Cache {
    fence: Arc<Fence>,
    namer: Namer,
    table: Table,
    /// What is forged, apart: a flood of it takes little memory.
    forged: Table,
    flights: Flights,
    commons: Commons,
    /// What refused credentials have in common.
    nothing: Arc<Common>,
    /// How long a token lasts unused.
    ttl: Duration,
    /// What gates want said besides what the standard headers say.
    further: OnceLock<Arc<[Further]>>,
}

impl Cache {
    /// A cache under this fence, of tokens that last `ttl` unused; it is swept until it is dropped.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn start(fence: Arc<Fence>, clock: Clock, ttl: Duration) -> Result<Arc<Self>, ring::error::Unspecified> {
        let nothing = Arc::new(Common::new(NOBODY, "", Role::EndUser, Grant::default(), Vec::new(), &[], None));
        let (table, forged) = (Table::new(GROUPS, &nothing), Table::new(FORGED_GROUPS, &nothing));
        let (flights, commons) = (Flights::default(), Commons::default());
        let cache = Arc::new(Self { fence, namer: Namer::new()?, table, forged, flights, commons, nothing, ttl, further: OnceLock::new() });
        tokio::spawn(sweep(Arc::downgrade(&cache), clock));
        Ok(cache)
    }

    /// Lets gates say this besides what the standard headers say. Once, before anything is kept.
    pub fn tell(&self, further: Arc<[Further]>) {
        let _ = self.further.set(further);
    }

    /// What a presented credential is called here.
    pub fn name(&self, presented: &Presented<'_>, at: At<'_>) -> Option<Name> {
        self.namer.name(presented, at)
    }

    /// What that is called here which a ticket was made from.
    pub(super) fn name_of_source(&self, source: &Source) -> Name {
        self.namer.of_source(source)
    }

    /// What is known of a credential that `provers` would prove.
    pub fn find(&self, leave: Leave, name: Name, provers: Provers, now: UnixMs) -> Cached {
        let kept = || self.table.find(name).or_else(|| self.forged.find(name));
        let found = || kept().filter(|entry| entry.is_proved_by(provers));
        match leave {
            Leave::Leased => found().filter(|entry| !entry.is_spent(&self.fence, now)).map_or(Cached::Unknown, Cached::Known),
            Leave::Unleased => Cached::Unknown,
            // nobody can be asked how far uses moved its end, so they are believed
            Leave::Lapsed(since) => Cached::Lapsed { since, known: found().filter(|entry| !self.is_over(entry, now)) },
        }
    }

    fn is_over(&self, entry: &Entry, now: UnixMs) -> bool {
        entry.is_over(&self.fence, now, self.ttl)
    }

    /// Keeps that a credential is not authentic, as `provers` found.
    pub(super) fn refuse(&self, name: Name, provers: Provers, kind: CredentialKind, now: UnixMs) {
        // no end concerns it; whatever bumps these generations costs another look
        let concerned = Concerned::from(Ask::Key(NOBODY));
        let terms = Terms { name, kind, provers, concerned, stamps: self.fence.stamps(concerned), deadline: now.after(NOTHING_FOR) };
        self.forged.insert(Arc::new(Entry::refused(terms, Arc::clone(&self.nothing))), |other| self.is_over(other, now));
    }

    /// Asks the store what a credential is, by `fill`, and keeps the answer.
    ///
    /// # Errors
    /// [`Unavailable`] where the store cannot be asked.
    pub(super) async fn fill<F>(&self, asked: Asked<'_>, fill: impl FnOnce() -> F) -> Result<Arc<Entry>, Unavailable>
    where
        F: Future<Output = Result<Option<Fill>, Unavailable>> + Send + 'static,
    {
        let Asked { name, provers, authentic, at, leave, alone, slides } = asked;
        let Authentic { kind, ask, secret, ends, foreign, .. } = authentic;
        let (kind, ask, ends) = (*kind, *ask, *ends);
        let concerned = Concerned::from(ask);
        let stamps = self.fence.stamps(concerned);
        let (stamps, fill) = match alone {
            true => (stamps, fill().await?),
            false => {
                let (stamps, brought) = self.flights.fill(ask, (leave, stamps), fill).await;
                (stamps, brought?.map(Arc::unwrap_or_clone))
            }
        };
        let refused_for = match &fill {
            None if foreign.is_none() => NOTHING_FOR,
            // of records that are missing something may come back, unseen
            Some(fill) if foreign.is_none() && !fill.is_whole() => Duration::ZERO,
            _ => REFUSED_FOR,
        };
        let judged = fill.and_then(|fill| match foreign {
            Some(token) => judge_foreign(token, &fill, at.now),
            None => judge(ask, fill, secret.as_ref(), at.now),
        });
        // a JWT for a browser's session, or a cookie for a login's: nobody of this house wrote that
        let standing = judged.filter(|standing| standing.holder.kind == kind);
        let deadline = match &standing {
            Some(standing) => standing.ends.min(ends.unwrap_or(standing.ends)),
            None => at.now.after(refused_for),
        };
        let terms = Terms { name, kind, provers, concerned, stamps, deadline };
        let (entry, has_room) = match standing {
            None => (Entry::refused(terms, Arc::clone(&self.nothing)), true),
            Some(standing) => self.live(terms, ask, &standing, slides),
        };
        let entry = Arc::new(entry);
        if has_room && deadline > at.now {
            self.table.insert(Arc::clone(&entry), |other| self.is_over(other, at.now));
        }
        Ok(entry)
    }

    /// What is refused without the store being asked, and not kept.
    pub(super) fn refused(&self, name: Name, provers: Provers, authentic: &Authentic, at: Moment) -> Arc<Entry> {
        let concerned = Concerned::from(authentic.ask);
        let stamps = self.fence.stamps(concerned);
        let terms = Terms { name, kind: authentic.kind, provers, concerned, stamps, deadline: at.now };
        Arc::new(Entry::refused(terms, Arc::clone(&self.nothing)))
    }

    /// Drops what is spent from the `n`th of [`SWEEP_PARTS`]; how many entries are left there. The last one ends with what no entry has
    /// any more.
    fn sweep_part(&self, n: usize, clock: &Clock) -> usize {
        let is_over = |entry: &Entry| self.is_over(entry, clock.now());
        let left = self.table.sweep(n, SWEEP_PARTS, is_over) + self.forged.sweep(n, SWEEP_PARTS, is_over);
        if n + 1 == SWEEP_PARTS {
            self.commons.tidy();
        }
        left
    }

    /// The entry of a live credential, and whether there is room to keep it.
    fn live(&self, terms: Terms, ask: Ask, standing: &Standing, slides: &(dyn Fn(UnixMs, UnixMs) -> UnixMs + Sync)) -> (Entry, bool) {
        let (cap, slides) = match (&standing.token, standing.session) {
            (Some((token, idle_end)), _) => (token.cap, slides(*idle_end, token.cap)),
            (None, Some((_, cap))) => (cap, UnixMs(0)),
            (None, None) if matches!(ask, Ask::Session(_)) => (standing.told_end, UnixMs(0)),
            (None, None) => (standing.told_end, NEVER),
        };
        let holder = &standing.holder;
        let further = told::render(self.further.get().map_or(&[], |further| &**further), holder);
        let (common, has_room) = self.commons.of(Common::new(
            standing.tenant,
            &holder.tenant,
            standing.role,
            holder.grant.clone(),
            standing.limits.clone(),
            &holder.networks,
            further,
        ));
        let Standing { subject, told_end, .. } = *standing;
        let standing = entry::Standing { subject, name: &standing.holder.name, key: ask.key(), common, cap, told_end, slides };
        (Entry::live(terms, standing), has_room)
    }
}

/// What a fill is for.
pub(super) struct Asked<'a> {
    /// What the credential is called.
    pub(super) name: Name,
    /// What proved it.
    pub(super) provers: Provers,
    /// What is presented.
    pub(super) authentic: &'a Authentic,
    /// When the check began.
    pub(super) at: Moment,
    /// What the lease says.
    pub(super) leave: Leave,
    /// Whether asking costs nothing that is worth sharing.
    pub(super) alone: bool,
    /// From when on a use moves a token's idle end on, with this idle end and cap.
    pub(super) slides: &'a (dyn Fn(UnixMs, UnixMs) -> UnixMs + Sync),
}

/// Drops what is spent, a part at a time, so that it leaves memory.
async fn sweep(cache: Weak<Cache>, clock: Clock) {
    let mut due = tokio::time::interval(SWEEP_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut kept = [0; SWEEP_PARTS];
    for n in (0..SWEEP_PARTS).cycle() {
        due.tick().await;
        let Some(cache) = cache.upgrade() else { return };
        let left = cache.sweep_part(n, &clock);
        if let Some(kept) = kept.get_mut(n) {
            *kept = left;
        }
        crate::metrics::cached(kept.iter().sum());
    }
}

impl Ask {
    /// The key that it is asked for, if it is one or a token's.
    pub fn key(self) -> Option<Id> {
        match self {
            Self::Token { key, .. } | Self::Key(key) => Some(key),
            Self::Session(_) | Self::Foreign { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::scopes::ScopeSet;

    const NOW: UnixMs = UnixMs(1_900_000_000_000);

    /// Names that lie in many sets.
    fn name(n: u64) -> Name {
        Name([n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n.wrapping_mul(0xbf58_476d_1ce4_e5b9)])
    }

    fn common(n: u64) -> Common {
        let grant = Grant { allow: ScopeSet::of([format!("orders:{n}").parse().unwrap()]), deny: ScopeSet::default() };
        Common::new(NOBODY, "t", Role::Client, grant, Vec::new(), &[], None)
    }

    /// Keeps for a while what was found of a key.
    fn keep(cache: &Cache, n: u64, key: Id, common: Common) {
        let (common, _) = cache.commons.of(common);
        let concerned = Concerned::from(Ask::Key(key));
        let (kind, stamps, deadline) = (CredentialKind::ApiKey, cache.fence.stamps(concerned), NOW.after(REFUSED_FOR));
        let terms = Terms { name: name(n), kind, provers: Provers::default(), concerned, stamps, deadline };
        cache.table.insert(Arc::new(Entry::refused(terms, common)), |_| false);
    }

    #[tokio::test]
    async fn what_ran_out_leaves_no_scopes_behind() {
        let clock = Clock::manual(NOW);
        let cache = Cache::start(Arc::default(), clock.clone(), Duration::ZERO).unwrap();
        for n in 0..500 {
            keep(&cache, n, NOBODY, common(n));
        }
        let round = || (0..SWEEP_PARTS).map(|n| cache.sweep_part(n, &clock)).sum::<usize>();
        assert_eq!((round(), cache.commons.known()), (500, 500));
        clock.advance(2 * REFUSED_FOR);
        assert_eq!((round(), cache.commons.known()), (0, 0));
    }

    #[tokio::test]
    async fn what_ended_leaves_memory() {
        let clock = Clock::manual(NOW);
        let cache = Cache::start(Arc::default(), clock.clone(), Duration::ZERO).unwrap();
        let id = |n: u64| Id::from_bytes((u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes());
        for n in 1..=500 {
            keep(&cache, n, id(n), common(1));
        }
        let round = || (0..SWEEP_PARTS).map(|n| cache.sweep_part(n, &clock)).sum::<usize>();
        assert_eq!(round(), 500);
        cache.fence.bump(id(7));
        let left = round();
        assert!((1..500).contains(&left), "who shares its shard of generations goes too: {left}");
        cache.fence.bump_all();
        assert_eq!(round(), 0);
    }

    #[tokio::test]
    async fn what_is_not_there_is_asked_for_once_an_hour_until_it_is_told_of() {
        let clock = Clock::manual(NOW);
        let cache = Cache::start(Arc::default(), clock.clone(), Duration::ZERO).unwrap();
        let (token, key) = (Id::from_bytes([1; 16]), Id::from_bytes([2; 16]));
        let (kind, ask) = (CredentialKind::Token, Ask::Token { id: token, key });
        let authentic = Authentic { kind, ask, secret: None, made_elsewhere: false, ends: None, foreign: None };
        let asked_after = async |passes: Duration| {
            clock.advance(passes);
            let (at, provers) = (Moment { boot_ns: 0, now: clock.now() }, Provers::default());
            match cache.find(Leave::Leased, name(1), provers, at.now) {
                Cached::Known(entry) => {
                    assert!(!entry.is_live());
                    return 0;
                }
                Cached::Unknown => {}
                Cached::Lapsed { .. } => panic!("there is a lease"),
            }
            let slides = &|_, _| UnixMs(0);
            let asked = Asked { name: name(1), provers, authentic: &authentic, at, leave: Leave::Leased, alone: true, slides };
            assert!(!cache.fill(asked, || async { Ok(None) }).await.unwrap().is_live());
            1
        };
        assert_eq!(asked_after(Duration::ZERO).await, 1);
        assert_eq!(asked_after(NOTHING_FOR - Duration::from_millis(1)).await, 0);
        assert_eq!(asked_after(Duration::from_millis(1)).await, 1);
        // as an import does
        cache.fence.bump(token);
        assert_eq!((asked_after(Duration::ZERO).await, asked_after(Duration::ZERO).await), (1, 0));
    }

    #[tokio::test]
    async fn a_flood_of_forged_tokens_takes_little() {
        let cache = Cache::start(Arc::default(), Clock::manual(NOW), Duration::ZERO).unwrap();
        for n in 1..=100_000 {
            cache.refuse(name(n), Provers::default(), CredentialKind::Jwt, NOW);
        }
        let kept = cache.forged.sweep(0, 1, |_| false);
        assert!((6000..=8192).contains(&kept), "{kept}");
        assert_eq!(cache.table.sweep(0, 1, |_| false), 0, "what is live has all of its places");
        let found = cache.find(Leave::Leased, name(100_000), Provers::default(), NOW);
        assert!(matches!(found, Cached::Known(entry) if !entry.is_live()));
    }
}
