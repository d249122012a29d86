//! Forms: `application/x-www-form-urlencoded`, each field once.

use super::failure::Failure;

/// The fields of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Its media type.
    pub(super) const TYPE: &str = "application/x-www-form-urlencoded";

    /// Reads a form. A field without a value is as if it were not there; none may come twice (RFC 6749 §3.2).
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let unreadable = || Failure::invalid("body: not a form");
        let mut fields: Vec<(String, String)> = Vec::new();
        for pair in std::str::from_utf8(body).map_err(|_| unreadable())?.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name).ok_or_else(unreadable)?, decoded(value).ok_or_else(unreadable)?);
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(Failure::invalid(format!("`{name}`: more than one")));
            }
            fields.push((name, value));
        }
        fields.retain(|(_, value)| !value.is_empty());
        Ok(Self(fields))
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// What the names of these fields go on with after `prefix`: the boxes of a group that are ticked.
    pub(super) fn ticked<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |(name, _)| name.strip_prefix(prefix))
    }

    /// The value of a field that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::invalid(format!("missing field `{name}`")))
    }
}

/// Undoes the encoding of a form's name or value. `None` = it is not encoded so.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (text, plain) in
            [("", Some("")), ("a+b%20c", Some("a b c")), ("%C3%a9", Some("é")), ("%", None), ("%4", None), ("%zz", None), ("%ff", None)]
        {
            assert_eq!(decoded(text).as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn each_field_once_and_empty_ones_not_at_all() {
        let form = Form::read(b"a=1&b=&&c").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), None, None));
        assert!(form.need("b").is_err());
        let boxes = Form::read(b"policy-1=on&policy-2=on&policy-3=&other=on").unwrap();
        assert_eq!(boxes.ticked("policy-").collect::<Vec<_>>(), ["1", "2"]);
        for body in [&b"a=1&a=1"[..], b"a=&a=1", b"%61=1&a=2", b"\xff=1", b"a=%zz"] {
            assert!(Form::read(body).is_err(), "{body:?}");
        }
    }
}
