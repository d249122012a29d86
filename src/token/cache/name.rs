//! Names: 128 bits that stand for what a request presents.
//!
//! A cached entry is found by its name alone, so whoever could make another text of the same name would be let in by it.
//! SipHash-2-4 with 128 bits under a key that only this process knows: nobody can search for one, and nothing of a
//! credential is kept.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::decision::credential::{Presented, SessionCookies};
use crate::id::random_bytes;
use crate::token::recognise::At;
use crate::token::ticket::Source;

/// Names what is presented.
pub(super) struct Namer(SipHasher24);

/// What a presented credential is called in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(pub(super) [u64; 2]);

/// Sets apart what is presented in different ways.
#[derive(Clone, Copy)]
enum Way {
    Bearer = 1,
    BearerAndKey = 2,
    ApiKey = 3,
    HostCookie = 4,
    DomainCookie = 5,
    BasicKey = 6,
    TicketSource = 7,
}

impl Namer {
    /// With a key of its own.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub(super) fn new() -> Result<Self, ring::error::Unspecified> {
        Ok(Self(SipHasher24::new_with_key(&random_bytes()?)))
    }

    /// The name of what is presented at this place; `None` where nothing is that could be known.
    pub(super) fn name(&self, presented: &Presented<'_>, at: At<'_>) -> Option<Name> {
        Some(match *presented {
            Presented::Nothing | Presented::Malformed(_) => return None,
            Presented::Bearer(text, None) => self.of(Way::Bearer, text.as_bytes(), b""),
            Presented::Bearer(text, Some(key)) => self.of(Way::BearerAndKey, text.as_bytes(), key.as_bytes()),
            Presented::ApiKey(text) => self.of(Way::ApiKey, text.as_bytes(), b""),
            Presented::BasicKey(text) => self.of(Way::BasicKey, text.as_bytes(), b""),
            Presented::Session(SessionCookies { host, domain }) => match at.domains.covering(at.host.as_bytes()) {
                Some(bound_to) => self.of(Way::DomainCookie, domain?, bound_to.as_bytes()),
                None => self.of(Way::HostCookie, host?, at.host.as_bytes()),
            },
        })
    }

    /// The name of what a ticket was made from.
    pub(super) fn of_source(&self, source: &Source) -> Name {
        let (fixed, secret) = (source.fixed(), source.secret.as_ref().map_or(&[][..], |secret| secret));
        self.of(Way::TicketSource, &fixed, secret)
    }

    /// No two inputs are written alike: the length of the first part stands before it, the second is the last.
    fn of(&self, way: Way, first: &[u8], second: &[u8]) -> Name {
        let mut hasher = self.0;
        hasher.write_u64(first.len() as u64 * 8 + way as u64);
        hasher.write(first);
        hasher.write(second);
        let (a, b) = hasher.finish128().as_u64();
        Name([a, b])
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
            (Presented::Bearer("ab", None), at("a.example", 0)),
            (Presented::Bearer("abc", None), at("a.example", 0)),
            (Presented::Bearer("ab", Some("c")), at("a.example", 0)),
            (Presented::Bearer("a", Some("bc")), at("a.example", 0)),
            (Presented::ApiKey("ab"), at("a.example", 0)),
            (Presented::BasicKey("ab"), at("a.example", 0)),
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
