//! The table: names to entries, bounded, read without a lock.
//!
//! Sets of 16 places each. A name is 128 random bits, so the set it belongs to is some of them, and a place is told by 31
//! others before the entry itself is looked at. A set is made when the first entry comes into it, so an idle process holds
//! next to nothing. Where a set is full, what is worth least makes room.
//!
//! INVARIANT: a reader takes an entry for a name only if the entry says so itself.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::common::Common;
use super::entry::{Entry, Provers, Terms};
use super::name::Name;
use crate::clock::UnixMs;
use crate::decision::credential::CredentialKind;
use crate::id::Id;
use crate::token::fence::{Concerned, Stamps};
use crate::token::store::Ask;

/// An entry that is being read.
pub type Held = Guard<Arc<Entry>>;

/// Groups of sets: [`PLACES`] in all.
const GROUPS: usize = 1536;
/// Sets in a group.
const SETS: usize = 64;
/// Places in a set.
const WAYS: usize = 16;
/// Most of a set that refused credentials may take.
const REFUSED: usize = WAYS / 4;
/// Most entries: half as many again as a million, since the sets do not fill evenly.
#[cfg(test)]
pub(super) const PLACES: usize = GROUPS * SETS * WAYS;
/// In a mark: used since the place was last looked at for eviction.
const USED: u32 = 1 << 31;

/// The table.
pub(super) struct Table {
    groups: Box<[OnceLock<Box<Group>>]>,
    nothing: Arc<Entry>,
}

struct Group {
    sets: [OnceLock<Box<Set>>; SETS],
    /// Whose turn it is to change one of them.
    turn: Mutex<()>,
}

struct Set {
    /// 31 bits of the name, and [`USED`]; 0 = free.
    marks: [AtomicU32; WAYS],
    entries: [ArcSwap<Entry>; WAYS],
}

/// Where a name belongs.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    set: usize,
    mark: u32,
    /// Where the search for a victim begins.
    begin: usize,
}

impl Name {
    #[expect(clippy::cast_possible_truncation, reason = "parts of it are what is wanted")]
    fn place(self) -> Place {
        let [a, b] = self.0;
        let group = (((a >> 32) * GROUPS as u64) >> 32) as usize;
        Place { group, set: a as usize % SETS, mark: (b as u32 & !USED) | 1, begin: (b >> 32) as usize % WAYS }
    }
}

impl Table {
    /// An empty one.
    pub(super) fn new(nothing: &Arc<Common>) -> Self {
        let concerned = Concerned::from(Ask::Key(Id::from_bytes([0; 16])));
        let (kind, stamps) = (CredentialKind::Token, Stamps::default());
        let terms = Terms { name: Name([0; 2]), kind, provers: Provers::default(), concerned, stamps, deadline: UnixMs(0) };
        let nothing = Arc::new(Entry::refused(terms, Arc::clone(nothing)));
        Self { groups: (0..GROUPS).map(|_| OnceLock::new()).collect(), nothing }
    }

    /// The entry of this name.
    pub(super) fn find(&self, name: Name) -> Option<Held> {
        let place = name.place();
        let set = self.groups.get(place.group)?.get()?.sets.get(place.set)?.get()?;
        for (mark, entry) in set.marks.iter().zip(&set.entries) {
            let seen = mark.load(Ordering::Acquire);
            if seen & !USED == place.mark {
                let entry = entry.load();
                if entry.name() == name {
                    if seen & USED == 0 {
                        mark.fetch_or(USED, Ordering::Relaxed);
                    }
                    return Some(entry);
                }
            }
        }
        None
    }

    /// Takes an entry in. `is_spent` says of which others nothing is worth keeping.
    pub(super) fn insert(&self, entry: Arc<Entry>, is_spent: impl Fn(&Entry) -> bool) {
        let place = entry.name().place();
        let Some(group) = self.groups.get(place.group) else { return };
        let group = group.get_or_init(|| Box::new(Group { sets: [const { OnceLock::new() }; SETS], turn: Mutex::new(()) }));
        let Some(set) = group.sets.get(place.set) else { return };
        let set = set.get_or_init(|| Box::new(Set::new(&self.nothing)));
        let _turn = group.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = set.room_for(&entry, place, is_spent) {
            set.put(way, place.mark, entry);
        }
    }

    /// Drops what is spent from the `n`th part of `parts`, and says how many entries are left there.
    pub(super) fn sweep(&self, n: usize, parts: usize, is_spent: impl Fn(&Entry) -> bool) -> usize {
        let mut left = 0;
        for group in self.groups.iter().skip(n).step_by(parts).filter_map(OnceLock::get) {
            let _turn = group.turn.lock().unwrap_or_else(PoisonError::into_inner);
            for set in group.sets.iter().filter_map(OnceLock::get) {
                for (way, mark) in set.marks.iter().enumerate().filter(|(_, mark)| mark.load(Ordering::Relaxed) != 0) {
                    match set.entries.get(way).is_some_and(|entry| is_spent(&entry.load())) {
                        true => {
                            mark.store(0, Ordering::Release);
                            set.put(way, 0, Arc::clone(&self.nothing));
                        }
                        false => left += 1,
                    }
                }
            }
        }
        left
    }
}

impl Set {
    fn new(nothing: &Arc<Entry>) -> Self {
        Self { marks: [const { AtomicU32::new(0) }; WAYS], entries: std::array::from_fn(|_| ArcSwap::new(Arc::clone(nothing))) }
    }

    /// Which place an entry takes. `None` = the ones there are all worth more.
    fn room_for(&self, new: &Entry, place: Place, is_spent: impl Fn(&Entry) -> bool) -> Option<usize> {
        let ways = || (0..WAYS).map(|way| (place.begin + way) % WAYS);
        let mark = |way: usize| self.marks.get(way).map_or(0, |mark| mark.load(Ordering::Relaxed));
        let there = |way: usize| self.entries.get(way).map(ArcSwap::load);
        let first = |test: &dyn Fn(&Entry) -> bool| ways().find(|way| there(*way).is_some_and(|entry| test(&entry)));
        let again = ways().find(|way| mark(*way) & !USED == place.mark && there(*way).is_some_and(|entry| entry.name() == new.name()));
        if again.is_some() {
            return again;
        }
        let is_refused = |entry: &Entry| !entry.is_live();
        let refused = ways().filter(|way| mark(*way) != 0 && there(*way).is_some_and(|entry| is_refused(&entry))).count();
        if is_refused(new) {
            // refusals crowd out each other, never what is live
            return match refused < REFUSED {
                true => ways().find(|way| mark(*way) == 0).or_else(|| first(&is_spent)),
                false => first(&is_refused),
            };
        }
        let spent = || ways().find(|way| mark(*way) == 0).or_else(|| first(&is_spent)).or_else(|| first(&is_refused));
        // second chance: the first that was not used since this was asked before
        let unused = || {
            let unused = ways().find(|way| mark(*way) & USED == 0);
            let passed = unused.map_or(WAYS, |unused| (unused + WAYS - place.begin) % WAYS);
            for mark in ways().take(passed).filter_map(|way| self.marks.get(way)) {
                mark.fetch_and(!USED, Ordering::Relaxed);
            }
            unused
        };
        spent().or_else(unused).or(Some(place.begin))
    }

    /// The mark comes last: whoever sees it finds this entry, or a later one.
    fn put(&self, way: usize, mark: u32, entry: Arc<Entry>) {
        if let (Some(its_mark), Some(its_entry)) = (self.marks.get(way), self.entries.get(way)) {
            its_entry.store(entry);
            its_mark.store(mark, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Standing;
    use super::*;
    use crate::decision::holder::Grant;
    use crate::token::record::Role;

    /// The names of one set.
    fn name(n: u64) -> Name {
        Name([0, n << 1 | n << 40])
    }

    fn nothing() -> Arc<Common> {
        Arc::new(Common::new(Id::from_bytes([0; 16]), "", Role::EndUser, Grant::default(), Vec::new(), &[], None))
    }

    fn table() -> Table {
        Table::new(&nothing())
    }

    fn entry(name: Name, live: bool, deadline: u64) -> Arc<Entry> {
        let (subject, end) = (Id::from_bytes([1; 16]), UnixMs(deadline));
        let (concerned, kind) = (Concerned::from(Ask::Key(subject)), CredentialKind::Token);
        let terms = Terms { name, kind, provers: Provers::default(), concerned, stamps: Stamps::default(), deadline: end };
        let standing = Standing { subject, name: "a", key: None, common: nothing(), cap: end, told_end: end, slides: end };
        Arc::new(if live { Entry::live(terms, standing) } else { Entry::refused(terms, nothing()) })
    }

    fn is_spent(entry: &Entry) -> bool {
        entry.deadline() <= UnixMs(10)
    }

    fn kept(table: &Table, names: impl Iterator<Item = u64>) -> Vec<u64> {
        names.filter(|n| table.find(name(*n)).is_some()).collect()
    }

    #[test]
    fn what_is_put_in_is_found_and_replaced() {
        let table = table();
        assert!(table.find(name(1)).is_none());
        table.insert(entry(name(1), true, 20), is_spent);
        table.insert(entry(name(1), true, 30), is_spent);
        assert_eq!(table.find(name(1)).unwrap().deadline(), UnixMs(30));
        assert!(table.find(Name([0, 2 | 2 << 40])).is_none(), "the same mark, another name");
        assert_eq!(table.sweep(0, 1, is_spent), 1);
    }

    #[test]
    fn the_spent_make_room_first_then_the_refused_then_the_unused() {
        let table = table();
        for n in 1..=14 {
            table.insert(entry(name(n), true, 20), is_spent);
        }
        table.insert(entry(name(15), false, 20), is_spent);
        table.insert(entry(name(16), true, 5), is_spent);
        table.insert(entry(name(17), true, 20), is_spent);
        assert!(table.find(name(16)).is_none(), "spent");
        table.insert(entry(name(18), true, 20), is_spent);
        assert!(table.find(name(15)).is_none(), "refused");
        let used: Vec<u64> = (1..=18).filter(|n| ![3, 15, 16].contains(n)).collect();
        assert_eq!(kept(&table, used.iter().copied()), used);
        table.insert(entry(name(19), true, 20), is_spent);
        assert_eq!(kept(&table, [3, 19].into_iter()), [19], "the one that nobody used");
    }

    #[test]
    fn refusals_take_a_quarter_and_never_the_place_of_what_is_live() {
        let table = table();
        for n in 1..=12 {
            table.insert(entry(name(n), true, 20), is_spent);
        }
        for n in 100..1100 {
            table.insert(entry(name(n), false, 20), is_spent);
        }
        assert_eq!(kept(&table, 1..=12).len(), 12);
        assert_eq!(kept(&table, 100..1100).len(), REFUSED);
        for n in 13..=16 {
            table.insert(entry(name(n), true, 20), is_spent);
        }
        table.insert(entry(name(2000), false, 20), is_spent);
        assert_eq!(kept(&table, 1..=16).len(), 16);
        assert!(table.find(name(2000)).is_none(), "no room for it");
    }

    #[test]
    fn never_more_than_there_are_places() {
        let table = table();
        for n in 0..5000u64 {
            table.insert(entry(Name([n % 3, n << 1 | n << 40]), true, 20), is_spent);
        }
        assert_eq!(table.sweep(0, 1, is_spent), 3 * WAYS);
        assert_eq!(table.sweep(0, 1, |_| true), 0);
        assert_eq!(PLACES, 1_572_864);
    }

    #[test]
    fn the_parts_of_a_sweep_are_the_whole() {
        let table = table();
        for n in 0..1000u64 {
            table.insert(entry(Name([n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n]), true, 20), is_spent);
        }
        assert_eq!((0..32).map(|n| table.sweep(n, 32, is_spent)).sum::<usize>(), 1000);
    }
}
