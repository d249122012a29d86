//! Meters: whether what limits allow is used up.
//!
//! Who counts for all processes leases units to each of them, a batch at a time: rates a bucket in Redis (`lease.lua`; in this
//! process, where the store is embedded), quotas a row in the database, so that they survive whatever happens to Redis. A check takes one
//! unit of each limit that concerns it, which is one atomic each ([`Meter`]); where nothing is left it asks for more, once for all
//! that wait. What is not used is given back. So all processes together never let pass more than a limit allows, and a crash
//! loses at most what was leased.

mod bucket;
mod meter;
mod source;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

pub use meter::{Lease, Meter, Taken};
use papaya::HashMap;
pub use source::Source;
use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, UnixMs};
use crate::decision::limit::{Allowance, Exceeded};
use crate::id::Id;

/// How often unused units are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A meter of which nobody took anything for so many sweeps gives back what it has of a rate.
const IDLE: u32 = 2;
/// And one of a quota, which lasts.
const IDLE_QUOTA: u32 = 30;
/// After so many it is forgotten.
const FORGOTTEN: u32 = 60;
/// How often quotas of the past are looked for, and how old the day or month is that is forgotten: later than any that runs began.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
const PAST: Duration = Duration::from_secs(35 * 24 * 3600);
/// So long after a refusal `/explain` tells of it, though the limit may have room again.
const TOLD_FOR: Duration = Duration::from_secs(30);

/// Which meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The key, principal or tenant whose checks are counted.
    pub who: Id,
    /// The key, policy or rule that limits.
    pub of: Id,
    /// Whether it counts a quota; otherwise a rate.
    pub is_quota: bool,
}

/// One unit that a check is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Of which meter.
    pub name: Name,
    /// What it allows.
    pub allowance: Allowance,
}

impl Charge {
    /// One unit of what `of` allows `who`.
    pub fn new(who: Id, of: Id, allowance: Allowance) -> Self {
        Self { name: Name { who, of, is_quota: matches!(allowance, Allowance::Quota(_)) }, allowance }
    }
}

/// What came of charging a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charged {
    /// It may pass.
    Passed,
    /// It may not, and nothing was charged.
    Refused(Exceeded),
    /// Nothing was charged: there is more to be leased first ([`Meters::lease`]).
    Asks,
}

/// Nobody says how much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody says how much of a limit is left")]
pub struct Unknown;

/// The meters of this process.
pub struct Meters {
    known: HashMap<Name, Arc<Counted>, foldhash::fast::RandomState>,
    source: Source,
    clock: Clock,
}

/// A meter, and what the sweep knows of it.
struct Counted {
    meter: Meter,
    allowance: arc_swap::ArcSwap<Allowance>,
    seen: AtomicU64,
    idle: AtomicU32,
}

impl Meters {
    /// None yet; what leases to them. What is idle is given back until they are dropped.
    pub fn start(source: Source, clock: Clock) -> Arc<Self> {
        let known = HashMap::with_hasher(foldhash::fast::RandomState::default());
        let meters = Arc::new(Self { known, source, clock });
        tokio::spawn(sweep(Arc::downgrade(&meters)));
        meters
    }

    /// Charges a check one unit of each. Neither waits, locks nor allocates.
    pub fn charge(&self, charges: impl Iterator<Item = Charge> + Clone, now: UnixMs) -> Charged {
        let known = self.known.pin();
        for (n, charge) in charges.clone().enumerate() {
            let taken = known.get(&charge.name).map_or(Taken::Ask, |counted| counted.meter.take(now));
            if taken == Taken::Yes {
                continue;
            }
            self.put_back(charges.clone().take(n));
            return match taken {
                Taken::No(after_ms) => Charged::Refused(exceeded(charge.allowance, after_ms, now)),
                Taken::Yes | Taken::Ask => Charged::Asks,
            };
        }
        Charged::Passed
    }

    /// What a check was charged is not used: something else refused it after all.
    pub fn put_back(&self, charges: impl Iterator<Item = Charge>) {
        let known = self.known.pin();
        charges.filter_map(|charge| known.get(&charge.name)).for_each(|counted| counted.meter.put_back());
    }

    /// Leases what is used up of these; then [`Meters::charge`] says whether there was any.
    ///
    /// # Errors
    /// Where nobody says how much there is.
    pub async fn lease(&self, charges: &[Charge]) -> Result<(), Unknown> {
        for charge in charges {
            let counted = Arc::clone(self.known.pin().get_or_insert_with(charge.name, || Arc::new(Counted::new(charge.allowance))));
            let meter = &counted.meter;
            let _turn = meter.turn.lock().await;
            let now = self.clock.now();
            if meter.has(now) || meter.is_closed(now) {
                continue;
            }
            counted.allowance.store(Arc::new(charge.allowance));
            let wanted = meter.wants(charge.allowance);
            let lease = self.source.lease(charge, wanted, now).await?;
            crate::metrics::leased(charge.name.is_quota, lease.units > 0);
            meter.fill(lease, wanted, charge.allowance, now);
        }
        Ok(())
    }

    /// What of these refused a check a short while ago: `/explain`, which charges nothing, goes by it.
    pub fn refused(&self, mut charges: impl Iterator<Item = Charge>, now: UnixMs) -> Option<Exceeded> {
        let (known, since) = (self.known.pin(), now.before(TOLD_FOR));
        charges.find_map(|charge| {
            let counted = known.get(&charge.name).filter(|counted| counted.meter.has_refused(since))?;
            Some(exceeded(charge.allowance, counted.meter.closed_for_ms(now), now))
        })
    }

    /// Gives everything back: the process ends.
    pub async fn stop(&self) {
        self.give_back(|_, _| true).await;
    }

    /// What nobody uses is given back, and forgotten when nobody has for long.
    async fn sweep(&self) {
        self.known.pin().values().for_each(|counted| counted.look());
        let rests = |name: &Name, counted: &Counted| counted.idle() >= if name.is_quota { IDLE_QUOTA } else { IDLE };
        self.give_back(|name, counted| rests(name, counted) && counted.meter.left() > 0).await;
        self.known.pin().retain(|_, counted| counted.idle() <= FORGOTTEN || counted.meter.left() > 0);
        self.source.tidy(self.clock.now());
    }

    async fn give_back(&self, which: impl Fn(&Name, &Counted) -> bool) {
        let unused: Vec<_> =
            self.known.pin().iter().filter(|(name, counted)| which(name, counted)).map(|(n, c)| (*n, Arc::clone(c))).collect();
        for (name, counted) in unused {
            let charge = Charge { name, allowance: **counted.allowance.load() };
            let (units, now) = (counted.meter.drain(), self.clock.now());
            if units > 0 {
                self.source.give_back(&charge, units, counted.meter.until(), now).await;
            }
        }
    }
}

impl Counted {
    fn new(allowance: Allowance) -> Self {
        Self { meter: Meter::default(), allowance: arc_swap::ArcSwap::from_pointee(allowance), seen: 0.into(), idle: 0.into() }
    }

    /// One more sweep: was something taken since the last?
    fn look(&self) {
        let left = self.meter.left();
        if self.seen.swap(left, Relaxed) == left {
            self.idle.fetch_add(1, Relaxed);
        } else {
            self.idle.store(0, Relaxed);
        }
    }

    /// For how many sweeps in a row nothing was taken of it.
    fn idle(&self) -> u32 {
        self.idle.load(Relaxed)
    }
}

fn exceeded(allowance: Allowance, after_ms: u64, now: UnixMs) -> Exceeded {
    let after_ms = match allowance {
        Allowance::Rate(_) => after_ms,
        Allowance::Quota(quota) => quota.each.around(now.0).1.saturating_sub(now.0),
    };
    Exceeded { allowance, retry_after_s: after_ms.div_ceil(1000).max(1) }
}

async fn sweep(meters: Weak<Meters>) {
    let (mut due, mut hourly) = (tokio::time::interval(SWEEP_EVERY), tokio::time::interval(FORGET_EVERY));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    hourly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_hour = tokio::select! {
            _ = due.tick() => false,
            _ = hourly.tick() => true,
        };
        let Some(meters) = meters.upgrade() else { return };
        if is_hour {
            meters.source.forget(meters.clock.now().before(PAST)).await;
        } else {
            meters.sweep().await;
        }
    }
}

#[cfg(test)]
mod tests;
