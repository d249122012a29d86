//! `POST /v1/register`

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Forbidden, Read, Throttled};
use super::failure::Failure;
use super::login::{Given, credentials};
use super::request::Call;
use crate::accounts::names::Name;
use crate::accounts::sign_up::Application;
use crate::database::NameKind;
use crate::id::Id;

/// Set-up code beside Basic credentials.
pub(super) const X_SETUP_CODE: &str = "x-setup-code";

/// Who signs up: `user` or `email` and `password`, or neither beside Basic.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Register {
    user: Option<String>,
    email: Option<String>,
    password: Option<String>,
    phone: Option<String>,
    invitation: Option<String>,
    setup_code: Option<String>,
}

/// A new principal.
#[derive(Serialize, ToSchema)]
struct Registered {
    uid: Id,
    /// Unix seconds.
    reg_date: u64,
    /// Shown once; not there where a phone number must be proved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    api_key: Option<String>,
    /// Whether the person is asked for a phone number.
    phone_required: bool,
}

/// Sign up.
///
/// 400 `missing authorization header` (neither Basic nor body), `user already exist`, `weak password`; 403 `invitation required`,
/// `setup code required`.
#[utoipa::path(post, path = "/v1/register", tag = document::PEOPLE, security(("basic" = []), ()), request_body = Option<Register>,
    params(("X-Setup-Code" = Option<String>, Header, description = "The set-up code, beside Basic.")),
    responses((status = 201, description = "Signed up.", body = Registered), Read, Forbidden, Throttled))]
pub(super) async fn register(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let body: Register = call.json_or_default()?;
    let header_code = call.header(X_SETUP_CODE)?.map(str::to_owned);
    let (name, password) = credentials(&call, Given { user: body.user, email: body.email, password: body.password, ..Given::default() })?;
    let application = Application {
        name: name.to_sign_up_under()?,
        password,
        phone: body.phone.map(|phone| Name::given(NameKind::Phone, &phone)).transpose()?,
        invitation: body.invitation,
        setup_code: body.setup_code.or(header_code),
    };
    let made = admin.accounts.sign_up(application, call.origin).await?;
    let api_key = made.api_key.as_ref().map(|api_key| api_key.reveal().to_owned());
    Ok(Answer::created(Registered { uid: made.uid, reg_date: made.at.seconds(), api_key, phone_required: made.phone_required }))
}
