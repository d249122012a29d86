//! Sign-up: whoever proves a name becomes a principal with one API key, if anyone may let it in.
//!
//! [`Accounts::admit`] alone decides that, for passwords, codes and OpenID Connect alike: by an
//! invitation, by founding, as an end user, or directly where sign-up is open.
//! INVARIANT: the founding is one row, and an invitation's use one update, in the sign-up's own
//! transaction: of two that race, one founds, one is let in.

use super::keys::{self, NewKey};
use super::names::Name;
use super::password::{self, Password};
use super::policies;
use super::setup_code;
use super::standing::{self, Standing};
use super::{Accounts, Origin, Refusal, RequirePhone, SignUp};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Act, DatabaseError, InvitationRow, NameKind, NewPrincipal};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::{PlainSecret, SecretKind};

/// The name of the key made at sign-up.
const FIRST_KEY: &str = "sign-up";

/// What someone signs up with by name and password.
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

/// Who asks to be made a principal, whichever way.
#[derive(Clone, Default)]
pub struct Newcomer {
    /// User name.
    pub user: Option<String>,
    /// E-mail address.
    pub email: Option<Contact>,
    /// Phone number.
    pub phone: Option<Contact>,
    /// argon2id, PHC string.
    pub password: Option<String>,
    /// Who it is at an OpenID provider.
    pub identity: Option<NewIdentity>,
    /// Invitation code.
    pub invitation: Option<String>,
    /// Set-up code.
    pub setup_code: Option<String>,
}

/// An e-mail address or a phone number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The address or number.
    pub text: String,
    /// Whether it has been proved.
    pub verified: bool,
}

/// Who someone is at an OpenID provider (OpenID Connect Core §5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIdentity {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// The provider's name in the configuration.
    pub provider: String,
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

/// Where a newcomer is let in.
enum Place {
    /// At the top of the installation.
    Founder,
    /// At the top of a tenant of its own.
    OwnTenant,
    /// Below an inviter.
    Invited(Box<(InvitationRow, Standing)>),
    /// In the founding tenant.
    EndUser(Id, ScopeSet),
}

impl Accounts {
    /// Signs someone up by name and password.
    ///
    /// # Errors
    /// Any [`Refusal`] that a name, a password, the rules of sign-up or the throttle give.
    pub async fn sign_up(&self, application: Application, origin: Origin) -> Result<SignedUp, Refusal> {
        let Application { name, password, phone, invitation, setup_code } = application;
        let name = name.checked()?;
        let phone = phone.map(Name::checked).transpose()?;
        let unproved = |name: &Name| Contact { text: name.text.clone(), verified: false };
        let mut newcomer = Newcomer {
            user: name.of_kind(NameKind::User).map(str::to_owned),
            email: name.of_kind(NameKind::Email).map(|_| unproved(&name)),
            phone: phone.as_ref().map(unproved),
            invitation,
            setup_code,
            ..Newcomer::default()
        };
        // whoever is not let in is told before anything that costs
        self.place(&newcomer, origin).await?;
        let password = password.strong(self.rules.password_min_length)?;
        self.throttle.ask_network(origin.network())?;
        for name in [Some(&name), phone.as_ref()].into_iter().flatten() {
            if self.database.is_taken(name.kind, &name.text).await? {
                self.throttle.network_failed(origin.network());
                return Err(Refusal::UserExists);
            }
        }
        newcomer.password = Some(self.hashing.run(origin.network(), move || password::hash(&password)).await??);
        self.admit(newcomer, origin).await
    }

    /// Makes a principal of `newcomer`, if it is let in.
    ///
    /// # Errors
    /// [`Refusal::InvitationRequired`], [`Refusal::SetupCodeRequired`], [`Refusal::UserExists`], [`Refusal::Field`], the
    /// throttle's, or unavailable.
    pub(super) async fn admit(&self, newcomer: Newcomer, origin: Origin) -> Result<SignedUp, Refusal> {
        let newcomer = newcomer.checked()?;
        let mut act = self.database.act().await?;
        // acts come one after the other: what is read from here on stays true until this one commits
        let place = self.place(&newcomer, origin).await?;
        let uid = Id::random()?;
        let (tenant, parent, role, scopes, held) = match &place {
            Place::Founder | Place::OwnTenant => {
                let tenant = Id::random()?;
                act.insert_tenant(tenant, &newcomer.called(uid)).await?;
                let role = if matches!(place, Place::Founder) { Role::SuperAdmin } else { Role::Admin };
                (tenant, None, role, &self.rules.direct_scopes, self.rules.direct_scopes.clone())
            }
            Place::Invited(invited) => {
                let (invitation, inviter) = &**invited;
                let held = policies::held_below(&mut act, &inviter.grant, &invitation.scopes, &invitation.policies).await?;
                (invitation.tenant, Some(invitation.inviter), invitation.role, &invitation.scopes, held)
            }
            Place::EndUser(tenant, scopes) => (*tenant, None, Role::EndUser, scopes, scopes.clone()),
        };
        for (kind, contact) in [(NameKind::Email, &newcomer.email), (NameKind::Phone, &newcomer.phone)] {
            if let Some(contact) = contact
                && act.former_holder(kind, &contact.text).await?.is_some()
            {
                return Err(Refusal::UserExists);
            }
        }
        act.insert_principal(&newcomer.principal(uid, tenant, parent, role, scopes)).await.map_err(taken)?;
        match &place {
            Place::Founder => {
                // the row is unique whatever was read before
                if !act.found(uid).await? {
                    return Err(Refusal::InvitationRequired);
                }
                end_quickstart(&mut act).await?;
            }
            Place::Invited(invited) => {
                if !act.use_invitation(invited.0.id, uid).await? {
                    return Err(Refusal::InvitationRequired);
                }
                // one that ended meanwhile took its denies with it: that is not what was granted
                if policies::attachable(&mut act, tenant, &invited.0.policies).await.is_err() {
                    return Err(Refusal::InvitationRequired);
                }
                for policy in &invited.0.policies {
                    act.attach_policy(uid, *policy).await?;
                }
            }
            Place::OwnTenant | Place::EndUser(..) => {}
        }
        if let Some(NewIdentity { issuer, subject, provider }) = &newcomer.identity {
            act.insert_identity(issuer, subject, provider, uid).await.map_err(taken)?;
        }
        let proved_phone = newcomer.phone.as_ref().is_some_and(|phone| phone.verified);
        let api_key = match self.rules.require_phone {
            RequirePhone::Always if !proved_phone => None,
            _ => {
                let new = NewKey { name: Some(FIRST_KEY.to_owned()), ..NewKey::default() };
                Some(keys::insert(&mut act, &self.mint, uid, new, held).await?.1)
            }
        };
        let at = act.now();
        let action = if matches!(place, Place::Founder) { Action::Found } else { Action::SignUp };
        let committed = act.commit(&origin.by(uid).did(action, uid)).await?;
        self.propagate(committed).await;
        let phone_required = match (self.rules.require_phone, &place) {
            (RequirePhone::Always, _) => !proved_phone,
            (RequirePhone::First, Place::Founder | Place::OwnTenant) => newcomer.phone.is_none(),
            _ => false,
        };
        Ok(SignedUp { uid, at, api_key, phone_required })
    }

    /// For tests of other rooms.
    #[cfg(test)]
    pub(crate) async fn admit_in_test(&self, newcomer: Newcomer, origin: Origin) -> Result<SignedUp, Refusal> {
        self.admit(newcomer, origin).await
    }

    /// Where this newcomer would be let in now.
    async fn place(&self, newcomer: &Newcomer, origin: Origin) -> Result<Place, Refusal> {
        let rules = &self.rules;
        if let Some(code) = &newcomer.invitation {
            return self.invited(code, origin).await.map(|invited| Place::Invited(Box::new(invited)));
        }
        if !self.database.is_founded().await? {
            return match rules.sign_up {
                SignUp::Invitation => Err(Refusal::InvitationRequired),
                _ if origin.local || self.is_setup_code(newcomer.setup_code.as_deref()).await? => Ok(Place::Founder),
                _ => Err(Refusal::SetupCodeRequired),
            };
        }
        if let Some(scopes) = rules.end_users.as_ref().filter(|_| newcomer.is_proved()) {
            let tenant = self.database.founding_tenant().await?.ok_or(Refusal::InvitationRequired)?;
            return Ok(Place::EndUser(tenant, scopes.clone()));
        }
        if rules.sign_up == SignUp::Open { Ok(Place::OwnTenant) } else { Err(Refusal::InvitationRequired) }
    }

    /// The open invitation with this code, and who invites; a wrong one is a guess like a wrong password.
    async fn invited(&self, code: &str, origin: Origin) -> Result<(InvitationRow, Standing), Refusal> {
        self.throttle.ask_network(origin.network())?;
        if let Some(code) = self.mint.read(SecretKind::Invitation, code)
            && let Some(invitation) = self.database.invitation(code.hashed()).await?
            && let Some(inviter) = standing::of_principal(&self.database, invitation.inviter).await?
        {
            return Ok((invitation, inviter));
        }
        self.throttle.network_failed(origin.network());
        Err(Refusal::InvitationRequired)
    }

    async fn is_setup_code(&self, text: Option<&str>) -> Result<bool, DatabaseError> {
        match text {
            Some(text) => self.database.is_setup_code(setup_code::hash(text)).await,
            None => Ok(false),
        }
    }
}

impl Newcomer {
    /// With well-formed, folded names.
    fn checked(mut self) -> Result<Self, Refusal> {
        let fold = |kind, text: &str| Name::given(kind, text).and_then(Name::checked).map(|name| name.text);
        self.user = self.user.map(|user| fold(NameKind::User, &user)).transpose()?;
        for (kind, contact) in [(NameKind::Email, &mut self.email), (NameKind::Phone, &mut self.phone)] {
            if let Some(contact) = contact {
                contact.text = fold(kind, &contact.text)?;
            }
        }
        Ok(self)
    }

    /// Whether it has proved a contact or an identity, and comes without a password.
    fn is_proved(&self) -> bool {
        let proved = [&self.email, &self.phone].into_iter().flatten().any(|contact| contact.verified);
        self.password.is_none() && (proved || self.identity.is_some())
    }

    /// What its tenant is called.
    fn called(&self, uid: Id) -> String {
        let contact = |contact: &Option<Contact>| contact.as_ref().map(|contact| contact.text.clone());
        self.user.clone().or_else(|| contact(&self.email)).or_else(|| contact(&self.phone)).unwrap_or_else(|| uid.to_string())
    }

    fn principal<'a>(&'a self, uid: Id, tenant: Id, parent: Option<Id>, role: Role, scopes: &'a ScopeSet) -> NewPrincipal<'a> {
        let verified = |contact: &Option<Contact>| contact.as_ref().is_some_and(|contact| contact.verified);
        NewPrincipal {
            uid,
            tenant,
            parent,
            role,
            user: self.user.as_deref(),
            email: self.email.as_ref().map(|email| email.text.as_str()),
            phone: self.phone.as_ref().map(|phone| phone.text.as_str()),
            verified: match (verified(&self.email), verified(&self.phone)) {
                (true, true) => &[NameKind::Email, NameKind::Phone],
                (true, false) => &[NameKind::Email],
                (false, true) => &[NameKind::Phone],
                (false, false) => &[],
            },
            password: self.password.as_deref(),
            scopes,
        }
    }
}

/// Founding ends the first minutes.
pub(super) async fn end_quickstart(act: &mut Act) -> Result<(), DatabaseError> {
    act.end_quickstart_keys().await?;
    if let Some(uid) = act.quickstart_principal().await? {
        act.end_principal(uid).await?;
    }
    Ok(())
}

pub(super) fn taken(error: DatabaseError) -> Refusal {
    match error {
        DatabaseError::Taken => Refusal::UserExists,
        other => other.into(),
    }
}
