//! The second factor in a browser: asked for after the first one, set up and removed on the page of the account.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, PreEscaped, html};
use qrcode::{Color, QrCode};

use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::request::Call;
use super::super::{Admin, browser};
use super::visit::{Trouble, Visit, acted, shown};
use super::{Page, account, login, parts};
use crate::accounts::proof::Proof;
use crate::accounts::return_to::ReturnTo;
use crate::accounts::second_factor::Having;

const PATH: &str = "/console/account/second-factor";
/// White around a picture that is read by a camera, in modules (ISO/IEC 18004 §9.1).
const QUIET: usize = 4;

/// Whether this request is for the pages that set one up: they are open to who lacks one.
pub(super) fn is_set_up_by(call: &Call) -> bool {
    call.target().starts_with(PATH)
}

/// To where one is set up.
pub(super) fn to_set_up(admin: &Admin) -> Answer {
    browser::redirect(&format!("{}{PATH}", browser::base(admin)), None)
}

/// The form for the second factor of whoever gave this proof; the login goes on where it is answered in this browser.
///
/// # Errors
/// Where there is no secret key.
pub(in crate::admin) fn ask(
    admin: &Admin,
    call: &Call,
    proof: &Proof,
    return_to: &ReturnTo,
    failure: Option<&Failure>,
) -> Result<Answer, Failure> {
    let entrance = login::Entrance::of(admin, call)?;
    let half = admin.accounts.half_login(entrance.browser, proof)?;
    let action = format!("{}/login", browser::base(admin));
    let body = html! {
        form method="post" action=(action) {
            input type="hidden" name="token" value=(entrance.token);
            input type="hidden" name="rd" value=(return_to.to_string());
            input type="hidden" name="half" value=(half);
            (code_field(true))
            button { "Log in" }
        }
        p { a href=(login::towards(&format!("{action}?ask=true"), return_to)) { "Start again" } }
    };
    Ok(browser::with_cookies(login::shown_on_the_way_to(login::LOG_IN, return_to, failure, &body), entrance.cookie))
}

/// Where a code is filled in.
pub(super) fn code_field(first: bool) -> Markup {
    html! {
        label {
            span { "Code of your authenticator app " small { "or a recovery code" } }
            input name="totp" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="32" required autofocus[first];
        }
    }
}

/// What there is of it, on the page of the account.
pub(super) fn card(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, having: Having) -> Markup {
    html! {
        section.card {
            div.lead {
                h2 { "Second factor" }
                @if having.since.is_some() { span.chip.good { "on" } } @else { span.chip.warn { "off" } }
            }
            @if let Some(since) = having.since {
                p {
                    "Every login asks for a code of your authenticator app, since " (parts::time(visit.now(), since)) ". "
                    (having.recovery_codes) " recovery codes are left."
                }
                (visit.folded("New recovery codes…", &format!("{PATH}/recovery-codes"), "renew", trouble, html! {
                    p { "The ones you have are good no longer then." }
                    (code_field(false))
                    button { "Make new recovery codes" }
                }))
                (visit.folded("Remove it…", &format!("{PATH}/remove"), "remove", trouble, html! {
                    p { "From then on your password alone logs you in." }
                    (code_field(false))
                    button.bad { "Remove the second factor" }
                }))
            } @else {
                p { "With one, nobody logs in by your password alone: a code of an app on your phone is asked for, too." }
                (visit.form(PATH, "begin", trouble, html! { button { "Set it up" } }))
            }
        }
    }
}

pub(super) async fn begin(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "begin", try_begin(), set_up())
}

/// Again, for who came back to it.
pub(super) async fn begun(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, set_up())
}

pub(super) async fn confirm(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "confirm", try_confirm(), set_up())
}

pub(super) async fn remove(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    use account::page;
    acted!(admin, call, "remove", try_remove(), page())
}

pub(super) async fn renew(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    use account::page;
    acted!(admin, call, "renew", try_renew(), page())
}

async fn try_begin(visit: &Visit<'_>, _: &Form) -> Result<Answer, Failure> {
    visit.admin.accounts.begin_second_factor(&visit.caller, visit.call.origin).await?;
    Ok(browser::redirect(&visit.path(PATH), None))
}

async fn try_confirm(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let code = fields.get("totp").unwrap_or_default();
    let codes = visit.admin.accounts.confirm_second_factor(&visit.caller, code, visit.call.origin).await?;
    Ok(recovery_codes(visit, "The second factor is on.", &codes))
}

async fn try_renew(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let code = fields.get("totp").unwrap_or_default();
    let codes = visit.admin.accounts.renew_recovery_codes(&visit.caller, code, visit.call.origin).await?;
    Ok(recovery_codes(visit, "The recovery codes you had are good no longer.", &codes))
}

fn recovery_codes(visit: &Visit<'_>, lead: &str, codes: &[String]) -> Answer {
    // by the login page, which has the cookies ready that were held back until now
    let on = format!("{}?rd={}", visit.path("/login"), browser::encoded(&visit.path(account::PATH)));
    let body = html! {
        div.card {
            p { (lead) " These recovery codes are shown this once; each logs you in once if your phone is lost. Print them, or keep them where you keep passwords." }
            ol.codes { @for code in codes { li { code { (code) } } } }
            p { a.button href=(on) { "I have kept them" } }
        }
    };
    visit.page(account::PATH, "Recovery codes", body).answer()
}

async fn try_remove(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let code = fields.get("totp").unwrap_or_default();
    let act = visit.admin.accounts.end_second_factor(&visit.caller, code, visit.call.origin).await?;
    Ok(visit.done(act, account::PATH, "factor-removed").await)
}

async fn set_up(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let accounts = &visit.admin.accounts;
    let Some(begun) = accounts.begun_second_factor(&visit.caller).await? else {
        return match accounts.second_factor_of(&visit.caller, None).await?.since {
            Some(_) => account::page(visit, trouble).await,
            None => Ok(before(visit, trouble)),
        };
    };
    let body = html! {
        div.card {
            p { "1. Scan this with an authenticator app." }
            (picture(&begun.uri))
            p { "Or type it in: " code #secret { (begun.secret.reveal()) } }
            p { a href=(begun.uri) { "On this phone: open the app" } }
            p { "2. Enter the code that the app shows." }
            (visit.form(&format!("{PATH}/confirm"), "confirm", trouble, html! {
                label { "Code" input name="totp" inputmode="numeric" autocomplete="one-time-code" maxlength="12" required autofocus; }
                button { "Turn it on" }
            }))
        }
        p { a href=(visit.path(account::PATH)) { "Back to the account" } }
    };
    Ok(visit.page(account::PATH, "Set up a second factor", body))
}

/// Before it is begun: where whoever must have one is led to.
fn before(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Page {
    let body = html! {
        div.card {
            p { "A second factor is a code of an app on your phone, which is asked for beside your password: whoever knows only one of the two does not get in." }
            p { "Where you look after others you may have to set one up before anything else." }
            (visit.form(PATH, "begin", trouble, html! { button { "Set it up" } }))
        }
    };
    visit.page(account::PATH, "Set up a second factor", body)
}

/// `text` as a QR code.
fn picture(text: &str) -> Markup {
    let Ok(code) = QrCode::new(text) else { return html! {} };
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path: String = dark.map(|(n, _)| format!("M{} {}h1v1h-1z", QUIET + n % width, QUIET + n / width)).collect();
    let size = width + 2 * QUIET;
    html! {
        svg.qr viewBox={ "0 0 " (size) " " (size) } role="img" aria-label="QR code for an authenticator app" shape-rendering="crispEdges" {
            path fill="#000" d=(PreEscaped(path)) {}
        }
    }
}
