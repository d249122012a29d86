//! What many entries have in common, kept once: tenant, role, what may be done, and from where.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, MutexGuard};

use http::HeaderValue;

use crate::decision::holder::{Grant, header_value};
use crate::decision::limit::Limited;
use crate::decision::network::Network;
use crate::decision::scopes::ScopeSet;
use crate::decision::told::FurtherValues;
use crate::id::Id;
use crate::lock::Mutex;
use crate::token::record::Role;

/// After so many new ones, those that no entry has any more are dropped.
const LEAST: usize = 1024;
/// Most bytes that those in use may take: 170 for each of as many entries as are kept. One set of scopes may take 16 KB, and everybody
/// may have some that nobody else has.
const BYTES: usize = 256 << 20;

/// What many entries have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) tenant: Id,
    pub(super) role: Role,
    pub(super) grant: Grant,
    /// The networks that the key may be used from; empty = any.
    pub(super) networks: Box<[Network]>,
    /// How much may pass, by whose word.
    pub(super) limits: Box<[Limited]>,
    /// `X-Auth-Tenant`
    pub(super) tenant_value: HeaderValue,
    /// `X-Auth-Scopes`, where it is the same whatever the rule.
    pub(super) scopes_value: Option<HeaderValue>,
    /// What gates want said besides.
    pub(super) further: FurtherValues,
}

impl Common {
    /// `tenant` is called `name`, which for ours is its id.
    pub(super) fn new(
        tenant: Id,
        name: &str,
        role: Role,
        grant: Grant,
        limits: Vec<Limited>,
        networks: &[Network],
        further: FurtherValues,
    ) -> Self {
        let scopes_value = grant.same_for_all().then(|| shared(header_value(&grant.effective(&[]).to_string())));
        Self {
            tenant,
            role,
            tenant_value: shared(header_value(name)),
            scopes_value,
            grant,
            networks: networks.into(),
            limits: limits.into(),
            further,
        }
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        // a text of its own: its words in a list, those before it, and what the allocator adds
        const TEXT: usize = 48;
        let scopes = |scopes: &ScopeSet| scopes.iter().map(|scope| scope.as_str().len() + TEXT).sum::<usize>();
        let values = [Some(&self.tenant_value), self.scopes_value.as_ref()].into_iter().flatten();
        let values = values.chain(self.further.iter().flat_map(|further| further.iter()));
        size_of::<Self>()
            + scopes(&self.grant.allow)
            + scopes(&self.grant.deny)
            + values.map(|value| value.len() + TEXT).sum::<usize>()
            + size_of_val(&*self.networks)
            + size_of_val(&*self.limits)
    }

    fn told_by(&self) -> (Id, Role, &Grant, &[Limited], &[Network], &FurtherValues) {
        (self.tenant, self.role, &self.grant, &self.limits, &self.networks, &self.further)
    }
}

/// The same, whose clones share it: the first clone of a value makes it so, which is not to happen in a check.
fn shared(value: HeaderValue) -> HeaderValue {
    value.clone()
}

impl PartialEq for Common {
    fn eq(&self, other: &Self) -> bool {
        self.told_by() == other.told_by()
    }
}

impl Eq for Common {}

impl Hash for Common {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.told_by().hash(state);
    }
}

/// Those in use.
pub(super) struct Commons {
    in_use: Mutex<InUse>,
    most_bytes: usize,
}

impl Default for Commons {
    fn default() -> Self {
        Self { in_use: Mutex::default(), most_bytes: BYTES }
    }
}

#[derive(Default)]
struct InUse {
    known: HashSet<Arc<Common>>,
    /// What they take.
    bytes: usize,
    /// At so many, those that nobody has any more are dropped.
    tidy_at: usize,
}

impl Commons {
    /// The one that is like this, and whether there is room for it: otherwise whoever has it must not be kept.
    pub(super) fn of(&self, common: Common) -> (Arc<Common>, bool) {
        let mut in_use = self.in_use();
        if let Some(known) = in_use.known.get(&common) {
            return (Arc::clone(known), true);
        }
        if in_use.known.len() >= in_use.tidy_at {
            in_use.tidy();
        }
        let (bytes, common) = (in_use.bytes.saturating_add(common.bytes()), Arc::new(common));
        let has_room = bytes <= self.most_bytes;
        if has_room {
            in_use.bytes = bytes;
            in_use.known.insert(Arc::clone(&common));
        }
        (common, has_room)
    }

    /// Drops those that no entry has any more.
    pub(super) fn tidy(&self) {
        self.in_use().tidy();
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.in_use().known.len()
    }

    fn in_use(&self) -> MutexGuard<'_, InUse> {
        self.in_use.lock()
    }
}

impl InUse {
    fn tidy(&mut self) {
        self.known.retain(|common| Arc::strong_count(common) > 1);
        self.known.shrink_to(LEAST);
        self.bytes = self.known.iter().map(|common| common.bytes()).sum();
        self.tidy_at = 2 * self.known.len() + LEAST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(n: u16) -> Common {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_le_bytes());
        Common::new(Id::from_bytes(id), "t", Role::Client, Grant::everything(), Vec::new(), &[], None)
    }

    #[test]
    fn alike_are_one_and_those_of_nobody_go() {
        let commons = Commons::default();
        let (first, _) = commons.of(common(0));
        assert!(Arc::ptr_eq(&first, &commons.of(common(0)).0));
        for n in 1..10_000 {
            commons.of(common(n));
        }
        assert!(commons.in_use().known.len() <= 2 * LEAST + 1);
        commons.tidy();
        assert_eq!(commons.in_use().known.len(), 1);
        assert!(Arc::ptr_eq(&first, &commons.of(common(0)).0), "still one");
    }

    #[test]
    fn no_more_bytes_than_there_may_be() {
        let one = common(0).bytes();
        let commons = Commons { most_bytes: 3 * one, ..Commons::default() };
        let three: Vec<_> = (0..3).map(|n| commons.of(common(n))).collect();
        assert!(three.iter().all(|(_, has_room)| *has_room));
        assert!(!commons.of(common(3)).1, "no room for a fourth");
        assert!(commons.of(common(2)).1, "what is there has its room");
        drop(three);
        commons.tidy();
        assert!(commons.of(common(3)).1);
        assert_eq!(commons.in_use().bytes, one);
    }

    /// What it says that it takes is what it takes, within a third.
    #[test]
    fn the_longest_scopes_are_counted() {
        let mut made = None;
        let took = allocation_counter::measure(|| {
            let allow = ScopeSet::of((0..64).map(|n| format!("{n:0>128}").parse().unwrap()));
            let grant = Grant { allow, deny: ScopeSet::default() };
            made = Some(Common::new(Id::from_bytes([1; 16]), "t", Role::Client, grant, Vec::new(), &[], None));
        });
        let (bytes, took) = (made.unwrap().bytes(), usize::try_from(took.bytes_current).unwrap());
        assert!((took..took * 4 / 3).contains(&bytes), "{bytes} of {took}");
    }
}
