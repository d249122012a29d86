//! Who leaves the list of members: whoever stops says so; whoever died is removed by another that saw its heartbeat
//! stand still for longer, on its own clock, than any lease of that member can last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::core::{Core, Held};
use super::link::{ADMIN, Call};
use super::reply::Reply;
use super::scripts::Script;
use crate::clock::{boottime_ns, millis};
use crate::database::DatabaseError;
use crate::token::fencelog::presence::{Member, Presence};

/// How long who is not among the members stays in the database.
const UNLISTED_MS: u64 = 600_000;

/// What is known of the others.
#[derive(Default)]
pub(super) struct Others {
    presence: Presence,
    /// Who is in the database and not among the members: the how-many-eth listing that is, and since when (ms since boot).
    unlisted: HashMap<String, (i64, u64)>,
}

/// What the database knows of this process: the longest `allow_cached_for` it may use, in ms. It only grows.
#[derive(Default)]
pub(super) struct Listed {
    cached_ms: AtomicU64,
    /// Whether it knows of it since the last heartbeat that found it not among the members. A heartbeat lists it there in any
    /// case, so only the first one tells.
    is_written: AtomicBool,
}

impl Listed {
    /// The longest it may use.
    pub(super) fn cached(&self) -> Duration {
        Duration::from_millis(self.cached_ms.load(Ordering::Acquire))
    }

    /// Whether the database knows nothing, or of less than `wanted`.
    pub(super) fn is_short(&self, wanted: Duration) -> bool {
        !self.is_written.load(Ordering::Acquire) || self.cached() < wanted
    }

    /// This process was not among the members: the others may have taken it off the database's list, too.
    pub(super) fn lose(&self) {
        self.is_written.store(false, Ordering::Release);
    }

    fn set(&self, cached: Duration) {
        self.cached_ms.fetch_max(millis(cached), Ordering::AcqRel);
        self.is_written.store(true, Ordering::Release);
    }
}

/// A member that wrote `time L D`; ten minutes where that cannot be read.
fn member((id, heartbeat): (String, String)) -> Member {
    let mut numbers = heartbeat.split(' ').skip(1).map(str::parse::<u64>);
    let lasts = match (numbers.next(), numbers.next()) {
        (Some(Ok(bound_ms)), Some(Ok(cached_ms))) => Duration::from_millis(bound_ms.saturating_add(cached_ms)),
        _ => Duration::from_secs(600),
    };
    Member { id, heartbeat, lasts }
}

impl Core {
    /// Removes members that died.
    pub(super) async fn remove_the_dead(&self, others: &mut Others) {
        let Ok(held) = self.hold() else { return };
        let Some(beating) = self.members(&held, &[]).await else { return };
        self.remove_the_unlisted(&beating, &mut others.unlisted).await;
        let gone = others.presence.gone(beating.into_iter().map(member).collect(), boottime_ns());
        let gone: Vec<_> = gone.into_iter().map(|member| (member.id, member.heartbeat)).collect();
        if !gone.is_empty() {
            self.members(&held, &gone).await;
        }
    }

    /// Leaves the lists: this process ends. Nothing is allowed from here on.
    pub(super) async fn leave(&self) {
        self.follower().stop();
        let Ok(held) = self.hold() else { return };
        if self.members(&held, &[(self.member.to_string(), String::new())]).await.is_none() {
            return;
        }
        if let Err(error) = self.database.unlist_replica(&self.member.to_string(), None).await {
            tracing::warn!(%error, "the database still lists this process; that goes by itself");
        }
    }

    /// Writes into the database that this process holds leases, and for how long they and its cache last at most.
    pub(super) async fn list_again(&self) -> Result<(), DatabaseError> {
        let cached = self.fence.longest_cached().max(self.listed.cached());
        self.database.list_replica(&self.member.to_string(), self.settings.staleness_bound, cached).await?;
        self.listed.set(cached);
        Ok(())
    }

    /// Removes from the database who has not been among the members for long: its leases are long over, and before it takes
    /// another it lists itself again.
    async fn remove_the_unlisted(&self, beating: &[(String, String)], unlisted: &mut HashMap<String, (i64, u64)>) {
        let Ok(rows) = self.database.listed_replicas().await else { return };
        let now_ms = crate::clock::boottime_ms();
        let before = std::mem::take(unlisted);
        for (id, listings) in rows {
            if beating.iter().any(|(member, _)| *member == id) {
                continue;
            }
            let since_ms = before.get(&id).filter(|(seen, _)| *seen == listings).map_or(now_ms, |(_, since_ms)| *since_ms);
            if now_ms - since_ms < UNLISTED_MS {
                unlisted.insert(id, (listings, since_ms));
            } else if let Err(error) = self.database.unlist_replica(&id, Some(listings)).await {
                tracing::warn!(%error, "a process that is gone stays listed");
            }
        }
    }

    /// Removes these; who is left, with their heartbeats.
    async fn members(&self, held: &Held, removed: &[(String, String)]) -> Option<Vec<(String, String)>> {
        let call = Call::new(Script::Members).arg("epoch").arg(held.epoch.as_str()).arg("").arg("").arg("");
        let call = removed.iter().fold(call, |call, (id, heartbeat)| call.arg(id).arg(heartbeat));
        let reply = held.wire.run(call, ADMIN).await.ok().filter(|reply| reply.status() == "ok")?;
        let text = |reply: &Reply| reply.text().map(ToOwned::to_owned);
        reply.at(1).list().chunks(2).map(|pair| if let [id, beat] = pair { text(id).zip(text(beat)) } else { None }).collect()
    }
}
