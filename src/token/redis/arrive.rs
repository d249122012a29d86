//! ARRIVE: live tokens that came with a copy of another database are put into this Redis.
//!
//! Unlike those of a mint, people hold these already. So nobody may end one between its reading and its writing: both are
//! done within one act, and no end is committed before that is over.
//! INVARIANT: the epoch is the one held before the database is read, as for a mint.
//! INVARIANT: a script that was not answered does nothing once the act is over: it was told until when it may, and that is
//! waited for.

use std::sync::Weak;
use std::time::Duration;

use super::core::{CLOCKS, Core};
use super::link::{ADMIN, Call};
use super::relay::LOG;
use super::scripts::Script;
use super::text;
use crate::clock::UnixMs;
use crate::database::{DatabaseError, LiveToken, PendingKind};
use crate::id::Id;
use crate::token::record::Record;
use crate::token::store::RELAY_EVERY;

/// So many at once.
const PORTION: u32 = 64;
/// How long one act may take over them, so that nobody is put out who waits for his turn.
const AT_MOST: Duration = Duration::from_millis(1500);
/// What this process knows of Redis's time may be wrong by.
const MARGIN: Duration = Duration::from_millis(300);

/// What is left to do.
enum Left {
    Nothing,
    More,
    /// Redis could not be asked.
    Later,
}

/// Puts them there until none is left.
pub(super) async fn run(core: Weak<Core>) {
    while let Some(core) = core.upgrade() {
        match core.arrive().await {
            Ok(Left::Nothing) => return,
            Ok(Left::More) => continue,
            Ok(Left::Later) => {}
            Err(error) => tracing::warn!(%error, "tokens of an import wait"),
        }
        drop(core);
        tokio::time::sleep(RELAY_EVERY).await;
    }
}

impl Core {
    async fn arrive(&self) -> Result<Left, DatabaseError> {
        if self.database.arrivals().await? == 0 {
            return Ok(Left::Nothing);
        }
        let Ok(held) = self.hold() else { return Ok(Left::Later) };
        let mut act = self.database.act().await?;
        let until = self.now().after(AT_MOST);
        let arriving = act.arriving(PORTION).await?;
        let (mut done, mut left) = (arriving.ended, Left::More);
        for of_key in arriving.live.chunk_by(|one, other| one.token.key == other.token.key) {
            let Some(key) = of_key.first().map(|live| live.token.key).filter(|_| self.now() < until) else { break };
            let records = self.database.records_of(PendingKind::Key, key).await?;
            let call = held.wire.call(Script::Arrive).arg("epoch").arg(held.epoch.as_str()).arg("").arg("").arg("");
            match held.wire.run(self.arriving(call, key, of_key, &records, until), ADMIN).await {
                Ok(reply) if reply.status() == "ok" => of_key.iter().map(|live| live.token.id).for_each(|id| {
                    // this process need not wait for the log
                    self.fence.bump(id);
                    done.push(id);
                }),
                Ok(reply) => {
                    if reply.status() == "epoch" {
                        self.let_go(&held, "its epoch is not whole or not the one held");
                    }
                    left = Left::Later;
                    break;
                }
                Err(failure) => {
                    self.failed(&held, &failure);
                    tokio::time::sleep(Duration::from_millis(until.0.saturating_sub(self.now().0)) + MARGIN).await;
                    left = Left::Later;
                    break;
                }
            }
        }
        act.arrived(&done).await?;
        // nobody did anything: what came with the copy was done where it came from
        let _ = act.commit_slide().await?;
        Ok(left)
    }

    /// The arguments of `arrive.lua`.
    fn arriving(&self, call: Call, key: Id, tokens: &[LiveToken], records: &[Record], until: UnixMs) -> Call {
        let call = records.iter().fold(call.number(self.kept_ms()).number(records.len() as u64), text::push);
        let call = call.number(self.redis_time(until).0).number(LOG).id(key);
        // one that would outlive what is replayed after a loss is not given: its holder asks for another
        let latest = self.now().after(self.settings.max_lifetime.saturating_add(CLOCKS));
        tokens.iter().filter(|live| live.token.cap <= latest).fold(call, |call, LiveToken { token, idle_end }| {
            call.id(token.id)
                .arg(text::of_token(token))
                .number(token.cap.0)
                .number(self.redis_time((*idle_end).min(token.cap)).0)
                .arg(format!("{} {}", token.format.as_str(), token.scopes))
                .arg(&token.signed_by)
        })
    }
}
