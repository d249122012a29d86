//! A made-up database: the authority. Each of its operations happens at once and whole.

use std::collections::BTreeMap;

use gatepost::id::Id;
use gatepost::token::fencelog::Epoch;

use super::redis::{Record, Thing};

/// Everything in it.
#[derive(Default)]
pub(crate) struct Database {
    pub(crate) epoch: Option<Epoch>,
    records: BTreeMap<Thing, Record>,
    /// Token -> whether it has ended.
    tokens: BTreeMap<Id, bool>,
    /// Rows that are not done.
    pub(crate) outbox: BTreeMap<u64, Thing>,
    next: u64,
}

impl Database {
    pub(crate) fn make(&mut self, thing: Thing) {
        self.records.insert(thing, Record { version: 1, ended: false });
    }

    pub(crate) fn record(&self, thing: Thing) -> Record {
        self.records.get(&thing).copied().unwrap_or_default()
    }

    /// END 1: the change, its version and its outbox row in one.
    pub(crate) fn commit_end(&mut self, thing: Thing) -> u64 {
        match thing {
            Thing::Token(id) => drop(self.tokens.insert(id, true)),
            thing => {
                let record = self.records.entry(thing).or_default();
                *record = Record { version: record.version + 1, ended: true };
            }
        }
        self.next += 1;
        self.outbox.insert(self.next, thing);
        self.next
    }

    /// END 3.
    pub(crate) fn mark_done(&mut self, row: u64, epoch: &Epoch) -> bool {
        let is_so = self.epoch.as_ref() == Some(epoch);
        if is_so {
            self.outbox.remove(&row);
        }
        is_so
    }

    pub(crate) fn swap_epoch(&mut self, old: Option<&Epoch>, new: &Epoch) -> bool {
        let is_so = self.epoch.as_ref() == old;
        if is_so {
            self.epoch = Some(new.clone());
        }
        is_so
    }

    /// The token's row; false where it has ended.
    pub(crate) fn save_token(&mut self, id: Id) -> bool {
        !*self.tokens.entry(id).or_insert(false)
    }

    /// Every end there has been, and every record.
    pub(crate) fn replayed(&self) -> Vec<(Thing, Record)> {
        let tokens = self.tokens.iter().filter(|(_, ended)| **ended).map(|(id, _)| (Thing::Token(*id), Record::default()));
        self.records.iter().map(|(thing, record)| (*thing, *record)).chain(tokens).collect()
    }
}
