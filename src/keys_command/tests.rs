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
