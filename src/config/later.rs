//! Keys that this version reads and checks, but does nothing with.
//!
//! They warn, so that nobody waits for what does not come. A key whose absence would open
//! something is never among them: it is a problem where it stands.

use super::problem::Complaint;
use super::reader::Field;

/// Warns that what is written here does nothing.
pub(super) fn without_effect(field: &Field<'_>) {
    field.warning(Complaint::new("has no effect in this version", "nothing to do: it begins to work with a later one"));
}
