//! Counts that are gathered and wait for the database: added up by hour, key and rule, and bounded.

use std::collections::HashMap;

use super::Counts;
use super::names::{self, Number};
use crate::clock::UnixMs;
use crate::database::UsageRow;
use crate::id::Id;

/// Most rows that wait: some ten megabytes. What would be one more is lost, and that is told.
const MOST: usize = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    hour: UnixMs,
    key: Id,
    rule: Number,
}

/// What waits.
#[derive(Default)]
pub(super) struct Waiting {
    rows: HashMap<Name, Counts>,
    /// Whether something was lost since the last row was taken.
    loses: bool,
}

impl Waiting {
    /// Adds counts of one hour.
    pub(super) fn add(&mut self, hour: UnixMs, key: Id, rule: Number, counts: Counts) {
        let name = Name { hour, key, rule };
        if let Some(row) = self.rows.get_mut(&name) {
            return row.add(counts);
        }
        if self.rows.len() < MOST {
            self.rows.insert(name, counts);
            return;
        }
        crate::metrics::usage_lost(counts.total());
        if !self.loses {
            self.loses = true;
            tracing::error!(rows = MOST, "usage is lost: too much waits for the database");
        }
    }

    /// How many rows wait.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes at most so many rows, in the order in which the database keeps them: whoever locks rows locks them in this one.
    pub(super) fn take(&mut self, most: usize) -> Vec<UsageRow> {
        self.loses = false;
        let names: Vec<Name> = self.rows.keys().take(most).copied().collect();
        let mut taken: Vec<UsageRow> = names
            .iter()
            .filter_map(|name| {
                let counts = self.rows.remove(name)?;
                Some(UsageRow { key: name.key, hour: name.hour, rule: names::id(name.rule)?.as_ref().to_owned(), counts })
            })
            .collect();
        taken.sort_unstable_by(|one, other| (one.key, one.hour, &one.rule).cmp(&(other.key, other.hour, &other.rule)));
        if self.rows.is_empty() {
            self.rows.shrink_to(MOST / 100);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Counts = Counts { allowed: 1, refused: 0, limited: 0 };

    #[test]
    fn what_waits_is_bounded_and_adds_up() {
        let mut waiting = Waiting::default();
        let rule = Number::MIN;
        let key = |n: usize| Id::from_bytes((n as u128).to_be_bytes());
        for n in 0..MOST + 10 {
            waiting.add(UnixMs(0), key(n), rule, ONE);
        }
        assert_eq!(waiting.len(), MOST);
        waiting.add(UnixMs(0), key(5), rule, ONE);
        assert_eq!(waiting.rows[&Name { hour: UnixMs(0), key: key(5), rule }].allowed, 2, "who is known is counted on");
    }
}
