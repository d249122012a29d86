//! Policies as files declare them.

use super::work::{Work, agreed, changed, random, terms};
use super::{ApplyError, Policy, wrong};
use crate::audit::Action;
use crate::database::{DeclaredKind, PolicyRow};

impl Work {
    pub(super) async fn policies(&mut self, declared: &[Policy]) -> Result<(), ApplyError> {
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
                    if row.terms != policy.terms {
                        details.push(changed("terms", agreed(&row.terms), agreed(&policy.terms)));
                    }
                    if !details.is_empty() {
                        self.differs('~', DeclaredKind::Policy, &name, details);
                        let (allow, deny) = (policy.allow.clone(), policy.deny.clone());
                        let (name, terms) = (policy.name.clone(), policy.terms.clone());
                        self.act.set_policy(&PolicyRow { name, allow, deny, terms, ..row.clone() }).await?;
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
                    let says = [format!("allow: {}", policy.allow), format!("deny: {}", policy.deny)];
                    self.differs('+', DeclaredKind::Policy, &name, says.into_iter().chain(terms(&policy.terms)).collect());
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
                            terms: policy.terms.clone(),
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
}
