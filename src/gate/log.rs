//! One line a decision, of fixed shape: refusals at info, allows at debug. Never a secret.
//!
//! A refusal's line ends with the `gatepost explain` command that reproduces it.

use std::fmt::Write;

use super::Gate;
use crate::decision::credential::{Carrier, CredentialKind};
use crate::decision::{Denial, Reason, Verdict};
use crate::dialect::{Asked, Proxy, Told};

/// Writes the line of one decision.
pub(super) fn decision(at: &Gate, asked: &Asked<'_>, verdict: &Verdict<'_>, kind: Option<CredentialKind>) {
    let gate = at.dialect.proxy().as_str();
    let request_id = || asked.request_id().unwrap_or("-");
    match verdict {
        Verdict::Allow(permit) => {
            if let Some(denial) = permit.shadowed() {
                refusal("shadow", gate, request_id(), denial, &explain(at, asked, denial, kind));
            } else if tracing::enabled!(target: "gatepost::check", tracing::Level::DEBUG) {
                let key_id = permit.holder().map(|holder| holder.holder().key_id).unwrap_or_default();
                let key_id = dash(&key_id);
                tracing::debug!(target: "gatepost::check", result = "allow", gate, request_id = request_id(), rule = permit.rule().id, reason = "-", key_id);
            }
        }
        Verdict::Deny(denial) => {
            if tracing::enabled!(target: "gatepost::check", tracing::Level::INFO) {
                refusal("deny", gate, request_id(), denial, &explain(at, asked, denial, kind));
            }
        }
    }
}

fn refusal(result: &str, gate: &str, request_id: &str, denial: &Denial<'_>, explain: &str) {
    let rule = denial.rule.map_or("-", |rule| &rule.id);
    let key_id = denial.holder.as_ref().map_or("-", |holder| dash(&holder.key_id));
    let reason = denial.reason.as_str();
    tracing::info!(target: "gatepost::check", result, gate, request_id, rule, reason, key_id, explain = %explain);
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// The command that reproduces a refusal from the files.
fn explain(gate: &Gate, asked: &Asked<'_>, denial: &Denial<'_>, kind: Option<CredentialKind>) -> String {
    let proxy = gate.dialect.proxy();
    let mut command = String::from("gatepost explain");
    if let Some(file) = &gate.shared.configuration {
        let _ = write!(command, " --config {}", quoted(file.as_os_str().as_encoded_bytes()));
    }
    let told = Told { uri: without_query(asked.told.uri), ..asked.told };
    match (told.method, told.host, told.uri) {
        (Carrier::Once(method), Carrier::Once(host), Carrier::Once(uri)) if asked.call.is_some() && says_all(denial.reason, uri) => {
            let scheme = told.proto.once().unwrap_or(b"https");
            let url = [scheme, b"://", host, uri].concat();
            let _ = write!(command, " {} {}", quoted(method), quoted(&url));
        }
        _ => as_headers(&mut command, proxy, &told),
    }
    let _ = write!(command, " --gate {}", quoted(gate.name.as_bytes()));
    if let Ok(request) = &asked.request
        && let Some(method) = request.preflight_for
    {
        let _ = write!(command, " --preflight-for {}", quoted(method));
    }
    if let Ok(request) = &asked.request
        && let Some(from) = request.client.address()
        && denial.rule.is_some()
    {
        let _ = write!(command, " --from {from}");
    }
    let credential = match denial.reason {
        Reason::NoCredential => Some("none".into()),
        _ => kind.map(|kind| gate.shared.in_force.load().rules.issuers().name(kind)),
    };
    if let Some(credential) = credential {
        let _ = write!(command, " --credential {credential}");
    }
    match denial.reason {
        Reason::InvalidCredential => command.push_str(" --state invalid"),
        Reason::TicketUsed => command.push_str(" --state used"),
        Reason::StoreUnavailable => command.push_str(" --state store-unavailable"),
        Reason::RateLimited => command.push_str(" --state rate-limited"),
        Reason::QuotaExceeded => command.push_str(" --state quota-exceeded"),
        Reason::NetworkRefused if !is_of_rule(asked, denial) => command.push_str(" --state outside"),
        Reason::ProxySecret => command.push_str(" --no-proxy-secret"),
        _ => {}
    }
    if let Some(holder) = &denial.holder {
        let scopes = holder.grant.effective(&[]).to_string().replace(' ', ",");
        if !scopes.is_empty() {
            let _ = write!(command, " --scopes {}", quoted(scopes.as_bytes()));
        }
        let attributes =
            [("uid", &holder.uid), ("name", &holder.name), ("tenant", &holder.tenant), ("role", &holder.role), ("key_id", &holder.key_id)];
        for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(command, " --as {}", quoted(format!("{name}={value}").as_bytes()));
        }
    }
    command
}

/// Whether the rule itself is for other networks than the client's; otherwise the key is.
fn is_of_rule(asked: &Asked<'_>, denial: &Denial<'_>) -> bool {
    let (Ok(request), Some(rule)) = (&asked.request, denial.rule) else { return true };
    request.client.is_outside(&rule.requirement.networks).is_some()
}

/// Nothing of a query decides but a ticket, and that is a secret; others may stand there, too.
fn path_of(uri: &[u8]) -> &[u8] {
    uri.split(|byte| *byte == b'?').next().unwrap_or_default()
}

fn without_query(uri: Carrier<'_>) -> Carrier<'_> {
    match uri {
        Carrier::Once(uri) => Carrier::Once(path_of(uri)),
        Carrier::Absent | Carrier::Doubled => uri,
    }
}

/// Whether method and URL alone bring the refusal about again.
fn says_all(reason: Reason, uri: &[u8]) -> bool {
    !matches!(reason, Reason::RequestNotDescribed) && uri.starts_with(b"/") && std::str::from_utf8(uri).is_ok()
}

fn as_headers(command: &mut String, proxy: Proxy, told: &Told<'_>) {
    let _ = write!(command, " --request-line {}", quoted(path_of(told.as_request_line().as_bytes())));
    for (name, value) in told.as_headers(proxy) {
        let _ = write!(command, " --header {}", quoted(&[name.as_bytes(), b": ", &value].concat()));
    }
}

/// A shell word for these bytes.
fn quoted(bytes: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._:-,=@+%".contains(b);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    if bytes.iter().all(|b| matches!(b, b' '..=b'~') && *b != b'\'') {
        return format!("'{}'", String::from_utf8_lossy(bytes));
    }
    let mut word = String::from("$'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => {
                let _ = write!(word, "\\{}", char::from(*byte));
            }
            b' '..=b'~' => word.push(char::from(*byte)),
            _ => {
                let _ = write!(word, "\\x{byte:02x}");
            }
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::{path_of, quoted};

    #[test]
    fn a_query_stays_out() {
        for (uri, path) in [(&b"/a?token=x?y"[..], &b"/a"[..]), (b"/a%3Fb", b"/a%3Fb"), (b"?x", b""), (b"", b"")] {
            assert_eq!(path_of(uri), path);
        }
    }

    #[test]
    fn shell_words() {
        for (bytes, word) in [
            (&b"/a/b"[..], "/a/b"),
            (b"", "''"),
            (b"/a?b", "'/a?b'"),
            (b"/$(x)", "'/$(x)'"),
            (b"it's", r"$'it\'s'"),
            (b"/\xe9\t", r"$'/\xe9\x09'"),
        ] {
            assert_eq!(quoted(bytes), word);
        }
    }
}
