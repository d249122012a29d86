//! `GET /` for browsers: who is logged in, and the way out. `GET /v1/session`: the same for the console's script.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::super::Admin;
use super::super::answer::Answer;
use super::super::browser::{self, Redirect};
use super::super::failure::Failure;
use super::super::request::Call;
use super::{Escaped, Page};
use crate::accounts::Refusal;

/// The start page of whoever is logged in; everybody else logs in.
///
/// # Errors
/// Where it cannot be known who is.
pub(in crate::admin) async fn show(admin: &Admin, call: &Call) -> Result<Response, Failure> {
    let Some(session) = browser::session(admin, call).await? else {
        return Ok(Redirect::to(format!("{}/login", browser::base(admin))).response());
    };
    let subject = &session.standing.subject;
    let body = format!(
        "<dl>\n<dt>Logged in as</dt><dd>{}</dd>\n<dt>Role</dt><dd>{}</dd>\n<dt>Id</dt><dd>{}</dd>\n</dl>\n<form method=\"post\" action=\"logout\">\n<input type=\"hidden\" name=\"token\" value=\"{}\">\n<button class=\"second\">Log out everywhere</button>\n</form>",
        Escaped(&subject.name),
        Escaped(&subject.role.as_str().replace('_', " ")),
        session.standing.uid,
        Escaped(&admin.accounts.csrf_token(session.session)?),
    );
    Ok(Page::new("Gatepost", body).response())
}

/// `GET /v1/session`: whose session the console's cookie names, and the token that its requests carry.
pub(in crate::admin) async fn session(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let session = browser::session(&admin, &call).await?.ok_or(Refusal::InvalidToken)?;
    Ok(Answer::ok(json!({
        "session": {
            "id": session.session,
            "uid": session.standing.uid,
            "name": session.standing.subject.name,
            "role": session.standing.subject.role.as_str(),
            "expires_at": session.ends.seconds(),
        },
        "csrf_token": admin.accounts.csrf_token(session.session)?,
    })))
}
