use std::time::Duration;

use super::*;
use crate::examinations::SeenHeader;

const NONCE: &str = "gpd_0123456789abcdef0123456789abcdef";

fn said(value: &str) -> Said {
    Said { times: 1, value: Some(value.to_owned()) }
}

fn headers(lines: &[(&str, &str)]) -> Vec<SeenHeader> {
    let header = |(name, value): &(&str, &str)| SeenHeader {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
        has_nonce: value.contains(NONCE),
    };
    lines.iter().map(header).collect()
}

/// What a gate sees of a request that the proxy tells rightly.
fn sight(gate: &str, method: &str, target: &str) -> Sight {
    Sight {
        nonce: NONCE.into(),
        gate: gate.into(),
        connection: 1,
        call: Some("verify".into()),
        line: if gate == "envoy" { format!("{method} /verify{target}") } else { "GET /verify".into() },
        headers: headers(&[("x-proxy-secret", "s")]),
        method: said(method),
        uri: said(target),
        host: said("app.example:8081"),
        proto: said("http"),
        fault: None,
        secret_is_right: true,
        announces_body: false,
        upgrade: false,
        allowed: false,
        reason: Some("no_rule".into()),
        status: 403,
    }
}

fn target() -> String {
    format!("/.gatepost/doctor/{NONCE}")
}

fn reply(status: u16) -> Result<Reply, String> {
    Ok(Reply { status, headers: http::HeaderMap::new(), body: Vec::new(), took: Duration::from_millis(5) })
}

fn tried(kind: Kind, gate: &str, status: u16) -> Tried {
    let explain = Sight { call: Some("explain".into()), ..sight(gate, "GET", &target()) };
    let sights = vec![sight(gate, "GET", &target()), explain];
    Tried { kind, method: "GET", target: target(), reply: reply(status), sights, reached: Vec::new() }
}

fn examined(tried: Vec<Tried>) -> Examined {
    let place = Place::read("http://app.example:8081/").unwrap();
    Examined { place, tried, first_connection: 5, stands_in: false }
}

/// The faults of the line that `of` draws of one probe as changed.
fn faults(kind: Kind, gate: &str, status: u16, of: impl Fn(&Examined) -> Line, change: impl Fn(&mut Tried)) -> Vec<Fault> {
    let mut one = tried(kind, gate, status);
    change(&mut one);
    of(&examined(vec![one])).faults.into_iter().map(|(fault, _)| fault).collect()
}

#[test]
fn the_first_question() {
    let asked = |change: &dyn Fn(&mut Tried)| faults(Kind::Reach, "nginx", 403, Examined::asked, change);
    assert_eq!(asked(&|_| {}), []);
    assert_eq!(asked(&|tried| tried.sights.clear()), [Fault::NotAsked]);
    assert_eq!(asked(&|tried| tried.sights[0].secret_is_right = false), [Fault::ProxySecret]);
    let nowhere = |tried: &mut Tried| {
        tried.sights.truncate(1);
        tried.sights[0].call = None;
        tried.sights[0].line = "GET /auth".into();
    };
    assert_eq!(asked(&nowhere), [Fault::WrongTarget]);
    assert_eq!(asked(&|tried| tried.sights[0].uri = said("/_gatepost/verify")), [Fault::WrongUri]);
    assert_eq!(asked(&|tried| tried.sights[0].host = said("gatepost")), [Fault::WrongHost]);
    assert_eq!(asked(&|tried| tried.sights[0].host = said("APP.example")), [], "nginx leaves the port out");
    assert_eq!(asked(&|tried| tried.sights[0].proto = said("https")), [Fault::WrongScheme]);
    assert_eq!(asked(&|tried| tried.sights[0].proto = Said::default()), [], "it may be left out");
    assert_eq!(asked(&|tried| tried.sights[0].host = Said::default()), [Fault::NotDescribed]);
    assert_eq!(asked(&|tried| tried.sights[0].uri = Said { times: 2, value: None }), [Fault::NotDescribed]);
}

#[test]
fn another_dialect_is_named() {
    for (gate, lines, line, says) in [
        ("nginx", &[("x-forwarded-uri", target())][..], "GET /verify".to_owned(), "Traefik, Caddy and HAProxy"),
        ("traefik", &[("x-original-uri", target())][..], "GET /verify".to_owned(), "nginx"),
        ("caddy", &[][..], format!("GET /verify{}", target()), "Envoy"),
        ("envoy", &[("x-original-uri", target())][..], "GET /verify".to_owned(), "nginx"),
    ] {
        let mut one = tried(Kind::Reach, gate, 403);
        one.sights.truncate(1);
        let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        one.sights[0] = Sight { uri: Said::default(), line, headers: headers(&lines), ..one.sights[0].clone() };
        let found = examined(vec![one]).asked().faults;
        assert!(matches!(&found[..], [(Fault::WrongDialect, what)] if what.contains(says)), "{gate}: {found:?}");
    }
}

#[test]
fn a_refusal_must_hold() {
    let refusal = |status: u16, change: &dyn Fn(&mut Tried)| faults(Kind::Reach, "nginx", status, Examined::refusal, change);
    assert_eq!(refusal(403, &|_| {}), []);
    assert_eq!(refusal(200, &|_| {}), [Fault::RefusalIgnored]);
    assert_eq!(refusal(404, &|_| {}), [Fault::RefusalIgnored], "an application that does not know the path");
    assert_eq!(refusal(500, &|_| {}), [Fault::StatusLost]);
    assert_eq!(refusal(403, &|tried| tried.sights.truncate(1)), [Fault::StatusLost], "nginx without /explain");
    assert_eq!(refusal(403, &|tried| tried.reached.push(Reached::default())), [Fault::RefusalIgnored]);
    let open = examined(vec![Tried {
        sights: vec![Sight { allowed: true, ..sight("nginx", "GET", &target()) }],
        ..tried(Kind::Reach, "nginx", 404)
    }]);
    assert!(open.is_open() && !examined(vec![tried(Kind::Reach, "nginx", 404)]).is_open());
}

#[test]
fn connections() {
    let over = |numbers: &[u64]| {
        let again = |number: &u64| {
            let mut one = tried(Kind::Again, "nginx", 403);
            one.sights[0].connection = *number;
            one
        };
        let line = examined(numbers.iter().map(again).collect()).keep_alive();
        (line.outcome, line.faults.len())
    };
    assert_eq!(over(&[7, 8, 9, 10, 11]), (Outcome::Wrong, 1));
    assert_eq!(over(&[7, 7, 7, 7]), (Outcome::Fine, 0));
    assert_eq!(over(&[7, 8, 7, 9]), (Outcome::Fine, 0));
    assert_eq!(over(&[1, 2, 3, 4]), (Outcome::Fine, 0), "each was open before");
    assert_eq!(over(&[7, 8, 9]), (Outcome::Unknown, 0));
}

#[test]
fn what_a_client_makes_up() {
    let spoofed = |gate: &str, lines: &[(&str, &str)], change: &dyn Fn(&mut Sight)| {
        faults(Kind::Spoofed, gate, 403, Examined::spoofed, |tried| {
            tried.sights[0].headers.extend(headers(lines));
            change(&mut tried.sights[0]);
        })
    };
    assert_eq!(spoofed("nginx", &[], &|_| {}), []);
    assert_eq!(spoofed("nginx", &[("x-original-url", "/spoofed"), ("forwarded", "for=198.51.100.77")], &|_| {}), [Fault::ClientHeaders]);
    assert_eq!(spoofed("nginx", &[("x-auth-user", "spoofed")], &|_| {}), [Fault::IdentityToGate]);
    assert_eq!(spoofed("nginx", &[("x-proxy-secret", "spoofed")], &|_| {}), [Fault::ProxySecret, Fault::ClientHeaders]);
    assert_eq!(spoofed("traefik", &[], &|sight| sight.uri = said("/spoofed")), [Fault::DescriptionBelieved]);
    assert_eq!(spoofed("traefik", &[], &|sight| sight.method = Said { times: 2, value: None }), [Fault::DescriptionBelieved]);
}

#[test]
fn what_is_told_of_the_rest() {
    let query = |change: &dyn Fn(&mut Tried)| faults(Kind::Query, "caddy", 403, Examined::query, change);
    assert_eq!(query(&|_| {}), []);
    assert_eq!(query(&|tried| tried.sights[0].line.push_str("?a=1")), [Fault::QueryAppended]);
    assert_eq!(query(&|tried| tried.target.push_str("?a=1")), [Fault::QueryLost]);
    assert_eq!(faults(Kind::Query, "envoy", 403, Examined::query, |tried| tried.sights[0].line.push_str("?a=1")), []);
    assert_eq!(faults(Kind::Method, "nginx", 403, Examined::method, |tried| tried.method = "PATCH"), [Fault::WrongMethod]);
    let body = |tried: &mut Tried| {
        tried.sights[0].announces_body = true;
        tried.sights[0].headers.extend(headers(&[("content-length", "5")]));
    };
    assert_eq!(faults(Kind::Body, "nginx", 403, Examined::body, body), [Fault::BodyAnnounced]);
    assert_eq!(faults(Kind::Upgrade, "nginx", 403, Examined::upgrade, |_| {}), [Fault::UpgradeUntold]);
    assert_eq!(faults(Kind::Upgrade, "nginx", 403, Examined::upgrade, |tried| tried.sights[0].upgrade = true), []);
    assert_eq!(faults(Kind::Credentials, "nginx", 403, Examined::credentials, |_| {}), [Fault::CredentialsLost]);
    let all: Vec<_> = JUDGED_BY.map(|name| (name, "x")).to_vec();
    assert_eq!(faults(Kind::Credentials, "nginx", 403, Examined::credentials, |tried| tried.sights[0].headers = headers(&all)), []);
}

#[test]
fn odd_paths() {
    let kind = Kind::Path("//");
    let path = |gate: &str, status: u16, change: &dyn Fn(&mut Tried)| faults(kind, gate, status, Examined::paths, change);
    assert_eq!(path("nginx", 403, &|_| {}), []);
    let cleaned = |tried: &mut Tried| tried.sights[0].uri = said("/a");
    assert_eq!(path("nginx", 403, &cleaned), [Fault::UriRewritten]);
    assert_eq!(path("traefik", 403, &cleaned), [], "it cleans for both");
    assert_eq!(path("nginx", 404, &|tried| tried.sights.clear()), [Fault::PastTheGate]);
    assert_eq!(path("nginx", 200, &|tried| tried.sights.clear()), [Fault::PastTheGate]);
    for status in [301, 400, 403, 503] {
        assert_eq!(path("nginx", status, &|tried| tried.sights.clear()), [], "{status}");
    }
    assert_eq!(path("nginx", 400, &|tried| (tried.sights.clear(), tried.reached.push(Reached::default())).1), [Fault::PastTheGate]);
}

#[test]
fn outages() {
    for kind in [Kind::Fails, Kind::HangsUp, Kind::Silent] {
        let outage = |status: u16, change: &dyn Fn(&mut Tried)| faults(kind, "nginx", status, |all| all.outage(kind).unwrap(), change);
        for status in [400, 401, 403, 500, 502, 503] {
            assert_eq!(outage(status, &|_| {}), [], "{status}");
        }
        assert_eq!(outage(200, &|_| {}), [Fault::FailOpen]);
        assert_eq!(outage(404, &|_| {}), [Fault::FailOpen]);
        assert_eq!(outage(503, &|tried| tried.reached.push(Reached::default())), [Fault::FailOpen]);
        assert_eq!(
            outage(503, &|tried| tried.reply = Err("no answer".into())),
            if kind == Kind::Silent { vec![Fault::SlowTimeout] } else { vec![] }
        );
    }
    assert_eq!(examined(Vec::new()).outage(Kind::Fails), None);
}

#[test]
fn an_application_that_answers_like_a_refusal_leaves_it_open() {
    let mut all = vec![tried(Kind::Reach, "nginx", 403), tried(Kind::Fails, "nginx", 401), tried(Kind::Pass, "nginx", 401)];
    assert_eq!(examined(all.clone()).outage(Kind::Fails).unwrap().outcome, Outcome::Unknown);
    assert_eq!(examined(all.clone()).pass().outcome, Outcome::Unknown);
    all[2].reply = reply(403);
    assert_eq!(examined(all.clone()).pass().outcome, Outcome::Wrong, "refused like the first");
    all[2].reply = reply(503);
    assert_eq!(examined(all.clone()).pass().outcome, Outcome::Wrong);
    all[2].reply = reply(404);
    assert_eq!(examined(all).pass().outcome, Outcome::Fine);
}

/// What an application gets where all is well.
fn reached(more: &[(&str, &str)]) -> Reached {
    let identity = IDENTITY.map(|name| (name, if name == "x-auth-expires-in" { "60" } else { "gatepost-doctor" }));
    let headers = identity.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reached { method: "GET".into(), target: target(), headers }
}

fn application(gate: &str, change: impl Fn(Kind, &mut Reached)) -> Vec<Fault> {
    let one = |kind| {
        let mut got = reached(&[]);
        change(kind, &mut got);
        Tried { reached: vec![got], ..tried(kind, gate, 404) }
    };
    let kinds = [Kind::AppPlain, Kind::AppSpoofed, Kind::AppAliases, Kind::AppHop, Kind::AppTunnel];
    let all = Examined { stands_in: true, ..examined(kinds.map(one).to_vec()) };
    all.application().into_iter().flat_map(|line| line.faults).map(|(fault, _)| fault).collect()
}

#[test]
fn what_the_application_gets() {
    let with = |gate: &str, at: Kind, name: &'static str, value: &'static str| {
        application(gate, |kind, got| {
            if kind == at {
                got.headers.push((name.to_owned(), value.to_owned()));
            }
        })
    };
    assert_eq!(application("nginx", |_, _| {}), []);
    assert_eq!(application("nginx", |_, got| got.headers.retain(|(name, _)| name != "x-auth-user")), [Fault::IdentityLost]);
    assert_eq!(with("nginx", Kind::AppSpoofed, "x-auth-user", "spoofed"), [Fault::IdentitySpoofed]);
    assert_eq!(with("nginx", Kind::AppAliases, "x_auth_user", "spoofed"), [Fault::IdentitySpoofed]);
    assert_eq!(with("nginx", Kind::AppSpoofed, "x-original-uri", "/spoofed"), [Fault::ClientHeadersToApp]);
    assert_eq!(with("nginx", Kind::AppSpoofed, "x-api-key", "spoofed"), [Fault::CredentialsToApp]);
    assert_eq!(with("nginx", Kind::AppSpoofed, "cookie", "__Host-gatepost=spoofed"), [Fault::CredentialsToApp]);
    assert_eq!(with("traefik", Kind::AppSpoofed, "cookie", "__Host-gatepost=spoofed"), [], "it cannot take one out");
    assert_eq!(with("nginx", Kind::AppSpoofed, "x-proxy-secret", "s3cret"), [Fault::SecretToApp]);
    assert_eq!(with("nginx", Kind::AppTunnel, "upgrade", "h2c"), [Fault::TunnelToApp]);
    let dropped = |kind: Kind, got: &mut Reached| {
        if kind == Kind::AppHop {
            got.headers.clear();
        }
    };
    assert_eq!(application("caddy", dropped), [Fault::IdentityDropped]);
    assert_eq!(application("nginx", |_, got| got.target = "/other".into()), [Fault::RequestChanged]);
}

#[test]
fn a_proxy_that_refuses_a_probe_itself_is_fine() {
    let spoofed = |status| {
        let mut one = tried(Kind::Spoofed, "envoy", status);
        one.sights.clear();
        examined(vec![one]).spoofed()
    };
    assert_eq!(spoofed(400).outcome, Outcome::Fine);
    assert_eq!(spoofed(200).faults[0].0, Fault::PastTheGate);
}

#[test]
fn every_fault_can_be_mended_in_every_proxy() {
    use Fault::*;
    let all = [
        NotAsked,
        ProxySecret,
        WrongDialect,
        WrongTarget,
        NotDescribed,
        WrongUri,
        WrongMethod,
        WrongHost,
        WrongScheme,
        RefusalIgnored,
        StatusLost,
        NoKeepAlive,
        QueryAppended,
        QueryLost,
        BodyAnnounced,
        DescriptionBelieved,
        ClientHeaders,
        IdentityToGate,
        CredentialsLost,
        UpgradeUntold,
        UriRewritten,
        PastTheGate,
        FailOpen,
        SlowTimeout,
        NotLetThrough,
        IdentityLost,
        IdentitySpoofed,
        IdentityDropped,
        ClientHeadersToApp,
        CredentialsToApp,
        SecretToApp,
        TunnelToApp,
        RequestChanged,
    ];
    for fault in all {
        for proxy in Proxy::ALL {
            assert!(!fault.mend(proxy).is_empty() && !fault.means().is_empty(), "{fault:?} {proxy:?}");
        }
    }
}
