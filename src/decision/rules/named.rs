//! Things that are found by name. Where there are few, as nearly everywhere, one after the other is looked at, which costs less than a hash
//! of the name; where there are many, they are hashed.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::decision::same::same;

/// So many are looked at one after the other.
const FEW: usize = 4;

/// Things by name.
#[derive(Debug)]
pub(super) struct Named<T> {
    /// All of them, while they are few.
    few: Vec<(Box<[u8]>, T)>,
    /// All of them from then on.
    many: HashMap<Box<[u8]>, T, RandomState>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { few: Vec::new(), many: HashMap::default() }
    }
}

impl<T: Default> Named<T> {
    /// The one of this name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        match self.many.is_empty() {
            true => self.few.iter().find(|(known, _)| same(known, name)).map(|(_, thing)| thing),
            false => self.many.get(name),
        }
    }

    /// The one of this name, made where it is not there.
    pub(super) fn at(&mut self, name: &[u8]) -> &mut T {
        if self.few.len() == FEW && self.get(name).is_none() {
            self.many.extend(self.few.drain(..));
        }
        let at = self.few.iter().position(|(known, _)| same(known, name)).unwrap_or(self.few.len());
        if self.many.is_empty() && at == self.few.len() {
            self.few.push((name.into(), T::default()));
        }
        match self.few.get_mut(at) {
            Some((_, thing)) => thing,
            None => self.many.entry(name.into()).or_default(),
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_or_many_each_is_found_by_its_name_and_no_other() {
        let mut named = Named::default();
        assert!(named.is_empty());
        for n in 0..20 {
            assert_eq!(named.get(format!("name-{n}").as_bytes()), None);
            *named.at(format!("name-{n}").as_bytes()) = n;
            assert!(!named.is_empty());
            for known in 0..=n {
                assert_eq!(named.get(format!("name-{known}").as_bytes()), Some(&known));
                assert_eq!(*named.at(format!("name-{known}").as_bytes()), known, "it stays");
            }
            assert_eq!(named.few.len() + named.many.len(), n + 1);
        }
        for other in ["", "name-", "name-20", "name-00", "NAME-1"] {
            assert_eq!(named.get(other.as_bytes()), None, "{other}");
        }
    }
}
