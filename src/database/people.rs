//! Tenants, principals and the founding.
//!
//! INVARIANT: a principal's row stays after its end, so its names are never given to anyone else.

use std::collections::HashMap;

use sqlx::AnyConnection;

use super::acts::{Act, list, spelled};
use super::{Database, DatabaseError, Engine, PendingKind};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::HashedSecret;

/// How long a set-up code counts where several processes print one.
const SETUP_CODES_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// What a principal is called, as a column: user name, verified e-mail or verified phone, otherwise its uid.
macro_rules! shown_name {
    () => {
        "COALESCE(user_name, CASE WHEN email_verified <> 0 THEN email END, CASE WHEN phone_verified <> 0 THEN phone END, uid)"
    };
}

pub(super) use shown_name;

/// A principal to be made.
#[derive(Debug)]
pub struct NewPrincipal<'a> {
    /// Its id.
    pub uid: Id,
    /// The tenant it belongs to.
    pub tenant: Id,
    /// The principal above; `None` = at the top of its tenant.
    pub parent: Option<Id>,
    /// Where it stands.
    pub role: Role,
    /// User name, folded.
    pub user: Option<&'a str>,
    /// E-mail address, folded.
    pub email: Option<&'a str>,
    /// Phone number, `+` and digits.
    pub phone: Option<&'a str>,
    /// Which of e-mail address and phone number are proved.
    pub verified: &'a [NameKind],
    /// argon2id, PHC string.
    pub password: Option<&'a str>,
    /// What it is given directly.
    pub scopes: &'a ScopeSet,
}

/// How a person is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// By user name.
    User,
    /// By e-mail address.
    Email,
    /// By phone number.
    Phone,
}

/// Whose password to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// The principal.
    pub uid: Id,
    /// argon2id, PHC string; `None` where it has none.
    pub password: Option<String>,
}

impl Database {
    /// Whether the installation has been founded.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_founded(&self) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(self.sql("SELECT one FROM founding")).fetch_optional(&self.pool).await?;
        Ok(row.is_some())
    }

    /// The founder's tenant, unless it is blocked.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn founding_tenant(&self) -> Result<Option<Id>, DatabaseError> {
        let row: Option<(String,)> = sqlx::query_as(self.sql(
            "SELECT t.id FROM founding f JOIN principals p ON p.uid = f.principal JOIN tenants t ON t.id = p.tenant WHERE t.blocked = 0",
        ))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(tenant,)| spelled("tenants", &tenant)).transpose()
    }

    /// Keeps the hash of a set-up code; `alone` = those of other processes count no more.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn keep_setup_code(&self, code: HashedSecret, alone: bool) -> Result<(), DatabaseError> {
        let until = if alone { i64::MAX } else { self.now().saturating_sub(SETUP_CODES_KEPT_MS) };
        sqlx::query(self.sql("DELETE FROM setup_codes WHERE created_at < ?")).bind(until).execute(&self.pool).await?;
        sqlx::query(self.sql("INSERT INTO setup_codes (hash, created_at) VALUES (?, ?)"))
            .bind(code.to_vec())
            .bind(self.now())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whether this is the hash of a set-up code that a process has printed.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_setup_code(&self, code: HashedSecret) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> =
            sqlx::query_as(self.sql("SELECT 1 FROM setup_codes WHERE hash = ?")).bind(code.to_vec()).fetch_optional(&self.pool).await?;
        Ok(row.is_some())
    }

    /// The principal of this folded name, if it has not ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn login_row(&self, kind: NameKind, name: &str) -> Result<Option<LoginRow>, DatabaseError> {
        let statement = match kind {
            NameKind::User => "SELECT uid, password FROM principals WHERE user_name = ? AND ended_at IS NULL",
            NameKind::Email => "SELECT uid, password FROM principals WHERE email = ? AND ended_at IS NULL",
            NameKind::Phone => "SELECT uid, password FROM principals WHERE phone = ? AND ended_at IS NULL",
        };
        let row: Option<(String, Option<String>)> = sqlx::query_as(self.sql(statement)).bind(name).fetch_optional(&self.pool).await?;
        row.map(|(uid, password)| Ok(LoginRow { uid: spelled("principals", &uid)?, password })).transpose()
    }

    /// Whether this folded name is or was someone's.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_taken(&self, kind: NameKind, name: &str) -> Result<bool, DatabaseError> {
        let statement = match kind {
            NameKind::User => "SELECT 1 FROM principals WHERE user_name = ?",
            NameKind::Email => {
                "SELECT 1 FROM principals WHERE email = ? UNION ALL SELECT 1 FROM former_contacts WHERE name_kind = 'email' AND name = ?"
            }
            NameKind::Phone => {
                "SELECT 1 FROM principals WHERE phone = ? UNION ALL SELECT 1 FROM former_contacts WHERE name_kind = 'phone' AND name = ?"
            }
        };
        let mut query = sqlx::query_as(self.sql(statement)).bind(name);
        if kind != NameKind::User {
            query = query.bind(name);
        }
        let row: Option<(i64,)> = query.fetch_optional(&self.pool).await?;
        Ok(row.is_some())
    }

    /// Whether this principal has proved a phone number.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn has_phone(&self, uid: Id) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(self.sql("SELECT 1 FROM principals WHERE uid = ? AND phone_verified <> 0"))
            .bind(uid.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    /// The user name, verified e-mail or verified phone of a principal, otherwise its uid.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn shown_name(&self, uid: Id) -> Result<Option<String>, DatabaseError> {
        let row: Option<(String,)> = sqlx::query_as(self.sql(concat!("SELECT ", shown_name!(), " FROM principals WHERE uid = ?")))
            .bind(uid.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(name,)| name))
    }

    /// The same of several at once: of those below `below`, or of whoever there is. Those who have ended keep their names.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn shown_names(&self, uids: &[Id], below: Option<Id>) -> Result<HashMap<Id, String>, DatabaseError> {
        if uids.is_empty() {
            return Ok(HashMap::new());
        }
        let (first, last) = match below {
            Some(_) => (
                "WITH RECURSIVE below (uid) AS (
                     SELECT uid FROM principals WHERE parent = ?
                     UNION SELECT p.uid FROM principals p JOIN below b ON p.parent = b.uid
                 ) ",
                " AND uid IN (SELECT uid FROM below)",
            ),
            None => ("", ""),
        };
        let places = list("?", uids.len());
        let statement = format!(concat!("{}SELECT uid, ", shown_name!(), " FROM principals WHERE uid IN ({}){}"), first, places, last);
        let mut select = sqlx::query_as(self.engine.sql_of(&statement)).persistent(false);
        for id in below.iter().chain(uids) {
            select = select.bind(id.to_string());
        }
        let rows: Vec<(String, String)> = select.fetch_all(&self.pool).await?;
        rows.into_iter().map(|(uid, name)| Ok((spelled("principals", &uid)?, name))).collect()
    }

    /// Whether anyone who has not ended stands right below `uid`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn has_below(&self, uid: Id) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(self.sql("SELECT 1 FROM principals WHERE parent = ? AND ended_at IS NULL LIMIT 1"))
            .bind(uid.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    /// Whether `uid` is somewhere below `above` in the tree.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_below(&self, uid: Id, above: Id) -> Result<bool, DatabaseError> {
        is_below(&mut *self.pool.acquire().await?, uid, above).await
    }
}

async fn is_below(read: &mut AnyConnection, uid: Id, above: Id) -> Result<bool, DatabaseError> {
    let row: Option<(i64,)> = sqlx::query_as(Engine::of(read).sql(
        "WITH RECURSIVE up (uid) AS (
             SELECT parent FROM principals WHERE uid = ?
             UNION SELECT p.parent FROM principals p JOIN up ON p.uid = up.uid
         ) SELECT 1 FROM up WHERE uid = ?",
    ))
    .bind(uid.to_string())
    .bind(above.to_string())
    .fetch_optional(read)
    .await?;
    Ok(row.is_some())
}

impl Act {
    /// Whether the installation has been founded, as this act sees it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_founded(&mut self) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(self.sql("SELECT one FROM founding")).fetch_optional(self.connection()).await?;
        Ok(row.is_some())
    }

    /// Whether `uid` is somewhere below `above` in the tree.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_below(&mut self, uid: Id, above: Id) -> Result<bool, DatabaseError> {
        is_below(self.connection(), uid, above).await
    }

    /// The built-in principal of the first minutes, if it has not ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn quickstart_principal(&mut self) -> Result<Option<Id>, DatabaseError> {
        let row: Option<(String,)> = sqlx::query_as(self.sql("SELECT uid FROM principals WHERE role = ? AND ended_at IS NULL"))
            .bind(Role::Quickstart.as_str())
            .fetch_optional(self.connection())
            .await?;
        row.map(|(uid,)| spelled("principals", &uid)).transpose()
    }

    /// Makes `uid` the founder, unless there is one: answers whether it now is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn found(&mut self, uid: Id) -> Result<bool, DatabaseError> {
        let now = self.now_column();
        let row = sqlx::query(self.sql("INSERT INTO founding (one, principal, at) VALUES (1, ?, ?) ON CONFLICT DO NOTHING"))
            .bind(uid.to_string())
            .bind(now)
            .execute(self.connection())
            .await?;
        if row.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(self.sql("DELETE FROM setup_codes")).execute(self.connection()).await?;
        Ok(true)
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_tenant(&mut self, id: Id, name: &str) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("INSERT INTO tenants (id, name, created_at, changed_at) VALUES (?, ?, ?, ?)"))
            .bind(id.to_string())
            .bind(name)
            .bind(now)
            .bind(now)
            .execute(self.connection())
            .await?;
        self.tell(PendingKind::Subject, id).await
    }

    /// Makes a principal.
    ///
    /// # Errors
    /// [`DatabaseError::Taken`] where one of its names is or was someone's.
    pub async fn insert_principal(&mut self, new: &NewPrincipal<'_>) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql(
            "INSERT INTO principals (uid, tenant, parent, role, user_name, email, email_verified, phone, phone_verified, password, scopes,
                                     created_at, changed_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ))
        .bind(new.uid.to_string())
        .bind(new.tenant.to_string())
        .bind(new.parent.map(|parent| parent.to_string()))
        .bind(new.role.as_str())
        .bind(new.user)
        .bind(new.email)
        .bind(i64::from(new.email.is_some() && new.verified.contains(&NameKind::Email)))
        .bind(new.phone)
        .bind(i64::from(new.phone.is_some() && new.verified.contains(&NameKind::Phone)))
        .bind(new.password)
        .bind(new.scopes.to_string())
        .bind(now)
        .bind(now)
        .execute(self.connection())
        .await?;
        self.tell(PendingKind::Subject, new.uid).await
    }

    /// Records who a principal is at an OpenID provider.
    ///
    /// # Errors
    /// [`DatabaseError::Taken`] where that identity is someone's.
    pub async fn insert_identity(&mut self, issuer: &str, subject: &str, provider: &str, principal: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("INSERT INTO identities (issuer, subject, provider, principal, created_at) VALUES (?, ?, ?, ?, ?)"))
            .bind(issuer)
            .bind(subject)
            .bind(provider)
            .bind(principal.to_string())
            .bind(now)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Ends a principal: it and everyone below is refused from here on.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_principal(&mut self, uid: Id) -> Result<(), DatabaseError> {
        let update = "UPDATE principals SET ended_at = ?, changed_at = ?, version = version + 1 WHERE uid = ? AND ended_at IS NULL";
        self.end_row(update, PendingKind::Subject, uid).await
    }

    /// Whether `uid` has this password hash.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn has_password(&mut self, uid: Id, hash: &str) -> Result<bool, DatabaseError> {
        let row: Option<(i64,)> = sqlx::query_as(self.sql("SELECT 1 FROM principals WHERE uid = ? AND password = ? AND ended_at IS NULL"))
            .bind(uid.to_string())
            .bind(hash)
            .fetch_optional(self.connection())
            .await?;
        Ok(row.is_some())
    }

    /// Replaces a password hash, if it still is `old`: of two changes that both knew the old password, one stands.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn replace_password(&mut self, uid: Id, old: &str, new: &str) -> Result<bool, DatabaseError> {
        let row = sqlx::query(self.sql("UPDATE principals SET password = ? WHERE uid = ? AND password = ? AND ended_at IS NULL"))
            .bind(new)
            .bind(uid.to_string())
            .bind(old)
            .execute(self.connection())
            .await?;
        Ok(row.rows_affected() == 1)
    }
}
