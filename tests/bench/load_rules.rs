//! How long a rules file takes to load: `cargo run --release --example load_rules [RULES]`, 100,000 by default.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

fn main() -> std::io::Result<()> {
    let rules: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    for (style, text) in [("one line a rule", flow(rules)), ("one line a key", block(rules))] {
        let start = Instant::now();
        let loaded = gatepost::config::rules_file::load("rules.yaml".into(), &text);
        let took_ms = start.elapsed().as_millis();
        let count = loaded
            .map_err(|problems| std::io::Error::other(problems.first().map(ToString::to_string).unwrap_or_default()))?
            .rules
            .rules()
            .len();
        writeln!(std::io::stdout(), "{count} rules, {style}, {} KiB: {took_ms} ms", text.len() / 1024)?;
    }
    Ok(())
}

fn flow(rules: usize) -> String {
    let mut text = String::from("rules:\n");
    for n in 0..rules {
        let (host, area) = (n % 50, n / 50);
        let _ = writeln!(
            text,
            "  - {{ id: rule-{n}, hosts: [h{host}.example.com], methods: [GET, HEAD], path: \"/v1/area{area}/items/{{id}}\", scopes: {{ all: [\"area{area}:read\"] }} }}"
        );
    }
    text + "tests:\n  - { request: GET https://h0.example.com/v1/area0/items/1, scopes: [\"area0:read\"], expect: allow }\n"
}

fn block(rules: usize) -> String {
    let mut text = String::from("rules:\n");
    for n in 0..rules {
        let (host, area) = (n % 50, n / 50);
        let _ = writeln!(
            text,
            "  # rule {n}\n  - id: rule-{n}\n    hosts:\n      - h{host}.example.com\n    methods: [POST, PUT, PATCH, DELETE]\n    path: /v1/area{area}/items/{{id}}\n    \
             scopes:\n      any:\n        - area{area}:write\n        - area:*\n    credentials: [token, api_key]\n    match: {{ id: subject.tenant }}\n    tenants: [t1, t2]"
        );
    }
    text
}
