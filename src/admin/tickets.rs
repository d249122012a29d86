//! Tickets: `POST /v1/tickets`.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Managed, Throttled};
use super::failure::Failure;
use super::request::{Authorization, Call, scopes};
use crate::accounts::tickets::{NewTicket, TicketSource};
use crate::decision::credential::Presented;

/// What the ticket is to be good for.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct MakeTicket {
    /// Seconds, at most 30; without it 30.
    #[schema(minimum = 1, maximum = 30)]
    expires_in: Option<u64>,
    /// What it may do; without it all that its source may.
    scopes: Option<Vec<String>>,
    /// The one path that it is good for, byte for byte; without it any.
    #[schema(example = "/ws/prices")]
    path: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TicketMade {
    /// `gpw_…`: good once, as `?ticket=` in an address.
    ticket: String,
    /// Unix seconds: earlier than asked for where its source ends before.
    expires_at: u64,
}

/// Make a ticket for a WebSocket.
///
/// Browsers send no headers with those: a rule with `credentials: [ticket]` takes a ticket in the query instead. It is good for one request and
/// stands for what it was made from, which may be an access token or a login's JWT as Bearer, an API key in `X-Api-Key`, or a
/// browser's session in the console; once that ends, it has ended. Of other issuers' tokens none is made. 401 `invalid token`,
/// `unknown or ended key`.
#[utoipa::path(post, path = "/v1/tickets", tag = document::TOKENS,
    security(("login" = []), ("token" = []), ("key" = []), ("console" = [])), request_body = Option<MakeTicket>,
    responses((status = 201, description = "The ticket.", body = TicketMade), Managed, Throttled))]
pub(super) async fn make(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let source = source(&admin, &call).await?;
    let MakeTicket { expires_in, scopes: wanted, path } = call.json_or_default()?;
    let new = NewTicket { lasts_s: expires_in, scopes: wanted.as_deref().map(scopes).transpose()?, path };
    let made = admin.accounts.make_ticket(source, new, call.origin).await?;
    Ok(Answer::created(TicketMade { ticket: made.text, expires_at: made.ends.seconds() }))
}

/// What the caller holds.
async fn source(admin: &Admin, call: &Call) -> Result<TicketSource, Failure> {
    let key = call.header("x-api-key").map_err(Failure::unauthorized)?;
    let presented = match (call.authorization().map_err(Failure::unauthorized)?, key) {
        (Some(Authorization::Bearer(token)), key) => Presented::Bearer(token.into(), key.map(Into::into)),
        (Some(Authorization::Basic(..)), _) => return Err(Failure::invalid_method().unauthorized()),
        (None, Some(key)) => Presented::ApiKey(key.into()),
        (None, None) => return Ok(TicketSource::session(call.caller(admin).await?.claims.sid)),
    };
    let source = admin.accounts.ticket_source(presented, &admin.issuers, call.origin)?;
    if source.is_login() {
        // what else is asked of whoever logged in, is asked here too
        call.caller(admin).await?;
    }
    Ok(source)
}
