//! The caller's second factor: `/v1/second-factor`.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Managed, NotFound, Throttled};
use super::failure::Failure;
use super::request::Call;

/// A code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TotpCode {
    /// Six digits; to remove it, a recovery code will do.
    totp: String,
}

#[derive(Serialize, ToSchema)]
struct SecondFactor {
    /// Whether it is asked for at every login.
    active: bool,
    /// Unix seconds; null = there is none.
    since: Option<u64>,
    /// How many are left.
    recovery_codes: u32,
}

#[derive(Serialize, ToSchema)]
struct OneSecondFactor {
    second_factor: SecondFactor,
}

/// What an authenticator app is told, shown once.
#[derive(Serialize, ToSchema)]
struct BegunSecondFactor {
    /// base32 (RFC 4648).
    secret: String,
    /// `otpauth://totp/…`
    uri: String,
}

#[derive(Serialize, ToSchema)]
struct RecoveryCodes {
    /// Ten, each good once; shown once.
    recovery_codes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct Removed {
    removed: bool,
}

/// Show whether the caller has a second factor.
#[utoipa::path(get, path = "/v1/second-factor", tag = document::PEOPLE, security(("login" = [])),
    responses((status = 200, description = "What there is.", body = OneSecondFactor), Managed))]
pub(super) async fn show(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let having = admin.accounts.second_factor_of(&caller).await?;
    let since = having.since.map(|at| at.seconds());
    Ok(Answer::ok(OneSecondFactor {
        second_factor: SecondFactor { active: since.is_some(), since, recovery_codes: having.recovery_codes },
    }))
}

/// Begin to set up a second factor (RFC 6238: SHA-1, six digits, 30 seconds).
///
/// It counts once `/v1/second-factor/confirm` has been given a code of it. 400 where there is one already.
#[utoipa::path(post, path = "/v1/second-factor", tag = document::PEOPLE, security(("login" = [])),
    responses((status = 201, description = "What the app is told.", body = BegunSecondFactor), Managed))]
pub(super) async fn begin(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let begun = admin.accounts.begin_second_factor(&caller, call.origin).await?;
    Ok(Answer::created(BegunSecondFactor { secret: begun.secret.reveal(), uri: begun.uri }))
}

/// Show a code of the app: from here on every login asks for one.
///
/// 401 `incorrect second factor`; 404 where none is being set up.
#[utoipa::path(post, path = "/v1/second-factor/confirm", tag = document::PEOPLE, security(("login" = [])), request_body = TotpCode,
    responses((status = 200, description = "It counts; its recovery codes.", body = RecoveryCodes), Managed, NotFound, Throttled))]
pub(super) async fn confirm(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: TotpCode = call.json()?;
    let recovery_codes = admin.accounts.confirm_second_factor(&caller, &body.totp, call.origin).await?;
    Ok(Answer::ok(RecoveryCodes { recovery_codes }))
}

/// Remove the second factor, by one of its codes.
///
/// 401 `second factor required`, `incorrect second factor`; 404 where there is none.
#[utoipa::path(post, path = "/v1/second-factor/remove", tag = document::PEOPLE, security(("login" = [])), request_body = TotpCode,
    responses((status = 200, description = "Removed.", body = Removed), Managed, NotFound, Throttled))]
pub(super) async fn remove(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: TotpCode = call.json()?;
    let act = admin.accounts.end_second_factor(&caller, &body.totp, call.origin).await?;
    admin.accounts.propagate(act).await;
    Ok(Answer::ok(Removed { removed: true }))
}
