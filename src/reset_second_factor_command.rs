//! `gatepost reset-second-factor NAME`: the way back for whoever lost phone and recovery codes and has nobody above, the super admin
//! first of all.
//!
//! It works on the database itself; a running server hears of the ended logins through the outbox.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use crate::accounts::Refusal;
use crate::accounts::second_factor::lost::{letter, reset};
use crate::app::existing_database;
use crate::audit::By;
use crate::config::{Config, StoreConfig};
use crate::database::Database;
use crate::id::Id;
use crate::keys_command::{applied, uid_of};
use crate::senders::{Senders, Settings, Unsent};

/// Let somebody log in who lost phone and recovery codes.
///
/// Takes the second factor away and ends all logins of that person, who is told by mail where a sender is configured and their address is
/// proved. The password, or whatever else they log in by, stays. People who have somebody above ask them instead: the page of people, or
/// DELETE /v1/second-factor/{uid}.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gatepost reset-second-factor ann
  gatepost reset-second-factor ann@example.com")]
pub struct ResetSecondFactorCommand {
    /// User name, e-mail address, phone number or uid.
    name: String,
}

/// Runs the command.
pub async fn run(command: ResetSecondFactorCommand, config: Config) -> ExitCode {
    let (note, code) = match answer(&command.name, config).await {
        Ok(note) => (note, ExitCode::SUCCESS),
        Err(problem) => (format!("gatepost: {problem}"), ExitCode::FAILURE),
    };
    let _ = writeln!(std::io::stderr(), "{note}");
    code
}

async fn answer(name: &str, config: Config) -> Result<String, String> {
    let database = existing_database(&config).await?;
    let uid = uid_of(&database, name).await?;
    let act = database.act().await.map_err(|error| error.to_string())?;
    let act = reset(act, uid, &By::cli()).await.map_err(|refusal| match refusal {
        Refusal::NotFound => format!("`{name}` has no second factor"),
        Refusal::Unavailable(cause) => cause,
        other => format!("refused: {}", crate::admin::in_words(other)),
    })?;
    let embedded = matches!(config.tokens.store, StoreConfig::Embedded);
    let told = tell(&database, uid, config.senders).await;
    Ok(format!(
        "the second factor of `{name}` is reset, and every login of theirs has ended{told}\n{}",
        applied(&database, embedded, act).await?
    ))
}

/// Mails the person; what became of it, as the end of a sentence.
async fn tell(database: &Database, uid: Id, settings: Settings) -> String {
    let ready = Senders::start(settings).map_err(|error| error.to_string());
    let told = async {
        let Some(letters) = ready?.letters() else { return Ok(false) };
        let Some(letter) = letter(database, uid).await.map_err(|error| error.to_string())? else { return Ok(false) };
        let sent = letters.send(&letter).await;
        match sent {
            Ok(()) => Ok(true),
            Err(Unsent::Refused(cause) | Unsent::Failed(cause)) => Err(cause),
        }
    };
    match told.await {
        Ok(true) => "; they are told by mail".to_owned(),
        Ok(false) => String::new(),
        Err(cause) => format!("; the mail to them was not sent: {cause}"),
    }
}
