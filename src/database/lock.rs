//! The lock beside the database file: one server at a time where the token store lives in its process.
//!
//! A second one would answer from a memory of its own, so an end would not reach its checks.

use std::fs::{File, OpenOptions};

use rustix::fs::{FlockOperation, flock};

use super::{Database, DatabaseError};

/// Held until dropped; the system lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Database {
    /// Takes the lock `gatepost.lock` beside the database file.
    ///
    /// # Errors
    /// Where another process holds it, or the file cannot be made.
    pub fn lock(&self) -> Result<Lock, DatabaseError> {
        let path = self.file.as_deref().unwrap_or(std::path::Path::new("")).with_file_name("gatepost.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| DatabaseError::Unavailable(format!("`{}` cannot be opened: {e}", path.display())))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            DatabaseError::Unavailable(format!(
                "another gatepost serves from it (`{}` is locked); stop that one, or use Redis for more than one replica",
                path.display()
            ))
        })?;
        Ok(Lock { _file: file })
    }

    /// Whether a server holds the lock. Asked for a moment only, and shared, so that those who ask do not meet.
    pub fn is_served(&self) -> bool {
        let Ok(file) = File::open(self.file.as_deref().unwrap_or(std::path::Path::new("")).with_file_name("gatepost.lock")) else {
            return false;
        };
        flock(&file, FlockOperation::NonBlockingLockShared).is_err()
    }
}
