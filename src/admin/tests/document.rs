//! The OpenAPI document: whole, without a dangling name, and true of every route.

use super::*;
use crate::admin::openapi;

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
