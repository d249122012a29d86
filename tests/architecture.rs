//! Who may import whom: the invariants of ARCHITECTURE.md, read off the sources.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};

/// Every source file with its code lines: comments and test modules left out.
fn sources() -> Vec<(String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && !name.contains("/tests/") {
                let text = std::fs::read_to_string(&path).unwrap();
                let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").map(str::trim);
                found.push((name, lines.filter(|line| !line.starts_with("//")).map(str::to_owned).collect()));
            }
        }
    }
    assert!(found.len() > 30, "the sources were not found");
    found
}

/// Whether `line` names `path` as a path: not as the end of a longer word.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

/// Files of which `inside` is true must not name any of `paths`.
fn forbid(why: &str, inside: impl Fn(&str) -> bool, paths: &[&str]) {
    let mut concerned = 0;
    for (file, lines) in sources().iter().filter(|(file, _)| inside(file)) {
        concerned += 1;
        for (line, path) in lines.iter().flat_map(|line| paths.iter().map(move |path| (line, path))) {
            assert!(!names(line, path), "{why}\n  src/{file}: {line}");
        }
    }
    assert!(concerned > 0, "no file is concerned: {why}");
}

fn room(name: &str) -> impl Fn(&str) -> bool {
    move |file| file == format!("{name}.rs") || file.starts_with(&format!("{name}/"))
}

#[test]
fn the_decision_does_no_io() {
    forbid(
        "the decision knows std, http types and crypto: no I/O, no clock, no environment, so it cannot fail",
        room("decision"),
        &[
            "tokio::",
            "hyper::",
            "redis::",
            "sqlx::",
            "metrics::",
            "axum::",
            "tracing::",
            "std::env",
            "std::fs",
            "std::net::Tcp",
            "std::time::",
            "crate::config",
            "crate::clock",
            "crate::token",
            "crate::metrics",
            "crate::gate",
            "crate::database",
            "crate::server",
        ],
    );
}

#[test]
fn the_protocol_does_no_io() {
    let core = |file: &str| room("token/fencelog")(file) || file == "token/fence.rs";
    forbid(
        "what keeps the cache fresh is told of events and of the time: no I/O, no clock, so that a simulation can run it",
        core,
        &[
            "tokio::",
            "redis::",
            "sqlx::",
            "metrics::",
            "tracing::",
            "std::env",
            "std::fs",
            "std::net",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "crate::clock::boottime",
            "crate::clock::Clock",
            "crate::database",
            "crate::metrics",
            "crate::config",
            "crate::token::redis",
            "super::redis",
        ],
    );
}

#[test]
fn drivers_stay_in_their_rooms() {
    let outside = |inside: fn(&str) -> bool| move |file: &str| !inside(file);
    forbid("only src/database names sqlx", outside(|file| room("database")(file)), &["sqlx::"]);
    forbid(
        "only the Redis store names the redis crate",
        outside(|file| room("token/redis")(file)),
        &["::redis::", "redis::aio", "redis::Client", "redis::Cmd", "redis::cmd"],
    );
    forbid("only src/oidc speaks with OpenID providers", outside(|file| room("oidc")(file)), &["openidconnect::"]);
    forbid("only src/config/yaml.rs names the YAML crate", outside(|file| file.starts_with("config/yaml")), &["saphyr_parser"]);
    forbid(
        "only the admin side names axum",
        outside(|file| room("admin")(file) || file == "app.rs" || file.starts_with("app/")),
        &["axum::"],
    );
}

#[test]
fn one_file_names_each_proxys_headers() {
    let doctor = room("doctor");
    forbid(
        "only src/dialect/nginx.rs names its headers, and doctor, who makes them up",
        |file| file != "dialect/nginx.rs" && !doctor(file),
        &["x-original-method", "x-original-uri", "x-original-host", "x-original-proto"],
    );
    forbid(
        "only src/dialect/forwarded.rs names its headers, and doctor, who makes them up",
        |file| file != "dialect/forwarded.rs" && !doctor(file),
        &["x-forwarded-method", "x-forwarded-uri"],
    );
}

#[test]
fn gate_and_admin_meet_in_the_stores_only() {
    forbid("the hot side does not know the admin side", room("gate"), &["crate::admin", "crate::accounts", "crate::database", "axum::"]);
    forbid("the admin side does not know the hot side", room("admin"), &["crate::gate", "crate::dialect"]);
    forbid("who speaks with providers knows no accounts", room("oidc"), &["crate::admin", "crate::accounts", "crate::database"]);
    forbid("accounts know no HTTP", room("accounts"), &["axum::", "hyper::", "http::", "crate::admin", "crate::gate"]);
}

#[test]
fn the_server_knows_no_handler() {
    forbid(
        "accept loops and limits serve whatever they are given",
        room("server"),
        &["crate::gate", "crate::admin", "crate::token", "crate::decision"],
    );
}

#[test]
fn nothing_below_reads_configuration() {
    let below = |file: &str| {
        ["decision", "dialect", "token", "database", "server", "gate", "accounts", "admin", "oidc", "senders", "usage", "notices"]
            .iter()
            .any(|name| room(name)(file))
    };
    forbid("each room receives its section's values; only the door knows the configuration", below, &["crate::config"]);
}

#[test]
fn the_audit_trail_is_only_ever_added_to() {
    forbid(
        "nothing changes an entry or takes one away",
        |_| true,
        &["UPDATE audit", "DELETE FROM audit", "REPLACE INTO audit", "TRUNCATE"],
    );
}
