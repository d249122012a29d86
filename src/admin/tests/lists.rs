//! Lists: every one of them in pages, each entry once.

use super::*;

/// The entries of a list, so many a page.
async fn walked(house: &House, jwt: &str, path: &str, field: &str, limit: usize) -> Vec<Value> {
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = house.ask(Ask::get(&format!("{path}?limit={limit}{cursor}")).bearer(jwt)).await;
        let shown = page.is(200).body[field].as_array().unwrap_or_else(|| panic!("{path}: {}", page.body));
        assert!(shown.len() <= limit, "{path}: {}", page.body);
        entries.extend(shown.iter().cloned());
        match &page.body["next_cursor"] {
            Value::String(next) => {
                assert_eq!(shown.len(), limit, "{path}: a page that others follow is full");
                cursor = format!("&cursor={next}");
            }
            end => {
                assert_eq!(end, &Value::Null, "{path}");
                return entries;
            }
        }
    }
}

#[tokio::test]
async fn every_list_shows_each_entry_once_whatever_the_pages() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let send = async |path: &str, body: Value| house.ask(Ask::post(path).bearer(&ann.jwt).json(body)).await;
    house.sign_up("bob").await.is(201);
    house.sign_up("cy").await.is(201);
    for n in 0..5 {
        // some at one moment, some later
        house.clock.advance(Duration::from_millis(n / 2));
        let client = send("/v1/clients", json!({ "user": format!("client-{n}") })).await.is(201).text("/principal/uid");
        send("/v1/admins", json!({ "user": format!("admin-{n}") })).await.is(201);
        send("/v1/sub-clients", json!({ "user": format!("sub-client-{n}"), "parent": client })).await.is(201);
        send("/v1/policies", json!({ "name": format!("policy {n}"), "allow": [] })).await.is(201);
        send("/v1/invitations", json!({ "role": "client" })).await.is(201);
        send("/v1/keys", json!({ "name": format!("key {n}") })).await.is(201);
        send("/get-token", json!({ "api_key": ann.api_key, "scopes": [format!("scope:{n}")] })).await.is(200);
        house.log_in("ann").await.is(200);
    }
    for (path, field, expected) in [
        ("/v1/keys", "keys", 6),
        ("/v1/tokens", "tokens", 5),
        ("/v1/sessions", "sessions", 6),
        ("/v1/clients", "principals", 5),
        ("/v1/admins", "principals", 7),
        ("/v1/sub-clients", "principals", 5),
        ("/v1/policies", "policies", 5),
        ("/v1/invitations", "invitations", 5),
        ("/v1/tenants", "tenants", 3),
        ("/v1/audit", "entries", 0),
    ] {
        let whole = house.ask(Ask::get(path).bearer(&ann.jwt)).await.is(200).body[field].as_array().unwrap().clone();
        assert!(if expected == 0 { whole.len() > 30 } else { whole.len() == expected }, "{path}: {}", whole.len());
        for limit in [1, 2, 1000] {
            assert_eq!(walked(&house, &ann.jwt, path, field, limit).await, whole, "{path} by {limit}");
        }
        for (query, named) in [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"), ("cursor=%00", "cursor")] {
            house.ask(Ask::get(&format!("{path}?{query}")).bearer(&ann.jwt)).await.is_invalid(named);
        }
    }
}

#[tokio::test]
async fn a_page_has_a_hundred_entries_where_nothing_is_said() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    for n in 0..101 {
        let body = json!({ "name": format!("policy {n}"), "allow": [] });
        house.ask(Ask::post("/v1/policies").bearer(&ann.jwt).json(body)).await.is(201);
    }
    let first = house.ask(Ask::get("/v1/policies").bearer(&ann.jwt)).await;
    assert_eq!(first.is(200).body["policies"].as_array().unwrap().len(), 100);
    let rest = house.ask(Ask::get(&format!("/v1/policies?cursor={}", first.text("/next_cursor"))).bearer(&ann.jwt)).await;
    assert_eq!((rest.is(200).body["policies"].as_array().unwrap().len(), &rest.body["next_cursor"]), (1, &Value::Null));
}
