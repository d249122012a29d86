//! From one machine to another, and everything that must be refused.

use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value as Json, json};

use super::export::{ExportCommand, export};
use super::import::import;
use crate::args::{Arguments, Command, ImportCommand};
use crate::config::{Config, Environment};
use crate::database::Database;

struct Machine {
    config: Config,
    data: tempfile::TempDir,
}

impl Machine {
    /// With secret keys and nothing else.
    fn new(secret_key: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = crate::config::file::load(None, &Environment::default().in_directory(data.path())).unwrap().config;
        config.data = data.path().join("data");
        std::fs::create_dir(&config.data).unwrap();
        std::fs::write(config.data.join("gatepost.key"), secret_key.repeat(32)).unwrap();
        Self { config, data }
    }

    async fn database(&self) -> Database {
        crate::app::open_database(&self.config).await.unwrap()
    }

    /// With an admin and a key.
    async fn founded() -> Self {
        let machine = Self::new("5e");
        let database = machine.database().await;
        database
            .run_in_test(&[
                "INSERT INTO tenants (id, name, created_at, changed_at) VALUES ('10', 'acme', 1, 1)".to_owned(),
                "INSERT INTO principals (uid, tenant, role, user_name, scopes, created_at, changed_at)
                 VALUES ('11', '10', 'admin', 'ann', '*', 1, 1)"
                    .to_owned(),
                r#"INSERT INTO api_keys (id, principal, name, scopes, created_at, changed_at, terms)
                 VALUES ('12', '11', 'k', '*', 1, 1, '{"external_id":"cus_1"}')"#
                    .to_owned(),
            ])
            .await;
        machine
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    async fn export(&self, name: &str) -> Result<Vec<String>, String> {
        export(&self.file(name), &self.config).await.map_err(|error| error.to_string())?;
        Ok(std::fs::read_to_string(self.file(name)).unwrap().lines().map(str::to_owned).collect())
    }

    async fn import(&self, lines: &[String]) -> Result<String, String> {
        self.import_text(&(lines.join("\n") + "\n")).await
    }

    async fn import_text(&self, text: &str) -> Result<String, String> {
        let file = self.file("copy");
        std::fs::write(&file, text).unwrap();
        import(&file, false, &self.config).await.map_err(|error| error.to_string())
    }

    async fn is_empty(&self) -> bool {
        self.database().await.fill().await.unwrap().occupied().await.unwrap().is_none()
    }
}

#[tokio::test]
async fn a_copy_goes_over_once_and_comes_out_as_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let (one, two) = (Machine::founded().await, Machine::new("5e"));
    let lines = one.export("first").await.unwrap();
    assert_eq!(std::fs::metadata(one.file("first")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = one.export("first").await.unwrap_err();
    assert!(again.contains("is there already"), "{again}");
    let header: Json = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (&header["gatepost_export"], &header["engine"], &header["store"], &header["version"]),
        (&json!(1), &json!("SQLite"), &json!("embedded"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert!(!lines.iter().any(|line| line.contains(&"5e".repeat(32))), "no secret key is in it");
    assert!(lines.iter().any(|line| line.contains("cus_1")), "what is agreed goes over");
    let said = two.import(&lines).await.unwrap();
    assert!(said.contains(&format!("imported {} rows", rows(&lines))), "{said}");
    let there = two.export("second").await.unwrap();
    let without_import =
        |lines: &[String]| lines.iter().filter(|line| line.starts_with('[') && !line.contains("\"import\"")).cloned().collect::<Vec<_>>();
    assert_eq!(without_import(&there), without_import(&lines));
    assert_eq!(rows(&there), rows(&lines) + 1, "the import is in the audit trail");
    let twice = two.import(&lines).await.unwrap_err();
    assert!(twice.contains("takes an empty database") && twice.contains("move `"), "{twice}");
}

fn rows(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.starts_with('[')).count()
}

#[tokio::test]
async fn what_was_cut_off_or_changed_is_refused_and_leaves_nothing() {
    let lines = Machine::founded().await.export("copy").await.unwrap();
    let two = Machine::new("5e");
    let row = lines.iter().position(|line| line.contains("acme")).unwrap();
    let mut cases: Vec<(&str, Vec<String>)> = vec![
        ("before its last line", lines[..lines.len() - 1].to_vec()),
        ("before its last line", lines[..=row].to_vec()),
        ("first line is no header", lines[1..].to_vec()),
        ("something follows", lines.iter().cloned().chain(["[]".to_owned()]).collect()),
    ];
    let with =
        |n: usize, text: String| lines.iter().enumerate().map(|(k, line)| if k == n { text.clone() } else { line.clone() }).collect();
    cases.push(("the copy is damaged", with(row, lines[row].replace("acme", "Acme"))));
    cases.push(("does not fit its table", with(row, "[1]".to_owned())));
    cases.push(("cannot hold this", with(row, lines[row].replace("\"acme\"", "7"))));
    cases.push(("column `colour` of `tenants` is not known", with(row - 1, lines[row - 1].replace("\"name\"", "\"colour\""))));
    cases.push(("table `pets` is not known", with(row - 1, lines[row - 1].replace("tenants", "pets"))));
    let without: Vec<String> = lines.iter().enumerate().filter(|(n, _)| *n != row).map(|(_, line)| line.clone()).collect();
    cases.push(("line", without));
    for (problem, lines) in cases {
        let error = two.import(&lines).await.unwrap_err();
        assert!(error.contains(problem), "{problem}: {error}");
        assert!(two.is_empty().await, "{problem}");
    }
    let text = lines.join("\n") + "\n";
    let error = two.import_text(&text[..text.len() / 2]).await.unwrap_err();
    assert!(error.contains("cut off"), "{error}");
    let error = two.import_text("").await.unwrap_err();
    assert!(error.contains("no header"), "{error}");
    two.import(&lines).await.unwrap();
}

#[tokio::test]
async fn what_a_newer_gatepost_made_is_refused_by_name() {
    let lines = Machine::founded().await.export("copy").await.unwrap();
    let two = Machine::new("5e");
    for (field, value) in [("gatepost_export", 2), ("schema", 99)] {
        let mut header: Json = serde_json::from_str(&lines[0]).unwrap();
        header[field] = json!(value);
        header["version"] = json!("7.1.0");
        let newer: Vec<String> = std::iter::once(header.to_string()).chain(lines[1..].iter().cloned()).collect();
        let error = two.import(&newer).await.unwrap_err();
        assert!(error.contains("made by gatepost 7.1.0") && error.contains("import it with 7.1.0 or newer"), "{error}");
        assert!(two.is_empty().await);
    }
}

#[tokio::test]
async fn other_secret_keys_are_noticed() {
    let one = Machine::founded().await;
    let lines = one.export("copy").await.unwrap();
    let two = Machine::new("6f");
    let error = two.import(&lines).await.unwrap_err();
    assert!(error.contains("is not among those configured") && error.contains("--other-secret-keys"), "{error}");
    std::fs::remove_file(two.config.data.join("gatepost.key")).unwrap();
    let error = two.import(&lines).await.unwrap_err();
    assert!(error.contains("copy the secret key file"), "{error}");
    assert!(two.is_empty().await);
    import(&two.file("copy"), true, &two.config).await.unwrap();
    assert!(!two.is_empty().await);
    // one more than is needed does no harm
    let three = Machine::new("5e");
    std::fs::write(three.config.data.join("gatepost.key"), format!("{}\n{}\n", "6f".repeat(32), "5e".repeat(32))).unwrap();
    three.import(&lines).await.unwrap();
}

#[tokio::test]
async fn nobody_serves_meanwhile() {
    let lines = Machine::founded().await.export("copy").await.unwrap();
    let two = Machine::new("5e");
    let database = two.database().await;
    let lock = database.lock().await.unwrap();
    let error = two.import(&lines).await.unwrap_err();
    assert!(error.contains("another gatepost serves"), "{error}");
    drop(lock);
    two.import(&lines).await.unwrap();
}

#[test]
fn how_it_is_typed() {
    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        _export: ExportCommand,
    }
    assert!(Typed::try_parse_from(["export"]).is_err());
    assert!(Typed::try_parse_from(["export", "-"]).is_ok());
    let import = |line: &str| Arguments::try_parse_from(format!("gatepost import{line}").split(' '));
    assert!(import("").is_err(), "no file");
    let Ok(Arguments { command: Some(Command::Import(ImportCommand { from: Some(_), .. })), .. }) = import(" openapi api.yaml") else {
        panic!("not a copy");
    };
    for line in [" copy.jsonl", " -", " copy.jsonl --other-secret-keys", " --config there.yaml copy.jsonl"] {
        let Ok(Arguments { command: Some(Command::Import(ImportCommand { from: None, .. })), .. }) = import(line) else { panic!("{line}") };
    }
}
