//! Base62 with one spelling: fixed width, big-endian, digits `0-9A-Za-z`; anything else is refused.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Width of 16 bytes.
pub(super) const WIDE: usize = 22;
/// Width of 4 bytes.
pub(super) const NARROW: usize = 6;

/// Appends `value` in `width` digits.
fn push(text: &mut String, mut value: u128, width: usize) {
    let mut digits = [b'0'; WIDE];
    for digit in digits.iter_mut().rev() {
        *digit = usize::try_from(value % 62).ok().and_then(|at| DIGITS.get(at)).copied().unwrap_or(b'0');
        value /= 62;
    }
    text.extend(digits.iter().skip(WIDE - width).map(|digit| char::from(*digit)));
}

fn value(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0u128, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        };
        value.checked_mul(62)?.checked_add(u128::from(digit))
    })
}

/// Appends 16 bytes in [`WIDE`] digits.
pub(super) fn push_wide(text: &mut String, bytes: [u8; 16]) {
    push(text, u128::from_be_bytes(bytes), WIDE);
}

/// Appends 4 bytes in [`NARROW`] digits.
pub(super) fn push_narrow(text: &mut String, bytes: [u8; 4]) {
    push(text, u128::from(u32::from_be_bytes(bytes)), NARROW);
}

/// Takes [`WIDE`] digits off the front.
pub(super) fn take_wide<'a>(text: &mut &'a [u8]) -> Option<[u8; 16]> {
    let (digits, rest): (&'a [u8], _) = text.split_at_checked(WIDE)?;
    *text = rest;
    Some(value(digits)?.to_be_bytes())
}

/// Takes [`NARROW`] digits off the front.
pub(super) fn take_narrow<'a>(text: &mut &'a [u8]) -> Option<[u8; 4]> {
    let (digits, rest): (&'a [u8], _) = text.split_at_checked(NARROW)?;
    *text = rest;
    Some(u32::try_from(value(digits)?).ok()?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back(wide: [u8; 16], narrow: [u8; 4]) {
            let mut text = String::new();
            push_wide(&mut text, wide);
            push_narrow(&mut text, narrow);
            prop_assert_eq!(text.len(), WIDE + NARROW);
            let mut rest = text.as_bytes();
            prop_assert_eq!(take_wide(&mut rest), Some(wide));
            prop_assert_eq!(take_narrow(&mut rest), Some(narrow));
            prop_assert!(rest.is_empty());
        }

        /// One spelling: what decodes encodes to the same text again.
        #[test]
        fn one_spelling(text in "[0-9A-Za-z+/_-]{22}") {
            if let Some(bytes) = take_wide(&mut text.as_bytes()) {
                let mut again = String::new();
                push_wide(&mut again, bytes);
                prop_assert_eq!(again, text);
            }
        }
    }
}
