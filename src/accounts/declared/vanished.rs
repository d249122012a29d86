//! What was declared once and is no more.

use super::ApplyError;
use super::work::Work;
use crate::audit::Action;
use crate::database::DeclaredKind;

impl Work {
    /// What was declared once and is no more: keys first, tenants last.
    pub(super) async fn vanished(&mut self, prune: bool) -> Result<(), ApplyError> {
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
