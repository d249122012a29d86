//! Proved contacts: whose account it is when somebody proves an e-mail address or a phone number.
//!
//! Anyone can sign up under a stranger's address. When its owner proves it, the account may become theirs, but nothing
//! that let the one in who made it: otherwise whoever signs up first with another's address reads along for ever
//! (account pre-hijacking, Sudhodanan and Paverd 2022).
//! INVARIANT: an account changes hands only in the act that ends its password, refresh key, keys, sessions, identities,
//! other contact and open invitations, and blocks whom it made. The founder's does not while it has another name.

use super::Refusal;
use crate::audit::Action;
use crate::database::{Act, ContactHolder, NameKind};
use crate::id::Id;

/// Whose account a proved contact leads to. The act is to be committed where [`Proved::change`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    /// It was proved before.
    Known(Id),
    /// It is proved now.
    Verified(Id),
    /// It is proved now, and what stood on the claim of another has ended.
    TookOver(Id),
    /// Nobody's, and the claim of an ended account on it is gone.
    Freed,
    /// Nobody's.
    Nobody,
    /// Its owner of old has another one since: it is nobody's again.
    Former,
}

impl Proved {
    /// Whose account it is.
    pub(super) fn holder(self) -> Option<Id> {
        match self {
            Self::Known(uid) | Self::Verified(uid) | Self::TookOver(uid) => Some(uid),
            Self::Freed | Self::Nobody | Self::Former => None,
        }
    }

    /// What was changed, for the audit; `None` where nothing was.
    pub(super) fn change(self) -> Option<Action> {
        match self {
            Self::Verified(_) | Self::Freed => Some(Action::ContactVerify),
            Self::TookOver(_) => Some(Action::TakeOver),
            Self::Known(_) | Self::Nobody | Self::Former => None,
        }
    }
}

/// Somebody has proved this contact: `by` is who is logged in, `None` where this is how they log in.
///
/// # Errors
/// Where the database cannot be written.
pub(super) async fn prove(act: &mut Act, kind: NameKind, text: &str, by: Option<Id>) -> Result<Proved, Refusal> {
    let holder = act.contact_holder(kind, text).await?;
    if let Some(ContactHolder { uid, verified: true, .. }) = holder {
        return Ok(Proved::Known(uid));
    }
    if act.former_holder(kind, text).await?.is_some_and(|former| Some(former) != by) {
        return Ok(Proved::Former);
    }
    let proved = match (holder, by) {
        (None, None) => return Ok(Proved::Nobody),
        (None, Some(by)) => Proved::Verified(by),
        (Some(holder), Some(by)) if holder.uid == by => Proved::Verified(by),
        // what has ended lets nobody in: only its claim is in the way
        (Some(ContactHolder { uid, ended: true, .. }), by) => {
            act.clear_contact(uid, kind).await?;
            by.map_or(Proved::Freed, Proved::Verified)
        }
        // only the claim: a mistyped number must not give the installation away
        (Some(ContactHolder { uid, is_founder: true, .. }), by) => {
            act.clear_contact(uid, kind).await?;
            by.map_or(Proved::Freed, Proved::Verified)
        }
        (Some(ContactHolder { uid, .. }), None) => {
            act.end_ways_in(uid).await?;
            act.hand_over(uid, kind).await?;
            Proved::TookOver(uid)
        }
        (Some(ContactHolder { uid, .. }), Some(by)) => {
            act.end_ways_in(uid).await?;
            act.clear_contact(uid, kind).await?;
            Proved::TookOver(by)
        }
    };
    if let Some(uid) = proved.holder() {
        act.set_contact(uid, kind, text).await?;
    }
    Ok(proved)
}

#[cfg(test)]
mod tests;
