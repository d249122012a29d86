//! The first admin, or one more, for whoever holds the machine: `gatepost create-admin`.
//!
//! It obeys the founding's one row: where nobody has founded it founds, otherwise the new admin stands below the founder.

use super::keys::{self, NewKey};
use super::names::Name;
use super::password::{self, Password};
use super::sign_up::{end_quickstart, taken};
use super::{Refusal, RequirePhone, standing};
use crate::audit::{Action, By};
use crate::database::{Committed, Database, NameKind, NewPrincipal};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::{PlainSecret, SecretMint};

/// The name of its key.
const FIRST_KEY: &str = "first";

/// What the rules of sign-up say about it.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What a founder holds.
    pub direct_scopes: ScopeSet,
    /// Whether a phone number must be proved before there is a key.
    pub require_phone: RequirePhone,
    /// In characters.
    pub password_min_length: usize,
}

/// Who was made.
#[derive(Debug)]
pub struct MadeAdmin {
    /// Its id.
    pub uid: Id,
    /// Whether it founded the installation.
    pub founder: bool,
    /// Its API key, shown once; `None` where a phone number must be proved first.
    pub api_key: Option<PlainSecret>,
}

/// Makes an admin.
///
/// # Errors
/// [`Refusal::Field`], [`Refusal::WeakPassword`], [`Refusal::UserExists`], [`Refusal::Forbidden`] where the founder is blocked, or unavailable.
pub async fn create_admin(
    database: &Database,
    mint: &SecretMint,
    terms: &Terms,
    name: Name,
    password: Password,
) -> Result<(MadeAdmin, Committed), Refusal> {
    let name = name.to_sign_up_under()?.checked()?;
    let password = password.strong(terms.password_min_length)?;
    if database.is_taken(name.kind, &name.text).await? {
        return Err(Refusal::UserExists);
    }
    let hash = password::hash(&password)?;
    let uid = Id::random()?;
    let mut act = database.act().await?;
    let founder = act.found(uid).await?;
    let (tenant, parent, role, scopes, held) = if founder {
        let tenant = Id::random()?;
        act.insert_tenant(tenant, &name.text).await?;
        end_quickstart(&mut act).await?;
        (tenant, None, Role::SuperAdmin, terms.direct_scopes.clone(), terms.direct_scopes.clone())
    } else {
        let (founder, tenant) = database.founder().await?.ok_or(Refusal::NotFound)?;
        let above = standing::of_principal(database, founder).await?.ok_or(Refusal::Forbidden)?;
        (tenant, Some(founder), Role::Admin, ScopeSet::everything(), above.grant.allow)
    };
    act.insert_principal(&NewPrincipal {
        uid,
        tenant,
        parent,
        role,
        user: name.of_kind(NameKind::User),
        email: name.of_kind(NameKind::Email),
        phone: None,
        verified: &[],
        password: Some(&hash),
        scopes: &scopes,
    })
    .await
    .map_err(taken)?;
    let api_key = match terms.require_phone {
        RequirePhone::Always => None,
        RequirePhone::First | RequirePhone::Never => {
            let new = NewKey { name: Some(FIRST_KEY.to_owned()), ..NewKey::default() };
            Some(keys::insert(&mut act, mint, uid, new, held).await?.1)
        }
    };
    let action = if founder { Action::Found } else { Action::PrincipalCreate };
    let committed = act.commit(&By::cli().did(action, uid)).await?;
    Ok((MadeAdmin { uid, founder, api_key }, committed))
}
