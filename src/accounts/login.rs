//! Login: a name and its password become a session, or prove who asks for a new password.
//!
//! INVARIANT: a known and an unknown name take the same steps and the same time (an unknown one is
//! compared with a hash of nothing), and count for the throttle alike.

use std::sync::Arc;

use super::names::Name;
use super::password::{self, Compared, Password};
use super::proof::{Proof, ProvedBy};
use super::sessions::LoggedIn;
use super::standing;
use super::throttle::{ClientNetwork, TooMany, Tried};
use super::{Accounts, Origin, Refusal, trail};
use crate::audit::{Action, By};
use crate::database::Committed;
use crate::id::Id;
use crate::token::secret::sha256;

/// A hash that no password has, under today's parameters.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Accounts {
    /// Logs someone in.
    ///
    /// # Errors
    /// [`Refusal::IncorrectCredentials`], [`Refusal::SecondFactorRequired`], [`Refusal::IncorrectSecondFactor`], the throttle's, or
    /// unavailable.
    pub async fn log_in(&self, name: &Name, password: Password, totp: Option<&str>, origin: Origin) -> Result<LoggedIn, Refusal> {
        let proof = self.prove_password(name, password, None, origin).await?;
        self.open_session(&proof, totp, origin).await
    }

    /// Changes a password, by the old one and, where there is one, the second factor, and ends every session of that person if `kill_sessions`.
    ///
    /// # Errors
    /// As [`Accounts::log_in`]; [`Refusal::WeakPassword`] for the new one.
    pub async fn change_password(
        &self,
        name: &Name,
        old: Password,
        new: Password,
        totp: Option<&str>,
        kill_sessions: bool,
        origin: Origin,
    ) -> Result<Committed, Refusal> {
        let new = new.strong(self.rules.password_min_length)?;
        let (uid, hash) = self.compare_password(name, old, None, origin).await?;
        let new = self.hashing.run(origin.network(), move || password::hash(&new)).await??;
        let mut act = self.database.act().await?;
        self.second_factor(&mut act, uid, totp, origin).await?;
        if !act.replace_password(uid, &hash, &new).await? {
            return Err(Refusal::IncorrectCredentials);
        }
        if kill_sessions {
            act.end_sessions_of(uid).await?;
        }
        Ok(act.commit(&origin.by(uid).did(Action::PasswordChange, uid)).await?)
    }

    /// A login failed: a line in the trail.
    pub(super) fn failed_login(&self, account: Option<Id>, origin: Origin) {
        let target = account.map_or_else(|| trail::UNKNOWN.to_owned(), |uid| uid.to_string());
        self.trail.refused(&self.database, By::unknown(origin.address).tried(Action::Login, target));
    }

    /// Who knows this password, in a browser that shows `known` where somebody logged in from it before.
    ///
    /// # Errors
    /// As [`Accounts::log_in`].
    pub async fn prove_password(&self, name: &Name, password: Password, known: Option<&[u8]>, origin: Origin) -> Result<Proof, Refusal> {
        let (uid, hash) = self.compare_password(name, password, known, origin).await?;
        Ok(Proof { uid, by: ProvedBy::Password(hash) })
    }

    /// Whose password this is, and the hash it was compared with.
    ///
    /// Syntax was before; here throttle, queue and hash, in this order, then whether anyone above is blocked.
    async fn compare_password(
        &self,
        name: &Name,
        password: Password,
        known: Option<&[u8]>,
        origin: Origin,
    ) -> Result<(Id, String), Refusal> {
        let network = origin.network();
        self.throttle.ask_network(network)?;
        let row = self.database.login_row(name.kind, &name.text).await?;
        let tried = row.as_ref().map_or_else(
            || unknown(name),
            |row| {
                let browser = known.and_then(|known| self.known_browser(known, row.uid, row.password.as_deref()?));
                browser.map_or(Tried::Account(row.uid), Tried::KnownBrowser)
            },
        );
        let hash = row.as_ref().and_then(|row| row.password.clone());
        let (compared, again) = self.compare_in_turn(password, hash, tried, network).await?;
        if compared == Compared::Wrong || row.is_none() {
            self.failed_login(row.as_ref().map(|row| row.uid), origin);
        }
        let (uid, mut hash) = match (row, compared) {
            (Some(row), Compared::Right | Compared::RightButStale) => (row.uid, row.password.unwrap_or_default()),
            (Some(_), Compared::Wrong) => return Err(Refusal::IncorrectCredentials),
            (None, _) if self.rules.reveal_unknown_users => return Err(Refusal::UnknownUser),
            (None, _) => return Err(Refusal::IncorrectCredentials),
        };
        if standing::of_principal(&self.database, uid).await?.is_none() {
            self.failed_login(Some(uid), origin);
            return Err(Refusal::IncorrectCredentials);
        }
        if let Some(again) = again {
            let mut act = self.database.act().await?;
            if act.replace_password(uid, &hash, &again).await? {
                let _ = act.commit(&origin.by(uid).did(Action::PasswordRehash, uid)).await?;
                hash = again;
            }
        }
        Ok((uid, hash))
    }

    /// Compares what somebody `typed` with `hash`, where there is one: throttle, queue and hash, in this order. Tells besides what it hashes
    /// to today, where it is right but stale.
    pub(super) async fn compare_in_turn(
        &self,
        typed: Password,
        hash: Option<String>,
        tried: Tried,
        network: ClientNetwork,
    ) -> Result<(Compared, Option<String>), Refusal> {
        self.throttle.ask(tried, network)?;
        let throttle = Arc::clone(&self.throttle);
        let compare = move || {
            // asked again in turn: guesses that were queued together are counted one by one
            throttle.ask(tried, network)?;
            let compared = password::compare(&typed, hash.as_deref().unwrap_or(NOBODYS));
            match compared {
                Compared::Wrong => throttle.failed(tried, network),
                Compared::Right | Compared::RightButStale => throttle.succeeded(tried),
            }
            let again = (compared == Compared::RightButStale).then(|| password::hash(&typed).ok()).flatten();
            Ok::<_, TooMany>((compared, again))
        };
        Ok(self.hashing.run(network, compare).await??)
    }
}

/// What a try at a name is counted under that nobody has.
pub(super) fn unknown(name: &Name) -> Tried {
    Tried::Unknown(sha256(format!("{}\0{}", name.kind.as_str(), name.text).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nobody_costs_as_much_as_anyones() {
        assert!(argon2::password_hash::phc::PasswordHash::new(NOBODYS).is_ok());
        assert!(NOBODYS.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(password::compare(&Password::new("password", "").unwrap(), NOBODYS), Compared::Wrong);
    }
}
