//! `gatepost import`: a copy is put into an empty database, and its live tokens into the token store.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use super::format::{Header, Next, Reader, value};
use super::{BackupError, Progress, finished, tell};
use crate::app::{open_database, read_secret_keys, redis_of};
use crate::audit::{Action, By};
use crate::config::{Config, DatabaseConfig, StoreConfig};
use crate::database::{Database, Filling, Row, Table, schema_version};

/// Rows put in at once.
const PORTION: usize = 200;
/// How long Redis may take none of the live tokens before they are left to the first server.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Which copy, and how.
#[derive(Debug, Args)]
pub struct CopyArguments {
    /// The copy; `-` = standard input.
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Go on though the secret keys are others: tokens, sessions, codes and second factors of the copied installation count no more, API keys do.
    #[arg(long)]
    other_secret_keys: bool,
}

/// Runs the command.
pub async fn run(command: CopyArguments, config: &Config) -> ExitCode {
    finished(import(command.file.as_deref().unwrap_or(Path::new("-")), command.other_secret_keys, config).await)
}

/// Puts the copy in; what to say then.
pub(super) async fn import(file: &Path, other_secret_keys: bool, config: &Config) -> Result<String, BackupError> {
    let from: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let wrong = |error| BackupError::File { file: file.display().to_string(), error };
        Box::new(BufReader::new(std::fs::File::open(file).map_err(wrong)?))
    };
    let (mut reader, header) = Reader::begin(from)?;
    admit(&header, other_secret_keys, config)?;
    let database = open_database(config).await?;
    let lock = database.lock().await?;
    let filled = fill(&mut reader, &header, &database, config).await;
    lock.release().await;
    drop(lock);
    let rows = filled?;
    database.close().await;
    let tokens = match &config.tokens.store {
        StoreConfig::Embedded => "live tokens are taken up by the first start".to_owned(),
        StoreConfig::Redis(_) => arrive(config).await?,
    };
    Ok(format!("imported {rows} rows made by gatepost {} from {} and {}; {tokens}", header.version, header.engine, header.store))
}

/// Whether this program can read it and the secret keys are those it needs.
fn admit(header: &Header, other_secret_keys: bool, config: &Config) -> Result<(), BackupError> {
    let (ours, version) = (schema_version(), &header.version);
    if header.schema > ours {
        return Err(BackupError::said(format!(
            "this copy has schema {}, made by gatepost {version}; this one ({}) knows schemas up to {ours}: import it with {version} or newer",
            header.schema,
            env!("CARGO_PKG_VERSION")
        )));
    }
    if other_secret_keys {
        return Ok(());
    }
    let what_to_do =
        "copy the secret key file of the copied installation first, or go on without its tokens and sessions by --other-secret-keys";
    let keyring = read_secret_keys(config).map_err(|error| BackupError::said(format!("{error}; {what_to_do}")))?;
    match header.secret_keys.iter().find(|name| keyring.named(name).is_none()) {
        Some(missing) => Err(BackupError::said(format!(
            "the secret key `{missing}`, under which tokens of this copy were made, is not among those configured; {what_to_do}"
        ))),
        None => Ok(()),
    }
}

async fn fill<R: BufRead>(reader: &mut Reader<R>, header: &Header, database: &Database, config: &Config) -> Result<u64, BackupError> {
    let mut filling = database.fill().await?;
    empty(&mut filling, config).await?;
    let known = filling.tables();
    let mut progress = Progress::begin("imported", tell);
    let mut into: Option<Table> = None;
    let mut rows: Vec<Row> = Vec::with_capacity(PORTION);
    let is_there = loop {
        let next = reader.read()?;
        if let (Some(table), true) = (&into, rows.len() == PORTION || !matches!(next, Next::Row(_))) {
            filling.insert(table, &rows).await.map_err(|error| reader.wrong(&format!("table `{}`: {error}", table.name)))?;
            progress.add(rows.len(), table.name);
            rows.clear();
        }
        match (next, &into) {
            (Next::Table(name, columns), _) => {
                into = Some(table(&known, &name, &columns, header).map_err(|problem| reader.wrong(&problem))?)
            }
            (Next::Row(row), Some(table)) if row.len() == table.columns.len() => {
                let row = row.into_iter().zip(&table.columns).map(|(json, column)| {
                    value(json, column).ok_or_else(|| reader.wrong(&format!("column `{}` cannot hold this", column.name)))
                });
                rows.push(row.collect::<Result<Row, _>>()?);
            }
            (Next::Row(_), _) => return Err(reader.wrong("this row does not fit its table")),
            (Next::End, _) => break progress.rows > 0,
        }
    };
    if !is_there {
        return Err(reader.wrong("the copy is empty"));
    }
    // a server that began meanwhile has listed itself
    if filling.is_served().await? {
        return Err(BackupError::said("a server began to serve from this database; nothing was imported: stop it, and name an empty one"));
    }
    let is_redis = matches!(config.tokens.store, StoreConfig::Redis(_));
    filling.commit(&By::cli().did(Action::Import, database.installation().id), is_redis).await?;
    Ok(progress.rows)
}

/// The columns of the copy as this database has them.
fn table(known: &[Table], name: &str, columns: &[String], header: &Header) -> Result<Table, String> {
    let old = |what: &str| {
        format!("{what} is not known to this gatepost; import the copy with gatepost {}, upgrade that, and export it again", header.version)
    };
    let table = known.iter().find(|table| table.name == name).ok_or_else(|| old(&format!("table `{name}`")))?;
    let column = |column: &String| {
        let found = table.columns.iter().find(|known| known.name == *column);
        found.cloned().ok_or_else(|| old(&format!("column `{column}` of `{name}`")))
    };
    Ok(Table { name: table.name, columns: columns.iter().map(column).collect::<Result<_, _>>()? })
}

async fn empty(filling: &mut Filling, config: &Config) -> Result<(), BackupError> {
    let Some(table) = filling.occupied().await? else { return Ok(()) };
    let what_to_do = match &config.database {
        DatabaseConfig::Sqlite(file) => format!("move `{}` away, or name another directory with `data:`", config.data.join(file).display()),
        DatabaseConfig::Server(..) => "stop the servers and name an empty one with `database:`".to_owned(),
    };
    Err(BackupError::said(format!("an import takes an empty database, and this one has rows in `{table}`; {what_to_do}")))
}

/// Gives Redis the live tokens.
async fn arrive(config: &Config) -> Result<String, BackupError> {
    let later = |why: &str| {
        format!("the database is whole, but its live tokens are not in Redis yet ({why}); the first server that reaches it puts them there")
    };
    let database = open_database(config).await?;
    let redis = match redis_of(config, &database).await {
        Ok(Some(redis)) => redis,
        Ok(None) => return Ok(String::new()),
        Err(error) => return Err(BackupError::said(later(&error.to_string()))),
    };
    let all = database.arrivals().await?;
    let (mut left, mut moved) = (all, Instant::now());
    while left > 0 && moved.elapsed() < PATIENCE {
        tokio::time::sleep(PAUSE).await;
        let now = database.arrivals().await?;
        if now < left {
            (left, moved) = (now, Instant::now());
        }
    }
    redis.stop().await;
    if left > 0 {
        return Err(BackupError::said(later("it does not take them")));
    }
    Ok(format!("{all} live tokens were put into Redis"))
}
