//! Invitations (referrals): whoever signs up with one joins the inviter's tenant, below the inviter, with what it grants.
//!
//! Without `scopes` and `policies` it grants whatever the inviter may do, now and later; with either, exactly that.
//! INVARIANT: nobody grants what they do not hold, nor a role at or above their own. What the inviter loses later, whoever came
//! by the invitation loses at the next check.

use std::time::Duration;

use super::keys::Reach;
use super::sessions::Caller;
use super::{Accounts, Origin, Refusal, policies};
use crate::audit::Action;
use crate::database::{Committed, InvitationRow, Page};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::{PlainSecret, SecretKind};

/// How long an invitation is good for where nothing is said.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest life.
const LONGEST_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// As what.
    pub role: Role,
    /// What it grants directly.
    pub scopes: Option<ScopeSet>,
    /// The policies it attaches.
    pub policies: Option<Vec<Id>>,
    /// How long it is good for.
    pub expires_in: Option<Duration>,
}

impl Accounts {
    /// Invites someone; the code is shown once.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for a role that is not below the caller's, [`Refusal::ScopeNotHeld`], [`Refusal::NotFound`] for a
    /// policy, [`Refusal::Field`], or unavailable.
    pub async fn invite(
        &self,
        caller: &Caller,
        new: NewInvitation,
        origin: Origin,
    ) -> Result<(InvitationRow, PlainSecret, Committed), Refusal> {
        let by = origin.by(caller.uid());
        let made = async {
            let (mut act, caller) = self.acting(caller).await?;
            if !caller.outranks(new.role) {
                return Err(Refusal::Forbidden);
            }
            let life = new.expires_in.unwrap_or(LIFE);
            if life.is_zero() || life > LONGEST_LIFE {
                return Err(Refusal::field("expires_in", format!("1 to {} seconds (90 days)", LONGEST_LIFE.as_secs())));
            }
            let scopes = match (&new.scopes, &new.policies) {
                (None, None) => ScopeSet::everything(),
                (scopes, _) => {
                    let scopes = scopes.clone().unwrap_or_default();
                    let missing = caller.grant.missing(&scopes);
                    if !missing.is_empty() {
                        return Err(Refusal::ScopeNotHeld(missing));
                    }
                    scopes
                }
            };
            let attached = new.policies.unwrap_or_default();
            policies::attachable(&mut act, caller.subject.tenant, &attached).await?;
            let id = Id::random()?;
            let code = self.mint.make(SecretKind::Invitation, id)?;
            let now = act.now();
            let invitation = InvitationRow {
                id,
                tenant: caller.subject.tenant,
                inviter: caller.uid,
                role: new.role,
                scopes,
                policies: attached,
                created_at: now,
                expires_at: now.after(life),
            };
            act.insert_invitation(&invitation, code.hashed()).await?;
            let committed = act.commit(&by.did(Action::InvitationCreate, id)).await?;
            Ok((invitation, code, committed))
        };
        let made = made.await;
        self.traced(&by, Action::InvitationCreate, caller.uid(), made)
    }

    /// Open invitations of `of`, oldest first.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where `of` is neither the caller nor below, or unavailable.
    pub async fn list_invitations(&self, caller: &Caller, of: Option<Id>, page: Page) -> Result<Vec<InvitationRow>, Refusal> {
        let of = self.seen_by(caller, of).await?;
        Ok(self.database.invitations_of(of, page).await?)
    }

    /// Withdraws an invitation.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where it is used, over, or not the caller's to see, or unavailable.
    pub async fn end_invitation(&self, caller: &Caller, id: Id, origin: Origin) -> Result<Committed, Refusal> {
        let mut act = self.database.act().await?;
        let invitation = act.open_invitation(id).await?.ok_or(Refusal::NotFound)?;
        let seen = match caller.reach() {
            Reach::Everyone => true,
            Reach::From(uid) => invitation.inviter == uid || act.is_below(invitation.inviter, uid).await?,
        };
        if !seen {
            return Err(Refusal::NotFound);
        }
        act.end_invitation(id).await?;
        Ok(act.commit(&origin.by(caller.uid()).did(Action::InvitationEnd, id)).await?)
    }
}
