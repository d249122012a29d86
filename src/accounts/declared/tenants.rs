//! Tenants as files declare them.

use super::work::{Work, blocked, changed, random};
use super::{ApplyError, Tenant, wrong};
use crate::audit::Action;
use crate::database::DeclaredKind;
use crate::id::Id;

impl Work {
    pub(super) async fn tenants(&mut self, declared: &[Tenant]) -> Result<(), ApplyError> {
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
    pub(super) async fn tenant(&mut self, named: Option<&str>, at: &str) -> Result<(Id, String), ApplyError> {
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
}
