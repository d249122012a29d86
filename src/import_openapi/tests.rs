use super::*;
use crate::decision::credential::CredentialKind;
use crate::decision::scopes::ScopeSet;
use crate::decision::trial::Trial;

fn document(name: &str) -> Foreign {
    Foreign::read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(name)).unwrap()
}

/// Imports, and answers how a request is decided: who is let in, by which rule.
struct Tried(Imported, RulesFile);

impl Tried {
    fn of(document: &Foreign, any_host: bool, undeclared: Undeclared) -> Self {
        let imported = import(document, any_host, undeclared).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let loaded =
            rules_file::load("rules.yaml".into(), &imported.rules).unwrap_or_else(|problems| panic!("{problems:#?}\n{}", imported.rules));
        Self(imported, loaded)
    }

    /// `allow` or the reason, for a credential of this kind with these scopes.
    fn asks(&self, method: &str, url: &str, kind: Option<CredentialKind>, scopes: &str) -> String {
        let trial = Trial { credential: kind, scopes: scopes.parse::<ScopeSet>().unwrap(), ..Trial::parse(method, url).unwrap() };
        match trial.run(&self.1.rules) {
            crate::decision::Verdict::Allow(_) => "allow".to_owned(),
            crate::decision::Verdict::Deny(denial) => denial.reason.as_str().to_owned(),
        }
    }

    /// The notes, each once.
    fn notes(&self) -> String {
        self.0.notes.iter().map(|note| format!("{}: {}; {}\n", note.path, note.what, note.what_to_do)).collect()
    }
}

const TOKEN: Option<CredentialKind> = Some(CredentialKind::Token);
const KEY: Option<CredentialKind> = Some(CredentialKind::ApiKey);

#[test]
fn a_pet_shop() {
    let pets = Tried::of(&document("petstore.yaml"), false, Undeclared::Token);
    let base = "https://petstore.example.com/api/v3";
    for (method, path, kind, scopes, expected) in [
        ("POST", "/pet", TOKEN, "read:pets write:pets", "allow"),
        ("POST", "/pet", TOKEN, "write:pets", "insufficient_scope"),
        ("PATCH", "/pet", TOKEN, "*", "method_not_listed"),
        ("GET", "/pet/findByStatus", TOKEN, "read:pets", "allow"),
        ("HEAD", "/pet/7", TOKEN, "read:pets", "allow"),
        ("GET", "/pet/7", KEY, "read:pets", "allow"),
        ("GET", "/pet/7", KEY, "other", "insufficient_scope"),
        ("DELETE", "/pet/7", KEY, "*", "credential_not_accepted"),
        ("GET", "/store/inventory", KEY, "", "allow"),
        ("GET", "/store/inventory", TOKEN, "*", "credential_not_accepted"),
        ("GET", "/user/login", None, "", "allow"),
        ("GET", "/user/logout", TOKEN, "*", "no_rule"),
    ] {
        assert_eq!(pets.asks(method, &format!("{base}{path}"), kind, scopes), expected, "{method} {path}");
    }
    assert_eq!(pets.asks("GET", "https://other.example/api/v3/user/login", None, ""), "no_rule");
    let anywhere = Tried::of(&document("petstore.yaml"), true, Undeclared::Token);
    assert_eq!(anywhere.asks("GET", "https://other.example/api/v3/user/login", None, ""), "allow");
    assert!(pets.0.rules.contains("  # Add a pet\n  - id: addPet\n    hosts: [petstore.example.com]\n"), "{}", pets.0.rules);
    insta::assert_snapshot!(pets.0.summary().replace(env!("CARGO_MANIFEST_DIR"), ""), @r"
    /tests/openapi/petstore.yaml:51:5: components.securitySchemes.api_key: `api_key` is a key in the header `api_key`; clients send it in the header X-Api-Key here
    /tests/openapi/petstore.yaml:26:7: paths./pet/{petId}.get.security: one way asks for scopes, another for none; each must hold the scopes here
    7 rules from 7 operations, 2 things to look at
    ");
}

#[test]
fn ways_to_combine_schemes() {
    let mixed = Tried::of(&document("mixed.json"), false, Undeclared::Token);
    for (method, path, kind, scopes, expected) in [
        ("GET", "/default", TOKEN, "", "allow"),
        ("GET", "/default", KEY, "", "allow"),
        ("GET", "/default", None, "", "no_credential"),
        ("POST", "/both", TOKEN, "a:write", "allow"),
        ("POST", "/both", KEY, "a:write", "credential_not_accepted"),
        ("GET", "/either", TOKEN, "a:admin", "allow"),
        ("GET", "/either", TOKEN, "a:other", "insufficient_scope"),
        ("GET", "/apart", TOKEN, "a:read b:read", "allow"),
        ("GET", "/apart", TOKEN, "c:read d:read", "insufficient_scope"),
        ("GET", "/optional", None, "", "allow"),
        // what cannot be said is refused, even to whoever holds everything
        ("GET", "/cookie", TOKEN, "*", "tenant_mismatch"),
        ("GET", "/cookie-or-token", TOKEN, "a:read", "allow"),
        ("GET", "/google", TOKEN, "*", "tenant_mismatch"),
        ("GET", "/basic", TOKEN, "*", "tenant_mismatch"),
        ("GET", "/shared", TOKEN, "a:read", "allow"),
        ("GET", "/elsewhere", TOKEN, "*", "no_rule"),
        ("POST", "/events", TOKEN, "a:write", "allow"),
    ] {
        assert_eq!(mixed.asks(method, &format!("https://any.example{path}"), kind, scopes), expected, "{method} {path}");
    }
    let notes = mixed.notes();
    for expected in [
        "webhooks: 2 webhooks: requests that the API sends;",
        "paths./events.post: callbacks: requests that the API sends;",
        "paths./elsewhere: `other.json#/paths/x` is not in this document;",
        "paths./both.post.security: asks for a token and an API key;",
        "paths./apart.get.security: more ways in than one rule can tell apart; only the first",
        "paths./optional.get.security: a credential is one way, none another; the rule is anonymous",
        "paths./cookie.get.security.0: `session` is a cookie, which belongs to the application; nobody passes",
        "paths./cookie-or-token.get.security.0: `session` is a cookie, which belongs to the application; this way in is left out",
        "paths./google.get.security.0: `https://www.example.com/auth/drive` is not a scope",
        "paths./basic.get.security.0: `basic` is HTTP basic, which belongs to the application; nobody passes",
    ] {
        assert!(notes.contains(expected), "{expected}\n{notes}");
    }
    assert_eq!(mixed.0.notes.len(), 10, "{notes}");
    // JSON that no reader of YAML takes has paths for places, but no lines
    assert!(mixed.0.notes.iter().all(|note| note.file.ends_with("mixed.json")));
}

#[test]
fn awkward_paths() {
    let awkward = Tried::of(&document("awkward.yaml"), false, Undeclared::Token);
    for (url, scopes, expected) in [
        ("https://eu.api.example.com/v2/", "root.read", "allow"),
        ("https://api.example.net/v1/", "root.read", "allow"),
        ("https://api.example.com/v2/", "root.read", "no_rule"),
        ("https://api.example.com/v1/orders/1/lines/2", "orders:read", "allow"),
        ("https://api.example.com/v1/orders/1", "orders:read", "allow"),
        ("https://api.example.com/v1/orders/1", "orders:find", "insufficient_scope"),
        ("https://api.example.com/v1/report(year=2026)", "*", "no_rule"),
        ("https://api.example.com/v1/tree/a/b", "*", "no_rule"),
        ("https://api.example.com/v1/caf%C3%A9/", "menu", "allow"),
        ("http://localhost:8080/elsewhere", "", "allow"),
    ] {
        assert_eq!(awkward.asks("GET", url, TOKEN, scopes), expected, "{url}");
    }
    assert_eq!(awkward.asks("PUT", "http://localhost:8080/elsewhere", TOKEN, "*"), "method_not_listed");
    let notes = awkward.notes();
    for expected in [
        "`{name}.{ext}` is a parameter that does not take a whole segment",
        "requests like GET /v2/files/x.x now meet the rule `file`",
        "requests like GET /v1/files/x.x now meet the rule `file-2`",
        "`report(year={year})` is a parameter",
        "`{path*}` is no plain parameter",
        "the server `ftp://files.example.com` is neither",
        "paths./elsewhere.get: says nothing of security (and in 1 more place); any live token",
    ] {
        assert!(notes.contains(expected), "{expected}\n{notes}");
    }
    assert!(awkward.0.rules.contains("  - id: Orders-Lines-Get\n"), "{}", awkward.0.rules);
    assert!(awkward.0.rules.contains("  # two lines: of summary and # more\n"), "{}", awkward.0.rules);
    let open = Tried::of(&document("awkward.yaml"), false, Undeclared::Anonymous);
    assert_eq!(open.asks("GET", "http://localhost:8080/elsewhere", None, ""), "allow");
}

/// What no validator takes, and people have.
const INVALID: &str = r#"
openapi: "3.0.0"
servers: [ { url: "https://api.example.com/v1" } ]
paths:
  /orders/{order-id}/lines/{order-id}: { get: { operationId: lines, security: [ { oauth: [ "orders:read" ] } ], responses: {} } }
  /orders/{id}:
    get: { operationId: order, security: [ { oauth: [ "orders:read" ] } ], responses: {} }
  /orders/{name}:
    get: { operationId: order, security: [ { oauth: [ "orders:find" ] } ], responses: {} }
    head: { operationId: orderHead, security: [ { oauth: [ "orders:head" ] } ], responses: {} }
  /rpc?action=list:
    post: { operationId: rpc, security: [ { oauth: [ "rpc" ] } ], responses: {} }
components: { securitySchemes: { oauth: { type: oauth2, flows: {} } } }
"#;

#[test]
fn what_is_not_quite_valid_is_read_as_far_as_it_is_plain() {
    let invalid = Tried::of(&Foreign::parse("a.yaml".into(), INVALID).unwrap(), false, Undeclared::Token);
    for (url, scopes, expected) in [
        ("https://api.example.com/v1/orders/1/lines/2", "orders:read", "allow"),
        ("https://api.example.com/v1/orders/1", "orders:read", "allow"),
        ("https://api.example.com/v1/orders/1", "orders:find", "insufficient_scope"),
    ] {
        assert_eq!(invalid.asks("GET", url, TOKEN, scopes), expected, "{url}");
    }
    let notes = invalid.notes();
    for expected in [
        "`/v1/rpc?action=list` is not a path",
        "another operation takes GET /v1/orders/{name}, too",
        "another operation takes HEAD /v1/orders/{name}, too",
    ] {
        assert!(notes.contains(expected), "{expected}\n{notes}");
    }
}

#[test]
fn our_own_document() {
    let text = crate::admin::openapi().to_json().unwrap();
    let document = Foreign::parse("openapi.json".into(), &text).unwrap();
    let ours = Tried::of(&document, false, Undeclared::Anonymous);
    assert!(ours.0.operations > 50 && ours.0.count == ours.0.operations, "{}", ours.0.summary());
    for (method, path, kind, expected) in [
        ("GET", "/openapi.json", None, "allow"),
        ("GET", "/v1/keys", None, "no_credential"),
        ("GET", "/v1/keys", TOKEN, "allow"),
        ("DELETE", "/v1/keys/7", TOKEN, "allow"),
        // by the console's cookie alone
        ("GET", "/v1/session", TOKEN, "tenant_mismatch"),
        // by name and password alone
        ("POST", "/v1/password/change", TOKEN, "tenant_mismatch"),
    ] {
        assert_eq!(ours.asks(method, &format!("https://auth.example.com{path}"), kind, ""), expected, "{method} {path}");
    }
}

#[test]
fn what_is_no_document_is_told() {
    for (text, expected) in [
        ("openapi: 2.0.0", "a:1:1: openapi: version `2.0.0` is not known here"),
        ("info: {}\nswagger: '2.0'", "a:2:1: swagger: a Swagger 2 document; convert it to OpenAPI 3"),
        ("rules: []", "a:1:1: (file): no OpenAPI document"),
        ("openapi: 3.0.0\npaths: []", "a:2:1: paths: `paths` is no object"),
    ] {
        let told = import(&Foreign::parse("a".into(), text).unwrap(), false, Undeclared::Token).unwrap_err();
        assert!(told[0].to_string().starts_with(expected), "{}", told[0]);
    }
    // an empty one is one
    let empty = Tried::of(&Foreign::parse("a".into(), "openapi: 3.1.0").unwrap(), false, Undeclared::Token);
    assert_eq!((empty.0.count, empty.0.rules.ends_with("rules: []\n")), (0, true));
}

#[test]
fn words_of_others_stay_words() {
    let text = r##"{"openapi": "3.0.0", "paths": {"/a": {"get": {"operationId": "null", "summary": "x\n  - { id: evil, path: /**, access: anonymous }", "security": []},
        "put": {"operationId": "- id: x", "security": [{"o": ["on"]}]}}, "/b: c #d/{x}": {"get": {"security": []}}, "/\"q\"": {"get": {"security": []}}},
        "components": {"securitySchemes": {"o": {"type": "oauth2"}}}}"##;
    let tried = Tried::of(&Foreign::parse("a\nrules: []".into(), text).unwrap(), false, Undeclared::Token);
    assert_eq!(tried.asks("GET", "/other", None, ""), "no_rule");
    assert_eq!(tried.asks("GET", "/a", None, ""), "allow");
    assert_eq!(tried.asks("PUT", "/a", TOKEN, "on"), "allow");
    assert_eq!(tried.asks("GET", "/%22q%22", None, ""), "allow");
}
