//! Sign-up: a name and a password become a tenant, its admin and one API key.
//!
//! INVARIANT: the founding is one row, taken in the sign-up's own transaction: of two that race, one founds.

use super::keys::{self, NewKey};
use super::names::Name;
use super::password::{self, Password};
use super::{Accounts, Origin, Refusal, RequirePhone, SignUp};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Act, DatabaseError, NameKind, NewPrincipal};
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::PlainSecret;

/// The name of the key made at sign-up.
const FIRST_KEY: &str = "sign-up";

/// What someone signs up with.
#[derive(Debug, Clone)]
pub struct Application {
    /// User name or e-mail address.
    pub name: Name,
    /// Password.
    pub password: Password,
    /// Phone number, unverified.
    pub phone: Option<Name>,
    /// Invitation code.
    pub invitation: Option<String>,
    /// Set-up code.
    pub setup_code: Option<String>,
}

/// A new account.
#[derive(Debug)]
pub struct SignedUp {
    /// Its principal.
    pub uid: Id,
    /// When.
    pub at: UnixMs,
    /// Its API key, shown once; `None` where a phone number must be proved first.
    pub api_key: Option<PlainSecret>,
    /// Whether the person is asked for a phone number.
    pub phone_required: bool,
}

impl Accounts {
    /// Signs someone up directly.
    ///
    /// # Errors
    /// Any [`Refusal`] that a name, a password, the rules of sign-up or the throttle give.
    pub async fn sign_up(&self, application: Application, origin: Origin) -> Result<SignedUp, Refusal> {
        let rules = &self.rules;
        let name = application.name.checked()?;
        let phone = application.phone.map(Name::checked).transpose()?;
        // invitations are checked before anything that costs: any code is refused where none has been made
        if application.invitation.is_some() || rules.sign_up == SignUp::Invitation {
            return Err(Refusal::InvitationRequired);
        }
        let founded = self.database.is_founded().await?;
        if founded && rules.sign_up == SignUp::First {
            return Err(Refusal::InvitationRequired);
        }
        if !founded && !origin.local && !self.is_setup_code(application.setup_code.as_deref()) {
            return Err(Refusal::SetupCodeRequired);
        }
        let password = application.password.strong(rules.password_min_length)?;
        self.throttle.ask_network(origin.network())?;
        for name in [Some(&name), phone.as_ref()].into_iter().flatten() {
            if self.database.is_taken(name.kind, &name.text).await? {
                self.throttle.network_failed(origin.network());
                return Err(Refusal::UserExists);
            }
        }
        let hash = self.hashing.run(origin.network(), move || password::hash(&password)).await??;
        self.admit(&name, phone.as_ref(), &hash, origin).await
    }

    fn is_setup_code(&self, text: Option<&str>) -> bool {
        self.setup_code.as_ref().zip(text).is_some_and(|(code, text)| code.is(text))
    }

    async fn admit(&self, name: &Name, phone: Option<&Name>, hash: &str, origin: Origin) -> Result<SignedUp, Refusal> {
        let rules = &self.rules;
        let (uid, tenant) = (Id::random()?, Id::random()?);
        let mut act = self.database.act().await?;
        let founder = act.found(uid).await?;
        if !founder && rules.sign_up != SignUp::Open {
            return Err(Refusal::InvitationRequired);
        }
        if founder {
            end_quickstart(&mut act).await?;
        }
        act.insert_tenant(tenant, &name.text).await?;
        act.insert_principal(&NewPrincipal {
            uid,
            tenant,
            parent: None,
            role: if founder { Role::SuperAdmin } else { Role::Admin },
            user: name.of_kind(NameKind::User),
            email: name.of_kind(NameKind::Email),
            phone: phone.map(|phone| phone.text.as_str()),
            password: Some(hash),
            scopes: &rules.direct_scopes,
        })
        .await
        .map_err(taken)?;
        let api_key = match rules.require_phone {
            RequirePhone::Always => None,
            RequirePhone::First | RequirePhone::Never => {
                let new = NewKey { name: Some(FIRST_KEY.to_owned()), ..NewKey::default() };
                Some(keys::insert(&mut act, &self.mint, uid, new, rules.direct_scopes.clone()).await?.1)
            }
        };
        let at = act.now();
        let action = if founder { Action::Found } else { Action::SignUp };
        let committed = act.commit(&origin.by(uid).did(action, uid)).await?;
        self.propagate(committed).await;
        let phone_required = match rules.require_phone {
            RequirePhone::Always => true,
            RequirePhone::First => phone.is_none(),
            RequirePhone::Never => false,
        };
        Ok(SignedUp { uid, at, api_key, phone_required })
    }
}

/// Founding ends the first minutes.
async fn end_quickstart(act: &mut Act) -> Result<(), DatabaseError> {
    act.end_quickstart_keys().await?;
    if let Some(uid) = act.quickstart_principal().await? {
        act.end_principal(uid).await?;
    }
    Ok(())
}

fn taken(error: DatabaseError) -> Refusal {
    match error {
        DatabaseError::Taken => Refusal::UserExists,
        other => other.into(),
    }
}
