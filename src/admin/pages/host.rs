//! `/.gatepost/…` on the hosts of applications, which their proxies route here: how a session gets to a host that shares
//! no domain with the login pages.
//!
//! The way begins here, with a secret in this host's own cookie; the login pages answer with a code that is good only beside
//! that cookie. So nobody can send a browser here with a code of their own and log it in as themselves (RFC 9700 §4.7).

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use maud::html;
use utoipa::IntoParams;

use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::request::Call;
use super::super::{Admin, browser, document};
use super::{Failures, Page, answered};
use crate::accounts::Refusal;
use crate::accounts::browsers::state_of;
use crate::accounts::return_to::{ReturnTo, is_loopback};
use crate::id::Id;

/// The secret that names this browser on this host.
const STATE_COOKIE: &str = "__Host-gatepost-state";
/// How long a person may take to log in.
const STATE_S: u32 = 3600;

/// The query at a way's beginning.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
struct Begun {
    /// The page of this host to return to.
    rd: Option<String>,
}

/// The query at a way's end.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
struct Arrived {
    /// Good once.
    code: Option<String>,
}

/// Begin to log in on an application's host.
#[utoipa::path(get, path = "/.gatepost/login", tag = document::PAGES, params(Begun),
    responses((status = 303, description = "To the login page."), Failures))]
pub(in crate::admin) async fn begin(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    answered(try_begin(&admin, &call))
}

fn try_begin(admin: &Admin, call: &Call) -> Result<Answer, Failure> {
    let (host, public_url) = host_here(admin, call)?;
    let asked = call.parameter("rd").ok().flatten().unwrap_or_default();
    let return_to = match ReturnTo::parse(&asked, admin.accounts.returns()) {
        to @ ReturnTo::Elsewhere(..) if to.site().is_some_and(|site| site.host == host) => to.to_string(),
        // only a page of this very host
        _ => format!("{}://{host}/", if is_loopback(&host) { "http" } else { "https" }),
    };
    // two tabs share one secret, or the later would break the earlier's way
    let (secret, cookie) = match secret(call) {
        Some(secret) => (secret, None),
        None => {
            let secret = Id::random().map_err(Refusal::from)?;
            (secret, Some(browser::set_cookie(STATE_COOKIE, &secret.to_string(), None, &format!("; Max-Age={STATE_S}"))))
        }
    };
    let to = format!("{public_url}/login?rd={}&state={}", browser::encoded(&return_to), state_of(secret));
    Ok(browser::redirect(&to, cookie))
}

/// Arrive with a session on an application's host.
#[utoipa::path(get, path = "/.gatepost/session", tag = document::PAGES, params(Arrived),
    responses((status = 303, description = "To the page that asked for a login."), Failures))]
pub(in crate::admin) async fn arrive(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    answered(try_arrive(&admin, &call).await)
}

async fn try_arrive(admin: &Admin, call: &Call) -> Result<Answer, Failure> {
    let (host, _) = host_here(admin, call)?;
    let code = call.parameter("code").ok().flatten().filter(|code| code.len() <= 64);
    let carried = match (code, secret(call)) {
        (Some(code), Some(secret)) => admin.accounts.use_host_code(&code, &host, &state_of(secret)).await?,
        _ => None,
    };
    let Some((session, return_to)) = carried else {
        let body = html! { p { "This way in is used up or too old." } p { a.button href="/" { "Try again" } } };
        return Ok(Page::new("Log in", body).with_status(StatusCode::BAD_REQUEST).answer());
    };
    Ok(browser::redirect(&return_to.to_string(), [browser::gate_cookie(admin, session, &host)?]))
}

/// The host this is asked on, where sessions may be carried to it, and where the login pages are.
fn host_here<'a>(admin: &'a Admin, call: &Call) -> Result<(String, &'a str), Failure> {
    let returns = admin.accounts.returns();
    let host = call.host().filter(|host| returns.allows(host));
    Ok(host.zip(returns.public_url.as_deref()).ok_or(Refusal::NotFound)?)
}

fn secret(call: &Call) -> Option<Id> {
    std::str::from_utf8(call.cookie(STATE_COOKIE).once()?).ok()?.parse().ok()
}
