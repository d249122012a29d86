//! Who leaves the list of members: whoever stops says so; whoever died is removed by another that saw its heartbeat
//! stand still for longer, on its own clock, than any lease of that member can last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::core::{Core, Held};
use super::link::{ADMIN, Call};
use super::reply::Reply;
use super::scripts::Script;
use crate::clock::millis;
use crate::database::DatabaseError;

/// How long who is not among the members stays in the database.
const UNLISTED_MS: u64 = 600_000;

/// What is known of the others: their last heartbeat, and since when (ms since boot) it stands still.
#[derive(Default)]
pub(super) struct Others {
    beats: HashMap<String, (String, u64)>,
    /// Who is in the database and not among the members: the how-many-eth listing that is, and since when (ms since boot).
    unlisted: HashMap<String, (i64, u64)>,
}

/// What the database knows of this process: the longest `allow_cached_for` it may use, in ms. It only grows.
#[derive(Default)]
pub(super) struct Listed(AtomicU64);

impl Listed {
    /// The longest it may use.
    pub(super) fn cached(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Acquire))
    }

    /// Whether the database knows of less than `wanted`.
    pub(super) fn is_short(&self, wanted: Duration) -> bool {
        self.cached() < wanted
    }

    fn set(&self, cached: Duration) {
        self.0.fetch_max(millis(cached), Ordering::AcqRel);
    }
}

impl Others {
    /// Notes who beats at `now_ms`; returns those whose heartbeat has stood still too long.
    fn gone(&mut self, beating: Vec<(String, String)>, now_ms: u64) -> Vec<(String, String)> {
        let mut before = std::mem::take(&mut self.beats);
        let mut gone = Vec::new();
        for (id, heartbeat) in beating {
            let since_ms = match before.remove(&id) {
                Some((seen, since_ms)) if seen == heartbeat => since_ms,
                _ => now_ms,
            };
            if now_ms - since_ms > longest_ms(&heartbeat) {
                gone.push((id.clone(), heartbeat.clone()));
            }
            self.beats.insert(id, (heartbeat, since_ms));
        }
        gone
    }
}

/// W of COHERENCE §3 for a member that wrote `time L D`; ten minutes where that cannot be read.
fn longest_ms(heartbeat: &str) -> u64 {
    let mut numbers = heartbeat.split(' ').skip(1).map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(bound_ms)), Some(Ok(cached_ms))) => bound_ms.saturating_add(cached_ms).saturating_mul(11) / 10,
        _ => 600_000,
    }
}

impl Core {
    /// Removes members that died.
    pub(super) async fn remove_the_dead(&self, others: &mut Others) {
        let Ok(held) = self.hold() else { return };
        let Some(beating) = self.members(&held, &[]).await else { return };
        self.remove_the_unlisted(&beating, &mut others.unlisted).await;
        let gone = others.gone(beating, crate::clock::boottime_ms());
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
        self.fence.allow_cached(cached);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_is_who_stands_still_longer_than_its_leases() {
        let mut others = Others::default();
        let at = |beat: &str| vec![("a".to_owned(), format!("{beat} 1000 500")), ("b".to_owned(), "1.0 1000 500".to_owned())];
        assert_eq!(others.gone(at("1.0"), 5_000), []);
        assert_eq!(others.gone(at("2.0"), 6_650), [], "1.1 × 1.5 s");
        assert_eq!(others.gone(at("3.0"), 6_651), at("3.0")[1..]);
        assert_eq!(others.gone(vec![], 9_000), []);
        assert_eq!(longest_ms("nonsense"), 600_000);
    }
}
