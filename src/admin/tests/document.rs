//! The OpenAPI document: whole, without a dangling name, and true of every route.

use serde_json::Map;

use super::*;
use crate::admin::{OPENAPI, openapi};

/// Every text under the key `key`, anywhere in `value`.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == key => found.push(text),
                    field => texts(field, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

fn document() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

/// One line for each path and each component, so that a change is read easily.
fn written(document: &Value) -> String {
    let lines =
        |fields: &Map<String, Value>| -> Vec<String> { fields.iter().map(|(name, field)| format!("{}:{field}", json!(name))).collect() };
    let mut parts = lines(document.as_object().unwrap());
    for part in &mut parts {
        if let Some(paths) = part.strip_prefix("\"paths\":") {
            let paths: Map<String, Value> = serde_json::from_str(paths).unwrap();
            *part = format!("\"paths\":{{\n{}\n}}", lines(&paths).join(",\n"));
        } else if let Some(components) = part.strip_prefix("\"components\":") {
            let components: Map<String, Value> = serde_json::from_str(components).unwrap();
            let kinds =
                components.iter().map(|(kind, named)| format!("\"{kind}\":{{\n{}\n}}", lines(named.as_object().unwrap()).join(",\n")));
            *part = format!("\"components\":{{\n{}\n}}", kinds.collect::<Vec<_>>().join(",\n"));
        }
    }
    format!("{{\n{}\n}}\n", parts.join(",\n"))
}

#[test]
fn it_is_what_the_annotations_say() {
    let said = written(&document());
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), document());
    let apart = std::env::temp_dir().join("gatepost-openapi.json");
    if said != OPENAPI {
        std::fs::write(&apart, &said).unwrap();
    }
    assert!(
        said == OPENAPI,
        "src/admin/openapi.json says something else; what the annotations say is in {0}: cp {0} src/admin/openapi.json",
        apart.display()
    );
}

#[tokio::test]
async fn it_is_served_with_a_viewer_that_asks_nobody_else() {
    let house = House::new().await;
    let served = house.ask(Ask::get("/openapi.json")).await;
    assert_eq!(served.is(200).body, document());
    assert_eq!(served.body["openapi"], json!("3.1.0"));
    for (path, kind) in [("/docs", "text/html"), ("/docs/viewer.js", "text/javascript"), ("/docs/viewer.css", "text/css")] {
        let file = house.ask(Ask::get(path)).await;
        assert!(file.is(200).header("content-type").unwrap().starts_with(kind), "{path}");
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let text = file.body.as_str().unwrap();
        for foreign in ["http://", "https://", "src=\"//", "onclick=", "innerHTML", "<style", " style="] {
            assert!(!text.contains(foreign), "{path}: {foreign}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let document = document();
    let mut references = Vec::new();
    texts(&document, "$ref", &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    let mut ids = Vec::new();
    texts(&document, "operationId", &mut ids);
    let total = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), total);
}

#[test]
fn every_operation_says_what_it_is_and_how_it_fails() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{name}: no summary");
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}: one tag");
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses {
                let response = match response["$ref"].as_str() {
                    Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
                    None => response,
                };
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}: {response}");
                assert!(response["headers"]["X-Request-Id"].is_object(), "{name} {status}: {response}");
                assert_eq!(response["headers"]["Retry-After"].is_object(), ["429", "503"].contains(&status.as_str()), "{name} {status}");
                assert_eq!(response["headers"]["WWW-Authenticate"].is_object(), status == "401", "{name} {status}");
            }
            // in the path and among the parameters alike
            let named = operation["parameters"].as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(named, path.matches('{').count(), "{name}: {:?}", operation["parameters"]);
        }
    }
}

/// Every route of the contract.
const CONTRACT: &[&str] = &[
    "GET /",
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
    "GET /docs",
    "GET /login",
    "GET /openapi.json",
    "POST /get-token",
    "POST /v1/introspect",
    "POST /v1/oauth/token",
    "POST /v1/revoke",
    // people
    "GET /v1/login",
    "GET /v1/oidc/{provider}/callback",
    "GET /v1/oidc/{provider}/login",
    "GET /v1/token/refresh",
    "POST /v1/login",
    "POST /v1/logout",
    "POST /v1/otp/login",
    "POST /v1/otp/send",
    "POST /v1/password/change",
    "POST /v1/profile",
    "POST /v1/profile/verify",
    "POST /v1/refresh-key",
    "POST /v1/refresh-key/login",
    "POST /v1/register",
    "POST /v1/token/refresh",
    "POST /v1/verify",
    // management
    "DELETE /v1/admins/{uid}",
    "DELETE /v1/clients/{uid}",
    "DELETE /v1/invitations/{id}",
    "DELETE /v1/keys/{id}",
    "DELETE /v1/policies/{id}",
    "DELETE /v1/sessions/{sid}",
    "DELETE /v1/sub-clients/{uid}",
    "DELETE /v1/tokens/{id}",
    "GET /v1/admins",
    "GET /v1/admins/{uid}",
    "GET /v1/audit",
    "GET /v1/clients",
    "GET /v1/clients/{uid}",
    "GET /v1/decisions",
    "GET /v1/invitations",
    "GET /v1/keys",
    "GET /v1/keys/{id}/usage",
    "GET /v1/policies",
    "GET /v1/sessions",
    "GET /v1/sub-clients",
    "GET /v1/sub-clients/{uid}",
    "GET /v1/tenants",
    "GET /v1/tokens",
    "PATCH /v1/admins/{uid}",
    "PATCH /v1/clients/{uid}",
    "PATCH /v1/sub-clients/{uid}",
    "PATCH /v1/tenants/{id}",
    "POST /v1/admins",
    "POST /v1/clients",
    "POST /v1/invitations",
    "POST /v1/keys",
    "POST /v1/keys/{id}/rotate",
    "POST /v1/policies",
    "POST /v1/sub-clients",
    "PUT /v1/keys/{id}/scopes",
    "PUT /v1/policies/{id}",
];

/// What stands beside the contract: the ways of browsers, the parts of pages, the second factor, and other issuers.
const BESIDE: &[&str] = &[
    "DELETE /v1/examinations/{id}",
    "DELETE /v1/issuers/{name}/denials/{id}",
    "DELETE /v1/second-factor/{uid}",
    "GET /.gatepost/login",
    "GET /.gatepost/session",
    "GET /.well-known/oauth-protected-resource",
    "GET /.well-known/oauth-protected-resource/{path}",
    "GET /docs/viewer.css",
    "GET /docs/viewer.js",
    "GET /v1/examinations/{id}",
    "GET /v1/issuers",
    "GET /v1/issuers/{name}/denials",
    "GET /v1/rules",
    "GET /v1/second-factor",
    "GET /v1/session",
    "POST /login",
    "POST /logout",
    "POST /v1/examinations",
    "POST /v1/explain",
    "POST /v1/issuers/{name}/denials",
    "POST /v1/oidc/{provider}/login",
    "POST /v1/second-factor",
    "POST /v1/second-factor/confirm",
    "POST /v1/second-factor/recovery-codes",
    "POST /v1/second-factor/remove",
    "POST /v1/tickets",
    "PUT /v1/keys/{id}/terms",
];

#[test]
fn every_route_of_the_contract_is_there_and_no_other() {
    // what a parameter is called is nobody's concern
    let nameless = |route: &str| route.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/");
    let document = document();
    let mut there: Vec<String> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        there.extend(item.as_object().unwrap().keys().map(|method| nameless(&format!("{} {path}", method.to_uppercase()))));
    }
    let mut wanted: Vec<String> = CONTRACT.iter().chain(BESIDE).map(|route| nameless(route)).collect();
    there.sort_unstable();
    wanted.sort_unstable();
    let missing: Vec<&String> = wanted.iter().filter(|route| !there.contains(route)).collect();
    let more: Vec<&String> = there.iter().filter(|route| !wanted.contains(route)).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing: {missing:?}; not in the contract: {more:?}");
}

/// Two types of one name would stand in the document as one.
#[test]
fn every_type_has_a_name_of_its_own() {
    let mut names: Vec<String> = Vec::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for derived in text.split("#[derive(").skip(1).filter(|text| text.split(')').next().unwrap().contains("ToSchema")) {
                let head = derived.split(['{', ';']).next().unwrap();
                let named = head.split("schema(as = ").nth(1).map(|rest| rest.split([',', ')']).next().unwrap());
                let own = head.split_whitespace().skip_while(|word| !["struct", "enum"].contains(word)).nth(1).unwrap();
                names.push(named.unwrap_or(own).trim_matches('"').split('<').next().unwrap().to_owned());
            }
        }
    }
    assert!(names.len() > 30, "the types were not found");
    names.sort_unstable();
    let twice: Vec<&String> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
}
