//! What a start prints: where each listener is, and for the first minutes a key with three commands.

use std::fmt::Write;

use crate::config::{Config, GateConfig, Listen, Proxy};
use crate::decision::rules::RuleSet;

const ALLOWED: &str = "quickstart-hello";

/// Where everything listens.
pub(super) fn listeners(config: &Config) -> String {
    let mut text = format!("gatepost {}\n", env!("CARGO_PKG_VERSION"));
    for gate in &config.gates {
        let tls = if gate.tls.is_some() { "  TLS" } else { "" };
        let _ = writeln!(text, "  gate     {:<8} {}{tls}", gate.proxy.as_str(), gate.listen);
    }
    let _ = writeln!(text, "  admin             {}", admin_address(config));
    let _ = writeln!(text, "  metrics           http://{}/metrics", config.metrics);
    text
}

/// The key of the first hour and three commands: 401, 403, 200.
pub(super) fn first_minutes(config: &Config, rules: &RuleSet, api_key: &str) -> String {
    let mut text = format!("\nNobody has signed up. This key works for an hour, or until somebody does:\n\n  API key: {api_key}\n");
    let gate = config.gates.iter().find(|gate| gate.proxy != Proxy::Envoy && gate.secret.is_none() && gate.tls.is_none());
    let Some(gate) = gate.filter(|_| rules.rules().iter().any(|rule| rule.id == ALLOWED)) else { return text };
    text.push_str("\nAsk as the proxy would:\n\n");
    for (status, path, key) in
        [(401, "/quickstart/hello", None), (403, "/quickstart/secret", Some(api_key)), (200, "/quickstart/hello", Some(api_key))]
    {
        let _ = writeln!(text, "  {}   # {status}", ask(gate, path, key));
    }
    let _ = write!(
        text,
        "\nTo sign up: curl -X POST {}/v1/register -H 'Content-Type: application/json' -d '{{\"user\":\"me\",\"password\":\"…\"}}'\n",
        admin_address(config)
    );
    text
}

fn admin_address(config: &Config) -> String {
    let scheme = if config.admin.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", config.admin.listen)
}

fn ask(gate: &GateConfig, path: &str, key: Option<&str>) -> String {
    let family = if gate.proxy == Proxy::Nginx { "Original" } else { "Forwarded" };
    let uri = if gate.proxy == Proxy::Nginx { "URI" } else { "Uri" };
    let to = match &gate.listen {
        Listen::Tcp(address) => format!("http://{address}/verify"),
        Listen::Unix(socket) => format!("--unix-socket {} http://gate/verify", socket.display()),
    };
    let key = key.map(|key| format!(" -H 'X-Api-Key: {key}'")).unwrap_or_default();
    format!("curl -i {to} -H 'X-{family}-Method: GET' -H 'X-{family}-{uri}: {path}' -H 'X-{family}-Host: localhost'{key}")
}

/// The code for founding from elsewhere.
pub(super) fn setup_code(code: &str) -> String {
    format!("\nSet-up code (to sign up first from another machine): {code}\n")
}
