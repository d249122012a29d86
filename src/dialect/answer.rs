//! Answers: a verdict as the bytes one proxy understands.

use std::mem;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::{Call, Dialect, NO_STORE, Proxy, number};
use crate::decision::holder::Told;
use crate::decision::limit::{Allowance, Exceeded, Period, Quota};
use crate::decision::{Denial, Permit, Reason, Verdict};

/// What a gate answers.
pub type Answer = Response<Full<Bytes>>;

/// Ends the connection after this answer.
pub const CLOSE: (HeaderName, HeaderValue) = (CONNECTION, HeaderValue::from_static("close"));

const USER: HeaderName = HeaderName::from_static("x-auth-user");
const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
const TENANT: HeaderName = HeaderName::from_static("x-auth-tenant");
const KEY_ID: HeaderName = HeaderName::from_static("x-auth-key-id");
const EXPIRES_IN: HeaderName = HeaderName::from_static("x-auth-expires-in");
const DENY_STATUS: HeaderName = HeaderName::from_static("x-deny-status");
const DENY_REASON: HeaderName = HeaderName::from_static("x-deny-reason");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const EMPTY: HeaderValue = HeaderValue::from_static("");
const RETRY_SOON: (HeaderName, HeaderValue) = (RETRY_AFTER, HeaderValue::from_static("1"));

/// The status that a client gets where the gate gives this answer: nginx asks once more for what it cannot say.
pub fn final_status(answer: &Answer) -> u16 {
    let told = answer.headers().get(DENY_STATUS).and_then(|value| value.to_str().ok()?.parse().ok());
    told.unwrap_or_else(|| answer.status().as_u16())
}

/// The body of a refusal.
#[derive(serde::Serialize)]
struct Refused<'a> {
    data: [(); 0],
    status: &'static str,
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Dialect {
    /// The answer to `call`.
    pub fn render(&self, call: Call, verdict: &Verdict<'_>) -> Answer {
        match (call, verdict) {
            (Call::Verify, Verdict::Allow(permit)) => self.allow(permit, &mut HeaderMap::new()),
            // never 2xx, whatever misroutes a client's request here (BYP-126)
            (Call::Explain, Verdict::Allow(_)) => {
                let mut answer = json(503, "not refused any more: try again", None);
                answer.headers_mut().extend([RETRY_SOON]);
                answer
            }
            (Call::Verify, Verdict::Deny(denial)) if self.proxy == Proxy::Nginx => {
                self.refuse_in_nginx(denial, self.status_of(denial.reason))
            }
            (_, Verdict::Deny(denial)) => self.refuse(call, denial),
        }
    }

    /// What a permit lets say, each identity header exactly once: 200 and no body. `used` is a map of headers whose memory the answer takes:
    /// what it held goes, and an empty one is left. Only an answer with more headers than that had needs more.
    pub fn allow(&self, permit: &Permit<'_>, used: &mut HeaderMap) -> Answer {
        self.allow_saying(self.said.standard, permit, used)
    }

    /// The answer to an examination: with the standard five, whether or not the gate is configured to say them.
    pub fn answer_in_full(&self, verdict: &Verdict<'_>) -> Answer {
        match verdict {
            Verdict::Allow(permit) => self.allow_saying(true, permit, &mut HeaderMap::new()),
            Verdict::Deny(_) => self.render(Call::Verify, verdict),
        }
    }

    fn allow_saying(&self, the_five: bool, permit: &Permit<'_>, used: &mut HeaderMap) -> Answer {
        let mut answer = Answer::new(Full::default());
        let headers = answer.headers_mut();
        mem::swap(headers, used);
        headers.clear();
        let expires_in_s = permit.expires_in_s();
        let Some(holder) = permit.holder() else {
            self.said.write(headers, None, expires_in_s);
            if the_five {
                headers.extend([(USER, EMPTY), (SCOPES, EMPTY), (TENANT, EMPTY), (KEY_ID, EMPTY), (EXPIRES_IN, EMPTY)]);
            }
            return answer;
        };
        let mut told = holder.told(&self.said.further);
        let scopes = told.scopes.take().unwrap_or_else(|| permit.scopes_value());
        self.said.write(headers, Some((&told, &scopes)), expires_in_s);
        if the_five {
            let Told { user, tenant, key_id, .. } = told;
            headers.insert(USER, user);
            headers.insert(SCOPES, scopes);
            headers.insert(TENANT, tenant);
            headers.insert(KEY_ID, key_id);
            headers.insert(EXPIRES_IN, expires_in_s.map_or(EMPTY, number::value));
        }
        answer
    }

    /// The final status of a reason.
    pub fn status_of(&self, reason: Reason) -> u16 {
        match (reason.status(), self.denial_status) {
            (401 | 403, Some(fixed)) => fixed,
            (status, _) => status,
        }
    }

    /// 401 or 403, with the status that `/explain` answers.
    pub(super) fn refuse_in_nginx(&self, denial: &Denial<'_>, status: u16) -> Answer {
        let mut answer = Answer::new(Full::default());
        *answer.status_mut() = if denial.reason.status() == 401 { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        let headers = answer.headers_mut();
        headers.extend([NO_STORE]);
        headers.insert(DENY_STATUS, HeaderValue::from(status));
        headers.insert(DENY_REASON, HeaderValue::from_static(denial.reason.as_str()));
        explain_refusal(headers, denial);
        answer
    }

    fn refuse(&self, call: Call, denial: &Denial<'_>) -> Answer {
        let reason = (call == Call::Explain).then_some(denial.reason.as_str());
        let mut answer = json(self.status_of(denial.reason), &denial.message, reason);
        explain_refusal(answer.headers_mut(), denial);
        answer
    }
}

fn explain_refusal(headers: &mut http::HeaderMap, denial: &Denial<'_>) {
    if let Some(challenge) = denial.reason.challenge(denial.scope.as_ref()) {
        // RFC 9728 §5.1; what is named in it is an address of letters, digits and no quotes
        let challenge = match &denial.metadata {
            Some(metadata) => format!(r#"{challenge}, resource_metadata="{metadata}""#),
            None => challenge,
        };
        headers.extend(HeaderValue::try_from(challenge).ok().map(|challenge| (WWW_AUTHENTICATE, challenge)));
    }
    if denial.reason == Reason::StoreUnavailable {
        headers.extend([RETRY_SOON]);
    }
    if let Some(exceeded) = denial.exceeded {
        tell_limit(headers, exceeded);
    }
}

/// `Retry-After` (RFC 9110 §10.2.3), and `RateLimit-Policy` and `RateLimit` as draft-ietf-httpapi-ratelimit-headers-10 defines them: the quota
/// `q` of each window of `w` seconds, what remains of it and in how many seconds there is more.
fn tell_limit(headers: &mut HeaderMap, exceeded: Exceeded) {
    let (name, quota, window_s) = match exceeded.allowance {
        Allowance::Rate(rate) => ("rate", rate.count, (rate.per_ms / 1000).max(1)),
        Allowance::Quota(Quota { amount, each: Period::Day }) => ("day", amount, 86_400),
        // the shortest month: whoever spreads its calls by this is on the safe side
        Allowance::Quota(Quota { amount, each: Period::Month }) => ("month", amount, 28 * 86_400),
    };
    let after_s = exceeded.retry_after_s;
    headers.insert(RETRY_AFTER, HeaderValue::from(after_s));
    for (header, text) in
        [(RATE_LIMIT_POLICY, format!("\"{name}\";q={quota};w={window_s}")), (RATE_LIMIT, format!("\"{name}\";r=0;t={after_s}"))]
    {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(header, value);
        }
    }
}

fn json(status: u16, message: &str, reason: Option<&'static str>) -> Answer {
    let body = Refused { data: [], status: "failed", code: status, message, reason };
    let mut answer = Answer::new(Full::from(serde_json::to_vec(&body).unwrap_or_default()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    answer.headers_mut().extend([NO_STORE, (CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    answer
}
