//! What one thread has counted since it was last gathered: a table of fixed size, of key and rule.
//!
//! Only its own thread puts names into it, so nobody has to agree with anybody; whoever gathers takes counts out beside it. Nothing is
//! lost between the two: a count is added, and taken, in one step.
//! INVARIANT: a name is taken out by the thread that owns the table alone, and while nobody gathers.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::names::Number;
use super::{Counts, Outcome};
use crate::id::Id;

/// As many places, a power of two.
const PLACES: usize = 1 << BITS;
const BITS: u32 = 11;
/// Most names: with every other place free a name is found at the first or second.
const MOST: usize = PLACES / 2;
/// Spreads what is multiplied with it over the upper bits (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A thread's table.
pub(super) struct Table {
    places: Box<[Place]>,
    /// How many have a name.
    named: AtomicUsize,
}

/// Key, rule and what came of their checks; 32 bytes.
struct Place {
    /// The rule's number; 0 = free.
    rule: AtomicU32,
    /// In the order of [`Outcome`].
    counts: [AtomicU32; 3],
    /// The key's id.
    key: [AtomicU64; 2],
}

/// A table has no room for one more name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Table {
    /// With nothing in it.
    pub(super) fn new() -> Self {
        let free = || Place { rule: AtomicU32::new(0), counts: [const { AtomicU32::new(0) }; 3], key: [const { AtomicU64::new(0) }; 2] };
        Self { places: (0..PLACES).map(|_| free()).collect(), named: AtomicUsize::new(0) }
    }

    /// Counts one check. For the thread that owns the table.
    pub(super) fn count(&self, key: Id, rule: Number, outcome: Outcome) -> Result<(), Full> {
        let words = words(key);
        let [first, ..] = words;
        let mut at = (first.wrapping_add(u64::from(rule.get()))).wrapping_mul(SPREAD) >> (u64::BITS - BITS);
        // every other place is free: this ends
        loop {
            let Some(place) = usize::try_from(at).ok().and_then(|at| self.places.get(at % PLACES)) else { return Err(Full) };
            match place.rule.load(Ordering::Relaxed) {
                0 => self.name(place, words, rule)?,
                number if number != rule.get() || !place.is_of(words) => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            if let Some(count) = place.counts.get(outcome as usize) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(());
        }
    }

    #[cold]
    fn name(&self, place: &Place, words: [u64; 2], rule: Number) -> Result<(), Full> {
        let named = self.named.load(Ordering::Relaxed);
        if named >= MOST {
            return Err(Full);
        }
        self.named.store(named + 1, Ordering::Relaxed);
        place.key.iter().zip(words).for_each(|(word, is)| word.store(is, Ordering::Relaxed));
        // whoever sees the rule sees the key
        place.rule.store(rule.get(), Ordering::Release);
        Ok(())
    }

    /// Takes every count out. Names stay: who is counted once is counted again.
    pub(super) fn gather(&self, mut take: impl FnMut(Id, Number, Counts)) {
        for place in &self.places {
            let Some(rule) = Number::new(place.rule.load(Ordering::Acquire)) else { continue };
            let [allowed, refused, limited] = place.counts.each_ref().map(|count| match count.load(Ordering::Relaxed) {
                0 => 0,
                _ => u64::from(count.swap(0, Ordering::Relaxed)),
            });
            let counts = Counts { allowed, refused, limited };
            if counts == Counts::default() {
                continue;
            }
            take(place.key(), rule, counts);
        }
    }

    /// Takes every name out, once its counts have been. For the thread that owns the table, while nobody gathers.
    pub(super) fn clear(&self) {
        self.places.iter().for_each(|place| place.rule.store(0, Ordering::Relaxed));
        self.named.store(0, Ordering::Relaxed);
    }
}

impl Place {
    fn is_of(&self, words: [u64; 2]) -> bool {
        self.key.each_ref().map(|word| word.load(Ordering::Relaxed)) == words
    }

    fn key(&self) -> Id {
        let [a, b] = self.key.each_ref().map(|word| u128::from(word.load(Ordering::Relaxed)));
        Id::from_bytes((a << 64 | b).to_be_bytes())
    }
}

fn words(key: Id) -> [u64; 2] {
    let (words, _) = key.as_bytes().as_chunks::<8>();
    std::array::from_fn(|n| words.get(n).map_or(0, |word| u64::from_be_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn key(n: u32) -> Id {
        let mut bytes = [0x5a; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        bytes[12..].copy_from_slice(&n.to_le_bytes());
        Id::from_bytes(bytes)
    }

    fn rule(n: u32) -> Number {
        Number::new(n).unwrap()
    }

    fn gathered(table: &Table) -> HashMap<(Id, u32), Counts> {
        let mut all = HashMap::new();
        table.gather(|key, rule, counts| assert_eq!(all.insert((key, rule.get()), counts), None, "once"));
        all
    }

    #[test]
    fn small() {
        assert_eq!(size_of::<Place>(), 32);
    }

    #[test]
    fn what_is_counted_is_gathered_once() {
        let table = Table::new();
        for n in 0..100u32 {
            for _ in 0..=n {
                table.count(key(n), rule(1 + n % 3), Outcome::Allowed).unwrap();
            }
            table.count(key(n), rule(9), Outcome::Refused).unwrap();
            table.count(key(n), rule(9), Outcome::Limited).unwrap();
        }
        let first = gathered(&table);
        assert_eq!(first.len(), 200);
        for n in 0..100u32 {
            assert_eq!(first[&(key(n), 1 + n % 3)], Counts { allowed: u64::from(n) + 1, ..Counts::default() });
            assert_eq!(first[&(key(n), 9)], Counts { allowed: 0, refused: 1, limited: 1 });
        }
        assert!(gathered(&table).is_empty());
        table.count(key(7), rule(9), Outcome::Allowed).unwrap();
        assert_eq!(gathered(&table), HashMap::from([((key(7), 9), Counts { allowed: 1, ..Counts::default() })]));
    }

    #[test]
    fn a_full_table_says_so_and_loses_nothing() {
        let table = Table::new();
        let most = u32::try_from(MOST).unwrap();
        for n in 0..most {
            table.count(key(n), rule(1), Outcome::Allowed).unwrap();
        }
        assert_eq!(table.count(key(most), rule(1), Outcome::Allowed), Err(Full));
        table.count(key(3), rule(1), Outcome::Allowed).unwrap();
        assert_eq!(gathered(&table).values().map(|counts| counts.allowed).sum::<u64>(), u64::from(most) + 1);
        table.clear();
        table.count(key(most), rule(1), Outcome::Allowed).unwrap();
        assert_eq!(gathered(&table).len(), 1);
    }

    #[test]
    fn gathering_beside_the_thread_that_counts_loses_nothing() {
        let table = Table::new();
        let mut sum = 0;
        std::thread::scope(|scope| {
            let counting = scope.spawn(|| {
                for n in 0..200_000u32 {
                    table.count(key(n % 700), rule(1), Outcome::Allowed).unwrap();
                }
            });
            while !counting.is_finished() {
                table.gather(|_, _, counts| sum += counts.allowed);
            }
        });
        table.gather(|_, _, counts| sum += counts.allowed);
        assert_eq!(sum, 200_000);
    }
}
