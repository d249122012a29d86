//! OAuth 2.0: clients that prove themselves by an API key, and what a token that they ask about is worth.
//!
//! INVARIANT: a client learns of tokens of its own tenant only, and only of tokens that it holds in full; whatever
//! is forged, ended, or someone else's looks the same.

use super::sessions::{Caller, is_lost_answer, live_family};
use super::tokens::Exchanged;
use super::{Accounts, Origin, Refusal, standing};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Committed, PendingKind};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::access::AccessClaims;
use crate::token::holder;
use crate::token::record::{Content, Fill};
use crate::token::secret::{ApiKey, PlainSecret, SecretKind};
use crate::token::store::{Ask, Propagated};

/// Who asks about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The principal.
    uid: Id,
    /// Its tenant.
    tenant: Id,
}

/// A token that the gate would take now, or a refresh token that could be exchanged now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspected {
    /// What it is for.
    pub kind: IntrospectedKind,
    /// Its id: the token's, or the session's of a refresh token.
    pub id: Id,
    /// The principal.
    pub subject: Id,
    /// What the principal is called.
    pub name: String,
    /// When it was issued.
    pub issued: UnixMs,
    /// When it ends if not used again.
    pub ends: UnixMs,
}

/// What an introspected token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntrospectedKind {
    /// For a gate.
    Access {
        /// The key it was minted from.
        key: Id,
        /// What it may do now.
        scopes: ScopeSet,
    },
    /// For `/v1/token/refresh`.
    Refresh,
}

impl Client {
    /// Whoever is logged in.
    pub fn of(caller: &Caller) -> Self {
        Self { uid: caller.uid(), tenant: caller.standing.subject.tenant }
    }
}

impl Accounts {
    /// What stands as `iss` in every JWT.
    pub fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    /// Exchanges the credentials of a client for an access token.
    ///
    /// # Errors
    /// As [`Accounts::exchange`].
    pub async fn client_exchange(&self, id: &str, secret: &str, scopes: Option<ScopeSet>, origin: Origin) -> Result<Exchanged, Refusal> {
        self.throttle.ask_network(origin.network())?;
        if self.key_named(id, secret).is_none() {
            return Err(self.unknown_key(origin));
        }
        self.exchange(secret, scopes, origin).await
    }

    /// The client that proves itself by the secret of the key it names.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`], the throttle's, or unavailable.
    pub async fn client(&self, id: &str, secret: &str, origin: Origin) -> Result<Client, Refusal> {
        self.throttle.ask_network(origin.network())?;
        let Some(key) = self.key_named(id, secret) else { return Err(self.unknown_key(origin)) };
        let fill = Fill::of(self.database.records_of(PendingKind::Key, key.id).await?);
        let tenant = fill.chain.first().map(|(_, subject)| subject.tenant);
        let live = holder::live(Ask::Key(key.id), fill, Some(&key.hash), self.database.clock().now(), self.rules.ttl.as_secs());
        match (live, tenant) {
            (Some(live), Some(tenant)) => Ok(Client { uid: live.subject, tenant }),
            _ => Err(self.unknown_key(origin)),
        }
    }

    /// The secret, where it is one of the key that is named: nobody can make up one of an id that somebody has.
    fn key_named(&self, id: &str, secret: &str) -> Option<ApiKey> {
        self.mint.api_key(secret).filter(|key| id.parse() == Ok(key.id))
    }

    /// What a token is worth now. `None` = nothing, or nothing to this client.
    ///
    /// # Errors
    /// Where the database or the token store is away.
    pub async fn introspect(&self, client: Client, token: &str) -> Result<Option<Introspected>, Refusal> {
        if let Some(claims) = self.keyring.load().read_access(token) {
            return self.introspect_access(client, claims).await;
        }
        match self.mint.read(SecretKind::RefreshToken, token) {
            Some(token) => self.introspect_refresh(client, &token).await,
            None => Ok(None),
        }
    }

    async fn introspect_access(&self, client: Client, AccessClaims { id, key, .. }: AccessClaims) -> Result<Option<Introspected>, Refusal> {
        let ask = Ask::Token { id, key };
        let Some(fill) = self.store.look_up(ask).await? else { return Ok(None) };
        let key_ends = fill.key.as_ref().and_then(|(_, key)| key.ends);
        let tenant = fill.chain.first().map(|(_, subject)| subject.tenant);
        let live = holder::live(ask, fill, None, self.database.clock().now(), self.rules.ttl.as_secs());
        let Some(live) = live.filter(|_| tenant == Some(client.tenant)) else { return Ok(None) };
        let Some((record, idle_end)) = live.token else { return Ok(None) };
        let ends = [Some(idle_end), Some(record.cap), key_ends].into_iter().flatten().min().unwrap_or(idle_end);
        Ok(Some(Introspected {
            kind: IntrospectedKind::Access { key, scopes: live.holder.grant.effective(&[]) },
            id,
            subject: live.subject,
            name: live.holder.name,
            issued: record.issued,
            ends,
        }))
    }

    async fn introspect_refresh(&self, client: Client, token: &PlainSecret) -> Result<Option<Introspected>, Refusal> {
        let mut act = self.database.act().await?;
        let Some((session, row)) = live_family(&mut act, token).await? else { return Ok(None) };
        if let Some(used_at) = row.used_at
            && !is_lost_answer(&mut act, used_at, &self.mint.successor(token)).await?
        {
            return Ok(None);
        }
        drop(act);
        let standing = standing::of_principal(&self.database, session.principal).await?;
        Ok(standing.filter(|standing| standing.subject.tenant == client.tenant).map(|standing| Introspected {
            kind: IntrospectedKind::Refresh,
            id: session.id,
            subject: standing.uid,
            name: standing.subject.name,
            issued: session.created_at,
            ends: session.ends_at,
        }))
    }

    /// Ends an access token, or the session of a refresh token. What is not this client's to end stays as it is.
    ///
    /// # Errors
    /// Where the database is away, or the token store has not heard of the end.
    pub async fn revoke(&self, client: Client, token: &str, origin: Origin) -> Result<(), Refusal> {
        if let Some(AccessClaims { id, key, .. }) = self.keyring.load().read_access(token) {
            let act = self.revoke_access(client, id, origin).await?;
            return self.settled(act, Ask::Token { id, key }).await;
        }
        match self.mint.read(SecretKind::RefreshToken, token) {
            Some(token) => {
                let act = self.revoke_session(client, &token, origin).await?;
                self.settled(act, Ask::Session(token.id())).await
            }
            None => Ok(()),
        }
    }

    async fn revoke_access(&self, client: Client, token: Id, origin: Origin) -> Result<Revoked, Refusal> {
        let mut act = self.database.act().await?;
        let Some(owner) = act.token_owner(token).await? else { return Ok(Revoked::Before) };
        if self.tenant_of(owner).await? != Some(client.tenant) {
            return Ok(Revoked::NotTheirs);
        }
        act.end_token(token).await?;
        Ok(Revoked::Now(act.commit(&origin.by(client.uid).did(Action::TokenEnd, token)).await?))
    }

    async fn revoke_session(&self, client: Client, token: &PlainSecret, origin: Origin) -> Result<Revoked, Refusal> {
        let mut act = self.database.act().await?;
        // any token of the family ends it, the rotated ones too (RFC 7009 §2.1)
        let Some((session, _)) = live_family(&mut act, token).await? else { return Ok(Revoked::Before) };
        if self.tenant_of(session.principal).await? != Some(client.tenant) {
            return Ok(Revoked::NotTheirs);
        }
        act.end_session(session.id).await?;
        Ok(Revoked::Now(act.commit(&origin.by(client.uid).did(Action::SessionEnd, session.id)).await?))
    }

    async fn tenant_of(&self, principal: Id) -> Result<Option<Id>, Refusal> {
        let record = self.database.record(PendingKind::Subject, principal).await?;
        Ok(record.and_then(|record| match record.content {
            Content::Subject(subject) => Some(subject.tenant),
            _ => None,
        }))
    }

    /// A client that hears "revoked" must be able to rely on it; one that tries again after a 503, too.
    async fn settled(&self, revoked: Revoked, ask: Ask) -> Result<(), Refusal> {
        let later = || Err(Refusal::Unavailable("the token store has not heard of the end".to_owned()));
        match revoked {
            Revoked::NotTheirs => Ok(()),
            Revoked::Now(act) => match self.propagate(act).await {
                Propagated::Yes => Ok(()),
                Propagated::Later => later(),
            },
            Revoked::Before => {
                let Some(fill) = self.store.look_up(ask).await? else { return Ok(()) };
                match holder::live(ask, fill, None, self.database.clock().now(), self.rules.ttl.as_secs()) {
                    Some(_) => later(),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What became of a token that was to be revoked.
enum Revoked {
    Now(Committed),
    /// It had ended, or was never given out.
    Before,
    NotTheirs,
}
