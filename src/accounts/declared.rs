//! What files declare: tenants, policies, principals and keys. Compared with what stands, and made so.
//!
//! INVARIANT: only what was made from a declaration is changed or ended by one. What somebody else made under the same name is
//! refused.
//! INVARIANT: all of it is one act, so one declaration that cannot be made so leaves everything as it was, and a check finds it, too.
//! Keys come last, because a key may hold only what its owner holds by then. Each change has its own entry in the audit trail.

mod keys;
mod policies;
mod principals;
mod tenants;
mod vanished;
mod work;

use self::work::Work;
use crate::clock::UnixMs;
use crate::database::{Committed, Database, DatabaseError};
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
    /// Its e-mail address, not proved; `None` = the files say nothing of it.
    pub email: Option<String>,
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
    /// When it ends by itself.
    pub expires_at: Option<UnixMs>,
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

/// Why nothing was done.
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
    /// The act, if anything was to be done.
    pub committed: Option<Committed>,
}

/// Compares, and makes it so.
///
/// # Errors
/// See [`ApplyError`]: then nothing is changed.
pub async fn apply(database: &Database, declared: &Declared, mode: Mode) -> Result<Applied, ApplyError> {
    let mut work = Work::begin(database).await?;
    work.tenants(&declared.tenants).await?;
    work.policies(&declared.policies).await?;
    work.principals(&declared.principals).await?;
    let keys = work.keys(&declared.keys).await?;
    work.vanished(mode == Mode::Prune).await?;
    for key in keys {
        work.make_key(key).await?;
    }
    let Work { mut act, differences, mut entries, .. } = work;
    let last = if mode == Mode::Check { None } else { entries.pop() };
    let committed = match last {
        Some(last) => {
            entries.into_iter().for_each(|entry| act.note(entry));
            Some(act.commit(&last).await?)
        }
        None => None,
    };
    Ok(Applied { differences, committed })
}

#[cfg(test)]
mod tests;
