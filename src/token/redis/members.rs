//! Who leaves the list of members: whoever stops says so; whoever died is removed by another that saw its heartbeat
//! stand still for longer, on its own clock, than any lease of that member can last. So is its row in the database, which a strict
//! end goes by: Redis may have lost the list while a process that it cannot be reached by still uses what is cached.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::core::{Core, Held};
use super::link::{ADMIN, Call};
use super::reply::Reply;
use super::scripts::Script;
use crate::clock::{boottime_ns, millis};
use crate::database::{DatabaseError, Replica};
use crate::token::fencelog::presence::{Member, Presence};

/// How long, at least, who is not among the members stays in the database.
const UNLISTED: Duration = Duration::from_secs(600);

/// What is known of the others.
#[derive(Default)]
pub(super) struct Others {
    members: Presence<String>,
    /// Who is in the database and not among the members.
    unlisted: Presence<i64>,
}

/// What the database knows of this process: the longest `allow_cached_for` it may use, in ms. It only grows.
#[derive(Default)]
pub(super) struct Listed {
    cached_ms: AtomicU64,
    /// Whether it knows of it since the last heartbeat that found it not among the members. A heartbeat lists it there in any
    /// case, so only the first one tells.
    is_written: AtomicBool,
    /// When the last heartbeat that was answered was sent, nanoseconds since boot.
    heard_ns: AtomicU64,
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

    /// A heartbeat sent then was answered. Where this process was not among the members, the others may have taken it off the database's
    /// list, too; and where it was unheard for long, one whose answer got lost may have been the first.
    pub(super) fn hear(&self, sent_ns: u64, was_member: bool) {
        let unheard = Duration::from_nanos(sent_ns.saturating_sub(self.heard_ns.swap(sent_ns, Ordering::AcqRel)));
        if !was_member || unheard > UNLISTED / 2 {
            self.is_written.store(false, Ordering::Release);
        }
    }

    fn set(&self, cached: Duration) {
        self.cached_ms.fetch_max(millis(cached), Ordering::AcqRel);
        self.is_written.store(true, Ordering::Release);
    }
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

/// Who is in the database and not among the members: what it may use lasts as long as it has written there.
fn unlisted(Replica { id, bound, cached, listings }: Replica) -> Member<i64> {
    Member { id, sign: listings, lasts: UNLISTED.max(bound.saturating_add(cached)) }
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
    pub(super) async fn list_again(&self) -> Result<(), DatabaseError> {
        let cached = self.fence.longest_cached().max(self.listed.cached());
        self.database.list_replica(&self.member.to_string(), self.settings.staleness_bound, cached).await?;
        self.listed.set(cached);
        Ok(())
    }

    /// Removes from the database who has not been among the members for longer than its leases, and its cache after them, last:
    /// before it takes another it lists itself again.
    async fn remove_the_unlisted(&self, beating: &[(String, String)], presence: &mut Presence<i64>) {
        let Ok(rows) = self.database.listed_replicas().await else { return };
        let absent = rows.into_iter().filter(|row| !beating.iter().any(|(member, _)| *member == row.id));
        for Member { id, sign, .. } in presence.gone(absent.map(unlisted).collect(), boottime_ns()) {
            if let Err(error) = self.database.unlist_replica(&id, Some(sign)).await {
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

    const MINUTE: u64 = 60_000_000_000;

    fn row(cached: Duration, listings: i64) -> Replica {
        Replica { id: "a".to_owned(), bound: Duration::from_secs(1), cached, listings }
    }

    #[test]
    fn a_row_stays_for_as_long_as_anything_of_that_process_may_be_used() {
        let gone_at = |cached: Duration| {
            let mut presence = Presence::default();
            (0..200).find(|minute| !presence.gone(vec![unlisted(row(cached, 1))], minute * MINUTE).is_empty())
        };
        assert_eq!(gone_at(Duration::ZERO), Some(12), "more than 1.1 × 10 min");
        assert_eq!(gone_at(Duration::from_secs(3600)), Some(67), "more than 1.1 × 1 h");
    }

    #[test]
    fn it_is_written_again_where_it_may_have_been_removed() {
        let listed = Listed::default();
        let hears = |minute: u64, was_member| {
            listed.hear(minute * MINUTE, was_member);
            let is_short = listed.is_short(Duration::ZERO);
            listed.set(Duration::ZERO);
            is_short
        };
        let heard = [(100, false), (101, true), (102, false), (103, true), (106, true), (112, true), (113, true)];
        assert_eq!(heard.map(|(minute, was_member)| hears(minute, was_member)), [true, false, true, false, false, true, false]);
    }

    #[test]
    fn whoever_lists_itself_again_begins_anew() {
        let mut presence = Presence::default();
        let mut is_gone = |minute: u64, listings| !presence.gone(vec![unlisted(row(Duration::ZERO, listings))], minute * MINUTE).is_empty();
        assert_eq!([is_gone(0, 1), is_gone(10, 2), is_gone(20, 2), is_gone(22, 2)], [false, false, false, true]);
    }
}
