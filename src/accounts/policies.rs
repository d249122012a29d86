//! Policies: named sets of scopes that admins make for their tenant and attach below themselves.
//!
//! What a policy allows must be held by whoever writes it, so that nobody gains by another's attaching it; what it denies may be
//! anything. INVARIANT: whoever changes or ends a policy stands above everyone it is attached to: widening it would widen them,
//! and so would the end of its denies. Each change is one record, however many it is attached to.

use super::sessions::Caller;
use super::standing::Standing;
use super::{Accounts, Origin, Refusal};
use crate::audit::Action;
use crate::database::{Act, Committed, Page, PolicyRow};
use crate::decision::holder::Grant;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::terms::{LimitText, Terms};

/// Longest name of a policy, in characters.
const NAME_CHARS: usize = 100;
/// Most policies attached to one principal: every check reads them all.
const ATTACHED: usize = 16;

/// What a policy says.
#[derive(Debug, Clone)]
pub struct Said {
    /// What it is called; unique in its tenant.
    pub name: String,
    /// What it gives.
    pub allow: ScopeSet,
    /// What it takes, whatever else gives it.
    pub deny: ScopeSet,
    /// How much may pass.
    pub limit: Option<LimitText>,
}

impl Accounts {
    /// Makes a policy for `tenant`, the caller's own if `None`.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::ScopeNotHeld`], [`Refusal::NotFound`], [`Refusal::Field`], or unavailable.
    pub async fn create_policy(
        &self,
        caller: &Caller,
        said: Said,
        tenant: Option<Id>,
        origin: Origin,
    ) -> Result<(PolicyRow, Committed), Refusal> {
        let by = origin.by(caller.uid());
        let made = async {
            let (mut act, caller) = self.acting(caller).await?;
            if !caller.is_admin() {
                return Err(Refusal::Forbidden);
            }
            let tenant = tenant.unwrap_or(caller.subject.tenant);
            if tenant != caller.subject.tenant && (!caller.is_super_admin() || act.tenant(tenant).await?.is_none()) {
                return Err(Refusal::NotFound);
            }
            let said = said.checked(&caller, &ScopeSet::default())?;
            if act.policy_named(tenant, &said.name).await?.is_some() {
                return Err(Refusal::field("name", "there is a policy of that name already"));
            }
            let policy = PolicyRow {
                id: Id::random()?,
                tenant,
                name: said.name,
                allow: said.allow,
                deny: said.deny,
                version: 1,
                created_at: act.now(),
                terms: Terms { limit: said.limit, ..Terms::default() },
            };
            act.insert_policy(&policy).await?;
            let committed = act.commit(&by.did(Action::PolicyCreate, policy.id)).await?;
            Ok((policy, committed))
        };
        let made = made.await;
        self.traced(&by, Action::PolicyCreate, caller.uid(), made)
    }

    /// Policies of the caller's tenant, oldest first; for a super admin of `tenant`, or all there are. Whoever may attach them sees them.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`], or unavailable.
    pub async fn list_policies(&self, caller: &Caller, tenant: Option<Id>, page: Page) -> Result<Vec<PolicyRow>, Refusal> {
        let standing = &caller.standing;
        if !standing.outranks(crate::token::record::Role::SubClient) {
            return Err(Refusal::Forbidden);
        }
        let own = standing.subject.tenant;
        let of = match tenant {
            _ if standing.is_super_admin() => tenant,
            Some(other) if other != own => return Err(Refusal::NotFound),
            _ => Some(own),
        };
        Ok(self.database.policies_of(of, page).await?)
    }

    /// Replaces what a policy says.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::ScopeNotHeld`], [`Refusal::NotFound`], [`Refusal::Field`], or unavailable.
    pub async fn change_policy(&self, caller: &Caller, id: Id, said: Said, origin: Origin) -> Result<(PolicyRow, Committed), Refusal> {
        let by = origin.by(caller.uid());
        let changed = async {
            let (mut act, caller) = self.acting(caller).await?;
            let before = changeable(&mut act, &caller, id).await?;
            let said = said.checked(&caller, &before.allow)?;
            if act.policy_named(before.tenant, &said.name).await?.is_some_and(|other| other.id != id) {
                return Err(Refusal::field("name", "there is a policy of that name already"));
            }
            let policy = PolicyRow {
                name: said.name,
                allow: said.allow,
                deny: said.deny,
                version: before.version + 1,
                terms: Terms { limit: said.limit, ..before.terms },
                ..before
            };
            act.set_policy(&policy).await?;
            Ok((policy, act.commit(&by.did(Action::PolicyChange, id)).await?))
        };
        let changed = changed.await;
        self.traced(&by, Action::PolicyChange, id, changed)
    }

    /// Ends a policy: from here on it gives and takes nothing.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`], or unavailable.
    pub async fn end_policy(&self, caller: &Caller, id: Id, origin: Origin) -> Result<Committed, Refusal> {
        let by = origin.by(caller.uid());
        let ended = async {
            let (mut act, caller) = self.acting(caller).await?;
            changeable(&mut act, &caller, id).await?;
            act.end_policy(id).await?;
            Ok(act.commit(&by.did(Action::PolicyEnd, id)).await?)
        };
        let ended = ended.await;
        self.traced(&by, Action::PolicyEnd, id, ended)
    }
}

impl Said {
    /// What may be written: nothing that the writer does not hold, unless it stood there `before`.
    fn checked(self, writer: &Standing, before: &ScopeSet) -> Result<Self, Refusal> {
        let printable = !self.name.chars().any(char::is_control);
        if self.name.trim().is_empty() || self.name.chars().count() > NAME_CHARS || !printable {
            return Err(Refusal::field("name", format!("1 to {NAME_CHARS} characters, none of them a control character")));
        }
        let missing: Vec<_> = writer.grant.missing(&self.allow).into_iter().filter(|scope| !before.covers(scope)).collect();
        if missing.is_empty() { Ok(self) } else { Err(Refusal::ScopeNotHeld(missing)) }
    }
}

/// The policy, where the caller may change it.
async fn changeable(act: &mut Act, caller: &Standing, id: Id) -> Result<PolicyRow, Refusal> {
    let policy = act.live_policy(id).await?.ok_or(Refusal::NotFound)?;
    if !caller.is_super_admin() && policy.tenant != caller.subject.tenant {
        return Err(Refusal::NotFound);
    }
    let beyond = match () {
        () if !caller.is_admin() => true,
        // nobody stands above or beside a super admin
        () if caller.is_super_admin() => act.is_attached(id, caller.uid).await?,
        () => act.is_attached_beyond(id, caller.uid).await?,
    };
    if beyond { Err(Refusal::Forbidden) } else { Ok(policy) }
}

/// Whether these may be attached to someone of `tenant`.
///
/// # Errors
/// [`Refusal::NotFound`] where one is unknown, ended or another tenant's; [`Refusal::Field`] where they are too many.
pub(super) async fn attachable(act: &mut Act, tenant: Id, policies: &[Id]) -> Result<(), Refusal> {
    if policies.len() > ATTACHED {
        return Err(Refusal::field("policies", format!("at most {ATTACHED}")));
    }
    for policy in policies {
        act.live_policy(*policy).await?.filter(|policy| policy.tenant == tenant).ok_or(Refusal::NotFound)?;
    }
    Ok(())
}

/// What someone would hold below `above` with these scopes and policies: for the key made with the principal.
///
/// # Errors
/// Where the database cannot be read.
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
