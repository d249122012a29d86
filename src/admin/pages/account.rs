//! `/console/account`: how one is reached, and the password.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::Admin;
use super::super::answer::Answer;
use super::super::failure::Failure;
use super::super::form::Form;
use super::super::request::Call;
use super::frame::role;
use super::visit::{Trouble, Visit, acted, shown};
use super::{Page, second_factor};
use crate::accounts::codes::Given;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::accounts::profile::Profile;
use crate::database::NameKind;

pub(super) const PATH: &str = "/console/account";

pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    shown!(admin, call, page())
}

pub(super) async fn change(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "contact", try_change(), page())
}

pub(super) async fn send(State(admin): State<Arc<Admin>>, Path(kind): Path<String>, call: Call) -> Answer {
    acted!(admin, call, &format!("code-{kind}"), try_send(), page())
}

pub(super) async fn verify(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "verify", try_verify(), code_page())
}

pub(super) async fn password(State(admin): State<Arc<Admin>>, call: Call) -> Answer {
    acted!(admin, call, "password", try_password(), page())
}

/// An e-mail address or a phone number, as it was filled in.
fn contact(fields: &Form) -> Result<Name, Failure> {
    Ok(Name::of_basic(fields.need("contact")?.trim())?)
}

async fn try_change(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let contact = contact(fields)?;
    if contact.kind == NameKind::User {
        return Err(Failure::invalid("enter an e-mail address, or a phone number like +491234567890"));
    }
    visit.admin.accounts.change_profile(&visit.caller, vec![contact], visit.call.origin).await?;
    Ok(visit.leave(PATH, "profile"))
}

async fn try_send(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let name = contact(fields)?.checked()?;
    let challenge = visit.admin.accounts.send_code(&name, visit.call.origin).await?;
    Ok(code_form(visit, None, &name.text, &challenge.id.to_string()).answer())
}

async fn try_verify(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
    let given = Given { challenge: text("challenge"), code: text("code") };
    visit.admin.accounts.verify_profile(&visit.caller, &given, visit.call.origin).await?;
    Ok(visit.leave(PATH, "proved"))
}

async fn try_password(visit: &Visit<'_>, fields: &Form) -> Result<Answer, Failure> {
    let profile = profile(visit).await?;
    let text = |name| fields.get(name).unwrap_or_default();
    let (old, new) = (Password::new("old_password", text("old_password"))?, Password::new("new_password", text("new_password"))?);
    let contacts = profile.contacts;
    let named = [(NameKind::User, contacts.user), (NameKind::Email, contacts.email), (NameKind::Phone, contacts.phone)];
    let Some((kind, name)) = named.into_iter().find_map(|(kind, name)| Some((kind, name?))) else {
        return Err(Failure::invalid("there is no name that a password could belong to"));
    };
    let everywhere = fields.get("everywhere").is_some();
    let act = visit
        .admin
        .accounts
        .change_password(&Name::given(kind, &name)?, old, new, fields.get("totp"), everywhere, visit.call.origin)
        .await?;
    Ok(visit.done(act, PATH, "password").await)
}

pub(super) async fn profile(visit: &Visit<'_>) -> Result<Profile, Failure> {
    Ok(visit.admin.accounts.change_profile(&visit.caller, Vec::new(), visit.call.origin).await?)
}

async fn code_page(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let was = |field| Trouble::was(trouble, "verify", field);
    Ok(code_form(visit, trouble, was("contact"), was("challenge")))
}

fn code_form(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, contact: &str, challenge: &str) -> Page {
    let fields = html! {
        input type="hidden" name="challenge" value=(challenge);
        input type="hidden" name="contact" value=(contact);
        label { "Code" input name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="12" required autofocus; }
        button { "Prove it" }
    };
    let body = html! {
        div.card {
            p { "A code is on its way to " strong { (contact) } ". It is good for five minutes." }
            (visit.form(&format!("{PATH}/verify"), "verify", trouble, fields))
        }
        p { a href=(visit.path(PATH)) { "Back to the account" } }
    };
    visit.page(PATH, "The code", body)
}

pub(super) async fn page(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>) -> Result<Page, Failure> {
    let profile = profile(visit).await?;
    let having = visit.admin.accounts.second_factor_of(&visit.caller, None).await?;
    let body = html! {
        (contacts(visit, trouble, &profile))
        (password_card(visit, trouble, having.since.is_some()))
        (second_factor::card(visit, trouble, having))
    };
    Ok(visit.page(PATH, "Account", body))
}

fn contacts(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, profile: &Profile) -> Markup {
    let contacts = &profile.contacts;
    let (by_mail, by_phone) = visit.admin.accounts.sends_codes();
    let line = |(label, kind): (&str, &str), own: &Option<String>, verified: bool, pending: &Option<String>, sends: bool| {
        let unproved = pending.as_ref().or(own.as_ref().filter(|_| !verified));
        html! {
            dt { (label) }
            dd {
                @if let Some(own) = own.as_ref().filter(|_| verified) { (own) " " span.chip.good { "proved" } }
                @if let Some(text) = unproved {
                    div.row {
                        span { (text) " " span.chip.warn { "not proved" } }
                        @if sends {
                            (visit.form(&format!("{PATH}/code/{kind}"), &format!("code-{kind}"), trouble, html! {
                                input type="hidden" name="contact" value=(text);
                                button.second { "Send a code there" }
                            }))
                        }
                    }
                }
                @if own.is_none() && pending.is_none() { span.quiet { "none" } }
            }
        }
    };
    html! {
        section.card {
            h2 { "You" }
            dl {
                dt { "Shown as" } dd { (profile.name) }
                dt { "Role" } dd { (role(visit.caller.standing.subject.role)) }
                dt { "User name" } dd { @match &contacts.user { Some(user) => (user), None => span.quiet { "none" } } }
                (line(("E-mail", "email"), &contacts.email, contacts.email_verified, &contacts.pending_email, by_mail))
                (line(("Phone", "phone"), &contacts.phone, contacts.phone_verified, &contacts.pending_phone, by_phone))
                dt { "Id" } dd { code { (profile.uid) } }
            }
            (visit.folded("Change e-mail or phone…", &format!("{PATH}/contact"), "contact", trouble, contact_fields(trouble)))
        }
    }
}

pub(super) fn contact_fields(trouble: Option<&Trouble<'_>>) -> Markup {
    html! {
        label {
            span { "E-mail address or phone number " small { "a phone number with its country code, like +491234567890" } }
            input name="contact" value=(Trouble::was(trouble, "contact", "contact")) maxlength="320" autocomplete="off" autocapitalize="none" spellcheck="false" required;
        }
        button { "Save" }
    }
}

fn password_card(visit: &Visit<'_>, trouble: Option<&Trouble<'_>>, asks_for_code: bool) -> Markup {
    let everywhere = Trouble::ticked_or(trouble, "password", "everywhere", false);
    let fields = html! {
        // for whatever keeps the person's passwords
        input type="text" name="username" value=(visit.caller.standing.subject.name) autocomplete="username" hidden;
        label { "The password now" input name="old_password" type="password" autocomplete="current-password" maxlength="256" required; }
        label { "The new one" input name="new_password" type="password" autocomplete="new-password" maxlength="256" required; }
        @if asks_for_code { (second_factor::code_field(false)) }
        label.tick { input type="checkbox" name="everywhere" checked[everywhere]; "Log out everywhere, here too" }
        button { "Change the password" }
    };
    html! {
        section.card {
            h2 { "Password" }
            (visit.folded("Change it…", &format!("{PATH}/password"), "password", trouble, fields))
        }
    }
}
