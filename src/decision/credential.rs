//! Credentials: what a request presents, read from its header values without judging them.
//!
//! A presented credential that is not right never falls back to another one (BYP-097, BYP-111),
//! and two carriers must agree.

pub mod basic;
pub mod ticket;

use super::cookies::{self, DOMAIN_COOKIE, HOST_COOKIE};
use super::issuer::IssuerNumber;

/// A kind of credential, as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CredentialKind {
    /// `token`: an access token.
    Token,
    /// `api_key`: an API key sent directly.
    ApiKey,
    /// `session`: the cookie of a login in a browser.
    Session,
    /// `jwt`: a login's JWT.
    Jwt,
    /// `ticket`: a ticket in the query, good once.
    Ticket,
    /// `issuer:NAME`: a token of another issuer.
    Issuer(IssuerNumber),
}

impl CredentialKind {
    /// Every kind that is made here.
    pub const OWN: [Self; 5] = [Self::Token, Self::ApiKey, Self::Session, Self::Jwt, Self::Ticket];
    /// How many classes there are.
    pub const CLASSES: usize = Self::OWN.len() + 1;

    /// Its place among the classes: all issuers are of one.
    pub fn class(self) -> usize {
        match self {
            Self::Token => 0,
            Self::ApiKey => 1,
            Self::Session => 2,
            Self::Jwt => 3,
            Self::Ticket => 4,
            Self::Issuer(_) => 5,
        }
    }

    /// The name of its class, as in metrics and logs; rules call a token of another issuer by that issuer's name besides.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::ApiKey => "api_key",
            Self::Session => "session",
            Self::Jwt => "jwt",
            Self::Ticket => "ticket",
            Self::Issuer(_) => "issuer",
        }
    }

    /// The kind of this name among those that are made here.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::OWN.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What the credential headers hold. Each list is every value of that header, in order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carriers<'a> {
    /// `Authorization`
    pub authorization: Carrier<'a>,
    /// `X-Authorization`
    pub x_authorization: Carrier<'a>,
    /// `X-Api-Key`
    pub x_api_key: Carrier<'a>,
}

/// How a client sends what a gate reads: headers and schemes in words. Empty = not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// A token.
    pub token: String,
    /// An API key.
    pub key: String,
}

/// One header that may stand at most once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Carrier<'a> {
    /// Not there.
    #[default]
    Absent,
    /// Once, with these bytes.
    Once(&'a [u8]),
    /// More than once: whose word counts would be a guess.
    Doubled,
}

impl<'a> Carrier<'a> {
    /// Takes one more value of the header.
    pub fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Absent => Self::Once(value),
            _ => Self::Doubled,
        };
    }

    /// The value, where it stands exactly once.
    pub fn once(self) -> Option<&'a [u8]> {
        match self {
            Self::Once(value) => Some(value),
            _ => None,
        }
    }
}

/// The gate's cookies of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCookies<'a> {
    /// The one of this host.
    pub host: Option<&'a [u8]>,
    /// The one of a domain that covers it.
    pub domain: Option<&'a [u8]>,
}

/// The text of a credential. Most are found by their bytes alone, so those are proved to be UTF-8 only when somebody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a>(&'a [u8]);

impl<'a> Word<'a> {
    /// One word of visible ASCII. Every byte is looked at, so that many are at once.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let visible = bytes.iter().fold(true, |visible, byte| visible & byte.is_ascii_graphic());
        (visible && !bytes.is_empty()).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        // never anything else: it is made of a text, or of ASCII
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

impl<'a> From<&'a str> for Word<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

/// What a request presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// Something that cannot be a credential, or two that differ.
    Malformed(&'static str),
    /// The text of an access token or of a login's JWT, perhaps with an API key beside it.
    Bearer(Word<'a>, Option<Word<'a>>),
    /// The text of an API key.
    ApiKey(Word<'a>),
    /// An API key as the password of HTTP Basic, still encoded: only one that is not known yet is decoded.
    BasicKey(Word<'a>),
    /// The gate's cookies; which of them counts depends on the host.
    Session(SessionCookies<'a>),
}

impl<'a> Presented<'a> {
    /// Reads the carriers: `X-Authorization: Agent <token>`, `Authorization: Bearer <token>` (schemes without case,
    /// RFC 9110 §11.1; other `Authorization` schemes belong to the application), `X-Api-Key: <key>`.
    pub fn read(carriers: &Carriers<'a>) -> Self {
        let bearer = match Self::bearer(carriers) {
            Ok(bearer) => bearer,
            Err(why) => return Self::Malformed(why),
        };
        let key = match carriers.x_api_key {
            Carrier::Absent => None,
            Carrier::Doubled => return Self::Malformed("two X-Api-Key headers"),
            Carrier::Once(value) => match Word::read(value) {
                Some(key) => Some(key),
                None => return Self::Malformed("X-Api-Key holds no key"),
            },
        };
        match (bearer, key) {
            (Some(bearer), key) => Self::Bearer(bearer, key),
            (None, Some(key)) => Self::ApiKey(key),
            (None, None) => Self::Nothing,
        }
    }

    /// Reads the cookies of a request that presents nothing else.
    pub fn in_cookies<I: Iterator<Item = &'a [u8]>>(lines: impl Fn() -> I) -> Self {
        match (cookies::find(lines(), HOST_COOKIE), cookies::find(lines(), DOMAIN_COOKIE)) {
            (Carrier::Doubled, _) | (_, Carrier::Doubled) => Self::Malformed("two session cookies of one name"),
            (Carrier::Absent, Carrier::Absent) => Self::Nothing,
            (host, domain) => Self::Session(SessionCookies { host: host.once(), domain: domain.once() }),
        }
    }

    fn bearer(carriers: &Carriers<'a>) -> Result<Option<Word<'a>>, &'static str> {
        let ours = match carriers.x_authorization {
            Carrier::Absent => None,
            Carrier::Doubled => return Err("two X-Authorization headers"),
            Carrier::Once(value) => Some(after_scheme(value, b"agent").ok_or("X-Authorization is not `Agent <token>`")?),
        };
        let standard = match carriers.authorization {
            Carrier::Absent => None,
            Carrier::Doubled => return Err("two Authorization headers"),
            Carrier::Once(value) => after_scheme(value, b"bearer"),
        };
        match (ours, standard) {
            (Some(ours), Some(standard)) if ours != standard => Err("X-Authorization and Authorization differ"),
            (Some(token), _) | (None, Some(token)) => Word::read(token).map(Some).ok_or("no token after the scheme"),
            (None, None) => Ok(None),
        }
    }
}

/// What follows `scheme` and a space; empty where only the scheme stands there. `None` = another scheme.
pub fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (name, after) = value.split_at_checked(scheme.len())?;
    if !name.eq_ignore_ascii_case(scheme) {
        return None;
    }
    match after {
        [] => Some(after),
        [b' ', token @ ..] => Some(token),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(authorization: &[&'static str], x_authorization: &[&'static str], x_api_key: &[&'static str]) -> Presented<'static> {
        let mut carriers = Carriers::default();
        authorization.iter().for_each(|v| carriers.authorization.add(v.as_bytes()));
        x_authorization.iter().for_each(|v| carriers.x_authorization.add(v.as_bytes()));
        x_api_key.iter().for_each(|v| carriers.x_api_key.add(v.as_bytes()));
        Presented::read(&carriers)
    }

    #[test]
    fn each_carrier() {
        use Presented::{ApiKey, Bearer, Nothing};
        for (presented, expected) in [
            (read(&[], &[], &[]), Nothing),
            (read(&["Bearer t"], &[], &[]), Bearer("t".into(), None)),
            (read(&["bEARER t"], &[], &[]), Bearer("t".into(), None)),
            (read(&[], &["Agent t"], &[]), Bearer("t".into(), None)),
            (read(&["Bearer t"], &["agent t"], &[]), Bearer("t".into(), None)),
            (read(&[], &[], &["k"]), ApiKey("k".into())),
            (read(&["Bearer t"], &[], &["k"]), Bearer("t".into(), Some("k".into()))),
            (read(&["Basic eDp5"], &[], &[]), Nothing),
            (read(&["Basic eDp5"], &["Agent t"], &[]), Bearer("t".into(), None)),
            (read(&["Bearerx t"], &[], &[]), Nothing),
            (read(&["Basic eDp5"], &[], &["k"]), ApiKey("k".into())),
        ] {
            assert_eq!(presented, expected);
        }
    }

    #[test]
    fn malformed() {
        for presented in [
            read(&["Bearer"], &[], &[]),
            read(&["Bearer "], &[], &[]),
            read(&["Bearer  t"], &[], &[]),
            read(&["Bearer t x"], &[], &[]),
            read(&["Bearer t,Bearer u"], &[], &[]),
            read(&["Bearer é"], &[], &[]),
            read(&["Bearer t", "Bearer t"], &[], &[]),
            read(&["Basic eDp5", "Bearer t"], &[], &[]),
            read(&["Bearer t"], &["Agent u"], &[]),
            read(&["Bearer t"], &["Agent"], &[]),
            read(&[], &["Bearer t"], &[]),
            read(&[], &["t"], &[]),
            read(&[], &["Agent t", "Agent t"], &[]),
            read(&[], &[], &[""]),
            read(&[], &[], &["a b"]),
            read(&[], &[], &["k", "k"]),
            read(&["Bearer t"], &[], &["k", "l"]),
        ] {
            assert!(matches!(presented, Presented::Malformed(_)), "{presented:?}");
        }
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![prop::collection::vec(any::<u8>(), 0..6), "(?i)(bearer|agent|basic)? ?[a-z.,\t ]{0,4}".prop_map(String::into_bytes)]
    }

    fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(value(), 0..3)
    }

    proptest! {
        /// Whatever the headers hold: two of a name are no credential, and what is presented stands in one of them, whole.
        #[test]
        fn nothing_is_made_up(authorization in values(), x_authorization in values(), x_api_key in values()) {
            let mut carriers = Carriers::default();
            authorization.iter().for_each(|value| carriers.authorization.add(value));
            x_authorization.iter().for_each(|value| carriers.x_authorization.add(value));
            x_api_key.iter().for_each(|value| carriers.x_api_key.add(value));
            let doubled = [&authorization, &x_authorization, &x_api_key].iter().any(|values| values.len() > 1);
            let holds = |values: &[Vec<u8>], word: Word<'_>| values.iter().any(|value| value.ends_with(word.as_bytes()));
            match Presented::read(&carriers) {
                Presented::Malformed(_) => {}
                _ if doubled => prop_assert!(false, "doubled, yet read"),
                Presented::Session(_) | Presented::BasicKey(_) => prop_assert!(false, "nobody gave that"),
                Presented::Nothing => prop_assert!(x_authorization.is_empty() && x_api_key.is_empty()),
                Presented::ApiKey(key) => prop_assert_eq!(x_api_key[0].as_slice(), key.as_bytes()),
                Presented::Bearer(token, key) => {
                    prop_assert!(holds(&authorization, token) || holds(&x_authorization, token));
                    prop_assert!(x_authorization.is_empty() || holds(&x_authorization, token), "ours was left for the standard one");
                    prop_assert_eq!(key.is_some(), !x_api_key.is_empty());
                }
            }
        }
    }
}
