//! Tenants, and what everyone did: for those who look after an installation.

use super::sessions::Caller;
use super::{Accounts, Origin, Refusal};
use crate::audit::Action;
use crate::database::{AuditRow, Committed, Page, TenantRow};
use crate::id::Id;

impl Accounts {
    /// Whether the caller looks after the installation.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] where not.
    pub fn super_admins_only(&self, caller: &Caller) -> Result<(), Refusal> {
        if caller.standing.is_super_admin() { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// Tenants, oldest first.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], or unavailable.
    pub async fn list_tenants(&self, caller: &Caller, page: Page) -> Result<Vec<TenantRow>, Refusal> {
        self.super_admins_only(caller)?;
        Ok(self.database.tenants(page).await?)
    }

    /// Blocks or unblocks a tenant, and with it everyone in it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for the caller's own, [`Refusal::NotFound`], or unavailable.
    pub async fn change_tenant(&self, caller: &Caller, id: Id, blocked: bool, origin: Origin) -> Result<(TenantRow, Committed), Refusal> {
        let by = origin.by(caller.uid());
        let action = if blocked { Action::TenantBlock } else { Action::TenantUnblock };
        let changed = async {
            let (mut act, caller) = self.acting(caller).await?;
            if !caller.is_super_admin() {
                return Err(Refusal::Forbidden);
            }
            let tenant = act.tenant(id).await?.ok_or(Refusal::NotFound)?;
            // it stands above the caller: who blocked it could not let it in again
            if id == caller.subject.tenant {
                return Err(Refusal::Forbidden);
            }
            act.set_tenant(id, blocked).await?;
            Ok((TenantRow { blocked, ..tenant }, act.commit(&by.did(action, id)).await?))
        };
        let changed = changed.await;
        self.traced(&by, action, id, changed)
    }

    /// Records that an examination of a proxy begins; without the entry there is none.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], or unavailable.
    pub async fn examine(&self, caller: &Caller, id: Id, origin: Origin) -> Result<(), Refusal> {
        let by = origin.by(caller.uid());
        let recorded = async {
            let (act, caller) = self.acting(caller).await?;
            if !caller.is_super_admin() {
                return Err(Refusal::Forbidden);
            }
            // nothing for the token store to learn
            act.commit(&by.did(Action::Examine, id)).await.map(drop).map_err(Refusal::from)
        };
        let recorded = recorded.await;
        self.traced(&by, Action::Examine, id, recorded)
    }

    /// The audit trail before entry `before`, newest first: an admin's own tenant's, everything for a super admin.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], or unavailable.
    pub async fn audit(&self, caller: &Caller, before: Option<i64>, limit: u32) -> Result<Vec<AuditRow>, Refusal> {
        let standing = &caller.standing;
        let tenant = match standing {
            _ if standing.is_super_admin() => None,
            _ if standing.is_admin() => Some(standing.subject.tenant),
            _ => return Err(Refusal::Forbidden),
        };
        Ok(self.database.audit(tenant, before, limit).await?)
    }
}
