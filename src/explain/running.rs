//! `gatepost explain --admin URL`: a running instance explains, by its `POST /v1/explain`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Explanation;
use crate::admin_access;
use crate::args::ExplainArguments;
use crate::causes::with_causes;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer.
const BODY_BYTES: usize = 1 << 20;

/// Asks the admin listener at `admin`, as whom `login` says: a super admin's JWT (`jwt.token` of `POST /v1/login`).
///
/// # Errors
/// What cannot be asked so, and what the instance says.
pub async fn explain(arguments: &ExplainArguments, admin: &str, login: &SecretString) -> Result<Explanation, String> {
    let address = format!("{}/v1/explain", admin_access::base(admin)?);
    let (Some(method), Some(url)) = (&arguments.method, &arguments.url) else {
        return Err("METHOD and URL are needed".to_owned());
    };
    let url = url.to_str().ok_or("the URL is no UTF-8: a running instance takes text")?;
    let mut question = json!({ "method": method, "url": url });
    let mut add = |name: &str, value: Option<Value>| {
        if let (Some(value), Some(question)) = (value, question.as_object_mut()) {
            question.insert(name.to_owned(), value);
        }
    };
    add("gate", arguments.gate.clone().map(Into::into));
    add("token", arguments.token.clone().map(Into::into));
    add("from", arguments.from.map(|from| from.to_string().into()));
    add("api_key", arguments.api_key.clone().map(Into::into));
    add(
        "scopes",
        arguments.scopes.as_ref().map(|scopes| scopes.iter().map(crate::decision::scopes::Scope::as_str).collect::<Vec<_>>().into()),
    );
    let client = reqwest::Client::builder()
        // a redirect would take the login elsewhere
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .map_err(|error| with_causes(&error))?;
    let sent = client
        .post(&address)
        .header("Authorization", format!("Bearer {}", login.expose_secret()))
        .header("Content-Type", "application/json")
        .body(question.to_string())
        .send()
        .await;
    let mut answer = sent.map_err(|error| with_causes(&error))?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| with_causes(&error))? {
        if body.len() + chunk.len() > BODY_BYTES {
            return Err(format!("`{address}` answered more than {BODY_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| format!("`{address}` answered {status}, and no JSON: is it the admin listener?"))?;
    let said = body.get("message").and_then(Value::as_str).unwrap_or_default();
    match (status, body.get("explanation")) {
        (200, Some(explanation)) => serde_json::from_value(explanation.clone())
            .map_err(|error| format!("`{address}` explains in words of another version: {error}")),
        (401, _) => {
            Err(format!("`{address}`: {said}: the login has ended or is not of this instance; POST /v1/login gives another (`jwt.token`)"))
        }
        (403, _) => Err(format!("`{address}`: {said}: only super admins are told")),
        _ => Err(format!("`{address}` answered {status}: {said}")),
    }
}
