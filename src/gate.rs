//! The gate: one check from head to answer.
//!
//! parse → find → look up → decide → count → render, with one `await` in the middle. Every path ends
//! in `render`; a store that cannot be asked is evidence like any other, so nothing fails open.

mod log;
mod recent;

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use hyper::body::Incoming;

use crate::clock::{Clock, UnixMs, boottime_ns};
use crate::decision::cookies::Domains;
use crate::decision::credential::CredentialKind;
use crate::decision::holder::Holder;
use crate::decision::request::Request;
use crate::decision::rules::RuleSet;
use crate::decision::{Denial, Evidence, Judged, Reason, Verdict, decide};
use crate::decisions::Recent;
use crate::dialect::{Answer, Asked, CLOSE, Call, Dialect, NOTHING_HERE};
use crate::metrics::DecisionMetrics;
use crate::token::cache::{Cached, Entry, Held, Moment};
use crate::token::keep_alive::KeepAlive;
use crate::token::keyring::Keyring;
use crate::token::last_used::LastUsed;
use crate::token::recognise::{At, recognise};
use crate::token::secret::SecretMint;
use crate::token::store::{Ask, TokenStore, Unavailable};

/// When a key was last used is told to the minute.
const MINUTE_MS: u64 = 60_000;

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
    used: Option<Held>,
    /// When it was looked up.
    at: UnixMs,
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
        if let (Verdict::Allow(_), Some(Call::Verify), Some(used)) = (&verdict, asked.call, known.used) {
            self.used(&used, known.at);
        }
        (verdict, known.kind)
    }

    /// Keeps alive what an allowed check used: nothing but two comparisons, unless it is due.
    fn used(&self, entry: &Entry, now: UnixMs) {
        let Some(standing) = entry.standing() else { return };
        let shared = &self.shared;
        if let Some(key) = entry.ask().key()
            && entry.is_first_in(MINUTE_MS, now)
        {
            shared.last_used.used(key, now);
        }
        if !entry.is_due(now) {
            return;
        }
        entry.slid(match (entry.ask(), &standing.token, standing.session) {
            (Ask::Token { id, .. }, Some((token, idle_end)), _) => shared.tokens.slide(id, token.cap, *idle_end),
            (Ask::Session(session), _, Some((idle_end, cap))) => shared.keep_alive.session_used(session, standing.subject, idle_end, cap),
            (Ask::Session(session), _, None) => shared.keep_alive.used(session, standing.subject),
            _ => UnixMs(u64::MAX),
        });
    }

    async fn look_up(&self, asked: &Asked<'_>, request: &Request<'_>, judged: &Judged<'_>) -> Known {
        let shared = &self.shared;
        let moment = Moment { boot_ns: boottime_ns(), now: shared.clock.now() };
        let at = At { host: &request.host, domains: &shared.domains };
        let keyring = shared.keyring.load();
        let name = shared.tokens.name(&asked.presented, at);
        if let Some(name) = name
            && let Cached::Known(held) = shared.tokens.cached(name, keyring.number(), moment)
        {
            return match self.takes(held.kind, request, judged) {
                Ok(()) => self.known(held, moment.now),
                Err(evidence) => Known { evidence, kind: Some(held.kind), used: None, at: moment.now },
            };
        }
        let authentic = match recognise(asked.presented, &keyring, &shared.mint, Some(at), moment.now) {
            Ok(authentic) => authentic,
            Err(evidence) => return Known { evidence, ..Known::nothing() },
        };
        let number = keyring.number();
        drop(keyring);
        let known = |evidence| Known { evidence, kind: Some(authentic.kind), used: None, at: moment.now };
        if let Err(evidence) = self.takes(authentic.kind, request, judged) {
            return known(evidence);
        }
        let Some(name) = name else { return known(Evidence::Unavailable) };
        match shared.tokens.check(name, number, &authentic, moment).await {
            Ok(entry) => self.known(Guard::from_inner(entry), moment.now),
            Err(Unavailable) => known(Evidence::Unavailable),
        }
    }

    /// Whether the rules take this kind of credential, sent from where it was.
    fn takes(&self, kind: CredentialKind, request: &Request<'_>, judged: &Judged<'_>) -> Result<(), Evidence> {
        if !judged.takes(kind) {
            return Err(Evidence::NotTaken(kind));
        }
        match kind == CredentialKind::Session && !request.page.may_use_session(request.method, &request.host, &self.shared.domains) {
            true => Err(Evidence::ForeignPage),
            false => Ok(()),
        }
    }

    fn known(&self, entry: Held, at: UnixMs) -> Known {
        let evidence = match entry.standing() {
            None if entry.kind == CredentialKind::Session => Evidence::EndedSession,
            None => Evidence::Invalid("unknown or ended credential"),
            Some(standing) => {
                let expires_in_s = standing.expires_in_s(at, self.shared.ttl_s);
                Evidence::Live(Box::new(Holder { expires_in_s, ..standing.holder.clone() }))
            }
        };
        Known { evidence, kind: Some(entry.kind), used: Some(entry), at }
    }
}

impl Known {
    fn nothing() -> Self {
        Self { evidence: Evidence::Nothing, kind: None, used: None, at: UnixMs(0) }
    }
}
