//! API keys and the hashes of their secrets.
//!
//! INVARIANT: a key has one standing secret and at most one in its rotation grace.

use super::acts::{Act, Page, agreed, spelled};
use super::{Database, DatabaseError, PendingKind, column, time};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::HashedSecret;
use crate::token::terms::Terms;

/// A live key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: Id,
    /// Whose.
    pub principal: Id,
    /// What its owner calls it.
    pub name: String,
    /// What it may do at most.
    pub scopes: ScopeSet,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it ends by itself.
    pub expires_at: Option<UnixMs>,
    /// When it was last used, roughly.
    pub last_used_at: Option<UnixMs>,
    /// What is agreed besides.
    pub terms: Terms,
    /// Whether it was made elsewhere.
    pub imported: bool,
}

/// Which live keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WhichKeys {
    /// Of this principal; `None` = everyone's.
    pub of: Option<Id>,
    /// Those alone that were made elsewhere.
    pub imported: bool,
    /// Those alone that were never used.
    pub unused: bool,
}

type Columns = (String, String, String, String, i64, Option<i64>, Option<i64>, Option<String>, Option<i64>);

fn row((id, principal, name, scopes, created_at, expires_at, last_used_at, terms, imported): Columns) -> Result<KeyRow, DatabaseError> {
    Ok(KeyRow {
        id: spelled("keys", &id)?,
        principal: spelled("keys", &principal)?,
        name,
        scopes: spelled("keys", &scopes)?,
        created_at: time(created_at),
        expires_at: expires_at.map(time),
        last_used_at: last_used_at.map(time),
        terms: agreed("keys", terms.as_deref())?,
        imported: imported.is_some(),
    })
}

/// `SELECT` of the columns of a [`KeyRow`], live ones only; the first value is the time now.
macro_rules! live_keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, principal, name, scopes, created_at, expires_at, last_used_at, terms, imported FROM api_keys
             WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > ?) ",
            $rest
        )
    };
}

impl Database {
    /// Whether any live key may be used from some networks only.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn has_keys_of_networks(&self) -> Result<bool, DatabaseError> {
        // as `Terms` writes it; a quote within a text has a backslash before it
        let statement = r#"SELECT 1 FROM api_keys WHERE ended_at IS NULL AND terms LIKE '%"networks":[%' LIMIT 1"#;
        let row: Option<(i64,)> = sqlx::query_as(self.sql(statement)).fetch_optional(&self.pool).await?;
        Ok(row.is_some())
    }

    /// Live keys, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn keys_of(&self, which: WhichKeys, page: Page) -> Result<Vec<KeyRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let rows: Vec<Columns> = match which.of {
            Some(principal) => sqlx::query_as(self.sql(live_keys!(
                "AND principal = ? AND (? = 0 OR imported IS NOT NULL) AND (? = 0 OR last_used_at IS NULL)
                 AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?"
            )))
            .bind(self.now())
            .bind(principal.to_string()),
            None => sqlx::query_as(self.sql(live_keys!(
                "AND (? = 0 OR imported IS NOT NULL) AND (? = 0 OR last_used_at IS NULL)
                 AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?"
            )))
            .bind(self.now()),
        }
        .bind(i64::from(which.imported))
        .bind(i64::from(which.unused))
        .bind(at)
        .bind(id)
        .bind(i64::from(page.limit))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(row).collect()
    }

    /// The principal a key belongs to, live or not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn owner_of_key(&self, key: Id) -> Result<Option<Id>, DatabaseError> {
        let row: Option<(String,)> = sqlx::query_as(self.sql("SELECT principal FROM api_keys WHERE id = ?"))
            .bind(key.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|(principal,)| spelled("keys", &principal)).transpose()
    }
}

impl Database {
    /// Records when keys were used last: nothing that any record says, so no version grows. One transaction.
    ///
    /// # Errors
    /// Where it cannot be written; nothing is then.
    pub async fn keys_used(&self, used: impl IntoIterator<Item = (Id, UnixMs)>) -> Result<(), DatabaseError> {
        let mut used: Vec<_> = used.into_iter().collect();
        if used.is_empty() {
            return Ok(());
        }
        // rows are locked in one order, whoever writes
        used.sort_unstable_by_key(|(key, _)| *key);
        let mut write = self.pool.begin_with(self.engine.begin()).await?;
        for (key, at) in used {
            sqlx::query(self.sql("UPDATE api_keys SET last_used_at = ? WHERE id = ? AND COALESCE(last_used_at, 0) < ?"))
                .bind(column(at))
                .bind(key.to_string())
                .bind(column(at))
                .execute(&mut *write)
                .await?;
        }
        Ok(write.commit().await?)
    }
}

impl Act {
    /// The key, if it is live.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn live_key(&mut self, key: Id) -> Result<Option<KeyRow>, DatabaseError> {
        let now = self.now_column();
        let found: Option<Columns> =
            sqlx::query_as(self.sql(live_keys!("AND id = ?"))).bind(now).bind(key.to_string()).fetch_optional(self.connection()).await?;
        found.map(row).transpose()
    }

    /// Makes a key with its first secret.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_key(&mut self, key: &KeyRow, secret: HashedSecret) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql(
            "INSERT INTO api_keys (id, principal, name, scopes, created_at, expires_at, changed_at, terms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ))
        .bind(key.id.to_string())
        .bind(key.principal.to_string())
        .bind(&key.name)
        .bind(key.scopes.to_string())
        .bind(column(key.created_at))
        .bind(key.expires_at.map(column))
        .bind(now)
        .bind(key.terms.written())
        .execute(self.connection())
        .await?;
        self.insert_secret(key.id, secret).await?;
        self.tell(PendingKind::Key, key.id).await
    }

    async fn insert_secret(&mut self, key: Id, secret: HashedSecret) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("INSERT INTO key_secrets (hash, key_id, created_at) VALUES (?, ?, ?)"))
            .bind(secret.to_vec())
            .bind(key.to_string())
            .bind(now)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Gives a key a new secret. The standing one stays valid until `until`; one in an earlier grace ends now.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn rotate_key(&mut self, key: Id, secret: HashedSecret, until: Option<UnixMs>) -> Result<(), DatabaseError> {
        sqlx::query(self.sql("DELETE FROM key_secrets WHERE key_id = ? AND until IS NOT NULL"))
            .bind(key.to_string())
            .execute(self.connection())
            .await?;
        match until {
            Some(until) => {
                sqlx::query(self.sql("UPDATE key_secrets SET until = ? WHERE key_id = ?")).bind(column(until)).bind(key.to_string())
            }
            None => sqlx::query(self.sql("DELETE FROM key_secrets WHERE key_id = ?")).bind(key.to_string()),
        }
        .execute(self.connection())
        .await?;
        self.insert_secret(key, secret).await?;
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE api_keys SET version = version + 1, changed_at = ? WHERE id = ?"))
            .bind(now)
            .bind(key.to_string())
            .execute(self.connection())
            .await?;
        self.tell(PendingKind::Key, key).await
    }

    /// Changes what a key may do.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_key_scopes(&mut self, key: Id, scopes: &ScopeSet) -> Result<(), DatabaseError> {
        let update = "UPDATE api_keys SET scopes = ?, version = version + 1, changed_at = ? WHERE id = ?";
        self.rewrite(update, Some(scopes.to_string()), PendingKind::Key, key).await
    }

    /// Changes what is agreed about a key.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_key_terms(&mut self, key: Id, terms: &Terms) -> Result<(), DatabaseError> {
        let update = "UPDATE api_keys SET terms = ?, version = version + 1, changed_at = ? WHERE id = ?";
        self.rewrite(update, terms.written(), PendingKind::Key, key).await
    }

    /// Ends a key: one row, however many tokens were minted from it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_key(&mut self, key: Id) -> Result<(), DatabaseError> {
        let update = "UPDATE api_keys SET ended_at = ?, version = version + 1, changed_at = ? WHERE id = ? AND ended_at IS NULL";
        self.end_row(update, PendingKind::Key, key).await
    }

    /// Ends every live key of the built-in role `quickstart`; there is at most one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_quickstart_keys(&mut self) -> Result<(), DatabaseError> {
        let keys: Vec<(String,)> = sqlx::query_as(
            self.sql("SELECT k.id FROM api_keys k JOIN principals p ON p.uid = k.principal WHERE p.role = ? AND k.ended_at IS NULL"),
        )
        .bind(Role::Quickstart.as_str())
        .fetch_all(self.connection())
        .await?;
        for (key,) in keys {
            self.end_key(spelled("keys", &key)?).await?;
        }
        Ok(())
    }
}
