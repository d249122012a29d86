//! The cache: what presented credentials were found to be, so that a check asks no store.
//!
//! It stands before both stores and is right by their fence alone: an entry is used only under a lease, while the
//! generations it was read under are those of now, and before its deadline. Losing entries costs time and nothing else.
//!
//! INVARIANT: the lease is read first, then the stamps, then the store (COHERENCE §3, FILL and CHECK).
//! INVARIANT: what is refused is kept for a short time only, and crowds out nothing that is live.

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
use table::Table;

pub use entry::{Entry, Provers};
pub use name::Name;
pub use table::Held;

use super::fence::{Concerned, Fence};
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

/// How long a refusal is kept.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// How long it is kept that a credential is forged: for as long as its keys are in force, but not for ever.
const FORGED_FOR: Duration = Duration::from_secs(3600);
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
    flights: Flights,
    commons: Commons,
    /// What refused credentials have in common.
    nothing: Arc<Common>,
    /// How long a token lasts unused.
    ttl: Duration,
    /// What gates want said besides what the standard headers say.
    further: OnceLock<Arc<[Further]>>,
}

/// By what a check may be answered, as the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// By what is kept.
    Leased,
    /// By the store alone, which says itself whether it may be asked.
    Unleased,
    /// By nothing, since then.
    Lapsed(u64),
}

impl Cache {
    /// A cache under this fence, of tokens that last `ttl` unused; it is swept until it is dropped.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn start(fence: Arc<Fence>, clock: Clock, ttl: Duration) -> Result<Arc<Self>, ring::error::Unspecified> {
        let nothing = Arc::new(Common::new(NOBODY, "", Role::EndUser, Grant::default(), Vec::new(), &[], None));
        let table = Table::new(&nothing);
        let (flights, commons) = (Flights::default(), Commons::default());
        let cache = Arc::new(Self { fence, namer: Namer::new()?, table, flights, commons, nothing, ttl, further: OnceLock::new() });
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
        let found = || self.table.find(name).filter(|entry| entry.is_proved_by(provers));
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
        let terms = Terms { name, kind, provers, concerned, stamps: self.fence.stamps(concerned), deadline: now.after(FORGED_FOR) };
        self.table.insert(Arc::new(Entry::refused(terms, Arc::clone(&self.nothing))), |other| self.is_over(other, now));
    }

    /// Asks the store what a credential is, by `fill`, and keeps the answer.
    ///
    /// # Errors
    /// [`Unavailable`] where the store cannot be asked.
    pub(super) async fn fill<F>(&self, asked: Asked<'_>, fill: impl FnOnce() -> F) -> Result<Arc<Entry>, Unavailable>
    where
        F: Future<Output = Result<Option<Fill>, Unavailable>> + Send + 'static,
    {
        let Asked { name, provers, authentic, at, is_leased, alone, slides } = asked;
        let Authentic { kind, ask, secret, ends, foreign, .. } = authentic;
        let (kind, ask, ends) = (*kind, *ask, *ends);
        let concerned = Concerned::from(ask);
        let stamps = self.fence.stamps(concerned);
        let (stamps, fill) = match alone {
            true => (stamps, fill().await?),
            false => {
                let (stamps, brought) = self.flights.fill(ask, (is_leased, stamps), fill).await;
                (stamps, brought?.map(Arc::unwrap_or_clone))
            }
        };
        // of a token that is not there nothing comes back; of records that are missing something may, unseen
        let is_final = fill.as_ref().is_none_or(|fill| foreign.is_some() || fill.is_whole());
        let judged = fill.and_then(|fill| match foreign {
            Some(token) => judge_foreign(token, &fill, at.now),
            None => judge(ask, fill, secret.as_ref(), at.now),
        });
        // a JWT for a browser's session, or a cookie for a login's: nobody of this house wrote that
        let standing = judged.filter(|standing| standing.holder.kind == kind);
        let deadline = match &standing {
            Some(standing) => standing.ends.min(ends.unwrap_or(standing.ends)),
            None if is_final => at.now.after(REFUSED_FOR),
            None => at.now,
        };
        let terms = Terms { name, kind, provers, concerned, stamps, deadline };
        let entry = Arc::new(match standing {
            None => Entry::refused(terms, Arc::clone(&self.nothing)),
            Some(standing) => self.live(terms, ask, &standing, slides),
        });
        if deadline > at.now {
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

    fn live(&self, terms: Terms, ask: Ask, standing: &Standing, slides: &(dyn Fn(UnixMs, UnixMs) -> UnixMs + Sync)) -> Entry {
        let (cap, slides) = match (&standing.token, standing.session) {
            (Some((token, idle_end)), _) => (token.cap, slides(*idle_end, token.cap)),
            (None, Some((_, cap))) => (cap, UnixMs(0)),
            (None, None) if matches!(ask, Ask::Session(_)) => (standing.told_end, UnixMs(0)),
            (None, None) => (standing.told_end, NEVER),
        };
        let holder = &standing.holder;
        let further = told::render(self.further.get().map_or(&[], |further| &**further), holder);
        let common = self.commons.of(Common::new(
            standing.tenant,
            &holder.tenant,
            standing.role,
            holder.grant.clone(),
            standing.limits.clone(),
            &holder.networks,
            further,
        ));
        let Standing { subject, told_end, .. } = *standing;
        Entry::live(terms, entry::Standing { subject, name: &standing.holder.name, key: ask.key(), common, cap, told_end, slides })
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
    /// Whether there is a lease.
    pub(super) is_leased: bool,
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
        let left = cache.table.sweep(n, SWEEP_PARTS, |entry| cache.is_over(entry, clock.now()));
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
