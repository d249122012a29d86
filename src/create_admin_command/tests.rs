//! The command before the first start, and once somebody has founded.

use clap::Parser;

use super::*;
use crate::accounts::standing;
use crate::clock::Clock;
use crate::config::Environment;
use crate::database::Database;
use crate::token::record::Role;

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    command: CreateAdminCommand,
}

struct Machine {
    config: Config,
    data: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = crate::config::file::load(None, &Environment::default().in_directory(data.path())).unwrap().config;
        config.data = data.path().join("data");
        std::fs::write(data.path().join("password"), "seven green bicycles\nnot this line\n").unwrap();
        Self { config, data }
    }

    async fn types(&self, line: &str) -> Result<(String, String), String> {
        let line = line.replace("PASSWORD", &self.data.path().join("password").display().to_string());
        let typed = Typed::try_parse_from(std::iter::once("create-admin").chain(line.split(' '))).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        let environment = Environment::new([("ANN".to_owned(), "seven green bicycles".to_owned())]);
        let note = answer(typed.command, &self.config, &environment, &mut out).await?;
        Ok((String::from_utf8(out).unwrap(), note))
    }

    async fn role(&self, uid: &str) -> (Role, Option<crate::id::Id>, String) {
        let database = Database::open_sqlite(&self.config.data.join("gatepost.db"), Clock::system()).await.unwrap();
        let standing = standing::of_principal(&database, uid.parse().unwrap()).await.unwrap().unwrap();
        (standing.subject.role, standing.subject.up, standing.grant.effective(&[]).to_string())
    }
}

#[tokio::test]
async fn the_first_founds_and_the_next_stands_below() {
    let machine = Machine::new();
    let (out, note) = machine.types("--user Ann --password-file PASSWORD --json").await.unwrap();
    let ann: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(
        ann["role"] == "super_admin" && ann["api_key"].as_str().unwrap().starts_with("gpk_") && note.contains("next start"),
        "{out}{note}"
    );
    let (out, _) = machine.types("--email bob@example.com --password-file PASSWORD").await.unwrap();
    assert!(out.contains("role     admin\n") && out.contains("gpk_") && out.contains("shown this once"), "{out}");
    let bob = out.lines().next().unwrap().trim_start_matches("uid").trim().to_owned();
    let (role, up, scopes) = machine.role(&bob).await;
    assert_eq!((role, up.map(|up| up.to_string()).as_deref(), scopes.as_str()), (Role::Admin, ann["uid"].as_str(), "*"));
    assert_eq!(machine.role(ann["uid"].as_str().unwrap()).await.0, Role::SuperAdmin);
}

#[tokio::test]
async fn what_is_refused_says_what_to_do() {
    let machine = Machine::new();
    machine.types("--user ann --password-env ANN").await.unwrap();
    for (line, expected) in [
        ("--user ann --password-file PASSWORD", "never given again"),
        ("--user a/b --password-file PASSWORD", "user: 1 to 64"),
        ("--email ann --password-file PASSWORD", "email: not an e-mail address"),
        ("--user bob --password-file nowhere", "`nowhere` cannot be read"),
        ("--user bob --password-file /dev/null", "no password on its first line"),
        ("--user bob --password-env NOT_SET_ANYWHERE", "`NOT_SET_ANYWHERE` is not set"),
        ("--password-file PASSWORD", "--user"),
        ("--user bob --email bob@example.com", "cannot be used with"),
    ] {
        let error = machine.types(line).await.unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
    std::fs::write(machine.data.path().join("password"), "short").unwrap();
    assert!(machine.types("--user bob --password-file PASSWORD").await.unwrap_err().contains("weak password: at least 15"));
}
