//! Scopes: what a credential may do, as text segments with an optional wildcard at the end.
//!
//! `orders:read` covers itself; `orders:*` covers `orders:read` and `orders:a:b`, not `orders`;
//! `*` covers everything. Scopes compare as whole, case-sensitive text.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// Longest scope, in bytes.
pub const SCOPE_BYTES: usize = 128;
/// Most scopes in one set.
pub const SCOPES: usize = 64;

/// One scope: `[A-Za-z0-9._-]+(:[A-Za-z0-9._-]+)*`, with `*` alone or as the last segment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

/// Why a text is no scope, or a list no scope set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The text breaks the grammar.
    #[error("`{0}` is not a scope: segments of letters, digits, `.`, `_`, `-`, joined by `:`, with `*` only alone or as the last segment")]
    Grammar(String),
    /// The text is longer than [`SCOPE_BYTES`].
    #[error("a scope has at most {SCOPE_BYTES} bytes")]
    TooLong,
    /// The list is longer than [`SCOPES`].
    #[error("at most {SCOPES} scopes")]
    TooMany,
}

impl Scope {
    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it ends in `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.ends_with('*')
    }

    /// Whether holding `self` is holding `other`.
    pub fn covers(&self, other: &Self) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => other.0.len() > stem.len() && other.0.starts_with(stem),
            None => self == other,
        }
    }

    /// Whether some scope is covered by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        let plain = match text.strip_suffix('*') {
            Some("") => return Ok(Self(text.into())),
            Some(stem) => stem.strip_suffix(':'),
            None => Some(text),
        };
        let segment = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        match plain {
            Some(plain) if plain.split(':').all(segment) => Ok(Self(text.into())),
            _ => Err(ScopeError::Grammar(text.chars().take(SCOPE_BYTES).collect())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// A set of scopes, sorted, without duplicates. Written with one space between.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(Arc<[Scope]>);

impl ScopeSet {
    /// The set that covers everything: `*`.
    pub fn everything() -> Self {
        static EVERYTHING: LazyLock<ScopeSet> = LazyLock::new(|| ScopeSet(Arc::new([Scope("*".into())])));
        EVERYTHING.clone()
    }

    /// The set of these scopes.
    ///
    /// # Errors
    /// [`ScopeError::TooMany`] above [`SCOPES`] different ones.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, ScopeError> {
        let set = Self::of(scopes);
        if set.0.len() > SCOPES { Err(ScopeError::TooMany) } else { Ok(set) }
    }

    /// The set that these texts spell.
    ///
    /// # Errors
    /// The first text that is no scope, or too many of them.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        Self::new(texts.into_iter().map(Scope::from_str).collect::<Result<Vec<_>, _>>()?)
    }

    /// The set of these scopes, however many: for the union of many policies.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort();
        scopes.dedup();
        Self(scopes.into())
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of its scopes covers `scope`.
    pub fn covers(&self, scope: &Scope) -> bool {
        self.iter().any(|held| held.covers(scope))
    }

    /// What both cover: a scope is covered by the result exactly where it is covered by both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        // the usual level gives everything, and takes nothing away
        match (&*self.0, &*other.0) {
            (_, [all]) if all.as_str() == "*" => return self.clone(),
            ([all], _) if all.as_str() == "*" => return other.clone(),
            _ => {}
        }
        let narrower = |a: &Scope| {
            other.iter().filter_map(move |b| if a.covers(b) { Some(b.clone()) } else { b.covers(a).then(|| a.clone()) }).collect::<Vec<_>>()
        };
        Self::of(self.iter().flat_map(narrower))
    }

    /// What either holds.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        Self::of(self.iter().chain(other.iter()).cloned())
    }

    /// The scopes of `wanted` that are not covered here.
    pub fn missing(&self, wanted: &Self) -> Vec<Scope> {
        wanted.iter().filter(|scope| !self.covers(scope)).cloned().collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, scope) in self.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl FromStr for ScopeSet {
    type Err = ScopeError;

    /// Scopes with spaces between (RFC 6749 §3.3), as stored.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::parse(text.split_ascii_whitespace())
    }
}
