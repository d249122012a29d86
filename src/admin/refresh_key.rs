//! Refresh keys: `/v1/refresh-key`, `/v1/refresh-key/login`.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Managed, Read, Throttled, Unauthorized};
use super::failure::Failure;
use super::login::Login;
use super::request::Call;
use crate::accounts::names::Name;
use crate::accounts::password::Password;
use crate::database::NameKind;

const FIELD: &str = "refresh_key";

/// The refresh key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRefreshKey {
    /// As long as a password must be, not well known, and not one of its owner's names with a little more.
    refresh_key: String,
}

#[derive(Serialize, ToSchema)]
struct RefreshKeySet {
    refresh_key_set: bool,
}

/// A phone number and the refresh key of whoever proved it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogInByRefreshKey {
    phone: String,
    refresh_key: String,
    /// Of whoever has a second factor: its code, or a recovery code.
    #[serde(default)]
    totp: Option<String>,
}

/// Choose a refresh key, in place of an earlier one.
///
/// 400 `weak refresh key`; 403 `phone required` where the caller has proved no phone number.
#[utoipa::path(post, path = "/v1/refresh-key", tag = document::PEOPLE, security(("login" = [])), request_body = SetRefreshKey,
    responses((status = 200, description = "Set.", body = RefreshKeySet), Managed))]
pub(super) async fn set(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let body: SetRefreshKey = call.json()?;
    let key = Password::new(FIELD, &body.refresh_key)?;
    admin.accounts.set_refresh_key(&caller, key, call.origin).await?;
    Ok(Answer::ok(RefreshKeySet { refresh_key_set: true }))
}

/// Log in by phone number and refresh key.
///
/// 401 `incorrect credentials`, for an unknown number too, at the same time and in the same bytes; `second factor required` and
/// `incorrect second factor` as for `/v1/login`.
#[utoipa::path(post, path = "/v1/refresh-key/login", tag = document::PEOPLE, request_body = LogInByRefreshKey,
    responses((status = 200, description = "Logged in.", body = Login), Read, Unauthorized, Throttled))]
pub(super) async fn log_in(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let body: LogInByRefreshKey = call.json()?;
    let phone = Name::given(NameKind::Phone, &body.phone)?;
    let key = Password::new(FIELD, &body.refresh_key)?;
    let made = admin.accounts.log_in_by_refresh_key(&phone, key, body.totp.as_deref(), call.origin).await?;
    Ok(Answer::ok(Login::of(&made)))
}
