//! Which of a check's headers are read, found by one look into a table that the compiler fills.
//!
//! A check has some twenty headers, most of them none of ours: each is told by its length and one of its bytes, then compared once.

use super::Names;

/// A header that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Authorization,
    XAuthorization,
    XApiKey,
    ProxySecret,
    RequestId,
    Origin,
    Cookie,
    FetchSite,
    FetchMode,
    Accept,
    Upgrade,
    PreflightFor,
    ContentLength,
    TransferEncoding,
    /// Those of the dialect: how the original request is described.
    Method,
    Uri,
    Host,
    Proto,
}

/// Every dialect reads these.
const COMMON: [(&str, Field); 14] = [
    ("authorization", Field::Authorization),
    ("x-authorization", Field::XAuthorization),
    ("x-api-key", Field::XApiKey),
    ("x-proxy-secret", Field::ProxySecret),
    ("x-request-id", Field::RequestId),
    ("origin", Field::Origin),
    ("cookie", Field::Cookie),
    ("sec-fetch-site", Field::FetchSite),
    ("sec-fetch-mode", Field::FetchMode),
    ("accept", Field::Accept),
    ("upgrade", Field::Upgrade),
    ("access-control-request-method", Field::PreflightFor),
    ("content-length", Field::ContentLength),
    ("transfer-encoding", Field::TransferEncoding),
];

const SLOTS: usize = 64;

/// The headers that a dialect reads, no two in one slot.
pub(super) struct Fields([Option<(&'static str, Field)>; SLOTS]);

impl Fields {
    /// Those of every dialect, and of this one. Two names in one slot do not compile.
    pub(super) const fn of(names: &Names) -> Self {
        let mut fields = Self([None; SLOTS]);
        let mut n = 0;
        while n < COMMON.len() {
            #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
            fields.put(Some(COMMON[n].0), COMMON[n].1);
            n += 1;
        }
        fields.put(names.method, Field::Method);
        fields.put(names.uri, Field::Uri);
        fields.put(Some(names.host), Field::Host);
        fields.put(Some(names.proto), Field::Proto);
        fields.put(names.upgrade, Field::Upgrade);
        fields
    }

    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const fn put(&mut self, name: Option<&'static str>, field: Field) {
        if let Some(name) = name
            && let Some(slot) = slot(name)
        {
            assert!(self.0[slot].is_none(), "two names in one slot");
            self.0[slot] = Some((name, field));
        }
    }

    /// What the header `name`, in lower case, is read as.
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        let (known, field) = (*self.0.get(slot(name)?)?)?;
        (known == name).then_some(field)
    }
}

/// Where a name stands, if anywhere: the numbers are such that no two names of a dialect meet.
const fn slot(name: &str) -> Option<usize> {
    match name.as_bytes() {
        [.., byte, _, _] => Some((name.len() + 9 * *byte as usize) % SLOTS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_and_no_other() {
        let fields = Fields::of(&super::super::forwarded::NAMES);
        for (name, field) in COMMON {
            assert_eq!(fields.field(name), Some(field), "{name}");
        }
        assert_eq!(fields.field("x-forwarded-uri"), Some(Field::Uri));
        assert_eq!(fields.field("x-original-upgrade"), Some(Field::Upgrade));
        for name in ["", "a", "te", "host", "x-original-uri", "x-api-kez", "y-api-key", "x-request-ids", "x-forwarded-for"] {
            assert_eq!(fields.field(name), None, "{name}");
        }
    }
}
