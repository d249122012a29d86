//! The first minutes: a key to try the gate with while nobody has signed up.
//!
//! It belongs to a built-in principal in a tenant of its own, without login. It founds nothing, ends
//! after an hour, with the next start, or with the founding sign-up, whichever comes first.

use std::time::Duration;

use super::keys::{self, NewKey};
use super::{Accounts, Refusal};
use crate::audit::{Action, By};
use crate::database::{Act, Committed, Database, DatabaseError, NewPrincipal};
use crate::decision::scopes::{Scope, ScopeSet};
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::{PlainSecret, SecretMint};

/// What the key may do.
pub const SCOPE: &str = "quickstart:read";
/// The principal's name and its tenant's.
const NAME: &str = "quickstart";
/// How long the key lives.
const LIFE: Duration = Duration::from_secs(60 * 60);

impl Accounts {
    /// Replaces the key of the first minutes. `None` once someone has founded.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn quickstart_key(&self) -> Result<Option<String>, DatabaseError> {
        let none = |refusal| match refusal {
            Refusal::Unavailable(cause) => DatabaseError::Unavailable(cause),
            other => DatabaseError::Unavailable(format!("{other:?}")),
        };
        let Some((key, act)) = make(&self.database, &self.mint).await.map_err(none)? else { return Ok(None) };
        self.propagate(act).await;
        Ok(Some(key.reveal().to_owned()))
    }
}

async fn make(database: &Database, mint: &SecretMint) -> Result<Option<(PlainSecret, Committed)>, Refusal> {
    let scopes = ScopeSet::of(SCOPE.parse::<Scope>());
    let mut act = database.act().await?;
    if act.is_founded().await? {
        return Ok(None);
    }
    act.end_quickstart_keys().await?;
    let uid = match act.quickstart_principal().await? {
        Some(uid) => uid,
        None => principal(&mut act, &scopes).await?,
    };
    let new = NewKey { name: Some(NAME.to_owned()), expires_in: Some(LIFE), ..NewKey::default() };
    let (key, secret) = keys::insert(&mut act, mint, uid, new, scopes).await?;
    Ok(Some((secret, act.commit(&By::system().did(Action::Quickstart, key.id)).await?)))
}

/// Makes the built-in principal in a tenant of its own.
async fn principal(act: &mut Act, scopes: &ScopeSet) -> Result<Id, Refusal> {
    let (uid, tenant) = (Id::random()?, Id::random()?);
    act.insert_tenant(tenant, NAME).await?;
    let new = NewPrincipal {
        uid,
        tenant,
        parent: None,
        role: Role::Quickstart,
        user: Some(NAME),
        email: None,
        phone: None,
        verified: &[],
        password: None,
        scopes,
    };
    act.insert_principal(&new).await?;
    Ok(uid)
}
