//! Terms: what is agreed about a key, a principal or a policy besides its scopes.
//!
//! They are kept as one JSON text each, in the database as in records, so that a new one costs no column. INVARIANT: a text that
//! cannot be read is damage, never "nothing agreed": a limit that is lost would let too much through.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decision::network::Network;

/// Longest external id, in bytes.
pub const EXTERNAL_ID_BYTES: usize = 256;
/// Most networks of a key.
pub const NETWORKS: usize = 64;
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
    /// Of a key: the networks it may be used from; empty = any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
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
        let terms = Terms {
            external_id: Some("cus_1".into()),
            metadata: [("plan".to_owned(), "gold".to_owned())].into(),
            networks: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
        };
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
}
