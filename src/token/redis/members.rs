//! Who leaves the list of members: whoever stops says so; whoever died is removed by another that saw its heartbeat
//! stand still for longer, on its own clock, than any lease of that member can last. So is its row in the database, which a strict
//! end goes by: Redis may have lost the list while a process that it cannot be reached by still uses what is cached.

use std::time::Duration;

use super::core::{Core, Held};
use super::link::ADMIN;
use super::reply::Reply;
use super::scripts::Script;
use crate::clock::boottime_ns;
use crate::database::{DatabaseError, Replica};
use crate::token::fencelog::listing::unlisted;
use crate::token::fencelog::presence::{Member, Presence};

/// What is known of the others.
#[derive(Default)]
pub(super) struct Others {
    members: Presence<String>,
    /// Who is in the database and not among the members.
    unlisted: Presence<i64>,
}

/// A member that wrote `time L D`; ten minutes where that cannot be read.
fn member((id, sign): (String, String)) -> Member<String> {
    let mut numbers = sign.split(' ').skip(1).map(str::parse::<u64>);
    let lasts = match (numbers.next(), numbers.next()) {
        (Some(Ok(bound_ms)), Some(Ok(cached_ms))) => Duration::from_millis(bound_ms.saturating_add(cached_ms)),
        _ => Duration::from_secs(600),
    };
    Member { id, sign, lasts }
}

impl Core {
    /// Removes members that died.
    pub(super) async fn remove_the_dead(&self, others: &mut Others) {
        let Ok(held) = self.hold() else { return };
        let Some(beating) = self.members(&held, &[]).await else { return };
        self.remove_the_unlisted(&beating, &mut others.unlisted).await;
        let gone = others.members.gone(beating.into_iter().map(member).collect(), boottime_ns());
        let gone: Vec<_> = gone.into_iter().map(|member| (member.id, member.sign)).collect();
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
    pub(super) async fn list(&self, cached: Duration) -> Result<(), DatabaseError> {
        self.database.list_replica(&self.member.to_string(), self.settings.staleness_bound, cached).await?;
        self.listing.wrote(cached);
        Ok(())
    }

    /// Removes from the database who has not been among the members for longer than its leases, and its cache after them, last:
    /// before it takes another it lists itself again.
    async fn remove_the_unlisted(&self, beating: &[(String, String)], presence: &mut Presence<i64>) {
        let Ok(rows) = self.database.listed_replicas().await else { return };
        let absent = rows.into_iter().filter(|row| !beating.iter().any(|(member, _)| *member == row.id));
        let slack = self.link.slack();
        let absent = absent.map(|Replica { id, bound, cached, listings }| unlisted(id, listings, (bound, cached), slack));
        for Member { id, sign, .. } in presence.gone(absent.collect(), boottime_ns()) {
            if let Err(error) = self.database.unlist_replica(&id, Some(sign)).await {
                tracing::warn!(%error, "a process that is gone stays listed");
            }
        }
    }

    /// Removes these; who is left, with their heartbeats.
    async fn members(&self, held: &Held, removed: &[(String, String)]) -> Option<Vec<(String, String)>> {
        let call = held.wire.call(Script::Members).arg("epoch").arg(held.epoch.as_str()).arg("").arg("").arg("");
        let call = removed.iter().fold(call, |call, (id, heartbeat)| call.arg(id).arg(heartbeat));
        let reply = held.wire.run(call, ADMIN).await.ok().filter(|reply| reply.status() == "ok")?;
        let text = |reply: &Reply| reply.text().map(ToOwned::to_owned);
        reply.at(1).list().chunks(2).map(|pair| if let [id, beat] = pair { text(id).zip(text(beat)) } else { None }).collect()
    }
}
