//! Admins, clients and sub-clients: made, listed, blocked and ended by whoever stands above.
//!
//! Without `policies` a new principal may do whatever its parent may, now and later; with them, and from the first change of
//! them on, exactly what they allow. Either way every level above narrows it at each check.
//! INVARIANT: nobody changes what is attached to themselves or above. Each change is one record, however many stand below.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::keys::{self, NewKey};
use super::names::Name;
use super::password::{self, Password};
use super::sessions::Caller;
use super::sign_up::taken;
use super::standing::{self, Standing};
use super::{Accounts, Origin, Refusal, RequirePhone, policies};
use crate::audit::Action;
use crate::database::{Act, Committed, Listed, NameKind, NewPrincipal, Page, PendingKind, PrincipalRow};
use crate::decision::holder::Grant;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::{Content, PolicyRecord, Role};
use crate::token::secret::PlainSecret;
use crate::token::terms::Terms;

/// The name of the key made with a principal.
const FIRST_KEY: &str = "first";

/// A principal to be made.
#[derive(Debug, Clone)]
pub struct NewOne {
    /// Where it will stand.
    pub role: Role,
    /// User name, e-mail address or phone number.
    pub name: Name,
    /// Password; `None` = it logs in otherwise, or not at all.
    pub password: Option<Password>,
    /// What it may do; `None` = whatever its parent may.
    pub policies: Option<Vec<Id>>,
    /// Who stands above; `None` = the caller.
    pub parent: Option<Id>,
    /// What is agreed about it.
    pub terms: Terms,
}

/// What to change.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Whether it is blocked.
    pub blocked: Option<bool>,
    /// The policies that replace those attached.
    pub policies: Option<Vec<Id>>,
    /// What is agreed about it from here on.
    pub terms: Option<Terms>,
}

/// A principal as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What is recorded.
    pub row: PrincipalRow,
    /// What it may do now; nothing where it or anyone above is blocked.
    pub effective: ScopeSet,
}

impl Accounts {
    /// Makes a principal and its first key.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`] for a parent or policy that is not the caller's to see,
    /// [`Refusal::Field`], [`Refusal::UserExists`], [`Refusal::WeakPassword`], or unavailable.
    pub async fn create_principal(
        &self,
        caller: &Caller,
        new: NewOne,
        origin: Origin,
    ) -> Result<(Principal, Option<PlainSecret>, Committed), Refusal> {
        let made = self.make_principal(caller, new, origin).await;
        self.traced(&origin.by(caller.uid()), Action::PrincipalCreate, caller.uid(), made)
    }

    async fn make_principal(
        &self,
        caller: &Caller,
        new: NewOne,
        origin: Origin,
    ) -> Result<(Principal, Option<PlainSecret>, Committed), Refusal> {
        if !caller.standing.outranks(new.role) {
            return Err(Refusal::Forbidden);
        }
        let (name, terms) = (new.name.checked()?, new.terms.checked_of_principal()?);
        let hash = match new.password {
            None => None,
            Some(password) => {
                let password = password.strong(self.rules.password_min_length)?;
                Some(self.hashing.run(origin.network(), move || password::hash(&password)).await??)
            }
        };
        let uid = Id::random()?;
        let (mut act, caller) = self.acting(caller).await?;
        let parent = self.parent(&mut act, &caller, new.role, new.parent).await?;
        let attached = new.policies.clone().unwrap_or_default();
        policies::attachable(&mut act, parent.subject.tenant, &attached).await?;
        let own = if new.policies.is_none() { ScopeSet::everything() } else { ScopeSet::default() };
        if matches!(name.kind, NameKind::Email | NameKind::Phone) && act.former_holder(name.kind, &name.text).await?.is_some() {
            return Err(Refusal::UserExists);
        }
        act.insert_principal(&NewPrincipal {
            uid,
            tenant: parent.subject.tenant,
            parent: Some(parent.uid),
            role: new.role,
            user: name.of_kind(NameKind::User),
            email: name.of_kind(NameKind::Email),
            phone: name.of_kind(NameKind::Phone),
            verified: &[],
            password: hash.as_deref(),
            scopes: &own,
        })
        .await
        .map_err(taken)?;
        for policy in &attached {
            act.attach_policy(uid, *policy).await?;
        }
        if !terms.are_none() {
            act.set_principal_terms(uid, &terms).await?;
        }
        let api_key = match self.rules.require_phone {
            RequirePhone::Always => None,
            RequirePhone::First | RequirePhone::Never => {
                let held = policies::held_below(&mut act, &parent.grant, &own, &attached).await?;
                let new = NewKey { name: Some(FIRST_KEY.to_owned()), ..NewKey::default() };
                Some(keys::insert(&mut act, &self.mint, uid, new, held).await?.1)
            }
        };
        let row = act.principal(uid).await?.ok_or(Refusal::NotFound)?;
        let committed = act.commit(&origin.by(caller.uid).did(Action::PrincipalCreate, uid)).await?;
        Ok((self.one_shown(row).await?, api_key, committed))
    }

    /// The principal that a new one of `role` will stand below.
    async fn parent(&self, act: &mut Act, caller: &Standing, role: Role, named: Option<Id>) -> Result<Standing, Refusal> {
        let parent = match named {
            Some(uid) if uid != caller.uid => {
                if act.principal(uid).await?.is_none() || !caller.is_above(act, uid).await? {
                    return Err(Refusal::NotFound);
                }
                let standing = standing::of_principal(&self.database, uid).await?;
                standing.ok_or_else(|| Refusal::field("parent", "it, or someone above it, is blocked"))?
            }
            _ => caller.clone(),
        };
        let (fits, whose) = match role {
            Role::Admin => (parent.subject.role == Role::SuperAdmin, "a super admin"),
            Role::Client => (parent.is_admin(), "an admin"),
            _ => (parent.subject.role == Role::Client, "a client"),
        };
        if fits { Ok(parent) } else { Err(Refusal::field("parent", format!("name {whose}: {} stands below one", role.as_str()))) }
    }

    /// Principals of `role` below the caller, oldest first; all there are for a super admin.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], or unavailable.
    pub async fn list_principals(&self, caller: &Caller, role: Role, page: Page) -> Result<Vec<Principal>, Refusal> {
        if !caller.standing.outranks(role) {
            return Err(Refusal::Forbidden);
        }
        let below = if caller.standing.is_super_admin() { None } else { Some(caller.uid()) };
        let rows = self.database.principals(Listed { role, below }, page).await?;
        self.shown(rows).await
    }

    /// One principal of `role`: the caller, or someone below.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], or unavailable.
    pub async fn principal(&self, caller: &Caller, role: Role, uid: Id) -> Result<Principal, Refusal> {
        let row = self.database.principal(uid).await?.filter(|row| row.role == role).ok_or(Refusal::NotFound)?;
        if uid != caller.uid() && !caller.standing.is_above_now(&self.database, uid).await? {
            return Err(Refusal::NotFound);
        }
        self.one_shown(row).await
    }

    /// Blocks or unblocks a principal, replaces its policies, or what is agreed about it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for oneself, [`Refusal::NotFound`], [`Refusal::Field`], or unavailable.
    pub async fn change_principal(
        &self,
        caller: &Caller,
        role: Role,
        uid: Id,
        change: Change,
        origin: Origin,
    ) -> Result<(Principal, Committed), Refusal> {
        let by = origin.by(caller.uid());
        let blocked = change.blocked.map(|blocked| if blocked { Action::PrincipalBlock } else { Action::PrincipalUnblock });
        let policies = change.policies.as_ref().map(|_| Action::PrincipalPolicies);
        let terms = change.terms.as_ref().map(|_| Action::PrincipalTerms);
        let mut actions = [blocked, policies, terms].into_iter().flatten();
        let action = actions.next().unwrap_or(Action::PrincipalTerms);
        let changed = async {
            let (mut act, caller) = self.acting(caller).await?;
            let mut row = below(&mut act, &caller, role, uid).await?;
            if change.blocked.is_none() && change.policies.is_none() && change.terms.is_none() {
                return Err(Refusal::field("blocked", "or `policies`, or `terms`: nothing else can be changed"));
            }
            if let Some(terms) = change.terms {
                act.set_principal_terms(uid, &terms.checked_of_principal()?).await?;
            }
            let stands = change.blocked.is_none() && change.policies.is_none();
            if let Some(attached) = change.policies {
                policies::attachable(&mut act, row.tenant, &attached).await?;
                act.detach_policies(uid).await?;
                for policy in attached {
                    act.attach_policy(uid, policy).await?;
                }
                // from here on exactly what they allow
                row.scopes = ScopeSet::default();
            }
            if !stands {
                act.set_principal(uid, change.blocked.unwrap_or(row.blocked), &row.scopes).await?;
            }
            actions.for_each(|action| act.note(by.did(action, uid)));
            let row = act.principal(uid).await?.ok_or(Refusal::NotFound)?;
            Ok((row, act.commit(&by.did(action, uid)).await?))
        };
        let changed = changed.await;
        let (row, committed) = self.traced(&by, action, uid, changed)?;
        Ok((self.one_shown(row).await?, committed))
    }

    /// Ends a principal: it and everyone below is refused from here on, and its names are never given again.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for oneself, [`Refusal::NotFound`], or unavailable.
    pub async fn end_principal(&self, caller: &Caller, role: Role, uid: Id, origin: Origin) -> Result<Committed, Refusal> {
        let by = origin.by(caller.uid());
        let ended = async {
            let (mut act, caller) = self.acting(caller).await?;
            below(&mut act, &caller, role, uid).await?;
            act.end_principal(uid).await?;
            Ok(act.commit(&by.did(Action::PrincipalEnd, uid)).await?)
        };
        let ended = ended.await;
        self.traced(&by, Action::PrincipalEnd, uid, ended)
    }

    /// An act, and what is true of the caller within it.
    pub(super) async fn acting(&self, caller: &Caller) -> Result<(Act, Standing), Refusal> {
        let mut act = self.database.act().await?;
        // acts come one after the other: what is read from here on stays true until this one commits
        act.live_session(caller.claims.sid).await?.ok_or(Refusal::InvalidToken)?;
        let standing = standing::of_principal(&self.database, caller.uid()).await?.ok_or(Refusal::InvalidToken)?;
        Ok((act, standing))
    }

    async fn one_shown(&self, row: PrincipalRow) -> Result<Principal, Refusal> {
        let effective = standing::of_principal(&self.database, row.uid).await?.map(|standing| standing.grant.effective(&[]));
        Ok(Principal { row, effective: effective.unwrap_or_default() })
    }

    /// With what they may do now; each parent and policy is read once.
    async fn shown(&self, rows: Vec<PrincipalRow>) -> Result<Vec<Principal>, Refusal> {
        let mut above: HashMap<Id, Option<Grant>> = HashMap::new();
        let mut policies: HashMap<Id, Option<PolicyRecord>> = HashMap::new();
        let mut shown = Vec::with_capacity(rows.len());
        for row in rows {
            let up = row.parent.unwrap_or(row.tenant);
            if let Entry::Vacant(unread) = above.entry(up) {
                unread.insert(standing::of_principal(&self.database, up).await?.map(|standing| standing.grant));
            }
            let (mut allow, mut deny) = (row.scopes.clone(), ScopeSet::default());
            for id in &row.policies {
                if let Entry::Vacant(unread) = policies.entry(*id) {
                    let record = self.database.record(PendingKind::Policy, *id).await?;
                    unread.insert(record.and_then(|record| if let Content::Policy(policy) = record.content { Some(policy) } else { None }));
                }
                if let Some(Some(policy)) = policies.get(id).filter(|policy| policy.as_ref().is_some_and(|policy| !policy.ended)) {
                    allow = allow.union(&policy.allow);
                    deny = deny.union(&policy.deny);
                }
            }
            let above = above.get(&up).cloned().flatten().filter(|_| !row.blocked);
            let effective = above.map(|above| above.narrowed(&allow, &deny).effective(&[])).unwrap_or_default();
            shown.push(Principal { row, effective });
        }
        Ok(shown)
    }
}

/// The principal of `role`, where the caller stands above. The caller itself is seen, but not the caller's to change.
async fn below(act: &mut Act, caller: &Standing, role: Role, uid: Id) -> Result<PrincipalRow, Refusal> {
    let row = act.principal(uid).await?.filter(|row| row.role == role).ok_or(Refusal::NotFound)?;
    if uid == caller.uid {
        return Err(Refusal::Forbidden);
    }
    if caller.is_above(act, uid).await? { Ok(row) } else { Err(Refusal::NotFound) }
}
