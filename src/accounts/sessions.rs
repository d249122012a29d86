//! Sessions: what a login makes, its refresh tokens, and the JWT that management routes ask for.
//!
//! A refresh token is exchanged once; its successor is derived from it, so an answer that got lost
//! can be given again within [`GRACE`] though only hashes are stored (RFC 9700 §4.14.2).
//! INVARIANT: an exchanged token that comes again later, or after its successor was used, ends the session.

use std::time::Duration;

use super::proof::Proof;
use super::standing::{self, Standing};
use super::{Accounts, Origin, Refusal};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Act, Committed, Database, DatabaseError, Page, RefreshRow, SessionRow};
use crate::id::Id;
use crate::token::jwt::{JwtFault, LoginJwt};
use crate::token::keyring::Keyring;
use crate::token::secret::{PlainSecret, SecretKind};
use crate::upkeep;

/// How long a lost answer to an exchange is given again.
const GRACE: Duration = Duration::from_secs(10);

/// Most live sessions of one person; a login beyond ends the oldest.
pub(super) const SESSIONS: u32 = 64;

/// A login, or its renewal.
#[derive(Debug)]
pub struct LoggedIn {
    /// The login's JWT.
    pub jwt: String,
    /// What it says.
    pub claims: LoginJwt,
    /// The refresh token, shown once.
    pub refresh_token: PlainSecret,
}

/// Who calls a management route.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What the login's JWT says.
    pub claims: LoginJwt,
    /// What is true of the person now.
    pub standing: Standing,
}

impl Caller {
    /// The caller's principal.
    pub fn uid(&self) -> Id {
        self.standing.uid
    }
}

impl Accounts {
    /// Makes a session for whoever gave this proof and, where there is one, the second factor's code `totp`.
    pub(super) async fn open_session(&self, proof: &Proof, totp: Option<&str>, origin: Origin) -> Result<LoggedIn, Refusal> {
        let uid = proof.uid;
        let id = Id::random()?;
        let refresh_token = self.mint.make(SecretKind::RefreshToken, id)?;
        let mut act = self.database.act().await?;
        proof.check(&mut act).await?;
        self.second_factor(&mut act, uid, totp, origin).await?;
        let now = act.now();
        let session = SessionRow { id, principal: uid, created_at: now, ends_at: now.after(self.rules.session_max), idle_ends_at: None };
        act.end_oldest_sessions(uid, SESSIONS - 1).await?;
        act.insert_session(&session).await?;
        act.insert_refresh_token(refresh_token.hashed(), id).await?;
        let committed = act.commit(&origin.by(uid).did(Action::Login, id)).await?;
        self.propagate(committed).await;
        self.logged_in(id, uid, now, refresh_token)
    }

    fn logged_in(&self, session: Id, uid: Id, now: UnixMs, refresh_token: PlainSecret) -> Result<LoggedIn, Refusal> {
        let claims = LoginJwt::new(session, uid, now, self.rules.ttl, &self.rules.issuer);
        let jwt = self.keyring.load().signing().and_then(|key| key.login_jwt().sign_login(&claims));
        let jwt = jwt.ok_or_else(|| Refusal::Unavailable("no secret key signs".to_owned()))?;
        Ok(LoggedIn { jwt, claims, refresh_token })
    }

    /// Exchanges a refresh token for its successor.
    ///
    /// # Errors
    /// [`Refusal::NoSession`], or unavailable.
    pub async fn refresh(&self, text: &str, origin: Origin) -> Result<LoggedIn, Refusal> {
        let token = self.mint.read(SecretKind::RefreshToken, text).ok_or(Refusal::NoSession)?;
        let mut act = self.database.act().await?;
        let (session, row) = live_family(&mut act, &token).await?.ok_or(Refusal::NoSession)?;
        let by = origin.by(session.principal);
        if standing::of_principal(&self.database, session.principal).await?.is_none() {
            return Err(Refusal::NoSession);
        }
        let (now, successor) = (act.now(), self.mint.successor(&token));
        match row.used_at {
            None => {
                act.use_refresh_token(token.hashed()).await?;
                act.insert_refresh_token(successor.hashed(), session.id).await?;
                // the token store has nothing to learn: the session stays what it is
                let _ = act.commit(&by.did(Action::Refresh, session.id)).await?;
            }
            Some(used_at) if is_lost_answer(&mut act, used_at, &successor).await? => {}
            Some(_) => {
                self.end_reused(act, &session, origin).await?;
                return Err(Refusal::NoSession);
            }
        }
        self.logged_in(session.id, session.principal, now, successor)
    }

    async fn end_reused(&self, mut act: Act, session: &SessionRow, origin: Origin) -> Result<(), Refusal> {
        act.end_session(session.id).await?;
        let committed = act.commit(&origin.by(session.principal).did(Action::RefreshReuse, session.id)).await?;
        self.propagate(committed).await;
        Ok(())
    }

    /// Ends the session of a refresh token; answers whose it was.
    ///
    /// # Errors
    /// [`Refusal::NoSession`], or unavailable.
    pub async fn log_out(&self, text: &str, origin: Origin) -> Result<(Id, Committed), Refusal> {
        let token = self.mint.read(SecretKind::RefreshToken, text).ok_or(Refusal::NoSession)?;
        let mut act = self.database.act().await?;
        let (session, row) = live_family(&mut act, &token).await?.ok_or(Refusal::NoSession)?;
        if let Some(used_at) = row.used_at {
            let successor = self.mint.successor(&token);
            if !is_lost_answer(&mut act, used_at, &successor).await? {
                self.end_reused(act, &session, origin).await?;
                return Err(Refusal::NoSession);
            }
        }
        act.end_session(session.id).await?;
        Ok((session.principal, act.commit(&origin.by(session.principal).did(Action::Logout, session.id)).await?))
    }

    /// Who holds this login JWT: its session must be live in the database, and nobody above blocked.
    ///
    /// # Errors
    /// [`Refusal::ExpiredSignature`], [`Refusal::InvalidSignature`], [`Refusal::InvalidToken`], or unavailable.
    pub async fn caller(&self, jwt: &str) -> Result<Caller, Refusal> {
        let claims = read_login(&self.keyring.load(), jwt, self.database.clock().now())?;
        let found = standing::of_session(&self.database, claims.sid).await?;
        let (_, standing) = found.filter(|(session, _)| session.subject == claims.uid).ok_or(Refusal::InvalidToken)?;
        Ok(Caller { claims, standing })
    }

    /// Live sessions of `of`, oldest first.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where `of` is neither the caller nor below, or unavailable.
    pub async fn sessions(&self, caller: &Caller, of: Option<Id>, page: Page) -> Result<Vec<SessionRow>, Refusal> {
        let of = self.seen_by(caller, of).await?;
        Ok(self.database.sessions_of(of, page).await?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where it is not the caller's to see, or unavailable.
    pub async fn end_session(&self, caller: &Caller, session: Id, origin: Origin) -> Result<Committed, Refusal> {
        let mut act = self.database.act().await?;
        let row = act.live_session(session).await?.ok_or(Refusal::NotFound)?;
        if row.principal != caller.uid() && !caller.standing.is_above(&mut act, row.principal).await? {
            return Err(Refusal::NotFound);
        }
        act.end_session(session).await?;
        Ok(act.commit(&origin.by(caller.uid()).did(Action::SessionEnd, session)).await?)
    }

    /// Whose list is asked for: the caller's own, or that of someone below.
    pub(super) async fn seen_by(&self, caller: &Caller, of: Option<Id>) -> Result<Id, Refusal> {
        match of {
            None => Ok(caller.uid()),
            Some(of) if of == caller.uid() => Ok(of),
            // a super admin stands above everyone there is
            Some(of) if self.database.principal(of).await?.is_some() && caller.standing.is_above_now(&self.database, of).await? => Ok(of),
            Some(_) => Err(Refusal::NotFound),
        }
    }
}

/// The live session a refresh token belongs to, and what is recorded of the token.
pub(super) async fn live_family(act: &mut Act, token: &PlainSecret) -> Result<Option<(SessionRow, RefreshRow)>, DatabaseError> {
    let Some(row) = act.refresh_token(token.hashed()).await? else { return Ok(None) };
    let session = if row.session == token.id() { act.live_session(row.session).await? } else { None };
    Ok(session.map(|session| (session, row)))
}

/// Whether an exchanged token may be exchanged again: its answer got lost a moment ago.
pub(super) async fn is_lost_answer(act: &mut Act, used_at: UnixMs, successor: &PlainSecret) -> Result<bool, DatabaseError> {
    let unused = act.refresh_token(successor.hashed()).await?.is_some_and(|row| row.used_at.is_none());
    Ok(unused && act.now() <= used_at.after(GRACE))
}

/// Reads a login's JWT under any of the secret keys.
fn read_login(keyring: &Keyring, jwt: &str, now: UnixMs) -> Result<LoginJwt, Refusal> {
    let mut worst = JwtFault::Signature;
    for key in keyring.iter() {
        match key.login_jwt().verify_login(jwt, now) {
            Ok(claims) => return Ok(claims),
            Err(JwtFault::Signature) => {}
            Err(fault) => worst = fault,
        }
    }
    Err(match worst {
        JwtFault::Expired => Refusal::ExpiredSignature,
        JwtFault::Signature => Refusal::InvalidSignature,
        JwtFault::Invalid => Refusal::InvalidToken,
    })
}

/// How often old sessions are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// How much longer than it could live a session is kept: a token store that recovers asks for what ended lately.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Forgets sessions that ended long ago and codes that no limit counts any more, again and again.
pub(super) async fn forget_old(database: Database, session_max: Duration) {
    let mut due = upkeep::after_the_start(FORGET_EVERY);
    loop {
        due.tick().await;
        let before = database.clock().now().before(KEPT.saturating_add(session_max));
        if let Err(error) = database.forget_sessions(before).await {
            tracing::warn!(%error, "old sessions stay for now");
        }
        if let Err(error) = database.forget_challenges(database.clock().now().before(FORGET_EVERY)).await {
            tracing::warn!(%error, "old one-time codes stay for now");
        }
    }
}
