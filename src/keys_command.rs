//! `gatepost keys create|declare|import|list|rotate|revoke`: the rules of API keys, on the database itself.
//!
//! Who may run this may read the database file, so it reaches everyone's keys. A running server hears
//! of each change through the outbox; the command waits for that, or says when it will be.

mod arguments;
mod import;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

pub use arguments::KeysCommand;
use arguments::{Create, Declare, KeysAct, List};

use crate::accounts::keys::{Keys, NewKey, Reach};
use crate::accounts::names::Name;
use crate::accounts::standing::{self, Standing};
use crate::accounts::{Refusal, RequirePhone};
use crate::app::existing_database;
use crate::audit::By;
use crate::clock::UnixMs;
use crate::config::{Config, StoreConfig};
use crate::database::{Committed, Database, KeyRow, Page, WhichKeys};
use crate::id::{Id, hex};
use crate::token::secret::{PlainSecret, SecretKind, SecretMint};
use crate::token::terms::Terms;

/// How long a running server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Rows read at once.
const PORTION: u32 = 500;

/// Runs the command.
pub async fn run(command: KeysCommand, config: &Config) -> ExitCode {
    match answer(command, config, &mut std::io::stdout(), &mut std::io::stderr()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "gatepost: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn answer(command: KeysCommand, config: &Config, out: Out<'_>, notes: Out<'_>) -> Result<(), String> {
    let database = existing_database(config).await?;
    let command_line = CommandLine {
        mint: SecretMint::new(&database.installation().key_tag).with_prefix(config.key_prefix.clone()),
        require_phone: config.accounts.require_phone,
        embedded: matches!(config.tokens.store, StoreConfig::Embedded),
        database: &database,
        out,
        notes,
    };
    command_line.run(command.act).await
}

/// Where text goes.
type Out<'a> = &'a mut (dyn Write + Send);

struct CommandLine<'a> {
    database: &'a Database,
    mint: SecretMint,
    require_phone: RequirePhone,
    embedded: bool,
    /// What was asked for.
    out: Out<'a>,
    /// What became of it.
    notes: Out<'a>,
}

impl CommandLine<'_> {
    fn keys(&self) -> Keys<'_> {
        Keys { database: self.database, mint: &self.mint, require_phone: self.require_phone, session: None }
    }

    async fn run(mut self, act: KeysAct) -> Result<(), String> {
        match act {
            KeysAct::Create(create) => self.create(create).await,
            KeysAct::Declare(declare) => self.declare(&declare),
            KeysAct::Import(import) => self.import(&import).await,
            KeysAct::List(list) => self.list(list).await,
            KeysAct::Rotate(rotate) => {
                let made = self.keys().rotate(&By::cli(), Reach::Everyone, rotate.id, rotate.grace).await;
                let (key, secret, act) = made.map_err(|refusal| said(&refusal))?;
                self.show(&key, &secret, rotate.json)?;
                self.wait(act).await
            }
            KeysAct::Revoke(revoke) => {
                let act = self.keys().end(&By::cli(), Reach::Everyone, revoke.id).await.map_err(|refusal| said(&refusal))?;
                self.print(&format!("revoked {}\n", revoke.id))?;
                self.wait(act).await
            }
        }
    }

    async fn create(&mut self, create: Create) -> Result<(), String> {
        let owner = self.principal(&create.principal).await?;
        let naming = Terms::naming(create.external_id, create.meta.into_iter().collect());
        let new = NewKey {
            name: create.name,
            scopes: create.scopes,
            expires_in: create.expires_in,
            terms: Terms { networks: create.networks, ..naming },
        };
        let (key, secret, act) = self.keys().create(&By::cli(), Reach::Everyone, &owner, new).await.map_err(|refusal| said(&refusal))?;
        self.show(&key, &secret, create.json)?;
        self.wait(act).await
    }

    /// The entry goes to standard output, so that it can be redirected into a file; the key itself beside it.
    fn declare(&mut self, declare: &Declare) -> Result<(), String> {
        let randomness = |_| "the system gave no randomness".to_owned();
        let secret = Id::random().and_then(|id| self.mint.make(SecretKind::ApiKey, id)).map_err(randomness)?;
        let scopes = declare.scopes.iter().map(|scope| format!("'{scope}'")).collect::<Vec<_>>().join(", ");
        let (principal, name) = (json!(declare.principal), json!(declare.name));
        let (id, hash) = (secret.id(), hex(&secret.hashed()));
        self.print(&format!("- {{ id: '{id}', hash: '{hash}', principal: {principal}, name: {name}, scopes: [{scopes}] }}\n"))?;
        self.note(&format!("API key  {}\n\nThe API key is shown this once, and is good once the entry is applied.", secret.reveal()))
    }

    async fn list(&mut self, list: List) -> Result<(), String> {
        let of = match &list.principal {
            Some(name) => Some(uid_of(self.database, name).await?),
            None => None,
        };
        let which = WhichKeys { of, imported: list.imported, unused: list.unused };
        let (mut keys, mut owners) = (Vec::new(), HashMap::new());
        let mut page = Page { after: None, limit: PORTION };
        loop {
            let rows = self.database.keys_of(which, page).await.map_err(|e| e.to_string())?;
            page.after = rows.last().map(|row| (row.created_at, row.id));
            let is_last = rows.len() < PORTION as usize;
            for row in rows {
                if let Entry::Vacant(unread) = owners.entry(row.principal) {
                    let name = self.database.shown_name(row.principal).await.map_err(|e| e.to_string())?;
                    unread.insert(name.unwrap_or_default());
                }
                let owner = owners.get(&row.principal).cloned().unwrap_or_default();
                keys.push((row, owner));
            }
            if is_last {
                break;
            }
        }
        if list.json {
            let keys: Vec<Value> = keys.iter().map(|(key, owner)| json_of(key, Some(owner))).collect();
            return self.print(&format!("{:#}\n", json!({ "keys": keys })));
        }
        let mut text = format!("{:<32}  {:<20}  {:<20}  {:<20}  {:<20}  SCOPES\n", "ID", "OWNER", "NAME", "CREATED", "EXPIRES");
        for (key, owner) in &keys {
            let expires = key.expires_at.map_or_else(|| "-".to_owned(), UnixMs::rfc3339);
            text.push_str(&format!(
                "{}  {:<20}  {:<20}  {:<20}  {:<20}  {}\n",
                key.id,
                owner,
                key.name,
                key.created_at.rfc3339(),
                expires,
                key.scopes
            ));
        }
        self.print(&text)
    }

    async fn principal(&self, name: &str) -> Result<Standing, String> {
        let uid = uid_of(self.database, name).await?;
        let standing = standing::of_principal(self.database, uid).await.map_err(|e| e.to_string())?;
        standing.ok_or_else(|| format!("principal `{name}` is unknown, ended or blocked"))
    }

    fn show(&mut self, key: &KeyRow, secret: &PlainSecret, as_json: bool) -> Result<(), String> {
        if as_json {
            return self.print(&format!("{:#}\n", json!({ "key": json_of(key, None), "api_key": secret.reveal() })));
        }
        let expires = key.expires_at.map_or_else(|| "never".to_owned(), UnixMs::rfc3339);
        self.print(&format!(
            "id       {}\nname     {}\nscopes   {}\nexpires  {expires}\nAPI key  {}\n\nThe API key is shown this once.\n",
            key.id,
            key.name,
            key.scopes,
            secret.reveal()
        ))
    }

    fn print(&mut self, text: &str) -> Result<(), String> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(|e| e.to_string())
    }

    fn note(&mut self, text: &str) -> Result<(), String> {
        // what is done is done, whether or not anyone hears of it
        let _ = writeln!(self.notes, "{text}");
        Ok(())
    }

    async fn wait(&mut self, act: Committed) -> Result<(), String> {
        if act.until.is_none() {
            return Ok(());
        }
        let note = applied(self.database, self.embedded, act).await?;
        self.note(note)
    }
}

/// The principal of this uid, user name, e-mail address or phone number.
///
/// # Errors
/// Where there is none, or the database cannot be read.
pub(crate) async fn uid_of(database: &Database, name: &str) -> Result<Id, String> {
    if let Ok(uid) = name.parse() {
        return Ok(uid);
    }
    let read = Name::of_basic(name).map_err(|refusal| said(&refusal))?;
    let row = database.login_row(read.kind, &read.text).await.map_err(|e| e.to_string())?;
    row.map(|row| row.uid).ok_or_else(|| format!("there is no principal `{name}`"))
}

/// Waits until a running server has applied the act, or says when it will be.
///
/// # Errors
/// Where the database cannot be read.
pub(crate) async fn applied(database: &Database, embedded: bool, act: Committed) -> Result<&'static str, String> {
    let Some(until) = act.until else { return Ok("applied") };
    if embedded && !database.is_served().await.map_err(|e| e.to_string())? {
        return Ok("no server is running; applied at its next start");
    }
    let mut asked = tokio::time::interval(ASK_EVERY);
    let applied = async {
        loop {
            asked.tick().await;
            if database.is_done(until).await.map_err(|e| e.to_string())? {
                return Ok::<_, String>("applied");
            }
        }
    };
    let later = Ok("saved, not applied yet: it will be as soon as a server reaches its token store");
    tokio::time::timeout(PATIENCE, applied).await.unwrap_or(later)
}

fn json_of(key: &KeyRow, owner: Option<&str>) -> Value {
    json!({
        "id": key.id,
        "principal": key.principal,
        "owner": owner,
        "name": key.name,
        "scopes": key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "created_at": key.created_at.seconds(),
        "expires_at": key.expires_at.map(UnixMs::seconds),
        "last_used_at": key.last_used_at.map(UnixMs::seconds),
        "terms": key.terms,
        "imported": key.imported,
    })
}

/// What a refusal says to someone at the command line.
fn said(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Field { field, problem } => format!("{}: {problem}", field.replace('_', "-")),
        Refusal::ScopeNotHeld(scopes) => {
            let names: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
            format!("the owner does not hold {}", names.join(", "))
        }
        Refusal::NotFound => "there is no such key".to_owned(),
        Refusal::PhoneRequired => "the owner must prove a phone number before it may hold a key (accounts.require_phone)".to_owned(),
        Refusal::Unavailable(cause) => cause.clone(),
        other => format!("refused: {}", crate::admin::in_words(other.clone())),
    }
}

#[cfg(test)]
mod tests;
