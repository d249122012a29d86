//! Numbers as header values, without writing them again for each answer.
//!
//! `X-Auth-Expires-In` counts seconds. The texts of a thousand numbers are written when the first of them is told, and kept
//! for the life of the process; all of those up to [`KEPT`] take half a megabyte.

use std::sync::OnceLock;

use http::HeaderValue;

/// Numbers below this are kept: more than a day in seconds.
const KEPT: usize = 100_000;
/// Written together.
const TOGETHER: usize = 1000;

static WRITTEN: [OnceLock<Vec<HeaderValue>>; KEPT / TOGETHER] = [const { OnceLock::new() }; KEPT / TOGETHER];

/// `number` as a header's value.
pub(super) fn value(number: u64) -> HeaderValue {
    let kept = usize::try_from(number).ok().and_then(|number| {
        let together = WRITTEN.get(number / TOGETHER)?.get_or_init(|| write(number / TOGETHER * TOGETHER));
        together.get(number % TOGETHER).cloned()
    });
    kept.unwrap_or_else(|| HeaderValue::from(number))
}

/// The values from this number on.
fn write(from: usize) -> Vec<HeaderValue> {
    let numbers = from..from + TOGETHER;
    let text: String = numbers.clone().map(|number| number.to_string()).collect();
    // never given back: a process tells these numbers as long as it lives
    let mut text: &'static str = Box::leak(text.into_boxed_str());
    numbers
        .map(|number| {
            let (number, rest) = text.split_at(number.checked_ilog10().unwrap_or(0) as usize + 1);
            text = rest;
            HeaderValue::from_static(number)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn every_number_is_itself() {
        for number in (0..120_000).chain([u64::MAX]) {
            assert_eq!(value(number), number.to_string());
        }
    }
}
