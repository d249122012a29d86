//! Which of a check's headers are read, found by one look into a table that the compiler fills.
//!
//! A check has some twenty headers, some of them none of ours: each is told by its length and one of its bytes, compared once, and
//! kept where the table says, the same few steps for all.

use http::{HeaderMap, HeaderValue};

use super::Names;
use crate::decision::credential::Carrier;
use crate::decision::same::same;

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

const FIELDS: usize = Field::Proto as usize + 1;

impl Field {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
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
    #[inline]
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        let (known, field) = (*self.0.get(slot(name)?)?)?;
        same(name.as_bytes(), known.as_bytes()).then_some(field)
    }
}

/// What stands in the headers that are read.
pub(super) struct Found<'a> {
    values: [Option<&'a HeaderValue>; FIELDS],
    /// Which stand there more than once: a bit for each.
    doubled: u32,
}

impl<'a> Found<'a> {
    /// One pass over all headers.
    pub(super) fn read(fields: &Fields, headers: &'a HeaderMap) -> Self {
        let mut found = Self { values: [None; FIELDS], doubled: 0 };
        found.take(fields, headers);
        found
    }

    /// By itself, so that the loop has registers enough.
    #[inline(never)]
    fn take(&mut self, fields: &Fields, headers: &'a HeaderMap) {
        for (name, value) in headers {
            if let Some(field) = fields.field(name.as_str())
                && let Some(kept) = self.values.get_mut(field as usize)
                && kept.replace(value).is_some()
            {
                self.doubled |= field.bit();
            }
        }
    }

    /// What stands in this one.
    pub(super) fn get(&self, field: Field) -> Carrier<'a> {
        match self.value(field) {
            None => Carrier::Absent,
            Some(_) if self.doubled & field.bit() != 0 => Carrier::Doubled,
            Some(value) => Carrier::Once(value.as_bytes()),
        }
    }

    /// Whether it stands there at all.
    pub(super) fn has(&self, field: Field) -> bool {
        self.value(field).is_some()
    }

    fn value(&self, field: Field) -> Option<&'a HeaderValue> {
        self.values.get(field as usize).copied().flatten()
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

    #[test]
    fn two_of_a_name_are_told_from_one() {
        let headers: HeaderMap = [("cookie", "a=1"), ("x-api-key", "k"), ("cookie", "b=2")]
            .into_iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            });
        let found = Found::read(&Fields::of(&super::super::nginx::NAMES), &headers);
        assert_eq!((found.get(Field::Cookie), found.get(Field::XApiKey)), (Carrier::Doubled, Carrier::Once(b"k")));
        assert!(found.has(Field::Cookie) && !found.has(Field::Accept));
    }
}
