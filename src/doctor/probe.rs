//! The probes: what is sent, one nonce each.
//!
//! Harmless by what they are: every path lies below `/.gatepost/doctor/`, which no application has; nothing presented is a
//! credential; what the gate does not refuse is one GET.

use crate::examinations::Manner;

/// What makes a spoofed value known again.
pub(super) const MARK: &str = "spoofed";
/// The same, where only an address will do (RFC 5737).
pub(super) const ADDRESS: &str = "198.51.100.77";

/// The identity headers.
pub(super) const IDENTITY: [&str; 5] = ["x-auth-user", "x-auth-scopes", "x-auth-tenant", "x-auth-key-id", "x-auth-expires-in"];

/// What a client might say to make a gate or an application see another request or another sender. `NONCE` stands for the nonce, so that
/// a request is known again that a gate takes for another one.
pub(super) const DESCRIPTION: [(&str, &str); 18] = [
    ("x-original-method", "SPOOFED"),
    ("x-original-uri", "/spoofed/NONCE"),
    ("x-original-url", "/spoofed/NONCE"),
    ("x-original-host", "spoofed.invalid"),
    ("x-original-proto", "spoofed"),
    ("x-rewrite-url", "/spoofed/NONCE"),
    ("x-forwarded-method", "SPOOFED"),
    ("x-forwarded-uri", "/spoofed/NONCE"),
    ("x-forwarded-host", "spoofed.invalid"),
    ("x-forwarded-proto", "spoofed"),
    ("x-forwarded-port", "65001spoofed"),
    ("x-forwarded-prefix", "/spoofed"),
    ("x-forwarded-for", ADDRESS),
    ("x-http-method", "SPOOFED"),
    ("x-http-method-override", "SPOOFED"),
    ("x-method-override", "SPOOFED"),
    ("forwarded", "for=198.51.100.77;host=spoofed.invalid"),
    ("x-proxy-secret", "spoofed"),
];

/// In which header the nonce stands beside the target.
const CARRIER: &str = "authorization";

/// Client headers that the gate judges by.
pub(super) const JUDGED_BY: [&str; 7] =
    ["authorization", "x-authorization", "x-api-key", "cookie", "origin", "sec-fetch-site", "access-control-request-method"];

/// What a probe is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A plain GET.
    Reach,
    /// The same over one connection.
    Again,
    /// With a query.
    Query,
    /// With another method.
    Method,
    /// With a body.
    Body,
    /// With everything that describes a request, made up.
    Spoofed,
    /// With identity headers whose names are spelled otherwise.
    Aliases,
    /// With whatever the gate judges by.
    Credentials,
    /// With a WebSocket's headers.
    Upgrade,
    /// By a path that not everybody reads alike; the text says which.
    Path(&'static str),
    /// The gate answers 500.
    Fails,
    /// The gate is silent.
    Silent,
    /// The gate hangs up.
    HangsUp,
    /// Let through as nobody.
    Pass,
    /// Let through as `gatepost-doctor`, to the stand-in.
    AppPlain,
    /// The same, with made-up identity, description and credentials.
    AppSpoofed,
    /// The same, with aliases.
    AppAliases,
    /// The same, with the identity headers named in `Connection`.
    AppHop,
    /// The same, with an upgrade that is a tunnel.
    AppTunnel,
}

/// One request to send.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// What it is about.
    pub(super) kind: Kind,
    /// How the gate answers.
    pub(super) manner: Manner,
    /// Its method.
    pub(super) method: &'static str,
    /// Its target, with `NONCE` where the nonce stands.
    target: String,
    /// Its headers, the same.
    headers: Vec<(String, String)>,
    /// Whether a few bytes follow.
    pub(super) has_body: bool,
}

impl Probe {
    fn new(kind: Kind, below: &str) -> Self {
        let target = format!("{below}/.gatepost/doctor/NONCE");
        Self { kind, manner: Manner::Usual, method: "GET", target, headers: Vec::new(), has_body: false }
    }

    fn answered(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    fn with(mut self, headers: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        self.headers.extend(headers.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The target of the request with this nonce.
    pub(super) fn target(&self, nonce: &str) -> String {
        self.target.replace("NONCE", nonce)
    }

    /// Its headers, but for `Host`. The nonce stands in `Authorization`, too, which every proxy shows the gate: so a request is known
    /// again whose URI is not told, or not rightly. A scheme that the gate does not take is no credential.
    pub(super) fn headers(&self, nonce: &str) -> Vec<(String, String)> {
        let own = self.headers.iter().any(|(name, _)| name == CARRIER);
        let carrier = (!own).then(|| (CARRIER.to_owned(), "Gatepost-Doctor NONCE".to_owned()));
        self.headers.iter().cloned().chain(carrier).map(|(name, value)| (name, value.replace("NONCE", nonce))).collect()
    }
}

/// Paths that a proxy, a gate and an application may read differently, below the location's own; `B` stands for that.
const PATHS: [(&str, &str); 12] = [
    ("//", "B/.gatepost//doctor/NONCE"),
    ("/./", "B/.gatepost/./doctor/NONCE"),
    ("/../", "B/.gatepost/x/../doctor/NONCE"),
    ("%2e%2e", "B/.gatepost/x/%2e%2e/doctor/NONCE"),
    ("..%2f", "B/.gatepost/x/..%2fdoctor/NONCE"),
    ("%2f", "B/.gatepost%2fdoctor/NONCE"),
    ("%5c", "B/.gatepost/x%5c..%5cdoctor/NONCE"),
    ("..;/", "B/.gatepost/x/..;/doctor/NONCE"),
    (";a=b", "B/.gatepost/doctor;a=b/NONCE"),
    ("%64", "B/.gatepost/%64octor/NONCE"),
    ("%252e", "B/.gatepost/x/%252e%252e/doctor/NONCE"),
    ("%00", "B/.gatepost/doctor/NONCE%00"),
];

/// How the probes of one examination are chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    /// The location's path, without a slash at the end.
    pub(super) below: &'a str,
    /// Whether the gate is made to fail.
    pub(super) outages: bool,
    /// Whether doctor stands in for the application.
    pub(super) stands_in: bool,
}

/// Every probe, in the order of sending.
pub(super) fn all(chosen: Chosen<'_>) -> Vec<Probe> {
    let probe = |kind| Probe::new(kind, chosen.below);
    let mut probes = vec![probe(Kind::Reach)];
    probes.extend((0..6).map(|_| probe(Kind::Again)));
    let query = probe(Kind::Query);
    probes.push(Probe { target: format!("{}?a=1&b=%2F", query.target), ..query });
    probes.push(Probe { method: "PATCH", ..probe(Kind::Method) });
    probes.push(Probe { method: "POST", has_body: true, ..probe(Kind::Body) });
    probes.push(probe(Kind::Spoofed).with(IDENTITY.map(|name| (name, MARK))).with(DESCRIPTION));
    probes.push(probe(Kind::Aliases).with(aliases()));
    probes.push(probe(Kind::Credentials).with([
        ("authorization", "Bearer NONCE"),
        ("x-authorization", "Agent NONCE"),
        ("x-api-key", "NONCE"),
        ("cookie", "doctor=NONCE"),
        ("origin", "https://doctor.invalid"),
        ("sec-fetch-site", "cross-site"),
        ("access-control-request-method", "PUT"),
    ]));
    probes.push(probe(Kind::Upgrade).with([
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "ZG9jdG9yLWRvY3Rvci1kbw=="),
    ]));
    probes.extend(PATHS.map(|(name, target)| Probe { target: target.replacen('B', chosen.below, 1), ..probe(Kind::Path(name)) }));
    if !chosen.below.is_empty() {
        let odd = |name, below: String| Probe { target: format!("{below}/.gatepost/doctor/NONCE"), ..probe(Kind::Path(name)) };
        probes.push(odd("capitals", chosen.below.to_ascii_uppercase()));
        probes.push(odd(";x", format!("{};x", chosen.below)));
        probes.push(odd("a dot after it", format!("{}.", chosen.below)));
        probes.push(odd("two slashes at the beginning", format!("/{}", chosen.below)));
        probes.push(odd("/x/..%2f at the beginning", format!("/x/..%2f{}", chosen.below.trim_start_matches('/'))));
    }
    if chosen.outages {
        probes.push(probe(Kind::Silent).answered(Manner::Silence));
        probes.push(probe(Kind::Fails).answered(Manner::Fail));
        probes.push(probe(Kind::HangsUp).answered(Manner::HangUp));
    }
    probes.push(probe(Kind::Pass).answered(Manner::Allow));
    if chosen.stands_in {
        let probe = |kind| probe(kind).answered(Manner::Identify);
        probes.push(probe(Kind::AppPlain));
        // identity twice: which of two lines an application takes is its own affair
        probes.push(
            probe(Kind::AppSpoofed).with(IDENTITY.map(|name| (name, MARK))).with(IDENTITY.map(|name| (name, MARK))).with(DESCRIPTION).with(
                [("authorization", "Basic c3Bvb2ZlZDpzcG9vZmVk"), ("x-api-key", MARK), ("cookie", "a=1; __Host-gatepost=spoofed; b=2")],
            ),
        );
        probes.push(probe(Kind::AppAliases).with(aliases()));
        probes.push(probe(Kind::AppHop).with([("connection", IDENTITY.join(", "))]).with(IDENTITY.map(|name| (name, MARK))));
        probes.push(probe(Kind::AppTunnel).with([
            ("connection", "Upgrade, HTTP2-Settings"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
        ]));
    }
    probes
}

/// The identity headers, spelled in ways that many applications read as the same names.
fn aliases() -> Vec<(String, &'static str)> {
    IDENTITY.iter().flat_map(|name| ["_", ".", "~"].map(|other| (name.replace('-', other), MARK))).collect()
}

/// Whether a header of this name may be read as an identity header.
pub(super) fn reads_as_identity(name: &str) -> bool {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    IDENTITY.contains(&plain.as_str())
}

/// Whether a value was made up by a probe.
pub(super) fn is_spoofed(value: &str) -> bool {
    value.to_ascii_lowercase().contains(MARK) || value.contains(ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examinations::NONCES;

    #[test]
    fn every_probe_carries_its_nonce_below_the_location_and_there_are_not_too_many() {
        for below in ["", "/api/v1"] {
            let probes = all(Chosen { below, outages: true, stands_in: true });
            assert!(probes.len() <= NONCES, "{}", probes.len());
            for probe in &probes {
                let target = probe.target("gpd_n");
                assert!(target.contains("gpd_n") && target.contains("octor"), "{target}");
                assert!(target.parse::<http::Uri>().is_ok(), "{target}");
                if probe.manner != Manner::Usual {
                    assert_eq!((probe.method, target), ("GET", format!("{below}/.gatepost/doctor/gpd_n")));
                }
                for (name, value) in probe.headers("gpd_n") {
                    assert!(!value.contains("NONCE"));
                    assert!(http::HeaderName::try_from(&name).is_ok() && http::HeaderValue::try_from(&value).is_ok(), "{name}");
                }
            }
        }
    }

    #[test]
    fn nothing_fails_and_nobody_is_named_unless_asked_for() {
        let probes = all(Chosen { below: "", outages: false, stands_in: false });
        assert!(probes.iter().all(|probe| matches!(probe.manner, Manner::Usual | Manner::Allow)));
    }

    #[test]
    fn names_that_read_as_identity() {
        for (name, expected) in [("x-auth-user", true), ("X_Auth.User", true), ("x-auth-users", false), ("x-authuser", false)] {
            assert_eq!(reads_as_identity(name), expected, "{name}");
        }
    }
}
