//! Usage: how often each key was let through and refused, by hour and rule.
//!
//! A check counts in a table of its own thread ([`table`]): one addition to memory that no other thread writes, without a lock and
//! without asking for memory. Every five seconds the tables are gathered, and what they held is added to the rows of its hour in the
//! database ([`writer`]). Counted is what comes with a live key, or with a token of one; who comes with a login has none.
//!
//! INVARIANT: every count is added once. Until then it is in memory: a process that dies loses what it counted since it last wrote.

mod names;
mod table;
mod waiting;
mod writer;

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use thread_local::ThreadLocal;

use self::table::{Full, Table};
use self::waiting::Waiting;
use self::writer::Writer;
use crate::clock::{Clock, UnixMs};
use crate::database::Database;
use crate::decision::holder::Identity;
use crate::decision::rules::Rule;
use crate::decision::{Reason, Verdict};
use crate::id::Id;
use crate::lock::Mutex;
use crate::metrics;

pub use names::RuleNumbers;

/// What rows are of.
pub const HOUR: Duration = Duration::from_secs(3600);
/// How often the tables are gathered and written; an hour is a multiple of it.
const EVERY: Duration = Duration::from_secs(5);
/// The status of whoever asks too often.
const TOO_MANY: u16 = 429;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was let through.
    Allowed,
    /// It was refused.
    Refused,
    /// It was refused because there were too many.
    Limited,
}

/// How many checks came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that were let through.
    pub allowed: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those that were refused because there were too many.
    pub limited: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.allowed = self.allowed.saturating_add(other.allowed);
        self.refused = self.refused.saturating_add(other.refused);
        self.limited = self.limited.saturating_add(other.limited);
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.allowed.saturating_add(self.refused).saturating_add(self.limited)
    }
}

/// Counts checks. Clones count together; what writes ends with the last one.
#[derive(Clone)]
pub struct Usage(Option<Arc<Counting>>);

/// What is counted and not written yet.
struct Counting {
    clock: Clock,
    tables: ThreadLocal<Table>,
    /// Whoever gathers holds it.
    gathered: Mutex<Gathered>,
    writer: tokio::sync::Mutex<Writer>,
}

struct Gathered {
    waiting: Waiting,
    /// Since when the tables hold what they hold.
    since: UnixMs,
}

impl Usage {
    /// Nothing is counted.
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins to count, and drops what is older than `keep`.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn start(database: Database, keep: Duration) -> Result<Self, ring::error::Unspecified> {
        let counting = Arc::new(Counting {
            clock: database.clock().clone(),
            tables: ThreadLocal::new(),
            gathered: Mutex::new(Gathered { waiting: Waiting::default(), since: database.clock().now() }),
            writer: tokio::sync::Mutex::new(Writer::new(database.clone())?),
        });
        let (gathering, writing) = (Arc::downgrade(&counting), Arc::downgrade(&counting));
        let due = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&due);
        // a database that is slow to answer keeps nobody from telling one hour from the next
        tokio::spawn(async move {
            loop {
                let Some(wait) = gathering.upgrade().map(|counting| counting.until_next()) else { return told.notify_one() };
                tokio::time::sleep(wait).await;
                let Some(counting) = gathering.upgrade() else { return told.notify_one() };
                counting.gather();
                told.notify_one();
            }
        });
        tokio::spawn(async move {
            loop {
                due.notified().await;
                let Some(counting) = writing.upgrade() else { return };
                counting.write().await;
            }
        });
        writer::forget_old(&counting, database, keep);
        Ok(Self(Some(counting)))
    }

    /// Counts what came of a check, by these rules.
    pub fn checked(&self, rules: &RuleNumbers, verdict: &Verdict<'_>) {
        let Some(counting) = &self.0 else { return };
        match verdict {
            Verdict::Allow(permit) => {
                if let Some(holder) = permit.holder() {
                    counting.count(rules, permit.rule(), holder.key(), Outcome::Allowed);
                }
            }
            Verdict::Deny(denial) => {
                if let (Some(holder), Some(rule)) = (&denial.holder, denial.rule) {
                    counting.count(rules, rule, holder.key(), Outcome::of(denial.reason));
                }
            }
        }
    }

    /// Writes what was counted so far, as far as the database takes it.
    pub async fn flush(&self) {
        let Some(counting) = &self.0 else { return };
        counting.gather();
        counting.write().await;
    }

    /// The same, once nothing is counted any more.
    pub async fn stop(&self) {
        self.flush().await;
        if let Some(counting) = &self.0 {
            counting.writer.lock().await.leave().await;
        }
    }
}

impl Outcome {
    fn of(reason: Reason) -> Self {
        if reason.status() == TOO_MANY { Self::Limited } else { Self::Refused }
    }
}

impl Counting {
    fn count(&self, rules: &RuleNumbers, rule: &Rule, key: Option<Id>, outcome: Outcome) {
        let (Some(key), Some(rule)) = (key, rules.get(rule)) else { return };
        let table = self.tables.get_or(Table::new);
        if table.count(key, rule, outcome) == Err(Full) {
            self.make_room(table);
            // there is room now
            let _ = table.count(key, rule, outcome);
        }
    }

    /// Gathers this thread's own table and takes its names out.
    #[cold]
    fn make_room(&self, own: &Table) {
        let mut gathered = self.gathered();
        gathered.take_from(own);
        own.clear();
    }

    /// Takes what the tables hold to what waits.
    fn gather(&self) {
        let mut gathered = self.gathered();
        self.tables.iter().for_each(|table| gathered.take_from(table));
        gathered.since = self.clock.now();
        metrics::usage_waits(gathered.waiting.len());
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock()
    }

    async fn write(&self) {
        let mut writer = self.writer.lock().await;
        writer.write(|most| self.gathered().waiting.take(most)).await;
        metrics::usage_waits(self.gathered().waiting.len());
    }

    /// How long until the tables are to be gathered: at the full hour in any case, so that no count stands in the next.
    fn until_next(&self) -> Duration {
        let every = crate::clock::millis(EVERY);
        Duration::from_millis(every - self.clock.now().0 % every)
    }
}

impl Gathered {
    /// Counts stand in the hour in which the tables were begun.
    fn take_from(&mut self, table: &Table) {
        let (hour, waiting) = (hour_of(self.since), &mut self.waiting);
        table.gather(|key, rule, counts| waiting.add(hour, key, rule, counts));
    }
}

/// The beginning of the hour.
pub fn hour_of(at: UnixMs) -> UnixMs {
    let hour = crate::clock::millis(HOUR);
    UnixMs(at.0 / hour * hour)
}

#[cfg(test)]
mod tests;
