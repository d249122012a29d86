use proptest::prelude::*;

use super::*;
use crate::decision::credential::CredentialKind;

fn rule(id: &str, hosts: &[&str], methods: &[&str], path: &str) -> RuleSpec {
    RuleSpec {
        id: id.to_owned(),
        hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
        methods: methods.iter().map(|method| Method::parse(method).unwrap()).collect(),
        path: PathPattern::parse(path).unwrap(),
        fallthrough: false,
        requirement: Requirement { tenants: vec![id.to_owned()], ..Requirement::token() },
    }
}

fn set(rules: Vec<RuleSpec>) -> RuleSet {
    RuleSet::compile(rules).unwrap()
}

fn found(rules: &RuleSet, method: &str, host: &str, uri: &str) -> String {
    let request = Request::read(method.as_bytes(), host.as_bytes(), uri.as_bytes(), None).unwrap();
    let reading = request.path.readings().next().unwrap();
    match rules.find(&request, reading) {
        Found::Rule(rule) => rule.id.clone(),
        Found::Preflight(rule) => format!("preflight {}", rule.id),
        Found::MethodNotListed => "method_not_listed".to_owned(),
        Found::NoRule => "no_rule".to_owned(),
    }
}

#[test]
fn the_most_specific_host_and_path_wins() {
    let rules = set(vec![
        rule("any", &[], &[], "/**"),
        rule("any-health", &[], &[], "/health"),
        rule("wild", &["*.example.com"], &[], "/**"),
        rule("wild-longer", &["*.eu.example.com"], &[], "/**"),
        rule("exact", &["api.example.com"], &[], "/**"),
        rule("exact-id", &["api.example.com"], &[], "/orders/{id}"),
        rule("exact-literal", &["api.example.com"], &[], "/orders/new"),
        rule("exact-id-lines", &["api.example.com"], &[], "/orders/{id}/lines"),
    ]);
    for (host, uri, expected) in [
        ("other.org", "/x", "any"),
        ("other.org", "/health", "any-health"),
        ("a.example.com", "/health", "wild"),
        ("a.b.example.com", "/x", "wild"),
        ("a.eu.example.com", "/x", "wild-longer"),
        ("example.com", "/x", "any"),
        ("API.example.com:443", "/x", "exact"),
        ("api.example.com", "/orders/7", "exact-id"),
        ("api.example.com", "/orders/new", "exact-literal"),
        ("api.example.com", "/orders/new/lines", "exact-id-lines"),
        ("api.example.com", "/orders/", "exact"),
        ("api.example.com", "/orders/7/", "exact"),
        ("api.example.com", "/Orders/new", "exact"),
    ] {
        assert_eq!(found(&rules, "GET", host, uri), expected, "{host}{uri}");
    }
}

#[test]
fn a_rest_takes_itself_and_a_trailing_slash_counts() {
    let rules = set(vec![rule("rest", &[], &[], "/a/**"), rule("slash", &[], &[], "/b/"), rule("plain", &[], &[], "/c")]);
    for (uri, expected) in [
        ("/a", "rest"),
        ("/a/", "rest"),
        ("/a/b/c", "rest"),
        ("/ab", "no_rule"),
        ("/b/", "slash"),
        ("/b", "no_rule"),
        ("/c", "plain"),
        ("/c/", "no_rule"),
        ("/", "no_rule"),
    ] {
        assert_eq!(found(&rules, "GET", "h", uri), expected, "{uri}");
    }
}

#[test]
fn methods_never_fall_through_silently() {
    let mut orders = rule("orders", &[], &["GET"], "/orders");
    let rules = set(vec![rule("all", &[], &[], "/**"), orders.clone()]);
    assert_eq!(found(&rules, "GET", "h", "/orders"), "orders");
    assert_eq!(found(&rules, "HEAD", "h", "/orders"), "orders", "HEAD follows GET");
    assert_eq!(found(&rules, "POST", "h", "/orders"), "method_not_listed");
    assert_eq!(found(&rules, "get", "h", "/orders"), "method_not_listed", "methods compare with case");
    orders.fallthrough = true;
    let rules = set(vec![rule("all", &[], &[], "/**"), orders.clone()]);
    assert_eq!(found(&rules, "POST", "h", "/orders"), "all");
    let rules = set(vec![orders.clone()]);
    assert_eq!(found(&rules, "POST", "h", "/orders"), "method_not_listed");
    let rules = set(vec![rule("all", &[], &[], "/**"), orders, rule("put", &[], &["PUT"], "/orders")]);
    assert_eq!(found(&rules, "POST", "h", "/orders"), "method_not_listed", "one rule of the group keeps it");
}

#[test]
fn a_preflight_is_for_a_method_of_a_rule_that_lets_it_pass() {
    let mut put = rule("put", &[], &["PUT"], "/a");
    put.requirement.preflight = true;
    let rules = set(vec![put, rule("get", &[], &["GET"], "/a")]);
    let ask = |method: &str, about: Option<&str>| {
        let request = Request::read(method.as_bytes(), b"h", b"/a", about.map(str::as_bytes)).unwrap();
        matches!(rules.find(&request, b"/a"), Found::Preflight(_))
    };
    assert!(ask("OPTIONS", Some("PUT")));
    assert!(!ask("OPTIONS", Some("GET")));
    assert!(!ask("OPTIONS", Some("DELETE")));
    assert!(!ask("OPTIONS", None));
    assert!(!ask("PUT", Some("PUT")));
}

#[test]
fn equal_precedence_with_different_demands_is_a_clash() {
    for (a, b, example) in [
        (rule("a", &[], &["GET"], "/x/{id}"), rule("b", &[], &["GET"], "/x/{name}"), Some("GET https://any.example/x/name")),
        (rule("a", &[], &[], "/x"), rule("b", &[], &["PUT"], "/x"), Some("PUT https://any.example/x")),
        (rule("a", &[], &["PUT"], "/x"), rule("b", &[], &[], "/x"), Some("PUT https://any.example/x")),
        (rule("a", &[], &["GET"], "/x"), rule("b", &[], &["HEAD"], "/x"), Some("HEAD https://any.example/x")),
        (rule("a", &["a.example", "b.example"], &[], "/**"), rule("b", &["b.example"], &[], "/**"), Some("GET https://b.example/x")),
        (rule("a", &["*.a.example"], &[], "/"), rule("b", &["*.a.example"], &[], "/"), Some("GET https://any.a.example/")),
        (rule("a", &[], &["GET"], "/x"), rule("b", &[], &["PUT"], "/x"), None),
        (rule("a", &[], &[], "/x"), rule("b", &[], &[], "/x/"), None),
        (rule("a", &[], &[], "/x/**"), rule("b", &[], &[], "/x"), None),
        (rule("a", &["a.example"], &[], "/x"), rule("b", &[], &[], "/x"), None),
        (rule("a", &[], &[], "/{x}"), rule("b", &[], &[], "/x"), None),
    ] {
        let clashes = RuleSet::compile(vec![a, b]).err().unwrap_or_default();
        assert_eq!(clashes.iter().map(|c| c.example.as_str()).collect::<Vec<_>>(), example.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_preflight_let_pass_clashes_with_a_rule_for_options_that_demands() {
    let mut get = rule("get", &[], &["GET"], "/x");
    get.requirement.preflight = true;
    let options = rule("options", &[], &["OPTIONS"], "/x");
    let clashes = RuleSet::compile(vec![get.clone(), options.clone()]).err().unwrap();
    assert_eq!(clashes, [Clash { first: 0, second: 1, example: "OPTIONS https://any.example/x".into() }]);
    assert!(RuleSet::compile(vec![options.clone(), get.clone()]).is_err());
    let anonymous = RuleSpec { requirement: Requirement::anonymous(), ..options };
    assert!(RuleSet::compile(vec![get, anonymous]).is_ok());
}

#[test]
fn the_same_demand_twice_is_no_clash() {
    let a = rule("a", &[], &[], "/x");
    assert!(RuleSet::compile(vec![a.clone(), RuleSpec { id: "b".into(), ..a }]).is_ok());
}

#[test]
fn accepts() {
    for kind in CredentialKind::OWN {
        assert!(Accepts::default().with(kind).takes(kind));
        assert!(!Accepts::default().takes(kind));
    }
}

fn spec() -> impl Strategy<Value = RuleSpec> {
    let hosts = prop::sample::subsequence(vec!["a.example", "b.example", "*.example", "*.a.example"], 0..3);
    let methods = prop::sample::subsequence(vec!["GET", "PUT"], 0..3);
    (hosts, methods, "(/(a|b|\\{x\\}|\\{y\\})){0,3}(/|/\\*\\*)?").prop_filter_map("a path", |(hosts, methods, path)| {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        PathPattern::parse(&path).ok()?;
        Some(rule("r", &hosts, &methods, &path))
    })
}

/// A rule that demands what no other does.
fn numbered((n, spec): (usize, RuleSpec)) -> RuleSpec {
    let requirement = Requirement { tenants: vec![n.to_string()], ..Requirement::token() };
    RuleSpec { id: n.to_string(), requirement, ..spec }
}

/// The slow way: every rule tried, the best by the definition.
fn reference(specs: &[RuleSpec], method: &str, host: &str, uri: &str) -> String {
    let parts: Vec<&[u8]> = crate::decision::path::segments(uri.as_bytes()).collect();
    let host_rank = |spec: &RuleSpec| {
        let rank = |pattern: &HostPattern| match pattern {
            HostPattern::Exact(name) => (name == host).then_some(usize::MAX),
            HostPattern::Wildcard(suffix) => (host.ends_with(suffix.as_str()) && host.len() > suffix.len()).then_some(suffix.len()),
        };
        if spec.hosts.is_empty() { Some(0) } else { spec.hosts.iter().filter_map(rank).max() }
    };
    // literal 3 > parameter 2 > end 1... > rest 0, compared segment by segment
    let path_rank = |spec: &RuleSpec| {
        let pattern = &spec.path;
        let fits = if pattern.rest { parts.len() >= pattern.segments.len() } else { parts.len() == pattern.segments.len() };
        let mut rank = Vec::new();
        for (segment, part) in pattern.segments.iter().zip(&parts) {
            rank.push(match segment {
                Segment::Literal(bytes) if **bytes == **part => 3,
                Segment::Parameter(_) if !part.is_empty() => 2,
                _ => return None,
            });
        }
        rank.push(if pattern.rest { 0 } else { 1 });
        fits.then_some(rank)
    };
    let ranked: Vec<_> = specs.iter().enumerate().filter_map(|(n, spec)| Some(((host_rank(spec)?, path_rank(spec)?), n, spec))).collect();
    let Some(best) = ranked.iter().map(|(rank, ..)| rank.clone()).max() else { return "no_rule".into() };
    let takes = |spec: &RuleSpec| spec.methods.is_empty() || spec.methods.iter().any(|m| m.as_str() == method);
    ranked.iter().find(|(rank, _, spec)| *rank == best && takes(spec)).map_or("method_not_listed".into(), |(_, n, _)| n.to_string())
}

proptest! {
    #[test]
    fn the_tree_finds_what_the_definition_says(specs in prop::collection::vec(spec(), 0..8), uri in "(/(a|b|c)?){1,4}", host in "(x\\.)?(a|b)\\.example", method in "GET|PUT|POST") {
        prop_assume!(!uri.contains("//"));
        let specs: Vec<RuleSpec> = specs.into_iter().enumerate().map(numbered).collect();
        if let Ok(rules) = RuleSet::compile(specs.clone()) {
            prop_assert_eq!(found(&rules, &method, &host, &uri), reference(&specs, &method, &host, &uri));
        }
    }

    /// Removing a rule never opens anything that no other rule allows: what is found then is another rule that matches.
    #[test]
    fn removing_a_rule_leaves_only_other_rules(specs in prop::collection::vec(spec(), 1..6), uri in "(/(a|b)){1,3}", at in 0usize..6) {
        let mut specs: Vec<RuleSpec> = specs.into_iter().enumerate().map(numbered).collect();
        let at = at % specs.len();
        if let Ok(all) = RuleSet::compile(specs.clone()) {
            let before = found(&all, "GET", "a.example", &uri);
            specs.remove(at);
            let after = found(&set(specs.clone()), "GET", "a.example", &uri);
            // a broader rule may answer where the removed one stood before it
            if before != after && before != at.to_string() {
                prop_assert!(before == "method_not_listed", "{} became {}", before, after);
            }
        }
    }
}
