//! Browsers: the sessions that live in cookies, and how one is carried from host to host.
//!
//! Every cookie names the session and authenticates itself; whether the session is live is asked each time, so one
//! end ends it on every host. A host that shares no domain with the login pages gets its cookie for a code that is
//! good once, for half a minute, on that host, in the browser that began there.

use std::time::Duration;

use super::proof::{Proof, ProvedBy};
use super::return_to::{ReturnRules, ReturnTo};
use super::sessions::{Caller, SESSIONS};
use super::standing::{self, Standing};
use super::{Accounts, Origin, Refusal};
use crate::audit::Action;
use crate::clock::UnixMs;
use crate::database::{Committed, SessionRow};
use crate::decision::cookies::{DOMAIN_COOKIE, HOST_COOKIE};
use crate::id::Id;
use crate::token::cookie::{self, CookieUse};
use crate::token::jwt::LoginJwt;
use crate::token::keep_alive::KeepAlive;
use crate::token::secret::sha256;

/// How long a code that carries a session to another host is good.
const CODE_TTL: Duration = Duration::from_secs(30);
/// What a session's form token is bound to.
const CSRF: &[u8] = b"session";
/// What the login page's form token is bound to.
const LOGIN_FORM: &[u8] = b"login";

/// A live session of a browser.
#[derive(Debug, Clone)]
pub struct Browser {
    /// The session's id.
    pub session: Id,
    /// Its absolute end.
    pub ends: UnixMs,
    /// Who is logged in, as things are now.
    pub standing: Standing,
}

/// A cookie for the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateCookie {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// `Domain`, where it is for more than one host.
    pub domain: Option<String>,
}

impl Accounts {
    /// Where a login in a browser may return to.
    pub fn returns(&self) -> &ReturnRules {
        &self.rules.returns
    }

    /// What slides sessions, and the tokens of whoever uses one.
    pub fn keep_alive(&self) -> &KeepAlive {
        &self.keep_alive
    }

    /// Opens a session for whoever gave this proof and, where there is one, the second factor's code `totp`, with an id of its own, and ends the one that this browser had before.
    ///
    /// # Errors
    /// What a wrong proof is refused with where it no longer stands, [`Refusal::SecondFactorRequired`],
    /// [`Refusal::IncorrectSecondFactor`], or unavailable.
    pub async fn open_browser(&self, proof: &Proof, totp: Option<&str>, before: Option<Id>, origin: Origin) -> Result<Id, Refusal> {
        let (id, uid) = (Id::random()?, proof.uid);
        let mut act = self.database.act().await?;
        proof.check(&mut act).await?;
        self.second_factor(&mut act, uid, totp, origin).await?;
        let now = act.now();
        if let Some(before) = before {
            act.end_session(before).await?;
        }
        act.end_oldest_sessions(uid, SESSIONS - 1).await?;
        let ends_at = now.after(self.rules.session_max);
        let idle_ends_at = Some(self.keep_alive.idle_end(now, ends_at));
        act.insert_session(&SessionRow { id, principal: uid, created_at: now, ends_at, idle_ends_at }).await?;
        let committed = act.commit(&origin.by(uid).did(Action::Login, id)).await?;
        self.propagate(committed).await;
        Ok(id)
    }

    /// The live session that a console cookie names. `None` = forged, ended, unused for too long, or of someone who is blocked.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn browser(&self, console_cookie: &[u8]) -> Result<Option<Browser>, Refusal> {
        match self.session_in_console_cookie(console_cookie) {
            Some(session) => self.live_browser(session).await,
            None => Ok(None),
        }
    }

    async fn live_browser(&self, session: Id) -> Result<Option<Browser>, Refusal> {
        let found = standing::of_session(&self.database, session).await?;
        Ok(found.and_then(|(record, standing)| {
            let idle_ends = record.idle_ends?;
            self.keep_alive.session_used(session, standing.uid, idle_ends, record.ends);
            Some(Browser { session, ends: record.ends, standing })
        }))
    }

    /// The session that an authentic console cookie names, live or not.
    pub fn session_in_console_cookie(&self, value: &[u8]) -> Option<Id> {
        cookie::read(&self.keyring.load(), CookieUse::Console, value, b"")
    }

    /// Ends a browser's session, on every host.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn end_browser(&self, browser: &Browser, origin: Origin) -> Result<Committed, Refusal> {
        let mut act = self.database.act().await?;
        act.end_session(browser.session).await?;
        Ok(act.commit(&origin.by(browser.standing.uid).did(Action::Logout, browser.session)).await?)
    }

    /// The caller of a management route that this browser's session stands for.
    pub fn caller_of(&self, browser: Browser) -> Caller {
        let claims = LoginJwt::new(browser.session, browser.standing.uid, self.database.clock().now(), self.rules.ttl, &self.rules.issuer);
        Caller { claims, standing: browser.standing }
    }

    /// The value of the console cookie.
    ///
    /// # Errors
    /// Where there is no secret key.
    pub fn console_cookie(&self, session: Id) -> Result<String, Refusal> {
        self.written(CookieUse::Console, session, b"")
    }

    /// The gate's cookie on `host`.
    ///
    /// # Errors
    /// Where there is no secret key.
    pub fn gate_cookie(&self, session: Id, host: &str) -> Result<GateCookie, Refusal> {
        Ok(match self.rules.returns.domain_of(host) {
            Some(domain) => GateCookie {
                name: DOMAIN_COOKIE,
                value: self.written(CookieUse::Domain, session, domain.as_bytes())?,
                domain: Some(domain.to_owned()),
            },
            None => GateCookie { name: HOST_COOKIE, value: self.written(CookieUse::Host, session, host.as_bytes())?, domain: None },
        })
    }

    /// What the forms of a session's pages carry.
    ///
    /// # Errors
    /// Where there is no secret key.
    pub fn csrf_token(&self, session: Id) -> Result<String, Refusal> {
        self.written(CookieUse::Form, session, CSRF)
    }

    /// Whether a form's token is this session's.
    pub fn is_csrf_token(&self, session: Id, token: &str) -> bool {
        cookie::read(&self.keyring.load(), CookieUse::Form, token.as_bytes(), CSRF) == Some(session)
    }

    /// What the login page's form carries, for the browser with this cookie.
    ///
    /// # Errors
    /// Where there is no secret key.
    pub fn login_form_token(&self, browser: Id) -> Result<String, Refusal> {
        self.written(CookieUse::Form, browser, LOGIN_FORM)
    }

    /// Whether a login form's token is of the browser with this cookie.
    pub fn is_login_form_token(&self, browser: Id, token: &str) -> bool {
        cookie::read(&self.keyring.load(), CookieUse::Form, token.as_bytes(), LOGIN_FORM) == Some(browser)
    }

    /// What a browser shows from now on to be known as one that this person logged in from; `None` where no password did it.
    /// Good until the password is another.
    ///
    /// # Errors
    /// Where there is no secret key, or no randomness.
    pub fn remember_browser(&self, proof: &Proof) -> Result<Option<String>, Refusal> {
        let ProvedBy::Password(hash) = &proof.by else { return Ok(None) };
        self.written(CookieUse::Known, Id::random()?, &known_for(proof.uid, hash)).map(Some)
    }

    /// The browser that shows `value`, where `uid` logged in from it with the password of this hash.
    pub(super) fn known_browser(&self, value: &[u8], uid: Id, hash: &str) -> Option<Id> {
        cookie::read(&self.keyring.load(), CookieUse::Known, value, &known_for(uid, hash))
    }

    fn written(&self, of: CookieUse, id: Id, bound_to: &[u8]) -> Result<String, Refusal> {
        cookie::write(&self.keyring.load(), of, id, bound_to).ok_or_else(|| Refusal::Unavailable("no secret key signs".to_owned()))
    }

    /// A code that carries a session to `host`, for the browser that shows there what `state` was made of.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn host_code(&self, session: Id, host: &str, state: &str, return_to: &ReturnTo) -> Result<String, Refusal> {
        let code = Id::random()?.to_string();
        self.database.insert_host_code(code_hash(&code, host, state), session, host, &return_to.to_string(), CODE_TTL).await?;
        Ok(code)
    }

    /// The live session that a code carries to `host`, and where to go on; the code is spent. `None` = unknown, spent, too old,
    /// of another host or of another browser.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn use_host_code(&self, code: &str, host: &str, state: &str) -> Result<Option<(Id, ReturnTo)>, Refusal> {
        let Some(row) = self.database.take_host_code(code_hash(code, host, state), host).await? else { return Ok(None) };
        let live = self.live_browser(row.session).await?;
        Ok(live.map(|browser| (browser.session, ReturnTo::parse(&row.return_to, &self.rules.returns))))
    }
}

/// What a known browser's value is bound to.
fn known_for(uid: Id, hash: &str) -> [u8; 32] {
    sha256(format!("gatepost known browser\0{uid}\0{hash}").as_bytes())
}

/// What a browser shows the login pages of the secret in its cookie on another host.
pub fn state_of(secret: Id) -> String {
    crate::id::hex(&sha256(format!("gatepost state\0{secret}").as_bytes()))
}

/// A code is good with its host and its browser's state only, so that nobody's code is of use in another's browser.
fn code_hash(code: &str, host: &str, state: &str) -> [u8; 32] {
    sha256(format!("gatepost host code\0{code}\0{host}\0{state}").as_bytes())
}
