//! Access tokens: `/v1/tokens`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Deleted, Ending, Managed, NotFound, Paging};
use super::failure::Failure;
use super::lists::{Asked, id};
use super::request::{Call, scope_names};
use crate::accounts::tokens::LiveToken;
use crate::id::Id;

/// A live access token; never its text.
#[derive(Serialize, ToSchema)]
struct Token {
    id: Id,
    key_id: Id,
    scopes: Vec<String>,
    /// Unix seconds.
    issued_at: u64,
    /// Unix seconds: when it ends if not used again.
    expires_at: u64,
}

#[derive(Serialize, ToSchema)]
struct Tokens {
    tokens: Vec<Token>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// List live access tokens.
///
/// Those of the caller's own keys, oldest first; with `principal` those of someone below.
#[utoipa::path(get, path = "/v1/tokens", tag = document::TOKENS, security(("login" = [])), params(Paging),
    responses((status = 200, description = "A page of tokens.", body = Tokens), Managed, NotFound))]
pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let live = admin.accounts.tokens(&caller, asked.of, asked.page).await?;
    let (tokens, next_cursor) = asked.page_of(&live, |token| (token.row.issued_at, token.row.id), shown);
    Ok(Answer::ok(Tokens { tokens, next_cursor }))
}

/// End an access token.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = document::TOKENS, security(("login" = [])), params(ById),
    responses((status = 200, description = "Ended.", body = Deleted), Ending, Managed, NotFound))]
pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(token): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.end_token(&caller, id(&token)?, call.origin).await?;
    Ok(admin.ended(act, strict, Deleted::YES).await)
}

fn shown(token: &LiveToken) -> Token {
    Token {
        id: token.row.id,
        key_id: token.row.key,
        scopes: scope_names(&token.row.scopes),
        issued_at: token.row.issued_at.seconds(),
        expires_at: token.ends.seconds(),
    }
}
