//! Access tokens: exchanged for an API key, listed, ended.

use super::keys::{Keys, NewKey, Reach};
use super::sessions::Caller;
use super::standing::{self, Standing};
use super::{Accounts, Origin, Refusal};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Committed, KeyRow, Page, TokenRow};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::access;
use crate::token::record::TokenFormat;
use crate::token::secret::{PlainSecret, SecretKind};
use crate::token::store::{MintOrder, MintRefusal, Minted};
use crate::token::terms::Terms;

/// What an API key was exchanged for.
#[derive(Clone)]
pub struct Exchanged {
    /// The access token.
    pub text: String,
    /// Seconds until it ends if not used again.
    pub expires_in: u64,
    /// What it may do at most.
    pub scopes: ScopeSet,
}

/// A live token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveToken {
    /// What is recorded of it.
    pub row: TokenRow,
    /// When it ends if not used again.
    pub ends: UnixMs,
}

impl Accounts {
    /// The rules of keys, over these accounts.
    pub fn keys(&self, session: Option<Id>) -> Keys<'_> {
        Keys { database: &self.database, mint: &self.mint, require_phone: self.rules.require_phone, session }
    }

    /// Keys within reach of the caller, oldest first.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where `of` is neither the caller nor below, or unavailable.
    pub async fn list_keys(&self, caller: &Caller, of: Option<Id>, page: Page) -> Result<Vec<KeyRow>, Refusal> {
        let of = self.seen_by(caller, of).await?;
        Ok(self.database.keys_of(Some(of), page).await?)
    }

    /// Makes a key of the caller, or of someone below.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where `of` is neither the caller nor below, and as [`Keys::create`].
    pub async fn create_key(
        &self,
        caller: &Caller,
        of: Option<Id>,
        new: NewKey,
        origin: Origin,
    ) -> Result<(KeyRow, PlainSecret, Committed), Refusal> {
        let (by, of) = (origin.by(caller.uid()), self.seen_by(caller, of).await?);
        let owner: Standing = match of == caller.uid() {
            true => caller.standing.clone(),
            false => {
                let standing = standing::of_principal(&self.database, of).await?;
                standing.ok_or_else(|| Refusal::field("principal", "it, or someone above it, is blocked"))?
            }
        };
        let made = self.keys(Some(caller.claims.sid)).create(&by, caller.reach(), &owner, new).await;
        self.traced(&by, Action::KeyCreate, of, made)
    }

    /// Changes what is agreed about a key.
    ///
    /// # Errors
    /// As [`Keys::set_terms`].
    pub async fn set_key_terms(
        &self,
        caller: &Caller,
        key: Id,
        change: impl FnOnce(&mut Terms),
        origin: Origin,
    ) -> Result<(KeyRow, Committed), Refusal> {
        let by = origin.by(caller.uid());
        let changed = self.keys(Some(caller.claims.sid)).set_terms(&by, caller.reach(), key, change).await;
        self.traced(&by, Action::KeyTerms, key, changed)
    }

    /// Exchanges an API key for an access token.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`], [`Refusal::ScopeNotHeld`], [`Refusal::TooManyTokens`], the throttle's, or unavailable.
    pub async fn exchange(&self, api_key: &str, scopes: Option<ScopeSet>, origin: Origin) -> Result<Exchanged, Refusal> {
        self.throttle.ask_network(origin.network())?;
        // made-up keys end here, before any store or database
        let Some(key) = self.mint.read(SecretKind::ApiKey, api_key) else { return Err(self.unknown_key(origin)) };
        let asked = self.database.clock().now();
        let keyring = self.keyring.load_full();
        let order = MintOrder {
            key: key.id(),
            scopes,
            secret: Some(key.hashed()),
            format: self.rules.format,
            signers: keyring.names(),
            issuer: match self.rules.format {
                TokenFormat::Opaque => String::new(),
                TokenFormat::Jwt => self.rules.issuer.clone(),
            },
        };
        let Minted { token, idle_end } = match self.store.mint(order).await {
            Ok(minted) => minted,
            Err(MintRefusal::NoSuchKey) => return Err(self.unknown_key(origin)),
            Err(other) => return Err(refusal(other)),
        };
        self.last_used.used(key.id(), asked);
        let subject = match token.format {
            // an opaque token's text does not name its principal
            TokenFormat::Opaque => key.id(),
            TokenFormat::Jwt => self.database.owner_of_key(key.id()).await?.ok_or(Refusal::UnknownKey)?,
        };
        let text = access::write(&keyring, &token, subject).ok_or_else(|| Refusal::Unavailable("its secret key is gone".to_owned()))?;
        let expires_in = idle_end.min(token.cap).since(asked).as_secs().min(self.rules.ttl.as_secs());
        Ok(Exchanged { text, expires_in, scopes: token.scopes })
    }

    /// A key that is none counts against the network it came from.
    pub(super) fn unknown_key(&self, origin: Origin) -> Refusal {
        self.throttle.network_failed(origin.network());
        Refusal::UnknownKey
    }

    /// Live tokens of `of`'s keys, oldest first. The database knows which were minted and ended, the store which have run out.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where `of` is neither the caller nor below, or unavailable.
    pub async fn tokens(&self, caller: &Caller, of: Option<Id>, page: Page) -> Result<Vec<LiveToken>, Refusal> {
        let of = self.seen_by(caller, of).await?;
        let (mut live, mut next) = (Vec::new(), page);
        loop {
            let rows = self.database.tokens_of(of, next).await?;
            let is_last = rows.len() < next.limit as usize;
            next.after = rows.last().map(|row| (row.issued_at, row.id));
            let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
            for (row, end) in rows.into_iter().zip(self.store.idle_ends(&ids).await?) {
                live.extend(end.map(|end| LiveToken { ends: end.min(row.cap), row }));
            }
            if is_last || live.len() >= page.limit as usize {
                live.truncate(page.limit as usize);
                return Ok(live);
            }
        }
    }

    /// Ends a token.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where it is not the caller's to see, or unavailable.
    pub async fn end_token(&self, caller: &Caller, token: Id, origin: Origin) -> Result<Committed, Refusal> {
        let mut act = self.database.act().await?;
        let owner = act.token_owner(token).await?.ok_or(Refusal::NotFound)?;
        if owner != caller.uid() && !caller.standing.is_above(&mut act, owner).await? {
            return Err(Refusal::NotFound);
        }
        act.end_token(token).await?;
        Ok(act.commit(&origin.by(caller.uid()).did(Action::TokenEnd, token)).await?)
    }
}

impl Caller {
    /// Whether the caller may agree something about what `owner` has, where it reaches that at all.
    pub fn may_agree(&self, owner: Id) -> bool {
        self.reach().may_agree(owner).is_ok()
    }

    /// How far the caller reaches: a super admin everywhere.
    pub fn reach(&self) -> Reach {
        if self.standing.is_super_admin() { Reach::Everyone } else { Reach::From(self.uid()) }
    }
}

fn refusal(refusal: MintRefusal) -> Refusal {
    match refusal {
        MintRefusal::NoSuchKey => Refusal::UnknownKey,
        MintRefusal::ScopeNotHeld(scopes) => Refusal::ScopeNotHeld(scopes.iter().cloned().collect()),
        MintRefusal::TooManyTokens => Refusal::TooManyTokens,
        MintRefusal::Unavailable => Refusal::Unavailable("the token store could not mint".to_owned()),
    }
}
