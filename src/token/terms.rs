//! Terms: what is agreed about a key, a principal or a policy besides its scopes.
//!
//! They are kept as one JSON text each, in the database as in records, so that a new one costs no column. INVARIANT: a text that
//! cannot be read is damage, never "nothing agreed": a limit that is lost would let too much through.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decision::limit::{Limit, LimitFault};
use crate::decision::network::Network;

/// Longest external id, in bytes.
pub const EXTERNAL_ID_BYTES: usize = 256;
/// Most networks of a key.
pub const NETWORKS: usize = 64;
/// Longest metadata, in bytes of its JSON.
pub const METADATA_BYTES: usize = 1024;
/// Longest name in metadata.
const NAME_BYTES: usize = 64;

/// What is agreed besides scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What another system calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub external_id: Option<String>,
    /// What else is to be known of it, by name: at most 1 KiB of JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Of a key: the networks it, and tokens made from it, may be used from; empty = any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, max_items = 64, example = json!(["10.0.0.0/8"]))]
    pub networks: Vec<Network>,
    /// How much may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitText>,
}

/// How much may pass, as it is written: a rate, a quota, or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schema(as = Limit, value_type = Written)]
pub struct LimitText(pub Box<Limit>);

/// A limit, word by word.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Limit)]
pub struct Written {
    /// How often: a number and `s`, `m` or `h`, like `100/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    /// How many may come at once after a pause; without it, as many as in a second, or one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u64>,
    /// How often in all: a number and `day` or `month` (by UTC), like `10000/day`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quota: Option<String>,
    /// Who shares it: `key` (the default), `principal` or `tenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per: Option<String>,
}

impl TryFrom<Written> for LimitText {
    type Error = LimitFault;

    fn try_from(text: Written) -> Result<Self, LimitFault> {
        Limit::parse(text.rate.as_deref(), text.burst, text.quota.as_deref(), text.per.as_deref()).map(Self::from)
    }
}

impl From<Limit> for LimitText {
    fn from(limit: Limit) -> Self {
        Self(Box::new(limit))
    }
}

impl From<LimitText> for Written {
    fn from(LimitText(limit): LimitText) -> Self {
        Self {
            rate: limit.rate.map(|rate| rate.to_string()),
            burst: limit.rate.map(|rate| rate.burst),
            quota: limit.quota.map(|quota| quota.to_string()),
            per: Some(limit.per.as_str().to_owned()),
        }
    }
}

/// Terms that cannot be agreed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {problem}")]
pub struct TermsError {
    /// Which of them.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl Terms {
    /// What says only what something is.
    pub fn naming(external_id: Option<String>, metadata: BTreeMap<String, String>) -> Self {
        Self { external_id, metadata, ..Self::default() }
    }

    /// These, where they can be agreed: whatever a request, a file or the command line says passes here. Texts are printable
    /// ASCII, so that each can stand in a header.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn checked(self) -> Result<Self, TermsError> {
        let wrong = |field, problem: String| Err(TermsError { field, problem });
        if self.external_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > EXTERNAL_ID_BYTES || !is_printable(id)) {
            return wrong("external_id", format!("1 to {EXTERNAL_ID_BYTES} printable ASCII characters, no space at either end"));
        }
        for (name, value) in &self.metadata {
            let is_fit = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
            if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_fit) {
                return wrong("metadata", format!("a name is 1 to {NAME_BYTES} of A-Z, a-z, 0-9, `_`, `.` and `-`"));
            }
            if !is_printable(value) {
                return wrong("metadata", format!("`{name}`: printable ASCII characters only, no space at either end"));
            }
        }
        if serde_json::to_string(&self.metadata).is_ok_and(|json| json.len() > METADATA_BYTES) {
            return wrong("metadata", format!("longer than {METADATA_BYTES} bytes of JSON"));
        }
        if self.networks.len() > NETWORKS {
            return wrong("networks", format!("at most {NETWORKS}"));
        }
        Ok(self)
    }

    /// As [`Terms::checked`], for what is agreed about a principal.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn checked_of_principal(self) -> Result<Self, TermsError> {
        match self.networks.is_empty() {
            true => self.checked(),
            false => Err(TermsError { field: "networks", problem: "only keys are bound to networks".into() }),
        }
    }

    /// Whether nothing is agreed but what narrows: whoever holds a key may agree that with themselves.
    pub fn only_narrow(&self) -> bool {
        *self == Self { networks: self.networks.clone(), ..Self::default() }
    }

    /// Whether nothing is agreed.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// As a column holds them; `None` = nothing is agreed.
    pub fn written(&self) -> Option<String> {
        // cannot fail: texts and numbers
        (!self.are_none()).then(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// As [`Terms::written`] wrote them.
    ///
    /// # Errors
    /// Where no version of the program writes that.
    pub fn read(text: Option<&str>) -> Result<Self, serde_json::Error> {
        text.map_or(Ok(Self::default()), serde_json::from_str)
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|c| matches!(c, b' '..=b'~')) && text.trim() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_as_they_were_written() {
        let terms = Terms::naming(Some("cus_1".into()), [("plan".to_owned(), "gold".to_owned())].into());
        let limit = Limit::parse(Some("10/m"), Some(3), Some("5/day"), Some("tenant")).unwrap();
        let terms = Terms { limit: Some(limit.into()), networks: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()], ..terms };
        assert_eq!(Terms::read(terms.written().as_deref()).unwrap(), terms);
        assert_eq!((Terms::default().written(), Terms::read(None).unwrap()), (None, Terms::default()));
    }

    #[test]
    fn what_cannot_be_read_is_damage() {
        for text in
            ["", "null", r#"{"limits": 1}"#, r#"{"metadata": {"a": 1}}"#, r#"{"networks": ["10.0.0.0", "x"]}"#, r#"{"networks": null}"#]
        {
            assert!(Terms::read(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_stand_in_a_header_or_is_too_long_is_refused() {
        let said = |external_id: Option<&str>, metadata: &[(&str, &str)]| {
            let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Terms::naming(external_id.map(str::to_owned), metadata).checked().map_err(|error| error.field)
        };
        let long = "x".repeat(257);
        for external_id in ["", " a", "a ", "a\nb", "caf\u{e9}", long.as_str()] {
            assert_eq!(said(Some(external_id), &[]), Err("external_id"), "{external_id:?}");
        }
        let (wide, big) = ("n".repeat(65), "v".repeat(1024));
        for (name, value) in [("", "a"), ("a b", "a"), ("\u{e9}", "a"), (&wide, "a"), ("a", "\u{7f}"), ("a", "b\r\nX: y"), ("a", &big)] {
            assert_eq!(said(None, &[(name, value)]), Err("metadata"), "{name:?} {value:?}");
        }
        assert!(said(Some(&long[1..]), &[("A-z_0.9", "gold & more"), (&wide[1..], ""), ("big", &big[..900])]).is_ok());
    }
}
