//! Refresh keys: a secret that someone with a proved phone number chooses, and logs in with.
//!
//! It is a password in all but name: as long, compared with the same block-list, hashed alike, counted by the same throttle.

use super::login;
use super::names::Name;
use super::password::{self, Compared, Password};
use super::proof::{Proof, ProvedBy};
use super::sessions::{Caller, LoggedIn};
use super::throttle::Tried;
use super::{Accounts, Origin, Refusal, standing};
use crate::audit::Action;

impl Accounts {
    /// Sets the caller's refresh key in place of an earlier one.
    ///
    /// # Errors
    /// [`Refusal::WeakRefreshKey`], [`Refusal::PhoneRequired`] where no phone number is proved, or unavailable.
    pub async fn set_refresh_key(&self, caller: &Caller, key: Password, origin: Origin) -> Result<(), Refusal> {
        let uid = caller.uid();
        let contacts = self.database.contacts_of(uid).await?.unwrap_or_default();
        let Some(phone) = contacts.phone.filter(|_| contacts.phone_verified) else { return Err(Refusal::PhoneRequired) };
        let names = [Some(phone.trim_start_matches('+').to_owned()), contacts.user, contacts.email];
        let key = key.strong(self.rules.password_min_length).map_err(|_| Refusal::WeakRefreshKey)?;
        if names.into_iter().flatten().any(|name| key.is_little_more_than(&name)) {
            return Err(Refusal::WeakRefreshKey);
        }
        let hash = self.hashing.run(origin.network(), move || password::hash(&key)).await??;
        let mut act = self.database.act().await?;
        if !act.set_refresh_key(uid, &hash).await? {
            return Err(Refusal::PhoneRequired);
        }
        let _ = act.commit(&origin.by(uid).did(Action::RefreshKey, uid)).await?;
        Ok(())
    }

    /// Logs in whoever knows the refresh key of this phone number. Unknown numbers and people without one cost the same
    /// time and are answered alike.
    ///
    /// # Errors
    /// [`Refusal::IncorrectCredentials`], the second factor's, the throttle's, or unavailable.
    pub async fn log_in_by_refresh_key(
        &self,
        phone: &Name,
        key: Password,
        totp: Option<&str>,
        origin: Origin,
    ) -> Result<LoggedIn, Refusal> {
        let network = origin.network();
        self.throttle.ask_network(network)?;
        let row = self.database.refresh_key_row(&phone.text).await?;
        // counted like a password's, whether or not the number is proved
        let stands_on = self.database.login_row(phone.kind, &phone.text).await?;
        let tried = stands_on.map_or_else(|| login::unknown(phone), |row| Tried::Account(row.uid));
        let hash = row.as_ref().and_then(|row| row.hash.clone());
        let (compared, again) = self.compare_in_turn(key, hash, tried, network).await?;
        if compared == Compared::Wrong || row.is_none() {
            self.failed_login(row.as_ref().map(|row| row.uid), origin);
        }
        let known = row.filter(|_| compared != Compared::Wrong).and_then(|row| Some((row.uid, row.hash?)));
        let (uid, mut hash) = known.ok_or(Refusal::IncorrectCredentials)?;
        if standing::of_principal(&self.database, uid).await?.is_none() {
            return Err(Refusal::IncorrectCredentials);
        }
        if let Some(again) = again {
            let mut act = self.database.act().await?;
            if act.replace_refresh_key(uid, &hash, &again).await? {
                let _ = act.commit(&origin.by(uid).did(Action::PasswordRehash, uid)).await?;
                hash = again;
            }
        }
        self.open_session(&Proof { uid, by: ProvedBy::RefreshKey(hash) }, totp, origin).await
    }
}
