//! `gatepost apply DIR`: tenants, policies, principals and keys as files declare them.
//!
//! It works on the database itself; a running server hears of each change through the outbox.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::accounts::declared::{Applied, ApplyError, Mode, apply};
use crate::app::existing_database;
use crate::config::{self, BAD_CONFIGURATION, Config, StoreConfig};
use crate::keys_command::applied;

/// Make tenants, policies, principals and keys what files declare.
///
/// Reads every *.yaml of a directory and shows what differs: + made, ~ changed, - declared once and no more. Whatever people or other
/// programs made is never touched, and where one thing cannot be made so nothing is. Keys are declared by their hash: `gatepost keys
/// declare` makes one and prints its entry.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gatepost apply people/                show what differs, and make it so; what vanished from the files stays
  gatepost apply people/ --check        change nothing; exit 1 where anything differs
  gatepost apply people/ --prune        also end what was declared once and is no more

A file:
  tenants:
    - { name: acme }
  policies:
    - { tenant: acme, name: readers, allow: [orders:read], limit: { rate: 100/s, quota: 10000/day } }
  principals:                           # tenant: one of these files, or the id of any; without it, the founder's
    - { tenant: acme, user: acme-ops, email: ops@acme.example, role: admin, scopes: [orders:*] }
    - { tenant: acme, user: acme-ci, role: client, below: acme-ops, policies: [readers] }
  keys:
    - { id: …, hash: …, principal: acme-ci, name: nightly, scopes: [orders:read] }")]
pub struct ApplyCommand {
    /// The directory.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Change nothing; exit 1 where anything differs.
    #[arg(long, conflicts_with = "prune")]
    check: bool,
    /// End what was declared once and is no more. Tenants are blocked.
    #[arg(long)]
    prune: bool,
}

/// Runs the command.
pub async fn run(command: ApplyCommand, config: &Config) -> ExitCode {
    let (text, note, code) = answer(command, config).await;
    let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
    let _ = std::io::stderr().write_all(note.as_bytes());
    code
}

/// What to print, what to say, and how to end.
async fn answer(command: ApplyCommand, config: &Config) -> (String, String, ExitCode) {
    let failed = |problem: &dyn std::fmt::Display| (String::new(), format!("gatepost: {problem}\n"), ExitCode::FAILURE);
    let declared = match config::declared::load(&command.folder) {
        Ok(declared) => declared,
        Err(problems) => {
            let text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            return (String::new(), text, ExitCode::from(BAD_CONFIGURATION));
        }
    };
    let database = match existing_database(config).await {
        Ok(database) => database,
        Err(problem) => return failed(&problem),
    };
    let mode = match (command.check, command.prune) {
        (true, _) => Mode::Check,
        (false, true) => Mode::Prune,
        (false, false) => Mode::Apply,
    };
    let Applied { differences, committed } = match apply(&database, &declared, mode).await {
        Ok(applied) => applied,
        Err(error @ ApplyError::Declaration { .. }) => return failed(&format!("{error}\nnothing was changed")),
        Err(error) => return failed(&error),
    };
    let text: String = differences.iter().map(|difference| format!("{difference}\n")).collect();
    if differences.is_empty() {
        return (text, "nothing differs\n".to_owned(), ExitCode::SUCCESS);
    }
    if mode == Mode::Check {
        return (text, "nothing was changed\n".to_owned(), ExitCode::FAILURE);
    }
    let note = match committed {
        None => "nothing was changed".to_owned(),
        Some(act) => match applied(&database, matches!(config.tokens.store, StoreConfig::Embedded), act).await {
            Ok(note) => note.to_owned(),
            Err(problem) => return (text, format!("gatepost: {problem}\n"), ExitCode::FAILURE),
        },
    };
    (text, format!("{note}\n"), ExitCode::SUCCESS)
}
