//! The database: the authority for every principal, key, session, token and end.
//!
//! One schema on three engines ([`engine`]). Every admin act is one transaction with its audit row
//! and its outbox row, so a crash between two steps leaves nothing half done. Only this folder
//! names sqlx.

mod acts;
mod challenges;
mod contacts;
mod copy;
mod declared;
mod denials;
mod engine;
mod epoch;
mod host_codes;
mod identities;
mod imports;
mod invitations;
mod keys;
mod ledger;
mod lock;
mod notices;
mod people;
mod policies;
mod principals;
mod quotas;
mod refresh_keys;
mod replicas;
mod second_factors;
mod sessions;
mod sign_ins;
#[cfg(test)]
pub(crate) mod test_server;
mod tokens;
mod trail;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AnyConnection, AnyPool, SqlStr};
use tokio::sync::Mutex;

use crate::clock::{Clock, UnixMs};
use crate::id::{Id, random_bytes};

pub use acts::{Act, Committed, Page};
pub use challenges::{ChallengeRow, NewChallenge, SentTo};
pub use contacts::{ContactHolder, ContactsRow};
pub use copy::{Column, Filling, Kind, Row, Snapshot, Table, Value, schema_version};
pub use declared::DeclaredKind;
pub use denials::DenialRow;
pub use engine::Engine;
pub use epoch::{Claim, Outlook};
pub use host_codes::HostCodeRow;
pub use imports::{IMPORTED_AT_ONCE, ImportedKey, NO_ID};
pub use invitations::InvitationRow;
pub use keys::{KeyRow, WhichKeys};
pub use ledger::{Arriving, LiveToken, Pending, PendingKind};
pub use lock::Lock;
pub use notices::{Delivery, KeyToTell, NewDelivery, NoticeWindow};
pub use people::{LoginRow, NameKind, NewPrincipal};
pub use policies::PolicyRow;
pub use principals::{Listed, PrincipalRow, TenantRow};
pub use quotas::QuotaLease;
pub use refresh_keys::RefreshKeyRow;
pub use replicas::Replica;
pub use second_factors::SecondFactorRow;
pub use sessions::{RefreshRow, SessionRow};
pub use sign_ins::SignInRow;
pub use tokens::{TokenFate, TokenRow};
pub use trail::AuditRow;
pub use usage::UsageRow;

/// Why the database gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached, is locked for too long, or its disk is full.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Another row holds a name that must be unique (SQLSTATE 23505 and its kin).
    #[error("already exists")]
    Taken,
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(e) if e.is_unique_violation() => Self::Taken,
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// A handle on the database; clones share its connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    engine: Engine,
    /// Where it is; may hold a password.
    url: Arc<SecretString>,
    /// The file of a SQLite database.
    file: Option<PathBuf>,
    clock: Clock,
    installation: Installation,
    /// Whose turn it is to act: who waits, waits here and holds no connection.
    turn: Arc<Mutex<()>>,
}

/// What was made once for this installation.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Names it: a token store founded by another installation refuses the start.
    pub id: Id,
    /// Keys the checksum of API keys and refresh tokens.
    pub key_tag: [u8; 32],
}

impl Database {
    /// Opens (or makes) the SQLite database at `path`. As [`Database::open`].
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_sqlite(path: &Path, clock: Clock) -> Result<Self, DatabaseError> {
        let url = SecretString::from(engine::sqlite_url(path));
        Self::open_with(Engine::Sqlite, url, Some(path.to_owned()), clock).await
    }

    /// Opens the database at `url`, brings its schema up to date and raises `clock` to its high-water mark.
    ///
    /// # Errors
    /// Where it cannot be reached or migrated, or was written by a newer version.
    pub async fn open(engine: Engine, url: &SecretString, clock: Clock) -> Result<Self, DatabaseError> {
        Self::open_with(engine, url.clone(), None, clock).await
    }

    /// Whether any gatepost has made its tables in the database at `url`.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub async fn is_made(engine: Engine, url: &SecretString) -> Result<bool, DatabaseError> {
        let mut connection = engine.connect_apart(url.expose_secret()).await?;
        match sqlx::query("SELECT one FROM installation").execute(&mut connection).await {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(_)) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    async fn open_with(engine: Engine, url: SecretString, file: Option<PathBuf>, clock: Clock) -> Result<Self, DatabaseError> {
        let pool = engine.open(url.expose_secret()).await?;
        // one connection for all of it: the pool would open another while it looks at one that came back
        let mut connection = pool.acquire().await?;
        let installation = Self::installation_of(engine, &mut connection).await?;
        let (high_water,): (i64,) = sqlx::query_as("SELECT high_water FROM installation").fetch_one(&mut *connection).await?;
        drop(connection);
        clock.raise_floor(UnixMs(u64::try_from(high_water).unwrap_or(0)));
        Ok(Self { pool, engine, url: Arc::new(url), file, clock, installation, turn: Arc::default() })
    }

    async fn installation_of(engine: Engine, connection: &mut AnyConnection) -> Result<Installation, DatabaseError> {
        let none = |_| DatabaseError::Unavailable("the system gave no randomness".into());
        let (id, key_tag) = (Id::random().map_err(none)?, random_bytes::<32>().map_err(none)?);
        sqlx::query(engine.sql("INSERT INTO installation (one, id, key_tag) VALUES (1, ?, ?) ON CONFLICT DO NOTHING"))
            .bind(id.to_string())
            .bind(key_tag.to_vec())
            .execute(&mut *connection)
            .await?;
        let (id, key_tag): (String, Vec<u8>) = sqlx::query_as("SELECT id, key_tag FROM installation").fetch_one(&mut *connection).await?;
        match (id.parse(), <[u8; 32]>::try_from(key_tag)) {
            (Ok(id), Ok(key_tag)) => Ok(Installation { id, key_tag }),
            _ => Err(DatabaseError::Unavailable("its `installation` row is damaged".into())),
        }
    }

    /// Closes its connections: from here on every clone answers [`DatabaseError::Unavailable`].
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// What was made once for this installation.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The clock its rows are dated by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// A statement in the engine's tongue.
    fn sql(&self, statement: &'static str) -> SqlStr {
        self.engine.sql(statement)
    }

    /// A transaction whose reads all see one moment.
    async fn reading(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, DatabaseError> {
        Ok(self.pool.begin_with(self.engine.begin_reading()).await?)
    }

    /// The time now as a column value.
    fn now(&self) -> i64 {
        column(self.clock.now())
    }
}

/// A time as a column value.
fn column(at: UnixMs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A column value as a time.
fn time(column: i64) -> UnixMs {
    UnixMs(u64::try_from(column).unwrap_or(0))
}

#[cfg(test)]
mod tests;
