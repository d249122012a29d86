//! Who must have a second factor (`accounts.require_second_factor`): nothing but setting one up is open to them before.
//!
//! It is asked at each call, so whoever comes to manage others, or whose second factor is gone, is held up from then on.

use super::super::sessions::Caller;
use super::super::standing::{self, Standing};
use super::super::{Accounts, Refusal, RequireSecondFactor};
use crate::id::Id;

impl Accounts {
    /// Goes on where the caller need not have a second factor, or has one.
    ///
    /// # Errors
    /// [`Refusal::SecondFactorMissing`], or unavailable.
    pub async fn hold_up(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.lacks_second_factor(&caller.standing).await? { Err(Refusal::SecondFactorMissing) } else { Ok(()) }
    }

    /// Whether `uid` must set a second factor up before anything else; so is whoever is blocked or gone.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn is_held_up(&self, uid: Id) -> Result<bool, Refusal> {
        if self.rules.require_second_factor == RequireSecondFactor::Never {
            return Ok(false);
        }
        match standing::of_principal(&self.database, uid).await? {
            Some(standing) => self.lacks_second_factor(&standing).await,
            None => Ok(true),
        }
    }

    async fn lacks_second_factor(&self, standing: &Standing) -> Result<bool, Refusal> {
        let must = match self.rules.require_second_factor {
            RequireSecondFactor::Never => false,
            RequireSecondFactor::Managers => standing.is_admin() || self.database.has_below(standing.uid).await?,
            RequireSecondFactor::Always => true,
        };
        Ok(must && self.database.second_factor_of(standing.uid).await?.0.is_none())
    }
}
