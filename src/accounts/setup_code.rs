//! The set-up code: who may found an installation that can be reached from elsewhere.
//!
//! Made anew by each process while nobody has founded, printed at start, never stored. Without it
//! the first stranger to find the listener would own the installation.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::id::{Id, hex};
use crate::token::secret::sha256;

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

    /// Whether `text` is the code. In constant time: both sides are hashed, so not even the length tells.
    pub(super) fn is(&self, text: &str) -> bool {
        sha256(text.trim().as_bytes()).ct_eq(&sha256(self.reveal().as_bytes())).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_is_the_code() {
        let code = SetupCode::make().unwrap();
        assert!(code.is(code.reveal()));
        for other in ["", "0", &code.reveal().replace('-', ""), SetupCode::make().unwrap().reveal()] {
            assert!(!code.is(other));
        }
        assert!(!format!("{code:?}").contains(code.reveal()));
    }
}
