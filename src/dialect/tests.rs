use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;

use super::*;
use crate::decision::path::PathFault;
use crate::decision::trial::{Attributes, CredentialState, Trial};
use crate::decision::{Denial, Reason};

fn dialect(proxy: Proxy) -> Dialect {
    Dialect::new(proxy, None, None)
}

/// A check as lines of text, the request line first.
fn parts(text: &str) -> (Method, Uri, HeaderMap) {
    let mut lines = text.lines().map(str::trim);
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").or(line.split_once(':')).unwrap();
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    (method.parse().unwrap(), target.parse().unwrap(), headers)
}

/// `METHOD host path`, or the fault.
fn read(proxy: Proxy, text: &str) -> String {
    let (method, target, headers) = parts(text);
    match dialect(proxy).read(&method, &target, &headers).request {
        Ok(request) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("{} {} {}", text(request.method), text(request.host.as_bytes()), text(request.path.readings().next().unwrap()))
        }
        Err(fault) => fault.to_string(),
    }
}

const NGINX: &str = "GET /verify\nX-Original-Method: PUT\nX-Original-URI: /a?b\nX-Original-Host: app.example\nX-Original-Proto: https";
const FORWARDED: &str =
    "GET /verify\nX-Forwarded-Method: PUT\nX-Forwarded-Uri: /a?b\nX-Forwarded-Host: app.example\nX-Forwarded-Proto: https";
const ENVOY: &str = "PUT /verify/a?b\nHost: app.example\nX-Forwarded-Proto: https";
const FORWARDED_PROXIES: [Proxy; 3] = [Proxy::Traefik, Proxy::Caddy, Proxy::Haproxy];

fn all() -> impl Iterator<Item = (Proxy, &'static str)> {
    FORWARDED_PROXIES.map(|proxy| (proxy, FORWARDED)).into_iter().chain([(Proxy::Nginx, NGINX), (Proxy::Envoy, ENVOY)])
}

#[test]
fn each_reads_its_own_description() {
    for (proxy, text) in all() {
        assert_eq!(read(proxy, text), "PUT app.example /a", "{proxy:?}");
    }
}

#[test]
fn each_ignores_the_others_headers() {
    for (proxy, own) in all() {
        for (_, foreign) in all().filter(|(_, text)| *text != own) {
            let lies = foreign.lines().skip(1).filter(|line| !own.contains(line.split(':').next().unwrap()));
            let lies: String = lies.map(|line| format!("\n{}: /lie", line.split(':').next().unwrap())).collect();
            assert_eq!(
                read(proxy, &format!("{own}{lies}\nX-Rewrite-URL: /lie\nX-Original-URL: /lie\nForwarded: host=lie")),
                "PUT app.example /a"
            );
        }
    }
}

#[test]
fn missing_empty_or_doubled_is_refused() {
    for (proxy, text) in all() {
        for name in text.lines().skip(1).map(|line| line.split(':').next().unwrap()) {
            let without: String = text.lines().filter(|line| !line.starts_with(name)).collect::<Vec<_>>().join("\n");
            let optional = name.ends_with("Proto");
            assert_eq!(read(proxy, &without) == "PUT app.example /a", optional, "{proxy:?} without {name}");
            assert_ne!(read(proxy, &format!("{without}\n{name}:")), "PUT app.example /a", "{proxy:?} empty {name}");
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert_ne!(read(proxy, &format!("{text}\n{line}")), "PUT app.example /a", "{proxy:?} doubled {name}");
        }
    }
}

#[test]
fn nothing_else_lives_on_a_gate() {
    for (target, header_call, envoy_call) in [
        ("/verify", Some(Call::Verify), Some(Call::Verify)),
        ("/verify?x=1", Some(Call::Verify), Some(Call::Verify)),
        ("/explain", Some(Call::Explain), Some(Call::Explain)),
        ("/verify/a", None, Some(Call::Verify)),
        ("/", None, None),
        ("/metrics", None, None),
        ("/healthz", None, None),
        ("/Verify", None, None),
        ("http://app.example/verify", None, None),
        ("http://app.example/verify/a", None, None),
    ] {
        for (proxy, text) in all() {
            let (method, _, headers) = parts(text);
            let target = target.parse().unwrap();
            let expected = if proxy == Proxy::Envoy { envoy_call } else { header_call };
            assert_eq!(dialect(proxy).read(&method, &target, &headers).call, expected, "{proxy:?} {target}");
        }
    }
    assert_eq!(read(Proxy::Envoy, "GET /verifyx\nHost: a"), PathFault::NotOriginForm.to_string());
    assert_eq!(read(Proxy::Envoy, "GET /verify\nHost: a"), "the proxy did not tell the original URI");
}

#[test]
fn the_proxy_secret() {
    let dialect = Dialect::new(Proxy::Nginx, Some("s3cret".to_owned().into()), None);
    for (lines, right) in [
        ("\nX-Proxy-Secret: s3cret", true),
        ("", false),
        ("\nX-Proxy-Secret:", false),
        ("\nX-Proxy-Secret: s3cre", false),
        ("\nX-Proxy-Secret: s3cretx", false),
        ("\nX-Proxy-Secret: s3cret\nX-Proxy-Secret: s3cret", false),
    ] {
        let (method, target, headers) = parts(&format!("{NGINX}{lines}"));
        assert_eq!(dialect.read(&method, &target, &headers).secret_is_right, right, "{lines}");
    }
}

#[test]
fn announced_bodies_and_request_ids() {
    for (line, body, id) in [
        ("", false, None),
        ("\nContent-Length: 0", false, None),
        ("\nContent-Length: 5", true, None),
        ("\nTransfer-Encoding: chunked", true, None),
        ("\nX-Request-Id: a.B_1-", false, Some("a.B_1-")),
        ("\nX-Request-Id: a b", false, None),
        ("\nX-Request-Id: a\nX-Request-Id: b", false, None),
    ] {
        let (method, target, headers) = parts(&format!("{NGINX}{line}"));
        let dialect = dialect(Proxy::Nginx);
        let asked = dialect.read(&method, &target, &headers);
        assert_eq!((asked.announces_body, asked.request_id), (body, id), "{line}");
    }
}

#[test]
fn a_preflight_needs_both_headers_once() {
    let base = NGINX.replace("PUT", "OPTIONS");
    for (lines, expected) in [
        ("\nOrigin: https://a\nAccess-Control-Request-Method: PUT", Some("PUT")),
        ("\nAccess-Control-Request-Method: PUT", None),
        ("\nOrigin: https://a", None),
        ("\nOrigin: https://a\nOrigin: https://b\nAccess-Control-Request-Method: PUT", None),
        ("\nOrigin: https://a\nAccess-Control-Request-Method: PUT\nAccess-Control-Request-Method: PUT", None),
    ] {
        let (method, target, headers) = parts(&format!("{base}{lines}"));
        let dialect = dialect(Proxy::Nginx);
        let request = dialect.read(&method, &target, &headers).request.unwrap();
        assert_eq!(request.preflight_for, expected.map(str::as_bytes), "{lines}");
    }
}

/// The whole answer as text: status, headers in alphabetical order, body.
fn wire(answer: Answer) -> String {
    let mut lines: Vec<String> =
        answer.headers().iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    lines.sort();
    let status = answer.status().as_u16();
    let body = futures_body(answer);
    format!("{status}\n{}\n\n{body}", lines.join("\n")).trim_end().to_owned()
}

fn futures_body(answer: Answer) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(answer.into_body().collect()).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn rules() -> RuleSet {
    let spec = |path: &str, requirement| RuleSpec {
        id: path.into(),
        hosts: vec![],
        methods: vec![],
        path: PathPattern::parse(path).unwrap(),
        fallthrough: false,
        requirement,
    };
    let demanding = Requirement { scopes: Demand::All("orders:read".parse().unwrap()), ..Requirement::token() };
    RuleSet::compile(vec![spec("/open", Requirement::anonymous()), spec("/orders", demanding)]).unwrap()
}
use crate::decision::rules::{Demand, PathPattern, Requirement, RuleSet, RuleSpec};

fn trial(uri: &str, scopes: &str) -> Trial {
    let holder = Attributes { uid: "u1".into(), name: "alice".into(), tenant: "t1".into(), role: "admin".into(), key_id: "k1".into() };
    Trial { scopes: scopes.parse().unwrap(), holder, ..Trial::parse("GET", uri).unwrap() }
}

#[test]
fn an_allow_carries_each_identity_header_once() {
    let rules = rules();
    for proxy in Proxy::ALL {
        let answer = dialect(proxy).render(Call::Verify, &trial("/orders", "orders:read b").run(&rules));
        let expected = "200\nx-auth-expires-in: \nx-auth-key-id: k1\nx-auth-scopes: b orders:read\nx-auth-tenant: t1\nx-auth-user: alice";
        assert_eq!(wire(answer), expected);
        let answer = dialect(proxy).render(Call::Verify, &trial("/open", "").run(&rules));
        assert_eq!(wire(answer), "200\nx-auth-expires-in: \nx-auth-key-id: \nx-auth-scopes: \nx-auth-tenant: \nx-auth-user:");
    }
}

#[test]
fn nginx_is_refused_with_401_or_403_and_no_body() {
    let rules = rules();
    let nginx = |dialect: Dialect, trial: Trial| wire(dialect.render(Call::Verify, &trial.run(&rules)));
    assert_eq!(
        nginx(dialect(Proxy::Nginx), trial("/orders", "")),
        "403\ncache-control: no-store\nwww-authenticate: Bearer realm=\"gatepost\", error=\"insufficient_scope\", scope=\"orders:read\"\n\
         x-deny-reason: insufficient_scope\nx-deny-status: 403"
    );
    assert_eq!(
        nginx(dialect(Proxy::Nginx), Trial { state: CredentialState::StoreUnavailable, ..trial("/orders", "") }),
        "403\ncache-control: no-store\nretry-after: 1\nx-deny-reason: store_unavailable\nx-deny-status: 503"
    );
    assert_eq!(
        nginx(Dialect::new(Proxy::Nginx, None, Some(422)), Trial { credential: None, ..trial("/orders", "") }),
        "401\ncache-control: no-store\nwww-authenticate: Bearer realm=\"gatepost\"\nx-deny-reason: no_credential\nx-deny-status: 422"
    );
}

#[test]
fn everyone_else_is_refused_with_status_and_json() {
    let rules = rules();
    for proxy in [Proxy::Traefik, Proxy::Caddy, Proxy::Haproxy, Proxy::Envoy] {
        let refuse = |trial: Trial| wire(dialect(proxy).render(Call::Verify, &trial.run(&rules)));
        assert_eq!(
            refuse(Trial { state: CredentialState::Invalid, ..trial("/orders", "") }),
            "401\ncache-control: no-store\ncontent-type: application/json\nwww-authenticate: Bearer realm=\"gatepost\", error=\"invalid_token\"\n\n\
             {\"data\":[],\"status\":\"failed\",\"code\":401,\"message\":\"malformed, forged, unknown or ended credential\"}"
        );
        assert_eq!(
            refuse(Trial { state: CredentialState::StoreUnavailable, ..trial("/orders", "") }),
            "503\ncache-control: no-store\ncontent-type: application/json\nretry-after: 1\n\n\
             {\"data\":[],\"status\":\"failed\",\"code\":503,\"message\":\"authorization unavailable\"}"
        );
        let fixed = Dialect::new(proxy, None, Some(422));
        for (trial, status) in
            [(trial("/none", ""), 422), (Trial { state: CredentialState::StoreUnavailable, ..trial("/orders", "") }, 503)]
        {
            assert_eq!(fixed.render(Call::Verify, &trial.run(&rules)).status().as_u16(), status);
        }
    }
}

#[test]
fn explain_never_allows_and_names_the_reason() {
    let rules = rules();
    for proxy in Proxy::ALL {
        let explain = |trial: Trial| wire(dialect(proxy).render(Call::Explain, &trial.run(&rules)));
        assert!(explain(trial("/open", "")).starts_with("503\n"));
        assert!(explain(trial("/open", "")).contains("retry-after: 1"));
        let refused = explain(trial("/orders", "b"));
        assert!(refused.starts_with("403\n") && refused.contains(r#""reason":"insufficient_scope""#), "{refused}");
        assert!(!refused.contains("x-auth"), "identity on a refusal");
    }
}

#[test]
fn a_refusal_of_every_reason_is_no_success_in_any_dialect() {
    for proxy in Proxy::ALL {
        for reason in Reason::ALL {
            for call in [Call::Verify, Call::Explain] {
                let answer = dialect(proxy).render(call, &crate::decision::Verdict::Deny(Denial::bare(reason, "x")));
                let nginx_verify = proxy == Proxy::Nginx && call == Call::Verify;
                let status = answer.status().as_u16();
                assert!(if nginx_verify { matches!(status, 401 | 403) } else { status == reason.status() });
                assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("x-auth")));
                assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
            }
        }
    }
}
