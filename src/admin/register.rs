//! `POST /v1/register`

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Admin;
use super::answer::Answer;
use super::failure::Failure;
use super::login::{Given, credentials};
use super::request::Call;
use crate::accounts::names::Name;
use crate::accounts::sign_up::Application;
use crate::database::NameKind;

/// Set-up code beside Basic credentials.
const X_SETUP_CODE: &str = "x-setup-code";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Body {
    user: Option<String>,
    email: Option<String>,
    password: Option<String>,
    phone: Option<String>,
    invitation: Option<String>,
    setup_code: Option<String>,
}

pub(super) async fn register(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let body: Body = call.json_or_default()?;
    let header_code = call.header(X_SETUP_CODE)?.map(str::to_owned);
    let (name, password) = credentials(&call, Given { user: body.user, email: body.email, phone: None, password: body.password })?;
    let application = Application {
        name: name.to_sign_up_under()?,
        password,
        phone: body.phone.map(|phone| Name::given(NameKind::Phone, &phone)).transpose()?,
        invitation: body.invitation,
        setup_code: body.setup_code.or(header_code),
    };
    let made = admin.accounts.sign_up(application, call.origin).await?;
    let mut fields = Map::from_iter([
        ("uid".to_owned(), json!(made.uid)),
        ("reg_date".to_owned(), json!(made.at.seconds())),
        ("phone_required".to_owned(), json!(made.phone_required)),
    ]);
    if let Some(api_key) = &made.api_key {
        fields.insert("api_key".to_owned(), json!(api_key.reveal()));
    }
    Ok(Answer::created(Value::Object(fields)))
}
