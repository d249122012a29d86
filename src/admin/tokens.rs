//! Access tokens: `/v1/tokens`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Admin;
use super::answer::Answer;
use super::failure::Failure;
use super::lists::{Asked, id};
use super::request::Call;
use crate::accounts::tokens::LiveToken;

pub(super) async fn list(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let asked = Asked::read(&call)?;
    let live = admin.accounts.tokens(&caller, asked.of, asked.page).await?;
    Ok(asked.answer("tokens", &live, |token| (token.row.issued_at, token.row.id), shown))
}

pub(super) async fn end(State(admin): State<Arc<Admin>>, Path(token): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.end_token(&caller, id(&token)?, call.origin).await?;
    Ok(admin.ended(act, strict, json!({ "deleted": true })).await)
}

fn shown(token: &LiveToken) -> Value {
    json!({
        "id": token.row.id,
        "key_id": token.row.key,
        "scopes": token.row.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "issued_at": token.row.issued_at.seconds(),
        "expires_at": token.ends.seconds(),
    })
}
