//! Names: 128 bits that stand for what a request presents.
//!
//! A cached entry is found by its name alone, so whoever could make another text of the same name would be let in by it.
//! SipHash-1-3 with 128 bits under keys that only this process knows: nobody can search for one, and nothing of a credential is kept.
//! No name is ever shown, and the text to meet is one that its owner keeps secret, so that all there is to learn of a guess is whether it
//! was right. (SipHash-2-4, which is made for tags that everybody sees, takes twice the time. A universal hash as POLYVAL is no way
//! out: it is linear, and from how long answers take its key could be found.)

use std::hash::Hasher;

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

use crate::decision::credential::{Presented, SessionCookies, Word};
use crate::id::random_bytes;
use crate::token::recognise::At;
use crate::token::ticket::Source;

/// Names what is presented: each way in which something is has a key of its own.
pub(super) struct Namer {
    bearer: SipHasher13,
    api_key: SipHasher13,
    basic_key: SipHasher13,
    /// What is presented in two parts.
    pairs: SipHasher13,
}

/// What a presented credential is called in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(pub(super) [u64; 2]);

/// Sets pairs apart.
#[derive(Clone, Copy)]
enum Pair {
    BearerAndKey = 1,
    HostCookie = 2,
    DomainCookie = 3,
    TicketSource = 4,
}

impl Namer {
    /// With keys of its own.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        let new = || random_bytes().map(|key| SipHasher13::new_with_key(&key));
        Ok(Self { bearer: new()?, api_key: new()?, basic_key: new()?, pairs: new()? })
    }

    /// The name of what is presented at this place; `None` where nothing is that could be known.
    pub(super) fn name(&self, presented: &Presented<'_>, at: At<'_>) -> Option<Name> {
        Some(match *presented {
            Presented::Nothing | Presented::Malformed(_) => return None,
            Presented::Bearer(text, None) => whole(&self.bearer, text),
            Presented::Bearer(text, Some(key)) => self.pair(Pair::BearerAndKey, text.as_bytes(), key.as_bytes()),
            Presented::ApiKey(text) => whole(&self.api_key, text),
            Presented::BasicKey(text) => whole(&self.basic_key, text),
            Presented::Session(SessionCookies { host, domain }) => match at.domains.covering(at.host.as_bytes()) {
                Some(bound_to) => self.pair(Pair::DomainCookie, domain?, bound_to.as_bytes()),
                None => self.pair(Pair::HostCookie, host?, at.host.as_bytes()),
            },
        })
    }

    /// The name of what a ticket was made from.
    pub(super) fn of_source(&self, source: &Source) -> Name {
        let (fixed, secret) = (source.fixed(), source.secret.as_ref().map_or(&[][..], |secret| secret));
        self.pair(Pair::TicketSource, &fixed, secret)
    }

    /// No two inputs are written alike: the length of the first part stands before it, the second is the last.
    fn pair(&self, pair: Pair, first: &[u8], second: &[u8]) -> Name {
        let mut hasher = self.pairs;
        hasher.write_u64(first.len() as u64 * 8 + pair as u64);
        hasher.write(first);
        hasher.write(second);
        Name::from(hasher.finish128())
    }
}

fn whole(hasher: &SipHasher13, text: Word<'_>) -> Name {
    Name::from(hasher.hash(text.as_bytes()))
}

impl From<Hash128> for Name {
    fn from(hash: Hash128) -> Self {
        Self([hash.h1, hash.h2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::cookies::Domains;
    use crate::decision::request::Host;

    #[test]
    fn different_things_have_different_names() {
        let namer = Namer::new().unwrap();
        let cookie = |value| Presented::Session(SessionCookies { host: Some(value), domain: Some(value) });
        let domains = [Domains::default(), Domains::new(vec!["b.example".into()])];
        let at = |host: &'static str, n: usize| At {
            host: Box::leak(Box::new(Host::read(host.as_bytes()).unwrap())),
            domains: Box::leak(Box::new(domains[n].clone())),
        };
        let presented = [
            (Presented::Bearer("ab".into(), None), at("a.example", 0)),
            (Presented::Bearer("abc".into(), None), at("a.example", 0)),
            (Presented::Bearer("ab".into(), Some("c".into())), at("a.example", 0)),
            (Presented::Bearer("a".into(), Some("bc".into())), at("a.example", 0)),
            (Presented::ApiKey("ab".into()), at("a.example", 0)),
            (Presented::BasicKey("ab".into()), at("a.example", 0)),
            (cookie(b"ab"), at("a.example", 0)),
            (cookie(b"ab"), at("c.example", 0)),
            (cookie(b"ab"), at("x.b.example", 0)),
            (cookie(b"ab"), at("x.b.example", 1)),
        ];
        let names: Vec<_> = presented.iter().map(|(presented, at)| namer.name(presented, *at).unwrap()).collect();
        for (n, name) in names.iter().enumerate() {
            assert!(!names[..n].contains(name), "{n}");
            assert_eq!(namer.name(&presented[n].0, presented[n].1), Some(*name), "the same each time");
            assert_ne!(Namer::new().unwrap().name(&presented[n].0, presented[n].1), Some(*name), "another process");
        }
        assert_eq!(namer.name(&cookie(b"ab"), at("y.b.example", 1)), namer.name(&cookie(b"ab"), at("x.b.example", 1)), "one login");
        assert_eq!(namer.name(&Presented::Nothing, at("a.example", 0)), None);
    }
}
