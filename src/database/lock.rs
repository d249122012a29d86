//! The lock of a server that must be the only one: its token store lives in its own process, or its database is a file.
//!
//! A second server would answer from a memory of its own, so an end would not reach its checks. Beside a SQLite file
//! lies a file that the system locks; PostgreSQL and MySQL hold a named lock for a connection of its own. Where that
//! connection is lost, whoever held the lock does not know it at once. So a server holds it on a *lease*: it serves only
//! until [`LEASE`] after it last asked that connection and was answered, and whoever takes the lock from one that did
//! not stop cleanly waits longer than that before it reads anything.
//!
//! INVARIANT: of two servers, never do both hold the lease.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use secrecy::ExposeSecret;
use sqlx::AnyConnection;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::{Database, DatabaseError, Engine};
use crate::clock::{boottime_ms, millis};
use crate::id::Id;

/// How long a server serves after it last asked the connection that holds its lock and was answered.
const LEASE: Duration = Duration::from_secs(2);
/// How long whoever takes the lock waits where another one may still serve.
const UNTIL_OVER: Duration = Duration::from_millis(2500);
/// How often the connection is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// For one question to it, and for another connection.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a start asks for the lock: the connection of a process that has just died may be there for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// Held until dropped; system and database let go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock(Held);

#[derive(Debug)]
enum Held {
    File { _file: File },
    Lease(Arc<Lease>, tokio::task::JoinHandle<()>),
}

/// A lock in the database.
#[derive(Debug)]
struct Lease {
    database: Database,
    /// Who holds it.
    me: Id,
    /// Until then, by the clock that counts from boot.
    until: AtomicU64,
    /// Another process has served since: this one's memory is worth nothing.
    lost: AtomicBool,
    on_loss: Notify,
}

impl Database {
    /// Takes the lock.
    ///
    /// # Errors
    /// Where another process holds it, or it cannot be asked for.
    pub async fn lock(&self) -> Result<Lock, DatabaseError> {
        match self.engine {
            Engine::Sqlite => self.lock_file(),
            Engine::Postgres | Engine::Mysql => self.lock_lease().await,
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.file.as_deref().unwrap_or(std::path::Path::new("")).with_file_name("gatepost.lock")
    }

    fn lock_file(&self) -> Result<Lock, DatabaseError> {
        let path = self.lock_path();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| DatabaseError::Unavailable(format!("`{}` cannot be opened: {e}", path.display())))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            DatabaseError::Unavailable(format!(
                "another gatepost serves from it (`{}` is locked); stop that one: more than one replica needs Redis and PostgreSQL or MySQL",
                path.display()
            ))
        })?;
        Ok(Lock(Held::File { _file: file }))
    }

    async fn lock_lease(&self) -> Result<Lock, DatabaseError> {
        let me = Id::random().map_err(|_| DatabaseError::Unavailable("the system gave no randomness".into()))?;
        let began = Instant::now();
        let mut connection = self.engine.connect_apart(self.url.expose_secret()).await?;
        while !take(self.engine, &mut connection).await? {
            if began.elapsed() > PATIENCE {
                return Err(DatabaseError::Unavailable(
                    "another gatepost serves from it with `store: embedded`; stop that one, or use Redis for more than one replica"
                        .to_owned(),
                ));
            }
            sleep(ASK_EVERY / 2).await;
        }
        let before = served_by(&mut connection).await?;
        sqlx::query(self.sql("UPDATE installation SET served_by = ?")).bind(me.to_string()).execute(&mut connection).await?;
        let until = AtomicU64::new(boottime_ms() + millis(LEASE));
        let lease = Arc::new(Lease { database: self.clone(), me, until, lost: AtomicBool::new(false), on_loss: Notify::new() });
        let lock = Lock(Held::Lease(Arc::clone(&lease), tokio::spawn(keep(lease, Some(connection)))));
        if before.is_some() {
            tracing::info!("the server before did not stop cleanly: waiting until it cannot serve any more");
            sleep(UNTIL_OVER).await;
        }
        Ok(lock)
    }

    /// Whether a server holds the lock. Who asks takes nothing, or shares it, so that those who ask do not meet.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_served(&self) -> Result<bool, DatabaseError> {
        let statement = match self.engine {
            Engine::Sqlite => {
                let Ok(file) = File::open(self.lock_path()) else { return Ok(false) };
                return Ok(flock(&file, FlockOperation::NonBlockingLockShared).is_err());
            }
            Engine::Postgres => {
                "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1734440037 AND objid = 1886352244 AND objsubid = 2
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            }
            Engine::Mysql => "SELECT CASE WHEN IS_USED_LOCK(CONCAT('gatepost.', SHA1(DATABASE()))) IS NULL THEN 0 ELSE 1 END",
        };
        let (held,): (i64,) = sqlx::query_as(statement).fetch_one(&self.pool).await?;
        Ok(held != 0)
    }
}

impl Lock {
    /// Whether this process may serve now.
    pub fn is_held(&self) -> bool {
        match &self.0 {
            Held::File { .. } => true,
            Held::Lease(lease, _) => boottime_ms() < lease.until.load(Ordering::Acquire),
        }
    }

    /// Ends when another process has served meanwhile: this one must not go on.
    pub async fn lost(&self) {
        let Held::Lease(lease, _) = &self.0 else { return std::future::pending().await };
        loop {
            let told = lease.on_loss.notified();
            if lease.lost.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }

    /// This process serves no more: the next one need not wait.
    pub async fn release(&self) {
        let Held::Lease(lease, keeper) = &self.0 else { return };
        keeper.abort();
        lease.until.store(0, Ordering::Release);
        let clean = sqlx::query(lease.database.sql("UPDATE installation SET served_by = NULL WHERE served_by = ?"));
        if let Err(error) = clean.bind(lease.me.to_string()).execute(&lease.database.pool).await {
            tracing::warn!(%error, "the next start waits a moment");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Lease(_, keeper) = self {
            keeper.abort();
        }
    }
}

/// Asks for the lock without waiting. Its number in PostgreSQL spells `gate` and `post`.
async fn take(engine: Engine, connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let statement = match engine {
        Engine::Mysql => "SELECT CASE WHEN GET_LOCK(CONCAT('gatepost.', SHA1(DATABASE())), 0) = 1 THEN 1 ELSE 0 END",
        Engine::Postgres | Engine::Sqlite => "SELECT CASE WHEN pg_try_advisory_lock(1734440037, 1886352244) THEN 1 ELSE 0 END",
    };
    let (taken,): (i64,) = sqlx::query_as(statement).fetch_one(connection).await?;
    Ok(taken == 1)
}

async fn served_by(connection: &mut AnyConnection) -> Result<Option<String>, sqlx::Error> {
    let (served_by,): (Option<String>,) = sqlx::query_as("SELECT served_by FROM installation").fetch_one(connection).await?;
    Ok(served_by)
}

/// Keeps the lease while the connection answers; where it does not, takes the lock again over another.
async fn keep(lease: Arc<Lease>, mut connection: Option<AnyConnection>) {
    loop {
        sleep(ASK_EVERY).await;
        let asked = boottime_ms();
        match timeout(ANSWER, ask(&lease, connection.take())).await {
            Ok(Ok(Answer::Mine(held))) => {
                lease.until.store(asked + millis(LEASE), Ordering::Release);
                connection = Some(held);
            }
            Ok(Ok(Answer::NotYet)) => {}
            Ok(Ok(Answer::Lost)) => {
                lease.until.store(0, Ordering::Release);
                lease.lost.store(true, Ordering::Release);
                return lease.on_loss.notify_waiters();
            }
            Ok(Err(error)) => tracing::warn!(%error, "the lock in the database is not held; trying to have it again"),
            Err(_) => tracing::warn!("the lock in the database: no answer in time; trying to have it again"),
        }
    }
}

enum Answer {
    /// This process holds it.
    Mine(AnyConnection),
    /// The one who holds it has not served.
    NotYet,
    /// Another one has served, or does.
    Lost,
}

async fn ask(lease: &Lease, connection: Option<AnyConnection>) -> Result<Answer, DatabaseError> {
    let database = &lease.database;
    let (mut connection, held) = match connection {
        Some(connection) => (connection, true),
        None => {
            let mut connection = database.engine.connect_apart(database.url.expose_secret()).await?;
            let held = take(database.engine, &mut connection).await?;
            (connection, held)
        }
    };
    let is_mine = served_by(&mut connection).await? == Some(lease.me.to_string());
    Ok(match (is_mine, held) {
        (false, _) => Answer::Lost,
        (true, true) => Answer::Mine(connection),
        (true, false) => Answer::NotYet,
    })
}
