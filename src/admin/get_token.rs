//! `POST /get-token`: an API key for an access token. Its envelope is its own.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use super::answer::Answer;
use super::failure::Failure;
use super::request::{Call, scopes};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    api_key: String,
    scopes: Option<Vec<String>>,
}

pub(super) async fn get_token(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let body: Body = call.json()?;
    let wanted = body.scopes.as_deref().map(scopes).transpose()?;
    let token = admin.accounts.exchange(&body.api_key, wanted).await?;
    let held: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    Ok(Answer::Plain(json!({
        "data": { "auth_token": token.text, "expires_in": token.expires_in, "scopes": held },
        "status": "success",
        "code": 200,
        "message": "token successfully created",
    })))
}
