//! STRICT: waits until every process has applied what was ended, or none can still hold a lease from before.

use std::time::Duration;

use super::core::Core;
use super::link::ADMIN;
use super::scripts::Script;
use crate::clock::boottime_ns;
use crate::token::fencelog::Epoch;
use crate::token::fencelog::ending::Told;
use crate::token::fencelog::follower::Ack;
use crate::token::fencelog::strict::{Longest, Strict};
use crate::token::store::Unavailable;

/// So often is asked without a pause: an acknowledgement takes about as long as a question.
const AT_ONCE: u32 = 8;
/// The first pause after that; each next one is longer by half.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What the members have applied, and how far the log is.
struct Acks {
    seq: u64,
    of_members: Vec<Option<Ack>>,
}

impl Core {
    /// Returns when nothing that was applied before is allowed any more.
    ///
    /// # Errors
    /// [`Unavailable`] where the database does not say how long that may take.
    pub(super) async fn strict(&self) -> Result<(), Unavailable> {
        let longest = self.longest().await?;
        let begun = boottime_ns();
        let epoch = self.follower().epoch().cloned();
        if let Some(epoch) = epoch {
            let mut strict = None;
            for asked in 0u32.. {
                let at_least = strict.clone().unwrap_or_else(|| Strict::begin(Told { epoch: epoch.clone(), n: 0, at: begun }, longest));
                let held = self.follower().held().map(|(epoch, since)| (epoch.clone(), since));
                let now = boottime_ns();
                if now >= at_least.until() || !at_least.may_ask(now, held.as_ref().map(|(epoch, since)| (epoch, *since))) {
                    break;
                }
                if let Some(acks) = self.acks(&epoch).await {
                    // whatever was applied until now has at most the number that the log has when it is asked first
                    let told = Told { epoch: epoch.clone(), n: acks.seq, at: begun };
                    let strict = strict.get_or_insert_with(|| Strict::begin(told, longest));
                    if strict.is_acknowledged(acks.of_members.iter().map(Option::as_ref)) {
                        return Ok(());
                    }
                }
                if let Some(times) = asked.checked_sub(AT_ONCE) {
                    let pause = PAUSE.mul_f64(1.5f64.powi(times.min(20).cast_signed()));
                    tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
                }
            }
        }
        let until = Strict::begin(Told { epoch: Epoch::new(""), n: 0, at: begun }, longest).until();
        // a pause is measured on another clock: asked again until this one says so
        while let Some(left) = until.checked_sub(boottime_ns()).filter(|left| *left > 0) {
            tokio::time::sleep(Duration::from_nanos(left).max(PAUSE)).await;
        }
        Ok(())
    }

    /// How long leases and caches of any process may last.
    async fn longest(&self) -> Result<Longest, Unavailable> {
        let (bound, cached) = self.database.longest_leases().await.map_err(|error| {
            tracing::warn!(%error, "how long a strict end has to wait is not known");
            Unavailable
        })?;
        Ok(Longest { bound: bound.max(self.settings.staleness_bound), cached, slack: self.link.slack() })
    }

    async fn acks(&self, epoch: &Epoch) -> Option<Acks> {
        let held = self.hold().ok()?;
        let reply = held.wire.run(held.wire.call(Script::Acks).arg(epoch.as_str()), ADMIN).await.ok()?;
        if reply.status() != "ok" {
            return None;
        }
        let of_members = reply.at(2).list().iter().map(|said| said.text().and_then(ack)).collect();
        Some(Acks { seq: u64::try_from(reply.at(1).number()?).ok()?, of_members })
    }
}

/// What a member wrote: `epoch n`.
fn ack(said: &str) -> Option<Ack> {
    let (epoch, n) = said.split_once(' ')?;
    Some(Ack { epoch: Epoch::new(epoch), n: n.parse().ok()? })
}
