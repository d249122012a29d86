//! What files declare: tenants, policies, principals and keys. Compared with what stands, and made so.
//!
//! INVARIANT: only what was made from a declaration is changed or ended by one. What somebody else made under the same name is
//! refused.
//! INVARIANT: people and policies are one act; so are keys, which come after it because a key may hold only what its owner holds
//! then. Each change has its own entry in the audit trail.

mod keys;
mod policies;
mod principals;
mod tenants;
mod vanished;
mod work;

use self::work::Work;
use crate::audit::Entry;
use crate::database::{Act, Committed, Database, DatabaseError};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::Role;
use crate::token::terms::Terms;

/// Everything that files declare.
#[derive(Debug, Default)]
pub struct Declared {
    /// Tenants.
    pub tenants: Vec<Tenant>,
    /// Policies.
    pub policies: Vec<Policy>,
    /// Principals, in any order.
    pub principals: Vec<Principal>,
    /// Keys.
    pub keys: Vec<Key>,
}

/// A tenant.
#[derive(Debug)]
pub struct Tenant {
    /// Its name in these files, and what it is called.
    pub name: String,
    /// Whether it is blocked.
    pub blocked: bool,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// A policy.
#[derive(Debug)]
pub struct Policy {
    /// Its name, unique in its tenant.
    pub name: String,
    /// A tenant of these files, or the id of any; `None` = the founder's.
    pub tenant: Option<String>,
    /// What it gives.
    pub allow: ScopeSet,
    /// What it takes.
    pub deny: ScopeSet,
    /// What is agreed about it: a limit.
    pub terms: Terms,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// A principal. It has no password: it uses keys, or sets one otherwise.
#[derive(Debug)]
pub struct Principal {
    /// Its user name.
    pub user: String,
    /// As for a policy.
    pub tenant: Option<String>,
    /// Admin, client or sub-client.
    pub role: Role,
    /// The user name of who stands above; `None` = at the top of its tenant.
    pub below: Option<String>,
    /// The names of its tenant's policies in these files.
    pub policies: Vec<String>,
    /// What it is given directly.
    pub scopes: ScopeSet,
    /// Whether it is blocked.
    pub blocked: bool,
    /// What is agreed about it.
    pub terms: Terms,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// An API key, by its hash.
#[derive(Debug)]
pub struct Key {
    /// Its id, which its text carries.
    pub id: Id,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// The user name of its owner.
    pub principal: String,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// What is agreed about it.
    pub terms: Terms,
    /// `FILE:LINE:COLUMN: path`
    pub at: String,
}

/// A difference between files and database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `+` to be made, `~` to be changed, `-` to be ended.
    pub sign: char,
    /// What it is about, like `policy acme/readers`.
    pub what: String,
    /// What differs.
    pub details: Vec<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.sign, self.what)?;
        self.details.iter().try_for_each(|detail| write!(f, "\n    {detail}"))
    }
}

/// What to do about differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Look.
    Check,
    /// Make it so, but end nothing.
    Apply,
    /// Make it so, and end what was declared once and is no more.
    Prune,
}

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The database.
    #[error("{0}")]
    Database(#[from] DatabaseError),
    /// A declaration that cannot be made so: its place, and what to do.
    #[error("{at}: {what}")]
    Declaration {
        /// `FILE:LINE:COLUMN: path`
        at: String,
        /// What is wrong; what to do.
        what: String,
    },
}

fn wrong(at: &str, what: impl Into<String>) -> ApplyError {
    ApplyError::Declaration { at: at.to_owned(), what: what.into() }
}

/// What came of it.
#[derive(Debug)]
pub struct Applied {
    /// What differed: done, unless it was a check; what was to be ended only with [`Mode::Prune`].
    pub differences: Vec<Difference>,
    /// The last act, if any.
    pub committed: Option<Committed>,
}

/// Compares, and makes it so.
///
/// # Errors
/// See [`ApplyError`]. After one about a key, the rest stands.
pub async fn apply(database: &Database, declared: &Declared, mode: Mode) -> Result<Applied, ApplyError> {
    let mut work = Work::begin(database).await?;
    work.tenants(&declared.tenants).await?;
    work.policies(&declared.policies).await?;
    work.principals(&declared.principals).await?;
    let keys = work.keys(&declared.keys).await?;
    work.vanished(mode == Mode::Prune).await?;
    let Work { act, differences, mut entries, .. } = work;
    if mode == Mode::Check {
        return Ok(Applied { differences, committed: None });
    }
    let mut committed = None;
    if let Some(last) = entries.pop() {
        committed = Some(commit(act, entries, &last).await?);
    } else {
        drop(act);
    }
    for key in keys {
        committed = Some(keys::make_key(database, key).await?);
    }
    Ok(Applied { differences, committed })
}

async fn commit(mut act: Act, entries: Vec<Entry>, last: &Entry) -> Result<Committed, DatabaseError> {
    entries.into_iter().for_each(|entry| act.note(entry));
    act.commit(last).await
}

#[cfg(test)]
mod tests;
