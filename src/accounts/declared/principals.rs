//! Principals as files declare them: whoever stands above comes first.

use std::collections::HashSet;

use super::super::Refusal;
use super::super::names::Name;
use super::work::{Work, agreed, blocked, changed, random, terms};
use super::{ApplyError, Principal, wrong};
use crate::audit::Action;
use crate::database::{DeclaredKind, NameKind, NewPrincipal};
use crate::id::Id;
use crate::token::record::Role;

impl Work {
    /// Whoever stands above comes first.
    pub(super) async fn principals(&mut self, declared: &[Principal]) -> Result<(), ApplyError> {
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
                if let Some(email) = &declared.email {
                    let before = self.act.email_of(row.uid).await?;
                    // whoever proved an address keeps it, whatever a file says
                    let is_theirs = before.as_ref().is_some_and(|(before, proved)| *proved || before == email);
                    if !is_theirs {
                        self.free_email(email, at).await?;
                        details.push(changed("email", before.map_or_else(|| "none".to_owned(), |(before, _)| before), email));
                        self.act.set_unproved_email(row.uid, email).await?;
                        self.did(Action::ProfileChange, row.uid);
                    }
                }
                if !details.is_empty() {
                    self.differs('~', DeclaredKind::Principal, user, details);
                }
                row.uid
            }
            None => {
                well_formed(NameKind::User, user, at)?;
                if self.act.user_named(user).await?.is_some() {
                    return Err(wrong(at, "somebody has or had that name, whom apply did not make; choose another"));
                }
                if let Some(email) = &declared.email {
                    self.free_email(email, at).await?;
                }
                let uid = random()?;
                let mut details = vec![format!("role: {}", declared.role.as_str())];
                details.extend(declared.email.as_ref().map(|email| format!("email: {email}")));
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
                    email: declared.email.as_deref(),
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

    /// Refuses an address that is none, or that somebody has, or had and proved.
    async fn free_email(&mut self, email: &str, at: &str) -> Result<(), ApplyError> {
        well_formed(NameKind::Email, email, at)?;
        let is_taken = self.act.contact_holder(NameKind::Email, email).await?.is_some()
            || self.act.former_holder(NameKind::Email, email).await?.is_some();
        if is_taken { Err(wrong(at, format!("somebody has or had the address `{email}`; write another"))) } else { Ok(()) }
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
}

/// Refuses a name that is none, or not folded.
fn well_formed(kind: NameKind, text: &str, at: &str) -> Result<(), ApplyError> {
    match Name::given(kind, text).and_then(Name::checked) {
        Ok(name) if name.text == text => Ok(()),
        Ok(name) => Err(wrong(at, format!("names are folded; write `{}`", name.text))),
        Err(Refusal::Field { problem, .. }) => Err(wrong(at, problem)),
        Err(_) => Err(wrong(at, "this name belongs to the program; choose another")),
    }
}
