//! Which headers tell an application who asks: the standard five, those that a gate is configured with, or both.
//!
//! INVARIANT: each of them stands exactly once in every answer that lets pass, empty where there is nothing to say: one that is missing
//! would let the client's own through (CVE-2026-30851, CVE-2026-25748).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::number;
use crate::decision::holder::Told;
use crate::decision::told::{Further, Source};

/// `identity_headers` and `standard_headers` of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Whether the standard five are said.
    pub standard: bool,
    /// Those besides, no name twice.
    pub own: Vec<(HeaderName, Source)>,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self { standard: true, own: Vec::new() }
    }
}

/// What all gates of a process want to be told besides what the standard headers say: the order in which it is rendered.
pub fn further<'g>(gates: impl IntoIterator<Item = &'g IdentityHeaders>) -> Arc<[Further]> {
    let mut wanted: Vec<Further> = Vec::new();
    for (_, source) in gates.into_iter().flat_map(|gate| &gate.own) {
        if let Source::Further(further) = source
            && !wanted.contains(further)
        {
            wanted.push(further.clone());
        }
    }
    wanted.into()
}

/// The same, ready for answers.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) standard: bool,
    /// Each with what it says.
    own: Vec<(HeaderName, Value)>,
    /// In the order in which they are rendered.
    pub(super) further: Arc<[Further]>,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    User,
    Tenant,
    KeyId,
    Scopes,
    ExpiresIn,
    /// This one of the further values.
    Further(usize),
}

const EMPTY: HeaderValue = HeaderValue::from_static("");

impl Said {
    /// `further` holds what `headers` want.
    pub(super) fn new(headers: &IdentityHeaders, further: Arc<[Further]>) -> Self {
        let value = |source: &Source| match source {
            Source::Name => Value::User,
            Source::Tenant => Value::Tenant,
            Source::KeyId => Value::KeyId,
            Source::Scopes => Value::Scopes,
            Source::ExpiresIn => Value::ExpiresIn,
            Source::Further(wanted) => Value::Further(further.iter().position(|further| further == wanted).unwrap_or(usize::MAX)),
        };
        // the first clone of a name makes its memory shared, which is not to happen in a check
        let own = headers.own.iter().map(|(name, source)| (name.clone(), value(source))).collect();
        Self { standard: headers.standard, own, further }
    }

    /// Writes the gate's own, where anybody passes these scopes, too.
    pub(super) fn write(&self, headers: &mut HeaderMap, told: Option<(&Told, &HeaderValue)>, expires_in_s: Option<u64>) {
        for (name, value) in &self.own {
            let value = told.map(|(told, scopes)| match value {
                Value::User => told.user.clone(),
                Value::Tenant => told.tenant.clone(),
                Value::KeyId => told.key_id.clone(),
                Value::Scopes => scopes.clone(),
                Value::ExpiresIn => expires_in_s.map_or(EMPTY, number::value),
                Value::Further(n) => told.further.as_ref().and_then(|further| further.get(*n)).cloned().unwrap_or(EMPTY),
            });
            headers.insert(name.clone(), value.unwrap_or(EMPTY));
        }
    }
}
