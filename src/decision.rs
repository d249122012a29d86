//! The decision: pure functions from request, rules and evidence to a verdict.
//!
//! It does no I/O, reads no clock and knows no server, so it cannot fail; whatever could not be
//! found out comes in as [`Evidence`]. A 200 can only be rendered from a [`Permit`], and only
//! [`decide`] makes one.

pub mod cookies;
pub mod credential;
pub mod holder;
pub mod issuer;
pub mod limit;
pub mod network;
pub mod page;
pub mod path;
pub mod reason;
pub mod request;
pub mod rules;
pub(crate) mod same;
pub mod scopes;
pub mod told;
pub mod trial;

use std::borrow::Cow;

use credential::{CredentialKind, Ways};
use holder::{Grant, Holder, Identity};
use http::HeaderValue;
use limit::{Allowance, Exceeded, Limited};
use path::Path;
pub use reason::Reason;
use request::{Request, RequestFault};
use rules::{Accepts, Attribute, Demand, Found, Requirement, Rule, RuleSet};
use scopes::{Scope, ScopeSet};

/// Below this a login goes on from host to host.
const LOGINS: &[u8] = b"/.gatepost/";

/// What is known of the presented credential.
#[derive(Debug)]
pub enum Evidence<'e> {
    /// Nothing was presented.
    Nothing,
    /// A kind that was not looked up, because a rule does not take it.
    NotTaken(CredentialKind),
    /// Malformed, forged, unknown, ended, or two carriers that differ. The text says what, never the credential.
    Invalid(&'static str),
    /// A session that is forged, unknown or has ended: its person may log in anew.
    EndedSession,
    /// A ticket that let something pass already.
    UsedTicket,
    /// A session, and another site's page may have sent the request.
    ForeignPage,
    /// The store could not be asked.
    Unavailable,
    /// Live.
    Live {
        /// Whose it is.
        holder: Shown<'e>,
        /// Seconds left if not used again; `None` = no end known.
        expires_in_s: Option<u64>,
    },
}

/// A holder as evidence shows it.
#[derive(Debug)]
pub enum Shown<'e> {
    /// One that is kept.
    Kept(&'e dyn Identity),
    /// One that was made for this decision.
    Made(Box<Holder>),
}

impl Evidence<'_> {
    /// A live one, made for this decision.
    pub fn made(holder: Holder, expires_in_s: Option<u64>) -> Self {
        Self::Live { holder: Shown::Made(Box::new(holder)), expires_in_s }
    }
}

impl Shown<'_> {
    fn get(&self) -> &dyn Identity {
        match self {
            Self::Kept(holder) => *holder,
            Self::Made(holder) => &**holder,
        }
    }
}

/// What the rules demand of one request: one entry per reading of its path.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'r> {
    first: Demanded<'r>,
    second: Option<Demanded<'r>>,
    /// Whether one of them is a rule that lets nobody pass unknown.
    identifies: bool,
}

/// What the rules say to one reading.
#[derive(Debug, Clone, Copy)]
enum Demanded<'r> {
    Rule(&'r Rule),
    Preflight(&'r Rule),
    Refused(Reason),
}

impl<'r> Judged<'r> {
    /// Finds what the rules say to each reading of a request.
    pub fn of(rules: &'r RuleSet, request: &Request<'_>) -> Self {
        let mut demanded = request.path.readings().map(|reading| match rules.find(request, reading) {
            Found::Rule(rule) => Demanded::Rule(rule),
            Found::Preflight(rule) => Demanded::Preflight(rule),
            Found::MethodNotListed => Demanded::Refused(Reason::MethodNotListed),
            Found::NoRule => Demanded::Refused(Reason::NoRule),
        });
        let first = demanded.next().unwrap_or(Demanded::Refused(Reason::NoRule));
        let second = demanded.next();
        let identifies = |demanded| matches!(demanded, Demanded::Rule(rule) if !rule.requirement.anonymous);
        Self { first, second, identifies: identifies(first) || second.is_some_and(identifies) }
    }

    fn each(&self) -> impl Iterator<Item = Demanded<'r>> {
        std::iter::once(self.first).chain(self.second)
    }

    /// The same with the reading of that path.
    fn each_with<'p>(&self, path: &'p Path<'_>) -> impl Iterator<Item = (Demanded<'r>, &'p [u8])> {
        let second = self.second.zip(path.without_parameters());
        [Some((self.first, path.whole())), second].into_iter().flatten()
    }

    /// Whether a credential decides: not where everything is anonymous, nor where a reading is refused anyway.
    pub fn asks_for_credential(&self) -> bool {
        self.identifies && self.each().all(|demanded| !matches!(demanded, Demanded::Refused(_)))
    }

    /// Whether every rule concerned takes this kind.
    pub fn takes(&self, kind: CredentialKind) -> bool {
        self.each().all(|demanded| match demanded {
            Demanded::Rule(rule) => rule.requirement.anonymous || rule.requirement.credentials.takes(kind),
            _ => true,
        })
    }

    /// How long what is cached is used without the store, in ms: as long as every rule concerned says.
    pub fn cached_for_ms(&self) -> u64 {
        let of = |demanded| match demanded {
            Demanded::Rule(rule) if !rule.requirement.anonymous => Some(rule.requirement.cached_for_ms),
            _ => None,
        };
        self.each().filter_map(of).min().unwrap_or_default()
    }

    /// Whether a rule concerned says how much may pass.
    pub fn says_limits(&self) -> bool {
        self.each().any(|demanded| matches!(demanded, Demanded::Rule(rule) if !rule.requirement.limits.is_empty()))
    }

    /// What the rules concerned allow, in place of what is agreed about the credential; nothing where they do not say. A rule that
    /// both readings meet says it once.
    pub fn limits(&self) -> impl Iterator<Item = &'r Limited> + Clone + use<'r> {
        let of = |demanded| match demanded {
            Demanded::Rule(rule) => Some(rule),
            _ => None,
        };
        let (first, second) = (of(self.first), self.second.and_then(of));
        let other = second.filter(|second| first.is_none_or(|first| first.number != second.number));
        [first, other].into_iter().flatten().flat_map(|rule| rule.requirement.limits.as_slice())
    }

    /// The rule of the first reading.
    pub fn rule(&self) -> Option<&'r Rule> {
        match self.first {
            Demanded::Rule(rule) | Demanded::Preflight(rule) => Some(rule),
            Demanded::Refused(_) => None,
        }
    }
}

/// The answer to a check.
#[derive(Debug)]
pub enum Verdict<'r> {
    /// It may go through.
    Allow(Permit<'r>),
    /// It may not. In a box, because verdicts are handed on and most of them are allows.
    Deny(Box<Denial<'r>>),
}

impl<'r> Verdict<'r> {
    /// A refusal.
    pub fn deny(denial: Denial<'r>) -> Self {
        Self::Deny(Box::new(denial))
    }
}

/// Leave to pass. Made by [`decide`] alone; a 200 cannot be rendered without one.
#[derive(Debug)]
pub struct Permit<'r> {
    rule: &'r Rule,
    holder: Option<Shown<'r>>,
    expires_in_s: Option<u64>,
    /// The demanded scopes that the holder holds, where what is told depends on them.
    met: Vec<&'r Scope>,
    /// What a shadow rule would have refused.
    shadowed: Option<Box<Denial<'r>>>,
}

impl<'r> Permit<'r> {
    /// The rule that let it pass.
    pub fn rule(&self) -> &'r Rule {
        self.rule
    }

    /// Who passes; `None` on anonymous rules and preflights.
    pub fn holder(&self) -> Option<&dyn Identity> {
        self.holder.as_ref().map(Shown::get)
    }

    /// Seconds left if not used again; `None` = no end known.
    pub fn expires_in_s(&self) -> Option<u64> {
        self.expires_in_s
    }

    /// `X-Auth-Scopes`.
    pub fn scopes(&self) -> ScopeSet {
        self.holder().map(|holder| holder.grant().effective(&self.met)).unwrap_or_default()
    }

    /// `X-Auth-Scopes` as a header's value, where `told` does not say it.
    pub fn scopes_value(&self) -> HeaderValue {
        holder::header_value(&self.scopes().to_string())
    }

    /// What would have been refused, were the rule not a shadow.
    pub fn shadowed(&self) -> Option<&Denial<'r>> {
        self.shadowed.as_deref()
    }
}

/// A refusal.
#[derive(Debug, Clone)]
pub struct Denial<'r> {
    /// The stable code.
    pub reason: Reason,
    /// For humans: lower case, no secrets.
    pub message: Cow<'static, str>,
    /// The rule that refused, where one was found.
    pub rule: Option<&'r Rule>,
    /// For `insufficient_scope`: what the rule demands.
    pub scope: Option<ScopeSet>,
    /// Who was refused, where that is known.
    pub holder: Option<Box<Holder>>,
    /// Whether a person who asks for a page is invited to log in instead.
    pub to_login: bool,
    /// Where a client learns whose tokens would be taken (RFC 9728), where another issuer's would be.
    pub metadata: Option<String>,
    /// For `rate_limited` and `quota_exceeded`: what is used up.
    pub exceeded: Option<Exceeded>,
}

impl Denial<'_> {
    /// A refusal before any rule was found.
    pub fn bare(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), rule: None, scope: None, holder: None, to_login: false, exceeded: None, metadata: None }
    }

    /// The refusal of a request that cannot be judged.
    pub fn of_fault(fault: RequestFault) -> Self {
        let reason = match fault {
            RequestFault::NotDescribed(_) => Reason::RequestNotDescribed,
            RequestFault::Path(_) => Reason::PathRefused,
        };
        Self::bare(reason, fault.to_string())
    }
}

/// Decides: every reading of the path must be allowed, by what its rule demands and the evidence shows.
pub fn decide<'r>(request: &Request<'_>, judged: &Judged<'r>, evidence: Evidence<'r>) -> Verdict<'r> {
    let mut shadowed = None;
    for (demanded, reading) in judged.each_with(&request.path) {
        let (rule, denial) = match demanded {
            Demanded::Preflight(rule) => (rule, comes_from(&rule.requirement, request)),
            Demanded::Refused(reason) => return Verdict::deny(Denial::bare(reason, reason.usual_message())),
            Demanded::Rule(rule) => (rule, meets(&rule.requirement, reading, request, &evidence)),
        };
        let Err(refusal) = denial else { continue };
        let denial = refusal.told(rule, request, &evidence);
        if !rule.requirement.shadow {
            return Verdict::deny(denial);
        }
        shadowed.get_or_insert_with(|| Box::new(denial));
    }
    let Some(rule) = judged.rule() else { return Verdict::deny(Denial::bare(Reason::NoRule, Reason::NoRule.usual_message())) };
    let (holder, expires_in_s) = match evidence {
        Evidence::Live { holder, expires_in_s } if judged.identifies => (Some(holder), expires_in_s),
        _ => (None, None),
    };
    let cut = holder.as_ref().map(|holder| holder.get().grant()).filter(|grant| !grant.same_for_all());
    let met = cut.map(|grant| met(judged, grant)).unwrap_or_default();
    Verdict::Allow(Permit { rule, holder, expires_in_s, met, shadowed })
}

/// What becomes of leave to pass where a limit is used up: a refusal, or what a shadow rule would have refused.
pub fn limited<'r>(permit: Permit<'r>, exceeded: Exceeded) -> Verdict<'r> {
    let reason = match exceeded.allowance {
        Allowance::Rate(_) => Reason::RateLimited,
        Allowance::Quota(_) => Reason::QuotaExceeded,
    };
    withdrawn(permit, reason, Some(exceeded))
}

/// The same where nobody can say whether it is.
pub fn unmetered(permit: Permit<'_>) -> Verdict<'_> {
    withdrawn(permit, Reason::StoreUnavailable, None)
}

fn withdrawn<'r>(permit: Permit<'r>, reason: Reason, exceeded: Option<Exceeded>) -> Verdict<'r> {
    let holder = permit.holder().map(|holder| Box::new(holder.holder()));
    let denial = Denial { rule: Some(permit.rule), holder, exceeded, ..Denial::bare(reason, reason.usual_message()) };
    match permit.rule.requirement.shadow {
        true => Verdict::Allow(Permit { shadowed: permit.shadowed.or_else(|| Some(Box::new(denial))), ..permit }),
        false => Verdict::deny(denial),
    }
}

/// Whether a login may help whoever asks, and would be understood: a person in a browser without a live session. Nobody who presented
/// something else, or two cookies of a name: they would be sent round in circles, as
/// would be whoever is on the way of a login already.
fn leads_to_login(rule: &Rule, request: &Request<'_>, evidence: &Evidence<'_>) -> bool {
    rule.requirement.login_redirect
        && matches!(evidence, Evidence::Nothing | Evidence::EndedSession)
        && request.method == b"GET"
        && request.page.is_navigation()
        && !request.path.readings().any(|reading| reading.starts_with(LOGINS))
}

/// The address of the document that says whose tokens are taken at the host of a request, where a rule takes another issuer's.
fn metadata_of(rule: &Rule, request: &Request<'_>) -> Option<String> {
    if !rule.requirement.credentials.takes_issuers() {
        return None;
    }
    // the same bytes as the host, which is a name and a port and nothing else; where only the host is known, that
    let authority = if request.page.authority.is_empty() { request.host.as_bytes() } else { request.page.authority };
    let scheme = if request.page.in_the_clear { "http" } else { "https" };
    std::str::from_utf8(authority).ok().map(|authority| format!("{scheme}://{authority}{}", issuer::METADATA_PATH))
}

/// The demanded scopes that the holder holds.
fn met<'r>(judged: &Judged<'r>, grant: &Grant) -> Vec<&'r Scope> {
    let demanded = judged.each().filter_map(|demanded| match demanded {
        Demanded::Rule(Rule { requirement: Requirement { scopes: Demand::All(set) | Demand::Any(set), .. }, .. }) => Some(set),
        _ => None,
    });
    demanded.flat_map(ScopeSet::iter).filter(|scope| grant.holds(scope)).collect()
}

/// Why a requirement is not met.
struct Refusal {
    reason: Reason,
    message: Cow<'static, str>,
    scope: Option<ScopeSet>,
}

impl Refusal {
    /// In a box, because most requirements are met.
    fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { reason, message: message.into(), scope: None })
    }

    /// The same in full.
    #[cold]
    #[inline(never)]
    fn told<'r>(self, rule: &'r Rule, request: &Request<'_>, evidence: &Evidence<'_>) -> Denial<'r> {
        let holder = match evidence {
            Evidence::Live { holder, .. } => Some(Box::new(holder.get().holder())),
            _ => None,
        };
        Denial {
            reason: self.reason,
            message: self.message,
            rule: Some(rule),
            scope: self.scope,
            holder,
            to_login: leads_to_login(rule, request, evidence),
            exceeded: None,
            metadata: metadata_of(rule, request),
        }
    }
}

/// Whether the evidence meets a requirement for one reading of the path.
fn meets(requirement: &Requirement, reading: &[u8], request: &Request<'_>, evidence: &Evidence<'_>) -> Result<(), Box<Refusal>> {
    if requirement.anonymous {
        return Ok(());
    }
    // before anything is said of a credential: nobody outside learns whether one is live
    comes_from(requirement, request)?;
    let holder = match evidence {
        Evidence::Live { holder, .. } => holder.get(),
        _ => return Err(shows_nobody(requirement, request, evidence)),
    };
    if !requirement.credentials.takes(holder.kind()) {
        return Err(not_taken(requirement, holder.kind(), request.ways));
    }
    if let Some(why) = request.client.is_outside(holder.networks()) {
        return Err(Refusal::new(Reason::NetworkRefused, why));
    }
    if !requirement.tenants.is_empty() && !requirement.tenants.iter().any(|tenant| holder.is(Attribute::Tenant, tenant.as_bytes())) {
        return Err(Refusal::new(Reason::TenantMismatch, "this tenant may not pass here"));
    }
    for clause in &requirement.matches {
        let given = path::segments(reading).nth(clause.segment);
        if !given.is_some_and(|given| holder.is(clause.attribute, given)) {
            return Err(Refusal::new(Reason::MatchFailed, format!("`{}` in the path is not yours", clause.parameter)));
        }
    }
    demand_met(&requirement.scopes, holder.grant())
}

/// Why evidence without a live holder meets no requirement.
#[cold]
#[inline(never)]
fn shows_nobody(requirement: &Requirement, request: &Request<'_>, evidence: &Evidence<'_>) -> Box<Refusal> {
    match evidence {
        Evidence::Nothing => {
            let message = format!("no credential: {}", how_to_get(requirement.credentials, request.ways));
            Refusal::new(Reason::NoCredential, message)
        }
        Evidence::NotTaken(kind) => not_taken(requirement, *kind, request.ways),
        Evidence::Invalid(why) => Refusal::new(Reason::InvalidCredential, *why),
        Evidence::UsedTicket => Refusal::new(Reason::TicketUsed, Reason::TicketUsed.usual_message()),
        Evidence::EndedSession => Refusal::new(Reason::InvalidCredential, "unknown or ended session"),
        Evidence::ForeignPage => {
            let message = "a session stands for this request only where a page of the same host sends it: send Sec-Fetch-Site or Origin";
            Refusal::new(Reason::CredentialNotAccepted, message)
        }
        // a live one is not asked about, and would not pass
        Evidence::Unavailable | Evidence::Live { .. } => Refusal::new(Reason::StoreUnavailable, "authorization unavailable"),
    }
}

/// Whether a request comes from where a requirement lets any come from.
fn comes_from(requirement: &Requirement, request: &Request<'_>) -> Result<(), Box<Refusal>> {
    match request.client.is_outside(&requirement.networks) {
        Some(why) => Err(Refusal::new(Reason::NetworkRefused, why)),
        None => Ok(()),
    }
}

fn demand_met(demand: &Demand, grant: &Grant) -> Result<(), Box<Refusal>> {
    let (wanted, met, how) = match demand {
        Demand::Nothing => return Ok(()),
        Demand::All(set) => (set, set.iter().all(|scope| grant.holds(scope)), "missing scope"),
        Demand::Any(set) => (set, set.iter().any(|scope| grant.holds(scope)), "missing one of these scopes"),
    };
    if met {
        return Ok(());
    }
    let missing = ScopeSet::of(grant.missing(wanted));
    let message = format!("{how}: {missing}").into();
    Err(Box::new(Refusal { reason: Reason::InsufficientScope, message, scope: Some(wanted.clone()) }))
}

#[cold]
fn not_taken(requirement: &Requirement, kind: CredentialKind, ways: Option<&Ways>) -> Box<Refusal> {
    let message = format!("this route does not take {}: {}", kind_in_words(kind), how_to_get(requirement.credentials, ways));
    Refusal::new(Reason::CredentialNotAccepted, message)
}

fn kind_in_words(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Token => "an access token",
        CredentialKind::ApiKey => "an API key directly",
        CredentialKind::Session => "a browser's session",
        CredentialKind::Jwt => "a login's JWT",
        CredentialKind::Ticket => "a ticket",
        CredentialKind::Issuer(_) => "a token of this issuer",
    }
}

fn how_to_get(accepts: Accepts, ways: Option<&Ways>) -> String {
    let (token, key) = match ways {
        None => ("`Authorization: Bearer`", "`X-Api-Key`"),
        Some(ways) => (ways.token.as_str(), ways.key.as_str()),
    };
    let others = || {
        (!token.is_empty()).then(|| format!("a token of another issuer in {token} (`resource_metadata` of WWW-Authenticate tells whose)"))
    };
    let own = CredentialKind::OWN.into_iter().filter(|kind| accepts.takes(*kind));
    let ways = own.filter_map(|kind| match kind {
        CredentialKind::Token => {
            (!token.is_empty()).then(|| format!("an access token in {token} (POST /get-token gives one for an API key)"))
        }
        CredentialKind::ApiKey => (!key.is_empty()).then(|| format!("an API key in {key}")),
        CredentialKind::Session => Some("the session of a login in a browser".to_owned()),
        CredentialKind::Jwt => (!token.is_empty()).then(|| format!("a login's JWT in {token} (POST /v1/login gives one)")),
        CredentialKind::Ticket => Some("a ticket in the query, `?ticket=` (POST /v1/tickets gives one)".to_owned()),
        CredentialKind::Issuer(_) => others(),
    });
    match ways.chain(accepts.takes_issuers().then(others).flatten()).collect::<Vec<_>>() {
        ways if ways.is_empty() => "this gate reads none that is taken here".to_owned(),
        ways => format!("send {}", ways.join(" or ")),
    }
}

#[cfg(test)]
mod tests;
