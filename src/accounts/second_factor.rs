//! The second factor: a code of the person's authenticator app, or one of ten recovery codes, at every login.
//!
//! INVARIANT: no session opens for a person who has one but in the act that takes its code; what was taken is recorded in the same
//! act, so that of two who show one code, one gets in, on however many replicas. An app's secret is kept sealed, recovery codes as
//! hashes. Wrong codes are counted like wrong passwords, apart from them: who guesses here knows the password already.

pub mod lost;
mod required;

use data_encoding::BASE32_NOPAD;

use super::sessions::Caller;
use super::throttle::Tried;
use super::totp::{DIGITS, TotpSecret};
use super::{Accounts, Origin, Refusal};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Act, Committed};
use crate::id::{Id, random_bytes};
use crate::token::seal::{self, SealUse};
use crate::token::secret::sha256;

/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;
/// Bytes of one: 80 bits.
const RECOVERY_BYTES: usize = 10;
/// Characters of one, without what stands between.
const RECOVERY_CHARS: usize = 16;
/// What a refusal's field is called.
const FIELD: &str = "totp";

/// A second factor that is being set up: its app must show a code before it counts.
#[derive(Debug)]
pub struct Begun {
    /// What the app is told.
    pub secret: TotpSecret,
    /// The same with whose it is, to be read off a picture.
    pub uri: String,
}

/// What a person has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Having {
    /// Since when it counts; `None` = there is none.
    pub since: Option<UnixMs>,
    /// Recovery codes that are left.
    pub recovery_codes: u32,
}

impl Accounts {
    /// Goes on where `uid` has no second factor, or `given` is its code or a recovery code; it is used up in `act`.
    ///
    /// # Errors
    /// [`Refusal::SecondFactorRequired`], [`Refusal::IncorrectSecondFactor`], the throttle's, or unavailable.
    pub(super) async fn second_factor(&self, act: &mut Act, uid: Id, given: Option<&str>, origin: Origin) -> Result<(), Refusal> {
        let Some(row) = act.second_factor(uid).await?.filter(|row| row.confirmed) else { return Ok(()) };
        let given = given.map(plain).filter(|given| !given.is_empty()).ok_or(Refusal::SecondFactorRequired)?;
        let (tried, network) = (Tried::SecondFactor(uid), origin.network());
        self.throttle.ask(tried, network)?;
        let taken = if given.len() == DIGITS {
            let step = self.opened(uid, &row.sealed).and_then(|secret| secret.step_of(&given, act.now(), row.last_step));
            match step {
                Some(step) => act.use_totp_step(uid, step).await?,
                None => false,
            }
        } else {
            let taken = given.len() == RECOVERY_CHARS && act.use_recovery_code(uid, recovery_hash(uid, &given)).await?;
            if taken {
                act.note(origin.by(uid).did(Action::RecoveryCodeUse, uid));
            }
            taken
        };
        if !taken {
            self.throttle.failed(tried, network);
            self.failed_login(Some(uid), origin);
            return Err(Refusal::IncorrectSecondFactor);
        }
        self.throttle.succeeded(tried);
        Ok(())
    }

    /// What the caller has, or `of`, who stands below.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where `of` does not, or unavailable.
    pub async fn second_factor_of(&self, caller: &Caller, of: Option<Id>) -> Result<Having, Refusal> {
        let of = self.seen_by(caller, of).await?;
        let (since, recovery_codes) = self.database.second_factor_of(of).await?;
        Ok(Having { since, recovery_codes })
    }

    /// Begins to set one up, in place of one that was begun before.
    ///
    /// # Errors
    /// [`Refusal::Field`] where there is one already, or unavailable.
    pub async fn begin_second_factor(&self, caller: &Caller, origin: Origin) -> Result<Begun, Refusal> {
        let uid = caller.uid();
        let secret = TotpSecret::random()?;
        let sealed = seal::seal(&self.keyring.load(), SealUse::SecondFactor, uid.as_bytes(), secret.as_bytes());
        let sealed = sealed.ok_or_else(|| Refusal::Unavailable("no secret key seals".to_owned()))?;
        let (mut act, _) = self.acting(caller).await?;
        if act.second_factor(uid).await?.is_some_and(|row| row.confirmed) {
            return Err(Refusal::field(FIELD, "there is a second factor already: remove it first"));
        }
        act.begin_second_factor(uid, &sealed).await?;
        let _ = act.commit(&origin.by(uid).did(Action::SecondFactorBegin, uid)).await?;
        self.begun(caller, secret)
    }

    /// The one that is being set up. `None` = none is.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn begun_second_factor(&self, caller: &Caller) -> Result<Option<Begun>, Refusal> {
        let (mut act, _) = self.acting(caller).await?;
        let row = act.second_factor(caller.uid()).await?.filter(|row| !row.confirmed);
        row.and_then(|row| self.opened(caller.uid(), &row.sealed)).map(|secret| self.begun(caller, secret)).transpose()
    }

    fn begun(&self, caller: &Caller, secret: TotpSecret) -> Result<Begun, Refusal> {
        let site = self.rules.returns.own_site().map(|site| format!(" {}", site.host)).unwrap_or_default();
        let uri = secret.uri(&format!("Gatepost{site}"), &caller.standing.subject.name);
        Ok(Begun { secret, uri })
    }

    /// The app shows `code`: from here on it is asked for at every login. The recovery codes, shown once.
    ///
    /// # Errors
    /// [`Refusal::IncorrectSecondFactor`], [`Refusal::NotFound`] where none is being set up, the throttle's, or unavailable.
    pub async fn confirm_second_factor(&self, caller: &Caller, code: &str, origin: Origin) -> Result<Vec<String>, Refusal> {
        let (uid, network) = (caller.uid(), origin.network());
        let tried = Tried::SecondFactor(uid);
        self.throttle.ask(tried, network)?;
        let (mut act, _) = self.acting(caller).await?;
        let row = act.second_factor(uid).await?.filter(|row| !row.confirmed).ok_or(Refusal::NotFound)?;
        let secret = self.opened(uid, &row.sealed).ok_or(Refusal::NotFound)?;
        let Some(step) = secret.step_of(&plain(code), act.now(), 0) else {
            self.throttle.failed(tried, network);
            return Err(Refusal::IncorrectSecondFactor);
        };
        act.confirm_second_factor(uid, step).await?;
        let codes = new_recovery_codes(&mut act, uid).await?;
        let _ = act.commit(&origin.by(uid).did(Action::SecondFactorSet, uid)).await?;
        self.throttle.succeeded(tried);
        Ok(codes)
    }

    /// Recovery codes in place of those that there are, by one of its codes; shown once.
    ///
    /// # Errors
    /// As [`Accounts::end_second_factor`].
    pub async fn renew_recovery_codes(&self, caller: &Caller, code: &str, origin: Origin) -> Result<Vec<String>, Refusal> {
        let uid = caller.uid();
        let mut act = self.acting_by_code(caller, code, origin).await?;
        let codes = new_recovery_codes(&mut act, uid).await?;
        let _ = act.commit(&origin.by(uid).did(Action::RecoveryCodesRenew, uid)).await?;
        Ok(codes)
    }

    /// Removes it, by one of its codes.
    ///
    /// # Errors
    /// [`Refusal::SecondFactorRequired`], [`Refusal::IncorrectSecondFactor`], [`Refusal::NotFound`] where there is none, the throttle's, or unavailable.
    pub async fn end_second_factor(&self, caller: &Caller, code: &str, origin: Origin) -> Result<Committed, Refusal> {
        let uid = caller.uid();
        let mut act = self.acting_by_code(caller, code, origin).await?;
        act.end_second_factor(uid).await?;
        Ok(act.commit(&origin.by(uid).did(Action::SecondFactorEnd, uid)).await?)
    }

    /// An act of the caller, who has a second factor and showed a code of it.
    async fn acting_by_code(&self, caller: &Caller, code: &str, origin: Origin) -> Result<Act, Refusal> {
        let (mut act, _) = self.acting(caller).await?;
        needs_one(&mut act, caller.uid()).await?;
        self.second_factor(&mut act, caller.uid(), Some(code), origin).await?;
        Ok(act)
    }

    fn opened(&self, uid: Id, sealed: &[u8]) -> Option<TotpSecret> {
        seal::open(&self.keyring.load(), SealUse::SecondFactor, uid.as_bytes(), sealed).map(TotpSecret::from_bytes)
    }
}

/// Goes on where this person has a second factor.
async fn needs_one(act: &mut Act, uid: Id) -> Result<(), Refusal> {
    act.second_factor(uid).await?.filter(|row| row.confirmed).map(|_| ()).ok_or(Refusal::NotFound)
}

/// A code as it is compared: without what people put between, in capitals.
fn plain(code: &str) -> String {
    code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(64).map(|c| c.to_ascii_uppercase()).collect()
}

/// Makes a person's recovery codes anew.
async fn new_recovery_codes(act: &mut Act, uid: Id) -> Result<Vec<String>, Refusal> {
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<_, _>>()?;
    let hashes: Vec<[u8; 32]> = codes.iter().map(|code| recovery_hash(uid, &plain(code))).collect();
    act.replace_recovery_codes(uid, &hashes).await?;
    Ok(codes)
}

/// `abcd-efgh-ijkl-mnop`
fn recovery_code() -> Result<String, ring::error::Unspecified> {
    let text = BASE32_NOPAD.encode(&random_bytes::<RECOVERY_BYTES>()?).to_ascii_lowercase();
    let characters: Vec<char> = text.chars().collect();
    Ok(characters.chunks(4).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// 80 random bits need no slow hash.
fn recovery_hash(uid: Id, code: &str) -> [u8; 32] {
    sha256(format!("gatepost recovery code\0{uid}\0{code}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_are_compared_however_they_are_typed() {
        let code = recovery_code().unwrap();
        assert_eq!((code.len(), plain(&code).len()), (19, RECOVERY_CHARS));
        assert_ne!(code, recovery_code().unwrap());
        let (uid, typed) = (Id::from_bytes([1; 16]), format!(" {} ", code.replace('-', " ").to_uppercase()));
        assert_eq!(recovery_hash(uid, &plain(&typed)), recovery_hash(uid, &plain(&code)));
        assert_ne!(recovery_hash(Id::from_bytes([2; 16]), &plain(&code)), recovery_hash(uid, &plain(&code)), "another person's");
    }
}
