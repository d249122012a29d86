//! Where units come from: who counts for all processes.

use std::collections::HashMap;
use std::time::Duration;

use super::bucket::Bucket;
use super::meter::Lease;
use super::{Charge, Unknown};
use crate::clock::UnixMs;
use crate::database::{Database, DatabaseError, QuotaLease};
use crate::decision::limit::{Allowance, Quota, Rate};
use crate::lock::Mutex;
use crate::token::store::TokenStore;

/// Of a quota no more than this part is leased at once: what a crash can lose.
const BATCH: u64 = 100;
/// Nor more than this part of what is left, so that the last of it is not stranded where nobody asks.
const SHARE: u64 = 8;

/// So long a check waits for the database; what that leases later is lost, as in a crash.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who leases.
pub struct Source {
    tokens: TokenStore,
    database: Database,
    /// The rates of a process that is alone, or for now: its share of them, while Redis cannot be asked.
    buckets: Mutex<HashMap<Charge, Bucket>>,
}

impl Source {
    /// Rates from the store, quotas from the database.
    pub fn new(tokens: TokenStore, database: Database) -> Self {
        Self { tokens, database, buckets: Mutex::default() }
    }

    /// Leases up to `wanted` units.
    ///
    /// # Errors
    /// Where nobody says how much of a quota is left.
    pub(super) async fn lease(&self, charge: &Charge, wanted: u64, now: UnixMs) -> Result<Lease, Unknown> {
        match charge.allowance {
            Allowance::Rate(rate) => {
                let (units, next_ms) = self.rate(charge, rate, wanted, now).await;
                Ok(Lease { units, next_ms, until: UnixMs(u64::MAX) })
            }
            Allowance::Quota(quota) => self.quota(charge, quota, now).await,
        }
    }

    /// How many units are there for all processes, and in how many milliseconds there is one more of a rate. Nothing is taken.
    ///
    /// # Errors
    /// Where nobody says.
    pub(super) async fn look(&self, charge: &Charge, now: UnixMs) -> Result<(u64, u64), Unknown> {
        match charge.allowance {
            Allowance::Rate(rate) => match self.tokens.lease(&text(charge, rate), rate, 0).await {
                Ok(Some(there)) => Ok(there),
                Ok(None) => Ok(self.bucket(charge, |bucket| bucket.take(rate, 0, now))),
                Err(_) => Err(Unknown),
            },
            Allowance::Quota(quota) => in_time(self.database.quota_left(of_database(charge, quota, now))).await.map(|left| (left, 0)),
        }
    }

    async fn rate(&self, charge: &Charge, rate: Rate, wanted: u64, now: UnixMs) -> (u64, u64) {
        let shared = self.tokens.lease(&text(charge, rate), rate, i64::try_from(wanted).unwrap_or(i64::MAX)).await;
        match shared {
            Ok(Some(leased)) => leased,
            Ok(None) => self.bucket(charge, |bucket| bucket.take(rate, wanted, now)),
            Err(_) => {
                let share = share(rate, self.tokens.replicas());
                self.bucket(charge, |bucket| bucket.take(share, wanted.min(share.burst), now))
            }
        }
    }

    async fn quota(&self, charge: &Charge, quota: Quota, now: UnixMs) -> Result<Lease, Unknown> {
        let wanted = |left: u64| (quota.amount / BATCH).min(left / SHARE).clamp(1, left);
        let units = in_time(self.database.lease_quota(of_database(charge, quota, now), wanted)).await?;
        let (_, until) = quota.each.around(now.0);
        Ok(Lease { units, next_ms: 0, until: UnixMs(until) })
    }

    /// Takes back units that were leased until `until` and not used.
    pub(super) async fn give_back(&self, charge: &Charge, units: u64, until: UnixMs, now: UnixMs) {
        match charge.allowance {
            Allowance::Rate(rate) => {
                let back = i64::try_from(units).map_or(i64::MIN, |units| -units);
                // what cannot be given back now comes back with time
                if let Ok(None) = self.tokens.lease(&text(charge, rate), rate, back).await {
                    self.bucket(charge, |bucket| bucket.put_back(rate, units));
                }
            }
            Allowance::Quota(quota) => {
                let (_, ends) = quota.each.around(now.0);
                if until.0 != ends {
                    return; // of a day or month that is over
                }
                if let Err(error) = self.database.give_back_quota(of_database(charge, quota, now), units).await {
                    tracing::warn!(%error, units, "what was not used of a quota is lost");
                }
            }
        }
    }

    /// Forgets quotas of days and months that began before this.
    pub(super) async fn forget(&self, before: UnixMs) {
        match self.database.forget_quotas(before).await {
            Ok(rows) => tracing::debug!(rows, "quotas of the past are forgotten"),
            Err(error) => tracing::warn!(%error, "quotas of the past are still in the database; the next hour tries again"),
        }
    }

    /// Forgets buckets that are full.
    pub(super) fn tidy(&self, now: UnixMs) {
        self.buckets.lock().retain(|_, bucket| !bucket.is_full(now));
    }

    fn bucket<T>(&self, charge: &Charge, act: impl FnOnce(&mut Bucket) -> T) -> T {
        act(self.buckets.lock().entry(*charge).or_default())
    }
}

/// What one of so many processes lets pass of a rate by itself.
fn share(rate: Rate, replicas: u32) -> Rate {
    let replicas = u64::from(replicas.max(1));
    Rate { per_ms: rate.per_ms.saturating_mul(replicas), burst: (rate.burst / replicas).max(1), ..rate }
}

/// The name of a rate's bucket. One that is changed has another, so that what the old one lacks does not count.
fn text(charge: &Charge, rate: Rate) -> String {
    format!("{}{}:{}:{}:{}", charge.who, charge.of, rate.count, rate.per_ms, rate.burst)
}

/// A quota as the database knows it: one that is changed goes on, with what was used of it.
fn of_database(charge: &Charge, quota: Quota, now: UnixMs) -> QuotaLease {
    let (begins, _) = quota.each.around(now.0);
    QuotaLease { who: charge.who, of: charge.of, begins: UnixMs(begins), amount: quota.amount }
}

/// What the database says while a check waits for it.
async fn in_time(said: impl Future<Output = Result<u64, DatabaseError>>) -> Result<u64, Unknown> {
    let late = || DatabaseError::Unavailable("it does not answer in time".to_owned());
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| Err(late())).map_err(|error| {
        tracing::warn!(%error, "what is left of a quota is not known");
        Unknown
    })
}
