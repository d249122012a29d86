//! What an application may be told of a holder: the sources of identity headers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use super::holder::{Holder, header_value};

/// What an identity header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `subject.name`: as in `X-Auth-User`.
    Name,
    /// `subject.tenant`
    Tenant,
    /// `key.id`
    KeyId,
    /// `scopes`: as in `X-Auth-Scopes`.
    Scopes,
    /// `expires_in`: as in `X-Auth-Expires-In`.
    ExpiresIn,
    /// Something that none of the standard headers says.
    Further(Further),
}

/// What none of the standard headers says. It does not change as long as a credential is kept, so it is rendered when that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Further {
    /// `subject.uid`
    Uid,
    /// `subject.role`
    Role,
    /// `subject.external_id`
    SubjectExternalId,
    /// `subject.meta.NAME`
    SubjectMeta(Box<str>),
    /// `key.external_id`
    KeyExternalId,
    /// `key.meta.NAME`
    KeyMeta(Box<str>),
}

/// What another system calls somebody, and what else is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// What another system calls it.
    pub external_id: Option<String>,
    /// What else, by name.
    pub metadata: BTreeMap<String, String>,
}

/// Further values, in the order of the list that they were rendered for; `None` = that list is empty.
pub type FurtherValues = Option<Arc<[HeaderValue]>>;

const SIMPLE: [(&str, Source); 9] = [
    ("subject.uid", Source::Further(Further::Uid)),
    ("subject.name", Source::Name),
    ("subject.tenant", Source::Tenant),
    ("subject.role", Source::Further(Further::Role)),
    ("subject.external_id", Source::Further(Further::SubjectExternalId)),
    ("key.id", Source::KeyId),
    ("key.external_id", Source::Further(Further::KeyExternalId)),
    ("scopes", Source::Scopes),
    ("expires_in", Source::ExpiresIn),
];

impl Source {
    /// The source of this name.
    pub fn from_name(text: &str) -> Option<Self> {
        if let Some((_, source)) = SIMPLE.into_iter().find(|(name, _)| *name == text) {
            return Some(source);
        }
        let meta = |name: &str| Some(name).filter(|name| !name.is_empty() && !name.contains(char::is_control)).map(Box::from);
        match (text.strip_prefix("subject.meta."), text.strip_prefix("key.meta.")) {
            (Some(name), _) => Some(Self::Further(Further::SubjectMeta(meta(name)?))),
            (_, Some(name)) => Some(Self::Further(Further::KeyMeta(meta(name)?))),
            (None, None) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Further(Further::SubjectMeta(name)) => write!(f, "subject.meta.{name}"),
            Self::Further(Further::KeyMeta(name)) => write!(f, "key.meta.{name}"),
            simple => f.write_str(SIMPLE.iter().find(|(_, source)| source == simple).map_or("", |(name, _)| name)),
        }
    }
}

impl Further {
    /// What it says of a holder; empty where there is nothing.
    fn of<'h>(&self, holder: &'h Holder) -> &'h str {
        let meta = |about: &'h About, name: &str| about.metadata.get(name).map(String::as_str);
        let text = match self {
            Self::Uid => Some(holder.uid.as_str()),
            Self::Role => Some(holder.role.as_str()),
            Self::SubjectExternalId => holder.subject.external_id.as_deref(),
            Self::SubjectMeta(name) => meta(&holder.subject, name),
            Self::KeyExternalId => holder.key.external_id.as_deref(),
            Self::KeyMeta(name) => meta(&holder.key, name),
        };
        text.unwrap_or_default()
    }
}

/// Renders what these say of a holder; empty what there is not, and what no header can carry.
pub fn render(wanted: &[Further], holder: &Holder) -> FurtherValues {
    // the first clone of a value makes its memory shared, which is not to happen in a check
    (!wanted.is_empty()).then(|| wanted.iter().map(|further| header_value(further.of(holder)).clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_name() {
        for (name, source) in SIMPLE {
            assert_eq!((Source::from_name(name), source.to_string().as_str()), (Some(source.clone()), name));
        }
        for name in ["subject.meta.plan", "key.meta.a.b"] {
            assert_eq!(Source::from_name(name).map(|source| source.to_string()).as_deref(), Some(name));
        }
        for name in [
            "",
            "uid",
            "subject",
            "subject.",
            "subject.Name",
            "key.meta.",
            "subject.meta",
            "key.name",
            "key.meta.a\nb",
            "$scopes",
            "subject.uid ",
        ] {
            assert_eq!(Source::from_name(name), None, "{name}");
        }
    }
}
