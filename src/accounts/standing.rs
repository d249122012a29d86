//! Where a principal stands: whether anyone above is blocked, and what it may do now.

use crate::database::{Act, Database, DatabaseError, PendingKind};
use crate::decision::holder::Grant;
use crate::id::Id;
use crate::token::holder::effective;
use crate::token::record::{Content, Fill, Record, Role, SessionRecord, SubjectRecord};

/// A principal that is refused by nobody above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id.
    pub uid: Id,
    /// What is recorded of it.
    pub subject: SubjectRecord,
    /// What it may do.
    pub grant: Grant,
}

impl Standing {
    /// Whether it may make policies and act for its whole tenant.
    pub fn is_admin(&self) -> bool {
        matches!(self.subject.role, Role::SuperAdmin | Role::Admin)
    }

    /// Whether every tenant is open to it.
    pub fn is_super_admin(&self) -> bool {
        self.subject.role == Role::SuperAdmin
    }

    /// Whether someone of `role` stands below it in the order super admin, admin, client, sub-client, end user.
    pub fn outranks(&self, role: Role) -> bool {
        matches!((rank(self.subject.role), rank(role)), (Some(own), Some(other)) if own < other)
    }

    /// Whether it stands above `uid`: in its own tree, a super admin above everyone.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_above(&self, act: &mut Act, uid: Id) -> Result<bool, DatabaseError> {
        if uid == self.uid {
            return Ok(false);
        }
        Ok(self.is_super_admin() || act.is_below(uid, self.uid).await?)
    }

    /// The same, outside an act.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_above_now(&self, database: &Database, uid: Id) -> Result<bool, DatabaseError> {
        if uid == self.uid {
            return Ok(false);
        }
        Ok(self.is_super_admin() || database.is_below(uid, self.uid).await?)
    }
}

/// How far from the top; `None` = it is in nobody's order.
fn rank(role: Role) -> Option<u8> {
    match role {
        Role::SuperAdmin => Some(0),
        Role::Admin => Some(1),
        Role::Client => Some(2),
        Role::SubClient => Some(3),
        Role::EndUser => Some(4),
        Role::Tenant | Role::Quickstart | Role::Foreign => None,
    }
}

/// The standing of a principal. `None` = unknown, ended, or blocked by anyone above.
///
/// # Errors
/// Where the database cannot be read.
pub async fn of_principal(database: &Database, uid: Id) -> Result<Option<Standing>, DatabaseError> {
    Ok(judge(database.records_of(PendingKind::Subject, uid).await?))
}

/// The same within an act, with what it has changed.
///
/// # Errors
/// Where the database cannot be read.
pub async fn within(act: &mut Act, uid: Id) -> Result<Option<Standing>, DatabaseError> {
    Ok(judge(act.records_of(PendingKind::Subject, uid).await?))
}

/// The session and the standing of who logged in. `None` = unknown, ended, or run out.
///
/// # Errors
/// Where the database cannot be read.
pub async fn of_session(database: &Database, session: Id) -> Result<Option<(SessionRecord, Standing)>, DatabaseError> {
    let mut records = database.records_of(PendingKind::Session, session).await?;
    if records.is_empty() {
        return Ok(None);
    }
    let Content::Session(session) = records.remove(0).content else { return Ok(None) };
    if !session.is_live(database.clock().now()) {
        return Ok(None);
    }
    Ok(judge(records).filter(|standing| standing.uid == session.subject).map(|standing| (session, standing)))
}

fn judge(records: Vec<Record>) -> Option<Standing> {
    let Fill { key: None, session: None, chain, policies, .. } = Fill::of(records) else { return None };
    let grant = effective(&chain, &policies)?;
    let (uid, subject) = chain.into_iter().next()?;
    Some(Standing { uid, subject, grant })
}
