//! The decision: pure functions from request, rules and evidence to a verdict. No I/O, so it cannot fail.

pub mod scopes;
