//! The set-up code: who may found an installation that can be reached from elsewhere.
//!
//! Made anew by each process while nobody has founded, printed at start, and stored as SHA-256 until somebody founds: of
//! several replicas each takes the code that any of them printed. Without it the first stranger to find the listener
//! would own the installation.

use secrecy::{ExposeSecret, SecretString};

use crate::id::{Id, hex};
use crate::token::secret::{HashedSecret, sha256};

/// The code of this process.
#[derive(Debug)]
pub(super) struct SetupCode(SecretString);

impl SetupCode {
    /// A new one: 128 bits in groups of eight hex digits.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub(super) fn make() -> Result<Self, ring::error::Unspecified> {
        let groups: Vec<String> = Id::random()?.as_bytes().chunks(4).map(hex).collect();
        Ok(Self(groups.join("-").into()))
    }

    /// For printing, once.
    pub(super) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// For the database.
    pub(super) fn hash(&self) -> HashedSecret {
        hash(self.reveal())
    }
}

/// What is looked for in the database; being a hash, its bytes cannot be felt out one by one.
pub(super) fn hash(text: &str) -> HashedSecret {
    sha256(text.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_is_the_code() {
        let code = SetupCode::make().unwrap();
        assert_eq!(hash(&format!(" {}\n", code.reveal())), code.hash());
        for other in ["", "0", &code.reveal().replace('-', ""), SetupCode::make().unwrap().reveal()] {
            assert_ne!(hash(other), code.hash());
        }
        assert!(!format!("{code:?}").contains(code.reveal()));
    }
}
