//! Invitations and the hashes of their codes.
//!
//! INVARIANT: an invitation is used once: the use is one update of a row that is still open, in the sign-up's own act.

use super::acts::{Act, Page, spelled};
use super::{Database, DatabaseError, column, time};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::secret::HashedSecret;

/// An open invitation: neither used, nor withdrawn, nor run out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationRow {
    /// Its id.
    pub id: Id,
    /// The tenant that whoever comes with it joins.
    pub tenant: Id,
    /// Who invites, and will stand above.
    pub inviter: Id,
    /// As what.
    pub role: Role,
    /// What it grants directly.
    pub scopes: ScopeSet,
    /// The policies it attaches.
    pub policies: Vec<Id>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it runs out.
    pub expires_at: UnixMs,
}

type Columns = (String, String, String, String, String, String, i64, i64);

fn row((id, tenant, inviter, role, scopes, policies, created_at, expires_at): Columns) -> Result<InvitationRow, DatabaseError> {
    const TABLE: &str = "invitations";
    Ok(InvitationRow {
        id: spelled(TABLE, &id)?,
        tenant: spelled(TABLE, &tenant)?,
        inviter: spelled(TABLE, &inviter)?,
        role: Role::from_name(&role).ok_or_else(|| DatabaseError::Unavailable(format!("a row of `{TABLE}` is damaged")))?,
        scopes: spelled(TABLE, &scopes)?,
        policies: policies.split_ascii_whitespace().map(|policy| spelled(TABLE, policy)).collect::<Result<_, _>>()?,
        created_at: time(created_at),
        expires_at: time(expires_at),
    })
}

/// `SELECT` of the columns of an [`InvitationRow`], open ones only; the first value is the time now.
macro_rules! open_invitations {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, inviter, role, scopes, policies, created_at, expires_at FROM invitations
             WHERE used_at IS NULL AND ended_at IS NULL AND expires_at > ? ",
            $rest
        )
    };
}

impl Database {
    /// The open invitation with this code.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn invitation(&self, code: HashedSecret) -> Result<Option<InvitationRow>, DatabaseError> {
        let found: Option<Columns> = sqlx::query_as(self.sql(open_invitations!("AND code = ?")))
            .bind(self.now())
            .bind(code.to_vec())
            .fetch_optional(&self.pool)
            .await?;
        found.map(row).transpose()
    }

    /// Open invitations of one inviter, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn invitations_of(&self, inviter: Id, page: Page) -> Result<Vec<InvitationRow>, DatabaseError> {
        let (at, id) = page.after_columns();
        let rows: Vec<Columns> =
            sqlx::query_as(self.sql(open_invitations!("AND inviter = ? AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?")))
                .bind(self.now())
                .bind(inviter.to_string())
                .bind(at)
                .bind(id)
                .bind(i64::from(page.limit))
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(row).collect()
    }
}

impl Act {
    /// The invitation, if it is open.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn open_invitation(&mut self, id: Id) -> Result<Option<InvitationRow>, DatabaseError> {
        let now = self.now_column();
        let found: Option<Columns> = sqlx::query_as(self.sql(open_invitations!("AND id = ?")))
            .bind(now)
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        found.map(row).transpose()
    }

    /// Makes an invitation.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn insert_invitation(&mut self, new: &InvitationRow, code: HashedSecret) -> Result<(), DatabaseError> {
        let policies: Vec<String> = new.policies.iter().map(Id::to_string).collect();
        sqlx::query(self.sql(
            "INSERT INTO invitations (id, tenant, inviter, role, scopes, policies, code, created_at, expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ))
        .bind(new.id.to_string())
        .bind(new.tenant.to_string())
        .bind(new.inviter.to_string())
        .bind(new.role.as_str())
        .bind(new.scopes.to_string())
        .bind(policies.join(" "))
        .bind(code.to_vec())
        .bind(column(new.created_at))
        .bind(column(new.expires_at))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Uses an invitation up; answers whether it was open: of two who come with it, one is let in.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn use_invitation(&mut self, id: Id, by: Id) -> Result<bool, DatabaseError> {
        let now = self.now_column();
        let done = sqlx::query(self.sql(
            "UPDATE invitations SET used_at = ?, used_by = ?
             WHERE id = ? AND used_at IS NULL AND ended_at IS NULL AND expires_at > ?",
        ))
        .bind(now)
        .bind(by.to_string())
        .bind(id.to_string())
        .bind(now)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Withdraws an invitation.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn end_invitation(&mut self, id: Id) -> Result<(), DatabaseError> {
        let now = self.now_column();
        sqlx::query(self.sql("UPDATE invitations SET ended_at = ? WHERE id = ? AND used_at IS NULL AND ended_at IS NULL"))
            .bind(now)
            .bind(id.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
