use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;

use super::*;
use crate::decision::holder::Holder;
use crate::decision::path::PathFault;
use crate::decision::told::{About, Source};
use crate::decision::trial::{Attributes, CredentialState, Trial};
use crate::decision::{Denial, Reason};
use crate::decision::{Evidence, Judged, Verdict, decide};

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
        assert_eq!((asked.announces_body, asked.request_id()), (body, id), "{line}");
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
                let answer = dialect(proxy).render(call, &crate::decision::Verdict::deny(Denial::bare(reason, "x")));
                let nginx_verify = proxy == Proxy::Nginx && call == Call::Verify;
                let status = answer.status().as_u16();
                assert!(if nginx_verify { matches!(status, 401 | 403) } else { status == reason.status() });
                assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("x-auth")));
                assert_eq!(answer.headers().get("cache-control").unwrap(), "no-store");
            }
        }
    }
}

mod sessions {
    use super::*;
    use crate::decision::credential::{CredentialKind, Presented, SessionCookies};
    use crate::decision::rules::Accepts;
    use crate::decision::{Evidence, Judged, decide};

    /// What a check with these further headers presents.
    fn presents(headers: &str, assert: impl Fn(Presented<'_>)) {
        for (proxy, text) in all() {
            let (method, target, headers) = parts(&format!("{text}{headers}"));
            assert(dialect(proxy).read(&method, &target, &headers).presented);
        }
    }

    #[test]
    fn a_cookie_counts_only_where_nothing_else_is_presented() {
        let both = SessionCookies { host: Some(b"h"), domain: Some(b"d") };
        presents("\nCookie: a=b; __Host-gatepost=h\nCookie: __Secure-gatepost=d", |presented| {
            assert_eq!(presented, Presented::Session(both));
        });
        presents("\nCookie: a=b; __Host-gatepost-console=h", |presented| assert_eq!(presented, Presented::Nothing));
        presents("\nCookie: a=1,__Host-gatepost=h", |presented| assert_eq!(presented, Presented::Nothing));
        presents("\nCookie: __Host-gatepost=h\nAuthorization: Bearer t", |presented| {
            assert_eq!(presented, Presented::Bearer("t".into(), None))
        });
        presents("\nCookie: __Host-gatepost=h\nAuthorization: Basic eDp5", |presented| {
            assert_eq!(presented, Presented::Session(SessionCookies { host: Some(b"h"), domain: None }));
        });
        presents("\nCookie: __Host-gatepost=h\nX-Api-Key: k", |presented| assert_eq!(presented, Presented::ApiKey("k".into())));
        for malformed in [
            "\nCookie: __Host-gatepost=h; __Host-gatepost=h",
            "\nCookie: __Host-gatepost=h\nCookie: __Host-gatepost=i",
            "\nCookie: __Host-gatepost=h; __Secure-gatepost=d; __Secure-gatepost=e",
            // no falling back
            "\nCookie: __Host-gatepost=h\nAuthorization: Bearer",
            "\nCookie: __Host-gatepost=h\nX-Authorization: x",
        ] {
            presents(malformed, |presented| assert!(matches!(presented, Presented::Malformed(_)), "{malformed}: {presented:?}"));
        }
    }

    fn page_of(proxy: Proxy, text: &str) -> String {
        let (method, target, headers) = parts(text);
        let dialect = dialect(proxy);
        let asked = dialect.read(&method, &target, &headers);
        let page = asked.request.unwrap().page;
        format!("{} {} {}", page.is_navigation(), page.upgrade, page.in_the_clear)
    }

    #[test]
    fn the_page_is_read() {
        for (proxy, text) in all() {
            assert_eq!(page_of(proxy, text), "false false false");
            assert_eq!(page_of(proxy, &format!("{text}\nAccept: image/png\nAccept: text/html;q=0.9")), "true false false");
            assert_eq!(page_of(proxy, &format!("{text}\nAccept: text/html\nSec-Fetch-Mode: cors")), "false false false");
            assert_eq!(page_of(proxy, &format!("{text}\nSec-Fetch-Mode: navigate\nUpgrade: websocket")), "false true false");
            assert_eq!(page_of(proxy, &text.replace("Proto: https", "Proto: http")), "false false true");
        }
        // ForwardAuth drops Upgrade itself
        assert_eq!(page_of(Proxy::Traefik, &format!("{FORWARDED}\nX-Original-Upgrade: websocket")), "false true false");
    }

    /// The answer to a check, where nothing is presented and the rule sends people to log in.
    fn answered(dialect: &Dialect, text: &str) -> String {
        let requirement =
            Requirement { credentials: Accepts::default().with(CredentialKind::Session), login_redirect: true, ..Requirement::token() };
        let path = PathPattern::parse("/**").unwrap();
        let spec = RuleSpec { id: "a".into(), hosts: vec![], methods: vec![], path, fallthrough: false, requirement };
        let rules = RuleSet::compile(vec![spec]).unwrap();
        let (method, target, headers) = parts(text);
        let asked = dialect.read(&method, &target, &headers);
        let request = asked.request.as_ref().unwrap();
        wire(dialect.answer(&asked, &decide(request, &Judged::of(&rules, request), Evidence::Nothing)))
    }

    #[test]
    fn a_person_is_sent_to_log_in() {
        let to = "302\ncache-control: no-store\nlocation: https://auth.example/login?rd=https%3A%2F%2Fapp.example%2Fa%3Fb";
        for (proxy, text) in all() {
            let person = text.replace("PUT", "GET") + "\nSec-Fetch-Mode: navigate";
            let dialect = Dialect::new(proxy, None, Some(422)).with_login_at(Some("https://auth.example".to_owned()));
            let explain = person.replace("/verify", "/explain");
            if proxy == Proxy::Nginx {
                assert_eq!(
                    answered(&dialect, &person),
                    "401\ncache-control: no-store\nwww-authenticate: Bearer realm=\"gatepost\"\nx-deny-reason: no_credential\nx-deny-status: 302"
                );
            } else {
                assert_eq!(answered(&dialect, &person), to, "{proxy:?}");
            }
            assert_eq!(answered(&dialect, &explain), to, "{proxy:?}");
            // a program is refused
            assert!(answered(&dialect, &text.replace("PUT", "GET")).starts_with(if proxy == Proxy::Nginx { "401" } else { "422" }));
            // nobody said where the login pages are
            let nowhere = Dialect::new(proxy, None, None);
            assert!(answered(&nowhere, &person).starts_with("401"), "{proxy:?}");
        }
    }

    #[test]
    fn the_way_back_is_whole_or_the_first_page() {
        let dialect = Dialect::new(Proxy::Nginx, None, None).with_login_at(Some("https://auth.example".to_owned()));
        let back = |uri: &str, host: &str, proto: &str| {
            let text = format!(
                "GET /explain\nX-Original-Method: GET\nX-Original-URI: {uri}\nX-Original-Host: {host}\nX-Original-Proto: {proto}\nAccept: text/html"
            );
            let answer = answered(&dialect, &text);
            answer.split_once("rd=").unwrap_or_else(|| panic!("{answer}")).1.to_owned()
        };
        assert_eq!(
            back("/a%20b?c=d%26&e=f", "app.example:8443", "https"),
            "https%3A%2F%2Fapp.example%3A8443%2Fa%2520b%3Fc%3Dd%2526%26e%3Df"
        );
        // cookies are kept by TLS only: a proxy that says otherwise stands behind one that ends it
        assert_eq!(back("/a", "app.example", "http"), "https%3A%2F%2Fapp.example%2Fa");
        assert_eq!(back("/a", "localhost:8081", "http"), "http%3A%2F%2Flocalhost%3A8081%2Fa");
        assert_eq!(back(&format!("/{}", "a".repeat(1100)), "app.example", "https"), "https%3A%2F%2Fapp.example%2F");
    }
}

/// Spoofed addresses as a client sends them, and what each proxy makes of them: only what stands at the configured place counts.
#[test]
fn where_a_client_is() {
    let gate = |proxy, header: &'static str, from_right| {
        Dialect::new(proxy, None, None).with_client_ip(Some(ClientIp { header: HeaderName::from_static(header), from_right }))
    };
    for (proxy, text) in all() {
        let address = |dialect: &Dialect, lines: &str| {
            let (method, target, headers) = parts(&format!("{text}{lines}"));
            dialect.read(&method, &target, &headers).request.unwrap().client.address().map(|address| address.to_string())
        };
        let usual = gate(proxy, "x-forwarded-for", 1);
        for (lines, expected) in [
            ("\nX-Forwarded-For: 192.0.2.1", Some("192.0.2.1")),
            ("\nX-Forwarded-For: 10.0.0.1, 192.0.2.1", Some("192.0.2.1")),
            ("\nX-Forwarded-For: ::ffff:192.0.2.1", Some("192.0.2.1")),
            ("\nX-Forwarded-For: 192.0.2.1\nX-Real-IP: 10.0.0.1\nForwarded: for=10.0.0.1\nTrue-Client-IP: 10.0.0.1", Some("192.0.2.1")),
            ("\nX-Forwarded-For: 10.0.0.1\nX-Forwarded-For: 192.0.2.1", None),
            ("\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-For: 192.0.2.1", None),
            ("\nX-Forwarded-For:", None),
            ("\nX-Forwarded-For: unknown", None),
            ("\nX-Real-IP: 10.0.0.1", None),
            ("", None),
        ] {
            assert_eq!(address(&usual, lines).as_deref(), expected, "{proxy:?} {lines}");
            assert_eq!(address(&dialect(proxy), lines), None, "{proxy:?} {lines}: not configured");
        }
        let behind_one_more = gate(proxy, "x-forwarded-for", 2);
        assert_eq!(address(&behind_one_more, "\nX-Forwarded-For: 10.0.0.1, 192.0.2.1, 198.51.100.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(address(&behind_one_more, "\nX-Forwarded-For: 192.0.2.1"), None, "not through the proxy in front");
        assert_eq!(
            address(&gate(proxy, "cf-connecting-ip", 1), "\nX-Forwarded-For: 10.0.0.1\nCF-Connecting-IP: 192.0.2.1").as_deref(),
            Some("192.0.2.1")
        );
    }
}

#[test]
fn an_allow_carries_each_header_of_the_gate_once() {
    let rules = rules();
    let own = [
        ("remote-user", "subject.name"),
        ("x-id", "subject.uid"),
        ("x-plan", "key.meta.plan"),
        ("x-customer", "subject.external_id"),
        ("x-may", "scopes"),
        ("x-left", "expires_in"),
    ];
    let own = own.map(|(name, source)| (HeaderName::from_static(name), Source::from_name(source).unwrap())).to_vec();
    let someone = || {
        let Verdict::Allow(permit) = trial("/orders", "orders:read b").run(&rules) else { panic!("refused") };
        let holder = permit.holder().unwrap().holder();
        let key = About { external_id: None, metadata: [("plan".to_owned(), "gold".to_owned())].into() };
        let subject = About { external_id: Some("cus_1\nX-Id: evil".into()), ..About::default() };
        let request = Request::read(b"GET", b"a", b"/orders", None).unwrap();
        decide(&request, &Judged::of(&rules, &request), Evidence::made(Holder { key, subject, ..holder }, Some(60)))
    };
    for proxy in Proxy::ALL {
        let said = |standard| IdentityHeaders { standard, own: own.clone() };
        let gate = |standard| dialect(proxy).with_identity(&said(standard), further([&said(standard)]));
        assert_eq!(
            wire(gate(false).render(Call::Verify, &someone())),
            "200\nremote-user: alice\nx-customer: \nx-id: u1\nx-left: 60\nx-may: b orders:read\nx-plan: gold",
            "what no header can carry is empty"
        );
        assert_eq!(
            wire(gate(true).render(Call::Verify, &someone())),
            "200\nremote-user: alice\nx-auth-expires-in: 60\nx-auth-key-id: k1\nx-auth-scopes: b orders:read\nx-auth-tenant: t1\nx-auth-user: alice\n\
             x-customer: \nx-id: u1\nx-left: 60\nx-may: b orders:read\nx-plan: gold"
        );
        let open = trial("/open", "").run(&rules);
        assert_eq!(wire(gate(false).render(Call::Verify, &open)), "200\nremote-user: \nx-customer: \nx-id: \nx-left: \nx-may: \nx-plan:");
        let refused = wire(gate(true).render(Call::Verify, &trial("/orders", "").run(&rules)));
        assert!(!refused.contains("remote-user") && !refused.contains("x-plan"), "{refused}");
    }
}
