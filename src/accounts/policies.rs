//! Policies: named sets of scopes that admins make and attach below themselves.

use super::Refusal;
use crate::database::Act;
use crate::decision::holder::Grant;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;

/// What someone would hold below `above` with these scopes and policies: for the key made with the principal.
pub(super) async fn held_below(act: &mut Act, above: &Grant, scopes: &ScopeSet, policies: &[Id]) -> Result<ScopeSet, Refusal> {
    let mut allow = scopes.clone();
    for policy in policies {
        if let Some(policy) = act.live_policy(*policy).await? {
            allow = allow.union(&policy.allow);
        }
    }
    let held = above.allow.intersect(&allow);
    // too many to write down: all of them, narrowed at each check by whatever stands above
    Ok(ScopeSet::new(held.iter().cloned()).unwrap_or_else(|_| ScopeSet::everything()))
}
