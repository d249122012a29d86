use proptest::prelude::*;

use super::*;
use crate::decision::credential::CredentialKind;
use crate::decision::rules::{Attribute, Demand, MatchClause, Requirement};

fn read_text(text: &str) -> Result<RulesFile, Vec<Problem>> {
    load("rules.yaml".into(), text)
}

fn problems(text: &str) -> Vec<String> {
    read_text(text).map(|_| panic!("loaded: {text}")).unwrap_err().iter().map(Problem::to_string).collect()
}

/// The one rule with these keys besides id and path.
fn one(keys: &str) -> crate::decision::rules::Rule {
    let text = format!("rules: [{{ id: a, path: '/a/{{id}}', {keys} }}]");
    read_text(&text).unwrap_or_else(|problems| panic!("{text}: {problems:#?}")).rules.rules()[0].clone()
}

#[test]
fn what_is_left_out_has_its_default() {
    let rule = one("");
    let requirement = &rule.requirement;
    assert_eq!(rule.id, "a");
    assert_eq!(*requirement, Requirement::token());
}

#[test]
fn every_key_is_read() {
    let requirement =
        one("hosts: [API.example.com, '*.example.org'], methods: [GET, PURGE], scopes: { any: ['b:*', a] }, credentials: [api_key, jwt], \
         match: { id: subject.tenant }, tenants: [t1, t2], enforce: false, on_store_error: deny, preflight: allow, fallthrough: true")
        .requirement;
    assert!(!requirement.anonymous && requirement.shadow && requirement.preflight);
    let taken: Vec<_> = CredentialKind::OWN.into_iter().filter(|kind| requirement.credentials.takes(*kind)).collect();
    assert_eq!(taken, [CredentialKind::ApiKey, CredentialKind::Jwt]);
    assert!(matches!(&requirement.scopes, Demand::Any(scopes) if scopes.to_string() == "a b:*"));
    assert_eq!(requirement.matches, [MatchClause { segment: 1, parameter: "id".into(), attribute: Attribute::Tenant }]);
    assert_eq!(requirement.tenants, ["t1", "t2"]);
    assert!(matches!(one("scopes: { all: [a] }").requirement.scopes, Demand::All(_)));
    assert_eq!(one("access: anonymous").requirement, Requirement::anonymous());
    assert!(!one("preflight: deny").requirement.preflight);
    assert_eq!(one("on_store_error: { allow_cached_for: 30s }").requirement.cached_for_ms, 30_000);
    assert!(!one("enforce: true").requirement.shadow);
}

#[test]
fn hosts_methods_and_fallthrough_reach_the_decision() {
    let text = "
rules:
  - { id: narrow, hosts: ['*.example.com'], methods: [PUT], path: /a/b, access: anonymous, fallthrough: true }
  - { id: broad, methods: [GET], path: /a/**, access: anonymous }
tests:
  - { request: GET https://x.example.com/a/b, expect: allow }
  - { request: PUT https://x.example.com/a/b, expect: allow }
  - { request: PUT https://example.com/a/b, expect: deny }
  - { request: HEAD https://example.com/a/b, expect: allow }
  - { request: POST https://x.example.com/a/b, expect: deny }
";
    assert_eq!(read_text(text).unwrap().tests.len(), 5);
}

#[test]
fn each_mistake_is_told_where_it_is() {
    let rule = |keys: &str| format!("rules: [{{ id: a, path: '/a/{{id}}', {keys} }}]");
    let table = [
        ("".to_owned(), "1:1: rules: missing; write `rules:` with a list"),
        ("tests: []".to_owned(), "1:1: rules: missing"),
        ("rules:".to_owned(), "1:6: rules: expected a list, found no value"),
        ("rules: { id: a }".to_owned(), "1:8: rules: expected a list, found keys with values"),
        ("rule: []\nrules: []".to_owned(), "1:1: rule: unknown key; did you mean `rules`?"),
        ("rules: [a]".to_owned(), "1:9: rules[0]: expected keys with values, found one value"),
        ("rules: [{ path: /a }]".to_owned(), "1:9: rules[0].id: missing"),
        ("rules: [{ id: a }]".to_owned(), "1:9: rules[0].path: missing"),
        ("rules: [{ id: a b, path: /a }]".to_owned(), "1:15: rules[0].id: not an id"),
        ("rules: [{ id: a, path: a }]".to_owned(), "1:24: rules[0].path: `a` is not a path: a path begins with `/`"),
        ("rules: [{ id: a, path: /a, path: /b }]".to_owned(), "1:28: rules[0]: the key `path` twice"),
        ("rules:\n- { id: a, path: /a }\n- { id: a, path: /b }".to_owned(), "3:9: rules[1].id: `a` is the id of the rule in line 2 too"),
        (rule("scope: { all: [a] }"), "1:35: rules[0].scope: unknown key; did you mean `scopes`?"),
        (rule("hosts: []"), "1:42: rules[0].hosts: an empty list"),
        (rule("hosts: a"), "1:42: rules[0].hosts: expected a list, found one value"),
        (rule("hosts: ['a:80']"), "1:43: rules[0].hosts[0]: `a:80` is not a host"),
        (rule("hosts: [a, A]"), "1:46: rules[0].hosts[1]: stands twice"),
        (rule("methods: []"), "1:44: rules[0].methods: an empty list"),
        (rule("methods: [get]"), "1:45: rules[0].methods[0]: `get` is another method than GET; write GET"),
        (rule("methods: ['G T']"), "1:45: rules[0].methods[0]: `G T` is not a method"),
        (rule("scopes: [a]"), "1:43: rules[0].scopes: a list does not say whether all or any"),
        (rule("scopes: a"), "1:43: rules[0].scopes: expected keys with values, found one value"),
        (rule("scopes: {}"), "1:43: rules[0].scopes: either all or any is needed"),
        (rule("scopes: { all: [a], any: [b] }"), "1:43: rules[0].scopes: either all or any is needed"),
        (rule("scopes: { all: [] }"), "1:50: rules[0].scopes.all: no scope"),
        (rule("scopes: { all: [a b] }"), "1:51: rules[0].scopes.all[0]: `a b` is not a scope"),
        (rule("scopes:"), "1:41: rules[0].scopes: expected keys with values, found no value"),
        (rule("credentials: []"), "1:48: rules[0].credentials: an empty list"),
        (rule("credentials: [sessions]"), "1:49: rules[0].credentials[0]: `sessions` is no kind of credential"),
        (rule("credentials: [password]"), "1:49: rules[0].credentials[0]: `password` is no kind of credential"),
        (rule("match: {}"), "1:42: rules[0].match: nothing to match"),
        (rule("match: { x: subject.uid }"), "1:47: rules[0].match.x: the path has no {x}"),
        (rule("match: { id: subject.mail }"), "1:48: rules[0].match.id: `subject.mail` is no attribute"),
        (rule("tenants: []"), "1:44: rules[0].tenants: an empty list"),
        (rule("enforce: no"), "1:44: rules[0].enforce: `no` is neither true nor false"),
        (rule("on_store_error: allow"), "1:51: rules[0].on_store_error: `allow` is not known here"),
        (rule("on_store_error: { allow_cached_for: 2h }"), "1:71: rules[0].on_store_error.allow_cached_for: `2h` is out of bounds"),
        (rule("on_store_error: { allow_cached_for: soon }"), "1:71: rules[0].on_store_error.allow_cached_for: `soon` is no duration"),
        (rule("on_store_error: {}"), "1:51: rules[0].on_store_error.allow_cached_for: missing"),
        (rule("limit: 100/s"), "1:42: rules[0].limit: expected keys with values, found one value"),
        (rule("limit: {}"), "1:42: rules[0].limit: not a limit; write rate: a rate like 100/s, a quota"),
        (rule("limit: { rate: 100 }"), "1:50: rules[0].limit.rate: not a limit; write rate: a number and s, m or h"),
        (rule("limit: { rate: 1/s, burst: 0 }"), "1:62: rules[0].limit.burst: `0`"),
        (rule("limit: { quota: 1/week }"), "1:51: rules[0].limit.quota: not a limit; write quota: a number and day or month"),
        (rule("limit: { quota: 1/day, per: rule }"), "1:63: rules[0].limit.per: not a limit; write per: key, principal or tenant"),
        (rule("preflight: true"), "1:46: rules[0].preflight: `true` is not known here; write one of allow, deny"),
        (rule("access: public"), "1:43: rules[0].access: `public` is not known here; write anonymous"),
        (rule("access: anonymous, scopes: { all: [a] }"), "1:62: rules[0].scopes: an anonymous rule demands nothing"),
        (rule("access: anonymous, tenants: [t]"), "1:63: rules[0].tenants: an anonymous rule demands nothing"),
        (rule("fallthrough: 1"), "1:48: rules[0].fallthrough: `1` is neither true nor false"),
        (rule("login_redirect: https://a"), "1:51: rules[0].login_redirect: `https://a` is neither true nor false"),
        (rule("login_redirect: true, credentials: [session]"), "1:51: rules[0].login_redirect: a login leads back to a host"),
        (
            rule("login_redirect: true, credentials: [session], hosts: ['*.example.com']"),
            "1:51: rules[0].login_redirect: a login leads back to a host",
        ),
        (rule("login_redirect: true, hosts: [a.example.com]"), "1:51: rules[0].login_redirect: whoever logs in gets a session"),
    ];
    let wrong = table.iter().filter(|(text, expected)| {
        let found = problems(text);
        let right = found.len() == 1 && found[0].starts_with(&format!("rules.yaml:{expected}"));
        if !right {
            println!("{text}\n{found:#?}");
        }
        !right
    });
    assert_eq!(wrong.count(), 0);
}

#[test]
fn mistakes_in_tests_are_told_where_they_are() {
    let table = [
        ("request: GET https://a/b", "tests[0].expect: missing"),
        ("expect: deny", "tests[0].request: missing"),
        ("request: GET, expect: deny", "tests[0].request: `GET` is not a method and a URL"),
        ("request: GET ftp://a, expect: deny", "tests[0].request: `GET ftp://a`: a URL begins with"),
        ("request: GET https://a/b, expect: 403", "tests[0].expect: `403` is not known here; write one of allow, deny"),
        ("request: GET https://a/b, expect: deny, credential: sessions", "tests[0].credential: `sessions` is no kind of credential"),
        ("request: GET https://a/b, expect: deny, scopes: a", "tests[0].scopes: expected a list"),
        ("request: GET https://a/b, expect: deny, as: { user: a }", "tests[0].as.user: unknown key"),
        ("request: GET https://a/b, expect: deny, as: { role: boss }", "tests[0].as.role: `boss` is no role"),
        (
            "request: GET https://a/b, expect: allow",
            "tests[0]: GET https://a/b is expected to be allowed, but is denied (no rule, no_rule: ",
        ),
        ("request: GET https://a/a, expect: deny", "tests[0]: GET https://a/a is expected to be denied, but is allowed (rule `a`)"),
    ];
    for (keys, expected) in table {
        let found = problems(&format!("rules: [{{ id: a, path: /a, access: anonymous }}]\ntests: [{{ {keys} }}]"));
        assert!(found.len() == 1 && found[0].contains(expected), "{keys}: {found:#?}");
    }
}

#[test]
fn tests_say_what_a_credential_shows() {
    let text = "
rules:
  - { id: a, path: '/a/{id}', match: { id: key.id }, tenants: [t1], credentials: [api_key], scopes: { all: ['x:y'] } }
  - { id: shadow, path: /shadow, scopes: { all: [x] }, enforce: false }
  - { id: inner, path: /inner, from_networks: [10.0.0.0/8, '2001:db8::/32'] }
tests:
  - { request: GET https://a/a/k1, credential: api_key, scopes: ['x:*'], as: { uid: u, name: n, tenant: t1, role: admin, key_id: k1 }, expect: allow }
  - { request: GET https://a/a/k2, credential: api_key, scopes: ['x:*'], as: { tenant: t1, key_id: k1 }, expect: deny }
  - { request: GET https://a/a/k1, credential: api_key, scopes: ['x:*'], as: { tenant: t2, key_id: k1 }, expect: deny }
  - { request: GET https://a/a/k1, scopes: ['x:*'], as: { tenant: t1, key_id: k1 }, expect: deny }
  - { request: GET https://a/a/k1, credential: none, expect: deny }
  - { request: GET https://a/shadow, expect: allow }
  - { request: GET https://a/inner, from: 10.1.2.3, expect: allow }
  - { request: GET https://a/inner, from: 192.0.2.1, expect: deny }
  - { request: GET https://a/inner, expect: deny }
";
    let file = read_text(text).unwrap();
    let whys: Vec<String> = file.tests.iter().map(|test| test.run(&file.rules).why).map(|why| why.split(':').take(2).collect()).collect();
    assert!(whys[1].starts_with("match_failed") && whys[2].starts_with("tenant_mismatch"), "{whys:?}");
    assert!(whys[3].starts_with("credential_not_accepted") && whys[4].starts_with("no_credential"), "{whys:?}");
    assert!(whys[5].starts_with("shadow insufficient_scope"), "{whys:?}");
    assert!(whys[7].starts_with("network_refused") && whys[8].starts_with("network_refused") && whys[6].is_empty(), "{whys:?}");
    assert!(file.failures().is_empty());
    assert!(file.had_tests());
    assert!(!read_text("rules: [{ id: a, path: /a }]").unwrap().had_tests());
}

#[test]
fn two_rules_that_both_match_and_demand_different_things_do_not_load() {
    let text = "
rules:
  - { id: broken, path: nowhere }
  - { id: one, hosts: [api.example.com], methods: [GET, POST], path: '/orders/{id}', scopes: { all: [a] } }
  - { id: two, hosts: [api.example.com, b.example.com], methods: [POST], path: '/orders/{order}', scopes: { all: [b] } }
  - { id: same, hosts: [api.example.com], methods: [GET], path: '/orders/{x}', scopes: { all: [a] } }
";
    insta::assert_snapshot!(problems(text).join("\n"), @r"
    rules.yaml:3:25: rules[0].path: `nowhere` is not a path: a path begins with `/`; write one like /orders/{id} or /api/**
    rules.yaml:5:5: rules[2]: `two` here and `one` in line 4 both take POST https://api.example.com/orders/order and demand different things; let their hosts, paths or methods differ, or let both demand the same
    ");
}

#[test]
fn an_anonymous_rule_for_everything_warns() {
    let file = read_text("rules: [{ id: all, path: /**, access: anonymous }]").unwrap();
    assert_eq!(file.warnings.len(), 1);
    assert!(file.warnings[0].to_string().starts_with("rules.yaml:1:26: rules[0].path: everybody passes"), "{}", file.warnings[0]);
    assert!(read_text("rules: [{ id: some, path: /public/**, access: anonymous }]").unwrap().warnings.is_empty());
}

#[test]
fn the_shipped_rules_load_and_match_any_host() {
    let file = read_text(SHIPPED).unwrap();
    assert!(file.warnings.is_empty() && file.had_tests());
    let ids: Vec<_> = file.rules.rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["health", "quickstart-hello", "quickstart-secret"]);
}

/// What stands in a rules file, in any disorder.
fn anything() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "rules",
        "tests",
        "id",
        "hosts",
        "methods",
        "path",
        "scopes",
        "all",
        "any",
        "credentials",
        "match",
        "tenants",
        "enforce",
        "on_store_error",
        "preflight",
        "access",
        "fallthrough",
        "login_redirect",
        "request",
        "as",
        "expect",
        "anonymous",
        "/a/{id}",
        "/**",
        "*.a",
        "a",
        "GET",
        "subject.uid",
        "true",
        "deny",
        "allow",
        "GET https://a/b",
        "~",
        "",
        "é",
        "9",
    ]);
    let leaf = word.clone().prop_map(|word| format!("{word:?}"));
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let pairs = prop::collection::vec((word.clone(), inner.clone()), 0..6).prop_map(|pairs| {
            format!("{{{}}}", pairs.iter().map(|(key, value)| format!("{key:?}: {value}")).collect::<Vec<_>>().join(", "))
        });
        prop_oneof![prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))), pairs]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_tree_loads_or_tells_why(text in anything(), rule in anything()) {
        for text in [text, format!("rules: [{rule}]"), format!("rules: []\ntests: [{rule}]")] {
            if let Err(problems) = read_text(&text) {
                prop_assert!(!problems.is_empty(), "{text}");
            }
        }
    }
}

/// Each `(name, text)` a file of its own, all one set of rules.
fn several(files: &[(&str, &str)]) -> Result<RulesFile, Vec<String>> {
    let parts: Vec<Part> = files.iter().map(|(name, text)| ((*name).into(), (*text).to_owned())).collect();
    load_all("rules.d/*.yaml".into(), &parts, &Default::default()).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

const A: &str = "rules:\n  - { id: a, path: /a }\n";
const B: &str = "tests:\n  - { request: GET https://h/a, expect: allow }\nrules:\n  - { id: b, path: /b, access: anonymous }\n";

#[test]
fn several_files_are_one_set() {
    let set = several(&[("a.yaml", A), ("b.yaml", B)]).unwrap();
    let places: Vec<String> = set.rules.rules().iter().map(|rule| rule.place.written.as_ref().unwrap().to_string()).collect();
    assert_eq!(places, ["a.yaml:2", "b.yaml:4"]);
    assert_eq!((set.tests.len(), &*set.tests[0].file, set.tests[0].line), (1, "b.yaml", 2));
    assert_ne!(set.hash, several(&[("a.yaml", A), ("c.yaml", B)]).unwrap().hash, "a file of another name is another set");
}

#[test]
fn what_is_wrong_between_files_names_both() {
    let clash = "rules:\n  - { id: other, path: /a, scopes: { all: [x] } }\n";
    let [problem] = &several(&[("a.yaml", A), ("b.yaml", clash)]).unwrap_err()[..] else { panic!() };
    assert!(problem.starts_with("b.yaml:2:5: rules[0]: `other` here and `a` in a.yaml:2 both take GET https://any.example/a"), "{problem}");
    let twice = "rules:\n  - { id: x, path: /x }\n  - { id: a, path: /y }\n";
    let [problem] = &several(&[("a.yaml", A), ("b.yaml", twice)]).unwrap_err()[..] else { panic!() };
    assert!(problem.starts_with("b.yaml:3:11: rules[1].id: `a` is the id of the rule in a.yaml:2 too"), "{problem}");
    let failing = "tests: [{ request: POST https://h/a, credential: none, expect: allow }]\nrules: [{ id: c, path: /c }]\n";
    let [problem] = &several(&[("a.yaml", A), ("b.yaml", failing)]).unwrap_err()[..] else { panic!() };
    assert!(problem.starts_with("b.yaml:1:9: tests[0]: ") && problem.contains("rule `a` in a.yaml:2"), "{problem}");
    // each file is told by its own lines, and one without rules is wrong wherever it stands
    let problems = several(&[("a.yaml", "rules: [{ id: a, pth: /a }]"), ("b.yaml", "tests: []"), ("c.yaml", "rules: [")]).unwrap_err();
    assert!(problems.iter().any(|problem| problem.starts_with("c.yaml:")), "{problems:?}");
    let problems = several(&[("a.yaml", "rules: [{ id: a, pth: /a }]"), ("b.yaml", "tests: []")]).unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.starts_with("a.yaml:1:"))
            && problems.iter().any(|problem| problem.starts_with("b.yaml:1:1: rules: missing")),
        "{problems:?}"
    );
}

#[test]
fn which_files_a_star_takes() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["20-b.yaml", "10-a.yaml", ".hidden.yaml", "x.yaml~", "x.yml"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    std::fs::create_dir(folder.path().join("d.yaml")).unwrap();
    let taken = |pattern: &str| {
        let files = files_of(&folder.path().join(pattern))?;
        Ok::<_, String>(files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(taken("*.yaml").unwrap(), ["10-a.yaml", "20-b.yaml"]);
    assert_eq!(taken("*-*.y*ml").unwrap(), ["10-a.yaml", "20-b.yaml"]);
    assert_eq!(taken("x*").unwrap(), ["x.yaml~", "x.yml"]);
    assert_eq!(taken("*").unwrap().len(), 4);
    assert_eq!(taken("*.json").unwrap_err(), "matches no file");
    assert_eq!(taken("yaml*yaml").unwrap_err(), "matches no file", "one text is not used twice");
    assert!(files_of(&folder.path().join("none/*.yaml")).unwrap_err().starts_with("cannot be read"));
}

#[test]
fn of_one_file_nobody_is_told_where_a_rule_stands() {
    assert_eq!(several(&[("a.yaml", A)]).unwrap().rules.written("a"), None);
    assert_eq!(several(&[("a.yaml", A), ("b.yaml", B)]).unwrap().rules.written("a").unwrap().to_string(), "a.yaml:2");
}
