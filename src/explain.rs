//! `gatepost explain`: the engine that serves, on the files.
//!
//! It reads rules and configuration, and for a given token or key the secret keys and the SQLite
//! database; it asks no running process and changes nothing.

mod shown;

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;

use crate::args::ExplainArguments;
use crate::decision::credential::CredentialKind;
use crate::decision::request::Request;
use crate::decision::rules::RuleSet;
use crate::decision::trial::{Attributes, Trial};
use crate::decision::{Denial, Evidence, Judged, Reason, Verdict, decide};
use crate::dialect::{Call, Dialect, NOTHING_HERE, Proxy};

pub use shown::{shown, shown_live};

/// What stands behind a given token or key.
#[derive(Debug)]
pub struct Shown {
    /// What the gate would know.
    pub evidence: Evidence<'static>,
    /// The kind, where it is authentic.
    pub kind: Option<CredentialKind>,
    /// In words.
    pub state: String,
}

/// The gate to explain.
#[derive(Debug)]
pub struct Through {
    /// Whose dialect.
    pub proxy: Proxy,
    /// `denials.status`.
    pub denial_status: Option<u16>,
}

/// An explanation.
#[derive(Debug, serde::Serialize)]
pub struct Explanation {
    decision: &'static str,
    status: u16,
    reason: Option<&'static str>,
    message: Option<String>,
    rule: Option<String>,
    shadow: Option<&'static str>,
    missing_scopes: Option<String>,
    credential: Option<String>,
    gate: &'static str,
    candidates: Vec<Candidate>,
    answer: String,
}

#[derive(Debug, serde::Serialize)]
struct Candidate {
    rule: String,
    takes_method: bool,
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
    let dialect = Dialect::new(through.proxy, None, through.denial_status);
    let check = CheckParts::of(arguments)?;
    let trial = trial(arguments)?;
    let uri_bytes = arguments.url.as_deref().map(split_url);
    let request = match (&check, &trial, uri_bytes) {
        (Some(check), _, _) => {
            let asked = dialect.read(&check.method, &check.target, &check.headers);
            asked.call.map_or(Err(NOTHING_HERE), |_| asked.request)
        }
        (None, Some(trial), Some((host, uri))) => {
            Request::read(trial.method.as_bytes(), host, uri, trial.preflight_for.as_deref().map(str::as_bytes))
        }
        _ => return Err("METHOD and URL are needed, or --header".to_owned()),
    };
    let mut candidates = Vec::new();
    let credential = shown.as_ref().map(|shown| shown.state.clone());
    let verdict = if arguments.no_proxy_secret {
        Verdict::Deny(Denial::bare(Reason::ProxySecret, Reason::ProxySecret.usual_message()))
    } else {
        match &request {
            Err(fault) => Verdict::Deny(Denial::of_fault(*fault)),
            Ok(request) => {
                let judged = Judged::of(rules, request);
                let reading = request.path.readings().next().unwrap_or_default();
                candidates.extend(
                    rules
                        .candidates(request, reading)
                        .into_iter()
                        .map(|(rule, takes)| Candidate { rule: rule.id.clone(), takes_method: takes }),
                );
                decide(request, &judged, evidence(arguments, shown, trial.as_ref(), &judged)?)
            }
        }
    };
    Ok(Explanation::of(&verdict, &dialect, candidates, credential).await)
}

fn evidence(
    arguments: &ExplainArguments,
    shown: Option<Shown>,
    trial: Option<&Trial>,
    judged: &Judged<'_>,
) -> Result<Evidence<'static>, String> {
    match (shown, trial) {
        (Some(shown), _) => Ok(match shown.kind {
            Some(kind) if !judged.takes(kind) => Evidence::NotTaken(kind),
            _ => shown.evidence,
        }),
        (None, Some(trial)) => Ok(trial.evidence(judged)),
        (None, None) => Ok(made_up(arguments, Trial::parse("GET", "/")?)?.evidence(judged)),
    }
}

/// The trial that METHOD and URL stand for.
fn trial(arguments: &ExplainArguments) -> Result<Option<Trial>, String> {
    let (Some(method), Some(url)) = (&arguments.method, &arguments.url) else { return Ok(None) };
    let trial = Trial::parse(method, &url.to_string_lossy()).map_err(str::to_owned)?;
    made_up(arguments, trial).map(Some)
}

fn made_up(arguments: &ExplainArguments, trial: Trial) -> Result<Trial, String> {
    let credential = match arguments.credential.as_deref() {
        None if arguments.scopes.is_some() || !arguments.attributes.is_empty() || arguments.state != crate::args::State::Live => {
            Some(CredentialKind::Token)
        }
        None | Some("none") => None,
        Some(name) => Some(CredentialKind::from_name(name).ok_or("--credential is none, token, api_key, session or jwt")?),
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

/// Host and URI of a URL, as bytes: whatever the client sent can be tried.
fn split_url(url: &OsStr) -> (&[u8], &[u8]) {
    let bytes = url.as_bytes();
    for scheme in [&b"https://"[..], b"http://", b"wss://", b"ws://"] {
        if let Some(rest) = bytes.strip_prefix(scheme) {
            return match memchr::memchr(b'/', rest).and_then(|at| rest.split_at_checked(at)) {
                Some(parts) => parts,
                None => (rest, b"/"),
            };
        }
    }
    (b"localhost", bytes)
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
    async fn of(verdict: &Verdict<'_>, dialect: &Dialect, candidates: Vec<Candidate>, credential: Option<String>) -> Self {
        let answer = raw(dialect, verdict).await;
        let base = Self {
            decision: "allow",
            status: 200,
            reason: None,
            message: None,
            rule: None,
            shadow: None,
            missing_scopes: None,
            credential,
            gate: dialect.proxy().as_str(),
            candidates,
            answer,
        };
        match verdict {
            Verdict::Allow(permit) => Self {
                rule: Some(permit.rule().id.clone()),
                shadow: permit.shadowed().map(|denial| denial.reason.as_str()),
                message: permit.shadowed().map(|denial| denial.message.to_string()),
                ..base
            },
            Verdict::Deny(denial) => Self {
                decision: "deny",
                status: dialect.status_of(denial.reason),
                reason: Some(denial.reason.as_str()),
                message: Some(denial.message.to_string()),
                rule: denial.rule.map(|rule| rule.id.clone()),
                missing_scopes: denial
                    .scope
                    .as_ref()
                    .zip(denial.holder.as_ref())
                    .map(|(scope, holder)| crate::decision::scopes::ScopeSet::of(holder.grant.missing(scope)).to_string()),
                ..base
            },
        }
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut text = match self.reason {
            None => format!("allow  {}\n", self.status),
            Some(reason) => format!("deny  {} {reason}\n", self.status),
        };
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = writeln!(text, "  {name:<12}{value}");
            }
        };
        line("rule", self.rule.as_deref());
        line("message", self.message.as_deref());
        line(
            "shadow",
            self.shadow.map(|_| "the rule does not enforce: allowed, logged and counted as this refusal").filter(|_| self.shadow.is_some()),
        );
        line("would be", self.shadow);
        line("missing", self.missing_scopes.as_deref());
        line("credential", self.credential.as_deref());
        if !self.candidates.is_empty() {
            text.push_str("  rules for this host and path, most specific first:\n");
            for candidate in &self.candidates {
                let _ = writeln!(text, "    {}{}", candidate.rule, if candidate.takes_method { "" } else { "  (not this method)" });
            }
        }
        let _ = writeln!(text, "  {} gets:", self.gate);
        for line in self.answer.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text
    }
}

/// The answer as it goes to the proxy.
async fn raw(dialect: &Dialect, verdict: &Verdict<'_>) -> String {
    let answer = dialect.render(Call::Verify, verdict);
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
