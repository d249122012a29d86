//! What files declare: tenants, policies, principals and keys. Compared with what stands, and made so.
//!
//! INVARIANT: only what was made from a declaration is changed or ended by one. What somebody else made under the same name is
//! refused.
//! INVARIANT: people and policies are one act; so are keys, which come after it because a key may hold only what its owner holds
//! then. Each change has its own entry in the audit trail.

use std::collections::{BTreeMap, HashSet};

use super::Refusal;
use super::names::Name;
use super::standing;
use crate::audit::{Action, By, Entry};
use crate::database::{Act, Committed, Database, DatabaseError, DeclaredKind, KeyRow, NameKind, NewPrincipal, PolicyRow};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::terms::Terms;

/// Everything that files declare.
#[derive(Debug, Default)]
pub struct Declared {
    /// Tenants.
    pub tenants: Vec<Tenant>,
    /// Policies.
    pub policies: Vec<Policy>,
    /// Principals, in any order.
    pub principals: Vec<Principal>,
    /// Keys.
    pub keys: Vec<Key>,
}

/// A tenant.
#[derive(Debug)]
pub struct Tenant {
    /// Its name in these files, and what it is called.
    pub name: String,
    /// Whether it is blocked.
    pub blocked: bool,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// A policy.
#[derive(Debug)]
pub struct Policy {
    /// Its name, unique in its tenant.
    pub name: String,
    /// A tenant of these files, or the id of any; `None` = the founder's.
    pub tenant: Option<String>,
    /// What it gives.
    pub allow: ScopeSet,
    /// What it takes.
    pub deny: ScopeSet,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// A principal. It has no password: it uses keys, or sets one otherwise.
#[derive(Debug)]
pub struct Principal {
    /// Its user name.
    pub user: String,
    /// As for a policy.
    pub tenant: Option<String>,
    /// Admin, client or sub-client.
    pub role: Role,
    /// The user name of who stands above; `None` = at the top of its tenant.
    pub below: Option<String>,
    /// The names of its tenant's policies in these files.
    pub policies: Vec<String>,
    /// What it is given directly.
    pub scopes: ScopeSet,
    /// Whether it is blocked.
    pub blocked: bool,
    /// What is agreed about it.
    pub terms: Terms,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// An API key, by its hash.
#[derive(Debug)]
pub struct Key {
    /// Its id, which its text carries.
    pub id: Id,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// The user name of its owner.
    pub principal: String,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// What is agreed about it.
    pub terms: Terms,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// A difference between files and database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `+` to be made, `~` to be changed, `-` to be ended.
    pub sign: char,
    /// What it is about, like `policy acme/readers`.
    pub what: String,
    /// What differs.
    pub details: Vec<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.sign, self.what)?;
        self.details.iter().try_for_each(|detail| write!(f, "\n    {detail}"))
    }
}

/// What to do about differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Look.
    Check,
    /// Make it so, but end nothing.
    Apply,
    /// Make it so, and end what was declared once and is no more.
    Prune,
}

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The database.
    #[error("{0}")]
    Database(#[from] DatabaseError),
    /// A declaration that cannot be made so: its place, and what to do.
    #[error("{at}: {what}")]
    Declaration {
        /// `FILE:LINE:COLUMN: path`
        at: String,
        /// What is wrong; what to do.
        what: String,
    },
}

fn wrong(at: &str, what: impl Into<String>) -> ApplyError {
    ApplyError::Declaration { at: at.to_owned(), what: what.into() }
}

/// What came of it.
#[derive(Debug)]
pub struct Applied {
    /// What differed: done, unless it was a check; what was to be ended only with [`Mode::Prune`].
    pub differences: Vec<Difference>,
    /// The last act, if any.
    pub committed: Option<Committed>,
}

/// Compares, and makes it so.
///
/// # Errors
/// See [`ApplyError`]. After one about a key, the rest stands.
pub async fn apply(database: &Database, declared: &Declared, mode: Mode) -> Result<Applied, ApplyError> {
    let mut work = Work::begin(database).await?;
    work.tenants(&declared.tenants).await?;
    work.policies(&declared.policies).await?;
    work.principals(&declared.principals).await?;
    let keys = work.keys(&declared.keys).await?;
    work.vanished(mode == Mode::Prune).await?;
    let Work { act, differences, mut entries, .. } = work;
    if mode == Mode::Check {
        return Ok(Applied { differences, committed: None });
    }
    let mut committed = None;
    if let Some(last) = entries.pop() {
        committed = Some(commit(act, entries, &last).await?);
    } else {
        drop(act);
    }
    for key in keys {
        committed = Some(make_key(database, key).await?);
    }
    Ok(Applied { differences, committed })
}

async fn commit(mut act: Act, entries: Vec<Entry>, last: &Entry) -> Result<Committed, DatabaseError> {
    entries.into_iter().for_each(|entry| act.note(entry));
    act.commit(last).await
}

/// A key that differs.
struct KeyWork<'d> {
    key: &'d Key,
    owner: Id,
    is_new: bool,
    scopes: bool,
    secret: bool,
    terms: bool,
}

async fn make_key(database: &Database, work: KeyWork<'_>) -> Result<Committed, ApplyError> {
    let KeyWork { key, owner, is_new, scopes, secret, terms } = work;
    let by = By::cli();
    let unheld = match standing::of_principal(database, owner).await? {
        None => {
            return Err(wrong(
                &key.at,
                format!("`{}`, or someone above, is blocked; keys are made for whoever may use them", key.principal),
            ));
        }
        Some(standing) => standing.grant.missing(&key.scopes),
    };
    if !unheld.is_empty() {
        let names: Vec<String> = unheld.iter().map(|scope| format!("`{scope}`")).collect();
        return Err(wrong(&key.at, format!("`{}` does not hold {}; give it by a policy, or take it out", key.principal, names.join(", "))));
    }
    let mut act = database.act().await?;
    let mut entries = Vec::new();
    if is_new {
        let row = KeyRow {
            id: key.id,
            principal: owner,
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            created_at: act.now(),
            expires_at: None,
            last_used_at: None,
            terms: key.terms.clone(),
        };
        act.insert_key(&row, key.hash).await?;
        act.declare(DeclaredKind::Key, &key.id.to_string(), key.id).await?;
        entries.push(by.did(Action::KeyCreate, key.id));
    }
    if scopes {
        act.set_key_scopes(key.id, &key.scopes).await?;
        entries.push(by.did(Action::KeyScopes, key.id));
    }
    if secret {
        act.rotate_key(key.id, key.hash, None).await?;
        entries.push(by.did(Action::KeyRotate, key.id));
    }
    if terms {
        act.set_key_terms(key.id, &key.terms).await?;
        entries.push(by.did(Action::KeyTerms, key.id));
    }
    let last = entries.pop().unwrap_or_else(|| by.did(Action::KeyCreate, key.id));
    Ok(commit(act, entries, &last).await?)
}

/// A comparison under way, within an act.
struct Work {
    act: Act,
    /// What declarations became before.
    before: BTreeMap<(DeclaredKind, String), Id>,
    /// What is declared now.
    now: HashSet<(DeclaredKind, String)>,
    /// What declared users are, and the tenants of the files.
    users: BTreeMap<String, Id>,
    tenants: BTreeMap<String, Id>,
    policies: BTreeMap<(Id, String), Id>,
    differences: Vec<Difference>,
    entries: Vec<Entry>,
}

impl Work {
    async fn begin(database: &Database) -> Result<Self, ApplyError> {
        let mut act = database.act().await?;
        let before = act.declared().await?.into_iter().map(|(kind, name, id)| ((kind, name), id)).collect();
        Ok(Self {
            act,
            before,
            now: HashSet::new(),
            users: BTreeMap::new(),
            tenants: BTreeMap::new(),
            policies: BTreeMap::new(),
            differences: Vec::new(),
            entries: Vec::new(),
        })
    }

    /// What a declaration became before. Twice the same is refused.
    fn known(&mut self, kind: DeclaredKind, name: &str, at: &str) -> Result<Option<Id>, ApplyError> {
        if !self.now.insert((kind, name.to_owned())) {
            return Err(wrong(at, format!("{} `{name}` is declared twice; take one out", kind.as_str())));
        }
        Ok(self.before.get(&(kind, name.to_owned())).copied())
    }

    fn differs(&mut self, sign: char, kind: DeclaredKind, name: &str, details: Vec<String>) {
        self.differences.push(Difference { sign, what: format!("{} {name}", kind.as_str()), details });
    }

    fn did(&mut self, action: Action, id: Id) {
        self.entries.push(By::cli().did(action, id));
    }

    async fn tenants(&mut self, declared: &[Tenant]) -> Result<(), ApplyError> {
        for tenant in declared {
            let known = self.known(DeclaredKind::Tenant, &tenant.name, &tenant.at)?;
            let stands = match known {
                Some(id) => self.act.tenant(id).await?,
                None => None,
            };
            let id = match stands {
                Some(row) => {
                    if row.blocked != tenant.blocked {
                        self.differs('~', DeclaredKind::Tenant, &tenant.name, vec![changed("blocked", row.blocked, tenant.blocked)]);
                        self.act.set_tenant(row.id, tenant.blocked).await?;
                        self.did(if tenant.blocked { Action::TenantBlock } else { Action::TenantUnblock }, row.id);
                    }
                    row.id
                }
                None => {
                    let id = random()?;
                    self.differs('+', DeclaredKind::Tenant, &tenant.name, blocked(tenant.blocked));
                    self.act.insert_tenant(id, &tenant.name).await?;
                    self.act.declare(DeclaredKind::Tenant, &tenant.name, id).await?;
                    self.did(Action::TenantCreate, id);
                    if tenant.blocked {
                        self.act.set_tenant(id, true).await?;
                        self.did(Action::TenantBlock, id);
                    }
                    id
                }
            };
            self.tenants.insert(tenant.name.clone(), id);
        }
        Ok(())
    }

    /// The tenant that a declaration names, and how it is shown.
    async fn tenant(&mut self, named: Option<&str>, at: &str) -> Result<(Id, String), ApplyError> {
        let Some(name) = named else {
            let founders = self.act.founders_tenant().await?;
            let id = founders
                .ok_or_else(|| wrong(at, "nobody has founded this installation; name a tenant, or run `gatepost create-admin` first"))?;
            return Ok((id, id.to_string()));
        };
        if let Some(id) = self.tenants.get(name) {
            return Ok((*id, name.to_owned()));
        }
        if let Ok(id) = name.parse()
            && self.act.tenant(id).await?.is_some()
        {
            return Ok((id, name.to_owned()));
        }
        Err(wrong(at, format!("there is no tenant `{name}`; declare it below `tenants:`, or name one that is there by its id")))
    }

    async fn policies(&mut self, declared: &[Policy]) -> Result<(), ApplyError> {
        for policy in declared {
            let (tenant, shown) = self.tenant(policy.tenant.as_deref(), &policy.at).await?;
            let name = format!("{shown}/{}", policy.name);
            let known = self.known(DeclaredKind::Policy, &name, &policy.at)?;
            let stands = match known {
                Some(id) => self.act.live_policy(id).await?,
                None => None,
            };
            let id = match stands {
                Some(row) => {
                    let mut details = Vec::new();
                    for (what, before, after) in [("allow", &row.allow, &policy.allow), ("deny", &row.deny, &policy.deny)] {
                        if before != after {
                            details.push(changed(what, before, after));
                        }
                    }
                    if row.name != policy.name {
                        details.push(changed("name", &row.name, &policy.name));
                    }
                    if !details.is_empty() {
                        self.differs('~', DeclaredKind::Policy, &name, details);
                        let (allow, deny) = (policy.allow.clone(), policy.deny.clone());
                        self.act.set_policy(&PolicyRow { name: policy.name.clone(), allow, deny, ..row.clone() }).await?;
                        self.did(Action::PolicyChange, row.id);
                    }
                    row.id
                }
                None => {
                    if self.act.policy_named(tenant, &policy.name).await?.is_some() {
                        return Err(wrong(
                            &policy.at,
                            "its tenant has a policy of that name, which apply did not make; end that one, or name this otherwise",
                        ));
                    }
                    let id = random()?;
                    self.differs(
                        '+',
                        DeclaredKind::Policy,
                        &name,
                        vec![format!("allow: {}", policy.allow), format!("deny: {}", policy.deny)],
                    );
                    let (allow, deny, created_at) = (policy.allow.clone(), policy.deny.clone(), self.act.now());
                    self.act
                        .insert_policy(&PolicyRow {
                            id,
                            tenant,
                            name: policy.name.clone(),
                            allow,
                            deny,
                            version: 1,
                            created_at,
                            terms: Terms::default(),
                        })
                        .await?;
                    self.act.declare(DeclaredKind::Policy, &name, id).await?;
                    self.did(Action::PolicyCreate, id);
                    id
                }
            };
            self.policies.insert((tenant, policy.name.clone()), id);
        }
        Ok(())
    }

    /// Whoever stands above comes first.
    async fn principals(&mut self, declared: &[Principal]) -> Result<(), ApplyError> {
        let mut waiting: Vec<&Principal> = declared.iter().collect();
        while !waiting.is_empty() {
            let names: HashSet<String> = waiting.iter().map(|principal| principal.user.clone()).collect();
            let (later, ready): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|principal| principal.below.as_ref().is_some_and(|below| names.contains(below)));
            if let (Some(first), true) = (later.first(), ready.is_empty()) {
                return Err(wrong(&first.at, "stands below itself; mend `below`"));
            }
            for principal in ready {
                self.principal(principal).await?;
            }
            waiting = later;
        }
        Ok(())
    }

    async fn principal(&mut self, declared: &Principal) -> Result<(), ApplyError> {
        let (at, user) = (&declared.at, &declared.user);
        let known = self.known(DeclaredKind::Principal, user, at)?;
        let (tenant, _) = self.tenant(declared.tenant.as_deref(), at).await?;
        let parent = match &declared.below {
            None if declared.role == Role::Admin => None,
            None => return Err(wrong(at, format!("a {} stands below somebody; write `below:` with a user name", declared.role.as_str()))),
            Some(below) => Some(self.above(declared, below, tenant).await?),
        };
        let mut policies = Vec::with_capacity(declared.policies.len());
        for name in &declared.policies {
            let found = self.policies.get(&(tenant, name.clone())).copied();
            policies.push(
                found
                    .ok_or_else(|| wrong(at, format!("its tenant has no policy `{name}` in these files; declare it below `policies:`")))?,
            );
        }
        policies.sort_unstable();
        let stands = match known {
            Some(uid) => Some(
                self.act.principal(uid).await?.ok_or_else(|| wrong(at, "it has ended, and its name is never given again; take it out"))?,
            ),
            None => None,
        };
        let uid = match stands {
            Some(row) => {
                if (row.role, row.tenant, row.parent) != (declared.role, tenant, parent) {
                    return Err(wrong(at, "role, tenant and `below` stay as they were made; declare another principal"));
                }
                let mut attached = row.policies.clone();
                attached.sort_unstable();
                let mut details = Vec::new();
                if row.blocked != declared.blocked {
                    details.push(changed("blocked", row.blocked, declared.blocked));
                    self.did(if declared.blocked { Action::PrincipalBlock } else { Action::PrincipalUnblock }, row.uid);
                }
                if row.scopes != declared.scopes || attached != policies {
                    if row.scopes != declared.scopes {
                        details.push(changed("scopes", &row.scopes, &declared.scopes));
                    }
                    if attached != policies {
                        let named = declared.policies.join(", ");
                        details.push(format!("policies: now {}", if named.is_empty() { "none" } else { &named }));
                        self.act.detach_policies(row.uid).await?;
                        for policy in &policies {
                            self.act.attach_policy(row.uid, *policy).await?;
                        }
                    }
                    self.did(Action::PrincipalPolicies, row.uid);
                }
                if !details.is_empty() {
                    self.act.set_principal(row.uid, declared.blocked, &declared.scopes).await?;
                }
                if row.terms != declared.terms {
                    details.push(changed("terms", agreed(&row.terms), agreed(&declared.terms)));
                    self.act.set_principal_terms(row.uid, &declared.terms).await?;
                    self.did(Action::PrincipalTerms, row.uid);
                }
                if !details.is_empty() {
                    self.differs('~', DeclaredKind::Principal, user, details);
                }
                row.uid
            }
            None => {
                let name = Name::given(NameKind::User, user).and_then(Name::checked);
                let name = name.map_err(|refusal| match refusal {
                    Refusal::Field { problem, .. } => wrong(at, problem),
                    _ => wrong(at, "this name belongs to the program; choose another"),
                })?;
                if name.text != *user {
                    return Err(wrong(at, format!("names are folded; write `{}`", name.text)));
                }
                if self.act.user_named(user).await?.is_some() {
                    return Err(wrong(at, "somebody has or had that name, whom apply did not make; choose another"));
                }
                let uid = random()?;
                let mut details = vec![format!("role: {}", declared.role.as_str())];
                details.extend(declared.below.as_ref().map(|below| format!("below: {below}")));
                if !declared.policies.is_empty() {
                    details.push(format!("policies: {}", declared.policies.join(", ")));
                }
                details.extend(blocked(declared.blocked));
                details.extend(terms(&declared.terms));
                self.differs('+', DeclaredKind::Principal, user, details);
                let new = NewPrincipal {
                    uid,
                    tenant,
                    parent,
                    role: declared.role,
                    user: Some(user),
                    email: None,
                    phone: None,
                    verified: &[],
                    password: None,
                    scopes: &declared.scopes,
                };
                self.act.insert_principal(&new).await?;
                for policy in &policies {
                    self.act.attach_policy(uid, *policy).await?;
                }
                if !declared.terms.are_none() {
                    self.act.set_principal_terms(uid, &declared.terms).await?;
                }
                self.act.declare(DeclaredKind::Principal, user, uid).await?;
                self.did(Action::PrincipalCreate, uid);
                if declared.blocked {
                    self.act.set_principal(uid, true, &declared.scopes).await?;
                    self.did(Action::PrincipalBlock, uid);
                }
                uid
            }
        };
        self.users.insert(user.clone(), uid);
        Ok(())
    }

    /// Who stands above, where the one may stand below.
    async fn above(&mut self, declared: &Principal, below: &str, tenant: Id) -> Result<Id, ApplyError> {
        let at = &declared.at;
        let uid = self.user(below, at).await?;
        let above = self.act.principal(uid).await?.ok_or_else(|| wrong(at, format!("`{below}` has ended")))?;
        let (fits, whose) = match declared.role {
            Role::Admin => (above.role == Role::SuperAdmin, "a super admin"),
            Role::Client => (matches!(above.role, Role::SuperAdmin | Role::Admin), "an admin"),
            _ => (above.role == Role::Client, "a client"),
        };
        if !fits {
            return Err(wrong(at, format!("a {} stands below {whose}; `{below}` is {}", declared.role.as_str(), above.role.as_str())));
        }
        if above.tenant == tenant { Ok(uid) } else { Err(wrong(at, format!("`{below}` belongs to another tenant"))) }
    }

    /// The principal of this user name, from these files or not.
    async fn user(&mut self, name: &str, at: &str) -> Result<Id, ApplyError> {
        let found = match self.users.get(name) {
            Some(uid) => Some(*uid),
            None => self.act.user_named(name).await?,
        };
        found.ok_or_else(|| wrong(at, format!("there is no principal `{name}`")))
    }

    /// What is to be done about keys: not yet, because a key may hold only what its owner holds then.
    async fn keys<'d>(&mut self, declared: &'d [Key]) -> Result<Vec<KeyWork<'d>>, ApplyError> {
        let mut work = Vec::new();
        for key in declared {
            let id = key.id.to_string();
            let known = self.known(DeclaredKind::Key, &id, &key.at)?;
            let owner = self.user(&key.principal, &key.at).await?;
            let shown = format!("{} ({id}) of {}", key.name, key.principal);
            match (known, self.act.live_key(key.id).await?) {
                (None, None) => {
                    let details = std::iter::once(format!("scopes: {}", key.scopes)).chain(terms(&key.terms)).collect();
                    self.differs('+', DeclaredKind::Key, &shown, details);
                    work.push(KeyWork { key, owner, is_new: true, scopes: false, secret: false, terms: false });
                }
                (None, Some(_)) => return Err(wrong(&key.at, "there is a key of that id, which apply did not make; declare another")),
                (Some(_), None) => return Err(wrong(&key.at, "it has ended; take it out, or declare another")),
                (Some(_), Some(row)) => {
                    if row.principal != owner || row.name != key.name {
                        return Err(wrong(&key.at, "name and owner of a key stay as they were made; declare another"));
                    }
                    let (scopes, secret) = (row.scopes != key.scopes, !self.act.is_key_secret(key.id, &key.hash).await?);
                    let mut details = Vec::new();
                    if scopes {
                        details.push(changed("scopes", &row.scopes, &key.scopes));
                    }
                    if secret {
                        details.push("hash: another".to_owned());
                    }
                    let terms = row.terms != key.terms;
                    if terms {
                        details.push(changed("terms", agreed(&row.terms), agreed(&key.terms)));
                    }
                    if !details.is_empty() {
                        self.differs('~', DeclaredKind::Key, &shown, details);
                        work.push(KeyWork { key, owner, is_new: false, scopes, secret, terms });
                    }
                }
            }
        }
        Ok(work)
    }

    /// What was declared once and is no more: keys first, tenants last.
    async fn vanished(&mut self, prune: bool) -> Result<(), ApplyError> {
        let gone: Vec<_> =
            self.before.iter().filter(|(declared, _)| !self.now.contains(*declared)).map(|(key, id)| (key.clone(), *id)).collect();
        for ((kind, name), id) in gone.into_iter().rev() {
            let stands = match kind {
                DeclaredKind::Key => self.act.live_key(id).await?.is_some(),
                DeclaredKind::Principal => self.act.principal(id).await?.is_some(),
                DeclaredKind::Policy => self.act.live_policy(id).await?.is_some(),
                DeclaredKind::Tenant => self.act.tenant(id).await?.is_some_and(|tenant| !tenant.blocked),
            };
            if stands {
                let how = if prune { Vec::new() } else { vec!["declared once and no more; --prune ends it".to_owned()] };
                self.differs('-', kind, &name, how);
            }
            if !prune {
                continue;
            }
            match kind {
                _ if !stands => {}
                DeclaredKind::Key => {
                    self.act.end_key(id).await?;
                    self.did(Action::KeyEnd, id);
                }
                DeclaredKind::Principal => {
                    self.act.end_principal(id).await?;
                    self.did(Action::PrincipalEnd, id);
                }
                DeclaredKind::Policy => {
                    self.act.end_policy(id).await?;
                    self.did(Action::PolicyEnd, id);
                }
                // there may be others in it: they are refused from here on, and nothing of theirs is lost
                DeclaredKind::Tenant => {
                    self.act.set_tenant(id, true).await?;
                    self.did(Action::TenantBlock, id);
                }
            }
            // a tenant that is declared again is let in again
            if kind != DeclaredKind::Tenant {
                self.act.forget_declared(kind, &name).await?;
            }
        }
        Ok(())
    }
}

fn random() -> Result<Id, ApplyError> {
    Id::random().map_err(|_| DatabaseError::Unavailable("the system gave no randomness".to_owned()).into())
}

fn changed(what: &str, before: impl std::fmt::Display, after: impl std::fmt::Display) -> String {
    format!("{what}: {before} \u{2192} {after}")
}

fn agreed(terms: &Terms) -> String {
    terms.written().unwrap_or_else(|| "none".to_owned())
}

fn terms(terms: &Terms) -> Option<String> {
    terms.written().map(|written| format!("terms: {written}"))
}

fn blocked(is: bool) -> Vec<String> {
    if is { vec!["blocked: true".to_owned()] } else { Vec::new() }
}

#[cfg(test)]
mod tests;
