//! END: what the database has committed is applied by `gp_end`, and only then marked done. The relay does it
//! again for rows that are not, whoever wrote them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::core::{Core, Held};
use super::link::{ADMIN, Call};
use super::log::IMPORTS;
use super::members::Others;
use super::scripts::Script;
use super::text;
use crate::clock::boottime_ns;
use crate::database::{DatabaseError, NO_ID, Pending, PendingKind};
use crate::id::Id;
use crate::token::fencelog::Ran;
use crate::token::fencelog::ending::{Ending, Next};
use crate::token::record::{Content, Record};
use crate::token::sliding::FLUSH_EVERY;
use crate::token::store::{BATCH, OUTBOX_KEPT, Propagated, RELAY_EVERY, Unavailable};

/// Length of the log.
pub(super) const LOG: u64 = 100_000;
/// How long an end waits for the next epoch where the one it ran in is over.
const NEXT_EPOCH: Duration = Duration::from_millis(300);
/// So often an end is sent again in the next epoch before it is left to the relay.
const TRIES: usize = 3;
/// How often ends are sent again that were applied in an epoch which is not settled yet.
const SETTLING_EVERY: Duration = Duration::from_secs(2);
/// How often the time mark is written. Tokens run out by Redis's clock; the mark is for what this process judges by its
/// own (caps, ends of keys, graces): a clock set back between two runs does not revive them.
const MARK_EVERY: Duration = Duration::from_secs(2);
/// How far ahead it is put, so that it does not lag.
const MARK_AHEAD: Duration = Duration::from_secs(3);
/// How often is looked for members that died.
const DEAD_EVERY: Duration = Duration::from_secs(5);
/// How often old rows are deleted from the database.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// What `gp_end` is told of.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A token ended.
    Token(Id),
    /// Keys were imported.
    Imports,
    /// A record as it stands.
    Record(Record),
}

/// Adds what `gp_end` is told of, and what only comes along, to a call that says who sends it.
pub(super) fn end(call: Call, kept_ms: u64, told: &[Told], along: &[Record]) -> Call {
    let call = call.number(kept_ms).number(LOG).number(told.len() as u64);
    let call = told.iter().fold(call, |call, told| match told {
        Told::Token(id) => ["0", "", "0", "", ""].iter().fold(call.arg("t").id(*id), Call::arg),
        Told::Imports => ["0", "", "0", "", ""].iter().fold(call.arg(IMPORTS).id(NO_ID), Call::arg),
        Told::Record(record) => text::push(call, record),
    });
    along.iter().fold(call, text::push)
}

/// How far the outbox was applied.
enum Applied {
    /// No row was left.
    Nothing,
    /// Up to this row, and done.
    Done(i64),
    /// Up to this row, in an epoch that is not settled yet.
    Unsettled(i64),
}

/// Why rows are not applied.
enum Undone {
    /// Try again in the epoch that is, or comes.
    OtherEpoch,
    /// The relay tries later.
    Away,
}

impl From<DatabaseError> for Undone {
    fn from(error: DatabaseError) -> Self {
        tracing::warn!(%error, "an end or change waits in the outbox");
        Self::Away
    }
}

impl From<Unavailable> for Undone {
    fn from(Unavailable: Unavailable) -> Self {
        Self::Away
    }
}

impl Core {
    /// Applies what the outbox holds, up to this row at least.
    pub(super) async fn apply(&self, until: i64) -> Propagated {
        let _turn = self.applying.lock().await;
        let (mut tries, mut unsettled) = (0, None);
        loop {
            let last = match self.apply_some(unsettled.unwrap_or(0)).await {
                Ok(Applied::Nothing) => i64::MAX,
                Ok(Applied::Done(last)) => last,
                Ok(Applied::Unsettled(last)) => *unsettled.insert(last),
                Err(Undone::OtherEpoch) if tries < TRIES => {
                    (tries, unsettled) = (tries + 1, None);
                    self.until_adopted(NEXT_EPOCH).await;
                    continue;
                }
                Err(_) => return Propagated::Later,
            };
            if last >= until {
                return if unsettled.is_none() { Propagated::Yes } else { Propagated::Later };
            }
        }
    }

    /// Applies the oldest rows behind this one.
    async fn apply_some(&self, after: i64) -> Result<Applied, Undone> {
        // before the rows are read, and what their records say: as in MINT
        let held = self.hold()?;
        let mut ending = Ending::begin(&held.epoch, self.is_settled(&held.epoch));
        let rows = self.database.pending(after, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.n) else { return Ok(Applied::Nothing) };
        let (told, along) = self.read(&rows).await?;
        let ran = self.send(&held, &told, &along).await;
        if let Ran::Done(_) = ran {
            // nobody need wait for the log to come round to this process
            told.iter().for_each(|told| self.forget(told));
        }
        let mut next = ending.ran(boottime_ns(), ran);
        if let Next::MarkDone(epoch) = &next {
            let numbers: Vec<_> = rows.iter().map(|row| row.n).collect();
            let done = self.database.done(&numbers, Some(epoch.as_str())).await?;
            // where not, another epoch stands in the database: its founder may have read before this end was committed
            next = ending.marked(Some(done));
        }
        match next {
            Next::Applied(_) => Ok(Applied::Done(last)),
            Next::OnceSettled => Ok(Applied::Unsettled(last)),
            Next::Later => Err(Undone::Away),
            Next::InNextEpoch | Next::MarkDone(_) => Err(Undone::OtherEpoch),
        }
    }

    /// What the rows tell of, each once, and the records those hang on.
    async fn read(&self, rows: &[Pending]) -> Result<(Vec<Told>, Vec<Record>), DatabaseError> {
        let (mut told, mut along): (Vec<Told>, Vec<Record>) = (Vec::new(), Vec::new());
        let mut seen = Vec::new();
        for Pending { kind, id, .. } in rows {
            if seen.contains(&(*kind, *id)) {
                continue;
            }
            seen.push((*kind, *id));
            match kind {
                PendingKind::Token => {
                    told.push(Told::Token(*id));
                    continue;
                }
                PendingKind::Imports => {
                    told.push(Told::Imports);
                    continue;
                }
                PendingKind::Key | PendingKind::Session | PendingKind::Subject | PendingKind::Policy | PendingKind::Denials => {}
            }
            let mut records = self.database.records_of(*kind, *id).await?.into_iter();
            told.extend(records.next().map(Told::Record));
            for record in records {
                if !along.iter().any(|other| (other.kind(), other.id) == (record.kind(), record.id)) {
                    along.push(record);
                }
            }
        }
        Ok((told, along))
    }

    /// `gp_end`: the number of its last entry.
    async fn send(&self, held: &Arc<Held>, told: &[Told], along: &[Record]) -> Ran<u64> {
        let call = held.wire.call(Script::End).arg("epoch").arg(held.epoch.as_str()).arg("").arg("").arg("");
        match held.wire.run(end(call, self.kept_ms(), told, along), ADMIN).await {
            Ok(reply) if reply.status() == "ok" => {
                reply.at(1).number().and_then(|n| u64::try_from(n).ok()).map_or(Ran::Unanswered, Ran::Done)
            }
            Ok(_) => {
                self.let_go(held, "its epoch is not whole or not the one held");
                Ran::OtherEpoch
            }
            Err(failure) => {
                tracing::warn!(%failure, "an end or change waits in the outbox");
                self.failed(held, &failure);
                Ran::Unanswered
            }
        }
    }

    /// What this process cached of it counts no more.
    fn forget(&self, told: &Told) {
        match told {
            Told::Token(id) | Told::Record(Record { id, content: Content::Key(_) | Content::Session(_) | Content::Denials(_), .. }) => {
                self.fence.bump(*id)
            }
            Told::Imports => self.fence.bump_imports(),
            Told::Record(_) => self.fence.bump_all(),
        }
    }

    /// Ends a token in Redis that the database has ended; its outbox row stays for the relay.
    pub(super) async fn end_token(&self, held: &Arc<Held>, id: Id) -> Result<(), Unavailable> {
        match self.send(held, &[Told::Token(id)], &[]).await {
            Ran::Done(_) | Ran::OtherEpoch => Ok(()),
            Ran::Unanswered => Err(Unavailable),
        }
    }

    /// The policies that changed subjects name and that are not among the changes: a snapshot may be older than they.
    pub(super) async fn policies_of(&self, records: &[Record]) -> Result<Vec<Record>, DatabaseError> {
        let mut named: Vec<Id> = Vec::new();
        for record in records {
            if let Content::Subject(subject) = &record.content {
                named.extend(&subject.policies);
            }
        }
        named.sort_unstable();
        named.dedup();
        let mut policies = Vec::new();
        for id in named {
            policies.extend(self.database.record(PendingKind::Policy, id).await?);
        }
        Ok(policies)
    }
}

/// Relays, flushes and tidies until the store is dropped.
pub(super) async fn run(core: Weak<Core>) {
    let mut ticks = tokio::time::interval(RELAY_EVERY);
    let mut others = Others::default();
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n in 1u64.. {
        ticks.tick().await;
        let Some(core) = core.upgrade() else { return };
        let due = |every: Duration| n.is_multiple_of((every.as_millis() / RELAY_EVERY.as_millis()) as u64);
        if due(FLUSH_EVERY) {
            core.flush().await;
        }
        if due(DEAD_EVERY) {
            core.remove_the_dead(&mut others).await;
        }
        if let Err(error) = core.tick(due(SETTLING_EVERY), due(MARK_EVERY), due(FORGET_EVERY)).await {
            tracing::warn!(%error, "upkeep of the token store");
        }
    }
}

impl Core {
    /// `settling` = rows are sent again in an epoch that is not settled, too.
    async fn tick(&self, settling: bool, mark: bool, forget: bool) -> Result<(), DatabaseError> {
        let relays = self.held.load().as_ref().is_some_and(|held| settling || self.is_settled(&held.epoch));
        if relays && self.is_pending.load(Ordering::Relaxed) {
            self.apply(i64::MAX).await;
        }
        let now = self.now();
        if mark {
            self.database.raise_high_water(now.after(MARK_AHEAD)).await?;
        }
        if forget {
            self.database.forget_tokens(now.before(self.settings.tokens_kept())).await?;
            self.database.forget_done(now.before(OUTBOX_KEPT)).await?;
            self.forget_claims(now).await?;
        }
        Ok(())
    }
}
