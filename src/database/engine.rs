//! The three engines: what differs between them, and how one statement is written for all.
//!
//! Statements are written once: `?` for each value in the order of binding, columns of text, `i64` and bytes only,
//! no reserved word of any engine as a name. [`Engine::sql`] says them in the engine's own tongue. Where that is not
//! enough, [`Engine::choose`] takes one wording for MySQL and one for the others.
//! After an error PostgreSQL takes no more statements in that transaction: whoever wants to go on asks first.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor, SqlSafeStr, SqlStr};

use super::DatabaseError;

/// Most connections of one process.
const CONNECTIONS: u32 = 8;
/// Longest wait for a connection, and for a lock that another holds.
const PATIENCE: Duration = Duration::from_secs(5);
/// So often a SQLite file that another process makes or migrates is looked at again, and after this long.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(50);
/// <https://sqlite.org/rescode.html#busy>
const SQLITE_BUSY: &str = "5";
/// Ends a statement that does nothing where the row is there already.
const UNLESS_THERE: &str = " ON CONFLICT DO NOTHING";

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// SQLite, a file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

impl Engine {
    /// The engine behind a connection.
    pub(super) fn of(connection: &AnyConnection) -> Self {
        match connection.backend_name() {
            "PostgreSQL" => Self::Postgres,
            "MySQL" => Self::Mysql,
            _ => Self::Sqlite,
        }
    }

    /// As users know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
        }
    }

    /// `statement` in this engine's tongue: PostgreSQL numbers its values, MySQL has its own way to pass over a row that is there.
    pub(super) fn sql(self, statement: &'static str) -> SqlStr {
        match self {
            Self::Sqlite => statement.into_sql_str(),
            Self::Postgres if !statement.contains('?') => statement.into_sql_str(),
            Self::Postgres => AssertSqlSafe(numbered(statement)).into_sql_str(),
            Self::Mysql => match statement.strip_suffix(UNLESS_THERE) {
                Some(insert) => AssertSqlSafe(insert.replacen("INSERT INTO", "INSERT IGNORE INTO", 1)).into_sql_str(),
                None => statement.into_sql_str(),
            },
        }
    }

    /// [`Engine::sql`] of a statement made of the schema's own names.
    pub(super) fn sql_of(self, statement: &str) -> SqlStr {
        AssertSqlSafe(if self == Self::Postgres { numbered(statement) } else { statement.to_owned() }).into_sql_str()
    }

    /// One of two wordings.
    #[allow(dead_code, reason = "for the statement that cannot be written once")]
    pub(super) fn choose(self, general: &'static str, mysql: &'static str) -> SqlStr {
        self.sql(if self == Self::Mysql { mysql } else { general })
    }

    /// Begins a transaction that will write. SQLite takes its write lock at once; the others take [`Engine::turn`] next.
    pub(super) fn begin(self) -> SqlStr {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            // whatever the server's default is: what an act reads after it waited for its turn is what stands then
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Mysql => "BEGIN",
        }
        .into_sql_str()
    }

    /// Begins a transaction whose reads all see one moment.
    pub(super) fn begin_reading(self) -> SqlStr {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Mysql => "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        }
        .into_sql_str()
    }

    /// Waits for the one row that every act holds to its end: acts of all processes come one after the other.
    pub(super) fn turn(self) -> Option<SqlStr> {
        match self {
            Self::Sqlite => None,
            Self::Postgres | Self::Mysql => Some("SELECT one FROM turn FOR UPDATE".into_sql_str()),
        }
    }

    /// What is said on each new connection. Who holds a lock and says nothing for 3 s, a stopped process, is put out, so that
    /// whoever waits has the lock within its 5 s.
    fn welcome(self) -> &'static str {
        match self {
            // synchronous=FULL: what was committed survives a power cut
            Self::Sqlite => "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
            Self::Postgres => {
                "SET lock_timeout = '5s'; SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '3s'; SET synchronous_commit = on"
            }
            // MariaDB reads what stands in /*M!…*/; MySQL what stands in /*!80000…*/, and knows no end of an idle transaction
            // but the session's own
            Self::Mysql => {
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET SESSION innodb_lock_wait_timeout = 5 \
                 /*M!100300 , SESSION idle_transaction_timeout = 3, SESSION max_statement_time = 10 */ \
                 /*!80000 , SESSION wait_timeout = 5, SESSION max_execution_time = 10000 */"
            }
        }
    }

    /// Takes back the limits of [`Engine::welcome`] for a transaction that copies everything: nobody but who asked waits for it.
    pub(super) async fn be_patient(self, transaction: &mut AnyConnection) -> Result<(), DatabaseError> {
        let limits = match self {
            Self::Sqlite => return Ok(()),
            Self::Postgres => "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
            Self::Mysql => {
                "SET SESSION innodb_lock_wait_timeout = 5 /*M!100300 , SESSION idle_transaction_timeout = 0, SESSION max_statement_time = 0 */ \
                 /*!80000 , SESSION wait_timeout = 28800, SESSION max_execution_time = 0 */"
            }
        };
        transaction.execute(limits).await?;
        Ok(())
    }

    fn options(url: &str) -> Result<AnyConnectOptions, DatabaseError> {
        sqlx::any::install_default_drivers();
        // the error of an address that cannot be read would show it, password and all
        let options: AnyConnectOptions = url.parse().map_err(|_| DatabaseError::Unavailable("its address cannot be read".to_owned()))?;
        Ok(options.disable_statement_logging())
    }

    /// Connects and brings the schema up to date.
    pub(super) async fn open(self, url: &str) -> Result<AnyPool, DatabaseError> {
        let migrations = migrations(self);
        let mut connection = match self {
            Self::Sqlite => self.connect_apart(url).await?,
            // without the welcome: who waits for another's migration, or migrates much, waits long
            Self::Postgres | Self::Mysql => Self::connect(url).await?,
        };
        if self == Self::Mysql {
            // MariaDB does not wait where it is told to wait for ever, as the migrations would
            let wait = "SELECT GET_LOCK(CONCAT('gatepost-schema.', SHA1(DATABASE())), 3600)";
            sqlx::query(wait).execute(&mut connection).await?;
        }
        // SQLite has no lock that is held from one migration to the next: another process may have made what this one was about to
        let mut migrated = migrations.run(&mut connection).await;
        for _ in 0..if self == Self::Sqlite { TRIES } else { 0 } {
            if migrated.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            migrated = migrations.run(&mut connection).await;
        }
        migrated.map_err(|e| DatabaseError::Unavailable(format!("its schema could not be brought up to date: {e}")))?;
        // here, where it is heard if it is not understood: a pool would only try again
        connection.execute(self.welcome()).await?;
        connection.close().await?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            // a connection that broke, or whose server was started again, is replaced before anyone is given it
            .test_before_acquire(true)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(self.welcome()).await?;
                    Ok(())
                })
            })
            .connect_with(Self::options(url)?)
            .await?;
        Ok(pool)
    }

    async fn connect(url: &str) -> Result<AnyConnection, DatabaseError> {
        let options = Self::options(url)?;
        let connected = tokio::time::timeout(PATIENCE, AnyConnection::connect_with(&options)).await;
        Ok(connected.map_err(|_| DatabaseError::Unavailable("it does not answer".to_owned()))??)
    }

    /// A connection beside the pool's, with the same welcome.
    pub(super) async fn connect_apart(self, url: &str) -> Result<AnyConnection, DatabaseError> {
        let mut connection = Self::connect(url).await?;
        // SQLite turns a new file to WAL without waiting for another process that does the same
        let begun = Instant::now();
        while let Err(error) = connection.execute(self.welcome()).await {
            if !is_busy(&error) || begun.elapsed() > PATIENCE {
                return Err(error.into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(connection)
    }
}

/// Whether SQLite found the file locked.
fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == SQLITE_BUSY)
}

/// What makes the schema.
fn migrations(engine: Engine) -> Migrator {
    match engine {
        Engine::Sqlite => sqlx::migrate!("src/database/migrations/sqlite"),
        Engine::Postgres => sqlx::migrate!("src/database/migrations/postgres"),
        Engine::Mysql => sqlx::migrate!("src/database/migrations/mysql"),
    }
}

/// The number of the newest migration.
pub(super) fn newest_migration(engine: Engine) -> i64 {
    migrations(engine).iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Whether two transactions waited for each other, and this one was chosen to give way: it may be tried again.
pub(super) fn gave_way(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "40001" | "40P01"))
}

/// The address of a SQLite file, made where it is not there.
pub(super) fn sqlite_url(file: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => url.push(char::from(*byte)),
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url.push_str("?mode=rwc");
    url
}

/// `?` as `$1`, `$2`, …
fn numbered(statement: &str) -> String {
    let mut numbered = String::with_capacity(statement.len() + 16);
    for (n, part) in statement.split('?').enumerate() {
        if n > 0 {
            numbered.push_str(&format!("${n}"));
        }
        numbered.push_str(part);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_in_three_tongues() {
        let said = |engine: Engine, statement| engine.sql(statement).as_str().to_owned();
        assert_eq!(said(Engine::Sqlite, "SELECT ? WHERE a = ?"), "SELECT ? WHERE a = ?");
        assert_eq!(said(Engine::Postgres, "SELECT ? WHERE a = ?"), "SELECT $1 WHERE a = $2");
        assert_eq!(said(Engine::Mysql, "INSERT INTO a (b) VALUES (?) ON CONFLICT DO NOTHING"), "INSERT IGNORE INTO a (b) VALUES (?)");
    }

    #[test]
    fn a_file_of_any_name_has_an_address() {
        assert_eq!(sqlite_url(Path::new("/a b/ü?.db")), "sqlite:///a%20b/%C3%BC%3F.db?mode=rwc");
    }
}
