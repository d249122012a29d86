//! Keys that were made elsewhere: imported many at once, each import under the next number.
//!
//! An import is told to the token store by one outbox row, however many keys it brings: their records are read when they are asked
//! for, or with what came after a number. Nothing ended by it, so nothing of it need be replayed: its keys count as changed at 0.
//! INVARIANT: acts come one after the other, so whoever sees a number sees all before it.

use std::collections::HashSet;

use sqlx::AnyConnection;

use super::acts::{Act, list, spelled};
use super::{Database, DatabaseError, Engine, PendingKind, column};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Record;
use crate::token::secret::HashedSecret;
use crate::token::terms::Terms;

/// Most keys of one import.
pub const IMPORTED_AT_ONCE: usize = 1000;
/// The id in an outbox row that is about no record.
pub const NO_ID: Id = Id::from_bytes([0; 16]);

/// A key to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedKey {
    /// Its id, which follows from its hash.
    pub id: Id,
    /// SHA-256 of its text.
    pub hash: HashedSecret,
    /// Whose.
    pub principal: Id,
    /// What it is called.
    pub name: String,
    /// What it may do at most.
    pub scopes: ScopeSet,
    /// When it ends by itself.
    pub expires_at: Option<UnixMs>,
    /// What is agreed besides.
    pub terms: Terms,
}

impl Database {
    /// The number of the last import; 0 = there was none.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn newest_import(&self) -> Result<i64, DatabaseError> {
        let (newest,): (i64,) = sqlx::query_as(NEWEST).fetch_one(&self.pool).await?;
        Ok(newest)
    }

    /// The ids of the keys that imports after `after` brought, up to `until`, less those that have ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn imported_ids(&self, after: i64, until: i64) -> Result<Vec<Id>, DatabaseError> {
        let ids: Vec<(String,)> =
            sqlx::query_as(self.sql("SELECT id FROM api_keys WHERE imported > ? AND imported <= ? AND ended_at IS NULL"))
                .bind(after)
                .bind(until)
                .fetch_all(&self.pool)
                .await?;
        ids.iter().map(|(id,)| spelled("keys", id)).collect()
    }

    /// The records of the keys that imports after `after` brought.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn imported_records(&self, after: i64) -> Result<Vec<Record>, DatabaseError> {
        self.records_imported_after(after).await
    }

    /// Those of these keys that are there already, live or not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn keys_there(&self, keys: &[ImportedKey]) -> Result<HashSet<Id>, DatabaseError> {
        let mut read = self.pool.acquire().await?;
        there(&mut read, self.engine, keys).await
    }

    /// The number of the last outbox row; `None` = there is none.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn last_told(&self) -> Result<Option<i64>, DatabaseError> {
        let (last,): (Option<i64>,) = sqlx::query_as("SELECT MAX(n) FROM outbox").fetch_one(&self.pool).await?;
        Ok(last)
    }
}

impl Act {
    /// Imports keys, at most [`IMPORTED_AT_ONCE`], less those that are there already, live or not; says how many came.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub async fn import_keys(&mut self, keys: &[ImportedKey]) -> Result<usize, DatabaseError> {
        let (now, engine) = (self.now_column(), self.engine());
        let there = there(self.connection(), engine, keys).await?;
        let fresh: Vec<&ImportedKey> = keys.iter().filter(|key| !there.contains(&key.id)).collect();
        if fresh.is_empty() {
            return Ok(0);
        }
        let (newest,): (i64,) = sqlx::query_as(NEWEST).fetch_one(self.connection()).await?;
        let statement = format!(
            "INSERT INTO api_keys (id, principal, name, scopes, created_at, expires_at, changed_at, terms, imported) VALUES {}",
            list("(?, ?, ?, ?, ?, ?, 0, ?, ?)", fresh.len())
        );
        let mut insert = sqlx::query(engine.sql_of(&statement)).persistent(false);
        for key in &fresh {
            insert = insert
                .bind(key.id.to_string())
                .bind(key.principal.to_string())
                .bind(key.name.clone())
                .bind(key.scopes.to_string())
                .bind(now)
                .bind(key.expires_at.map(column))
                .bind(key.terms.written())
                .bind(newest + 1);
        }
        insert.execute(self.connection()).await?;
        let statement = format!("INSERT INTO key_secrets (hash, key_id, created_at) VALUES {}", list("(?, ?, ?)", fresh.len()));
        let mut insert = sqlx::query(engine.sql_of(&statement)).persistent(false);
        for key in &fresh {
            insert = insert.bind(key.hash.to_vec()).bind(key.id.to_string()).bind(now);
        }
        insert.execute(self.connection()).await?;
        self.tell(PendingKind::Imports, NO_ID).await?;
        Ok(fresh.len())
    }
}

const NEWEST: &str = "SELECT COALESCE(MAX(imported), 0) FROM api_keys";

/// Those that are there by id, or whose secret is.
async fn there(read: &mut AnyConnection, engine: Engine, keys: &[ImportedKey]) -> Result<HashSet<Id>, DatabaseError> {
    let mut there = HashSet::new();
    for keys in keys.chunks(IMPORTED_AT_ONCE) {
        let places = list("?", keys.len());
        let mut select = sqlx::query_as(engine.sql_of(&format!("SELECT id FROM api_keys WHERE id IN ({places})"))).persistent(false);
        for key in keys {
            select = select.bind(key.id.to_string());
        }
        let found: Vec<(String,)> = select.fetch_all(&mut *read).await?;
        for (id,) in found {
            there.insert(spelled("keys", &id)?);
        }
        let mut select = sqlx::query_as(engine.sql_of(&format!("SELECT hash FROM key_secrets WHERE hash IN ({places})"))).persistent(false);
        for key in keys {
            select = select.bind(key.hash.to_vec());
        }
        let found: Vec<(Vec<u8>,)> = select.fetch_all(&mut *read).await?;
        let found: HashSet<Vec<u8>> = found.into_iter().map(|(hash,)| hash).collect();
        there.extend(keys.iter().filter(|key| found.contains(&key.hash[..])).map(|key| key.id));
    }
    Ok(there)
}
