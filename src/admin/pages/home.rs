//! `GET /` for browsers: who is logged in, and the way out. `GET /v1/session`: the same for the console's script.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::Answer;
use super::super::document::{self, Managed};
use super::super::failure::Failure;
use super::super::request::Call;
use super::super::{Admin, browser};
use super::{Escaped, Page};
use crate::id::Id;

/// The start page of whoever is logged in; everybody else logs in.
///
/// # Errors
/// Where it cannot be known who is.
pub(in crate::admin) async fn show(admin: &Admin, call: &Call) -> Result<Answer, Failure> {
    let Some(session) = browser::session(admin, call).await? else {
        return Ok(browser::redirect(&format!("{}/login", browser::base(admin)), None));
    };
    let subject = &session.standing.subject;
    let body = format!(
        "<dl>\n<dt>Logged in as</dt><dd>{}</dd>\n<dt>Role</dt><dd>{}</dd>\n<dt>Id</dt><dd>{}</dd>\n</dl>\n<form method=\"post\" action=\"logout\">\n<input type=\"hidden\" name=\"token\" value=\"{}\">\n<button class=\"second\">Log out everywhere</button>\n</form>",
        Escaped(&subject.name),
        Escaped(&subject.role.as_str().replace('_', " ")),
        session.standing.uid,
        Escaped(&admin.accounts.csrf_token(session.session)?),
    );
    Ok(Page::new("Gatepost", body).answer())
}

/// A browser's session.
#[derive(Serialize, ToSchema)]
struct BrowserSession {
    id: Id,
    uid: Id,
    #[schema(example = "ann")]
    name: String,
    #[schema(example = "client")]
    role: &'static str,
    /// Unix seconds; earlier where it is not used.
    expires_at: u64,
}

/// A browser's session and what its requests carry.
#[derive(Serialize, ToSchema)]
struct Opened {
    session: BrowserSession,
    /// For `X-CSRF-Token` on every request with the console's cookie that changes something.
    csrf_token: String,
}

/// Whose session the console's cookie names.
#[utoipa::path(get, path = "/v1/session", tag = document::SESSIONS, security(("console" = [])),
    responses((status = 200, description = "The session and its CSRF token.", body = Opened), Managed))]
pub(in crate::admin) async fn session(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let browser = browser::needed_session(&admin, &call).await?;
    let csrf_token = admin.accounts.csrf_token(browser.session)?;
    let subject = browser.standing.subject;
    Ok(Answer::ok(Opened {
        session: BrowserSession {
            id: browser.session,
            uid: browser.standing.uid,
            name: subject.name,
            role: subject.role.as_str(),
            expires_at: browser.ends.seconds(),
        },
        csrf_token,
    }))
}
