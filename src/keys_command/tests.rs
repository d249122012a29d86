//! The command line beside a running server and without one.

use clap::Parser;

use super::*;
use crate::clock::Clock;
use crate::config::Environment;
use crate::database::NewPrincipal;
use crate::token::embedded::Embedded;
use crate::token::record::Role;
use crate::token::store::{Ask, Settings};

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    command: KeysCommand,
}

struct Machine {
    config: Config,
    database: Database,
    owner: Id,
    _data: tempfile::TempDir,
}

impl Machine {
    /// A machine on which `ann` holds `orders:*`.
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = crate::config::file::load(None, &Environment::default().in_directory(data.path())).unwrap().config;
        config.data = data.path().to_owned();
        let database = Database::open_sqlite(&data.path().join("gatepost.db"), Clock::system()).await.unwrap();
        let (owner, tenant) = (Id::random().unwrap(), Id::random().unwrap());
        let scopes = "orders:*".parse().unwrap();
        let mut act = database.act().await.unwrap();
        act.insert_tenant(tenant, "ann").await.unwrap();
        let ann = NewPrincipal {
            uid: owner,
            tenant,
            parent: None,
            role: Role::Admin,
            user: Some("ann"),
            email: None,
            phone: None,
            verified: &[],
            password: None,
            scopes: &scopes,
        };
        act.insert_principal(&ann).await.unwrap();
        let _ = act.commit(&By::cli().did(crate::audit::Action::SignUp, owner)).await.unwrap();
        Self { config, database, owner, _data: data }
    }

    async fn types(&self, line: &str) -> Result<(String, String), String> {
        let typed = Typed::try_parse_from(std::iter::once("keys").chain(line.split(' '))).map_err(|e| e.to_string())?;
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        answer(typed.command, &self.config, &mut out, &mut notes).await?;
        Ok((String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap()))
    }

    async fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.types(line).await.unwrap().0).unwrap()
    }

    async fn serve(&self) -> std::sync::Arc<Embedded> {
        let (ttl, max_lifetime) = (Duration::from_secs(60), Duration::from_secs(600));
        Embedded::start(self.database.clone(), Settings { ttl, max_lifetime, staleness_bound: Duration::from_secs(1) }).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_agreed_stands_beside_the_key() {
    let machine = Machine::new().await;
    let made = machine.json("create --principal ann --external-id cus_1 --meta plan=gold --meta note=a=b --json").await;
    let terms = json!({ "external_id": "cus_1", "metadata": { "note": "a=b", "plan": "gold" } });
    assert_eq!((&made["key"]["terms"], &machine.json("list --json").await["keys"][0]["terms"]), (&terms, &terms));
    let refused = machine.types("create --principal ann --meta a=\u{e9}").await.unwrap_err();
    assert!(refused.contains("metadata: `a`: printable ASCII"), "{refused}");
    assert!(machine.types("create --principal ann --meta plan").await.unwrap_err().contains("NAME=VALUE"));
}

#[tokio::test]
async fn a_key_is_made_listed_rotated_and_revoked() {
    let machine = Machine::new().await;
    let (out, notes) = machine.types("create --principal ann --name ci --scopes orders:read,orders:write --expires-in 30d").await.unwrap();
    assert!(out.contains("gpk_") && out.contains("scopes   orders:read orders:write") && notes.contains("next start"), "{out}{notes}");
    let made = machine.json(&format!("create --principal {} --json", machine.owner)).await;
    assert_eq!((&made["key"]["scopes"], &made["key"]["expires_at"]), (&json!(["orders:*"]), &Value::Null));
    let list = machine.json("list --json --principal ANN").await;
    assert_eq!(
        (list["keys"].as_array().unwrap().len(), &list["keys"][0]["name"], &list["keys"][0]["owner"]),
        (2, &json!("ci"), &json!("ann"))
    );
    assert_eq!(list["keys"][0]["expires_at"].as_u64().unwrap() - list["keys"][0]["created_at"].as_u64().unwrap(), 30 * 24 * 3600);
    let id = made["key"]["id"].as_str().unwrap();
    assert!(machine.types("list").await.unwrap().0.contains(id));
    let rotated = machine.json(&format!("rotate {id} --grace 1h --json")).await;
    assert_eq!(rotated["key"]["id"], made["key"]["id"]);
    assert_ne!(rotated["api_key"], made["api_key"]);
    machine.types(&format!("revoke {id}")).await.unwrap();
    assert_eq!(machine.types(&format!("revoke {id}")).await.unwrap_err(), "there is no such key");
    assert_eq!(machine.json("list --json").await["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_running_server_hears_of_it() {
    let machine = Machine::new().await;
    assert!(!machine.database.is_served().await.unwrap());
    let server = machine.serve().await;
    assert!(machine.database.is_served().await.unwrap());
    let (out, notes) = machine.types("create --principal ann --json").await.unwrap();
    assert_eq!(notes, "applied\n");
    let made: Value = serde_json::from_str(&out).unwrap();
    let key: Id = made["key"]["id"].as_str().unwrap().parse().unwrap();
    let ended = async || server.look_up(Ask::Key(key)).await.unwrap().and_then(|fill| fill.key).map(|(_, key)| key.ended);
    assert_eq!(ended().await, Some(false));
    assert_eq!(machine.types(&format!("revoke {key}")).await.unwrap().1, "applied\n");
    assert_ne!(ended().await, Some(false));
}

#[tokio::test]
async fn the_rules_are_those_of_the_admin_listener() {
    let machine = Machine::new().await;
    let wrong = async |line: &str, part: &str| {
        let problem = machine.types(line).await.unwrap_err();
        assert!(problem.contains(part), "{line}: {problem}");
    };
    wrong("create --principal ann --scopes users:read", "does not hold `users:read`").await;
    wrong("create --principal nobody", "there is no principal `nobody`").await;
    wrong(&format!("create --principal {}", "0".repeat(32)), "unknown, ended or blocked").await;
    wrong("create --principal ann --expires-in 0s", "expires-in: 1 to").await;
    wrong("create --principal ann --scopes a..b:", "is not a scope").await;
    wrong("create", "--principal").await;
    wrong(&format!("rotate {}", "0".repeat(32)), "there is no such key").await;
    wrong(&format!("rotate {} --grace 8d", "0".repeat(32)), "grace: at most").await;
    wrong("revoke x", "32 lower-case hex digits").await;
}

#[tokio::test]
async fn no_database_is_made_here() {
    let mut machine = Machine::new().await;
    machine.config.data = machine.config.data.join("elsewhere");
    assert!(machine.types("list").await.unwrap_err().contains("there is no database at"));
    assert!(!machine.config.data.exists());
}

impl Machine {
    fn file(&self, lines: &[&str]) -> String {
        let path = self._data.path().join("keys.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        path.display().to_string()
    }

    /// The command's own words, and the error it ends with.
    async fn imports(&self, lines: &[&str]) -> (String, Result<String, String>) {
        let typed = Typed::try_parse_from(["keys", "import", &self.file(lines)]).unwrap();
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let result = answer(typed.command, &self.config, &mut out, &mut notes).await;
        (String::from_utf8(notes).unwrap(), result.map(|()| String::from_utf8(out).unwrap()))
    }
}

const TILL: &str = r#"{"key": "sk_live_0123456789abcdef", "owner": "ann", "scopes": ["orders:read"], "name": "till 7",
    "expires_at": "2999-01-31T00:00:00Z", "external_id": "cus_1", "metadata": {"plan": "gold"},
    "limit": {"rate": "100/s", "burst": 200, "quota": "9/day", "per": "principal"}, "networks": ["10.0.0.0/8", "::1"]}"#;

#[tokio::test]
async fn keys_are_imported_once() {
    let machine = Machine::new().await;
    let till = TILL.replace('\n', " ");
    let hash = crate::id::hex(&crate::token::secret::sha256(b"another key of the old days"));
    let hashed = format!(
        r#"{{"sha256": "{}", "owner": "{}", "scopes": ["orders:*"], "expires_at": 32500000000}}"#,
        hash.to_uppercase(),
        machine.owner
    );
    let file = machine.file(&[&till, "", &hashed]);
    let checked = machine.types(&format!("import {file} --check")).await.unwrap();
    assert_eq!(checked.0, "2 keys can be imported, 0 are there already\n");
    assert_eq!(machine.json("list --json").await["keys"], json!([]));
    let (out, notes) = machine.types(&format!("import {file}")).await.unwrap();
    assert_eq!(out, "imported 2 keys, left alone 0 that were there already\n");
    assert!(notes.contains("next start"), "{notes}");
    let list = machine.json("list --json --imported --unused").await;
    let key = list["keys"].as_array().unwrap().iter().find(|key| key["name"] == "till 7").unwrap().clone();
    assert_eq!((&key["scopes"], &key["imported"], &key["last_used_at"]), (&json!(["orders:read"]), &json!(true), &Value::Null));
    let limit = json!({ "rate": "100/s", "burst": 200, "quota": "9/day", "per": "principal" });
    let networks = json!(["10.0.0.0/8", "::1/128"]);
    assert_eq!(key["terms"], json!({ "external_id": "cus_1", "metadata": { "plan": "gold" }, "networks": networks, "limit": limit }));
    assert_eq!(key["expires_at"], json!(32_474_736_000_u64));
    // ended, it stays so; and what was made here is not imported
    machine.types(&format!("revoke {}", key["id"].as_str().unwrap())).await.unwrap();
    machine.types("create --principal ann").await.unwrap();
    let (out, _) = machine.types(&format!("import {file}")).await.unwrap();
    assert_eq!(out, "imported 0 keys, left alone 2 that were there already\n");
    assert_eq!(machine.json("list --json --imported").await["keys"].as_array().unwrap().len(), 1);
    assert_eq!(machine.json("list --json").await["keys"].as_array().unwrap().len(), 2);
    let id: Id = list["keys"][0]["id"].as_str().unwrap().parse().unwrap();
    machine.database.keys_used([(id, machine.database.clock().now())]).await.unwrap();
    let unused = machine.json("list --json --imported --unused").await;
    assert!(!unused.to_string().contains(&id.to_string()), "{unused}");
}

#[tokio::test]
async fn every_mistake_is_told_before_anything_is_written() {
    let machine = Machine::new().await;
    let till = TILL.replace('\n', " ");
    let made = machine.json("create --principal ann --json").await["api_key"].as_str().unwrap().to_owned();
    let ours = format!(r#"{{"key": "{made}", "owner": "ann", "scopes": []}}"#);
    let lines = [
        till.as_str(),
        "a_secret_that_was_pasted",
        r#"{"sha256": "a_secret_that_was_pasted", "owner": "ann", "scopes": []}"#,
        r#"{"key": "short_secret", "owner": "ann", "scopes": []}"#,
        r#"{"key": "sk_live_0123456789abcdef", "sha256": "", "owner": "ann", "scopes": []}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "nobody", "scopes": ["orders:read"]}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": ["users:read"]}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": ["a b"], "expires_at": "tomorrow"}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": [], "expires_at": 1600000000, "name": "a\u0000"}"#,
        till.as_str(),
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": [], "metadata": {"a b": "c"}}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": [], "scope": "x"}"#,
        r#"{"key": 7123456, "owner": "ann", "scopes": []}"#,
        r#"{"key": "sk_live_0123456789abcdee", "scopes": []}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann"}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": []} {}"#,
        ours.as_str(),
        r#"{"key": "gpk_0123456789abcdef", "owner": "ann", "scopes": []}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": [], "limit": {"rate": "fast"}}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": [], "limit": "a_secret_that_was_pasted"}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": [], "limit": {"rates": "1/s"}}"#,
        r#"{"key": "sk_live_0123456789abcdee", "owner": "ann", "scopes": [], "networks": ["a_secret_that_was_pasted"]}"#,
    ];
    let (told, result) = machine.imports(&lines).await;
    assert_eq!(result.unwrap_err(), "23 mistakes: nothing was imported", "{told}");
    for wanted in [
        ":2: not a JSON object",
        ":3: sha256: not 64 hex digits",
        ":4: key: 16 to 512 visible ASCII characters",
        ":5: sha256: write this, or `key`",
        ":6: owner: there is no principal `nobody`",
        ":7: scopes: the owner does not hold `users:read`",
        ":8: scopes: `a b` is not a scope",
        ":8: expires_at: neither Unix seconds",
        ":9: expires_at: has passed",
        ":9: name: at most 100 characters",
        ":10: the same key as in line 1",
        ":11: metadata: a name is",
        ":12: scope: unknown field",
        ":13: key: not a text",
        ":14: missing field `owner`",
        ":15: missing field `scopes`",
        ":16: something follows",
        ":17: key: was made here",
        ":18: key: begins as keys made here do",
        ":19: limit: `rate`: a number and s, m or h, like 100/s\n",
        ":20: limit: not like {",
        ":21: limit.rates: unknown field",
        ":22: networks: not a list like [",
    ] {
        assert!(told.contains(&format!("keys.jsonl{wanted}")), "{wanted}: {told}");
    }
    for secret in ["a_secret", "short_secret", "sk_live", "7123456", &made[4..]] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    assert_eq!(machine.json("list --json --imported").await["keys"], json!([]));
    assert!(machine.imports(&[]).await.1.unwrap().contains("imported 0 keys"));
}

#[tokio::test]
async fn a_long_file_comes_in_batches_and_a_running_server_hears_of_it() {
    let machine = Machine::new().await;
    let server = machine.serve().await;
    let lines: Vec<String> =
        (0..2500).map(|n| format!(r#"{{"key": "sk_live_{n:016}", "owner": "ann", "scopes": ["orders:read"]}}"#)).collect();
    let (notes, out) = machine.imports(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((out.unwrap().as_str(), notes.contains("applied")), ("imported 2500 keys, left alone 0 that were there already\n", true));
    let mint = SecretMint::new(&machine.database.installation().key_tag);
    for n in [0, 1250, 2499] {
        let key = mint.api_key(&format!("sk_live_{n:016}")).unwrap();
        assert!(server.look_up(Ask::Key(key.id)).await.unwrap().is_some(), "{n}");
    }
    let trail = machine.database.audit(None, None, 100).await.unwrap();
    assert_eq!(trail.iter().filter(|row| row.action == "key_import").count(), 3);
}

#[tokio::test]
async fn keys_begin_as_the_configuration_says() {
    let mut machine = Machine::new().await;
    let old = machine.json("create --principal ann --json").await;
    machine.config.key_prefix = crate::config::KeyPrefix::parse("acme_live_").unwrap();
    let new = machine.json("create --principal ann --json").await;
    let old_rotated = machine.json(&format!("rotate {} --json", old["key"]["id"].as_str().unwrap())).await;
    assert!(old["api_key"].as_str().unwrap().starts_with("gpk_"));
    for made in [&new, &old_rotated] {
        let text = made["api_key"].as_str().unwrap();
        assert!(text.starts_with("acme_live_"), "{text}");
        let read = SecretMint::new(&machine.database.installation().key_tag).api_key(text).unwrap();
        assert_eq!((read.id.to_string(), read.made_elsewhere), (made["key"]["id"].as_str().unwrap().to_owned(), false));
    }
}

#[test]
fn refusals_are_said_in_words() {
    for (refusal, expected) in [
        (Refusal::Forbidden, "refused: forbidden"),
        (Refusal::TooManyTries(Duration::from_secs(7)), "refused: too many tries"),
        (Refusal::InvalidToken, "refused: invalid token"),
        (Refusal::NotFound, "there is no such key"),
    ] {
        assert_eq!(said(&refusal), expected, "{refusal:?}");
    }
}
