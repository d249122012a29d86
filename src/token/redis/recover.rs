//! RECOVER: a Redis that restarted, was flushed or promoted is made whole again from the database.
//!
//! The order of its steps is [`recovery`](crate::token::fencelog::recovery)'s; here each is done.

use std::time::Duration;

use super::core::Core;
use super::link::{ADMIN, Call, Failure, Wire};
use super::relay::{Told, end};
use super::reply::Reply;
use super::scripts::Script;
use crate::clock::boottime_ns;
use crate::database::DatabaseError;
use crate::id::Id;
use crate::token::fencelog::recovery::{Locked, Next, Recovery};
use crate::token::fencelog::{Epoch, Ran};

/// How long the lock lasts unless kept.
const LOCK_MS: u64 = 3_000;
/// How often it is kept.
const KEEP: Duration = Duration::from_millis(700);
/// How many ends and changes one script replays.
const PORTION: usize = 200;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recovered {
    /// The epoch is founded.
    Founded,
    /// Somebody else does it, or has done it.
    ByOthers,
    /// The keys belong to another installation.
    Foreign,
    /// Another process holds the database's epoch, in this token store.
    Refused(String),
}

/// Why it did not come to that.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    #[error(transparent)]
    Redis(#[from] Failure),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the system gave no randomness")]
    Randomness,
}

/// The lock, with what it is bound to.
struct Lock {
    nonce: String,
    run_id: String,
    replid: String,
    epoch: Epoch,
}

impl Lock {
    /// A script that runs under the lock.
    fn call(&self, wire: &Wire, script: Script) -> Call {
        wire.call(script).arg("recovery").arg(&self.nonce).arg(&self.run_id).arg(&self.replid).arg(self.epoch.as_str())
    }
}

impl Core {
    /// Makes Redis whole, which has data of the epoch `there`, if of any. `is_whole`: it is, and replaced because the database knows another.
    pub(super) async fn recover(&self, wire: &Wire, there: &str, is_whole: bool) -> Result<Recovered, Interrupted> {
        // read before the lock is taken: if another recovery comes in between, the swap notices
        let old = self.database.epoch().await?.map(|old| Epoch::new(&old));
        let nonce = || Id::random().map(|id| id.to_string()).map_err(|_| Interrupted::Randomness);
        let (nonce, epoch) = (nonce()?, Epoch::new(&nonce()?));
        let knows = |old: &Epoch| old.as_str() == there || self.follower().has_known(old);
        let recovery = Recovery::begin(old, epoch.clone(), knows);
        let instead_of = if is_whole { there } else { "" };
        let call = wire.call(Script::Lock).arg(&nonce).number(LOCK_MS).id(self.database.installation().id).arg(instead_of);
        let reply = wire.run_beyond(call, ADMIN).await?;
        let (locked, lock) = match (reply.status(), reply.at(1).text(), reply.at(2).text()) {
            ("ok", Some(run_id), Some(replid)) => {
                (Locked::Ours, Lock { nonce, run_id: run_id.to_owned(), replid: replid.to_owned(), epoch })
            }
            ("foreign", ..) => return Ok(Recovered::Foreign),
            _ => return Ok(Recovered::ByOthers),
        };
        let next = recovery.locked(locked);
        let recovered = tokio::select! {
            recovered = self.recover_under(wire, &lock, recovery, next) => recovered,
            lost = keep(wire, &lock) => lost,
        };
        if !matches!(recovered, Ok(Recovered::Founded)) {
            self.follower().gives_up(&lock.epoch);
            drop(wire.run_beyond(lock.call(wire, Script::Hold).number(0), ADMIN).await);
        }
        recovered
    }

    async fn recover_under(&self, wire: &Wire, lock: &Lock, mut recovery: Recovery, mut next: Next) -> Result<Recovered, Interrupted> {
        let (mut told, mut refused_by): (Vec<Told>, _) = (Vec::new(), String::new());
        loop {
            next = match next {
                Next::Claim(epoch) => {
                    let (claimed, by) = self.claim(&epoch).await?;
                    refused_by = by;
                    recovery.claimed(claimed)
                }
                Next::Refused => return Ok(Recovered::Refused(refused_by)),
                Next::SwapEpoch(old, new) => {
                    // who claims the epoch after this one has to know that somebody is there
                    if let Some(cached) = self.listing.lacks(self.fence.longest_cached()) {
                        self.list(cached).await?;
                    }
                    let swapped = self.database.swap_epoch(old.as_ref().map(Epoch::as_str), new.as_str()).await?;
                    if swapped {
                        self.follower().founds(&new, boottime_ns());
                    }
                    recovery.swapped(swapped)
                }
                Next::ReadEnds => {
                    told = self.ends_to_replay().await?;
                    recovery.read(told.len().div_ceil(PORTION))
                }
                Next::Replay(n) => {
                    let portion = told.chunks(PORTION).nth(n).unwrap_or_default();
                    let call = end(lock.call(wire, Script::End), self.kept_ms(), portion, &[]);
                    recovery.replayed(n, ran(&wire.run_beyond(call, ADMIN).await?))
                }
                Next::Found => {
                    let call = lock.call(wire, Script::Found).id(self.database.installation().id).number(recovery.is_first().into());
                    recovery.founded(ran(&wire.run_beyond(call, ADMIN).await?))
                }
                Next::Founded => {
                    tracing::info!(replayed = told.len(), "Redis is whole again: ends and changes replayed, new epoch founded");
                    return Ok(Recovered::Founded);
                }
                Next::Foreign => return Ok(Recovered::Foreign),
                Next::ByOthers | Next::Interrupted => return Ok(Recovered::ByOthers),
            };
        }
    }

    async fn ends_to_replay(&self) -> Result<Vec<Told>, DatabaseError> {
        let since = self.replay_since();
        let records = self.database.records_changed(since).await?;
        let policies = self.policies_of(&records).await?;
        let tokens = self.database.tokens_ended(since).await?;
        Ok(policies.into_iter().chain(records).map(Told::Record).chain(tokens.into_iter().map(Told::Token)).collect())
    }
}

fn ran(reply: &Reply) -> Ran<()> {
    if reply.status() == "ok" { Ran::Done(()) } else { Ran::OtherEpoch }
}

/// Keeps the lock; returns when it is lost.
async fn keep(wire: &Wire, lock: &Lock) -> Result<Recovered, Interrupted> {
    loop {
        tokio::time::sleep(KEEP).await;
        if wire.run_beyond(lock.call(wire, Script::Hold).number(LOCK_MS), ADMIN).await?.status() != "ok" {
            return Ok(Recovered::ByOthers);
        }
    }
}
