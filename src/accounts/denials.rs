//! Denials: what super admins refuse of other issuers, though those would let it in.

use super::sessions::Caller;
use super::{Accounts, Origin, Refusal};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Committed, DenialRow, Page};
use crate::id::Id;
use crate::token::denials::{self, Denied};

/// Longest name of what is denied: tokens that say longer ones are refused in any case.
const VALUE_BYTES: usize = 255;
/// Most denials that stand at once: whoever needs more has an issuer that should end its tokens itself.
const DENIALS: u64 = 100_000;

impl Accounts {
    /// Denies a token, or a subject, of the issuer that calls itself `issuer`. What is denied already is from here on to the new time.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::Field`], or unavailable.
    pub async fn deny(
        &self,
        caller: &Caller,
        issuer: &str,
        (denied, value): (Denied, String),
        until: Option<UnixMs>,
        origin: Origin,
    ) -> Result<(DenialRow, Committed), Refusal> {
        let by = origin.by(caller.uid());
        let id = denials::id(issuer, denied, &value);
        let made = async {
            let (mut act, caller) = self.acting(caller).await?;
            if !caller.is_super_admin() {
                return Err(Refusal::Forbidden);
            }
            if !(1..=VALUE_BYTES).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(Refusal::field(denied.as_str(), format!("1 to {VALUE_BYTES} visible ASCII characters, as the token says it")));
            }
            if until.is_some_and(|until| until <= act.now()) {
                return Err(Refusal::field("until", "not in the future"));
            }
            let count = act.count_denials().await?;
            let before = act.denial(id).await?;
            if before.is_none() && count >= DENIALS {
                return Err(Refusal::field(denied.as_str(), format!("{DENIALS} denials stand already: lift some, or give them an end")));
            }
            let created_at = before.map_or(act.now(), |before| before.created_at);
            let denial = DenialRow { id, issuer: issuer.to_owned(), denied, value, until, created_at };
            act.deny(&denial).await?;
            Ok((denial, act.commit(&by.did(Action::Deny, id)).await?))
        };
        let made = made.await;
        self.traced(&by, Action::Deny, id, made)
    }

    /// The denials of one issuer that stand, oldest first.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], or unavailable.
    pub async fn list_denials(&self, caller: &Caller, issuer: &str, page: Page) -> Result<Vec<DenialRow>, Refusal> {
        self.super_admins_only(caller)?;
        Ok(self.database.denials_of(issuer, page).await?)
    }

    /// Lifts a denial.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`], or unavailable.
    pub async fn lift_denial(&self, caller: &Caller, issuer: &str, id: Id, origin: Origin) -> Result<Committed, Refusal> {
        let by = origin.by(caller.uid());
        let lifted = async {
            let (mut act, caller) = self.acting(caller).await?;
            if !caller.is_super_admin() {
                return Err(Refusal::Forbidden);
            }
            act.denial(id).await?.filter(|denial| denial.issuer == issuer).ok_or(Refusal::NotFound)?;
            act.lift_denial(id).await?;
            Ok(act.commit(&by.did(Action::DenialEnd, id)).await?)
        };
        let lifted = lifted.await;
        self.traced(&by, Action::DenialEnd, id, lifted)
    }
}
