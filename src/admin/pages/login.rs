//! `GET` and `POST /login`, `POST /logout`: logging in and out in a browser.
//!
//! The form carries a token bound to this browser, so that no other site's page can log anybody in as somebody else.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use maud::{Markup, html};
use utoipa::{IntoParams, ToSchema};

use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::request::Call;
use super::super::{Admin, browser, document, oidc};
use super::{Failures, Page, alert, answered, second_factor, with_headers, words};
use crate::accounts::browsers::Browser;
use crate::accounts::codes::Given;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::accounts::proof::Proof;
use crate::accounts::return_to::{ReturnTo, Site};
use crate::database::NameKind;
use crate::id::Id;

/// Names the browser before it has a session.
const LOGIN_COOKIE: &str = "__Host-gatepost-login";
/// What a page is called.
pub(super) const LOG_IN: &str = "Log in";
const LOGGED_OUT: &str = "Logged out";
/// Digits of a `state`.
const STATE_DIGITS: usize = 64;

/// Where this login leads, as the query or the form says.
pub(in crate::admin) struct Way {
    pub(in crate::admin) return_to: ReturnTo,
    /// What the host of `return_to` knows this browser by, where the way began there.
    state: Option<String>,
}

impl Way {
    fn of(admin: &Admin, rd: Option<&str>, state: Option<&str>) -> Self {
        let return_to = rd.map(|rd| ReturnTo::parse(rd, admin.accounts.returns())).unwrap_or_default();
        let is_state =
            |state: &&str| state.len() == STATE_DIGITS && state.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        Self { state: state.filter(is_state).filter(|_| return_to.site().is_some()).map(str::to_owned), return_to }
    }
}

/// The query of a login page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
struct Query {
    /// Where to go after the login; anything that is not allowed is the start page.
    rd: Option<String>,
    /// What the host of `rd` knows this browser by.
    state: Option<String>,
    /// `true`: the form, even where an OpenID provider may log this browser in without asking.
    ask: Option<bool>,
}

/// The login form; whoever is logged in goes on.
#[utoipa::path(get, path = "/login", tag = document::PAGES, params(Query), responses(
    (status = 200, description = "The form.", body = String, content_type = "text/html"), (status = 303, description = "To `rd`."), Failures))]
pub(in crate::admin) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    answered(try_show(&admin, &call).await)
}

async fn try_show(admin: &Admin, call: &Call) -> Result<Answer, Failure> {
    // a query that cannot be read asks for nothing
    let parameter = |name| call.parameter(name).ok().flatten();
    let way = Way::of(admin, parameter("rd").as_deref(), parameter("state").as_deref());
    match browser::session(admin, call).await? {
        Some(session) => go_on(admin, call, &session, &way).await,
        None => match oidc::automatic(admin, call, &way.return_to).filter(|_| parameter("ask").as_deref() != Some("true")) {
            Some(away) => Ok(away),
            None => form(admin, call, &way, None, ""),
        },
    }
}

/// A browser with a session goes on its way, with fresh cookies.
async fn go_on(admin: &Admin, call: &Call, browser: &Browser, way: &Way) -> Result<Answer, Failure> {
    if admin.accounts.is_held_up(browser.standing.uid).await? {
        return Ok(second_factor::to_set_up(admin));
    }
    let session = browser.session;
    match (&way.return_to, &way.state) {
        (ReturnTo::Elsewhere(site, _), Some(state)) if !browser::has_cookie(admin, call, site) => {
            let code = admin.accounts.host_code(session, &site.host, state, &way.return_to).await?;
            Ok(browser::redirect(&format!("{site}/.gatepost/session?code={code}"), None))
        }
        (return_to, _) => {
            let cookies = browser::own_gate_cookie(admin, call, session)?;
            Ok(browser::redirect(&browser::next_stop(admin, call, return_to), cookies))
        }
    }
}

/// The fields of the login form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct LoginForm {
    /// User name, e-mail or phone.
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(nullable = false)]
    password: Option<String>,
    /// `code`: send one instead of asking for a password.
    #[schema(nullable = false)]
    how: Option<String>,
    /// With which the code was sent.
    #[schema(nullable = false)]
    challenge: Option<String>,
    /// As it was sent.
    #[schema(nullable = false)]
    code: Option<String>,
    /// As the form for the second factor has it.
    #[schema(nullable = false)]
    half: Option<String>,
    /// The second factor's code, or a recovery code.
    #[schema(nullable = false)]
    totp: Option<String>,
    /// As the form has it.
    token: String,
    /// Where to go after the login.
    #[schema(nullable = false)]
    rd: Option<String>,
}

/// Log in by the form.
#[utoipa::path(post, path = "/login", tag = document::PAGES,
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The form for the code that was sent.", body = String, content_type = "text/html"),
        (status = 303, description = "Logged in: to `rd`."), Failures))]
pub(in crate::admin) async fn log_in(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    answered(try_log_in(&admin, &call).await)
}

async fn try_log_in(admin: &Admin, call: &Call) -> Result<Answer, Failure> {
    let fields = call.form()?;
    let field = |name: &str| fields.get(name);
    // a state is told again after the login: the way begins at its host once more
    let way = Way::of(admin, field("rd"), None);
    if !is_own_form(admin, call, &fields) {
        return form(
            admin,
            call,
            &way,
            Some(&Failure::forbidden("this form is too old: please try again")),
            field("name").unwrap_or_default(),
        );
    }
    if let Some(half) = field("half") {
        let Some(proof) = browser_id(call).and_then(|browser| admin.accounts.read_half_login(browser, half)) else {
            return form(admin, call, &way, Some(&Failure::forbidden("that took too long: please log in again")), "");
        };
        return match browser::enter(admin, call, &proof, Some(field("totp").unwrap_or_default()), &way.return_to).await {
            // the password was changed meanwhile, or too much was tried
            Err(failure) => form(admin, call, &way, Some(&failure), ""),
            entered => entered,
        };
    }
    let name = field("name").unwrap_or_default();
    if let Some(challenge) = field("challenge") {
        let given = Given { challenge: challenge.to_owned(), code: field("code").unwrap_or_default().trim().to_owned() };
        return match admin.accounts.prove_code(&given, call.origin).await {
            Ok((proof, Some(api_key))) => oidc::enter_anew(admin, call, &proof, &api_key, &way.return_to).await,
            Ok((proof, None)) => browser::enter(admin, call, &proof, None, &way.return_to).await,
            Err(refusal) => code_form(admin, call, &way, challenge, Some(&refusal.into())),
        };
    }
    if field("how") == Some("code") {
        return match send_code(admin, call, name).await {
            Ok(challenge) => code_form(admin, call, &way, &challenge.to_string(), None),
            Err(failure) => form(admin, call, &way, Some(&failure), name),
        };
    }
    match prove(admin, call, name, field("password").unwrap_or_default()).await {
        Ok(proof) => browser::enter(admin, call, &proof, None, &way.return_to).await,
        Err(failure) => form(admin, call, &way, Some(&failure), name),
    }
}

async fn prove(admin: &Admin, call: &Call, name: &str, password: &str) -> Result<Proof, Failure> {
    let (name, password) = (Name::of_basic(name.trim())?, Password::new("password", password)?);
    Ok(admin.accounts.prove_password(&name, password, browser::known(call), call.origin).await?)
}

/// Sends a code; whether to anybody shows in nothing.
async fn send_code(admin: &Admin, call: &Call, name: &str) -> Result<Id, Failure> {
    let name = Name::of_basic(name.trim())?;
    if name.kind == NameKind::User {
        return Err(Failure::invalid("a code goes to an e-mail address or a phone number, like +491234567890: please enter one"));
    }
    Ok(admin.accounts.send_code(&name.checked()?, call.origin).await?.id)
}

/// Whether the form was made for this browser, and one of our pages sent it.
pub(super) fn is_own_form(admin: &Admin, call: &Call, fields: &Form) -> bool {
    let token = fields.get("token").unwrap_or_default();
    browser_id(call).is_some_and(|browser| admin.accounts.is_login_form_token(browser, token)) && browser::is_from_own_page(admin, call)
}

/// What names this browser before it has a session.
fn browser_id(call: &Call) -> Option<Id> {
    std::str::from_utf8(call.cookie(LOGIN_COOKIE).once()?).ok()?.parse().ok()
}

/// What a form carries that is shown before anybody is logged in.
pub(super) struct Entrance {
    /// The browser.
    pub(super) browser: Id,
    pub(super) token: String,
    /// Names the browser, where nothing does yet.
    pub(super) cookie: Option<String>,
}

impl Entrance {
    pub(super) fn of(admin: &Admin, call: &Call) -> Result<Self, Failure> {
        let known = browser_id(call);
        let browser = match known {
            Some(browser) => browser,
            None => Id::random().map_err(crate::accounts::Refusal::from)?,
        };
        let cookie = known.is_none().then(|| browser::set_cookie(LOGIN_COOKIE, &browser.to_string(), None, ""));
        Ok(Self { browser, token: admin.accounts.login_form_token(browser)?, cookie })
    }
}

/// The login form, with what was wrong before.
fn form(admin: &Admin, call: &Call, way: &Way, failure: Option<&Failure>, name: &str) -> Result<Answer, Failure> {
    let entrance = Entrance::of(admin, call)?;
    let sends_codes = !matches!(admin.accounts.sends_codes(), (false, false));
    let body = html! {
        (goes_on(&way.return_to))
        form method="post" action="login" {
            (hidden(&entrance, way))
            label {
                "User name, e-mail or phone"
                input name="name" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="320" required autofocus;
            }
            label { "Password" input name="password" type="password" autocomplete="current-password" maxlength="256" required; }
            button { "Log in" }
            @if sends_codes { button.second name="how" value="code" formnovalidate { "Send me a code" } }
        }
        @for (label, address) in oidc::buttons(admin, &way.return_to) { p { a.button.second href=(address) { "Log in with " (label) } } }
        p { "No account yet? " a href=(towards("signup", &way.return_to)) { "Sign up" } }
    };
    Ok(browser::with_cookies(shown(way, failure, &body), entrance.cookie))
}

/// The form for the code that was sent with `challenge`, with what was wrong before.
fn code_form(admin: &Admin, call: &Call, way: &Way, challenge: &str, failure: Option<&Failure>) -> Result<Answer, Failure> {
    if browser_id(call).is_none() {
        return form(admin, call, way, failure, "");
    }
    let body = html! {
        p { "If this address can log in here, a code is on its way to it." }
        form method="post" action="login" {
            (hidden(&Entrance::of(admin, call)?, way))
            input type="hidden" name="challenge" value=(challenge);
            label { "Code" input name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="12" required autofocus; }
            button { "Log in" }
        }
        p { a href=(towards("login?ask=true", &way.return_to)) { "Start again" } }
    };
    Ok(shown(way, failure, &body))
}

/// What every form of these pages carries.
fn hidden(entrance: &Entrance, way: &Way) -> Markup {
    html! {
        input type="hidden" name="token" value=(entrance.token);
        input type="hidden" name="rd" value=(way.return_to.to_string());
    }
}

/// To which other host the way goes on.
pub(super) fn goes_on(return_to: &ReturnTo) -> Markup {
    html! { @if let Some(site) = return_to.site() { p.quiet { "to go on to " (site.host) } } }
}

/// The address of a page that the same way goes on from.
pub(super) fn towards(page: &str, return_to: &ReturnTo) -> String {
    let join = if page.contains('?') { '&' } else { '?' };
    match return_to {
        ReturnTo::Start => page.to_owned(),
        to => format!("{page}{join}rd={}", browser::encoded(&to.to_string())),
    }
}

/// A login page with this body, and what was wrong before.
fn shown(way: &Way, failure: Option<&Failure>, body: &Markup) -> Answer {
    shown_on_the_way_to(LOG_IN, &way.return_to, failure, body)
}

/// A page on the way to somewhere, as one comes there without being logged in.
pub(super) fn shown_on_the_way_to(title: &'static str, return_to: &ReturnTo, failure: Option<&Failure>, body: &Markup) -> Answer {
    let status = failure.map_or(StatusCode::OK, Failure::status);
    let body = html! {
        @if let Some(failure) = failure { (alert(&words::plain(failure))) }
        (body)
    };
    // not the one site alone: the application there may send the browser on
    let leads_to = return_to.site().map(|site: &Site| if site.https { "https:".to_owned() } else { format!("https: {site}") });
    let page = Page { status, leads_to, ..Page::new(title, body) }.answer();
    with_headers(page, failure.map(Failure::headers).unwrap_or_default())
}

/// The fields of the form that logs out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read off by the document alone")]
struct LogoutForm {
    /// As the form has it; not needed where nobody is logged in.
    #[schema(nullable = false)]
    token: Option<String>,
}

/// Log out on every host.
#[utoipa::path(post, path = "/logout", tag = document::PAGES,
    request_body(content = LogoutForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Logged out.", body = String, content_type = "text/html"), Failures))]
pub(in crate::admin) async fn log_out(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    answered(try_log_out(&admin, &call).await)
}

async fn try_log_out(admin: &Admin, call: &Call) -> Result<Answer, Failure> {
    let fields = call.form()?;
    let foreign = || Failure::forbidden("only a page of this site logs you out");
    // a request of another site comes without the session's cookie, and its answer could end that cookie all the same
    if !browser::is_from_own_page(admin, call) {
        return Err(foreign());
    }
    if let Some(session) = browser::session(admin, call).await? {
        if !admin.accounts.is_csrf_token(session.session, fields.get("token").unwrap_or_default()) {
            return Err(foreign());
        }
        let act = admin.accounts.end_browser(&session, call.origin).await?;
        // the database has it; a token store that is away lets nobody in either, and hears of it first
        admin.accounts.propagate(act).await;
    }
    let body = html! {
        p { "You are logged out here and on every site that this login opened." }
        p { a.button href="login?ask=true" { "Log in" } }
    };
    // without the provider's, the next page would log this browser in again without asking
    let cookies = browser::ended_cookies(admin, call).into_iter().chain([oidc::forgotten_provider()]);
    Ok(browser::with_cookies(Page::new(LOGGED_OUT, body).answer(), cookies))
}
