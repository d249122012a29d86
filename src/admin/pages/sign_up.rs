//! `GET` and `POST /signup`: signing up in a browser, by the rules of `POST /v1/register`.

use std::sync::Arc;

use axum::extract::State;
use maud::html;

use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::request::Call;
use super::super::{Admin, browser, oidc};
use super::answered;
use super::login::{self, Entrance};
use crate::accounts::SignUp;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::accounts::return_to::ReturnTo;
use crate::accounts::sign_up::Application;
use crate::database::NameKind;

/// The form.
pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    // a query that cannot be read asks for nothing
    let rd = call.parameter("rd").ok().flatten();
    answered(form(&admin, &call, &way(&admin, rd.as_deref()), None).await)
}

/// The form, sent.
pub(super) async fn sign_up(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    let answer = async {
        let fields = call.form()?;
        let return_to = way(&admin, fields.get("rd"));
        let signed_up = match login::is_own_form(&admin, &call, &fields) {
            true => try_sign_up(&admin, &call, &fields, &return_to).await,
            false => Err(Failure::forbidden("this form is too old: please try again")),
        };
        match signed_up {
            Ok(answer) => Ok(answer),
            Err(failure) => form(&admin, &call, &return_to, Some((&failure, &fields))).await,
        }
    };
    answered(answer.await)
}

/// Where it leads, by the rules of a login.
fn way(admin: &Admin, rd: Option<&str>) -> ReturnTo {
    rd.map(|rd| ReturnTo::parse(rd, admin.accounts.returns())).unwrap_or_default()
}

async fn try_sign_up(admin: &Admin, call: &Call, fields: &Form, return_to: &ReturnTo) -> Result<Answer, Failure> {
    let text = |name| fields.get(name).map(str::trim).filter(|text| !text.is_empty());
    let name = Name::of_basic(text("name").unwrap_or_default())?.to_sign_up_under()?;
    let password = Password::new("password", fields.get("password").unwrap_or_default())?;
    let application = Application {
        name: name.clone(),
        password: password.clone(),
        phone: text("phone").map(|phone| Name::given(NameKind::Phone, phone)).transpose()?,
        invitation: text("invitation").map(str::to_owned),
        setup_code: text("setup_code").map(str::to_owned),
    };
    let made = admin.accounts.sign_up(application, call.origin).await?;
    let proof = admin.accounts.prove_password(&name, password, None, call.origin).await?;
    match made.api_key {
        Some(api_key) => oidc::enter_anew(admin, call, &proof, &api_key, return_to).await,
        None => browser::enter(admin, call, &proof, None, return_to).await,
    }
}

async fn form(admin: &Admin, call: &Call, return_to: &ReturnTo, before: Option<(&Failure, &Form)>) -> Result<Answer, Failure> {
    let entrance = Entrance::of(admin, call)?;
    let was = |field: &str| before.and_then(|(_, fields)| fields.get(field)).unwrap_or_default();
    let founded = admin.accounts.database().is_founded().await.map_err(crate::accounts::Refusal::from)?;
    let by_invitation = founded && admin.accounts.sign_up_rule() != SignUp::Open;
    let body = html! {
        (login::goes_on(return_to))
        @if !founded { p.quiet { "You are the first here: this account founds the installation and looks after it." } }
        form method="post" action="signup" {
            input type="hidden" name="token" value=(entrance.token);
            input type="hidden" name="rd" value=(return_to.to_string());
            @if founded {
                label {
                    span { "Invitation code " @if !by_invitation { small { "if you have one" } } }
                    input name="invitation" value=(was("invitation")) maxlength="256" autocomplete="off" autocapitalize="none" spellcheck="false" required[by_invitation];
                }
            } @else if !call.origin.local {
                label {
                    span { "Set-up code " small { "printed where Gatepost was started" } }
                    input name="setup_code" value=(was("setup_code")) maxlength="256" autocomplete="off" autocapitalize="none" spellcheck="false" required;
                }
            }
            label {
                "User name or e-mail"
                input name="name" value=(was("name")) maxlength="320" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus;
            }
            label {
                span { "Password " small { "long rather than odd: four words are fine" } }
                input name="password" type="password" autocomplete="new-password" maxlength="256" required;
            }
            label {
                span { "Phone " small { "if you like; with its country code, like +491234567890" } }
                input name="phone" value=(was("phone")) maxlength="20" autocomplete="tel" inputmode="tel";
            }
            button { "Sign up" }
        }
        @for (label, address) in oidc::buttons(admin, return_to) { p { a.button.second href=(address) { "Go on with " (label) } } }
        p { "You have an account? " a href=(login::towards("login?ask=true", return_to)) { "Log in" } }
    };
    let page = login::shown_on_the_way_to("Sign up", return_to, before.map(|(failure, _)| failure), &body);
    Ok(browser::with_cookies(page, entrance.cookie))
}
