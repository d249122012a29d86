//! LOOKOUT: whether the database still has the epoch held, and whether somebody who has never known it would found the next.
//!
//! A task of its own: neither Redis nor an outbox, however long, keeps it from looking.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::core::Core;
use crate::clock::{UnixMs, boottime_ns};
use crate::database::{Claim, DatabaseError};
use crate::token::fencelog::follower::Agreement;
use crate::token::fencelog::recovery::Claimed;
use crate::token::fencelog::{Epoch, nanos};
use crate::token::store::RELAY_EVERY;

/// How long one look waits for the database.
const AT_MOST: Duration = Duration::from_secs(2);
/// So often, and after so long, is looked whether a claim was refused: meanwhile whoever may refuse it looks at least twice.
const CLAIM_LOOKS: u32 = 15;
const CLAIM_LOOKS_EVERY: Duration = Duration::from_millis(50);
/// How often is told of somebody who keeps asking to found an epoch elsewhere.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Claims older than that are left from processes that died.
const CLAIM_LASTS: Duration = Duration::from_secs(600);

/// What was said last.
#[derive(Default)]
struct Said {
    is_away: bool,
    /// When somebody was refused, nanoseconds since boot.
    refused: Option<u64>,
}

/// Looks until the store is dropped.
pub(super) async fn run(core: Weak<Core>) {
    let mut said = Said::default();
    while let Some(strong) = core.upgrade() {
        let looked = tokio::time::timeout(AT_MOST, strong.look_out(&mut said)).await;
        let error = match looked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it does not answer".to_owned()),
        };
        if let Some(error) = error.as_ref().filter(|_| !said.is_away) {
            tracing::warn!(error, "the database cannot be asked for the token store's epoch");
        }
        said.is_away = error.is_some();
        let look = Arc::clone(&strong.look);
        drop(strong);
        tokio::select! { () = tokio::time::sleep(RELAY_EVERY) => {}, () = look.notified() => {} }
    }
}

impl Core {
    async fn look_out(&self, said: &mut Said) -> Result<(), DatabaseError> {
        // before the database is read: where it has another than this one, that is no older one
        let held = self.follower().epoch().cloned();
        let outlook = self.database.outlook().await?;
        self.is_pending.store(outlook.is_pending, Ordering::Relaxed);
        let epoch = outlook.epoch.as_deref().map(Epoch::new);
        if let Some(held) = held {
            self.compare(&held, epoch.as_ref() == Some(&held));
        }
        if let (Some(theirs), Some(epoch)) = (outlook.claim, epoch)
            && self.follower().defends(&epoch, boottime_ns())
        {
            let (ours, now) = (self.link.place(), boottime_ns());
            if said.refused.is_none_or(|told| now - told > nanos(TOLD_EVERY)) {
                said.refused = Some(now);
                tracing::warn!(ours, theirs, "another gatepost wants to serve from this database with another Redis, and is refused");
            }
            self.database.refuse_claims(epoch.as_str(), &ours).await?;
        }
        Ok(())
    }

    fn compare(&self, held: &Epoch, has_it: bool) {
        if !has_it {
            self.is_contested.store(true, Ordering::Relaxed);
        }
        let is_news = !has_it || self.follower().agreement() != Agreement::Agrees;
        self.follower().compared(boottime_ns(), held, has_it);
        if has_it {
            self.is_contested.store(false, Ordering::Relaxed);
            *self.complaint.lock() = None;
        } else if let Ok(asked) = self.hold()
            && asked.epoch == *held
        {
            self.let_go(&asked, "the database has another epoch");
        }
        if is_news {
            self.kick.notify_one();
        }
    }

    /// Asks through the database whether `epoch` may be founded: what came of it, and who holds the present one instead.
    pub(super) async fn claim(&self, epoch: &Epoch) -> Result<(Claimed, String), DatabaseError> {
        let ours = self.member.to_string();
        if self.database.listed_replicas().await?.iter().all(|replica| replica.id == ours) {
            return Ok((Claimed::Stands, String::new()));
        }
        self.is_contested.store(true, Ordering::Relaxed);
        self.database.claim(epoch.as_str(), &self.link.place()).await?;
        for _ in 0..CLAIM_LOOKS {
            tokio::time::sleep(CLAIM_LOOKS_EVERY).await;
            match self.database.claimed(epoch.as_str()).await? {
                Claim::Stands => {}
                Claim::Gone => return Ok((Claimed::Overtaken, String::new())),
                Claim::Refused(by) => {
                    self.database.drop_claim(epoch.as_str()).await?;
                    return Ok((Claimed::Refused, by));
                }
            }
        }
        Ok((Claimed::Stands, String::new()))
    }

    /// Deletes claims that nobody waits for any more.
    pub(super) async fn forget_claims(&self, now: UnixMs) -> Result<(), DatabaseError> {
        self.database.forget_claims(now.before(CLAIM_LASTS)).await
    }
}
