use proptest::prelude::*;

use super::limit::Limit;
use super::network::Client;
use super::rules::{Attribute, HostPattern, MatchClause, PathPattern, RuleSpec};
use super::trial::{Attributes, CredentialState, Trial};
use super::*;
use crate::id::Id;

fn rule(path: &str, requirement: Requirement) -> RuleSpec {
    RuleSpec {
        id: path.to_owned(),
        hosts: Vec::new(),
        methods: Vec::new(),
        path: PathPattern::parse(path).unwrap(),
        fallthrough: false,
        requirement,
    }
}

fn scopes(text: &str) -> ScopeSet {
    text.parse().unwrap()
}

fn demanding(text: &str) -> Requirement {
    Requirement { scopes: Demand::All(scopes(text)), ..Requirement::token() }
}

fn trial(uri: &str) -> Trial {
    Trial::parse("GET", uri).unwrap()
}

/// `Ok` = allowed, `Err` = the reason.
fn outcome(rules: Vec<RuleSpec>, trial: &Trial) -> Result<(), Reason> {
    match trial.run(&RuleSet::compile(rules).unwrap()) {
        Verdict::Allow(_) => Ok(()),
        Verdict::Deny(denial) => Err(denial.reason),
    }
}

#[test]
fn anonymous_ignores_credentials_and_store() {
    for state in [CredentialState::Live, CredentialState::Invalid, CredentialState::StoreUnavailable, CredentialState::RateLimited] {
        let trial = Trial { state, ..trial("/a") };
        assert_eq!(outcome(vec![rule("/a", Requirement::anonymous())], &trial), Ok(()));
        assert_eq!(outcome(vec![rule("/a", Requirement::anonymous())], &Trial { credential: None, ..trial }), Ok(()));
    }
}

#[test]
fn every_reason_of_a_credential() {
    let token = || rule("/a", Requirement::token());
    assert_eq!(outcome(vec![token()], &trial("/a")), Ok(()));
    assert_eq!(outcome(vec![token()], &Trial { credential: None, ..trial("/a") }), Err(Reason::NoCredential));
    assert_eq!(outcome(vec![token()], &Trial { state: CredentialState::Invalid, ..trial("/a") }), Err(Reason::InvalidCredential));
    assert_eq!(outcome(vec![token()], &Trial { state: CredentialState::StoreUnavailable, ..trial("/a") }), Err(Reason::StoreUnavailable));
    assert_eq!(outcome(vec![token()], &Trial { state: CredentialState::Used, ..trial("/a") }), Err(Reason::TicketUsed));
    assert_eq!(outcome(vec![token()], &Trial { state: CredentialState::Outside, ..trial("/a") }), Err(Reason::NetworkRefused));
    for (state, reason) in [(CredentialState::RateLimited, Reason::RateLimited), (CredentialState::QuotaExceeded, Reason::QuotaExceeded)] {
        assert_eq!(outcome(vec![token()], &Trial { state, ..trial("/a") }), Err(reason));
        assert_eq!(outcome(vec![token()], &Trial { state, credential: None, ..trial("/a") }), Err(Reason::NoCredential));
        assert_eq!(
            outcome(vec![rule("/a", demanding("b"))], &Trial { state, ..trial("/a") }),
            Err(Reason::InsufficientScope),
            "nothing is charged"
        );
    }
    for kind in [CredentialKind::ApiKey, CredentialKind::Jwt, CredentialKind::Ticket] {
        assert_eq!(outcome(vec![token()], &Trial { credential: Some(kind), ..trial("/a") }), Err(Reason::CredentialNotAccepted));
        let takes = Requirement { credentials: Accepts::default().with(kind), ..Requirement::token() };
        assert_eq!(outcome(vec![rule("/a", takes)], &Trial { credential: Some(kind), ..trial("/a") }), Ok(()));
    }
}

#[test]
fn scopes_all_and_any() {
    for (demand, held, expected) in [
        (Demand::All(scopes("a b")), "a b c", Ok(())),
        (Demand::All(scopes("a b")), "a", Err(Reason::InsufficientScope)),
        (Demand::All(scopes("a b")), "", Err(Reason::InsufficientScope)),
        (Demand::Any(scopes("a b")), "b", Ok(())),
        (Demand::Any(scopes("a b")), "c", Err(Reason::InsufficientScope)),
        (Demand::All(scopes("orders:read")), "orders:*", Ok(())),
        (Demand::All(scopes("orders")), "orders:*", Err(Reason::InsufficientScope)),
        (Demand::All(scopes("admin")), "read adm admins ADMIN", Err(Reason::InsufficientScope)),
        (Demand::All(scopes("admin")), "*", Ok(())),
        (Demand::Nothing, "", Ok(())),
    ] {
        let requirement = Requirement { scopes: demand.clone(), ..Requirement::token() };
        assert_eq!(outcome(vec![rule("/a", requirement)], &Trial { scopes: scopes(held), ..trial("/a") }), expected, "{demand:?} {held}");
    }
}

#[test]
fn tenants() {
    let requirement = Requirement { tenants: vec!["t1".into(), "t2".into()], ..Requirement::token() };
    for (tenant, expected) in [("t1", Ok(())), ("t2", Ok(())), ("t3", Err(Reason::TenantMismatch)), ("", Err(Reason::TenantMismatch))] {
        let holder = Attributes { tenant: tenant.into(), ..Attributes::default() };
        assert_eq!(outcome(vec![rule("/a", requirement.clone())], &Trial { holder, ..trial("/a") }), expected, "{tenant}");
    }
}

#[test]
fn a_path_parameter_must_be_ones_own() {
    let of =
        |attribute| Requirement { matches: vec![MatchClause { segment: 1, parameter: "id".into(), attribute }], ..Requirement::token() };
    let holder = Attributes { uid: "u".into(), name: "é n".into(), tenant: "t".into(), role: "admin".into(), key_id: "k".into() };
    for (attribute, value) in [
        (Attribute::Uid, "u"),
        (Attribute::Name, "%C3%A9%20n"),
        (Attribute::Tenant, "t"),
        (Attribute::Role, "admin"),
        (Attribute::KeyId, "k"),
    ] {
        let rules = || vec![rule("/o/{id}", of(attribute))];
        let ask = |uri: &str| outcome(rules(), &Trial { holder: holder.clone(), ..trial(uri) });
        assert_eq!(ask(&format!("/o/{value}")), Ok(()));
        assert_eq!(ask("/o/other"), Err(Reason::MatchFailed));
        assert_eq!(ask(&format!("/o/{value};x")), Err(Reason::MatchFailed), "one reading differs");
        assert_eq!(
            outcome(rules(), &Trial { holder: Attributes::default(), ..trial("/o/x") }),
            Err(Reason::MatchFailed),
            "an attribute that is not set"
        );
    }
}

#[test]
fn before_any_rule() {
    let rules = || vec![rule("/a", Requirement::anonymous())];
    assert_eq!(outcome(rules(), &trial("/b")), Err(Reason::NoRule));
    assert_eq!(outcome(rules(), &trial("/a/../a")), Err(Reason::PathRefused));
    assert_eq!(outcome(rules(), &Trial { host: "a@b".into(), ..trial("/a") }), Err(Reason::RequestNotDescribed));
    assert_eq!(outcome(vec![], &trial("/")), Err(Reason::NoRule));
}

#[test]
fn both_readings_of_parameters_must_be_allowed() {
    let rules = || vec![rule("/public/**", Requirement::anonymous()), rule("/public/secret", demanding("s"))];
    assert_eq!(outcome(rules(), &Trial { credential: None, ..trial("/public/a;x") }), Ok(()));
    assert_eq!(outcome(rules(), &Trial { credential: None, ..trial("/public/secret;x") }), Err(Reason::NoCredential));
    assert_eq!(outcome(rules(), &Trial { scopes: scopes("s"), ..trial("/public/secret;x") }), Ok(()));
    assert_eq!(
        outcome(vec![rule("/a/{x}", Requirement::anonymous()), rule("/a", demanding("s"))], &Trial { credential: None, ..trial("/a;x") }),
        Err(Reason::NoRule)
    );
}

#[test]
fn a_shadow_rule_lets_pass_and_tells() {
    let shadow = Requirement { shadow: true, ..demanding("s") };
    let rules = RuleSet::compile(vec![rule("/a", shadow)]).unwrap();
    for (trial, told) in [
        (Trial { credential: None, ..trial("/a") }, Some(Reason::NoCredential)),
        (trial("/a"), Some(Reason::InsufficientScope)),
        (Trial { state: CredentialState::StoreUnavailable, ..trial("/a") }, Some(Reason::StoreUnavailable)),
        (Trial { scopes: scopes("s"), ..trial("/a") }, None),
    ] {
        let Verdict::Allow(permit) = trial.run(&rules) else { panic!("a shadow refused") };
        assert_eq!(permit.shadowed().map(|denial| denial.reason), told);
    }
}

#[test]
fn identity_is_of_a_live_credential_only() {
    let rules = RuleSet::compile(vec![rule("/open", Requirement::anonymous()), rule("/a", demanding("orders:read"))]).unwrap();
    let Verdict::Allow(permit) = trial("/open").run(&rules) else { panic!() };
    assert!(permit.holder().is_none() && permit.scopes().is_empty());
    let Verdict::Allow(permit) = (Trial { scopes: scopes("orders:* b"), ..trial("/a") }).run(&rules) else { panic!() };
    assert_eq!(permit.scopes(), scopes("b orders:*"));
}

#[test]
fn statuses_and_challenges() {
    for reason in Reason::ALL {
        assert_eq!(reason.challenge(None).is_some(), reason.status() == 401 || reason == Reason::InsufficientScope, "{reason:?}");
        assert!(matches!(reason.status(), 401 | 403 | 429 | 503));
    }
    assert_eq!(
        Reason::InsufficientScope.challenge(Some(&scopes("b a"))).unwrap(),
        r#"Bearer realm="gatepost", error="insufficient_scope", scope="a b""#
    );
}

fn requirement() -> impl Strategy<Value = Requirement> {
    prop_oneof![
        Just(Requirement::anonymous()),
        Just(demanding("a")),
        Just(demanding("b:x")),
        Just(Requirement { scopes: Demand::Any(scopes("a b")), ..Requirement::token() }),
    ]
}

fn rule_set() -> impl Strategy<Value = RuleSet> {
    let path =
        "(/(a|b|\\{x\\})){0,2}(/|/\\*\\*)?".prop_filter_map("a path", |p| PathPattern::parse(if p.is_empty() { "/" } else { &p }).ok());
    let host = prop::option::of(prop::sample::select(vec!["localhost", "*.example"]));
    prop::collection::vec((path, host, requirement()), 0..6).prop_filter_map("compiles", |rules| {
        let spec = |(n, (path, host, requirement)): (usize, (PathPattern, Option<&str>, Requirement))| RuleSpec {
            id: n.to_string(),
            hosts: host.into_iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
            methods: Vec::new(),
            path,
            fallthrough: false,
            requirement,
        };
        RuleSet::compile(rules.into_iter().enumerate().map(spec).collect()).ok()
    })
}

proptest! {
    /// What is allowed is allowed for every reading of its path, asked for on its own.
    #[test]
    fn allowed_means_allowed_for_every_reading(rules in rule_set(), uri in "/([ab/]|;x|%61|%2e){0,6}", held in "(a|b:x)?( b)?") {
        let trial = Trial { scopes: scopes(&held), ..trial(&uri) };
        if let (Verdict::Allow(_), Ok(request)) = (trial.run(&rules), trial.request()) {
            for reading in request.path.readings() {
                let alone = Trial { uri: String::from_utf8(reading.to_vec()).unwrap(), ..trial.clone() };
                prop_assert!(matches!(alone.run(&rules), Verdict::Allow(_)), "{:?}", reading);
            }
        }
    }

    #[test]
    fn adding_a_scope_never_removes_an_allow(rules in rule_set(), uri in "(/[ab]){0,3}/?", held in "(a|b:x)?", more in "a|b|b:x|b:\\*|\\*") {
        let uri = if uri.is_empty() { "/".to_owned() } else { uri };
        let before = Trial { scopes: scopes(&held), ..trial(&uri) };
        let after = Trial { scopes: scopes(&format!("{held} {more}")), ..trial(&uri) };
        if let Verdict::Allow(_) = before.run(&rules) {
            prop_assert!(matches!(after.run(&rules), Verdict::Allow(_)));
        }
    }

    /// Whatever stands in the path, nothing passes without a rule that says so.
    #[test]
    fn no_rule_no_pass(uri in "\\PC{0,20}") {
        let refused = matches!(trial(&format!("/{uri}")).run(&RuleSet::default()), Verdict::Deny(_));
        prop_assert!(refused);
    }
}

/// Sessions: what the evidence and the page lead to.
mod sessions {
    use super::*;
    use crate::decision::credential::Carrier;
    use crate::decision::page::{Accept, Page};

    fn session(login_redirect: bool) -> RuleSet {
        let credentials = Accepts::default().with(CredentialKind::Session);
        RuleSet::compile(vec![rule("/a", Requirement { credentials, login_redirect, ..Requirement::token() })]).unwrap()
    }

    fn navigation() -> Page<'static> {
        Page { mode: Carrier::Once(b"navigate"), ..Page::default() }
    }

    fn html() -> Accept<'static> {
        Accept::of([b"text/html,*/*;q=0.8".as_slice()])
    }

    /// The refusal of `method /a`.
    fn refused<'r>(rules: &'r RuleSet, method: &str, page: Page<'_>, evidence: Evidence<'r>) -> Denial<'r> {
        let request = Request { page, ..Request::read(method.as_bytes(), b"app.example", b"/a", None).unwrap() };
        match decide(&request, &Judged::of(rules, &request), evidence) {
            Verdict::Deny(denial) => *denial,
            Verdict::Allow(_) => panic!("allowed"),
        }
    }

    #[test]
    fn each_evidence_has_its_reason() {
        let rules = session(false);
        for (evidence, reason) in [
            (Evidence::Nothing, Reason::NoCredential),
            (Evidence::EndedSession, Reason::InvalidCredential),
            (Evidence::ForeignPage, Reason::CredentialNotAccepted),
            (Evidence::NotTaken(CredentialKind::Token), Reason::CredentialNotAccepted),
            (Evidence::Invalid("two session cookies of one name"), Reason::InvalidCredential),
            (Evidence::Unavailable, Reason::StoreUnavailable),
        ] {
            let denial = refused(&rules, "POST", Page::default(), evidence);
            assert_eq!(denial.reason, reason);
            assert!(!denial.to_login);
        }
        let live = Trial { credential: Some(CredentialKind::Session), ..trial("/a") };
        assert!(matches!(live.run(&rules), Verdict::Allow(_)));
    }

    #[test]
    fn only_a_person_without_a_login_is_invited() {
        let rules = session(true);
        for (method, page, evidence, invited) in [
            ("GET", navigation(), Evidence::Nothing, true),
            ("GET", navigation(), Evidence::EndedSession, true),
            ("GET", Page { accept: html(), ..Page::default() }, Evidence::Nothing, true),
            // whoever presents something else, or two cookies, would be sent round in circles
            ("GET", navigation(), Evidence::Invalid("two session cookies of one name"), false),
            ("GET", navigation(), Evidence::NotTaken(CredentialKind::Token), false),
            ("GET", navigation(), Evidence::ForeignPage, false),
            ("GET", navigation(), Evidence::Unavailable, false),
            ("GET", Page::default(), Evidence::Nothing, false),
            ("GET", Page { mode: Carrier::Once(b"cors"), accept: html(), ..Page::default() }, Evidence::Nothing, false),
            ("GET", Page { upgrade: true, ..navigation() }, Evidence::Nothing, false),
            ("HEAD", navigation(), Evidence::Nothing, false),
            ("POST", navigation(), Evidence::Nothing, false),
        ] {
            let text = format!("{method} {page:?} {evidence:?}");
            assert_eq!(refused(&rules, method, page, evidence).to_login, invited, "{text}");
        }
        // who comes here is on the way of a login already
        let credentials = Accepts::default().with(CredentialKind::Session);
        let requirement = Requirement { credentials, login_redirect: true, ..Requirement::token() };
        let rules = RuleSet::compile(vec![rule("/**", requirement)]).unwrap();
        for (uri, invited) in
            [("/.gatepost/session?code=x", false), ("/.gatepost/login", false), ("/.gatepostx", true), ("/a/.gatepost/", true)]
        {
            let read = Request::read(b"GET", b"app.example", uri.as_bytes(), None).unwrap();
            let request = Request { page: navigation(), ..read };
            let Verdict::Deny(denial) = decide(&request, &Judged::of(&rules, &request), Evidence::Nothing) else { panic!("allowed") };
            assert_eq!(denial.to_login, invited, "{uri}");
        }
        // a refusal that no login changes
        let credentials = Accepts::default().with(CredentialKind::Session);
        let requirement = Requirement { credentials, login_redirect: true, ..demanding("x") };
        let rules = RuleSet::compile(vec![rule("/a", requirement)]).unwrap();
        let trial = Trial { credential: Some(CredentialKind::Session), ..trial("/a") };
        let live = trial.evidence(&Judged::of(&rules, &trial.request().unwrap()));
        let denial = refused(&rules, "GET", navigation(), live);
        assert_eq!((denial.reason, denial.to_login), (Reason::InsufficientScope, false));
    }
}

#[test]
fn networks_of_a_rule() {
    let networks = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let inner = || rule("/a", Requirement { networks: networks.clone(), ..demanding("orders:read") });
    let held = |from: Option<&str>| Trial { scopes: scopes("orders:read"), from: from.map(|from| from.parse().unwrap()), ..trial("/a") };
    for (from, expected) in [
        (Some("10.1.2.3"), Ok(())),
        (Some("::ffff:10.1.2.3"), Ok(())),
        (Some("2001:db8::1"), Ok(())),
        (Some("11.1.2.3"), Err(Reason::NetworkRefused)),
        (Some("2001:db9::1"), Err(Reason::NetworkRefused)),
        (None, Err(Reason::NetworkRefused)),
    ] {
        assert_eq!(outcome(vec![inner()], &held(from)), expected, "{from:?}");
    }
    // what stands behind a credential is not told outside, and costs nothing there
    for state in [CredentialState::Live, CredentialState::Invalid, CredentialState::StoreUnavailable] {
        let outside = Trial { state, scopes: ScopeSet::default(), ..held(Some("192.0.2.1")) };
        assert_eq!(outcome(vec![inner()], &outside), Err(Reason::NetworkRefused));
        assert_eq!(outcome(vec![inner()], &Trial { credential: None, ..outside }), Err(Reason::NetworkRefused));
    }
    let shadow = rule("/a", Requirement { networks, shadow: true, ..Requirement::token() });
    assert_eq!(outcome(vec![shadow], &held(Some("192.0.2.1"))), Ok(()), "a shadow refuses nobody");
}

#[test]
fn networks_of_a_rule_hold_for_its_preflights() {
    let open = Requirement { networks: vec!["10.0.0.0/8".parse().unwrap()], preflight: true, ..Requirement::token() };
    let options = |from: &str| Trial {
        method: "OPTIONS".into(),
        preflight_for: Some("GET".into()),
        from: Some(from.parse().unwrap()),
        credential: None,
        ..trial("/a")
    };
    for (from, expected) in [("10.1.2.3", Ok(())), ("192.0.2.1", Err(Reason::NetworkRefused))] {
        assert_eq!(outcome(vec![rule("/a", open.clone())], &options(from)), expected, "{from}");
        assert_eq!(outcome(vec![rule("/a", Requirement { shadow: true, ..open.clone() })], &options(from)), Ok(()), "{from}");
    }
}

#[test]
fn a_rule_that_both_readings_meet_is_charged_once() {
    let limited = |path: &str, n: u8| {
        let limit = Limit::parse(Some("2/h"), None, Some("5/day"), None).unwrap();
        rule(path, Requirement { limits: limit.said_by(Id::from_bytes([n; 16])).collect(), ..Requirement::token() })
    };
    let rules = RuleSet::compile(vec![limited("/a/{b}", 1), limited("/a/c", 2)]).unwrap();
    let charged = |uri: &str| {
        let trial = trial(uri);
        Judged::of(&rules, &trial.request().unwrap()).limits().map(|limit| limit.of.to_string()[..2].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(charged("/a/b"), ["01", "01"], "a rate and a quota");
    assert_eq!(charged("/a/b;v=1"), ["01", "01"]);
    assert_eq!(charged("/a/c;v=1"), ["01", "01", "02", "02"], "two rules");
}

#[test]
fn where_nobody_counts_a_shadow_refuses_nobody() {
    for shadow in [false, true] {
        let rules = RuleSet::compile(vec![rule("/a", Requirement { shadow, ..Requirement::token() })]).unwrap();
        let trial = trial("/a");
        let request = trial.request().unwrap();
        let judged = Judged::of(&rules, &request);
        let Verdict::Allow(permit) = decide(&request, &judged, trial.evidence(&judged)) else { panic!("refused") };
        let denial = match unmetered(permit) {
            Verdict::Allow(permit) if shadow => permit.shadowed().cloned(),
            Verdict::Deny(denial) if !shadow => Some(*denial),
            other => panic!("{other:?}"),
        };
        let denial = denial.unwrap();
        assert_eq!((denial.reason, denial.rule.map(|rule| rule.id.as_str())), (Reason::StoreUnavailable, Some("/a")));
        assert!(denial.holder.is_some());
    }
}

#[test]
fn networks_of_a_key() {
    let rules = RuleSet::compile(vec![rule("/a", demanding("orders:read"))]).unwrap();
    let reason = |client: Client<'_>, networks: &[&str], held: &str| {
        let trial = Trial { scopes: scopes(held), ..trial("/a") };
        let request = Request { client, ..trial.request().unwrap() };
        let judged = Judged::of(&rules, &request);
        let Evidence::Live { holder: Shown::Made(holder), expires_in_s } = trial.evidence(&judged) else { panic!("not live") };
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        match decide(&request, &judged, Evidence::made(Holder { networks, ..*holder }, expires_in_s)) {
            Verdict::Allow(_) => None,
            Verdict::Deny(denial) => Some(denial.reason),
        }
    };
    let at = |address: &str| Client::At(address.parse().unwrap());
    assert_eq!(reason(at("10.0.0.1"), &["10.0.0.0/8"], "orders:read"), None);
    assert_eq!(reason(Client::NotConfigured, &[], "orders:read"), None, "none is demanded");
    assert_eq!(reason(at("192.0.2.1"), &["10.0.0.0/8"], "orders:read"), Some(Reason::NetworkRefused));
    assert_eq!(reason(at("192.0.2.1"), &["10.0.0.0/8"], ""), Some(Reason::NetworkRefused), "before scopes");
    for client in [Client::NotConfigured, Client::NotTold, Client::Listed { list: b"10.0.0.1, x", from_right: 1 }] {
        assert_eq!(reason(client, &["10.0.0.0/8"], "orders:read"), Some(Reason::NetworkRefused), "{client:?}");
    }
}
