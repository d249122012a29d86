//! What doctor asks of the admin listener, as a super admin: to open an examination, and what was seen.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::examinations::{Manner, Sight};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// By what doctor proves who asks.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// A login's JWT.
    Login(SecretString),
    /// A user name, e-mail address or phone number, its password, and a code of its second factor.
    Password(String, SecretString, Option<String>),
}

/// The admin listener, logged in to.
pub(super) struct Admin {
    client: Client,
    base: String,
    login: SecretString,
    /// Whether the session is doctor's own.
    own: bool,
}

/// An open examination.
#[derive(Debug, Deserialize)]
pub(super) struct Opened {
    id: String,
    /// One for each manner.
    pub(super) nonces: Vec<String>,
}

/// What was seen.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    /// In order of arrival.
    pub(super) sights: Vec<Sight>,
    /// Connections below this number are older than the examination.
    pub(super) first_connection: u64,
}

impl Admin {
    /// Logs in.
    ///
    /// # Errors
    /// Where that is refused, or nobody answers.
    pub(super) async fn enter(base: &str, credential: Credential) -> Result<Self, String> {
        crate::server::install_cryptography();
        let client = Client::builder().redirect(Policy::none()).no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| error.to_string())?;
        let base = base.trim_end_matches('/').to_owned();
        let mut admin = Self { client, base, login: SecretString::default(), own: false };
        match credential {
            Credential::Login(jwt) => admin.login = jwt,
            Credential::Password(name, password, totp) => {
                let basic = STANDARD.encode(format!("{name}:{}", password.expose_secret()));
                let code = totp.map(|totp| json!({ "totp": totp }));
                let answer = admin.call(Method::POST, "/v1/login", format!("Basic {basic}"), code).await?;
                let jwt = answer.pointer("/jwt/token").and_then(Value::as_str).ok_or("the login was answered without a token")?;
                admin.login = jwt.to_owned().into();
                admin.own = true;
            }
        }
        Ok(admin)
    }

    /// Opens an examination.
    ///
    /// # Errors
    /// Where that is refused, or nobody answers.
    pub(super) async fn open(&self, below: &str, manners: &[Manner]) -> Result<Opened, String> {
        let asked = json!({ "below": below, "manners": manners });
        let mut answer = self.ask(Method::POST, "/v1/examinations", Some(asked)).await?;
        let opened: Opened = read(answer.get_mut("examination").map(Value::take).unwrap_or_default())?;
        match opened.nonces.len() == manners.len() {
            true => Ok(opened),
            false => Err("the examination was opened with another number of nonces".to_owned()),
        }
    }

    /// What was seen so far.
    ///
    /// # Errors
    /// Where that is refused, or nobody answers.
    pub(super) async fn seen(&self, opened: &Opened) -> Result<Seen, String> {
        read(self.ask(Method::GET, &format!("/v1/examinations/{}", opened.id), None).await?)
    }

    /// Closes the examination, and a session that is doctor's own. Both would end by themselves.
    pub(super) async fn leave(&self, opened: Option<&Opened>) {
        if let Some(opened) = opened {
            let _ = self.ask(Method::DELETE, &format!("/v1/examinations/{}", opened.id), None).await;
        }
        if self.own {
            let _ = self.ask(Method::POST, "/v1/logout", None).await;
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        self.call(method, path, format!("Bearer {}", self.login.expose_secret()), body).await
    }

    async fn call(&self, method: Method, path: &str, authorization: String, body: Option<Value>) -> Result<Value, String> {
        let wrong = |error: &reqwest::Error| {
            let what = match error {
                error if error.is_timeout() => "no answer in time".to_owned(),
                error if error.is_connect() => "no connection; is it running, and is --admin right?".to_owned(),
                error => error.to_string(),
            };
            format!("the admin listener at {}: {what}", self.base)
        };
        let mut authorization = http::HeaderValue::try_from(authorization).map_err(|_| "the credential cannot be sent in a header")?;
        authorization.set_sensitive(true);
        let mut request =
            self.client.request(method.clone(), format!("{}{path}", self.base)).header(http::header::AUTHORIZATION, authorization);
        if let Some(body) = body {
            request = request.header(http::header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| wrong(&error))?;
        let status = answer.status();
        let body: Value = serde_json::from_slice(&answer.bytes().await.map_err(|error| wrong(&error))?).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let message = body.get("message").and_then(Value::as_str).unwrap_or("no message");
        let code = body.get("error").and_then(Value::as_str).unwrap_or_default();
        let hint = match status.as_u16() {
            _ if code == "second_factor_required" => "; give a code of it, or a recovery code, by --totp",
            _ if code == "second_factor_setup_required" => "",
            401 => "; give a super admin's --user and password, or a login's token",
            403 => "; only a super admin may examine",
            404 => "; is --admin a Gatepost of this version?",
            429 => "; wait a little",
            _ => "",
        };
        Err(format!("the admin listener at {} answered {} to {method} {path}: {message}{hint}", self.base, status.as_u16()))
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("the admin listener answered what this version does not know: {error}"))
}
