//! `gatepost explain`: the engine that serves, on the files, or on a running instance.
//!
//! It reads rules and configuration, and for a given token or key the secret keys and the database; it changes
//! nothing. With `--admin` a running instance is asked instead, by [`running`].

mod near;
pub mod running;
mod shown;

use std::fmt::Write;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;

use crate::args::ExplainArguments;
use crate::config::GateConfig;
use crate::decision::credential::CredentialKind;
use crate::decision::issuer::IssuerNames;
use crate::decision::limit::Limited;
use crate::decision::network::Client;
use crate::decision::request::Request;
use crate::decision::rules::{Rule, RuleSet};
use crate::decision::scopes::ScopeSet;
use crate::decision::trial::{Attributes, CredentialState, Trial, split_url};
use crate::decision::{Denial, Evidence, Judged, Reason, Verdict, decide};
use crate::dialect::{
    Answer, Asked, CLOSE, Call, Carriage, ClientIp, Dialect, IdentityHeaders, NOTHING_HERE, Proxy, final_status, further,
};

pub use shown::{shown, shown_live};

/// Most rules that nearly match to be shown.
const NEARLY: usize = 5;

/// What stands behind a given token or key.
#[derive(Debug)]
pub struct Shown {
    /// What the gate would know.
    pub evidence: Evidence<'static>,
    /// The kind, where it is authentic.
    pub kind: Option<CredentialKind>,
    /// What became of it.
    pub fate: Fate,
    /// The same in words.
    pub state: String,
    /// How much may pass, by whose word.
    pub limits: Vec<Limited>,
}

/// What became of a credential: more than a gate would tell anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is live.
    Live,
    /// It is authentic; whether it is live is known to the token store only, which was not asked.
    Assumed,
    /// It is not authentic: forged, malformed or of another installation.
    Forged,
    /// Its time is over.
    Expired,
    /// Somebody ended it.
    Ended,
    /// The key it is, or was minted from, has been deleted.
    KeyDeleted,
    /// The same, by its own end.
    KeyExpired,
    /// It is a secret that a rotation has replaced.
    SecretReplaced,
    /// Its owner, or someone above, is blocked or deleted.
    Blocked,
    /// The database has no row of it.
    Unknown,
    /// The token store cannot be asked.
    Unavailable,
}

impl Fate {
    /// A stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Assumed => "assumed_live",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::Ended => "ended",
            Self::KeyDeleted => "key_deleted",
            Self::KeyExpired => "key_expired",
            Self::SecretReplaced => "secret_replaced",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
            Self::Unavailable => "store_unavailable",
        }
    }
}

/// The gate to explain.
#[derive(Debug)]
pub struct Through {
    /// Whose dialect.
    pub proxy: Proxy,
    /// `denials.status`.
    pub denial_status: Option<u16>,
    /// What an outage of the store does.
    pub outage: Outage,
    /// Where it learns the client's address.
    pub client_ip: Option<ClientIp>,
    /// What an application is told.
    pub identity: IdentityHeaders,
    /// Where credentials stand.
    pub carriage: Option<Carriage>,
    /// Where the login pages are: `admin.public_url`.
    pub login_at: Option<String>,
}

impl Through {
    /// A gate for this proxy of which nothing is configured.
    pub fn unconfigured(proxy: Proxy) -> Self {
        Self {
            proxy,
            denial_status: None,
            outage: Outage::Embedded,
            client_ip: None,
            identity: IdentityHeaders::default(),
            carriage: None,
            login_at: None,
        }
    }

    /// This gate.
    pub fn of(gate: &GateConfig) -> Self {
        Self {
            client_ip: gate.client_ip.clone(),
            identity: gate.identity.clone(),
            carriage: gate.carriage.clone(),
            ..Self::unconfigured(gate.proxy)
        }
    }

    /// What it is told of a client that asks from there.
    fn client<'a>(&self, from: Option<IpAddr>) -> Client<'a> {
        match (&self.client_ip, from) {
            (None, _) => Client::NotConfigured,
            (Some(_), None) => Client::NotTold,
            (Some(_), Some(from)) => Client::At(from),
        }
    }
}

/// What a rule's `on_store_error: { allow_cached_for: … }` is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Nothing: the store is in the process.
    Embedded,
    /// `tokens.staleness_bound`.
    Bound(Duration),
}

/// An explanation.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Explanation {
    decision: String,
    status: u16,
    reason: Option<String>,
    message: Option<String>,
    rule: Option<String>,
    /// `FILE:LINE` of the rule, where rules stand in several files.
    written: Option<String>,
    shadow: Option<String>,
    missing_scopes: Option<String>,
    credential: Option<String>,
    /// How much may pass here: what the rule says, or else what is agreed about the credential.
    limits: Vec<String>,
    /// What became of it, as a stable code.
    credential_state: Option<String>,
    /// What the rule says of an outage, where it is not just 503.
    on_store_error: Option<String>,
    gate: String,
    /// The rules for host and path, most specific first.
    candidates: Vec<Candidate>,
    /// Rules that everything but one thing speaks for.
    nearly: Vec<Nearly>,
    answer: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Candidate {
    rule: String,
    takes_method: bool,
    /// `None` = it decides.
    why_not: Option<String>,
}

/// A rule that everything but one thing speaks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Nearly {
    rule: String,
    /// As written.
    place: String,
    why_not: String,
}

/// Explains. `shown` is what stands behind `--token` or `--api-key`.
///
/// # Errors
/// What is wrong with the arguments.
pub async fn explain(
    arguments: &ExplainArguments,
    through: &Through,
    rules: &RuleSet,
    shown: Option<Shown>,
) -> Result<Explanation, String> {
    let dialect = Dialect::new(through.proxy, None, through.denial_status)
        .with_login_at(through.login_at.clone())
        .with_carriage(through.carriage.clone())
        .with_client_ip(through.client_ip.clone())
        .with_identity(&through.identity, further([&through.identity]));
    let check = CheckParts::of(arguments)?;
    let trial = trial(arguments, rules.issuers())?;
    let place = arguments.url.as_deref().map(|url| split_url(url.as_bytes())).transpose()?;
    let asked = check.as_ref().map(|check| dialect.read(&check.method, &check.target, &check.headers));
    let request =
        match (&asked, &trial, &place) {
            (Some(asked), _, _) => asked.call.map_or(Err(NOTHING_HERE), |_| asked.request.clone()),
            (None, Some(trial), Some((host, uri))) => {
                Request::read(trial.method.as_bytes(), host, uri, trial.preflight_for.as_deref().map(str::as_bytes))
                    .map(|request| Request { client: through.client(arguments.from), ways: dialect.ways(), ..request })
            }
            _ => return Err("METHOD and URL are needed, or --header".to_owned()),
        };
    let (mut candidates, mut nearly) = (Vec::new(), Vec::new());
    let credential = shown.as_ref().map(|shown| (shown.fate, shown.state.clone()));
    let agreed = shown.as_ref().map(|shown| shown.limits.clone()).unwrap_or_default();
    let mut limits = Vec::new();
    let verdict = if arguments.no_proxy_secret {
        Verdict::deny(Denial::bare(Reason::ProxySecret, Reason::ProxySecret.usual_message()))
    } else {
        match &request {
            Err(fault) => Verdict::deny(Denial::of_fault(*fault)),
            Ok(request) => {
                let judged = Judged::of(rules, request);
                let reading = request.path.readings().next().unwrap_or_default();
                candidates = near::candidates(rules, request, reading);
                nearly = near::nearly(rules, request, reading);
                limits = judged.limits().map(ToString::to_string).collect();
                if limits.is_empty() && judged.asks_for_credential() {
                    limits = agreed.iter().map(ToString::to_string).collect();
                }
                let evidence = evidence(arguments, shown, trial.as_ref(), &judged, rules.issuers())?;
                CredentialState::from(arguments.state).charged(decide(request, &judged, evidence), &judged)
            }
        }
    };
    let answer = answer(&dialect, asked.as_ref(), &verdict);
    let mut explanation = Explanation { candidates, nearly, limits, ..Explanation::of(&verdict, &dialect, through.outage, answer).await };
    explanation.written = explanation.rule.as_ref().and_then(|id| rules.written(id)).map(ToString::to_string);
    if let Some((fate, state)) = credential {
        (explanation.credential_state, explanation.credential) = (Some(fate.as_str().to_owned()), Some(state));
    }
    Ok(explanation)
}

fn evidence(
    arguments: &ExplainArguments,
    shown: Option<Shown>,
    trial: Option<&Trial>,
    judged: &Judged<'_>,
    issuers: &IssuerNames,
) -> Result<Evidence<'static>, String> {
    match (shown, trial) {
        (Some(shown), _) => Ok(match shown.kind {
            Some(kind) if !judged.takes(kind) => Evidence::NotTaken(kind),
            _ => shown.evidence,
        }),
        (None, Some(trial)) => Ok(trial.evidence(judged)),
        (None, None) => Ok(made_up(arguments, Trial::parse("GET", "/")?, issuers)?.evidence(judged)),
    }
}

/// The trial that METHOD and URL stand for.
fn trial(arguments: &ExplainArguments, issuers: &IssuerNames) -> Result<Option<Trial>, String> {
    let (Some(method), Some(url)) = (&arguments.method, &arguments.url) else { return Ok(None) };
    let trial = Trial::parse(method, &url.to_string_lossy()).map_err(str::to_owned)?;
    made_up(arguments, trial, issuers).map(Some)
}

fn made_up(arguments: &ExplainArguments, trial: Trial, issuers: &IssuerNames) -> Result<Trial, String> {
    let credential = match arguments.credential.as_deref() {
        None if arguments.scopes.is_some() || !arguments.attributes.is_empty() || arguments.state != crate::args::State::Live => {
            Some(CredentialKind::Token)
        }
        None | Some("none") => None,
        Some(name) => Some(issuers.kind(name).ok_or_else(|| format!("--credential is none, {}", issuers.known()))?),
    };
    let mut holder = Attributes::default();
    for pair in &arguments.attributes {
        let (name, value) = pair.split_once('=').ok_or("--as takes NAME=VALUE")?;
        match name {
            "uid" => holder.uid = value.to_owned(),
            "name" => holder.name = value.to_owned(),
            "tenant" => holder.tenant = value.to_owned(),
            "role" => holder.role = value.to_owned(),
            "key_id" => holder.key_id = value.to_owned(),
            _ => return Err(format!("--as knows uid, name, tenant, role and key_id, not `{name}`")),
        }
    }
    let scopes = arguments.scopes.clone().unwrap_or_default();
    Ok(Trial { credential, state: arguments.state.into(), scopes, holder, preflight_for: arguments.preflight_for.clone(), ..trial })
}

/// The parts of a check given by `--header` and `--request-line`.
struct CheckParts {
    method: Method,
    target: Uri,
    headers: HeaderMap,
}

impl CheckParts {
    fn of(arguments: &ExplainArguments) -> Result<Option<Self>, String> {
        if arguments.headers.is_empty() && arguments.request_line.is_none() {
            return Ok(None);
        }
        let line = arguments.request_line.as_deref().unwrap_or("GET /verify");
        let (method, target) = line.split_once(' ').ok_or("--request-line takes `METHOD TARGET`")?;
        let mut headers = HeaderMap::new();
        for header in &arguments.headers {
            let bytes = header.as_bytes();
            let (name, value) =
                memchr::memchr(b':', bytes).and_then(|at| bytes.split_at_checked(at)).ok_or("--header takes `Name: value`")?;
            let name = HeaderName::from_bytes(name).map_err(|_| "not a header name")?;
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            headers.append(name, HeaderValue::from_bytes(value).map_err(|_| "not a header value")?);
        }
        let method = method.parse().map_err(|_| "not a method")?;
        let target = target.parse().map_err(|_| "the target of the request line is no URI: the server itself answers 400")?;
        Ok(Some(Self { method, target, headers }))
    }
}

impl Explanation {
    async fn of(verdict: &Verdict<'_>, dialect: &Dialect, outage: Outage, answer: Answer) -> Self {
        let status = final_status(&answer);
        let answer = raw(answer).await;
        let base = Self { decision: "allow".to_owned(), status: 200, gate: dialect.proxy().as_str().to_owned(), answer, ..Self::default() };
        let rule = |rule: &Rule| (Some(rule.id.clone()), in_outage(rule, outage));
        match verdict {
            Verdict::Allow(permit) => {
                let (rule, on_store_error) = rule(permit.rule());
                Self {
                    rule,
                    on_store_error,
                    shadow: permit.shadowed().map(|denial| denial.reason.as_str().to_owned()),
                    message: permit.shadowed().map(|denial| denial.message.to_string()),
                    missing_scopes: permit.shadowed().and_then(missing),
                    ..base
                }
            }
            Verdict::Deny(denial) => {
                let (rule, on_store_error) = denial.rule.map(rule).unwrap_or_default();
                Self {
                    decision: "deny".to_owned(),
                    status,
                    reason: Some(denial.reason.as_str().to_owned()),
                    message: Some(denial.message.to_string()),
                    rule,
                    on_store_error,
                    missing_scopes: missing(denial),
                    ..base
                }
            }
        }
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut text = match &self.reason {
            None => format!("allow  {}\n", self.status),
            Some(reason) => format!("deny  {} {reason}\n", self.status),
        };
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = writeln!(text, "  {name:<12}{value}");
            }
        };
        line("rule", self.rule.as_deref());
        line("written", self.written.as_deref());
        line("message", self.message.as_deref());
        line("shadow", self.shadow.as_ref().map(|_| "the rule does not enforce: allowed, logged and counted as this refusal"));
        line("would be", self.shadow.as_deref());
        line("missing", self.missing_scopes.as_deref());
        line("credential", self.credential.as_deref());
        line("outage", self.on_store_error.as_deref());
        for limit in &self.limits {
            line("limit", Some(limit));
        }
        if !self.candidates.is_empty() {
            text.push_str("  rules for this host and path, most specific first:\n");
            for Candidate { rule, why_not, .. } in &self.candidates {
                let _ = match why_not {
                    None => writeln!(text, "    {rule}"),
                    Some(why_not) => writeln!(text, "    {rule}  ({why_not})"),
                };
            }
        }
        if !self.nearly.is_empty() {
            text.push_str("  rules that nearly match:\n");
            for Nearly { rule, place, why_not } in &self.nearly {
                let _ = writeln!(text, "    {rule}  {place}  ({why_not})");
            }
        }
        let _ = writeln!(text, "  {} gets:", self.gate);
        for line in self.answer.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text
    }
}

/// The scopes that were missing.
fn missing(denial: &Denial<'_>) -> Option<String> {
    let (scope, holder) = denial.scope.as_ref().zip(denial.holder.as_ref())?;
    Some(ScopeSet::of(holder.grant.missing(scope)).to_string())
}

/// What a rule's `on_store_error` means, where it is not `deny`.
fn in_outage(rule: &Rule, outage: Outage) -> Option<String> {
    let wanted = Some(rule.requirement.cached_for_ms).filter(|wanted| *wanted > 0).map(Duration::from_millis)?;
    let said = format!("allow_cached_for {}", humantime::format_duration(wanted));
    let bound = match outage {
        Outage::Embedded => return Some(format!("{said}: no effect, the store is in the process")),
        Outage::Bound(bound) => bound,
    };
    Some(format!(
        "{said}: what is cached passes that long after the lease while the store cannot be asked, so what has ended may pass here for up to {} \
         (with tokens.staleness_bound {})",
        humantime::format_duration(wanted + bound),
        humantime::format_duration(bound)
    ))
}

/// What the gate answers. METHOD and URL alone are no browser, and ask `/verify`.
fn answer(dialect: &Dialect, asked: Option<&Asked<'_>>, verdict: &Verdict<'_>) -> Answer {
    let Some(asked) = asked else { return dialect.render(Call::Verify, verdict) };
    let mut answer = dialect.answer(asked, verdict);
    if asked.announces_body {
        answer.headers_mut().extend([CLOSE]);
    }
    answer
}

/// The answer as it goes to the proxy.
async fn raw(answer: Answer) -> String {
    let mut text = format!("HTTP/1.1 {}\n", answer.status());
    for (name, value) in answer.headers() {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let _ = writeln!(text, "content-length: {}", body.len());
    if !body.is_empty() {
        let _ = writeln!(text, "\n{}", String::from_utf8_lossy(&body));
    }
    text
}

#[cfg(test)]
mod tests;
