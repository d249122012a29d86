//! `gatepost create-admin`: the first admin without a browser, or one more for whoever holds the machine.
//!
//! It works on the database itself: before the first start, or beside a running server, which hears of it through the outbox.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::accounts::Refusal;
use crate::accounts::create_admin::{MadeAdmin, Terms, create_admin};
use crate::accounts::names::Name;
use crate::accounts::password::{PASSWORD_BYTES, Password};
use crate::app::open_database;
use crate::config::{Config, Environment, StoreConfig};
use crate::database::NameKind;
use crate::keys_command::applied;
use crate::token::secret::SecretMint;

/// Most of a password file that is read.
const LONGEST: u64 = 4096;

/// Make the first admin of an installation, or one more.
///
/// Where nobody has signed up yet, the new admin founds the installation and is its super admin, exactly as the first sign-up
/// would be; no set-up code is asked for. Later ones are admins below the founder. The uid and an API key are printed, the
/// key this once. Works before the first start and beside a running server.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("name").required(true).args(["user", "email"])),
    after_help = "Examples:
  gatepost create-admin --user ann                          asks for the password
  gatepost create-admin --email ann@example.com --password-file /run/secrets/ann
  pass show gatepost | gatepost create-admin --user ann     reads it from standard input
  ANN=… gatepost create-admin --user ann --password-env ANN --json"
)]
pub struct CreateAdminCommand {
    /// User name: a-z, 0-9, `.`, `_`, `-`, at most 64.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// E-mail address, in place of a user name.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Read the password from the first line of this file; `-` = standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "password_env")]
    password_file: Option<PathBuf>,
    /// Read the password from this environment variable.
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(command: CreateAdminCommand, config: &Config, environment: &Environment) -> ExitCode {
    let said = |text: &str| {
        let _ = writeln!(std::io::stderr(), "{text}");
    };
    match answer(command, config, environment, &mut std::io::stdout()).await {
        Ok(note) => {
            said(&note);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            said(&format!("gatepost: {problem}"));
            ExitCode::FAILURE
        }
    }
}

async fn answer(
    command: CreateAdminCommand,
    config: &Config,
    environment: &Environment,
    out: &mut (dyn Write + Send),
) -> Result<String, String> {
    let said = |refusal: Refusal| said(&refusal, config.accounts.password_min_length);
    let named =
        command.user.as_deref().map(|user| (NameKind::User, user)).or(command.email.as_deref().map(|email| (NameKind::Email, email)));
    let (kind, text) = named.ok_or("name the admin with --user or --email")?;
    // what is wrong with the name is said before a password is asked for
    let name = Name::given(kind, text).and_then(Name::checked).map_err(said)?;
    let password = Password::new("password", &password(&command, environment)?).map_err(said)?;
    let database = open_database(config).await.map_err(|error| error.to_string())?;
    let mint = SecretMint::new(&database.installation().key_tag).with_prefix(config.key_prefix.clone());
    let terms = Terms {
        direct_scopes: config.accounts.direct_scopes.clone(),
        require_phone: config.accounts.require_phone,
        password_min_length: config.accounts.password_min_length,
    };
    let (made, act) = create_admin(&database, &mint, &terms, name, password).await.map_err(said)?;
    out.write_all(shown(&made, command.json).as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    Ok(applied(&database, matches!(config.tokens.store, StoreConfig::Embedded), act).await?.to_owned())
}

fn shown(made: &MadeAdmin, as_json: bool) -> String {
    let api_key = made.api_key.as_ref().map(|api_key| api_key.reveal());
    let role = if made.founder { "super_admin" } else { "admin" };
    if as_json {
        return format!("{:#}\n", json!({ "uid": made.uid, "role": role, "api_key": api_key }));
    }
    let standing = if made.founder { "super admin, founder of the installation" } else { "admin" };
    match api_key {
        Some(api_key) => format!("uid      {}\nrole     {standing}\nAPI key  {api_key}\n\nThe API key is shown this once.\n", made.uid),
        None => {
            format!("uid      {}\nrole     {standing}\n\nNo API key before a phone number is proved (accounts.require_phone).\n", made.uid)
        }
    }
}

/// The password, from where it was said to be.
fn password(command: &CreateAdminCommand, environment: &Environment) -> Result<String, String> {
    if let Some(name) = &command.password_env {
        return environment.get(name).map(str::to_owned).ok_or_else(|| format!("the environment variable `{name}` is not set"));
    }
    match &command.password_file {
        Some(path) if path.as_os_str() != "-" => {
            let file = std::fs::File::open(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
            first_line(file).map_err(|error| format!("`{}`: {error}", path.display()))
        }
        None if std::io::stdin().is_terminal() => {
            let first = ask("password: ")?;
            if ask("once more: ")? == first { Ok(first) } else { Err("the two passwords differ; nothing was made".to_owned()) }
        }
        _ => first_line(std::io::stdin().lock()).map_err(|error| format!("standard input: {error}")),
    }
}

/// The first line, which is a secret.
pub(crate) fn first_line(from: impl Read) -> Result<String, String> {
    let mut text = String::new();
    from.take(LONGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err("no password on its first line".to_owned()),
    }
}

/// Asks on the terminal, which shows nothing of what is typed.
pub(crate) fn ask(question: &str) -> Result<String, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("the terminal cannot be asked: {error}; give --password-file or --password-env");
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(|error| wrong(&error))?;
    let mut silent = before.clone();
    silent.local_modes -= LocalModes::ECHO;
    silent.local_modes |= LocalModes::ECHONL;
    let mut out = std::io::stderr();
    // silent before it asks: a quick answer is neither shown nor thrown away
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(|error| wrong(&error))?;
    let asked = out.write_all(question.as_bytes()).and_then(|()| out.flush());
    let mut line = String::new();
    let read = asked.and_then(|()| stdin.lock().take(LONGEST).read_line(&mut line));
    let back = tcsetattr(&stdin, OptionalActions::Now, &before);
    read.map_err(|error| wrong(&error))?;
    back.map_err(|error| wrong(&error))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// What a refusal says to someone at the command line.
fn said(refusal: &Refusal, least: usize) -> String {
    match refusal {
        Refusal::Field { field, problem } => format!("{field}: {problem}"),
        Refusal::WeakPassword => {
            format!("weak password: at least {least} characters and at most {PASSWORD_BYTES} bytes, and none that is well known")
        }
        Refusal::UserExists => "somebody has or had that name already; names are never given again".to_owned(),
        Refusal::Forbidden => "the founder is blocked: nobody can stand below".to_owned(),
        Refusal::Unavailable(cause) => cause.clone(),
        other => format!("refused: {}", crate::admin::in_words(other.clone())),
    }
}

#[cfg(test)]
mod tests;
