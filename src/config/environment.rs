//! The environment as configuration sees it: a map, so that tests pass their own.
//!
//! The process's own is taken in [`super::file`], once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables and the working directory.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    directory: PathBuf,
}

impl Environment {
    /// These variables, and the process's working directory.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), directory: PathBuf::new() }
    }

    /// With another working directory.
    #[must_use]
    pub fn in_directory(self, directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), ..self }
    }

    /// What relative paths are relative to; empty for the process's own.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether `name`, or a variable whose name goes on from it after a `_`, is set.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.starting(name).any(|(other, _)| other.get(name.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
    }

    /// Every variable whose name starts so.
    pub(super) fn starting<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.variables.range::<str, _>((std::ops::Bound::Included(start), std::ops::Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(start)).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("variables", &self.variables.keys()).field("directory", &self.directory).finish()
    }
}
