//! Principals and tenants as those above see them.

use sqlx::AnyConnection;

use super::acts::{Act, Page, agreed, spelled};
use super::people::shown_name;
use super::{Database, DatabaseError, Engine, PendingKind, time};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::terms::Terms;

/// A principal that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalRow {
    /// Its id.
    pub uid: Id,
    /// User name, verified e-mail or verified phone, otherwise the uid.
    pub name: String,
    /// Where it stands.
    pub role: Role,
    /// The tenant it belongs to.
    pub tenant: Id,
    /// The principal above; `None` = at the top of its tenant.
    pub parent: Option<Id>,
    /// What it was given directly.
    pub scopes: ScopeSet,
    /// The policies attached to it.
    pub policies: Vec<Id>,
    /// Whether it itself is blocked.
    pub blocked: bool,
    /// When it was made.
    pub created_at: UnixMs,
    /// What is agreed besides.
    pub terms: Terms,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub id: Id,
    /// What it is called.
    pub name: String,
    /// Whether it is blocked.
    pub blocked: bool,
    /// When it was made.
    pub created_at: UnixMs,
}

/// Which principals a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Of this role.
    pub role: Role,
    /// Below this one; `None` = wherever they stand.
    pub below: Option<Id>,
}

type Columns = (String, String, String, String, Option<String>, String, i64, i64, Option<String>);

/// `SELECT` of the columns of a [`PrincipalRow`] less its policies, those not ended only.
macro_rules! live_principals {
    ($rest:literal) => {
        concat!(
            "SELECT uid, ",
            shown_name!(),
            ", role, tenant, parent, scopes, blocked, created_at, terms FROM principals WHERE ended_at IS NULL ",
            $rest
        )
    };
}

async fn row(
    read: &mut AnyConnection,
    (uid, name, role, tenant, parent, scopes, blocked, created_at, terms): Columns,
) -> Result<PrincipalRow, DatabaseError> {
    const TABLE: &str = "principals";
    let attached: Vec<(String,)> =
        sqlx::query_as(Engine::of(read).sql("SELECT DISTINCT policy FROM principal_policies WHERE principal = ? ORDER BY policy"))
            .bind(uid.clone())
            .fetch_all(&mut *read)
            .await?;
    Ok(PrincipalRow {
        uid: spelled(TABLE, &uid)?,
        name,
        role: Role::from_name(&role).ok_or_else(|| DatabaseError::Unavailable(format!("a row of `{TABLE}` is damaged")))?,
        tenant: spelled(TABLE, &tenant)?,
        parent: parent.map(|parent| spelled(TABLE, &parent)).transpose()?,
        scopes: spelled(TABLE, &scopes)?,
        policies: attached.iter().map(|(policy,)| spelled("principal_policies", policy)).collect::<Result<_, _>>()?,
        blocked: blocked != 0,
        created_at: time(created_at),
        terms: agreed(TABLE, terms.as_deref())?,
    })
}

async fn one(read: &mut AnyConnection, uid: Id) -> Result<Option<PrincipalRow>, DatabaseError> {
    let found: Option<Columns> =
        sqlx::query_as(Engine::of(read).sql(live_principals!("AND uid = ?"))).bind(uid.to_string()).fetch_optional(&mut *read).await?;
    match found {
        Some(found) => row(read, found).await.map(Some),
        None => Ok(None),
    }
}

impl Database {
    /// The principal, if it has not ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn principal(&self, uid: Id) -> Result<Option<PrincipalRow>, DatabaseError> {
        one(&mut *self.reading().await?, uid).await
    }

    /// Principals, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn principals(&self, listed: Listed, page: Page) -> Result<Vec<PrincipalRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let mut read = self.reading().await?;
        let found: Vec<Columns> = match listed.below {
            Some(above) => sqlx::query_as(self.sql(concat!(
                "WITH RECURSIVE below (uid) AS (
                     SELECT uid FROM principals WHERE parent = ?
                     UNION SELECT p.uid FROM principals p JOIN below b ON p.parent = b.uid
                 ) ",
                live_principals!(
                    "AND uid IN (SELECT uid FROM below) AND role = ? AND (created_at, uid) > (?, ?) ORDER BY created_at, uid LIMIT ?"
                )
            )))
            .bind(above.to_string()),
            None => {
                sqlx::query_as(self.sql(live_principals!("AND role = ? AND (created_at, uid) > (?, ?) ORDER BY created_at, uid LIMIT ?")))
            }
        }
        .bind(listed.role.as_str())
        .bind(at)
        .bind(id)
        .bind(i64::from(page.limit))
        .fetch_all(&mut *read)
        .await?;
        let mut rows = Vec::with_capacity(found.len());
        for columns in found {
            rows.push(row(&mut read, columns).await?);
        }
        Ok(rows)
    }

    /// The founder, with its tenant; `None` = nobody has founded.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn founder(&self) -> Result<Option<(Id, Id)>, DatabaseError> {
        let row: Option<(String, String)> =
            sqlx::query_as(self.sql("SELECT p.uid, p.tenant FROM founding f JOIN principals p ON p.uid = f.principal"))
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(uid, tenant)| Ok((spelled("founding", &uid)?, spelled("principals", &tenant)?))).transpose()
    }

    /// Tenants, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn tenants(&self, page: Page) -> Result<Vec<TenantRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
            self.sql("SELECT id, name, blocked, created_at FROM tenants WHERE (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?"),
        )
        .bind(at)
        .bind(id)
        .bind(i64::from(page.limit))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(tenant).collect()
    }
}

fn tenant((id, name, blocked, created_at): (String, String, i64, i64)) -> Result<TenantRow, DatabaseError> {
    Ok(TenantRow { id: spelled("tenants", &id)?, name, blocked: blocked != 0, created_at: time(created_at) })
}

impl Act {
    /// The principal, if it has not ended.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn principal(&mut self, uid: Id) -> Result<Option<PrincipalRow>, DatabaseError> {
        one(self.connection(), uid).await
    }

    /// Writes whether a principal is blocked and what it holds directly: one record, however many stand below.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_principal(&mut self, uid: Id, blocked: bool, scopes: &ScopeSet) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE principals SET blocked = ?, scopes = ?, version = version + 1, changed_at = ? WHERE uid = ?"))
            .bind(i64::from(blocked))
            .bind(scopes.to_string())
            .bind(now)
            .bind(uid.to_string())
            .execute(self.connection())
            .await?;
        self.tell(PendingKind::Subject, uid).await
    }

    /// Changes what is agreed about a principal.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_principal_terms(&mut self, uid: Id, terms: &Terms) -> Result<(), DatabaseError> {
        let update = "UPDATE principals SET terms = ?, version = version + 1, changed_at = ? WHERE uid = ?";
        self.rewrite(update, terms.written(), PendingKind::Subject, uid).await
    }

    /// The tenant.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn tenant(&mut self, id: Id) -> Result<Option<TenantRow>, DatabaseError> {
        let found: Option<(String, String, i64, i64)> =
            sqlx::query_as(self.sql("SELECT id, name, blocked, created_at FROM tenants WHERE id = ?"))
                .bind(id.to_string())
                .fetch_optional(self.connection())
                .await?;
        found.map(tenant).transpose()
    }

    /// Writes whether a tenant is blocked: one record, whoever belongs to it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn set_tenant(&mut self, id: Id, blocked: bool) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE tenants SET blocked = ?, version = version + 1, changed_at = ? WHERE id = ?"))
            .bind(i64::from(blocked))
            .bind(now)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        self.tell(PendingKind::Subject, id).await
    }
}
