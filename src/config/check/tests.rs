use std::fs;

use super::*;

/// Runs `command` on these two files.
fn run(command: fn(Option<&Path>, &Environment) -> (String, ExitCode), main: &str, rules: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("gatepost.yaml"), main).unwrap();
    fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    let environment = Environment::new([("GATEPOST_PORT".into(), "tcp://10.0.0.1:80".into())]).in_directory(directory.path());
    let (text, code) = command(Some(Path::new("gatepost.yaml")), &environment);
    format!("{text}{code:?}").replace(&directory.path().display().to_string(), "")
}

const RULES: &str = "rules:
  - { id: hello, path: /hello, scopes: { all: [a] }, credentials: [token, api_key] }
  - { id: trial, path: /trial, scopes: { all: [a] }, enforce: false }
tests:
  - { request: GET https://h/hello, scopes: [a], expect: allow }
  - { request: GET https://h/hello, scopes: [b], credential: api_key, expect: deny }
  - { request: GET https://h/trial, credential: none, expect: allow }
";

#[test]
fn what_is_fine_is_shown_with_what_is_risky() {
    let rules = "rules: [{ id: all, path: /**, access: anonymous }]";
    let main = "accounts: { sign_up: open, direct_scopes: ['*'] }\nsessions: { idle: 5m }";
    insta::assert_snapshot!(run(check_config, main, rules), @r"
    warning: GATEPOST_PORT: (environment): matches no key and is ignored; nothing to do, unless you meant one
    warning: gatepost.yaml:1:43: accounts.direct_scopes: everybody can sign up and then holds every scope; write the scopes that anybody may have, or sign_up: invitation
    warning: /rules.yaml:1:26: rules[0].path: everybody passes, wherever no other rule matches; write the paths that are meant, unless these are all
    gatepost.yaml: fine
    /rules.yaml: fine, 1 rule, 0 tests passed
    gate nginx: 127.0.0.1:9001
    gate traefik: 127.0.0.1:9002
    admin: 127.0.0.1:8000
    metrics: 127.0.0.1:9464
    ExitCode(unix_exit_status(0))
    ");
}

#[test]
fn issuers_are_shown_by_their_names() {
    let main = "issuers: [{ name: corp, issuer: https://id.example.com/, audiences: [a] }]";
    let rules = "rules: [{ id: a, path: /a, credentials: ['issuer:corp'] }]
tests: [{ request: GET https://h/a, credential: 'issuer:corp', expect: allow }, { request: GET https://h/a, expect: deny }]";
    assert!(run(check_config, main, rules).contains("issuer corp: https://id.example.com/, keys by discovery"));
    let table = run(test_rules, main, rules);
    assert!(table.contains("GET https://h/a with issuer:corp") && table.contains("2 tests passed"), "{table}");
}

#[test]
fn logins_that_applications_may_see_are_warned_of_once() {
    let rules = "rules:
  - { id: a, path: /a, credentials: [token, jwt] }
  - { id: b, path: /b, credentials: [jwt] }
  - { id: c, path: /c, credentials: [session, token, api_key] }";
    let main = "accounts: { end_users: { scopes: [a, '*'] }, sign_up: open, direct_scopes: [a, '*'] }";
    let warnings: Vec<String> =
        run(check_config, main, rules).lines().filter_map(|line| Some(line.strip_prefix("warning: ")?.to_owned())).collect();
    let of = |place: &str| warnings.iter().filter(|warning| warning.starts_with(place)).count();
    assert_eq!(
        (of("gatepost.yaml:1:34: accounts.end_users.scopes: everybody"), of("gatepost.yaml:1:76: accounts.direct_scopes: everybody")),
        (1, 1),
        "{warnings:#?}"
    );
    assert_eq!(of("/rules.yaml:2:37: rules[0].credentials: a login's JWT is taken here (and in 1 more), and"), 1, "{warnings:#?}");
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
}

#[test]
fn everything_that_is_wrong_in_both_files_is_shown() {
    insta::assert_snapshot!(run(check_config, "tokens: { ttl: 60 }\nworkers: many", "rules: [{ id: a }]\ntest: []"), @r"
    gatepost.yaml:1:16: tokens.ttl: `60` is no duration; write a whole number with its unit, like 100ms, 30s, 60m, 12h or 7d
    gatepost.yaml:2:10: workers: `many` is no whole number from 0 to 1024; write one from 0 to 1024
    /rules.yaml:1:9: rules[0].path: missing; write it
    /rules.yaml:2:1: test: unknown key; did you mean `tests`?
    4 problems
    ExitCode(unix_exit_status(64))
    ");
}

#[test]
fn rules_that_fail_their_own_tests_are_bad_configuration() {
    let text = run(check_config, "", &RULES.replace("[b], credential: api_key, expect: deny", "[b], credential: api_key, expect: allow"));
    insta::assert_snapshot!(text, @r"
    /rules.yaml:6:5: tests[1]: GET https://h/hello is expected to be allowed, but is denied (rule `hello`, insufficient_scope: missing scope: a); mend the rules or the test
    1 problem
    ExitCode(unix_exit_status(64))
    ");
}

#[test]
fn tests_are_shown_in_a_table() {
    insta::assert_snapshot!(run(test_rules, "", RULES), @r"
    ok    line 5     GET https://h/hello [a]                 allow  hello
    ok    line 6     GET https://h/hello with api_key [b]    deny   hello  insufficient_scope: missing scope: a
    ok    line 7     GET https://h/trial without credential  allow  trial  shadow: no_credential: no credential: send an access token in `Authorization: Bearer` (POST /get-token gives one for an API key)
    /rules.yaml: 3 tests passed
    ExitCode(unix_exit_status(0))
    ");
}

#[test]
fn failing_tests_are_shown_with_what_came_of_them() {
    let text = run(test_rules, "", &RULES.replace("scopes: [a], expect: allow", "scopes: [c], expect: allow"));
    insta::assert_snapshot!(text, @r"
    FAIL  line 5     GET https://h/hello [c]                 deny   hello  expected allow  insufficient_scope: missing scope: a
    ok    line 6     GET https://h/hello with api_key [b]    deny   hello  insufficient_scope: missing scope: a
    ok    line 7     GET https://h/trial without credential  allow  trial  shadow: no_credential: no credential: send an access token in `Authorization: Bearer` (POST /get-token gives one for an API key)
    /rules.yaml: 1 of 3 tests failed
    ExitCode(unix_exit_status(1))
    ");
}

#[test]
fn rules_that_do_not_load_are_not_tested() {
    insta::assert_snapshot!(run(test_rules, "", "rules: nothing"), @r"
    /rules.yaml:1:8: rules: expected a list, found one value; write `[one, two]`, or one a line after `- `
    1 problem
    ExitCode(unix_exit_status(64))
    ");
}
