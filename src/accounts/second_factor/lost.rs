//! The way back for whoever lost phone and recovery codes: somebody above, or whoever holds the machine, takes the second factor away.
//!
//! INVARIANT: the person's logins end in the same act: whoever found the phone may be in. What they log in by stays, so nobody gets in
//! by a reset alone; the person is told by mail.

use super::super::sessions::Caller;
use super::super::{Accounts, Origin, Refusal};
use crate::audit::{Action, By};
use crate::database::{Act, Committed, Database, DatabaseError};
use crate::id::Id;
use crate::senders::Letter;

impl Accounts {
    /// Takes the second factor of somebody below away.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for one's own, [`Refusal::NotFound`] where there is none or the person is not below, or unavailable.
    pub async fn reset_second_factor(&self, caller: &Caller, uid: Id, origin: Origin) -> Result<Committed, Refusal> {
        let by = origin.by(caller.uid());
        let done = async {
            let (mut act, caller) = self.acting(caller).await?;
            if uid == caller.uid {
                return Err(Refusal::Forbidden);
            }
            if !caller.is_above(&mut act, uid).await? {
                return Err(Refusal::NotFound);
            }
            reset(act, uid, &by).await
        };
        let done = done.await;
        let committed = self.traced(&by, Action::SecondFactorReset, uid, done)?;
        match letter(&self.database, uid).await {
            Ok(Some(letter)) => self.senders.write(letter),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "nobody is told by mail that their second factor was reset"),
        }
        Ok(committed)
    }
}

/// Takes a person's second factor away, and ends their logins.
///
/// # Errors
/// [`Refusal::NotFound`] where there is none, or unavailable.
pub async fn reset(mut act: Act, uid: Id, by: &By) -> Result<Committed, Refusal> {
    super::needs_one(&mut act, uid).await?;
    act.end_second_factor(uid).await?;
    act.end_sessions_of(uid).await?;
    Ok(act.commit(&by.did(Action::SecondFactorReset, uid)).await?)
}

/// What the person is told; `None` = no e-mail address of theirs is proved.
///
/// # Errors
/// Where the database cannot be read.
pub async fn letter(database: &Database, uid: Id) -> Result<Option<Letter>, DatabaseError> {
    let contacts = database.contacts_of(uid).await?.unwrap_or_default();
    let Some(to) = contacts.email.filter(|_| contacts.email_verified) else { return Ok(None) };
    let name = database.shown_name(uid).await?.unwrap_or_default();
    let id = Id::random().map_err(|_| DatabaseError::Unavailable("the system gave no randomness".to_owned()))?;
    let text = format!(
        "Somebody who looks after your account \"{name}\" has reset its second factor, and all of its logins have ended.\r\n\r\n\
         From now on you log in without a code of your authenticator app. Please set up a second factor again.\r\n\
         If you did not ask for this, tell whoever runs this place, and change your password.\r\n"
    );
    Ok(Some(Letter { to, subject: "Your second factor was reset".to_owned(), text, id }))
}
