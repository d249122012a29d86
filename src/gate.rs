//! The gate: one check from head to answer.
//!
//! parse → find → look up → decide → count → render. Where the cache knows the credential all of it is done at once, without
//! a lock, a heap allocation or a command; otherwise the store is asked, the only `await`, and the check is read again with
//! what it said. Every path ends in `render`; a store that cannot be asked is evidence like any other, so nothing fails open.

mod aside;
mod examined;
mod log;
mod recent;
mod ticket;
mod used;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;

use crate::clock::{Clock, Moment, UnixMs};
use crate::decision::cookies::Domains;
use crate::decision::credential::{CredentialKind, Presented};
use crate::decision::limit::Exceeded;
use crate::decision::request::Request;
use crate::decision::rules::RuleSet;
use crate::decision::{Denial, Evidence, Judged, Reason, Shown, Verdict, decide, limited, unmetered};
use crate::decisions::Recent;
use crate::dialect::{Answer, Asked, CLOSE, Call, Dialect, NOTHING_HERE};
use crate::examinations::Examinations;
use crate::issuers::Issuers;
use crate::meters::{Charge, Charged, Leased, Meters, Unleased};
use crate::metrics::DecisionMetrics;
use crate::token::cache::{Cached, Entry, Held, Name, Provers};
use crate::token::fencelog::check::outlasts;
use crate::token::keep_alive::KeepAlive;
use crate::token::keyring::Keyring;
use crate::token::last_used::LastUsed;
use crate::token::recognise::{At, Authentic, NOT_OURS, Unproved, recognise};
use crate::token::secret::SecretMint;
use crate::token::store::{TokenStore, Unavailable};
use crate::token::ticket::{Purpose, Ticket};
use crate::usage::{RuleNumbers, Usage};
use aside::Aside;
use ticket::Ticketed;

/// Rules in force with their counters.
#[derive(Debug)]
pub struct InForce {
    /// The rules.
    pub rules: RuleSet,
    /// Their counters.
    pub metrics: DecisionMetrics,
    /// By which usage tells them apart.
    pub numbers: RuleNumbers,
}

impl InForce {
    /// Puts rules in force.
    pub fn new(rules: RuleSet) -> Self {
        Self { metrics: DecisionMetrics::new(&rules), numbers: RuleNumbers::of(&rules), rules }
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
    /// Recognises tokens of other issuers.
    pub issuers: Arc<Issuers>,
    /// The time.
    pub clock: Clock,
    /// Slides the tokens of whoever uses a login's JWT.
    pub keep_alive: KeepAlive,
    /// The domains whose hosts share a login.
    pub domains: Domains,
    /// Whether limits are used up.
    pub meters: Arc<Meters>,
    /// Takes note of keys in use.
    pub last_used: LastUsed,
    /// Counts what came of each key's checks.
    pub usage: Usage,
    /// The last refusals, for super admins.
    pub decisions: Arc<Recent>,
    /// What super admins examine a proxy by.
    pub examinations: Arc<Examinations>,
    /// `tokens.ttl`, seconds.
    pub ttl_s: u64,
    /// Where tasks and timers are that a check needs: the core it runs on keeps no time.
    pub aside: Handle,
    /// The configuration file, for the command that a refusal's log line ends with.
    pub configuration: Option<std::path::PathBuf>,
}

impl Shared {
    fn provers(&self, keyring: &Keyring) -> Provers {
        Provers { keyring: keyring.number(), issuers: self.issuers.number() }
    }
}

/// One check listener's handler.
pub struct Gate {
    dialect: Dialect,
    /// By what `gatepost explain --gate` knows it.
    name: String,
    shared: Arc<Shared>,
}

/// What must be asked before a check can be answered.
enum Question {
    /// The store, what is presented.
    Credential { name: Name, provers: Provers, authentic: Authentic },
    /// Whoever counts, for more of these.
    Limits(Vec<Charge>),
    /// Whoever counts, whether another process refuses for one of these.
    Room(Vec<Charge>),
    /// The cache or the store, what a ticket was made from.
    Ticket(Box<Ticket>, Provers),
    /// The store, what that ticket is worth; a check that nothing else refuses was charged so.
    Worth(Purpose, Vec<Charge>),
}

/// What was answered to the questions of a check. Each is asked once.
#[derive(Default)]
struct Heard {
    credential: Option<(CredentialKind, Result<Arc<Entry>, Unavailable>)>,
    limits: Option<Result<Leased, Unleased>>,
    room: Option<Result<(), Unleased>>,
    ticket: Option<Box<Ticketed>>,
}

/// Whether what is allowed keeps to the limits that concern it.
enum Metered {
    Passes,
    Exceeded(Exceeded),
    /// Nobody can say.
    Unknown,
}

/// What is known of a check's credential.
struct Known<'e> {
    evidence: Evidence<'e>,
    kind: Option<CredentialKind>,
    /// What an allow keeps alive.
    used: Option<&'e Entry>,
}

/// The answer to a check: there at once, unless the store must be asked.
pub enum Checked {
    /// There, until it is taken.
    Now(Option<Answer>),
    /// On its way.
    Later(Aside),
}

/// There is no answer: the connection ends. For the nonce of an examination only.
#[derive(Debug, thiserror::Error)]
#[error("an examination asked for no answer")]
pub struct HungUp;

impl Future for Checked {
    type Output = Result<Answer, HungUp>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Later(answer) => Pin::new(answer).poll(context),
        }
    }
}

impl Gate {
    /// The handler of one listener.
    pub fn new(dialect: Dialect, shared: Arc<Shared>) -> Self {
        Self { name: dialect.proxy().as_str().to_owned(), dialect, shared }
    }

    /// The same, by another name than its proxy's: there are several for that.
    #[must_use]
    pub fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// Answers one check, which came over the connection of this number: at once where what it presents is known, or does not matter.
    pub fn check<Body: Send + 'static>(self: &Arc<Self>, mut request: http::Request<Body>, connection: u64) -> Checked {
        let at = self.shared.clock.moment();
        if self.shared.examinations.are_open()
            && let Some(found) = examined::nonce_of(self, &request)
        {
            return examined::check(self, found, request, connection, at);
        }
        match self.answer(&mut request, at, &Heard::default()) {
            Ok(answer) => Checked::Now(Some(answer)),
            Err(question) => {
                let gate = Arc::clone(self);
                Checked::Later(Aside::new(&self.shared.aside, async move { Ok(gate.ask(question, request, at).await) }))
            }
        }
    }

    /// Asks whatever must be asked, then answers.
    async fn ask<Body>(&self, mut question: Question, mut request: http::Request<Body>, at: Moment) -> Answer {
        let mut heard = Heard::default();
        loop {
            match question {
                Question::Credential { name, provers, authentic } if heard.credential.is_none() => {
                    heard.credential = Some((authentic.kind, self.shared.tokens.check(name, provers, &authentic, at).await));
                }
                Question::Limits(charges) if heard.limits.is_none() => heard.limits = Some(self.shared.meters.lease(&charges).await),
                Question::Room(charges) if heard.room.is_none() => heard.room = Some(self.shared.meters.look(&charges).await),
                Question::Ticket(ticket, provers) if heard.ticket.is_none() => {
                    // boxed, so that the future of a check stays small
                    heard.ticket = Some(Box::new(Box::pin(self.stands_for(*ticket, provers, at)).await));
                }
                Question::Worth(purpose, charged) if heard.ticket.as_ref().is_some_and(|ticket| !ticket.is_weighed()) => {
                    if let Some(ticket) = &mut heard.ticket {
                        Box::pin(self.weigh(ticket, purpose, &charged)).await;
                    }
                }
                // nothing is asked twice
                _ => return self.dialect.render(Call::Verify, &unavailable()),
            }
            match self.answer(&mut request, at, &heard) {
                Ok(answer) => return answer,
                Err(next) => question = next,
            }
        }
    }

    /// The answer, from what is known, and heard; or else what must be asked. An allow takes the memory of the headers, which are
    /// not needed any more: hyper gives it to the connection's next request, so no check has to ask for any.
    fn answer<Body>(&self, request: &mut http::Request<Body>, at: Moment, heard: &Heard) -> Result<Answer, Question> {
        let in_force = self.shared.in_force.load();
        let asked = self.dialect.read(request.method(), request.uri(), request.headers());
        let mut held = None;
        let (verdict, kind) = self.decide(&asked, &in_force.rules, at, heard, &mut held)?;
        if asked.call != Some(Call::Explain) {
            in_force.metrics.count(&verdict, kind, at.elapsed());
            self.shared.usage.checked(&in_force.numbers, &verdict);
            log::decision(self, &asked, &verdict, kind);
            recent::keep(self, &asked, &verdict);
        }
        let closes = asked.announces_body;
        let mut answer = match &verdict {
            Verdict::Allow(permit) if asked.call == Some(Call::Verify) => self.dialect.allow(permit, request.headers_mut()),
            _ => self.dialect.answer(&asked, &verdict),
        };
        // nothing of a body is read, so what follows on this connection is not a request (BYP-131)
        if closes {
            answer.headers_mut().extend([CLOSE]);
        }
        Ok(answer)
    }

    fn decide<'r>(
        &self,
        asked: &Asked<'_>,
        rules: &'r RuleSet,
        at: Moment,
        heard: &'r Heard,
        held: &'r mut Option<Held>,
    ) -> Result<(Verdict<'r>, Option<CredentialKind>), Question> {
        let refuse = |denial| Ok((Verdict::deny(denial), None));
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
        let known = match judged.asks_for_credential() {
            true => self.look_up(asked, request, &judged, at, heard, held)?,
            false => Known::nothing(Evidence::Nothing),
        };
        let Known { evidence, kind, used } = known;
        let verdict = decide(request, &judged, evidence);
        let metered = match (&verdict, used) {
            (Verdict::Allow(_), Some(used)) => self.charge(used, &judged, asked.call, heard, at.now)?,
            _ => Metered::Passes,
        };
        let verdict = match (metered, verdict) {
            (Metered::Passes, verdict) | (_, verdict @ Verdict::Deny(_)) => verdict,
            (Metered::Exceeded(exceeded), Verdict::Allow(permit)) => limited(permit, exceeded),
            (Metered::Unknown, Verdict::Allow(permit)) => unmetered(permit),
        };
        if let (Verdict::Allow(_), Some(Call::Verify), Some(used)) = (&verdict, asked.call, used) {
            self.used(used, asked, request, heard, at);
        }
        Ok((verdict, kind))
    }

    /// Charges what is allowed to every limit that concerns it: those of the rules, or else what is agreed. A refusal is charged nothing,
    /// nor is an explanation, which tells of a limit that refused a short while ago, here or in another process.
    fn charge(&self, used: &Entry, judged: &Judged<'_>, call: Option<Call>, heard: &Heard, now: UnixMs) -> Result<Metered, Question> {
        // charged before it was asked what its ticket is worth
        if heard.ticket.as_ref().is_some_and(|ticket| ticket.is_weighed()) {
            return Ok(Metered::Passes);
        }
        let passes = |charged: &mut dyn Iterator<Item = Charge>| match heard.ticket {
            None => Ok(Metered::Passes),
            Some(_) => Err(Question::worth(call, charged.collect())),
        };
        let own = if judged.says_limits() { &[] } else { used.limits() };
        if own.is_empty() && !judged.says_limits() {
            return passes(&mut std::iter::empty());
        }
        let charges =
            judged.limits().chain(own).map(|limit| Charge { who: used.counted_with(limit.per), of: limit.of, allowance: limit.allowance });
        let meters = &self.shared.meters;
        if call == Some(Call::Explain) {
            return match (meters.refused(charges.clone(), now), heard.room) {
                (Some(exceeded), _) | (None, Some(Err(Unleased::Exceeded(exceeded)))) => Ok(Metered::Exceeded(exceeded)),
                (None, Some(Err(Unleased::Unknown(_)))) => Ok(Metered::Unknown),
                (None, Some(Ok(()))) => passes(&mut std::iter::empty()),
                (None, None) => Err(Question::Room(charges.collect())),
            };
        }
        match &heard.limits {
            None => match meters.charge(charges.clone(), now) {
                Charged::Passed => passes(&mut charges.clone()),
                Charged::Refused(exceeded) => Ok(Metered::Exceeded(exceeded)),
                Charged::Asks => Err(Question::Limits(charges.collect())),
            },
            Some(Ok(leased)) if leased.spend(charges.clone()) => passes(&mut charges.clone()),
            Some(Err(Unleased::Exceeded(exceeded))) => Ok(Metered::Exceeded(*exceeded)),
            // or other limits came into force meanwhile
            Some(Err(Unleased::Unknown(_)) | Ok(_)) => Ok(Metered::Unknown),
        }
    }

    fn look_up<'e>(
        &self,
        asked: &Asked<'_>,
        request: &Request<'_>,
        judged: &Judged<'_>,
        at: Moment,
        heard: &'e Heard,
        held: &'e mut Option<Held>,
    ) -> Result<Known<'e>, Question> {
        if let Some((kind, entry)) = &heard.credential {
            return Ok(match (self.takes(*kind, request, judged), entry) {
                (Err(evidence), _) => Known::of_kind(evidence, *kind),
                (Ok(()), Ok(entry)) => self.known(entry, at.now),
                (Ok(()), Err(Unavailable)) => Known::of_kind(Evidence::Unavailable, *kind),
            });
        }
        if judged.takes(CredentialKind::Ticket)
            && let Some(presented) = ticket::presented(asked)
        {
            return self.ticketed(presented, asked, at, heard);
        }
        let shared = &self.shared;
        let place = At { host: &request.host, domains: &shared.domains };
        let keyring = shared.keyring.load();
        // before anything is judged by them: keys that change meanwhile are of a later number
        let provers = shared.provers(&keyring);
        let name = shared.tokens.name(&asked.presented, place);
        if let Some(name) = name
            && let Cached::Known(entry) = shared.tokens.cached(name, provers, at)
        {
            let kind = entry.kind();
            return Ok(match self.takes(kind, request, judged) {
                Ok(()) => self.known(held.insert(entry), at.now),
                Err(evidence) => Known::of_kind(evidence, kind),
            });
        }
        // before the stamps are: a lease that allows it may have come with ends that they tell of
        let cached_for = shared.tokens.cached_for(Duration::from_millis(judged.cached_for_ms()));
        if let Some(name) = name
            && cached_for > 0
            && let Cached::Lapsed { since, known: Some(entry) } = shared.tokens.cached(name, provers, at)
            && outlasts(since, cached_for, at.boot_ns)
            && self.takes(entry.kind(), request, judged).is_ok()
        {
            return Ok(self.known(held.insert(entry), at.now));
        }
        // whose token it says it is costs nothing to read, unlike its signature
        if let Presented::Bearer(text, None) = asked.presented
            && let Some(issuer) = shared.issuers.named_by(text.as_str())
            && let Err(evidence) = self.takes(CredentialKind::Issuer(issuer), request, judged)
        {
            return Ok(Known::of_kind(evidence, CredentialKind::Issuer(issuer)));
        }
        let authentic = match recognise(asked.presented, &keyring, &shared.mint, &shared.issuers, Some(place), at.now) {
            Ok(authentic) => authentic,
            Err(Unproved { evidence, kind: None, .. }) => return Ok(Known::nothing(evidence)),
            Err(Unproved { evidence, kind: Some(kind), is_forged }) => {
                if let (true, Some(name)) = (is_forged, name) {
                    shared.tokens.refuse(name, provers, kind, at);
                }
                return Ok(Known::of_kind(self.takes(kind, request, judged).err().unwrap_or(evidence), kind));
            }
        };
        if shared.tokens.is_unknown(&authentic, at) {
            return Ok(Known::nothing(NOT_OURS));
        }
        match (self.takes(authentic.kind, request, judged), name) {
            (Err(evidence), _) => Ok(Known::of_kind(evidence, authentic.kind)),
            (Ok(()), Some(name)) => Err(Question::Credential { name, provers, authentic }),
            // what is authentic has a name
            (Ok(()), None) => Ok(Known::of_kind(Evidence::Unavailable, authentic.kind)),
        }
    }

    /// Whether the rules take this kind of credential, sent from where it was.
    fn takes(&self, kind: CredentialKind, request: &Request<'_>, judged: &Judged<'_>) -> Result<(), Evidence<'static>> {
        if !judged.takes(kind) {
            return Err(Evidence::NotTaken(kind));
        }
        match kind == CredentialKind::Session && !request.page.may_use_session(request.method, &request.host, &self.shared.domains) {
            true => Err(Evidence::ForeignPage),
            false => Ok(()),
        }
    }

    fn known<'e>(&self, entry: &'e Entry, now: UnixMs) -> Known<'e> {
        let evidence = match entry.kind() {
            _ if entry.is_live() => Evidence::Live { holder: Shown::Kept(entry), expires_in_s: entry.expires_in_s(now, self.shared.ttl_s) },
            CredentialKind::Session => Evidence::EndedSession,
            _ => Evidence::Invalid("unknown or ended credential"),
        };
        Known { evidence, kind: Some(entry.kind()), used: Some(entry) }
    }
}

fn unavailable() -> Verdict<'static> {
    Verdict::deny(Denial::bare(Reason::StoreUnavailable, Reason::StoreUnavailable.usual_message()))
}

impl<'e> Known<'e> {
    fn nothing(evidence: Evidence<'e>) -> Self {
        Self { evidence, kind: None, used: None }
    }

    fn of_kind(evidence: Evidence<'e>, kind: CredentialKind) -> Self {
        Self { evidence, kind: Some(kind), used: None }
    }
}
