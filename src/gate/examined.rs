//! A check that belongs to an examination: what is seen of it, and how it is answered in the manner asked for.
//!
//! SECURITY: what a nonce may let through is a GET of one path that no application has, once, and decided like everything else:
//! by `decide`, on a rule for that very path. Every other manner refuses more than usual, never less.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Request, StatusCode, Uri};

use super::aside::Aside;
use super::{Checked, Gate, Heard, HungUp};
use crate::clock::Moment;
use crate::decision::credential::{Carrier, CredentialKind, ticket};
use crate::decision::holder::{Grant, Holder};
use crate::decision::rules::{Method, PathPattern, Requirement, RuleSet, RuleSpec};
use crate::decision::scopes::ScopeSet;
use crate::decision::told::About;
use crate::decision::{Evidence, Judged, Verdict, decide};
use crate::dialect::{Answer, Asked, Call, NO_STORE};
use crate::examinations::{Found, Manner, Said, Sight, seen};

/// How long nothing is answered. Longer than what the shipped files wait for.
const SILENCE: Duration = Duration::from_secs(3);
/// Who is let through in [`Manner::Identify`].
const NAME: &str = "gatepost-doctor";

/// The nonce that this check carries.
#[cold]
pub(super) fn nonce_of<Body>(gate: &Gate, request: &Request<Body>) -> Option<Found> {
    let target = request.uri().path_and_query().map(|target| target.as_str().as_bytes());
    let values = request.headers().values().map(http::HeaderValue::as_bytes);
    gate.shared.examinations.find(target.into_iter().chain(values))
}

/// The answer to a check that carries this nonce.
#[cold]
pub(super) fn check<Body>(gate: &Arc<Gate>, found: Found, request: Request<Body>, connection: u64, at: Moment) -> Checked
where
    Body: Send + 'static,
{
    let (aside, gate) = (&gate.shared.aside, Arc::clone(gate));
    Checked::Later(Aside::new(aside, async move { answer(&gate, found, request, connection, at).await }))
}

async fn answer<Body>(gate: &Gate, found: Found, request: Request<Body>, connection: u64, at: Moment) -> Result<Answer, HungUp> {
    let (seen, body) = request.into_parts();
    let mut request = Request::from_parts(seen.clone(), body);
    let usual = match gate.answer(&mut request, at, &Heard::default()) {
        Ok(answer) => answer,
        Err(question) => gate.ask(question, request, at).await,
    };
    let (may_ask, allowed) = look(gate, &found, &seen, connection, at, &usual);
    if !may_ask {
        return Ok(usual);
    }
    match found.manner {
        Manner::Usual => Ok(usual),
        Manner::Allow | Manner::Identify => Ok(allowed.unwrap_or(usual)),
        Manner::Fail => {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer.headers_mut().extend([NO_STORE]);
            Ok(answer)
        }
        Manner::Silence => {
            tokio::time::sleep(SILENCE).await;
            Ok(usual)
        }
        Manner::HangUp => Err(HungUp),
    }
}

/// Keeps what is seen. Whether whoever asks may, and the answer that lets it through, where it may be.
fn look(gate: &Gate, found: &Found, head: &Parts, connection: u64, at: Moment, usual: &Answer) -> (bool, Option<Answer>) {
    let shared = &gate.shared;
    let mut asked = gate.dialect.read(&head.method, &head.uri, &head.headers);
    let in_force = shared.in_force.load();
    let mut held = None;
    let call = asked.call;
    // looked at, not asked for again: nothing is charged and nothing kept alive
    asked.call = call.and(Some(Call::Explain));
    let heard = Heard::default();
    let decided = gate.decide(&asked, &in_force.rules, at, &heard, &mut held);
    let reason = match decided {
        Ok((Verdict::Deny(denial), _)) => Some(denial.reason),
        Ok((Verdict::Allow(_), _)) | Err(_) => None,
    };
    asked.call = call;
    shared.examinations.saw(Sight {
        nonce: found.nonce.clone(),
        gate: gate.dialect.proxy().as_str().to_owned(),
        connection,
        call: asked.call.map(|call| if call == Call::Verify { "verify" } else { "explain" }.to_owned()),
        line: line(head.method.as_str(), &head.uri),
        headers: seen(head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())), &found.nonce),
        method: said(asked.told.method),
        uri: said(asked.told.uri),
        host: said(asked.told.host),
        proto: said(asked.told.proto),
        fault: asked.request.as_ref().err().map(ToString::to_string),
        secret_is_right: asked.secret_is_right,
        announces_body: asked.announces_body,
        upgrade: asked.request.as_ref().is_ok_and(|request| request.page.upgrade),
        allowed: usual.status() == StatusCode::OK,
        reason: reason.map(|reason| reason.as_str().to_owned()),
        status: reason.map_or(usual.status().as_u16(), |reason| gate.dialect.status_of(reason)),
    });
    let may_ask = asked.secret_is_right && asked.call.is_some();
    (may_ask, may_ask.then(|| allowed(gate, found, &asked)).flatten())
}

/// The 200 for what a nonce may let through.
fn allowed(gate: &Gate, found: &Found, asked: &Asked<'_>) -> Option<Answer> {
    let as_somebody = match found.manner {
        Manner::Allow => false,
        Manner::Identify => true,
        Manner::Usual | Manner::Fail | Manner::Silence | Manner::HangUp => return None,
    };
    let is_its_own = asked.call == Some(Call::Verify)
        && asked.told.method == Carrier::Once(b"GET")
        && asked.told.uri == Carrier::Once(found.path.as_bytes())
        && !asked.announces_body;
    let request = asked.request.as_ref().ok().filter(|_| is_its_own)?;
    let requirement = match as_somebody {
        true => Requirement::token(),
        false => Requirement::anonymous(),
    };
    let path = PathPattern::parse(&found.path).ok()?;
    let spec =
        RuleSpec { id: NAME.to_owned(), hosts: Vec::new(), methods: vec![Method::parse("GET")?], path, fallthrough: false, requirement };
    let rules = RuleSet::compile(vec![spec]).ok()?;
    let judged = Judged::of(&rules, request);
    let evidence = match as_somebody {
        true => Evidence::made(somebody(), Some(60)),
        false => Evidence::Nothing,
    };
    let verdict = decide(request, &judged, evidence);
    let passes = matches!(verdict, Verdict::Allow(_)) && gate.shared.examinations.spend(&found.nonce);
    passes.then(|| {
        let (gate_name, request_id) = (gate.dialect.proxy().as_str(), asked.request_id().unwrap_or("-"));
        // the line before says what the rules say
        tracing::info!(target: "gatepost::check", result = "allow", gate = gate_name, request_id, rule = NAME, reason = "-", key_id = "-");
        gate.dialect.answer_in_full(&verdict)
    })
}

/// Fixed, so that nobody can be impersonated.
fn somebody() -> Holder {
    Holder {
        kind: CredentialKind::Token,
        uid: NAME.to_owned(),
        name: NAME.to_owned(),
        tenant: NAME.to_owned(),
        role: String::new(),
        key_id: NAME.to_owned(),
        networks: Vec::new(),
        subject: About::default(),
        key: About::default(),
        grant: Grant { allow: ScopeSet::parse([NAME]).unwrap_or_default(), deny: ScopeSet::default() },
    }
}

fn line(method: &str, target: &Uri) -> String {
    // a ticket, where the line carries the original URI
    let shown = target
        .path_and_query()
        .filter(|target| ticket::may_stand_in(target.as_str().as_bytes()))
        .map_or_else(|| target.to_string(), |_| target.path().to_owned());
    crate::decisions::kept(format!("{method} {shown}").as_bytes())
}

fn said(carrier: Carrier<'_>) -> Said {
    match carrier {
        Carrier::Absent => Said::default(),
        Carrier::Once(value) if ticket::may_stand_in(value) => Said { times: 1, value: None },
        Carrier::Once(value) => Said { times: 1, value: Some(String::from_utf8_lossy(value).chars().take(1024).collect()) },
        Carrier::Doubled => Said { times: 2, value: None },
    }
}
