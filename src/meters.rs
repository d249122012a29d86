//! Meters: whether what limits allow is used up.
//!
//! Who counts for all processes leases units to each of them, a batch at a time: rates a bucket in Redis (`lease.lua`; in this
//! process, where the store is embedded), quotas a row in the database, so that they survive whatever happens to Redis. A check takes one
//! unit of each limit that concerns it, which is one atomic each ([`Meter`]); where nothing is left it asks for more, once for all
//! that wait. What is not used is given back. So all processes together never let pass more than a limit allows, and a crash
//! loses at most what was leased. A limit that is changed has another meter, so that it counts at the next check.

mod bucket;
mod meter;
mod source;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
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

/// One unit that a check is charged, and the name of the meter that is charged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Charge {
    /// The key, principal or tenant whose checks are counted.
    pub who: Id,
    /// The key, policy or rule that limits.
    pub of: Id,
    /// What it allows.
    pub allowance: Allowance,
}

impl Charge {
    fn is_quota(&self) -> bool {
        matches!(self.allowance, Allowance::Quota(_))
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

/// Why nothing was leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unleased {
    /// This is used up.
    #[error("a limit is used up")]
    Exceeded(Exceeded),
    /// Nobody says how much there is.
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

/// What one check was charged while it waited for its turn. Dropped unspent, it goes back.
pub struct Leased {
    meters: Arc<Meters>,
    charges: Vec<Charge>,
    is_spent: AtomicBool,
}

/// The meters of this process.
pub struct Meters {
    known: HashMap<Charge, Arc<Counted>, foldhash::fast::RandomState>,
    source: Source,
    clock: Clock,
}

/// A meter, and what the sweep knows of it.
#[derive(Default)]
struct Counted {
    meter: Meter,
    seen: AtomicU64,
    /// When nobody said last how much there is.
    unsaid_ms: AtomicU64,
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
            let taken = known.get(&charge).map_or(Taken::Ask, |counted| counted.meter.take(now));
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
        charges.filter_map(|charge| known.get(&charge)).for_each(|counted| counted.meter.put_back());
    }

    /// Charges a check one unit of each, leasing what is used up. Whoever leases has the first unit, so nobody is refused because others
    /// were quicker.
    ///
    /// # Errors
    /// What is used up for all processes, or that nobody says. Then nothing was charged.
    pub async fn lease(self: &Arc<Self>, charges: &[Charge]) -> Result<Leased, Unleased> {
        let mut leased = Leased { meters: Arc::clone(self), charges: Vec::with_capacity(charges.len()), is_spent: false.into() };
        for charge in charges {
            self.lease_one(charge).await?;
            leased.charges.push(*charge);
        }
        Ok(leased)
    }

    async fn lease_one(&self, charge: &Charge) -> Result<(), Unleased> {
        let counted = self.counted(charge);
        let (meter, came) = (&counted.meter, self.clock.now());
        let _turn = meter.turn.lock().await;
        let now = self.clock.now();
        // who waited while nobody said does not wait for that again
        if counted.unsaid_ms.load(Relaxed) > came.0 {
            return Err(Unknown.into());
        }
        let passes = match meter.take(now) {
            Taken::Yes => Ok(()),
            Taken::No(after_ms) => Err(after_ms),
            Taken::Ask => {
                let wanted = meter.wants(charge.allowance);
                let lease = self.source.lease(charge, wanted, now).await;
                let lease = lease.inspect_err(|_| counted.unsaid_ms.store(self.clock.now().0, Relaxed))?;
                crate::metrics::leased(charge.is_quota(), lease.units > 0);
                meter.fill(lease, wanted, charge.allowance, now)
            }
        };
        passes.map_err(|after_ms| Unleased::Exceeded(exceeded(charge.allowance, after_ms, now)))
    }

    fn counted(&self, charge: &Charge) -> Arc<Counted> {
        Arc::clone(self.known.pin().get_or_insert_with(*charge, Arc::default))
    }

    /// What of these refused a check of this process a short while ago: `/explain`, which charges nothing, goes by it.
    pub fn refused(&self, mut charges: impl Iterator<Item = Charge>, now: UnixMs) -> Option<Exceeded> {
        let (known, since) = (self.known.pin(), now.before(TOLD_FOR));
        charges.find_map(|charge| {
            let counted = known.get(&charge).filter(|counted| counted.meter.has_refused(since))?;
            Some(exceeded(charge.allowance, counted.meter.next_in_ms(now), now))
        })
    }

    /// Whether another process may have refused a check for one of these a short while ago, by what there is for all of them. Nothing is
    /// taken. What was found used up counts as refused here, so that `/explain` does not ask each time.
    ///
    /// # Errors
    /// What is used up, or that nobody says.
    pub async fn look(&self, charges: &[Charge]) -> Result<(), Unleased> {
        for charge in charges {
            let counted = self.counted(charge);
            let meter = &counted.meter;
            let _turn = meter.turn.lock().await;
            let now = self.clock.now();
            if !meter.has_refused(now.before(TOLD_FOR)) {
                let (units, next_ms) = self.source.look(charge, now).await?;
                if !meter::may_refuse(charge.allowance, units) {
                    continue;
                }
                meter.refuse(next_ms, now);
            }
            return Err(Unleased::Exceeded(exceeded(charge.allowance, meter.next_in_ms(now), now)));
        }
        Ok(())
    }

    /// Gives everything back: the process ends.
    pub async fn stop(&self) {
        self.give_back(|_, _| true).await;
    }

    /// What nobody uses is given back, and forgotten when nobody has for long.
    async fn sweep(&self) {
        self.known.pin().values().for_each(|counted| counted.look());
        let rests = |charge: &Charge, counted: &Counted| counted.idle() >= if charge.is_quota() { IDLE_QUOTA } else { IDLE };
        self.give_back(|charge, counted| rests(charge, counted) && counted.meter.left() > 0).await;
        self.known.pin().retain(|_, counted| counted.idle() <= FORGOTTEN || counted.meter.left() > 0);
        self.source.tidy(self.clock.now());
    }

    async fn give_back(&self, which: impl Fn(&Charge, &Counted) -> bool) {
        let unused: Vec<_> =
            self.known.pin().iter().filter(|(charge, counted)| which(charge, counted)).map(|(n, c)| (*n, Arc::clone(c))).collect();
        for (charge, counted) in unused {
            let (units, now) = (counted.meter.drain(), self.clock.now());
            if units > 0 {
                self.source.give_back(&charge, units, counted.meter.until(), now).await;
            }
        }
    }
}

impl Leased {
    /// Spends it on these, if it is what these cost.
    pub fn spend(&self, charges: impl Iterator<Item = Charge>) -> bool {
        let is_theirs = charges.eq(self.charges.iter().copied());
        self.is_spent.fetch_or(is_theirs, Relaxed);
        is_theirs
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if !self.is_spent.load(Relaxed) {
            self.meters.put_back(self.charges.iter().copied());
        }
    }
}

impl Counted {
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
