//! `POST /get-token`: an API key for an access token. Its envelope is its own.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Forbidden, Read, Throttled, Unauthorized};
use super::failure::Failure;
use super::request::{Call, scope_names, scopes};

/// What to exchange.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GetToken {
    /// `gpk_…`
    api_key: String,
    /// What the token may do; without it all that the key holds.
    scopes: Option<Vec<String>>,
}

/// A token, in an envelope of its own.
#[derive(Serialize, ToSchema)]
struct GotToken {
    data: TokenData,
    #[schema(example = "success")]
    status: &'static str,
    #[schema(example = 200)]
    code: u16,
    #[schema(example = "token successfully created")]
    message: &'static str,
}

#[derive(Serialize, ToSchema)]
struct TokenData {
    /// The access token.
    auth_token: String,
    /// Seconds until it ends if not used again.
    expires_in: u64,
    /// What it may do.
    scopes: Vec<String>,
}

/// Exchange an API key for an access token.
///
/// One live token stands per key and set of scopes: asking again returns the same one, its time restored.
#[utoipa::path(post, path = "/get-token", tag = document::EXCHANGE, request_body = GetToken,
    responses((status = 200, description = "The token.", body = GotToken), Read, Unauthorized, Forbidden, Throttled))]
pub(super) async fn get_token(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let body: GetToken = call.json()?;
    let wanted = body.scopes.as_deref().map(scopes).transpose()?;
    let token = admin.accounts.exchange(&body.api_key, wanted, call.origin).await?;
    let data = TokenData { scopes: scope_names(&token.scopes), auth_token: token.text, expires_in: token.expires_in };
    Ok(Answer::plain(GotToken { data, status: "success", code: 200, message: "token successfully created" }))
}
