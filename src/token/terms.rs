//! Terms: what is agreed about a key, a principal or a policy besides its scopes.
//!
//! They are kept as one JSON text each, in the database as in records, so that a new one costs no column. INVARIANT: a text that
//! cannot be read is damage, never "nothing agreed": a limit that is lost would let too much through.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decision::limit::{Limit, LimitFault};

/// Longest external id, in bytes.
pub const EXTERNAL_ID_BYTES: usize = 256;
/// Longest metadata, in bytes of its JSON.
pub const METADATA_BYTES: usize = 1024;

/// What is agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What another system calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What else is to be known of it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How much may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitText>,
}

/// How much may pass, as it is written: a rate, a quota, or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schema(as = Limit, value_type = Written)]
pub struct LimitText(pub Limit);

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
        Limit::parse(text.rate.as_deref(), text.burst, text.quota.as_deref(), text.per.as_deref()).map(Self)
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

impl Terms {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_as_they_were_written() {
        let terms = Terms { external_id: Some("cus_1".into()), metadata: [("plan".to_owned(), "gold".to_owned())].into(), limit: None };
        let limit = Limit::parse(Some("10/m"), Some(3), Some("5/day"), Some("tenant")).unwrap();
        let terms = Terms { limit: Some(LimitText(limit)), ..terms };
        assert_eq!(Terms::read(terms.written().as_deref()).unwrap(), terms);
        assert_eq!((Terms::default().written(), Terms::read(None).unwrap()), (None, Terms::default()));
    }

    #[test]
    fn what_cannot_be_read_is_damage() {
        for text in ["", "null", r#"{"limits": 1}"#, r#"{"metadata": {"a": 1}}"#] {
            assert!(Terms::read(Some(text)).is_err(), "{text}");
        }
    }
}
