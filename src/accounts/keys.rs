//! API keys: made, listed, rotated, narrowed, ended. The same rules for the admin listener and the command line.
//!
//! INVARIANT: a key never holds what its owner does not hold when it is made or changed; what the
//! owner loses later, the key loses at the next check.
//! INVARIANT: nobody agrees with themselves: what is agreed about a key is said by whoever stands above its owner, or by a super admin.

use std::time::Duration;

use super::standing::{self, Standing};
use super::{Refusal, RequirePhone};
use crate::audit::{Action, By};
use crate::database::{Act, Committed, Database, KeyRow};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::{PlainSecret, SecretKind, SecretMint};
use crate::token::terms::{Terms, TermsError};

/// Longest name of a key, in characters.
const NAME_CHARS: usize = 100;
/// Longest grace of a rotation.
pub const LONGEST_GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longest life of a key that is given one; a key without an end has none.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
/// What a key is called whose owner gave no name.
const NAMELESS: &str = "key";

/// A key to be made.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: Option<String>,
    /// What it may do; `None` = all its owner holds.
    pub scopes: Option<ScopeSet>,
    /// How long it lives; `None` = until it is ended.
    pub expires_in: Option<Duration>,
    /// What is agreed besides.
    pub terms: Terms,
}

/// Whose keys may be touched.
#[derive(Debug, Clone, Copy)]
pub enum Reach {
    /// Everyone's: the command line on the machine itself, and super admins.
    Everyone,
    /// This principal's and those of everyone below.
    From(Id),
}

impl Reach {
    /// Whether something may be agreed about what this principal owns.
    pub(super) fn may_agree(self, owner: Id) -> Result<(), Refusal> {
        match self {
            Self::From(uid) if uid == owner => Err(Refusal::Forbidden),
            _ => Ok(()),
        }
    }
}

impl From<TermsError> for Refusal {
    fn from(TermsError { field, problem }: TermsError) -> Self {
        Self::field(field, problem)
    }
}

/// Makes keys and changes them.
pub struct Keys<'a> {
    /// Where they are kept.
    pub database: &'a Database,
    /// Makes their secrets.
    pub mint: &'a SecretMint,
    /// Whether a phone number must be proved before.
    pub require_phone: RequirePhone,
    /// The session of whoever asks, if it is asked for over the network.
    pub session: Option<Id>,
}

impl Keys<'_> {
    /// An act in which the asker's session is still live: what waited for its turn while it ended makes nothing.
    async fn act(&self) -> Result<Act, Refusal> {
        let mut act = self.database.act().await?;
        if let Some(session) = self.session {
            act.live_session(session).await?.ok_or(Refusal::InvalidToken)?;
        }
        Ok(act)
    }

    /// Whether keys may be made for `owner`.
    ///
    /// # Errors
    /// [`Refusal::PhoneRequired`], [`Refusal::NotFound`] for the built-in principal, or unavailable.
    pub async fn may_own(&self, owner: &Standing) -> Result<(), Refusal> {
        // the built-in principal has the one key that each start prints
        if owner.subject.role == Role::Quickstart {
            return Err(Refusal::NotFound);
        }
        if self.require_phone == RequirePhone::Always && !self.database.has_phone(owner.uid).await? {
            return Err(Refusal::PhoneRequired);
        }
        Ok(())
    }

    /// Makes a key for `owner`.
    ///
    /// # Errors
    /// [`Refusal::Field`], [`Refusal::ScopeNotHeld`], [`Refusal::PhoneRequired`], [`Refusal::Forbidden`] for terms about oneself, or unavailable.
    pub async fn create(&self, by: &By, reach: Reach, owner: &Standing, new: NewKey) -> Result<(KeyRow, PlainSecret, Committed), Refusal> {
        if !new.terms.only_narrow() {
            reach.may_agree(owner.uid)?;
        }
        self.may_own(owner).await?;
        let scopes = match &new.scopes {
            Some(scopes) => held(owner, scopes)?,
            None => ScopeSet::new(owner.grant.allow.iter().cloned()).map_err(|e| Refusal::field("scopes", e.to_string()))?,
        };
        let mut act = self.act().await?;
        let (key, secret) = insert(&mut act, self.mint, owner.uid, new, scopes).await?;
        let committed = act.commit(&by.did(Action::KeyCreate, key.id)).await?;
        Ok((key, secret, committed))
    }

    /// Gives a key a new secret; the old one stays valid for `grace`.
    ///
    /// # Errors
    /// [`Refusal::Field`], [`Refusal::NotFound`], or unavailable.
    pub async fn rotate(&self, by: &By, reach: Reach, key: Id, grace: Duration) -> Result<(KeyRow, PlainSecret, Committed), Refusal> {
        if grace > LONGEST_GRACE {
            return Err(Refusal::field("grace", format!("at most {} seconds (7 days)", LONGEST_GRACE.as_secs())));
        }
        let secret = self.mint.make(SecretKind::ApiKey, key)?;
        let mut act = self.act().await?;
        let row = reached(&mut act, reach, key).await?;
        let until = (!grace.is_zero()).then(|| act.now().after(grace));
        act.rotate_key(key, secret.hashed(), until).await?;
        let committed = act.commit(&by.did(Action::KeyRotate, key)).await?;
        Ok((row, secret, committed))
    }

    /// Changes what a key may do; its live tokens follow at the next check.
    ///
    /// # Errors
    /// [`Refusal::ScopeNotHeld`], [`Refusal::NotFound`], or unavailable.
    pub async fn set_scopes(&self, by: &By, reach: Reach, key: Id, scopes: &ScopeSet) -> Result<(KeyRow, Committed), Refusal> {
        let owner = self.database.owner_of_key(key).await?.ok_or(Refusal::NotFound)?;
        let owner = standing::of_principal(self.database, owner).await?.ok_or(Refusal::NotFound)?;
        let mut act = self.act().await?;
        let mut row = reached(&mut act, reach, key).await?;
        row.scopes = held(&owner, scopes)?;
        act.set_key_scopes(key, &row.scopes).await?;
        Ok((row, act.commit(&by.did(Action::KeyScopes, key)).await?))
    }

    /// Changes what is agreed about a key.
    ///
    /// # Errors
    /// [`Refusal::Field`], [`Refusal::Forbidden`] for one's own key, [`Refusal::NotFound`], or unavailable.
    pub async fn set_terms(&self, by: &By, reach: Reach, key: Id, change: impl FnOnce(&mut Terms)) -> Result<(KeyRow, Committed), Refusal> {
        let mut act = self.act().await?;
        let mut row = reached(&mut act, reach, key).await?;
        reach.may_agree(row.principal)?;
        change(&mut row.terms);
        row.terms = row.terms.checked()?;
        act.set_key_terms(key, &row.terms).await?;
        Ok((row, act.commit(&by.did(Action::KeyTerms, key)).await?))
    }

    /// Ends a key; its live tokens end with it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], or unavailable.
    pub async fn end(&self, by: &By, reach: Reach, key: Id) -> Result<Committed, Refusal> {
        let mut act = self.act().await?;
        reached(&mut act, reach, key).await?;
        act.end_key(key).await?;
        Ok(act.commit(&by.did(Action::KeyEnd, key)).await?)
    }
}

/// Makes a key within an act.
pub(super) async fn insert(
    act: &mut Act,
    mint: &SecretMint,
    owner: Id,
    new: NewKey,
    scopes: ScopeSet,
) -> Result<(KeyRow, PlainSecret), Refusal> {
    let id = Id::random()?;
    let secret = mint.make(SecretKind::ApiKey, id)?;
    let now = act.now();
    let key = KeyRow {
        id,
        principal: owner,
        name: name(new.name)?,
        scopes,
        created_at: now,
        expires_at: life(new.expires_in)?.map(|life| now.after(life)),
        last_used_at: None,
        terms: new.terms.checked()?,
        imported: false,
    };
    act.insert_key(&key, secret.hashed()).await?;
    Ok((key, secret))
}

/// The live key, if it is within reach. One out of reach is answered like one that is not there.
async fn reached(act: &mut Act, reach: Reach, key: Id) -> Result<KeyRow, Refusal> {
    let row = act.live_key(key).await?.ok_or(Refusal::NotFound)?;
    let seen = match reach {
        Reach::Everyone => true,
        Reach::From(uid) => row.principal == uid || act.is_below(row.principal, uid).await?,
    };
    if seen { Ok(row) } else { Err(Refusal::NotFound) }
}

/// `scopes`, where the owner holds them all.
pub(super) fn held(owner: &Standing, scopes: &ScopeSet) -> Result<ScopeSet, Refusal> {
    let missing = owner.grant.missing(scopes);
    if missing.is_empty() { Ok(scopes.clone()) } else { Err(Refusal::ScopeNotHeld(missing)) }
}

/// What a key is called.
pub(super) fn name(given: Option<String>) -> Result<String, Refusal> {
    let name = given.unwrap_or_else(|| NAMELESS.to_owned());
    if name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Refusal::field("name", format!("at most {NAME_CHARS} characters, none of them a control character")));
    }
    Ok(name)
}

fn life(given: Option<Duration>) -> Result<Option<Duration>, Refusal> {
    match given {
        Some(life) if life.is_zero() || life > LONGEST_LIFE => {
            Err(Refusal::field("expires_in", format!("1 to {} seconds", LONGEST_LIFE.as_secs())))
        }
        life => Ok(life),
    }
}
