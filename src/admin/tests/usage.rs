//! `/v1/keys/{id}/usage`

use super::*;
use crate::database::UsageRow;
use crate::id::Id;
use crate::usage::Counts;

/// The hour that the clock of a house begins in.
const HOUR: u64 = 1_899_997_200;

async fn count(house: &House, key: &str, hour: u64, rule: &str, [allowed, refused, limited]: [u64; 3]) {
    let counts = Counts { allowed, refused, limited };
    let row = UsageRow { key: key.parse().unwrap(), hour: UnixMs(hour * 1000), rule: rule.to_owned(), counts };
    house.database.add_usage(Id::random().unwrap(), 1, &[row]).await.unwrap();
}

async fn own_key(house: &House, jwt: &str) -> String {
    house.ask(Ask::get("/v1/keys").bearer(jwt)).await.text("/keys/0/id")
}

#[tokio::test]
async fn hours_and_rules_come_in_order_and_in_pages() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let key = own_key(&house, &ann.jwt).await;
    let usage = format!("/v1/keys/{key}/usage");
    let none = house.ask(Ask::get(&usage).bearer(&ann.jwt)).await;
    assert_eq!((&none.is(200).body["usage"], &none.body["next_cursor"]), (&json!([]), &Value::Null));
    none.is_envelope(true);
    count(&house, &key, HOUR - 3600, "stock", [1, 0, 0]).await;
    count(&house, &key, HOUR, "orders/read", [5, 2, 0]).await;
    count(&house, &key, HOUR, "stock", [0, 0, 3]).await;
    count(&house, &key, HOUR, "stock", [1, 0, 0]).await;
    count(&house, &key, HOUR - 31 * 24 * 3600, "stock", [9, 0, 0]).await;
    let rows = [
        json!({ "hour": HOUR - 3600, "rule": "stock", "allowed": 1, "refused": 0, "limited": 0 }),
        json!({ "hour": HOUR, "rule": "orders/read", "allowed": 5, "refused": 2, "limited": 0 }),
        json!({ "hour": HOUR, "rule": "stock", "allowed": 1, "refused": 0, "limited": 3 }),
    ];
    let all = house.ask(Ask::get(&usage).bearer(&ann.jwt)).await;
    assert_eq!((&all.is(200).body["usage"], &all.body["next_cursor"]), (&json!(rows), &Value::Null));
    let (mut found, mut path) = (Vec::new(), format!("{usage}?limit=1"));
    loop {
        let page = house.ask(Ask::get(&path).bearer(&ann.jwt)).await;
        found.extend(page.is(200).body["usage"].as_array().unwrap().clone());
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        path = format!("{usage}?limit=1&cursor={next}");
    }
    assert_eq!(found, rows);
    for (query, expected) in [
        (format!("from={HOUR}"), &rows[1..]),
        (format!("from={}", HOUR + 1), &rows[1..]),
        (format!("from=0&to={HOUR}&limit=1000"), &rows[..1]),
        (format!("from={}&to={}", HOUR - 7200, HOUR + 1), &rows[..]),
    ] {
        let part = house.ask(Ask::get(&format!("{usage}?{query}")).bearer(&ann.jwt)).await;
        let part: Vec<_> = part.is(200).body["usage"].as_array().unwrap().iter().filter(|row| row["allowed"] != 9).cloned().collect();
        assert_eq!(part, expected, "{query}");
    }
}

#[tokio::test]
async fn as_a_table() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let key = own_key(&house, &ann.jwt).await;
    count(&house, &key, HOUR, "stock", [1, 2, 3]).await;
    count(&house, &key, HOUR - 3600, "stock", [4, 0, 0]).await;
    let usage = format!("/v1/keys/{key}/usage");
    let whole = "hour,rule,allowed,refused,limited\r\n2030-03-17T16:00:00Z,stock,4,0,0\r\n2030-03-17T17:00:00Z,stock,1,2,3\r\n";
    for ask in [
        Ask::get(&format!("{usage}?format=csv")),
        Ask::get(&usage).header("accept", "text/csv"),
        Ask::get(&usage).header("accept", "text/html, text/csv;q=0.9, application/json;q=0.1"),
    ] {
        let table = house.ask(ask.bearer(&ann.jwt)).await;
        assert_eq!(table.is(200).body, json!(whole));
        assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
        assert_eq!(table.header("content-disposition"), Some(format!("attachment; filename=\"usage-{key}.csv\"").as_str()));
    }
    for ask in [Ask::get(&format!("{usage}?format=json")).header("accept", "text/csv"), Ask::get(&usage).header("accept", "*/*")] {
        house.ask(ask.bearer(&ann.jwt)).await.is(200).is_envelope(true);
    }
}

#[tokio::test]
async fn whoever_sees_the_key_sees_it_and_nobody_else() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (anns, bobs) = (own_key(&house, &ann.jwt).await, own_key(&house, &bob.jwt).await);
    for (jwt, key, status) in [(&ann.jwt, &anns, 200), (&ann.jwt, &bobs, 200), (&bob.jwt, &bobs, 200), (&bob.jwt, &anns, 404)] {
        house.ask(Ask::get(&format!("/v1/keys/{key}/usage")).bearer(jwt)).await.is(status);
    }
    house.ask(Ask::get(&format!("/v1/keys/{anns}/usage"))).await.is_refused(401, "missing authorization header");
    for none in ["x".to_owned(), "0".repeat(32)] {
        house.ask(Ask::get(&format!("/v1/keys/{none}/usage")).bearer(&ann.jwt)).await.is_refused(404, "not found");
    }
}

#[tokio::test]
async fn a_key_that_has_ended_keeps_its_usage() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let key = own_key(&house, &ann.jwt).await;
    count(&house, &key, HOUR, "stock", [1, 0, 0]).await;
    house.ask(Ask::new("DELETE", &format!("/v1/keys/{key}")).bearer(&ann.jwt)).await.is(200);
    let usage = house.ask(Ask::get(&format!("/v1/keys/{key}/usage")).bearer(&ann.jwt)).await;
    assert_eq!(usage.is(200).body["usage"][0]["allowed"], 1);
}

#[tokio::test]
async fn what_is_asked_wrongly() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let key = own_key(&house, &ann.jwt).await;
    for (query, field) in [
        ("from=x", "from"),
        ("from=-1", "from"),
        ("from=253402300800", "from"),
        ("to=1.5", "to"),
        ("from=10&to=10", "to"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=5-", "cursor"),
        ("format=xml", "format"),
        ("format=csv&format=json", "format"),
    ] {
        house.ask(Ask::get(&format!("/v1/keys/{key}/usage?{query}")).bearer(&ann.jwt)).await.is_invalid(field);
    }
}
