//! What many entries have in common, kept once: tenant, role, what may be done, and from where.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;

use crate::decision::holder::{Grant, header_value};
use crate::decision::limit::Limited;
use crate::decision::network::Network;
use crate::decision::told::FurtherValues;
use crate::id::Id;
use crate::token::record::Role;

/// After so many new ones, those that no entry has any more are dropped.
const LEAST: usize = 1024;

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
#[derive(Default)]
pub(super) struct Commons(Mutex<InUse>);

#[derive(Default)]
struct InUse {
    known: HashSet<Arc<Common>>,
    /// At so many, those that nobody has any more are dropped.
    tidy_at: usize,
}

impl Commons {
    /// The one that is like this.
    pub(super) fn of(&self, common: Common) -> Arc<Common> {
        let mut in_use = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = in_use.known.get(&common) {
            return Arc::clone(known);
        }
        if in_use.known.len() >= in_use.tidy_at {
            in_use.known.retain(|common| Arc::strong_count(common) > 1);
            in_use.known.shrink_to(LEAST);
            in_use.tidy_at = 2 * in_use.known.len() + LEAST;
        }
        let common = Arc::new(common);
        in_use.known.insert(Arc::clone(&common));
        common
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
        let first = commons.of(common(0));
        assert!(Arc::ptr_eq(&first, &commons.of(common(0))));
        for n in 1..10_000 {
            commons.of(common(n));
        }
        assert!(commons.0.lock().unwrap().known.len() <= 2 * LEAST + 1);
        assert!(Arc::ptr_eq(&first, &commons.of(common(0))), "still one");
    }
}
