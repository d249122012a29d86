//! The caller's second factor: `/v1/second-factor`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Ending, Managed, NotFound, Throttled};
use super::failure::Failure;
use super::lists::id;
use super::principals::ByUid;
use super::request::Call;

/// A code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TotpCode {
    /// Six digits; to remove it or to renew recovery codes, one of those will do.
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
    let caller = call.caller_setting_up(&admin).await?;
    let having = admin.accounts.second_factor_of(&caller, None).await?;
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
    let caller = call.caller_setting_up(&admin).await?;
    let begun = admin.accounts.begin_second_factor(&caller, call.origin).await?;
    Ok(Answer::created(BegunSecondFactor { secret: begun.secret.reveal(), uri: begun.uri }))
}

/// Show a code of the app: from here on every login asks for one.
///
/// 401 `incorrect second factor`; 404 where none is being set up.
#[utoipa::path(post, path = "/v1/second-factor/confirm", tag = document::PEOPLE, security(("login" = [])), request_body = TotpCode,
    responses((status = 200, description = "It counts; its recovery codes.", body = RecoveryCodes), Managed, NotFound, Throttled))]
pub(super) async fn confirm(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller_setting_up(&admin).await?;
    let body: TotpCode = call.json()?;
    let recovery_codes = admin.accounts.confirm_second_factor(&caller, &body.totp, call.origin).await?;
    Ok(Answer::ok(RecoveryCodes { recovery_codes }))
}

/// Make new recovery codes, in place of those that there are, by one of its codes.
///
/// 401 `second factor required`, `incorrect second factor`; 404 where there is none.
#[utoipa::path(post, path = "/v1/second-factor/recovery-codes", tag = document::PEOPLE, security(("login" = [])), request_body = TotpCode,
    responses((status = 200, description = "The new ones.", body = RecoveryCodes), Managed, NotFound, Throttled))]
pub(super) async fn renew(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: TotpCode = call.json()?;
    let recovery_codes = admin.accounts.renew_recovery_codes(&caller, &body.totp, call.origin).await?;
    Ok(Answer::ok(RecoveryCodes { recovery_codes }))
}

/// Reset the second factor of someone below, who lost phone and recovery codes.
///
/// Their logins end, and they are told by mail where a sender is configured and their address is proved. 404 where there is none; one's
/// own is removed, not reset.
#[utoipa::path(delete, path = "/v1/second-factor/{uid}", tag = document::PEOPLE, security(("login" = [])), params(ByUid),
    responses((status = 200, description = "Reset.", body = Removed), Ending, Managed, NotFound))]
pub(super) async fn reset(State(admin): State<Arc<Admin>>, Path(uid): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let strict = call.strict()?;
    let act = admin.accounts.reset_second_factor(&caller, id(&uid)?, call.origin).await?;
    Ok(admin.ended(act, strict, Removed { removed: true }).await)
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
