//! `gatepost explain --admin URL`: a running instance explains, by its `POST /v1/explain`.

use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Explanation;
use crate::args::ExplainArguments;
use crate::causes::with_causes;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer.
const BODY_BYTES: usize = 1 << 20;
/// Longest login's JWT, and longest file with one.
const TOKEN_BYTES: u64 = 16 * 1024;

/// Asks the admin listener at `admin`, as whom `login` says: a super admin's JWT (`jwt.token` of `POST /v1/login`).
///
/// # Errors
/// What cannot be asked so, and what the instance says.
pub async fn explain(arguments: &ExplainArguments, admin: &str, login: &SecretString) -> Result<Explanation, String> {
    let address = address(admin)?;
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
    add("gate", arguments.gate.map(|gate| gate.as_str().into()));
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

/// The login's JWT: from this file (`-` = standard input), else from the variable's value.
///
/// # Errors
/// Where there is none, with what to do.
pub fn login(file: Option<&Path>, variable: Option<&str>) -> Result<SecretString, String> {
    use std::io::Read;
    let text = match (file, variable) {
        (Some(file), _) => {
            let from: Box<dyn Read> = if file == Path::new("-") {
                Box::new(std::io::stdin())
            } else {
                Box::new(std::fs::File::open(file).map_err(|error| format!("`{}`: {error}", file.display()))?)
            };
            let mut text = String::new();
            from.take(TOKEN_BYTES).read_to_string(&mut text).map_err(|error| format!("`{}`: {error}", file.display()))?;
            text
        }
        (None, Some(value)) => value.to_owned(),
        (None, None) => {
            return Err(
                "--admin asks as a super admin: give a login's JWT (`jwt.token` of POST /v1/login) by --admin-token-file FILE, or - for \
                        standard input, or by GATEPOST_ADMIN_TOKEN"
                    .to_owned(),
            );
        }
    };
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("what was given as a super admin's login is no JWT: one line of visible ASCII".to_owned());
    }
    Ok(text.into())
}

/// Where `/v1/explain` is. A login does not cross a network in the clear.
fn address(admin: &str) -> Result<String, String> {
    let base = admin.trim_end_matches('/');
    let example = "write one like https://auth.example.com or http://127.0.0.1:8000";
    match base.split_once("://") {
        Some(("https", rest)) if !rest.is_empty() => {}
        Some(("http", rest)) if is_here(rest) => {}
        Some(("http", _)) => return Err(format!("`{admin}` would show the login to the network: {example}")),
        _ => return Err(format!("`{admin}` is no web address: {example}")),
    }
    if base.contains(['?', '#', '@']) || base.chars().any(|c| c.is_control() || c == ' ') {
        return Err(format!("`{admin}` is no web address: {example}"));
    }
    Ok(format!("{base}/v1/explain"))
}

/// Whether an authority, perhaps with a path, is of this machine.
fn is_here(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    };
    host.is_some_and(|host| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_stays_on_the_machine_or_goes_by_tls() {
        for (admin, expected) in [
            ("https://auth.example.com/", Ok("https://auth.example.com/v1/explain")),
            ("https://example.com/auth", Ok("https://example.com/auth/v1/explain")),
            ("http://127.0.0.1:8000", Ok("http://127.0.0.1:8000/v1/explain")),
            ("http://[::1]:8000", Ok("http://[::1]:8000/v1/explain")),
            ("http://localhost:8000/", Ok("http://localhost:8000/v1/explain")),
            ("http://auth.example.com", Err("show the login")),
            ("http://localhost.example.com", Err("show the login")),
            ("http://127.0.0.1@evil.example", Err("show the login")),
            ("http://localhost:x@evil.example", Err("is no web address")),
            ("auth.example.com", Err("is no web address")),
            ("https://", Err("is no web address")),
            ("https://a.example?x", Err("is no web address")),
        ] {
            match (address(admin), expected) {
                (Ok(is), Ok(expected)) => assert_eq!(is, expected),
                (Err(is), Err(expected)) => assert!(is.contains(expected), "{is}"),
                (is, _) => panic!("{admin}: {is:?}"),
            }
        }
    }

    #[test]
    fn a_login_is_given_by_file_or_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "a.b.c\n").unwrap();
        assert_eq!(login(Some(file.path()), Some("d.e.f")).unwrap().expose_secret(), "a.b.c");
        assert_eq!(login(None, Some("d.e.f")).unwrap().expose_secret(), "d.e.f");
        assert!(login(None, None).unwrap_err().contains("--admin-token-file"));
        assert!(login(None, Some("")).is_err() && login(None, Some("a b")).is_err());
        assert!(login(Some(Path::new("/nowhere")), None).unwrap_err().contains("/nowhere"));
    }
}
