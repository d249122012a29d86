//! Where a principal stands: whether anyone above is blocked, and what it may do now.

use crate::database::{Database, DatabaseError, PendingKind};
use crate::decision::holder::Grant;
use crate::id::Id;
use crate::token::holder::effective;
use crate::token::record::{Content, Fill, Record, SessionRecord, SubjectRecord};

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

/// The standing of a principal. `None` = unknown, ended, or blocked by anyone above.
///
/// # Errors
/// Where the database cannot be read.
pub async fn of_principal(database: &Database, uid: Id) -> Result<Option<Standing>, DatabaseError> {
    Ok(judge(database.records_of(PendingKind::Subject, uid).await?))
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
