//! MINT: a token, or the records alone that a key or a session hangs on.
//!
//! INVARIANT: the epoch is the one held *before* the database is read. If it still stands when the script
//! runs, every end applied since is in this Redis under a higher version, and the script aborts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::core::{Core, Held};
use super::link::{ADMIN, Call, Wire};
use super::reply::Reply;
use super::scripts::Script;
use super::text;
use crate::clock::UnixMs;
use crate::database::{LiveToken, PendingKind};
use crate::id::Id;
use crate::lock::Mutex;
use crate::token::fencelog::Ran;
use crate::token::fencelog::minting::{Minting, Next, Wrote};
use crate::token::minting;
use crate::token::record::{Record, TokenRecord};
use crate::token::store::{MintOrder, MintRefusal, Minted, TOKENS_PER_KEY, Unavailable};

/// So often is tried again where something changed in between.
const TRIES: usize = 5;
/// So many credentials are brought at once.
const BRINGING: usize = 16;
/// So many are begun in a second: a flood of keys that are rightly tagged and not there must not drown the database.
const BEGUN_IN_A_SECOND: u32 = 1000;
/// How long a mint waits for the next epoch.
const NEXT_EPOCH: Duration = Duration::from_millis(300);

/// What came of bringing a credential, once something did: whether it exists.
type Outcome = watch::Receiver<Option<Result<bool, Unavailable>>>;

/// What is being brought: whoever comes second waits for the first.
pub(super) struct Bringing {
    under_way: Mutex<UnderWay>,
    permits: Arc<Semaphore>,
}

#[derive(Default)]
struct UnderWay {
    of: HashMap<Id, Outcome>,
    /// Which second since boot it is, and how many were begun in it.
    begun: (u64, u32),
}

impl UnderWay {
    /// Whether one more may be begun.
    fn may_begin(&mut self, second: u64) -> bool {
        let so_far = if self.begun.0 == second { self.begun.1 } else { 0 };
        self.begun = (second, so_far + 1);
        so_far < BEGUN_IN_A_SECOND
    }
}

impl Default for Bringing {
    fn default() -> Self {
        Self { under_way: Mutex::default(), permits: Arc::new(Semaphore::new(BRINGING)) }
    }
}

/// `gp_mint` without its token.
fn call(wire: &Wire, minting: &Minting, kept_ms: u64, records: &[Record]) -> Call {
    let call = wire.call(Script::Mint).arg("epoch").arg(minting.epoch().as_str()).arg("").arg("").arg("").number(kept_ms);
    records.iter().fold(call.number(records.len() as u64), text::push)
}

impl Core {
    pub(super) async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        for _ in 0..TRIES {
            let held = self.hold().map_err(|_| MintRefusal::Unavailable)?;
            let minting = Minting::begin(&held.epoch);
            let now = self.now();
            let records = self.database.records_of(PendingKind::Key, order.key).await.map_err(|_| MintRefusal::Unavailable)?;
            let scopes = minting::admit(&records, &order, now)?;
            let token = minting::record(&order, scopes, now, &self.settings)?;
            let call = self.ask_token(call(&held.wire, &minting, self.kept_ms(), &records), &order, &token, now);
            let (ran, live) = self.write(&held, call).await;
            let mut next = minting.ran(ran);
            if let (Next::Save, Some(live)) = (next, &live) {
                next = minting.saved(self.database.save_token(live).await.ok());
            }
            match (next, live) {
                (Next::Minted, Some(LiveToken { token, idle_end })) => return Ok(Minted { token, idle_end }),
                (Next::EndIt, Some(live)) => self.end_token(&held, live.token.id).await.map_err(|_| MintRefusal::Unavailable)?,
                (Next::TooMany, _) => return Err(MintRefusal::TooManyTokens),
                (Next::Again, _) => {}
                (Next::InNextEpoch, _) => self.until_adopted(NEXT_EPOCH).await,
                (Next::Unavailable | Next::Save | Next::Minted | Next::EndIt, _) => return Err(MintRefusal::Unavailable),
            }
        }
        Err(MintRefusal::Unavailable)
    }

    /// `gp_mint`, and the token that is there then.
    async fn write(&self, held: &Arc<Held>, call: Call) -> (Ran<Wrote>, Option<LiveToken>) {
        let reply = match held.wire.run(call, ADMIN).await {
            Ok(reply) => reply,
            Err(failure) => {
                self.failed(held, &failure);
                return (Ran::Unanswered, None);
            }
        };
        match reply.status() {
            "ok" => (Ran::Done(Wrote::It), None),
            "new" | "live" => {
                let live = self.written(&reply);
                (if live.is_some() { Ran::Done(Wrote::It) } else { Ran::Unanswered }, live)
            }
            "many" => (Ran::Done(Wrote::TooMany), None),
            "newer" => (Ran::Done(Wrote::NewerThere), None),
            _ => {
                self.let_go(held, "its epoch is not whole or not the one held");
                (Ran::OtherEpoch, None)
            }
        }
    }

    fn written(&self, reply: &Reply) -> Option<LiveToken> {
        let token = text::token(reply.at(1).text()?.parse().ok()?, reply.at(2).text()?)?;
        let idle_end = UnixMs(u64::try_from(reply.at(3).number()?).ok()?);
        Some(LiveToken { idle_end: self.our_time(idle_end).min(token.cap), token })
    }

    /// The arguments of the token (`mint.lua`).
    fn ask_token(&self, call: Call, order: &MintOrder, token: &TokenRecord, now: UnixMs) -> Call {
        let call = call
            .id(token.id)
            .id(token.key)
            .arg(text::of_token(token))
            .number(token.cap.0)
            .number(self.idle_end(now, token.cap).0)
            .number(now.0)
            .number(now.after(self.settings.ttl).0)
            .arg(format!("{} {}", token.format.as_str(), token.scopes))
            .number(TOKENS_PER_KEY as u64)
            .arg(self.offset.ms().to_string());
        order.signers.iter().fold(call, Call::arg)
    }

    /// MINT without token, for a check whose records Redis does not have. Whether the credential exists.
    /// One at a time for each credential, few at once over all: a flood of them must not reach the database.
    pub(super) async fn bring(&self, kind: PendingKind, id: Id) -> Result<bool, Unavailable> {
        let mut outcome = {
            let mut under_way = self.bringing.under_way.lock();
            match under_way.of.get(&id).cloned() {
                Some(outcome) => outcome,
                None if !under_way.may_begin(crate::clock::boottime_ms() / 1000) => return Err(Unavailable),
                None => {
                    let permit = Arc::clone(&self.bringing.permits).try_acquire_owned().map_err(|_| Unavailable)?;
                    let (tell, outcome) = watch::channel(None);
                    let core = self.this.upgrade().ok_or(Unavailable)?;
                    // a task of its own: it goes on for those who wait when the one who began it has to answer
                    tokio::spawn(async move {
                        let result = core.bring_now(kind, id).await;
                        core.bringing.under_way.lock().of.remove(&id);
                        let _ = tell.send(Some(result));
                        drop(permit);
                    });
                    under_way.of.insert(id, outcome.clone());
                    outcome
                }
            }
        };
        let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| Unavailable)?;
        outcome.unwrap_or(Err(Unavailable))
    }

    async fn bring_now(&self, kind: PendingKind, id: Id) -> Result<bool, Unavailable> {
        for _ in 0..TRIES {
            let held = self.hold()?;
            let minting = Minting::begin(&held.epoch);
            let records = self.database.records_of(kind, id).await.map_err(|_| Unavailable)?;
            if records.is_empty() {
                return Ok(false);
            }
            let (ran, _) = self.write(&held, call(&held.wire, &minting, self.kept_ms(), &records)).await;
            match minting.ran(ran) {
                Next::Save => return Ok(true),
                Next::Again => {}
                _ => return Err(Unavailable),
            }
        }
        Err(Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_begun_in_a_second() {
        let mut under_way = UnderWay::default();
        assert!((0..BEGUN_IN_A_SECOND).all(|_| under_way.may_begin(7)));
        assert!(!under_way.may_begin(7));
        assert!(under_way.may_begin(8));
    }
}
