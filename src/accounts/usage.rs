//! What keys were used for: told to whoever may see the key, also when it has ended.

use super::sessions::Caller;
use super::{Accounts, Refusal};
use crate::clock::UnixMs;
use crate::database::UsageRow;
use crate::id::Id;

impl Accounts {
    /// The name of a key that the caller may see, live or not, and its owner.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where it is neither the caller's nor of someone below, or unavailable.
    pub async fn key_seen(&self, caller: &Caller, key: Id) -> Result<(Id, String), Refusal> {
        let (owner, name) = self.database.key_named(key).await?.ok_or(Refusal::NotFound)?;
        Ok((self.seen_by(caller, Some(owner)).await?, name))
    }

    /// What a key was used for in the hours from `from` until before `to`, in the order of (hour, rule), after `after`.
    ///
    /// # Errors
    /// As [`Accounts::key_seen`].
    pub async fn key_usage(
        &self,
        caller: &Caller,
        key: Id,
        hours: (UnixMs, UnixMs),
        after: Option<(UnixMs, &str)>,
        limit: u32,
    ) -> Result<Vec<UsageRow>, Refusal> {
        self.key_seen(caller, key).await?;
        Ok(self.database.usage_of(key, hours, after, limit).await?)
    }
}
