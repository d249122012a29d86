//! Breadth-first search of every state that can be reached, so the first trace found is a shortest one.
//!
//! Of a state that was seen only a fingerprint of 64 bits is kept, and its predecessor's: two states with the same one would be
//! taken for one, which among 10^7 states happens in one of 10^5 searches. A trace is found by walking the fingerprints back and
//! the steps forward again.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::Instant;

/// The successors of a state, each with the words for its step where they are asked for.
pub struct Steps<S> {
    pub next: Vec<S>,
    pub words: Vec<String>,
    with_words: bool,
}

impl<S> Steps<S> {
    fn new(with_words: bool) -> Self {
        Self { next: Vec::new(), words: Vec::new(), with_words }
    }

    /// One more step.
    pub fn push(&mut self, next: S, words: impl FnOnce() -> String) {
        self.next.push(next);
        if self.with_words {
            self.words.push(words());
        }
    }
}

/// What a search came to.
pub struct Found {
    pub states: usize,
    pub seconds: f32,
    /// The steps to the state that was looked for, and that state; `None` where every state was visited and none is.
    pub trace: Option<Vec<String>>,
    /// The search was given up: too many states.
    pub given_up: bool,
}

/// Searches from `first` by `step` for a state of which `wanted` is true, in at most `limit` states.
pub fn explore<S: Copy + Eq + Hash>(
    first: S,
    step: impl Fn(&S, &mut Steps<S>),
    wanted: impl Fn(&S) -> bool,
    limit: usize,
    progress: impl Fn(usize, f32),
) -> (Found, Option<S>) {
    let began = Instant::now();
    let mut seen: HashMap<u64, u64, BuildHasherDefault<AsIs>> = HashMap::default();
    let mut queue = VecDeque::from([(fingerprint(&first), first)]);
    let mut steps = Steps::new(false);
    let mut given_up = false;
    let mut hit = None;
    let mut told = 0.0;
    seen.insert(fingerprint(&first), 0);
    'search: while let Some((from, state)) = queue.pop_front() {
        steps.next.clear();
        step(&state, &mut steps);
        for next in &steps.next {
            let to = fingerprint(next);
            let Entry::Vacant(place) = seen.entry(to) else { continue };
            place.insert(from);
            if wanted(next) {
                hit = Some(*next);
                break 'search;
            }
            queue.push_back((to, *next));
        }
        if seen.len() >= limit {
            given_up = true;
            break;
        }
        if seen.len() & 0xfff == 0 && began.elapsed().as_secs_f32() > told + 20.0 {
            told = began.elapsed().as_secs_f32();
            progress(seen.len(), told);
        }
    }
    let trace = hit.as_ref().map(|last| trace(first, last, &step, &seen));
    (Found { states: seen.len(), seconds: began.elapsed().as_secs_f32(), trace, given_up }, hit)
}

/// The words of the steps that lead from `first` to `last`.
fn trace<S: Copy + Eq + Hash>(
    first: S,
    last: &S,
    step: &impl Fn(&S, &mut Steps<S>),
    seen: &HashMap<u64, u64, BuildHasherDefault<AsIs>>,
) -> Vec<String> {
    let start = fingerprint(&first);
    let mut way = vec![fingerprint(last)];
    while let Some(before) = way.last().filter(|at| **at != start).and_then(|at| seen.get(at)) {
        way.push(*before);
    }
    let mut state = first;
    let mut words = Vec::new();
    for at in way.iter().rev().skip(1) {
        let mut steps = Steps::new(true);
        step(&state, &mut steps);
        let taken = steps.next.iter().position(|next| fingerprint(next) == *at);
        let Some(taken) = taken else { break };
        state = steps.next[taken];
        words.push(steps.words.swap_remove(taken));
    }
    words
}

fn fingerprint<S: Hash>(state: &S) -> u64 {
    let mut mix = Mix::default();
    state.hash(&mut mix);
    mix.finish()
}

/// Hashes states of many small numbers: eight of them at a time.
#[derive(Default)]
struct Mix {
    hash: u64,
    pending: u64,
    count: u32,
}

impl Mix {
    fn take(&mut self, byte: u8) {
        self.pending = self.pending << 8 | u64::from(byte);
        self.count += 1;
        if self.count == 8 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let product = u128::from(self.hash ^ self.pending ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_a5a3_564b_5b5e_2d01;
        self.hash = (product >> 64) as u64 ^ (product as u64).rotate_left(23);
        (self.pending, self.count) = (0, 0);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.take(*byte));
    }

    fn write_u8(&mut self, byte: u8) {
        self.take(byte);
    }

    /// The variant of an enum: there are never 256.
    fn write_isize(&mut self, number: isize) {
        self.take(number as u8);
    }

    /// The length of an array, which does not change.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        let mut last = Self { hash: self.hash, pending: self.pending, count: self.count };
        last.flush();
        last.flush();
        last.hash
    }
}

/// Fingerprints are spread already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
