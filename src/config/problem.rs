//! What is wrong with what the user wrote, and where: the one form of every start-up error.
//!
//! Nothing here stops at the first problem: readers collect, callers print them all and exit 64.
//! INVARIANT: no text of a problem repeats a secret or an address that may hold one.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// One thing that is wrong. Written `FILE:LINE:COL: yaml.path: what is wrong; what to do`,
/// or `VARIABLE: yaml.path: …` where the value came from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named; or the environment variable.
    pub file: Arc<str>,
    /// From 1; 0 for an environment variable, which has no lines.
    pub line: u32,
    /// In characters, from 1; 0 for an environment variable.
    pub column: u32,
    /// Where in the configuration, like `gates[0].listen`.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What the user can do.
    pub what_to_do: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, path, what, what_to_do } = self;
        if *line == 0 {
            write!(f, "{file}: {path}: {what}; {what_to_do}")
        } else {
            write!(f, "{file}:{line}:{column}: {path}: {what}; {what_to_do}")
        }
    }
}

/// Something that loads, but that the user should know. Written like a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why one value cannot be taken; the reader adds the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) what: String,
    pub(super) what_to_do: String,
}

impl Complaint {
    pub(super) fn new(what: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self { what: what.into(), what_to_do: what_to_do.into() }
    }
}

/// All problems and warnings of one file, as they are found.
#[derive(Debug, Default)]
pub(super) struct Collector {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Warning>>,
}

impl Collector {
    pub(super) fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warning(&self, problem: Problem) {
        self.warnings.borrow_mut().push(Warning(problem));
    }

    /// Everything, in the order of the file; what came from the environment first.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Warning>) {
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        problems.sort_by_key(|problem| (problem.line, problem.column));
        warnings.sort_by_key(|warning| (warning.0.line, warning.0.column));
        (problems, warnings)
    }
}
