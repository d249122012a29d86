//! What a login stands on.
//!
//! Comparing a password takes long, and meanwhile it may be changed and every session ended.
//! INVARIANT: a session is opened in an act that finds standing what was proved before it.

use super::Refusal;
use crate::database::{Act, DatabaseError, NameKind};
use crate::id::Id;

/// Who has proved to be somebody, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Who it is.
    pub(super) uid: Id,
    /// By what.
    pub(super) by: ProvedBy,
}

/// By what somebody is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProvedBy {
    /// A password with this hash.
    Password(String),
    /// A refresh key with this hash.
    RefreshKey(String),
    /// An e-mail address or a phone number that is theirs.
    Contact(NameKind, String),
    /// Who they are at an OpenID provider.
    Identity { issuer: String, subject: String },
}

impl Proof {
    /// Who it is.
    pub fn uid(&self) -> Id {
        self.uid
    }

    /// Goes on where it still stands.
    ///
    /// # Errors
    /// What a wrong proof of its kind is refused with, or unavailable.
    pub(super) async fn check(&self, act: &mut Act) -> Result<(), Refusal> {
        if self.stands(act).await? {
            return Ok(());
        }
        Err(match self.by {
            ProvedBy::Password(_) | ProvedBy::RefreshKey(_) => Refusal::IncorrectCredentials,
            ProvedBy::Contact(..) => Refusal::IncorrectCode,
            ProvedBy::Identity { .. } => Refusal::NoSignIn,
        })
    }

    async fn stands(&self, act: &mut Act) -> Result<bool, DatabaseError> {
        Ok(match &self.by {
            ProvedBy::Password(hash) => act.has_password(self.uid, hash).await?,
            ProvedBy::RefreshKey(hash) => act.has_refresh_key(self.uid, hash).await?,
            ProvedBy::Contact(kind, name) => {
                act.contact_holder(*kind, name).await?.is_some_and(|holder| holder.uid == self.uid && holder.verified && !holder.ended)
            }
            ProvedBy::Identity { issuer, subject } => act.identified(issuer, subject).await? == Some(self.uid),
        })
    }
}
