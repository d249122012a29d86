//! `/v1/oidc/{provider}/login` and `/callback`: the way of a browser to an OpenID provider and back.
//!
//! The browser is known by a cookie from beginning to end, so that nobody can be made to finish a sign-in that somebody else
//! began (login CSRF), nor take over one by its `state`. What a newcomer has to show, an invitation or the set-up code, comes by a
//! form and stays in a cookie: secrets never travel in an address.
//! INVARIANT: nothing that a provider said is shown; a page tells in our own words what came of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{HOST, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::failure::Failure;
use super::pages::{Failures, Page, alert, answered, secret, with_headers};
use super::request::Call;
use super::{Admin, browser, document};
use crate::accounts::Refusal;
use crate::accounts::oidc::{self as domain, Beginning, How, Papers, SIGN_IN_LASTS, SignedIn};
use crate::accounts::proof::Proof;
use crate::accounts::return_to::ReturnTo;
use crate::database::SignInRow;
use crate::id::random_bytes;
use crate::metrics;
use crate::oidc::{Answered, Asking, Client, Fault, Provider};
use crate::token::secret::PlainSecret;

/// Knows the browser while it is away.
const BROWSER_COOKIE: &str = "__Host-gatepost-oidc";
/// Keeps an invitation or the set-up code meanwhile.
const PAPERS_COOKIE: &str = "__Host-gatepost-oidc-papers";
/// Remembers who logged this browser in last.
const PROVIDER_COOKIE: &str = "__Host-gatepost-oidc-provider";
/// How long, in seconds.
const REMEMBERED_S: u64 = 180 * 24 * 3600;
/// Most bytes of a code or an answer's other parameters.
const PARAMETER_BYTES: usize = 8192;
/// Most bytes of what a newcomer has to show.
const PAPER_BYTES: usize = 256;
/// Most characters of a provider's error worth a line in the log.
const LOGGED: usize = 64;

/// Where a sign-in leads.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct Beginnings {
    /// Where the browser goes afterwards; the start page where it may not go there.
    rd: Option<String>,
    /// `true`: the provider asks nothing; who is not logged in there comes to the login page.
    silent: Option<bool>,
}

/// What a newcomer has to show.
#[derive(Serialize, Deserialize, utoipa::ToSchema, Default)]
#[serde(default)]
pub(super) struct Shown {
    /// Invitation code.
    invitation: Option<String>,
    /// Set-up code.
    setup_code: Option<String>,
    /// Where the browser goes afterwards.
    rd: Option<String>,
}

/// Sign in by an OpenID provider.
///
/// For browsers: a redirect to the provider, and back by `/callback`.
#[utoipa::path(get, path = "/v1/oidc/{provider}/login", tag = document::PAGES, params(("provider" = String, Path, description = "Its name in the configuration."), Beginnings),
    responses((status = 303, description = "To the provider; with `silent`, where it cannot be reached, to the login page."), Failures))]
pub(super) async fn log_in(State(admin): State<Arc<Admin>>, Path(provider): Path<String>, call: Call) -> Answer {
    let client = match client(&admin, &provider) {
        Ok(client) => client,
        Err(refusal) => return refused(&admin, None, refusal),
    };
    // a query that cannot be read asks for nothing
    let parameter = |name| call.parameter(name).ok().flatten().unwrap_or_default();
    let return_to = ReturnTo::parse(&parameter("rd"), admin.accounts.returns());
    if !is_navigation(&call) {
        return refused(&admin, None, Refusal::NoSignIn);
    }
    let silent = parameter("silent") == "true";
    match begin(&admin, &call, client, &return_to, silent).await {
        Ok(away) => away,
        Err(refusal) if silent => {
            log(client.provider(), "unavailable", &refusal);
            to_login_page(&admin, &return_to)
        }
        Err(refusal) => refused(&admin, Some(client.provider()), refusal),
    }
}

async fn begin(admin: &Admin, call: &Call, client: &Client, return_to: &ReturnTo, silent: bool) -> Result<Answer, Refusal> {
    let redirect_uri = redirect_uri(admin, call, client.provider())?;
    let known = value(call, BROWSER_COOKIE).filter(|value| value.len() <= 64);
    let browser = match known {
        Some(browser) => browser.to_owned(),
        None => URL_SAFE_NO_PAD.encode(random_bytes::<32>()?),
    };
    client.reach().await.map_err(because)?;
    let beginning = Beginning {
        provider: &client.provider().name,
        browser: &browser,
        return_to: &return_to.to_string(),
        papers: value(call, PAPERS_COOKIE).unwrap_or_default(),
        silent,
    };
    let begun = admin.accounts.begin_sign_in(beginning, call.origin).await?;
    let asking = Asking { redirect_uri: &redirect_uri, state: &begun.state, nonce: &begun.nonce, verifier: &begun.verifier, silent };
    let address = client.address(asking).await.map_err(because)?;
    Ok(browser::redirect(&address, [kept(BROWSER_COOKIE, &browser, SIGN_IN_LASTS.as_secs())]))
}

/// Show an invitation or the set-up code, then sign in by an OpenID provider.
///
/// For the form of our own page: the codes stay in a cookie until the browser comes back.
#[utoipa::path(post, path = "/v1/oidc/{provider}/login", tag = document::PAGES, params(("provider" = String, Path, description = "Its name in the configuration.")),
    request_body(content = Shown, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "A page that goes on to the provider.", content_type = "text/html", body = String),
        Failures))]
pub(super) async fn show_papers(State(admin): State<Arc<Admin>>, Path(provider): Path<String>, call: Call) -> Answer {
    answered(try_show_papers(&admin, &provider, &call))
}

fn try_show_papers(admin: &Admin, provider: &str, call: &Call) -> Result<Answer, Failure> {
    let client = client(admin, provider)?;
    if !browser::is_from_own_page(admin, call) {
        // another site's page could otherwise let people join a tenant of its choice
        return Err(Failure::new(StatusCode::FORBIDDEN, "only a page of this site may ask for this"));
    }
    let fields = call.form()?;
    let field = |name: &str| fields.get(name).map(str::trim).filter(|text| (1..=PAPER_BYTES).contains(&text.len()));
    let shown = Shown { invitation: field("invitation").map(str::to_owned), setup_code: field("setup_code").map(str::to_owned), rd: None };
    let papers = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&shown).unwrap_or_default());
    let return_to = ReturnTo::parse(fields.get("rd").unwrap_or_default(), admin.accounts.returns());
    let next = login_path(admin, &client.provider().name, &return_to);
    // browsers hold redirects after a form against the page's policy, which names no provider: so a page, not a redirect
    let body = html! { p { a.button href=(next) { "Go on" } } };
    let refresh = HeaderValue::try_from(format!("0; url={next}")).ok().map(|to| (HeaderName::from_static("refresh"), to));
    let page = with_headers(Page::new("One moment", body).answer(), refresh.into_iter().collect());
    Ok(browser::with_cookies(page, [kept(PAPERS_COOKIE, &papers, SIGN_IN_LASTS.as_secs())]))
}

/// The way back from an OpenID provider.
///
/// For browsers; a sign-in is over at its first use, and good in the browser that began it only.
#[utoipa::path(get, path = "/v1/oidc/{provider}/callback", tag = document::PAGES, params(("provider" = String, Path, description = "Its name in the configuration.")),
    responses((status = 303, description = "Logged in, or back to the login page where `silent` was asked for."),
        (status = 200, description = "Signed up: shows the API key.", content_type = "text/html", body = String),
        (status = 409, description = "An account has this e-mail address.", content_type = "text/html", body = String),
        Failures))]
pub(super) async fn callback(State(admin): State<Arc<Admin>>, Path(provider): Path<String>, call: Call) -> Answer {
    let client = match client(&admin, &provider) {
        Ok(client) => client,
        Err(refusal) => return refused(&admin, None, refusal),
    };
    let sign_in = match take(&admin, &call, client.provider()).await {
        Ok(sign_in) => sign_in,
        Err(refusal) => return refused(&admin, Some(client.provider()), refusal),
    };
    let return_to = ReturnTo::parse(&sign_in.return_to, admin.accounts.returns());
    match come_back(&admin, &call, client, &sign_in, &return_to).await {
        Ok(answer) => answer,
        // whoever asked for nothing is told of nothing
        Err(refusal) if sign_in.silent => {
            log(client.provider(), "silent", &refusal);
            to_login_page(&admin, &return_to)
        }
        Err(refusal) => refused_on(&admin, client.provider(), refusal, &return_to),
    }
}

async fn take(admin: &Admin, call: &Call, provider: &Provider) -> Result<SignInRow, Refusal> {
    let state = parameter(call, "state")?.ok_or(Refusal::NoSignIn)?;
    admin.accounts.take_sign_in(&provider.name, &state, value(call, BROWSER_COOKIE), call.origin).await
}

async fn come_back(admin: &Admin, call: &Call, client: &Client, sign_in: &SignInRow, return_to: &ReturnTo) -> Result<Answer, Refusal> {
    client.check_issuer(parameter(call, "iss")?.as_deref()).await.map_err(because)?;
    if let Some(error) = parameter(call, "error")? {
        let cause = format!("it answered `{}`", error.chars().take(LOGGED).collect::<String>().escape_debug());
        return Err(match error.as_str() {
            "server_error" | "temporarily_unavailable" => Refusal::ProviderAway(cause),
            _ => Refusal::NotProved(cause),
        });
    }
    let code = parameter(call, "code")?.ok_or_else(|| Refusal::NotProved("neither `code` nor `error` came back".to_owned()))?;
    let brought = Answered {
        code: &code,
        redirect_uri: &redirect_uri(admin, call, client.provider())?,
        nonce: &sign_in.nonce,
        verifier: &sign_in.verifier,
        begun: sign_in.created_at,
    };
    let person = client.identify(brought).await.map_err(because)?;
    let SignedIn { proof, how } = admin.accounts.sign_in(client.provider(), &person, papers(call, sign_in), call.origin).await?;
    metrics::oidc_signed_in(&client.provider().name, how.as_str());
    let answer = match how {
        How::New(Some(api_key)) => answered(enter_anew(admin, call, &proof, &api_key, return_to).await),
        How::Known | How::Linked | How::New(None) => answered(browser::enter(admin, call, &proof, None, return_to).await),
    };
    let remembered = kept(PROVIDER_COOKIE, &client.provider().name, REMEMBERED_S);
    Ok(browser::with_cookies(answer, [remembered, ended(PAPERS_COOKIE), ended(BROWSER_COOKIE)]))
}

/// As [`browser::enter`], past the page that shows a new account's API key.
///
/// # Errors
/// Where the session cannot be made.
pub(super) async fn enter_anew(
    admin: &Admin,
    call: &Call,
    proof: &Proof,
    api_key: &PlainSecret,
    return_to: &ReturnTo,
) -> Result<Answer, Failure> {
    let cookies = browser::open(admin, call, proof, None).await?;
    Ok(browser::with_cookies(secret::welcome(&browser::next_stop(admin, call, return_to), api_key), cookies))
}

/// The providers that a login page offers, each with the address that leads there.
pub(super) fn buttons<'a>(admin: &'a Admin, return_to: &ReturnTo) -> Vec<(&'a str, String)> {
    admin.oidc.providers().map(|provider| (provider.label.as_str(), login_path(admin, &provider.name, return_to))).collect()
}

/// Where a browser without a session is sent before the login page is shown to it: to the provider that logged it in last,
/// which asks nothing (`prompt=none`). Where that leads nowhere, the browser comes back without the cookie that says so.
pub(super) fn automatic(admin: &Admin, call: &Call, return_to: &ReturnTo) -> Option<Answer> {
    let client = admin.oidc.get(value(call, PROVIDER_COOKIE)?)?;
    Some(browser::redirect(&format!("{}&silent=true", login_path(admin, &client.provider().name, return_to)), None))
}

/// The page of a person who must be asked; the browser forgets who logged it in last, so that it comes here once.
fn to_login_page(admin: &Admin, return_to: &ReturnTo) -> Answer {
    let to = format!("{}/login?rd={}", browser::base(admin), browser::encoded(&return_to.to_string()));
    browser::redirect(&to, [forgotten_provider()])
}

/// Makes the browser forget who logged it in last.
pub(super) fn forgotten_provider() -> String {
    ended(PROVIDER_COOKIE)
}

fn login_path(admin: &Admin, provider: &str, return_to: &ReturnTo) -> String {
    format!("{}/v1/oidc/{provider}/login?rd={}", browser::base(admin), browser::encoded(&return_to.to_string()))
}

/// Where providers send browsers back to: exactly what is registered there.
fn redirect_uri(admin: &Admin, call: &Call, provider: &Provider) -> Result<String, Refusal> {
    let base = match &admin.accounts.returns().public_url {
        Some(url) => url.clone(),
        // a host that somebody else chose would lead the code to them
        None if call.origin.local => format!("http://{}", call.header(HOST.as_str()).ok().flatten().unwrap_or_default()),
        None => return Err(Refusal::ProviderAway("`admin.public_url` is not configured".to_owned())),
    };
    Ok(format!("{base}/v1/oidc/{}/callback", provider.name))
}

fn client<'a>(admin: &'a Admin, provider: &str) -> Result<&'a Client, Refusal> {
    admin.oidc.get(provider).ok_or(Refusal::NotFound)
}

fn because(fault: Fault) -> Refusal {
    match fault {
        Fault::Unavailable(cause) => Refusal::ProviderAway(cause),
        Fault::Refused(cause) => Refusal::NotProved(cause),
    }
}

/// A parameter that came back; two of a name could be read as either.
fn parameter(call: &Call, name: &str) -> Result<Option<String>, Refusal> {
    let found = call.parameter(name).map_err(|_| Refusal::NoSignIn)?;
    Ok(found.filter(|text| text.len() <= PARAMETER_BYTES))
}

/// Whether a person goes here, as far as the browser says: a picture of another site's page would begin sign-ins that count for
/// its visitors' network.
fn is_navigation(call: &Call) -> bool {
    matches!(call.header("sec-fetch-dest"), Ok(None | Some("document")))
}

/// The value of a cookie that comes once and is text.
fn value<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    std::str::from_utf8(call.cookie(name).once()?).ok()
}

/// What the newcomer showed when this very sign-in began.
fn papers(call: &Call, sign_in: &SignInRow) -> Papers {
    let kept = value(call, PAPERS_COOKIE).unwrap_or_default();
    if domain::named(kept) != sign_in.invitation {
        return Papers::default();
    }
    let shown: Shown = URL_SAFE_NO_PAD.decode(kept).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
    Papers { invitation: shown.invitation, setup_code: shown.setup_code }
}

fn kept(name: &str, value: &str, seconds: u64) -> String {
    browser::set_cookie(name, value, None, &format!("; Max-Age={seconds}"))
}

fn ended(name: &str) -> String {
    browser::set_cookie(name, "", None, "; Max-Age=0")
}

fn log(provider: &Provider, outcome: &'static str, refusal: &Refusal) {
    metrics::oidc_signed_in(&provider.name, outcome);
    match refusal {
        // that the person must be asked is what `prompt=none` is for
        Refusal::NotProved(cause) if outcome == "silent" => {
            tracing::debug!(target: "admin", provider = %provider.name, cause, "a silent sign-in led nowhere");
        }
        Refusal::NotProved(cause) | Refusal::ProviderAway(cause) => {
            tracing::warn!(target: "admin", provider = %provider.name, cause, "a sign-in led nowhere");
        }
        other => {
            tracing::info!(target: "admin", provider = %provider.name, refusal = Failure::from(other.clone()).code(), "a sign-in was refused")
        }
    }
}

fn refused_on(admin: &Admin, provider: &Provider, refusal: Refusal, return_to: &ReturnTo) -> Answer {
    let field = match refusal {
        Refusal::InvitationRequired => Some(("invitation", "Invitation code")),
        Refusal::SetupCodeRequired => Some(("setup_code", "Set-up code")),
        _ => None,
    };
    let form = html! {
        @if let Some((name, label)) = field {
            form method="post" action={ (browser::base(admin)) "/v1/oidc/" (provider.name) "/login" } {
                input type="hidden" name="rd" value=(return_to.to_string());
                label { (label) input name=(name) autocomplete="off" autocapitalize="none" spellcheck="false" maxlength=(PAPER_BYTES) required; }
                button { "Go on" }
            }
        }
    };
    let again = format!("{}/login?rd={}", browser::base(admin), browser::encoded(&return_to.to_string()));
    page(Some(provider), refusal, &form, &again)
}

fn refused(admin: &Admin, provider: Option<&Provider>, refusal: Refusal) -> Answer {
    page(provider, refusal, &html! {}, &format!("{}/login", browser::base(admin)))
}

fn page(provider: Option<&Provider>, refusal: Refusal, form: &Markup, again: &str) -> Answer {
    if let Some(provider) = provider {
        let outcome = if matches!(refusal, Refusal::ProviderAway(_) | Refusal::Unavailable(_)) { "unavailable" } else { "refused" };
        log(provider, outcome, &refusal);
    }
    let sentence = sentence(provider.map_or("The provider", |provider| &provider.label), &refusal);
    let failure = Failure::from(refusal);
    let body = html! {
        (alert(&sentence))
        (form)
        p { a.button.second href=(again) { "Back to the login page" } }
    };
    with_headers(Page::new("Sign in", body).with_status(failure.status()).answer(), failure.headers())
}

/// What a person is told.
fn sentence(label: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotFound => "There is no such provider here.".to_owned(),
        Refusal::NoSignIn => {
            "This sign-in is not under way in this browser: it began elsewhere, took longer than ten minutes, or is over.".to_owned()
        }
        Refusal::DomainNotAllowed => {
            format!(
                "Your account at {label} is not one that may come in here: its e-mail address is of another domain, or not verified there."
            )
        }
        Refusal::NotLinked => {
            "There is an account with your e-mail address already. Log in as you did before, or ask whoever runs this site to let \
             this provider open it."
                .to_owned()
        }
        Refusal::Blocked => "This account is blocked, or has ended.".to_owned(),
        Refusal::NotProved(_) => format!("{label} did not log you in, or its answer could not be verified. Nobody was logged in."),
        Refusal::ProviderAway(_) => format!("{label} cannot be reached at the moment. Please try again later."),
        Refusal::InvitationRequired => "You need an invitation to sign up here.".to_owned(),
        Refusal::SetupCodeRequired => "The first account here needs the set-up code that was printed at the start.".to_owned(),
        Refusal::TooManyTries(_) | Refusal::Busy | Refusal::Unavailable(_) => "Please try again in a moment.".to_owned(),
        other => format!("{}.", Failure::from(other.clone()).message()),
    }
}
