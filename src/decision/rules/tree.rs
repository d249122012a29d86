//! The tree of one host's path patterns, walked most specific first.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Method;
use super::pattern::{PathPattern, Segment};

/// A place in the tree, where patterns end or go on.
#[derive(Debug, Default)]
pub(super) struct Tree {
    literals: HashMap<Box<[u8]>, Tree, RandomState>,
    parameter: Option<Box<Tree>>,
    /// Patterns that end here.
    end: Option<Box<Group>>,
    /// Patterns that take everything from here on, here included.
    rest: Option<Box<Group>>,
}

/// The rules of one (host, path), by method.
#[derive(Debug, Default)]
pub(super) struct Group {
    any: Option<usize>,
    listed: Vec<(Method, usize)>,
    numbers: Vec<usize>,
    handed_on: usize,
}

impl Tree {
    /// The group of a pattern, made where it is not there.
    pub(super) fn group_at(&mut self, pattern: &PathPattern) -> &mut Group {
        let mut tree = self;
        for segment in &pattern.segments {
            tree = match segment {
                Segment::Literal(bytes) => tree.literals.entry(bytes.clone()).or_default(),
                Segment::Parameter(_) => tree.parameter.get_or_insert_default(),
            };
        }
        if pattern.rest { tree.rest.get_or_insert_default() } else { tree.end.get_or_insert_default() }
    }

    /// Visits the groups that match a path (beginning with `/`), most specific first, until one answers.
    pub(super) fn walk<'t, T>(&'t self, path: &[u8], visit: &mut impl FnMut(&'t Group) -> Option<T>) -> Option<T> {
        self.step(path.get(1..), visit)
    }

    /// `path` is what follows this place and its slash; `None` where the path ends here.
    fn step<'t, T>(&'t self, path: Option<&[u8]>, visit: &mut impl FnMut(&'t Group) -> Option<T>) -> Option<T> {
        match path {
            None => {
                if let Some(answer) = self.end.as_deref().and_then(&mut *visit) {
                    return Some(answer);
                }
            }
            Some(path) => {
                let (segment, after) = match memchr::memchr(b'/', path) {
                    Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..)),
                    None => (path, None),
                };
                if !self.literals.is_empty()
                    && let Some(answer) = self.literals.get(segment).and_then(|tree| tree.step(after, visit))
                {
                    return Some(answer);
                }
                if !segment.is_empty()
                    && let Some(answer) = self.parameter.as_deref().and_then(|tree| tree.step(after, visit))
                {
                    return Some(answer);
                }
            }
        }
        self.rest.as_deref().and_then(visit)
    }
}

impl Group {
    /// Adds a rule; calls `clash(other, method)` for each rule that also takes one of its methods and demands otherwise.
    pub(super) fn insert(
        &mut self,
        number: usize,
        methods: &[Method],
        fallthrough: bool,
        same: impl Fn(usize, usize) -> bool,
        clash: &mut impl FnMut(usize, &str),
    ) {
        let mut compare = |other: usize, method: &str| {
            if other != number && !same(other, number) {
                clash(other, method);
            }
        };
        self.numbers.push(number);
        self.handed_on += usize::from(fallthrough);
        if let Some(other) = self.any {
            compare(other, methods.first().map_or("GET", Method::as_str));
        }
        if methods.is_empty() {
            self.listed.iter().for_each(|(method, other)| compare(*other, method.as_str()));
            self.any.get_or_insert(number);
            return;
        }
        let head = methods.iter().any(|method| method.is(b"GET")).then(|| Method::parse("HEAD")).flatten();
        for method in methods.iter().chain(&head) {
            match self.listed.iter().find(|(listed, _)| listed == method) {
                Some((_, other)) => compare(*other, method.as_str()),
                None => self.listed.push((method.clone(), number)),
            }
        }
    }

    /// The rule that takes this method.
    pub(super) fn rule_for(&self, method: &[u8]) -> Option<usize> {
        self.listed.iter().find(|(listed, _)| listed.is(method)).map(|(_, number)| *number).or(self.any)
    }

    /// Every rule of the group.
    pub(super) fn rules(&self) -> impl Iterator<Item = usize> {
        self.numbers.iter().copied()
    }

    /// Whether a method that no rule lists is handed on: only where every rule of the group says so.
    pub(super) fn falls_through(&self) -> bool {
        self.handed_on == self.numbers.len()
    }
}
