//! What `gatepost apply` made: under which name, and what it became.

use super::DatabaseError;
use super::acts::{Act, spelled};
use crate::id::Id;

/// What can be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeclaredKind {
    /// A tenant.
    Tenant,
    /// A policy of a tenant.
    Policy,
    /// A principal.
    Principal,
    /// An API key.
    Key,
}

impl DeclaredKind {
    /// As in the database, and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Policy => "policy",
            Self::Principal => "principal",
            Self::Key => "key",
        }
    }
}

impl Act {
    /// Everything that was declared, and what it became.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn declared(&mut self) -> Result<Vec<(DeclaredKind, String, Id)>, DatabaseError> {
        const KINDS: [DeclaredKind; 4] = [DeclaredKind::Tenant, DeclaredKind::Policy, DeclaredKind::Principal, DeclaredKind::Key];
        let statement = self.sql("SELECT kind, name, id FROM declared ORDER BY kind, name");
        let rows: Vec<(String, String, String)> = sqlx::query_as(statement).fetch_all(self.connection()).await?;
        let row = |(kind, name, id): (String, String, String)| {
            let damaged = || DatabaseError::Unavailable("a row of `declared` is damaged".to_owned());
            Ok((KINDS.into_iter().find(|known| known.as_str() == kind).ok_or_else(damaged)?, name, spelled("declared", &id)?))
        };
        rows.into_iter().map(row).collect()
    }

    /// Notes what a declaration became.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn declare(&mut self, kind: DeclaredKind, name: &str, id: Id) -> Result<(), DatabaseError> {
        self.forget_declared(kind, name).await?;
        let insert = self.sql("INSERT INTO declared (kind, name, id) VALUES (?, ?, ?)");
        sqlx::query(insert).bind(kind.as_str()).bind(name).bind(id.to_string()).execute(self.connection()).await?;
        Ok(())
    }

    /// It is declared no more.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn forget_declared(&mut self, kind: DeclaredKind, name: &str) -> Result<(), DatabaseError> {
        let delete = self.sql("DELETE FROM declared WHERE kind = ? AND name = ?");
        sqlx::query(delete).bind(kind.as_str()).bind(name).execute(self.connection()).await?;
        Ok(())
    }

    /// Whether a user name is anyone's, or was.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn user_named(&mut self, name: &str) -> Result<Option<Id>, DatabaseError> {
        let statement = self.sql("SELECT uid FROM principals WHERE user_name = ?");
        let row: Option<(String,)> = sqlx::query_as(statement).bind(name).fetch_optional(self.connection()).await?;
        row.map(|(uid,)| spelled("principals", &uid)).transpose()
    }

    /// Whether this is the hash of the key's standing secret.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_key_secret(&mut self, key: Id, hash: &[u8; 32]) -> Result<bool, DatabaseError> {
        let statement = self.sql("SELECT 1 FROM key_secrets WHERE key_id = ? AND hash = ? AND until IS NULL");
        let row: Option<(i64,)> =
            sqlx::query_as(statement).bind(key.to_string()).bind(hash.to_vec()).fetch_optional(self.connection()).await?;
        Ok(row.is_some())
    }

    /// The tenant of the founder.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn founders_tenant(&mut self) -> Result<Option<Id>, DatabaseError> {
        let statement = self.sql("SELECT p.tenant FROM founding f JOIN principals p ON p.uid = f.principal");
        let row: Option<(String,)> = sqlx::query_as(statement).fetch_optional(self.connection()).await?;
        row.map(|(tenant,)| spelled("principals", &tenant)).transpose()
    }
}
