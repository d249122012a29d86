//! Denials: tokens and subjects of other issuers that are refused, though their issuer would let them in.
//!
//! What another issuer makes has no record here, and to look for a denial that may have been lost would be to guess. So denials
//! are kept in *buckets*, a fixed number of them, each a record like any other: it has a version, it is brought from the database
//! where the store does not have it, and it says which of the denials that fall into it stand.
//! INVARIANT: a token is judged by the records of its buckets, never by their absence (COHERENCE §3).

use crate::clock::UnixMs;
use crate::id::Id;

/// What is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denied {
    /// One token, by its `jti`.
    Token,
    /// Whoever a token is about, by its `sub`.
    Subject,
}

impl Denied {
    /// As the claim is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "jti",
            Self::Subject => "sub",
        }
    }

    /// What this claim denies.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Token, Self::Subject].into_iter().find(|denied| denied.as_str() == name)
    }
}

/// Half of SHA-256 over parts, each with its length before it, so that no two lists of parts are written alike.
fn id_of(parts: &[&str]) -> Id {
    let written: Vec<u8> = parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.bytes())).collect();
    let mut id = [0; 16];
    id.iter_mut().zip(super::secret::sha256(&written)).for_each(|(to, from)| *to = from);
    Id::from_bytes(id)
}

/// What a denial of `value` by tokens of `issuer` (their `iss`) is known by.
pub fn id(issuer: &str, denied: Denied, value: &str) -> Id {
    id_of(&["denial", issuer, denied.as_str(), value])
}

/// What a tenant of another issuer is known by: never one of ours.
pub fn tenant(issuer: &str, name: &str) -> Id {
    id_of(&["tenant", issuer, name])
}

/// The bucket that a denial falls into: one of 1024, told by ten of its bits.
pub fn bucket(denial: Id) -> Id {
    let [a, b, ..] = *denial.as_bytes();
    Id::from_bytes([a, b & 0b11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// The buckets that decide about a token: of its own denial, and of its subject's.
pub fn buckets(token: Id, subject: Id) -> [Id; 2] {
    [bucket(token), bucket(subject)]
}

/// The denials of one bucket, as a record says them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenialsRecord {
    /// Each with the time that it lasts to; `None` = until it is lifted.
    pub denied: Vec<(Id, Option<UnixMs>)>,
}

impl DenialsRecord {
    /// Whether this is denied at `now`.
    pub fn denies(&self, denial: Id, now: UnixMs) -> bool {
        self.denied.iter().any(|(id, until)| *id == denial && until.is_none_or(|until| until > now))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_differs_has_another_id() {
        let ids = [
            id("https://a.example", Denied::Token, "x"),
            id("https://a.example", Denied::Subject, "x"),
            id("https://a.examplex", Denied::Token, ""),
            id("https://b.example", Denied::Token, "x"),
            id("https://a.example", Denied::Token, "jtix"),
            tenant("https://a.example", "x"),
        ];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(id("https://a.example", Denied::Token, "x"), ids[0], "the same each time: rows outlive the process");
    }

    #[test]
    fn buckets_are_few_and_evenly_filled() {
        let mut of = std::collections::HashMap::<Id, u32>::new();
        for n in 0..100_000 {
            *of.entry(bucket(id("https://a.example", Denied::Subject, &n.to_string()))).or_default() += 1;
        }
        assert_eq!(of.len(), 1024);
        assert!(of.values().all(|count| (30..200).contains(count)));
    }

    #[test]
    fn a_denial_lasts_as_long_as_it_says() {
        let (one, other) = (Id::from_bytes([1; 16]), Id::from_bytes([2; 16]));
        let record = DenialsRecord { denied: vec![(one, Some(UnixMs(100))), (other, None)] };
        let denied = |id, now| record.denies(id, UnixMs(now));
        assert!(denied(one, 99) && !denied(one, 100) && denied(other, u64::MAX - 1));
        assert!(!denied(Id::from_bytes([3; 16]), 0));
    }
}
