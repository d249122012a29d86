//! `gatepost export` and `gatepost import`: a copy of everything, for a backup or for a move to other stores.
//!
//! The copy is lines of JSON ([`format`]): who wrote it, then table by table every row, then how many there were and their
//! SHA-256. It is read under one snapshot while servers run, and put into an empty database in one transaction.
//!
//! INVARIANT: no secret key is in it, nor anything it would take to make a credential without them: tokens are made again from
//! their rows under the secret keys, which lie in a file of their own. So whoever finds a copy finds hashes. It names the keys,
//! and an import asks for them.

pub mod export;
mod format;
pub mod import;

use std::process::ExitCode;

use crate::app::StartError;
use crate::database::DatabaseError;

/// Why there is no copy, or nothing was put in; for people.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database.
    #[error("{0}")]
    Database(#[from] DatabaseError),
    /// The token store, or the secret keys.
    #[error("{0}")]
    Start(#[from] StartError),
    /// A file.
    #[error("`{file}`: {error}")]
    File {
        /// Which.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Said(String),
}

impl BackupError {
    fn said(what: impl Into<String>) -> Self {
        Self::Said(what.into())
    }
}

/// Tells how far a long copy is, at most once a second.
struct Progress {
    done: &'static str,
    rows: u64,
    told: std::time::Instant,
    to: fn(&str),
}

/// Between two lines of it.
const TELL_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

impl Progress {
    fn begin(done: &'static str, to: fn(&str)) -> Self {
        Self { done, rows: 0, told: std::time::Instant::now(), to }
    }

    fn add(&mut self, rows: usize, table: &str) {
        self.rows += rows as u64;
        if self.told.elapsed() >= TELL_EVERY {
            self.told = std::time::Instant::now();
            (self.to)(&format!("{} {} rows ({table})", self.done, self.rows));
        }
    }
}

/// Tells what came of a command.
fn finished(came: Result<String, BackupError>) -> ExitCode {
    match came {
        Ok(said) => {
            tell(&said);
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&format!("gatepost: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// To standard error; whoever reads it may have gone away.
fn tell(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests;
