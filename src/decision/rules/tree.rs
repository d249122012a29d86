//! The tree of one host's path patterns, walked most specific first.

use super::Method;
use super::named::Named;
use super::pattern::{PathPattern, Segment};

/// A place in the tree, where patterns end or go on.
#[derive(Debug, Default)]
pub(super) struct Tree {
    literals: Named<Tree>,
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
                Segment::Literal(bytes) => tree.literals.at(bytes),
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
                let (segment, after) = match slash(path) {
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

/// Where the first slash is. Most segments are so short that a call would take longer: the first eight bytes are looked at as one number.
fn slash(path: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let Some((first, rest)) = path.split_first_chunk::<8>() else {
        return path.iter().position(|byte| *byte == b'/');
    };
    // a byte that was a slash is zero now, and the only kind that borrows from its highest bit; those behind the first may seem so
    let others = u64::from_le_bytes(*first) ^ (EACH * u64::from(b'/'));
    match others.wrapping_sub(EACH) & !others & (EACH << 7) {
        0 => memchr::memchr(b'/', rest).map(|at| at + 8),
        slashes => Some(slashes.trailing_zeros() as usize / 8),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slash_is_found_wherever_it_is() {
        for byte in (0..=255).filter(|byte| *byte != b'/') {
            for len in 0..40 {
                let mut path = vec![byte; len];
                assert_eq!(slash(&path), None);
                path.extend([b'/', byte, b'0', b'/', b'.', b'/']);
                assert_eq!(slash(&path), Some(len));
            }
        }
    }
}
