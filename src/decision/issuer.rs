//! Other issuers whose tokens rules may take: their numbers, and their names in rules.

use std::borrow::Cow;
use std::sync::Arc;

use super::credential::CredentialKind;

/// Where the document is that tells clients whose tokens an application takes (RFC 9728 §3).
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";
/// Stands before an issuer's name in rules.
const PREFIX: &str = "issuer:";

/// The place of an issuer in the configuration, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerNumber(u8);

impl IssuerNumber {
    /// Most issuers: a rule keeps one bit for each.
    pub const MOST: usize = 64;

    /// The number of this place. `None` = there are fewer issuers.
    pub fn new(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|_| place < Self::MOST).map(Self)
    }

    /// Its place.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn bit(self) -> u64 {
        1 << self.0
    }
}

/// The names of the issuers, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IssuerNames(Arc<[String]>);

impl IssuerNames {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The kind of credential that rules call so: `token`, `issuer:NAME`.
    pub fn kind(&self, text: &str) -> Option<CredentialKind> {
        let Some(name) = text.strip_prefix(PREFIX) else { return CredentialKind::from_name(text) };
        let place = self.0.iter().position(|known| known == name)?;
        IssuerNumber::new(place).map(CredentialKind::Issuer)
    }

    /// What rules call this kind.
    pub fn name(&self, kind: CredentialKind) -> Cow<'static, str> {
        match kind {
            CredentialKind::Issuer(number) => format!("{PREFIX}{}", self.0.get(number.place()).map_or("?", String::as_str)).into(),
            own => own.as_str().into(),
        }
    }

    /// What may be written in place of a kind that is not known.
    pub fn known(&self) -> String {
        let own = "token, api_key, session, jwt, ticket";
        self.0.iter().fold(own.to_owned(), |known, name| format!("{known}, {PREFIX}{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_one_name_each() {
        let names = IssuerNames::new(["corp".to_owned(), "partner".to_owned()]);
        for text in ["token", "api_key", "session", "jwt", "ticket", "issuer:corp", "issuer:partner"] {
            assert_eq!(names.name(names.kind(text).unwrap()), text);
        }
        for text in ["", "issuer", "issuer:", "issuer:Corp", "issuer:other", "corp"] {
            assert_eq!(names.kind(text), None, "{text}");
        }
        assert_eq!(names.known(), "token, api_key, session, jwt, ticket, issuer:corp, issuer:partner");
    }

    #[test]
    fn as_many_as_a_rule_has_bits_for() {
        let bits = (0..).map_while(IssuerNumber::new).fold(0u64, |bits, number| {
            assert_eq!(bits & number.bit(), 0, "a bit of its own");
            bits | number.bit()
        });
        assert_eq!(bits, u64::MAX);
    }
}
