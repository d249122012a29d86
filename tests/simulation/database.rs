//! A made-up database: the authority. Each of its operations happens at once and whole.

use std::collections::BTreeMap;
use std::time::Duration;

use gatepost::id::Id;
use gatepost::token::fencelog::Epoch;

use super::redis::{Record, Thing};

/// Everything in it.
#[derive(Default)]
pub(crate) struct Database {
    pub(crate) epoch: Option<Epoch>,
    /// Epochs that somebody asks to found -> whether that was refused.
    pub(crate) claims: BTreeMap<Epoch, bool>,
    records: BTreeMap<Thing, Record>,
    /// Token -> whether it has ended.
    tokens: BTreeMap<Id, bool>,
    /// Rows that are not done.
    pub(crate) outbox: BTreeMap<u64, Thing>,
    next: u64,
    /// Processes that may hold leases: L, D, and how often each has listed itself.
    replicas: BTreeMap<u64, (Duration, Duration, u64)>,
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
            self.claims.clear();
        }
        is_so
    }

    /// The epoch, whether there is a claim that nobody has refused, and a row that is not done.
    pub(crate) fn outlook(&self) -> (Option<Epoch>, bool, Option<(u64, Thing)>) {
        let is_claimed = self.claims.values().any(|is_refused| !is_refused);
        (self.epoch.clone(), is_claimed, self.outbox.iter().next().map(|(row, thing)| (*row, *thing)))
    }

    /// Where this still is the epoch; how many there were.
    pub(crate) fn refuse_claims(&mut self, epoch: &Epoch) -> u64 {
        let mut refused = 0;
        if self.epoch.as_ref() == Some(epoch) {
            self.claims.values_mut().filter(|is_refused| !**is_refused).for_each(|is_refused| (*is_refused, refused) = (true, refused + 1));
        }
        refused
    }

    /// The token's row; false where it has ended.
    pub(crate) fn save_token(&mut self, id: Id) -> bool {
        !*self.tokens.entry(id).or_insert(false)
    }

    /// Whether it was not listed.
    pub(crate) fn list(&mut self, process: u64, bound: Duration, cached: Duration) -> bool {
        let (of_bound, of_cached, listings) = self.replicas.entry(process).or_default();
        (*of_bound, *of_cached, *listings) = ((*of_bound).max(bound), (*of_cached).max(cached), *listings + 1);
        *listings == 1
    }

    /// Where it has not listed itself again since; whether it was listed.
    pub(crate) fn unlist(&mut self, process: u64, listings: Option<u64>) -> bool {
        let before = self.replicas.len();
        self.replicas.retain(|id, (.., of)| *id != process || listings.is_some_and(|listings| listings != *of));
        self.replicas.len() < before
    }

    /// Who is listed: L, D, and how often each has listed itself.
    pub(crate) fn listed(&self) -> BTreeMap<u64, (Duration, Duration, u64)> {
        self.replicas.clone()
    }

    /// The longest L and the longest D.
    pub(crate) fn longest(&self) -> (Duration, Duration) {
        let of = self.replicas.values();
        of.fold(Default::default(), |(bound, cached), (of_bound, of_cached, _)| (bound.max(*of_bound), cached.max(*of_cached)))
    }

    /// Every end there has been, and every record.
    pub(crate) fn replayed(&self) -> Vec<(Thing, Record)> {
        let tokens = self.tokens.iter().filter(|(_, ended)| **ended).map(|(id, _)| (Thing::Token(*id), Record::default()));
        self.records.iter().map(|(thing, record)| (*thing, *record)).chain(tokens).collect()
    }
}
