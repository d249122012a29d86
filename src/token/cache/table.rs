//! The table: names to entries, bounded, read without a lock.
//!
//! Sets of 16 places each. A name is 128 random bits, so the set it belongs to is some of them, and a place is told by 14
//! others before the entry itself is looked at. A set is made when the first entry comes into it, and its second half when the first is
//! full, so an idle process holds next to nothing. Where a set is full, what is worth least makes room.
//!
//! INVARIANT: a reader takes an entry for a name only if the entry says so itself.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};

use super::common::Common;
use super::entry::{Entry, Provers, Terms};
use super::name::Name;
use crate::clock::UnixMs;
use crate::decision::credential::CredentialKind;
use crate::id::Id;
use crate::lock::Mutex;
use crate::token::fence::{Concerned, Stamps};
use crate::token::store::Ask;

/// An entry that is being read.
pub type Held = Guard<Arc<Entry>>;

/// Groups of sets of the cache: [`PLACES`] in all.
pub(super) const GROUPS: usize = 1536;
/// Sets in a group.
const SETS: usize = 64;
/// Places in a set.
const WAYS: usize = 16;
/// Those that a set has from the beginning.
const HALF: usize = WAYS / 2;
/// Most of a set that refused credentials may take.
const REFUSED: usize = WAYS / 4;
/// Most entries: half as many again as a million, since the sets do not fill evenly.
#[cfg(test)]
pub(super) const PLACES: usize = GROUPS * SETS * WAYS;
/// In a mark: used since the place was last looked at for eviction.
const USED: u16 = 1 << 15;

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
    /// 15 bits of the name, one of them always set, and [`USED`]; 0 = free.
    marks: [AtomicU16; WAYS],
    first: Entries,
    second: OnceLock<Box<Entries>>,
}

type Entries = [ArcSwap<Entry>; HALF];

/// Where a name belongs.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    set: usize,
    mark: u16,
    /// Where the search for a victim begins.
    begin: usize,
}

impl Name {
    #[expect(clippy::cast_possible_truncation, reason = "parts of it are what is wanted")]
    fn place(self, groups: usize) -> Place {
        let [a, b] = self.0;
        let group = (((a >> 32) * groups as u64) >> 32) as usize;
        Place { group, set: a as usize % SETS, mark: (b as u16 & !USED) | 1, begin: (b >> 32) as usize % WAYS }
    }
}

impl Table {
    /// An empty one, of so many groups of 1024 places.
    pub(super) fn new(groups: usize, nothing: &Arc<Common>) -> Self {
        let concerned = Concerned::from(Ask::Key(Id::from_bytes([0; 16])));
        let (kind, stamps) = (CredentialKind::Token, Stamps::default());
        let terms = Terms { name: Name([0; 2]), kind, provers: Provers::default(), concerned, stamps, deadline: UnixMs(0) };
        let nothing = Arc::new(Entry::refused(terms, Arc::clone(nothing)));
        Self { groups: (0..groups).map(|_| OnceLock::new()).collect(), nothing }
    }

    /// The entry of this name.
    pub(super) fn find(&self, name: Name) -> Option<Held> {
        let place = name.place(self.groups.len());
        let set = self.groups.get(place.group)?.get()?.sets.get(place.set)?.get()?;
        for (way, mark) in set.marks.iter().enumerate() {
            let seen = mark.load(Ordering::Acquire);
            if seen & !USED == place.mark {
                let entry = set.entry(way)?.load();
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
        let place = entry.name().place(self.groups.len());
        let Some(group) = self.groups.get(place.group) else { return };
        let group = group.get_or_init(|| Box::new(Group { sets: [const { OnceLock::new() }; SETS], turn: Mutex::new(()) }));
        let Some(set) = group.sets.get(place.set) else { return };
        let set = set.get_or_init(|| Box::new(Set::new(&self.nothing)));
        let _turn = group.turn.lock();
        if let Some(way) = set.room_for(&entry, place, is_spent) {
            set.put(way, place.mark, entry, &self.nothing);
        }
    }

    /// Drops what is spent from the `n`th part of `parts`, and says how many entries are left there.
    pub(super) fn sweep(&self, n: usize, parts: usize, is_spent: impl Fn(&Entry) -> bool) -> usize {
        let mut left = 0;
        for group in self.groups.iter().skip(n).step_by(parts).filter_map(OnceLock::get) {
            let _turn = group.turn.lock();
            for set in group.sets.iter().filter_map(OnceLock::get) {
                for (way, mark) in set.marks.iter().enumerate().filter(|(_, mark)| mark.load(Ordering::Relaxed) != 0) {
                    match set.entry(way).is_some_and(|entry| is_spent(&entry.load())) {
                        true => {
                            mark.store(0, Ordering::Release);
                            set.put(way, 0, Arc::clone(&self.nothing), &self.nothing);
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
        Self { marks: [const { AtomicU16::new(0) }; WAYS], first: half(nothing), second: OnceLock::new() }
    }

    /// `None` = nothing ever was there.
    fn entry(&self, way: usize) -> Option<&ArcSwap<Entry>> {
        self.first.get(way).or_else(|| self.second.get()?.get(way - HALF))
    }

    /// Which place an entry takes. `None` = the ones there are all worth more.
    fn room_for(&self, new: &Entry, place: Place, is_spent: impl Fn(&Entry) -> bool) -> Option<usize> {
        let ways = || (0..WAYS).map(|way| (place.begin + way) % WAYS);
        let mark = |way: usize| self.marks.get(way).map_or(0, |mark| mark.load(Ordering::Relaxed));
        let there = |way: usize| self.entry(way).map(ArcSwap::load);
        let free = || (0..WAYS).find(|way| mark(*way) == 0);
        // what lies in a free place is refused, too
        let first = |test: &dyn Fn(&Entry) -> bool| ways().find(|way| mark(*way) != 0 && there(*way).is_some_and(|entry| test(&entry)));
        let again = ways().find(|way| mark(*way) & !USED == place.mark && there(*way).is_some_and(|entry| entry.name() == new.name()));
        if again.is_some() {
            return again;
        }
        let is_refused = |entry: &Entry| !entry.is_live();
        let refused = ways().filter(|way| mark(*way) != 0 && there(*way).is_some_and(|entry| is_refused(&entry))).count();
        if is_refused(new) {
            // refusals crowd out each other, never what is live
            return match refused < REFUSED {
                true => free().or_else(|| first(&is_spent)),
                false => first(&is_refused),
            };
        }
        let spent = || free().or_else(|| first(&is_spent)).or_else(|| first(&is_refused));
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
    fn put(&self, way: usize, mark: u16, entry: Arc<Entry>, nothing: &Arc<Entry>) {
        if way >= HALF {
            self.second.get_or_init(|| Box::new(half(nothing)));
        }
        if let (Some(its_mark), Some(its_entry)) = (self.marks.get(way), self.entry(way)) {
            its_entry.store(entry);
            its_mark.store(mark, Ordering::Release);
        }
    }
}

/// Half a set, with nothing in it.
fn half(nothing: &Arc<Entry>) -> Entries {
    std::array::from_fn(|_| ArcSwap::new(Arc::clone(nothing)))
}

#[cfg(test)]
mod tests {
    use super::super::entry::Standing;
    use super::*;
    use crate::decision::holder::Grant;
    use crate::token::record::Role;

    const SUBJECT: Id = Id::from_bytes([1; 16]);

    /// The names of one set.
    fn name(n: u64) -> Name {
        Name([0, n << 1 | n << 40])
    }

    fn nothing() -> Arc<Common> {
        Arc::new(Common::new(Id::from_bytes([0; 16]), "", Role::EndUser, Grant::default(), Vec::new(), &[], None))
    }

    fn table() -> Table {
        Table::new(GROUPS, &nothing())
    }

    fn terms(name: Name, deadline: UnixMs) -> Terms {
        let (concerned, kind) = (Concerned::from(Ask::Key(SUBJECT)), CredentialKind::Token);
        Terms { name, kind, provers: Provers::default(), concerned, stamps: Stamps::default(), deadline }
    }

    fn live(name: Name, common: Arc<Common>, end: UnixMs) -> Entry {
        let standing =
            Standing { subject: SUBJECT, name: "carl@example.com", key: Some(SUBJECT), common, cap: end, told_end: end, slides: end };
        Entry::live(terms(name, end), standing)
    }

    fn entry(name: Name, is_live: bool, deadline: u64) -> Arc<Entry> {
        let end = UnixMs(deadline);
        Arc::new(if is_live { live(name, nothing(), end) } else { Entry::refused(terms(name, end), nothing()) })
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

    /// As good as random (splitmix64).
    fn mixed(n: u64) -> u64 {
        let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    /// What an allocator may add to each piece: its own word, and what rounds up to the next size.
    const PIECE: u64 = 16;

    /// 256 bytes may be resident for each; what lies here leaves a quarter of that to the gaps between pieces. A tenth of the table is
    /// filled as densely as 400,000 and 1,000,000 tokens fill all of it.
    #[test]
    fn a_token_takes_little_whether_a_few_are_kept_or_a_million() {
        let common = nothing();
        let (table, mut pieces, mut bytes, mut n) = (table(), 0, 0, 0_u64);
        for (up_to, most) in [(40_000, 192), (100_000, 180)] {
            let took = allocation_counter::measure(|| {
                while n < up_to {
                    n += 1;
                    let (groups, set) = ((mixed(n) / 10) & !u64::from(u32::MAX), mixed(n) & u64::from(u32::MAX));
                    table.insert(Arc::new(live(Name([groups | set, mixed(!n)]), Arc::clone(&common), UnixMs(20))), is_spent);
                }
            });
            (pieces, bytes) = (pieces + took.count_current, bytes + took.bytes_current);
            let kept = u64::try_from(table.sweep(0, 1, is_spent)).unwrap();
            assert!(kept > n / 100 * 96, "{kept} of {n} are kept");
            let each = (u64::try_from(bytes).unwrap() + PIECE * u64::try_from(pieces).unwrap()) / kept;
            assert!(each <= most, "{each} bytes a token in {kept}");
        }
    }

    #[test]
    fn a_small_one_takes_few_refusals() {
        let table = Table::new(2, &nothing());
        for n in 0..20_000u64 {
            table.insert(entry(Name([mixed(n), mixed(!n)]), false, 20), is_spent);
        }
        assert_eq!(table.sweep(0, 1, is_spent), 2 * SETS * REFUSED);
        assert!(table.find(Name([mixed(19_999), mixed(!19_999)])).is_some());
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
