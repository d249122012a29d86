//! `from` of a gate: which headers carry tokens and keys, and behind which schemes.
//!
//! A gate that says nothing reads what every gate reads, by the compiler's table ([`super::field`]); only one that does looks here.
//! INVARIANT: a header that stands twice is no credential, and two that differ refuse, whatever carries them (BYP-097, BYP-111).

use http::{HeaderMap, HeaderName, header};

use crate::decision::credential::{Carrier, Presented, Ways, Word, after_scheme, basic};

/// One place where a credential may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In this header.
    pub header: HeaderName,
    /// Behind this scheme, which is compared without case; `None` = the value is the credential.
    pub scheme: Option<String>,
    /// What stands there.
    pub holds: Holds,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// An access token, or a login's JWT.
    Token,
    /// An API key.
    Key,
    /// An API key as the password of HTTP Basic (RFC 7617), whatever the user name.
    BasicKey,
}

/// `from: { token: […], key: […] }`, the places of one header together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carriage {
    headers: Vec<(HeaderName, Vec<Place>)>,
    ways: Ways,
}

impl Carriage {
    /// Credentials stand at these places and nowhere else, but for the session's cookie.
    pub fn new(places: Vec<Place>) -> Self {
        let ways = |kind: fn(Holds) -> bool| {
            let places = places.iter().filter(|place| kind(place.holds)).map(|place| match (&place.scheme, place.holds) {
                (None, _) => format!("`{}`", place.header),
                (Some(scheme), Holds::BasicKey) => format!("`{}: {scheme}`, as the password", place.header),
                (Some(scheme), _) => format!("`{}: {scheme}`", place.header),
            });
            places.collect::<Vec<_>>().join(" or ")
        };
        let ways = Ways { token: ways(|holds| holds == Holds::Token), key: ways(|holds| holds != Holds::Token) };
        let mut headers: Vec<(HeaderName, Vec<Place>)> = Vec::new();
        for place in places {
            match headers.iter_mut().find(|(name, _)| *name == place.header) {
                Some((_, together)) => together.push(place),
                None => headers.push((place.header.clone(), vec![place])),
            }
        }
        Self { headers, ways }
    }

    /// The headers that are read.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// How a client is told to send them.
    pub(super) fn ways(&self) -> &Ways {
        &self.ways
    }

    /// What a request presents in these headers.
    pub(super) fn read<'a>(&self, headers: &'a HeaderMap) -> Presented<'a> {
        let mut found = Found::default();
        for (name, places) in &self.headers {
            let mut carrier = Carrier::Absent;
            headers.get_all(name).iter().for_each(|value| carrier.add(value.as_bytes()));
            let value = match carrier {
                Carrier::Absent => continue,
                Carrier::Doubled => return Presented::Malformed("two headers of one name that carries credentials"),
                Carrier::Once(value) => value,
            };
            let at = places.iter().find_map(|place| match &place.scheme {
                None => Some((value, place.holds)),
                Some(scheme) => after_scheme(value, scheme.as_bytes()).map(|value| (value, place.holds)),
            });
            let taken = match at {
                Some((value, holds)) => Word::read(value).is_some_and(|word| found.take(word, holds)),
                // other schemes of this one belong to the application
                None if *name == header::AUTHORIZATION => true,
                None => false,
            };
            if !taken {
                return Presented::Malformed("a header that carries credentials holds none, or two of them differ");
            }
        }
        found.presented()
    }
}

/// What was found so far.
#[derive(Default)]
struct Found<'a> {
    token: Option<Word<'a>>,
    key: Option<Word<'a>>,
    basic_key: Option<Word<'a>>,
}

impl<'a> Found<'a> {
    /// Whether it agrees with what was found before.
    fn take(&mut self, word: Word<'a>, holds: Holds) -> bool {
        let place = match holds {
            Holds::Token => &mut self.token,
            Holds::Key => &mut self.key,
            Holds::BasicKey => &mut self.basic_key,
        };
        *place.get_or_insert(word) == word
    }

    fn presented(self) -> Presented<'a> {
        match (self.token, self.key, self.basic_key) {
            (None, None, None) => Presented::Nothing,
            (None, None, Some(text)) => Presented::BasicKey(text),
            (_, Some(key), Some(text)) if basic::password(text, &mut basic::room()) != Some(key) => {
                Presented::Malformed("two API keys that differ")
            }
            (None, Some(key), _) => Presented::ApiKey(key),
            (Some(_), None, Some(_)) => Presented::Malformed("a token, and an API key as a password: send one of them"),
            (Some(token), key, _) => Presented::Bearer(token, key),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn place(text: &str, holds: Holds) -> Place {
        let (header, scheme) = text.split_once(": ").map_or((text, None), |(header, scheme)| (header, Some(scheme.to_owned())));
        Place { header: HeaderName::try_from(header).unwrap(), scheme, holds }
    }

    /// As every gate reads without a word about it.
    fn usual() -> Carriage {
        let places = [("Authorization: Bearer", Holds::Token), ("X-Authorization: Agent", Holds::Token), ("X-Api-Key", Holds::Key)];
        Carriage::new(places.map(|(text, holds)| place(text, holds)).to_vec())
    }

    fn own() -> Carriage {
        let places = [
            ("Authorization: Bearer", Holds::Token),
            ("Authorization: Token", Holds::Token),
            ("X-Token", Holds::Token),
            ("Authorization: Basic", Holds::BasicKey),
            ("Authorization: ApiKey", Holds::Key),
            ("X-Service: Key", Holds::Key),
        ];
        Carriage::new(places.map(|(text, holds)| place(text, holds)).to_vec())
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    #[test]
    fn each_place() {
        use Presented::{ApiKey, BasicKey, Bearer, Nothing};
        for (lines, expected) in [
            (&[][..], Nothing),
            (&[("Authorization", "Bearer t")][..], Bearer("t".into(), None)),
            (&[("Authorization", "tOKEN t")], Bearer("t".into(), None)),
            (&[("X-Token", "t")], Bearer("t".into(), None)),
            (&[("X-Token", "t"), ("Authorization", "Bearer t")], Bearer("t".into(), None)),
            (&[("X-Token", "t"), ("X-Service", "Key k")], Bearer("t".into(), Some("k".into()))),
            (&[("Authorization", "ApiKey k")], ApiKey("k".into())),
            (&[("Authorization", "Basic eDpr")], BasicKey("eDpr".into())),
            (&[("Authorization", "Basic eDpr"), ("X-Service", "Key k")], ApiKey("k".into())),
            // foreign, and what is no place here
            (&[("Authorization", "Digest x"), ("X-Token", "t")], Bearer("t".into(), None)),
            (&[("Authorization", "Digest x")], Nothing),
            (&[("Authorization", "Bearerx t")], Nothing),
            (&[("X-Authorization", "Agent t"), ("X-Api-Key", "k")], Nothing),
        ] {
            assert_eq!(own().read(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn malformed() {
        for lines in [
            &[("Authorization", "Bearer")][..],
            &[("Authorization", "Bearer t u")],
            &[("Authorization", "Basic")],
            &[("Authorization", "Basic a b")],
            &[("X-Token", "")],
            &[("X-Token", "t"), ("X-Token", "t")],
            &[("X-Token", "t"), ("Authorization", "Bearer u")],
            &[("X-Token", "t"), ("Authorization", "Digest x"), ("Authorization", "Digest x")],
            &[("X-Service", "k")],
            &[("X-Service", "Other k")],
            &[("X-Service", "Key k"), ("Authorization", "ApiKey l")],
            &[("X-Service", "Key l"), ("Authorization", "Basic eDpr")],
            &[("X-Service", "Key k"), ("Authorization", "Basic !!!!")],
            &[("X-Token", "t"), ("Authorization", "Basic eDpr")],
        ] {
            assert!(matches!(own().read(&headers(lines)), Presented::Malformed(_)), "{lines:?}");
        }
    }

    #[test]
    fn what_a_client_is_told() {
        let ways = own().ways;
        assert_eq!(ways.token, "`authorization: Bearer` or `authorization: Token` or `x-token`");
        assert_eq!(ways.key, "`authorization: Basic`, as the password or `authorization: ApiKey` or `x-service: Key`");
    }

    proptest! {
        /// Written out, what every gate reads is read as every gate does.
        #[test]
        fn the_usual_places_are_read_as_usual(lines in prop::collection::vec((0..3_usize, "(?i)(bearer|agent|basic)? ?[a-z., ]{0,4}"), 0..4)) {
            const NAMES: [&str; 3] = ["authorization", "x-authorization", "x-api-key"];
            let lines: Vec<_> = lines.iter().map(|(name, value)| (NAMES[*name], value.as_str())).collect();
            let headers = headers(&lines);
            let mut carriers = crate::decision::credential::Carriers::default();
            for (name, value) in &headers {
                match name.as_str() {
                    "authorization" => carriers.authorization.add(value.as_bytes()),
                    "x-authorization" => carriers.x_authorization.add(value.as_bytes()),
                    _ => carriers.x_api_key.add(value.as_bytes()),
                }
            }
            match (usual().read(&headers), Presented::read(&carriers)) {
                (Presented::Malformed(_), Presented::Malformed(_)) => {}
                (ours, usual) => prop_assert_eq!(ours, usual),
            }
        }
    }
}
