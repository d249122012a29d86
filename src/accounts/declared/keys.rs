//! API keys as files declare them: compared with everything else, made after it, because a key may hold only what its owner holds by then.

use super::super::standing;
use super::work::{Work, agreed, changed, terms};
use super::{ApplyError, Key, wrong};
use crate::audit::Action;
use crate::database::{DeclaredKind, KeyRow};
use crate::id::Id;

/// A key that differs.
pub(super) struct KeyWork<'d> {
    key: &'d Key,
    owner: Id,
    is_new: bool,
    scopes: bool,
    secret: bool,
    terms: bool,
}

impl Work {
    /// What is to be done about keys: not yet, because a key may hold only what its owner holds then.
    pub(super) async fn keys<'d>(&mut self, declared: &'d [Key]) -> Result<Vec<KeyWork<'d>>, ApplyError> {
        let mut work = Vec::new();
        for key in declared {
            let id = key.id.to_string();
            let known = self.known(DeclaredKind::Key, &id, &key.at)?;
            let owner = self.user(&key.principal, &key.at).await?;
            // nothing is left to be done about one that has ended as declared
            if key.expires_at.is_some_and(|end| end <= self.act.now()) {
                continue;
            }
            let shown = format!("{} ({id}) of {}", key.name, key.principal);
            match (known, self.act.live_key(key.id).await?) {
                (None, None) => {
                    let expires = key.expires_at.map(|end| format!("expires_at: {}", end.rfc3339()));
                    let details = std::iter::once(format!("scopes: {}", key.scopes)).chain(expires).chain(terms(&key.terms)).collect();
                    self.differs('+', DeclaredKind::Key, &shown, details);
                    work.push(KeyWork { key, owner, is_new: true, scopes: false, secret: false, terms: false });
                }
                (None, Some(_)) => return Err(wrong(&key.at, "there is a key of that id, which apply did not make; declare another")),
                (Some(_), None) => return Err(wrong(&key.at, "it has ended; take it out, or declare another")),
                (Some(_), Some(row)) => {
                    if row.principal != owner || row.name != key.name || row.expires_at != key.expires_at {
                        return Err(wrong(&key.at, "name, owner and end of a key stay as they were made; declare another"));
                    }
                    let (scopes, secret) = (row.scopes != key.scopes, !self.act.is_key_secret(key.id, &key.hash).await?);
                    let mut details = Vec::new();
                    if scopes {
                        details.push(changed("scopes", &row.scopes, &key.scopes));
                    }
                    if secret {
                        details.push("hash: another".to_owned());
                    }
                    let terms = row.terms != key.terms;
                    if terms {
                        details.push(changed("terms", agreed(&row.terms), agreed(&key.terms)));
                    }
                    if !details.is_empty() {
                        self.differs('~', DeclaredKind::Key, &shown, details);
                        work.push(KeyWork { key, owner, is_new: false, scopes, secret, terms });
                    }
                }
            }
        }
        Ok(work)
    }

    /// Makes it so.
    ///
    /// # Errors
    /// Where its owner is refused, or does not hold what it is to hold.
    pub(super) async fn make_key(&mut self, work: KeyWork<'_>) -> Result<(), ApplyError> {
        let KeyWork { key, owner, is_new, scopes, secret, terms } = work;
        let Some(standing) = standing::within(&mut self.act, owner).await? else {
            let what = format!("`{}`, or someone above, is blocked; keys are made for whoever may use them", key.principal);
            return Err(wrong(&key.at, what));
        };
        let unheld: Vec<String> = standing.grant.missing(&key.scopes).iter().map(|scope| format!("`{scope}`")).collect();
        if !unheld.is_empty() {
            let what = format!("`{}` does not hold {}; give it by a policy, or take it out", key.principal, unheld.join(", "));
            return Err(wrong(&key.at, what));
        }
        if is_new {
            let row = KeyRow {
                id: key.id,
                principal: owner,
                name: key.name.clone(),
                scopes: key.scopes.clone(),
                created_at: self.act.now(),
                expires_at: key.expires_at,
                last_used_at: None,
                terms: key.terms.clone(),
                imported: false,
            };
            self.act.insert_key(&row, key.hash).await?;
            self.act.declare(DeclaredKind::Key, &key.id.to_string(), key.id).await?;
            self.did(Action::KeyCreate, key.id);
        }
        if scopes {
            self.act.set_key_scopes(key.id, &key.scopes).await?;
            self.did(Action::KeyScopes, key.id);
        }
        if secret {
            self.act.rotate_key(key.id, key.hash, None).await?;
            self.did(Action::KeyRotate, key.id);
        }
        if terms {
            self.act.set_key_terms(key.id, &key.terms).await?;
            self.did(Action::KeyTerms, key.id);
        }
        Ok(())
    }
}
