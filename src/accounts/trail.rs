//! What was refused stands in the audit trail, too, within bounds: a flood of refusals must not fill the disk.
//!
//! One entry a minute for each account whose login fails and each (who, from where, what) else, at most [`PER_MINUTE`] a minute in all. They are written beside the
//! answer, so no answer tells by its time whether one was.

use std::collections::HashSet;

use super::{Accounts, Refusal};
use crate::audit::{Action, By, Entry};
use crate::database::Database;
use crate::lock::Mutex;

/// Most entries a minute.
const PER_MINUTE: usize = 120;

/// The target of a login under a name that nobody has; never the name itself, which may be a mistyped password.
pub(super) const UNKNOWN: &str = "unknown";

/// What has been written in this minute.
#[derive(Default)]
pub(super) struct Trail(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: u64,
    /// Who, from where, what.
    written: HashSet<(String, String, &'static str)>,
}

impl Trail {
    fn takes(&self, entry: &Entry, number: u64) -> bool {
        let mut minute = self.0.lock();
        if minute.number != number {
            *minute = Minute { number, written: HashSet::new() };
        }
        // a failed login counts by account, whoever fails; without one by where it comes from
        let (who, origin) = match (entry.action, entry.target.as_str()) {
            (Action::Login, UNKNOWN) => (String::new(), entry.by.origin.clone()),
            (Action::Login, account) => (account.to_owned(), String::new()),
            _ => (entry.by.actor.to_string(), entry.by.origin.clone()),
        };
        minute.written.len() < PER_MINUTE && minute.written.insert((who, origin, entry.action.as_str()))
    }

    /// Records what was refused.
    pub(super) fn refused(&self, database: &Database, entry: Entry) {
        if !self.takes(&entry, database.clock().now().0 / 60_000) {
            return;
        }
        let database = database.clone();
        tokio::spawn(async move {
            let written = async { database.act().await?.commit(&entry).await };
            if let Err(error) = written.await {
                tracing::warn!(%error, "a refusal is missing from the audit trail");
            }
        });
    }
}

impl Accounts {
    /// `result`, recorded where it is a refusal of what the caller may not do.
    pub(super) fn traced<T>(&self, by: &By, action: Action, target: impl ToString, result: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(Refusal::Forbidden | Refusal::ScopeNotHeld(_)) = &result {
            self.trail.refused(&self.database, by.tried(action, target));
        }
        result
    }
}
