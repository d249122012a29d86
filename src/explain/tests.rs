use clap::Parser;

use super::*;
use crate::args::{Arguments, Command};
use crate::config::rules_file;

const RULES: &str = "
rules:
  - { id: order, hosts: [api.example], methods: [GET], path: '/orders/{id}', scopes: { all: [orders:read, orders:list] }, on_store_error: { allow_cached_for: 30s } }
  - { id: order-write, hosts: [api.example], methods: [PUT], path: '/orders/{id}', scopes: { all: [orders:write] } }
  - { id: broad, hosts: [api.example], path: '/orders/**', scopes: { all: [orders:all] } }
  - { id: trial, path: /trial, scopes: { all: [a] }, enforce: false }
";

/// Explains what is asked by these words after `gatepost explain`.
async fn explained(words: &[&str], outage: Outage) -> Explanation {
    let arguments = Arguments::try_parse_from([&["gatepost", "explain"], words].concat()).unwrap();
    let Some(Command::Explain(arguments)) = arguments.command else { panic!("{words:?}") };
    let rules = rules_file::load("rules.yaml".into(), RULES).unwrap();
    let through = Through { outage, ..Through::unconfigured(Proxy::Nginx) };
    explain(&arguments, &through, &rules.rules, None).await.unwrap()
}

#[tokio::test]
async fn what_decides_and_what_keeps_the_others_from_it() {
    for (words, expected) in [
        (
            &["GET", "https://api.example/orders/7", "--scopes", "orders:read"][..],
            &[
                "deny  403 insufficient_scope",
                "  missing     orders:list",
                "    order",
                "    order-write  (takes PUT, not GET)",
                "    broad  (`order` is more specific)",
                "    x-deny-reason: insufficient_scope",
            ][..],
        ),
        (
            &["DELETE", "https://api.example/orders/7"],
            &[
                "    order  (takes GET, not DELETE)",
                "    order-write  (takes PUT, not DELETE)",
                "    broad  (a more specific path has rules, none of which takes DELETE)",
            ],
        ),
        (&["GET", "https://other.example/orders/7"], &["    order  /orders/{id}  (the host is `other.example`, not api.example)"]),
        (&["GET", "https://api.example/order/7"], &["    order  /orders/{id}  (segment 1 is `order`, not `orders`)"]),
        (
            &["GET", "https://api.example/orders/7/"],
            &["    broad", "    order  /orders/{id}  (this path ends in a slash, its own does not)"],
        ),
        (&["GET", "/trial", "--scopes", "b"], &["allow  200", "  would be    insufficient_scope", "  missing     a"]),
        (&["GET", "/trial/../x"], &["deny  403 path_refused"]),
    ] {
        let text = explained(words, Outage::Embedded).await.to_text();
        for expected in expected {
            assert!(text.lines().any(|line| line == *expected), "{expected}\n{text}");
        }
    }
}

#[tokio::test]
async fn an_outage_means_what_the_store_makes_of_it() {
    let second = Duration::from_secs(1);
    for (outage, expected) in [(Outage::Embedded, "no effect"), (Outage::Bound(second), "for up to 31s (with tokens.staleness_bound 1s)")] {
        let explanation = explained(&["GET", "https://api.example/orders/7"], outage).await;
        let told = explanation.on_store_error.clone().unwrap();
        assert!(told.starts_with("allow_cached_for 30s: ") && told.contains(expected), "{told}");
        assert!(explained(&["PUT", "https://api.example/orders/7"], outage).await.on_store_error.is_none());
    }
}

#[tokio::test]
async fn what_is_written_as_json_is_read_back() {
    let explanation = explained(&["GET", "https://api.example/orders/7", "--scopes", "orders:read"], Outage::Embedded).await;
    let value = serde_json::to_value(&explanation).unwrap();
    assert_eq!((&value["missing_scopes"], &value["candidates"][0]["why_not"]), (&"orders:list".into(), &serde_json::Value::Null));
    assert_eq!(serde_json::from_value::<Explanation>(value).unwrap(), explanation);
    // an instance of another version may tell more, or less
    let other: Explanation = serde_json::from_str(r#"{ "decision": "deny", "status": 403, "news": 1 }"#).unwrap();
    assert_eq!((other.status, other.to_text().is_empty()), (403, false));
}

#[test]
fn what_became_of_a_real_credential_is_not_made_up() {
    for credential in ["--token", "--api-key"] {
        let words = ["gatepost", "explain", "GET", "/", credential, "gpt_x", "--state", "invalid"];
        let error = Arguments::try_parse_from(words).unwrap_err().to_string();
        assert!(error.contains("cannot be used with"), "{error}");
    }
}
