//! Database and token store: opened as the configuration names them, by the program and by its commands.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use super::{StartError, no_randomness};
use crate::clock::Clock;
use crate::config::{Config, DatabaseConfig, StoreConfig, TokensConfig};
use crate::database::{Database, Engine, Lock};
use crate::explain::Outage;
use crate::token::embedded::Embedded;
use crate::token::redis::Redis;
use crate::token::store::{Settings, TokenStore};

/// What the stores of a configuration are.
pub(super) struct Stores {
    /// The authority.
    pub(super) database: Database,
    /// Which tokens and keys are live.
    pub(super) tokens: TokenStore,
    /// Held while this process serves from a database that takes one server only, where the token store does not hold it.
    pub(super) alone: Option<Lock>,
}

/// Opens the database, making the data directory where it is not there.
///
/// # Errors
/// Where either cannot be.
pub async fn open_database(config: &Config) -> Result<Database, StartError> {
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&config.data);
    made.map_err(|error| StartError::Data { path: config.data.display().to_string(), error })?;
    check_writable(&config.data)?;
    Ok(match &config.database {
        DatabaseConfig::Sqlite(file) => Database::open_sqlite(&config.data.join(file), Clock::system()).await?,
        DatabaseConfig::Server(engine, url) => Database::open(*engine, url, Clock::system()).await?,
    })
}

/// Writes into the data directory, and takes that away again: what a database says of a directory that is another user's tells nobody
/// what to do.
fn check_writable(data: &std::path::Path) -> Result<(), StartError> {
    let probe = data.join(format!(".written-by-{}", std::process::id()));
    let written = std::fs::File::create(&probe).and_then(|_| std::fs::remove_file(&probe));
    written.map_err(|error| StartError::DataNotOurs {
        path: data.display().to_string(),
        user: rustix::process::geteuid().as_raw(),
        group: rustix::process::getegid().as_raw(),
        error,
    })
}

/// The database, if there is one: for commands that have no business making one, whose keys would belong to nobody.
///
/// # Errors
/// Where there is none, or it cannot be opened; with what to do.
pub async fn existing_database(config: &Config) -> Result<Database, String> {
    let database = match &config.database {
        DatabaseConfig::Sqlite(file) => {
            let path = config.data.join(file);
            if !path.exists() {
                return Err(format!(
                    "there is no database at `{}`; start `gatepost` once, or name the configuration with --config",
                    path.display()
                ));
            }
            Database::open_sqlite(&path, Clock::system()).await
        }
        DatabaseConfig::Server(engine, url) => {
            if !Database::is_made(*engine, url).await.map_err(|error| error.to_string())? {
                return Err("the database is empty; start `gatepost` once, or name the configuration with --config".to_owned());
            }
            Database::open(*engine, url, Clock::system()).await
        }
    };
    database.map_err(|error| error.to_string())
}

/// The token store in Redis where the configuration names one: for a command that has to ask it.
///
/// # Errors
/// Where it must not be used.
pub async fn redis_of(config: &Config, database: &Database) -> Result<Option<Arc<Redis>>, StartError> {
    match &config.tokens.store {
        StoreConfig::Embedded => Ok(None),
        StoreConfig::Redis(url) => {
            let started = Redis::start(url, database.clone(), settings(config)).await;
            started.map(Some).map_err(|error| StartError::Store(error.to_string()))
        }
    }
}

fn settings(config: &Config) -> Settings {
    Settings { ttl: config.tokens.ttl, max_lifetime: config.tokens.max_lifetime, staleness_bound: config.tokens.staleness_bound }
}

/// Opens database and token store.
///
/// # Errors
/// Where either cannot be, or another process serves from them that must be alone.
pub(super) async fn open_stores(config: &Config) -> Result<Stores, StartError> {
    let database = open_database(config).await?;
    let randomness = |_| no_randomness();
    let settings = settings(config);
    let (tokens, alone) = match &config.tokens.store {
        StoreConfig::Embedded => (TokenStore::embedded(Embedded::start(database.clone(), settings).await?).map_err(randomness)?, None),
        StoreConfig::Redis(url) => {
            let alone = match database.engine() {
                // a file that two machines seem to share is not locked well enough to hold anybody's rights
                Engine::Sqlite => Some(database.lock().await?),
                Engine::Postgres | Engine::Mysql if database.is_served().await? => {
                    return Err(StartError::Store(
                        "another gatepost serves from this database with `store: embedded`, or imports into it, and would not hear of ends; stop that one first"
                            .to_owned(),
                    ));
                }
                Engine::Postgres | Engine::Mysql => None,
            };
            let store = Redis::start(url, database.clone(), settings).await.map_err(|error| StartError::Store(error.to_string()))?;
            (TokenStore::redis(store).map_err(randomness)?, alone)
        }
    };
    Ok(Stores { database, tokens, alone })
}

/// What a rule's `on_store_error` is added to.
pub fn outage(tokens: &TokensConfig) -> Outage {
    match &tokens.store {
        StoreConfig::Embedded => Outage::Embedded,
        StoreConfig::Redis(_) => Outage::Bound(tokens.staleness_bound),
    }
}
