//! The profile: how a person is reached, and how that is changed.
//!
//! What a person says of themselves is only remembered; it stands on their account once it is proved. So nobody keeps
//! an address from its owner by naming it, and a proved one is replaced by a proved one only.

use super::codes::Given;
use super::contacts::Proved;
use super::names::Name;
use super::sessions::Caller;
use super::{Accounts, Origin, Refusal, RequirePhone};
use crate::audit::Action;
use crate::database::{ContactsRow, DatabaseError, NameKind};
use crate::id::Id;
use crate::token::record::Role;

/// A person's profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub uid: Id,
    /// As `X-Auth-User` shows it.
    pub name: String,
    /// How they are reached.
    pub contacts: ContactsRow,
    /// Whether they are asked for a phone number.
    pub phone_required: bool,
}

impl Accounts {
    /// Remembers what the caller says is theirs. Whether it is someone else's is not told: its owner would be asked.
    ///
    /// # Errors
    /// [`Refusal::Field`], or unavailable.
    pub async fn change_profile(&self, caller: &Caller, contacts: Vec<Name>, origin: Origin) -> Result<Profile, Refusal> {
        let uid = caller.uid();
        let contacts = contacts.into_iter().map(Name::checked).collect::<Result<Vec<_>, _>>()?;
        if !contacts.is_empty() {
            let row = self.database.contacts_of(uid).await?.ok_or(Refusal::InvalidToken)?;
            let mut act = self.database.act().await?;
            for Name { kind, text } in contacts {
                let (own, verified) = match kind {
                    NameKind::Phone => (&row.phone, row.phone_verified),
                    NameKind::Email | NameKind::User => (&row.email, row.email_verified),
                };
                if verified && own.as_ref() == Some(&text) {
                    act.forget_pending_contact(uid, kind).await?;
                } else {
                    act.set_pending_contact(uid, kind, &text).await?;
                }
            }
            let _ = act.commit(&origin.by(uid).did(Action::ProfileChange, uid)).await?;
        }
        self.profile(caller).await
    }

    /// Proves what the caller said is theirs, by the code that was sent there.
    ///
    /// # Errors
    /// [`Refusal::IncorrectCode`], [`Refusal::UserExists`] where it is proved to be someone else's, the throttle's, or unavailable.
    pub async fn verify_profile(&self, caller: &Caller, given: &Given, origin: Origin) -> Result<Profile, Refusal> {
        let uid = caller.uid();
        let (id, row) = self.spend(given, origin).await?;
        if !self.says_its_theirs(uid, row.kind, &row.name).await? {
            self.database.reopen_challenge(id).await?;
            return Err(Refusal::IncorrectCode);
        }
        let proved = match self.prove_contact(row.kind, &row.name, Some(uid), origin).await {
            Ok(proved) => proved,
            Err(refusal) => {
                self.database.reopen_challenge(id).await?;
                return Err(refusal);
            }
        };
        match proved {
            Proved::Former => Err(Refusal::UserExists),
            proved if proved.holder() == Some(uid) => self.profile(caller).await,
            _ => Err(Refusal::UserExists),
        }
    }

    async fn says_its_theirs(&self, uid: Id, kind: NameKind, text: &str) -> Result<bool, DatabaseError> {
        let row = self.database.contacts_of(uid).await?.unwrap_or_default();
        let (own, pending) = match kind {
            NameKind::Phone => (row.phone, row.pending_phone),
            NameKind::Email | NameKind::User => (row.email, row.pending_email),
        };
        Ok([own, pending].into_iter().flatten().any(|name| name == text))
    }

    async fn profile(&self, caller: &Caller) -> Result<Profile, Refusal> {
        let uid = caller.uid();
        let contacts = self.database.contacts_of(uid).await?.ok_or(Refusal::InvalidToken)?;
        let name = self.database.shown_name(uid).await?.unwrap_or_else(|| uid.to_string());
        let subject = &caller.standing.subject;
        let founder = matches!(subject.role, Role::SuperAdmin | Role::Admin) && subject.up == Some(subject.tenant);
        let phone_required = match self.rules.require_phone {
            RequirePhone::Always => !contacts.phone_verified,
            RequirePhone::First => founder && contacts.phone.is_none() && contacts.pending_phone.is_none(),
            RequirePhone::Never => false,
        };
        Ok(Profile { uid, name, contacts, phone_required })
    }
}
