//! `gatepost keys import FILE`: keys that were made elsewhere, one JSON object a line.
//!
//! INVARIANT: nothing is written before every line was found right. Texts and hashes of keys are in no message.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use super::arguments::Import;
use super::{CommandLine, applied, said};
use crate::accounts::Refusal;
use crate::accounts::imports::{ForeignKey, Secret};
use crate::accounts::standing::Standing;
use crate::audit::By;
use crate::clock::{UnixMs, millis};
use crate::database::{Committed, IMPORTED_AT_ONCE, ImportedKey};
use crate::decision::network::Network;
use crate::decision::scopes::ScopeSet;
use crate::id::from_hex;
use crate::token::secret::HashedSecret;
use crate::token::terms::{LimitText, Terms};

/// So many mistakes are told one by one.
const TOLD: usize = 100;
/// After so many batches is told how far it is.
const PROGRESS: usize = 20;
/// After so many lines is told how many were checked.
const CHECKED: usize = 100_000;

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sha256: Option<String>,
    key: Option<String>,
    owner: String,
    scopes: Vec<String>,
    expires_at: Option<End>,
    name: Option<String>,
    external_id: Option<String>,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
    limit: Option<LimitText>,
    #[serde(default)]
    networks: Vec<Network>,
}

/// Unix seconds, or as RFC 3339 writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum End {
    Seconds(u64),
    Text(String),
}

impl End {
    fn read(self) -> Option<UnixMs> {
        match self {
            Self::Seconds(seconds) => seconds.checked_mul(1000).map(UnixMs),
            Self::Text(text) => {
                let since: Duration = humantime::parse_rfc3339(&text).ok()?.duration_since(UNIX_EPOCH).ok()?;
                Some(UnixMs(millis(since)))
            }
        }
    }
}

/// What is wrong with a file.
struct Mistakes<'a> {
    file: &'a Path,
    count: usize,
    told: Vec<String>,
}

impl Mistakes<'_> {
    fn add(&mut self, line: usize, what: impl std::fmt::Display) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{}:{line}: {what}", self.file.display()));
        }
    }
}

impl CommandLine<'_> {
    pub(super) async fn import(&mut self, import: &Import) -> Result<(), String> {
        let mut mistakes = Mistakes { file: &import.file, count: 0, told: Vec::new() };
        let keys = self.read(&import.file, &mut mistakes).await?;
        for told in &mistakes.told {
            self.note(told)?;
        }
        match mistakes.count {
            0 => {}
            1 => return Err("1 mistake: nothing was imported".to_owned()),
            count if count > mistakes.told.len() => {
                return Err(format!("{count} mistakes, {} of them told: nothing was imported", mistakes.told.len()));
            }
            count => return Err(format!("{count} mistakes: nothing was imported")),
        }
        if import.check {
            let mut there = 0;
            for batch in keys.chunks(IMPORTED_AT_ONCE) {
                there += self.database.keys_there(batch).await.map_err(|e| e.to_string())?.len();
            }
            return self.print(&format!("{} keys can be imported, {there} are there already\n", keys.len() - there));
        }
        let mut came = 0;
        for (n, batch) in keys.chunks(IMPORTED_AT_ONCE).enumerate() {
            if n > 0 && n % PROGRESS == 0 {
                self.note(&format!("{} of {} keys", n * IMPORTED_AT_ONCE, keys.len()))?;
            }
            let stopped = |refusal| format!("{}; {came} keys were imported before: run it again", said(&refusal));
            let (fresh, _) = self.keys().import(&By::cli(), batch).await.map_err(stopped)?;
            came += fresh;
        }
        let there = keys.len() - came;
        self.print(&format!("imported {came} keys, left alone {there} that were there already\n"))?;
        // also what an earlier run wrote that was stopped before it could say so
        let until = self.database.last_told().await.map_err(|e| e.to_string())?;
        let note = applied(self.database, self.embedded, Committed { until }).await?;
        self.note(note)
    }

    /// Every key of the file, checked.
    async fn read(&mut self, file: &Path, mistakes: &mut Mistakes<'_>) -> Result<Vec<ImportedKey>, String> {
        let unreadable = |error: std::io::Error| format!("`{}` cannot be read: {error}", file.display());
        let (mut keys, mut owners) = (Vec::new(), HashMap::new());
        let mut seen: HashMap<HashedSecret, usize> = HashMap::new();
        for (n, line) in BufReader::new(File::open(file).map_err(unreadable)?).lines().enumerate() {
            let (number, line) = (n + 1, line.map_err(unreadable)?);
            if n > 0 && n % CHECKED == 0 {
                self.note(&format!("{n} lines checked"))?;
            }
            if line.trim().is_empty() {
                continue;
            }
            let Some(line) = parse(&line, number, mistakes) else { continue };
            let Line { sha256, key, owner, scopes, expires_at, name, external_id, metadata, limit, networks } = line;
            let before = mistakes.count;
            let secret = match (sha256, key) {
                (Some(hash), None) => match from_hex(&hash.to_ascii_lowercase()) {
                    Some(hash) => Some(Secret::Hash(hash)),
                    None => {
                        mistakes.add(number, "sha256: not 64 hex digits");
                        None
                    }
                },
                (None, Some(text)) => Some(Secret::Text(text)),
                _ => {
                    mistakes.add(number, "sha256: write this, or `key`, and not both");
                    None
                }
            };
            let scopes = ScopeSet::parse(scopes.iter().map(String::as_str)).map_err(|e| mistakes.add(number, format!("scopes: {e}"))).ok();
            let expires_at = expires_at.map(|end| {
                let read = end.read();
                if read.is_none() {
                    mistakes.add(number, "expires_at: neither Unix seconds nor like 2027-01-31T00:00:00Z");
                }
                read
            });
            if !owners.contains_key(&owner) {
                let found = self.owner(&owner).await?;
                owners.insert(owner.clone(), found);
            }
            let owner = match owners.get(&owner) {
                Some(Ok(standing)) => Some(standing),
                Some(Err(why)) => {
                    mistakes.add(number, format!("owner: {why}"));
                    None
                }
                None => None,
            };
            if let (Some(secret), Some(scopes), Some(owner), true) = (secret, scopes, owner, mistakes.count == before) {
                let terms = Terms { external_id, metadata, limit, networks };
                match self.keys().importable(owner, ForeignKey { secret, name, scopes, expires_at: expires_at.flatten(), terms }) {
                    Ok(key) => match seen.insert(key.hash, number) {
                        None => keys.push(key),
                        Some(other) => mistakes.add(number, format!("the same key as in line {other}")),
                    },
                    Err(wrong) => wrong.iter().for_each(|refusal| mistakes.add(number, told(refusal))),
                }
            }
        }
        Ok(keys)
    }

    /// Who can own keys, or why that one cannot.
    async fn owner(&self, name: &str) -> Result<Result<Standing, String>, String> {
        let standing = match self.principal(name).await {
            Ok(standing) => standing,
            Err(why) => return Ok(Err(why)),
        };
        match self.keys().may_own(&standing).await {
            Ok(()) => Ok(Ok(standing)),
            Err(Refusal::Unavailable(cause)) => Err(cause),
            Err(Refusal::NotFound) => Ok(Err(format!("`{name}` is the built-in one, which has one key"))),
            Err(refusal) => Ok(Err(said(&refusal))),
        }
    }
}

/// A line as JSON; what a text is that cannot be read is not repeated: it may be a key.
fn parse(text: &str, number: usize, mistakes: &mut Mistakes<'_>) -> Option<Line> {
    // serde would read a list as a struct whose fields come in order
    if !text.trim_start().starts_with('{') {
        mistakes.add(number, "not a JSON object");
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let read: Result<Line, _> = serde_path_to_error::deserialize(&mut json);
    match read {
        Ok(line) if json.end().is_ok() => Some(line),
        Ok(_) => {
            mistakes.add(number, "something follows the object");
            None
        }
        Err(error) => {
            let (path, inner) = (error.path().to_string(), error.inner());
            let what = match path.as_str() {
                _ if !inner.is_data() => format!("not JSON from column {} on", inner.column()),
                // of a field's name, not of a value
                "." => format!("{inner}"),
                _ if inner.to_string().starts_with("unknown field") => format!("{path}: unknown field"),
                "owner" | "sha256" | "key" | "name" | "external_id" => format!("{path}: not a text"),
                "scopes" => "scopes: not a list of texts".to_owned(),
                "expires_at" => "expires_at: neither Unix seconds nor like 2027-01-31T00:00:00Z".to_owned(),
                // what a limit says is wrong with it repeats nothing of it
                "limit" if inner.to_string().starts_with('`') => {
                    format!("limit: {}", inner.to_string().split(" at line").next().unwrap_or_default())
                }
                path if path.starts_with("limit") => r#"limit: not like {"rate": "100/s", "quota": "10000/day"}"#.to_owned(),
                path if path.starts_with("networks") => r#"networks: not a list like ["10.0.0.0/8"]"#.to_owned(),
                _ => format!("{path}: not what belongs here"),
            };
            mistakes.add(number, what);
            None
        }
    }
}

/// What is wrong, by the field as the file names it.
fn told(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Field { field, problem } => format!("{field}: {problem}"),
        Refusal::ScopeNotHeld(_) => format!("scopes: {}", said(refusal)),
        other => said(other),
    }
}
