//! The holder of a live credential: who it speaks for and what it may do.

use http::HeaderValue;

use super::credential::CredentialKind;
use super::network::Network;
use super::rules::Attribute;
use super::scopes::{Scope, ScopeSet};
use super::told::{self, About, Further, FurtherValues};
use crate::id::Id;

/// Who a live credential speaks for, and what it may do as things are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What was presented.
    pub kind: CredentialKind,
    /// The principal's uid.
    pub uid: String,
    /// What `X-Auth-User` shows.
    pub name: String,
    /// The tenant's id.
    pub tenant: String,
    /// The principal's role.
    pub role: String,
    /// The key's id; empty for a login's JWT.
    pub key_id: String,
    /// The networks that the key may be used from; empty = any.
    pub networks: Vec<Network>,
    /// What else is known of the principal.
    pub subject: About,
    /// What else is known of the key.
    pub key: About,
    /// What it may do.
    pub grant: Grant,
}

/// What a decision needs of a holder. A check asks what is kept of one; a trial makes one up.
pub trait Identity: std::fmt::Debug + Send + Sync {
    /// What was presented.
    fn kind(&self) -> CredentialKind;
    /// Whether the attribute is this. What is not set is nothing, not even the empty text.
    fn is(&self, attribute: Attribute, value: &[u8]) -> bool;
    /// What it may do.
    fn grant(&self) -> &Grant;
    /// The networks it may be used from; empty = any.
    fn networks(&self) -> &[Network];
    /// What the identity headers say, with `further` besides: the same list for all that is kept.
    fn told(&self, further: &[Further]) -> Told;
    /// The key, where there is one.
    fn key(&self) -> Option<Id>;
    /// The whole holder, for refusals and the log.
    fn holder(&self) -> Holder;
}

/// The values of the identity headers that do not change from check to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `X-Auth-User`
    pub user: HeaderValue,
    /// `X-Auth-Scopes`; `None` where a deny cuts a wildcard, so that it depends on the rule.
    pub scopes: Option<HeaderValue>,
    /// `X-Auth-Tenant`
    pub tenant: HeaderValue,
    /// `X-Auth-Key-Id`
    pub key_id: HeaderValue,
    /// What gates want said besides.
    pub further: FurtherValues,
}

/// `text` as a header's value; empty where none can carry it.
pub fn header_value(text: &str) -> HeaderValue {
    if text.is_empty() { EMPTY } else { HeaderValue::from_bytes(text.as_bytes()).unwrap_or(EMPTY) }
}

const EMPTY: HeaderValue = HeaderValue::from_static("");

impl Identity for Holder {
    fn kind(&self) -> CredentialKind {
        self.kind
    }

    fn is(&self, attribute: Attribute, value: &[u8]) -> bool {
        let its = match attribute {
            Attribute::Uid => &self.uid,
            Attribute::Name => &self.name,
            Attribute::Tenant => &self.tenant,
            Attribute::Role => &self.role,
            Attribute::KeyId => &self.key_id,
        };
        !its.is_empty() && its.as_bytes() == value
    }

    fn grant(&self) -> &Grant {
        &self.grant
    }

    fn networks(&self) -> &[Network] {
        &self.networks
    }

    fn told(&self, further: &[Further]) -> Told {
        // a name that no header can carry shows as the uid
        let user = Some(header_value(&self.name)).filter(|user| !user.is_empty()).unwrap_or_else(|| header_value(&self.uid));
        let scopes = self.grant.same_for_all().then(|| header_value(&self.grant.effective(&[]).to_string()));
        Told { user, scopes, tenant: header_value(&self.tenant), key_id: header_value(&self.key_id), further: told::render(further, self) }
    }

    fn key(&self) -> Option<Id> {
        self.key_id.parse().ok()
    }

    fn holder(&self) -> Holder {
        self.clone()
    }
}

/// What may be done: covered by `allow` and by no deny.
///
/// `allow` is the intersection of all levels (token, key, every policy level), which covers a scope
/// exactly where each level does; `deny` is the union of all denies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Grant {
    /// What every level covers.
    pub allow: ScopeSet,
    /// What some level takes away.
    pub deny: ScopeSet,
}

impl Grant {
    /// Everything.
    pub fn everything() -> Self {
        Self { allow: ScopeSet::everything(), deny: ScopeSet::default() }
    }

    /// Narrowed by one more level: its allows and its denies.
    #[must_use]
    pub fn narrowed(&self, allow: &ScopeSet, deny: &ScopeSet) -> Self {
        Self { allow: self.allow.intersect(allow), deny: self.deny.union(deny) }
    }

    /// Whether it holds `scope`. A wildcard that any deny cuts is not held whole.
    pub fn holds(&self, scope: &Scope) -> bool {
        self.allow.covers(scope) && !self.cuts(scope)
    }

    /// What of `wanted` it does not hold.
    pub fn missing(&self, wanted: &ScopeSet) -> Vec<Scope> {
        wanted.iter().filter(|scope| !self.holds(scope)).cloned().collect()
    }

    /// Whether what is effective is the same whatever the rule: no deny cuts a wildcard.
    pub fn same_for_all(&self) -> bool {
        self.deny.is_empty() || !self.allow.iter().any(|scope| scope.is_wildcard() && self.cuts(scope))
    }

    fn cuts(&self, scope: &Scope) -> bool {
        self.deny.iter().any(|deny| deny.overlaps(scope))
    }

    /// The effective scopes, sorted: what is allowed and not denied. A wildcard that any deny cuts is left out;
    /// the scopes that met the rule at hand stand instead.
    pub fn effective(&self, met: &[&Scope]) -> ScopeSet {
        let any_cut = !self.same_for_all();
        let instead = met.iter().filter(|_| any_cut).map(|scope| (*scope).clone());
        ScopeSet::of(self.allow.iter().filter(|scope| !self.cuts(scope)).cloned().chain(instead))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> ScopeSet {
        text.parse().unwrap()
    }

    fn grant(levels: &[&str], deny: &str) -> Grant {
        levels.iter().fold(Grant::everything(), |grant, level| grant.narrowed(&set(level), &set(deny)))
    }

    #[test]
    fn every_level_must_cover() {
        let grant = grant(&["orders:*", "orders:read orders:write", "*"], "orders:write");
        assert!(grant.holds(&"orders:read".parse().unwrap()));
        assert!(!grant.holds(&"orders:write".parse().unwrap()), "denied");
        assert!(!grant.holds(&"orders:delete".parse().unwrap()), "one level lacks it");
    }

    #[test]
    fn effective_scopes() {
        assert_eq!(grant(&["orders:* users:read"], "").effective(&[]), set("orders:* users:read"));
        let read: Scope = "orders:read".parse().unwrap();
        assert_eq!(grant(&["orders:* users:read"], "orders:write").effective(&[&read]), set("orders:read users:read"));
        assert_eq!(grant(&["orders:* users:read"], "orders:*").effective(&[]), set("users:read"));
        assert_eq!(grant(&["*"], "orders:write").effective(&[]), set(""));
    }

    #[test]
    fn a_cut_wildcard_is_not_held_whole() {
        assert!(!grant(&["orders:*"], "orders:write").holds(&"orders:*".parse().unwrap()));
    }

    fn scope() -> impl Strategy<Value = Scope> {
        "(a|b|c)(:(a|b|c)){0,2}(:\\*)?|\\*".prop_map(|text| text.parse().unwrap())
    }

    fn scopes() -> impl Strategy<Value = ScopeSet> {
        prop::collection::vec(scope(), 0..5).prop_map(ScopeSet::of)
    }

    proptest! {
        #[test]
        fn the_intersection_covers_what_both_cover(a in scopes(), b in scopes(), s in scope()) {
            prop_assert_eq!(a.intersect(&b).covers(&s), a.covers(&s) && b.covers(&s));
        }

        #[test]
        fn adding_a_scope_never_takes_one_away(a in scopes(), deny in scopes(), more in scope(), s in scope()) {
            let before = Grant { allow: a.clone(), deny: deny.clone() };
            let after = Grant { allow: a.union(&ScopeSet::of([more])), deny };
            prop_assert!(!before.holds(&s) || after.holds(&s));
        }

        #[test]
        fn effective_scopes_are_held(a in scopes(), deny in scopes()) {
            let grant = Grant { allow: a, deny };
            for scope in grant.effective(&[]).iter() {
                prop_assert!(grant.holds(scope));
            }
        }

        #[test]
        fn covering_is_transitive(a in scope(), b in scope(), c in scope()) {
            prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
        }
    }
}
