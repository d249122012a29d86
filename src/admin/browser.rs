//! Browsers on the admin listener: their cookies, and which of their requests a person meant.
//!
//! The console's cookie is good here only; the gate's cookies are no credential here. A request that changes something and
//! comes with a cookie must come from a page of our own and carry the session's token: cookies are sent by browsers, whoever
//! wrote the page.

use axum::http::header::{HOST, ORIGIN, REFERRER_POLICY};
use axum::http::{HeaderValue, Method, StatusCode};

use super::answer::Answer;
use super::failure::Failure;
use super::request::Call;
use super::{Admin, pages};
use crate::accounts::Refusal;
use crate::accounts::browsers::Browser;
use crate::accounts::proof::Proof;
use crate::accounts::return_to::{ReturnTo, Site, is_loopback};
use crate::accounts::sessions::Caller;
use crate::decision::credential::Carrier;
use crate::id::Id;

/// The console's cookie.
pub(super) const CONSOLE_COOKIE: &str = "__Host-gatepost-console";
/// Tells that somebody logged in from this browser before: no credential, but strangers' guesses do not keep it out.
const KNOWN_COOKIE: &str = "__Host-gatepost-known";
/// How long a browser is known: 90 days.
const KNOWN_FOR: &str = "; Max-Age=7776000";
/// Where a console sends the token of its session.
const X_CSRF_TOKEN: &str = "x-csrf-token";
/// Ends a cookie.
const ENDED: &str = "; Max-Age=0";

/// A redirect to be followed with GET, with these `Set-Cookie` headers.
pub(super) fn redirect(to: &str, cookies: impl IntoIterator<Item = String>) -> Answer {
    let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"));
    // an address may hold a code
    let answer = Answer::redirect(StatusCode::SEE_OTHER, to).header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    with_cookies(answer, cookies)
}

/// The answer with these `Set-Cookie` headers besides.
pub(super) fn with_cookies(answer: Answer, cookies: impl IntoIterator<Item = String>) -> Answer {
    cookies.into_iter().filter_map(|cookie| HeaderValue::try_from(cookie).ok()).fold(answer, Answer::cookie)
}

/// Opens a session of this browser for whoever gave this proof, sets its cookies, and sends it to `return_to`; whoever has a second
/// factor and did not give its code is asked for it.
///
/// # Errors
/// Where the session cannot be made, or the proof no longer stands.
pub(super) async fn enter(admin: &Admin, call: &Call, proof: &Proof, totp: Option<&str>, return_to: &ReturnTo) -> Result<Answer, Failure> {
    match open(admin, call, proof, totp).await {
        Ok(cookies) => Ok(redirect(&next_stop(admin, call, return_to), cookies)),
        Err(failure) if matches!(failure.code(), "second_factor_required" | "incorrect_second_factor") => {
            pages::second_factor::ask(admin, call, proof, return_to, Some(&failure).filter(|_| totp.is_some()))
        }
        Err(failure) => Err(failure),
    }
}

/// Opens a session of this browser for whoever gave this proof: its cookies, without the gate's where a second factor must be set up first.
///
/// # Errors
/// Where the session cannot be made, or the proof no longer stands.
pub(super) async fn open(admin: &Admin, call: &Call, proof: &Proof, totp: Option<&str>) -> Result<Vec<String>, Failure> {
    let before = call.cookie(CONSOLE_COOKIE).once().and_then(|value| admin.accounts.session_in_console_cookie(value));
    let session = admin.accounts.open_browser(proof, totp, before, call.origin).await?;
    let console = set_cookie(CONSOLE_COOKIE, &admin.accounts.console_cookie(session)?, None, "");
    let known = admin.accounts.remember_browser(proof)?.map(|value| set_cookie(KNOWN_COOKIE, &value, None, KNOWN_FOR));
    let gate = if admin.accounts.is_held_up(proof.uid()).await? { None } else { own_gate_cookie(admin, call, session)? };
    Ok(std::iter::once(console).chain(gate).chain(known).collect())
}

/// What this browser shows to be known.
pub(super) fn known(call: &Call) -> Option<&[u8]> {
    call.cookie(KNOWN_COOKIE).once()
}

/// The gate's cookie for the host of the login pages, with all that its domain covers.
///
/// # Errors
/// Where there is no secret key.
pub(super) fn own_gate_cookie(admin: &Admin, call: &Call, session: Id) -> Result<Option<String>, Failure> {
    own_host(admin, call).map(|host| gate_cookie(admin, session, &host)).transpose()
}

/// The gate's cookie for `host`.
///
/// # Errors
/// Where there is no secret key.
pub(super) fn gate_cookie(admin: &Admin, session: Id, host: &str) -> Result<String, Failure> {
    let cookie = admin.accounts.gate_cookie(session, host)?;
    Ok(set_cookie(cookie.name, &cookie.value, cookie.domain.as_deref(), ""))
}

/// Ends every cookie that can be ended from here; those of other hosts name a session that has ended.
pub(super) fn ended_cookies(admin: &Admin, call: &Call) -> Vec<String> {
    let console = set_cookie(CONSOLE_COOKIE, "", None, ENDED);
    let gate = own_host(admin, call).and_then(|host| admin.accounts.gate_cookie(Id::from_bytes([0; 16]), &host).ok());
    std::iter::once(console).chain(gate.map(|cookie| set_cookie(cookie.name, "", cookie.domain.as_deref(), ENDED))).collect()
}

/// A `Set-Cookie` value. A session's cookie has no end of its own: the browser forgets it when it closes.
pub(super) fn set_cookie(name: &str, value: &str, domain: Option<&str>, more: &str) -> String {
    let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{domain}{more}")
}

/// The host of the login pages as browsers see it.
fn own_host(admin: &Admin, call: &Call) -> Option<String> {
    admin.accounts.returns().own_site().map(|site| site.host).or_else(|| call.host())
}

/// What stands before the path of every own page: the path of `admin.public_url`.
pub(super) fn base(admin: &Admin) -> &str {
    let url = admin.accounts.returns().public_url.as_deref().unwrap_or_default();
    url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or_default()
}

/// Where the own pages are as this browser has it, without a slash at the end: `admin.public_url`, or what it asked for.
pub(super) fn own_address(admin: &Admin, call: &Call) -> String {
    if let Some(url) = &admin.accounts.returns().public_url {
        return url.clone();
    }
    let host = call.header(HOST.as_str()).ok().flatten().unwrap_or_default();
    let plain = format!("http://{host}");
    // the cookies are `Secure`: without TLS browsers keep them on this machine only
    let is_plain = match call.header(ORIGIN.as_str()) {
        Ok(Some(origin)) => origin == plain,
        _ => call.host().is_some_and(|name| is_loopback(&name)),
    };
    if is_plain { plain } else { format!("https://{host}") }
}

/// Where a browser with a session goes next on its way to `return_to`.
pub(super) fn next_stop(admin: &Admin, call: &Call, return_to: &ReturnTo) -> String {
    match return_to {
        ReturnTo::Start => format!("{}/", base(admin)),
        ReturnTo::Own(target) => target.clone(),
        ReturnTo::Elsewhere(site, _) if has_cookie(admin, call, site) => return_to.to_string(),
        // a host that our cookies do not reach: the way there begins in the browser's own cookie on that host
        ReturnTo::Elsewhere(site, _) => format!("{site}/.gatepost/login?rd={}", encoded(&return_to.to_string())),
    }
}

/// Whether the gate's cookie of the login pages' host is good at `site`, too.
pub(super) fn has_cookie(admin: &Admin, call: &Call, site: &Site) -> bool {
    let returns = admin.accounts.returns();
    own_host(admin, call)
        .is_some_and(|own| own == site.host || returns.domain_of(&own).is_some_and(|domain| returns.domain_of(&site.host) == Some(domain)))
}

/// The live session of this browser.
///
/// # Errors
/// Where it cannot be known.
pub(super) async fn session(admin: &Admin, call: &Call) -> Result<Option<Browser>, Failure> {
    match call.cookie(CONSOLE_COOKIE) {
        Carrier::Once(value) => Ok(admin.accounts.browser(value).await?),
        Carrier::Absent | Carrier::Doubled => Ok(None),
    }
}

/// The live session of this browser, which it must have.
///
/// # Errors
/// Where there is no console cookie, or its session is not live.
pub(super) async fn needed_session(admin: &Admin, call: &Call) -> Result<Browser, Failure> {
    if call.cookie(CONSOLE_COOKIE) == Carrier::Absent {
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "missing authorization header"));
    }
    Ok(session(admin, call).await?.ok_or(Refusal::InvalidToken)?)
}

/// Who calls a management route with the console's cookie.
///
/// # Errors
/// Where there is no such cookie, its session is not live, or another site's page may have sent the request.
pub(super) async fn caller(admin: &Admin, call: &Call) -> Result<Caller, Failure> {
    let browser = needed_session(admin, call).await?;
    if !is_safe(&call.method) {
        let token = call.header(X_CSRF_TOKEN)?.unwrap_or_default();
        if !is_meant(admin, call, browser.session, token) {
            return Err(Failure::forbidden("with the console's cookie this needs its CSRF token, and to come from the console"));
        }
    }
    Ok(admin.accounts.caller_of(browser))
}

/// Whether the person whose session this is meant to send this: an own page sent it, with that session's token.
pub(super) fn is_meant(admin: &Admin, call: &Call, session: Id, token: &str) -> bool {
    is_from_own_page(admin, call) && admin.accounts.is_csrf_token(session, token)
}

/// Whether a method changes nothing.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a page of our own sent this, as the browser says; whoever says nothing is not believed.
pub(super) fn is_from_own_page(admin: &Admin, call: &Call) -> bool {
    match (call.header("sec-fetch-site"), call.header("origin")) {
        (Ok(Some(site)), Ok(_)) => site == "same-origin",
        (Ok(None), Ok(Some(origin))) => match admin.accounts.returns().own_site() {
            Some(own) => origin == own.to_string(),
            None => call.header("host").ok().flatten().is_some_and(|host| {
                let is_here = call.host().is_some_and(|name| is_loopback(&name));
                origin == format!("https://{host}") || (is_here && origin == format!("http://{host}"))
            }),
        },
        _ => false,
    }
}

/// Percent-encoded as the value of a query parameter (RFC 3986 §2.3).
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
