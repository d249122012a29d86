//! The gate: one check from head to answer.
//!
//! parse → find → look up → decide → count → render, with one `await` in the middle. Every path ends
//! in `render`; a store that cannot be asked is evidence like any other, so nothing fails open.

mod log;
mod recent;

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::body::Incoming;

use crate::clock::{Clock, UnixMs};
use crate::decision::cookies::Domains;
use crate::decision::credential::CredentialKind;
use crate::decision::request::Request;
use crate::decision::rules::RuleSet;
use crate::decision::{Denial, Evidence, Judged, Reason, Verdict, decide};
use crate::decisions::Recent;
use crate::dialect::{Answer, Asked, CLOSE, Call, Dialect, NOTHING_HERE};
use crate::id::Id;
use crate::metrics::DecisionMetrics;
use crate::token::holder::live;
use crate::token::keep_alive::KeepAlive;
use crate::token::keyring::Keyring;
use crate::token::last_used::LastUsed;
use crate::token::recognise::{At, Authentic, recognise};
use crate::token::record::TokenRecord;
use crate::token::secret::SecretMint;
use crate::token::store::{Ask, TokenStore};

/// Rules in force with their counters.
#[derive(Debug)]
pub struct InForce {
    /// The rules.
    pub rules: RuleSet,
    /// Their counters.
    pub metrics: DecisionMetrics,
}

impl InForce {
    /// Puts rules in force.
    pub fn new(rules: RuleSet) -> Self {
        Self { metrics: DecisionMetrics::new(&rules), rules }
    }
}

/// What every gate of the process shares.
pub struct Shared {
    /// Swapped whole by a reload.
    pub in_force: Arc<ArcSwap<InForce>>,
    /// Which tokens and keys are live.
    pub tokens: TokenStore,
    /// Recognises access tokens and logins; swapped whole by a reload.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// Recognises API keys.
    pub mint: SecretMint,
    /// The time.
    pub clock: Clock,
    /// Slides the tokens of whoever uses a login's JWT.
    pub keep_alive: KeepAlive,
    /// The domains whose hosts share a login.
    pub domains: Domains,
    /// Takes note of keys in use.
    pub last_used: LastUsed,
    /// The last refusals, for super admins.
    pub decisions: Arc<Recent>,
    /// `tokens.ttl`, seconds.
    pub ttl_s: u64,
    /// The configuration file, for the command that a refusal's log line ends with.
    pub configuration: Option<std::path::PathBuf>,
}

/// One check listener's handler.
pub struct Gate {
    dialect: Dialect,
    shared: Arc<Shared>,
}

/// What the look-up brought.
struct Known {
    evidence: Evidence,
    kind: Option<CredentialKind>,
    /// What an allow keeps alive.
    used: Option<Used>,
    /// When it was looked up.
    at: UnixMs,
}

/// What an allowed check keeps alive.
enum Used {
    /// A token, with its idle end as read.
    Token(Box<TokenRecord>, UnixMs),
    /// An API key, presented itself.
    Key(Id),
    /// A session of this principal.
    Session(Id, Id),
    /// A browser's session of this principal, with its idle end as read and its absolute end.
    Browser(Id, Id, UnixMs, UnixMs),
}

impl Gate {
    /// The handler of one listener.
    pub fn new(dialect: Dialect, shared: Arc<Shared>) -> Self {
        Self { dialect, shared }
    }

    /// Answers one check.
    ///
    /// # Errors
    /// None: a refusal is an answer.
    pub async fn check(&self, request: hyper::Request<Incoming>) -> Result<Answer, Infallible> {
        let began = std::time::Instant::now();
        let in_force = self.shared.in_force.load_full();
        let (head, _body) = request.into_parts();
        let asked = self.dialect.read(&head.method, &head.uri, &head.headers);
        let (verdict, kind) = self.decide(&asked, &in_force.rules).await;
        if asked.call != Some(Call::Explain) {
            in_force.metrics.count(&verdict, kind, began.elapsed());
            log::decision(self, &asked, &verdict, kind);
            recent::keep(self, &asked, &verdict);
        }
        let mut answer = self.dialect.answer(&asked, &verdict);
        if asked.announces_body {
            // nothing of a body is read, so what follows on this connection is not a request (BYP-131)
            answer.headers_mut().extend([CLOSE]);
        }
        Ok(answer)
    }

    async fn decide<'r>(&self, asked: &Asked<'_>, rules: &'r RuleSet) -> (Verdict<'r>, Option<CredentialKind>) {
        let refuse = |denial| (Verdict::Deny(denial), None);
        if !asked.secret_is_right {
            return refuse(Denial::bare(Reason::ProxySecret, Reason::ProxySecret.usual_message()));
        }
        if asked.call.is_none() {
            return refuse(Denial::of_fault(NOTHING_HERE));
        }
        let request = match &asked.request {
            Ok(request) => request,
            Err(fault) => return refuse(Denial::of_fault(*fault)),
        };
        let judged = Judged::of(rules, request);
        let known = if judged.asks_for_credential() { self.look_up(asked, request, &judged).await } else { Known::nothing() };
        let verdict = decide(request, &judged, known.evidence);
        if let (Verdict::Allow(_), Some(Call::Verify)) = (&verdict, asked.call) {
            match known.used {
                Some(Used::Token(token, idle_end)) => {
                    self.shared.last_used.used(token.key, known.at);
                    self.shared.tokens.slide(&token, idle_end);
                }
                Some(Used::Key(key)) => self.shared.last_used.used(key, known.at),
                Some(Used::Browser(session, principal, idle_end, cap)) => {
                    self.shared.keep_alive.session_used(session, principal, idle_end, cap);
                }
                Some(Used::Session(session, principal)) => self.shared.keep_alive.used(session, principal),
                None => {}
            }
        }
        (verdict, known.kind)
    }

    async fn look_up(&self, asked: &Asked<'_>, request: &Request<'_>, judged: &Judged<'_>) -> Known {
        let now = self.shared.clock.now();
        let at = At { host: &request.host, domains: &self.shared.domains };
        let Authentic { kind, ask, secret } =
            match recognise(asked.presented, &self.shared.keyring.load(), &self.shared.mint, Some(at), now) {
                Ok(authentic) => authentic,
                Err(evidence) => return Known { evidence, ..Known::nothing() },
            };
        let known = |evidence| Known { evidence, kind: Some(kind), used: None, at: now };
        if !judged.takes(kind) {
            return known(Evidence::NotTaken(kind));
        }
        let is_session = kind == CredentialKind::Session;
        if is_session && !request.page.may_use_session(request.method, &request.host, at.domains) {
            return known(Evidence::ForeignPage);
        }
        match self.shared.tokens.look_up(ask).await {
            Err(_) => known(Evidence::Unavailable),
            Ok(fill) => match fill.and_then(|fill| live(ask, fill, secret.as_ref(), now, self.shared.ttl_s)) {
                None if is_session => known(Evidence::EndedSession),
                None => known(Evidence::Invalid("unknown or ended credential")),
                // a JWT for a browser's session, or a cookie for a login's: nobody of this house wrote that
                Some(live) if live.holder.kind != kind => known(Evidence::Invalid("unknown or ended credential")),
                Some(live) => {
                    let used = match (ask, live.token) {
                        (Ask::Session(session), _) if is_session => {
                            live.session.map(|(idle_end, cap)| Used::Browser(session, live.subject, idle_end, cap))
                        }
                        (Ask::Session(session), _) => Some(Used::Session(session, live.subject)),
                        (Ask::Key(key), _) => Some(Used::Key(key)),
                        (_, token) => token.map(|(token, idle_end)| Used::Token(Box::new(token), idle_end)),
                    };
                    Known { used, ..known(Evidence::Live(Box::new(live.holder))) }
                }
            },
        }
    }
}

impl Known {
    fn nothing() -> Self {
        Self { evidence: Evidence::Nothing, kind: None, used: None, at: UnixMs(0) }
    }
}
