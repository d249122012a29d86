//! Keys that were made elsewhere: what can be imported, and how it is.
//!
//! INVARIANT: as with keys made here, none holds what its owner does not hold.
//! INVARIANT: a key that is there, live or ended, is left alone: an import revives nothing and changes nothing.

use super::Refusal;
use super::keys::{Keys, held, name};
use super::standing::Standing;
use crate::audit::{Action, By};
use crate::clock::UnixMs;
use crate::database::{Committed, ImportedKey};
use crate::decision::scopes::ScopeSet;
use crate::token::secret::{ApiKey, HashedSecret, LONGEST_IMPORTED, sha256};
use crate::token::terms::Terms;

/// Shortest text of a key: a shorter one could be guessed.
const SHORTEST: usize = 16;

/// What is known of a key's secret.
#[derive(Clone)]
pub enum Secret {
    /// SHA-256 of its text.
    Hash(HashedSecret),
    /// Its text.
    Text(String),
}

/// A key made elsewhere.
pub struct ForeignKey {
    /// Its secret.
    pub secret: Secret,
    /// What it is called; `None` = nothing particular.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// When it ends by itself; `None` = never.
    pub expires_at: Option<UnixMs>,
    /// What is agreed about it.
    pub terms: Terms,
}

impl Keys<'_> {
    /// The key, where it can be `owner`'s.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn importable(&self, owner: &Standing, key: ForeignKey) -> Result<ImportedKey, Vec<Refusal>> {
        let (hash, name, scopes) = (self.hash_of(key.secret), name(key.name), held(owner, &key.scopes));
        let expires_at = match key.expires_at {
            Some(end) if end <= self.database.clock().now() => Err(Refusal::field("expires_at", "has passed")),
            end => Ok(end),
        };
        match (hash, name, scopes, expires_at, key.terms.checked().map_err(Refusal::from)) {
            (Ok(hash), Ok(name), Ok(scopes), Ok(expires_at), Ok(terms)) => {
                Ok(ImportedKey { id: self.mint.id_of_foreign(&hash), hash, principal: owner.uid, name, scopes, expires_at, terms })
            }
            (hash, name, scopes, expires_at, terms) => {
                Err([hash.err(), name.err(), scopes.err(), expires_at.err(), terms.err()].into_iter().flatten().collect())
            }
        }
    }

    fn hash_of(&self, secret: Secret) -> Result<HashedSecret, Refusal> {
        let text = match secret {
            Secret::Hash(hash) => return Ok(hash),
            Secret::Text(text) => text,
        };
        if !(SHORTEST..=LONGEST_IMPORTED).contains(&text.len()) || !text.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Refusal::field("key", format!("{SHORTEST} to {LONGEST_IMPORTED} visible ASCII characters, no spaces")));
        }
        match self.mint.api_key(&text) {
            Some(ApiKey { made_elsewhere: true, .. }) => Ok(sha256(text.as_bytes())),
            Some(_) => Err(Refusal::field("key", "was made here")),
            None => Err(Refusal::field("key", "begins as keys made here do, and was not; it could never be used")),
        }
    }

    /// Imports checked keys, at most [`crate::database::IMPORTED_AT_ONCE`]. Says how many came, and what is to be waited for.
    ///
    /// # Errors
    /// Unavailable: then none came.
    pub async fn import(&self, by: &By, keys: &[ImportedKey]) -> Result<(usize, Option<Committed>), Refusal> {
        let mut act = self.database.act().await?;
        let came = act.import_keys(keys).await?;
        if came == 0 {
            return Ok((0, None));
        }
        let committed = act.commit(&by.did(Action::KeyImport, format!("{came} keys"))).await?;
        Ok((came, Some(committed)))
    }
}
