//! `gatepost export`: the copy is written.

use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::format::{FORMAT, Header, Writer};
use super::{BackupError, Progress, finished, tell};
use crate::app::{existing_database, read_secret_keys, redis_of};
use crate::config::{Config, SecretSource};
use crate::database::{Database, Row, Snapshot, Table, Value, schema_version};
use crate::id::Id;
use crate::token::redis::Redis;

/// Rows held in memory at once.
const PORTION: usize = 200;
/// For a token store that has to be asked.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions to it.
const PAUSE: Duration = Duration::from_millis(50);

/// Write a copy of everything: people, keys, live tokens, sessions, policies, invitations, the audit trail.
///
/// Servers go on meanwhile; the copy is what stood at one moment. `gatepost import` puts it into any other database and token store:
/// a backup is an export, its restoration an import. The secret keys are not in it: keep a copy of their file apart.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gatepost export gatepost-$(date +%F).jsonl         a backup, mode 0600
  gatepost export - | zstd > gatepost.jsonl.zst      to standard output
  gatepost export - | ssh other gatepost import -    a move to another machine, whose configuration names other stores
                                                     (copy the secret key file there first)

For a move, stop the servers before the last export: what happens after it is not in it.")]
pub struct ExportCommand {
    /// The file to be written; it must not be there yet. `-` = standard output.
    file: PathBuf,
}

/// Runs the command.
pub async fn run(command: ExportCommand, config: &Config) -> ExitCode {
    finished(export(&command.file, config).await)
}

/// Writes the copy; what to say then.
pub(super) async fn export(file: &Path, config: &Config) -> Result<String, BackupError> {
    let database = existing_database(config).await.map_err(BackupError::Said)?;
    let secret_keys = read_secret_keys(config)?.names();
    let redis = redis_of(config, &database).await?;
    if let Some(redis) = &redis {
        until_ready(redis, &database).await?;
    }
    let written = write_to(file, async |to: &mut dyn Write| {
        let mut snapshot = database.snapshot().await?;
        let header = Header {
            gatepost_export: FORMAT,
            schema: schema_version(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: database.engine().as_str().to_owned(),
            store: if redis.is_some() { "Redis" } else { "embedded" }.to_owned(),
            made_at: snapshot.taken().0,
            secret_keys: secret_keys.clone(),
        };
        write(to, &header, &mut snapshot, redis.as_deref()).await
    });
    let written = written.await;
    if let Some(redis) = redis {
        redis.stop().await;
    }
    let rows = written?;
    let keys = match &config.secret_key {
        SecretSource::File(path) => format!("`{}`", config.data.join(path).display()),
        SecretSource::Text(_) => "GATEPOST_SECRET_KEY".to_owned(),
    };
    Ok(format!("exported {rows} rows; the secret keys ({keys}) are not among them: keep a copy of them apart"))
}

async fn until_ready(redis: &Redis, database: &Database) -> Result<(), BackupError> {
    let ready = async {
        // what came with an import is live only once Redis has it
        while !redis.is_ready() || database.arrivals().await? > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        Ok::<_, BackupError>(())
    };
    let late = |_| BackupError::said("Redis does not answer, and it alone knows when live tokens end; nothing was written");
    tokio::time::timeout(PATIENCE, ready).await.map_err(late)?
}

/// Writes to a file that appears once it is whole, or to standard output.
async fn write_to<T>(file: &Path, write: impl AsyncFnOnce(&mut dyn Write) -> Result<T, BackupError>) -> Result<T, BackupError> {
    if file.as_os_str() == "-" {
        return write(&mut BufWriter::new(std::io::stdout().lock())).await;
    }
    let wrong = |path: &Path| {
        let file = path.display().to_string();
        move |error| BackupError::File { file, error }
    };
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::said(format!("`{}` is there already; name another, or delete it first", file.display())));
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    if let Err(error) = std::fs::remove_file(&partial)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(wrong(&partial)(error));
    }
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(wrong(&partial))?;
    let mut to = BufWriter::new(opened);
    let written = match write(&mut to).await {
        Ok(written) => written,
        Err(error) => {
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
    };
    let opened = to.into_inner().map_err(|error| wrong(&partial)(error.into_error()))?;
    // a link, which never replaces what somebody made there meanwhile
    let stands = opened.sync_all().and_then(|()| std::fs::hard_link(&partial, file)).and_then(|()| std::fs::remove_file(&partial));
    stands.map_err(wrong(file))?;
    Ok(written)
}

async fn write(to: &mut dyn Write, header: &Header, snapshot: &mut Snapshot, redis: Option<&Redis>) -> Result<u64, BackupError> {
    let wrong = |error: std::io::Error| BackupError::said(format!("the copy cannot be written: {error}"));
    let mut writer = Writer::begin(to, header).map_err(wrong)?;
    let mut progress = Progress::begin("exported", tell);
    for table in snapshot.tables() {
        writer.table(&table).map_err(wrong)?;
        let ends = Ends::of(&table, header.made_at).zip(redis);
        let portion = async |mut rows: Vec<Row>| {
            if let Some((ends, redis)) = &ends {
                ends.ask(redis, &mut rows).await?;
            }
            rows.iter().try_for_each(|row| writer.row(row)).map_err(wrong)?;
            progress.add(rows.len(), table.name);
            Ok::<_, BackupError>(())
        };
        snapshot.read(&table, PORTION, portion).await?;
    }
    writer.end().map_err(wrong)
}

/// Where the rows of `tokens` tell of their ends. What stands there is what was said at the mint; Redis knows what has become of it.
struct Ends {
    id: usize,
    cap: usize,
    idle_end: usize,
    ended_at: usize,
    now: i64,
}

impl Ends {
    fn of(table: &Table, now: u64) -> Option<Self> {
        let place = |name| table.place(name);
        let now = i64::try_from(now).ok().filter(|_| table.name == "tokens")?;
        Some(Self { id: place("id")?, cap: place("cap")?, idle_end: place("idle_end")?, ended_at: place("ended_at")?, now })
    }

    /// The id of a token that may be live.
    fn live(&self, row: &Row) -> Option<Id> {
        match (row.get(self.id)?, row.get(self.cap)?, row.get(self.ended_at)?) {
            (Value::Text(id), Value::Number(cap), Value::Null) if *cap > self.now => id.parse().ok(),
            _ => None,
        }
    }

    async fn ask(&self, redis: &Redis, rows: &mut [Row]) -> Result<(), BackupError> {
        let asked: Vec<(usize, Id)> = rows.iter().enumerate().filter_map(|(n, row)| Some((n, self.live(row)?))).collect();
        let ids: Vec<Id> = asked.iter().map(|(_, id)| *id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut answered = redis.idle_ends(&ids).await;
        for _ in 0..(PATIENCE.as_millis() / PAUSE.as_millis()) {
            if answered.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            answered = redis.idle_ends(&ids).await;
        }
        let ends = answered.map_err(|_| BackupError::said("Redis does not say when live tokens end; nothing was written"))?;
        for ((n, _), end) in asked.iter().zip(ends) {
            // it has run out where Redis does not have it
            let end = end.map_or(self.now, |end| i64::try_from(end.0).unwrap_or(i64::MAX));
            if let Some(idle_end) = rows.get_mut(*n).and_then(|row| row.get_mut(self.idle_end)) {
                *idle_end = Value::Number(end);
            }
        }
        Ok(())
    }
}
