//! A comparison under way, within an act: what was declared before, what is now, and what differs.

use std::collections::{BTreeMap, HashSet};

use super::{ApplyError, Difference, wrong};
use crate::audit::{Action, By, Entry};
use crate::database::{Act, Database, DatabaseError, DeclaredKind};
use crate::id::Id;
use crate::token::terms::Terms;

/// A comparison under way, within an act.
pub(super) struct Work {
    pub(super) act: Act,
    /// What declarations became before.
    pub(super) before: BTreeMap<(DeclaredKind, String), Id>,
    /// What is declared now.
    pub(super) now: HashSet<(DeclaredKind, String)>,
    /// What declared users are, and the tenants of the files.
    pub(super) users: BTreeMap<String, Id>,
    pub(super) tenants: BTreeMap<String, Id>,
    pub(super) policies: BTreeMap<(Id, String), Id>,
    pub(super) differences: Vec<Difference>,
    pub(super) entries: Vec<Entry>,
}

impl Work {
    pub(super) async fn begin(database: &Database) -> Result<Self, ApplyError> {
        let mut act = database.act().await?;
        let before = act.declared().await?.into_iter().map(|(kind, name, id)| ((kind, name), id)).collect();
        Ok(Self {
            act,
            before,
            now: HashSet::new(),
            users: BTreeMap::new(),
            tenants: BTreeMap::new(),
            policies: BTreeMap::new(),
            differences: Vec::new(),
            entries: Vec::new(),
        })
    }

    /// What a declaration became before. Twice the same is refused.
    pub(super) fn known(&mut self, kind: DeclaredKind, name: &str, at: &str) -> Result<Option<Id>, ApplyError> {
        if !self.now.insert((kind, name.to_owned())) {
            return Err(wrong(at, format!("{} `{name}` is declared twice; take one out", kind.as_str())));
        }
        Ok(self.before.get(&(kind, name.to_owned())).copied())
    }

    pub(super) fn differs(&mut self, sign: char, kind: DeclaredKind, name: &str, details: Vec<String>) {
        self.differences.push(Difference { sign, what: format!("{} {name}", kind.as_str()), details });
    }

    pub(super) fn did(&mut self, action: Action, id: Id) {
        self.entries.push(By::cli().did(action, id));
    }

    /// The principal of this user name, from these files or not.
    pub(super) async fn user(&mut self, name: &str, at: &str) -> Result<Id, ApplyError> {
        let found = match self.users.get(name) {
            Some(uid) => Some(*uid),
            None => self.act.user_named(name).await?,
        };
        found.ok_or_else(|| wrong(at, format!("there is no principal `{name}`")))
    }
}

pub(super) fn random() -> Result<Id, ApplyError> {
    Id::random().map_err(|_| DatabaseError::Unavailable("the system gave no randomness".to_owned()).into())
}

pub(super) fn changed(what: &str, before: impl std::fmt::Display, after: impl std::fmt::Display) -> String {
    format!("{what}: {before} \u{2192} {after}")
}

pub(super) fn agreed(terms: &Terms) -> String {
    terms.written().unwrap_or_else(|| "none".to_owned())
}

pub(super) fn terms(terms: &Terms) -> Option<String> {
    terms.written().map(|written| format!("terms: {written}"))
}

pub(super) fn blocked(is: bool) -> Vec<String> {
    if is { vec!["blocked: true".to_owned()] } else { Vec::new() }
}
