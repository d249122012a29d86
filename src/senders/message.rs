//! A code on its way: to whom, and which. Mute in debug output.

use std::fmt;
use std::time::Duration;

use crate::id::random_bytes;

/// Digits of a code.
const DIGITS: usize = 6;
/// How many codes there are.
const CODES: u32 = 1_000_000;
/// Draws from here on are drawn again, or small codes would come more often.
const FAIR: u32 = u32::MAX / CODES * CODES;

/// A one-time code.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// A new one; each comes as often as any other.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub fn random() -> Result<Self, ring::error::Unspecified> {
        loop {
            let drawn = u32::from_le_bytes(random_bytes()?);
            if drawn < FAIR {
                return Ok(Self(format!("{:0DIGITS$}", drawn % CODES)));
            }
        }
    }

    /// The code that someone types: spaces within do not count. `None` = it is no code.
    pub fn read(text: &str) -> Option<Self> {
        if text.len() > 4 * DIGITS {
            return None;
        }
        let digits: String = text.chars().filter(|c| *c != ' ').collect();
        (digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then_some(Self(digits))
    }

    /// For whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

/// A code on its way.
#[derive(Clone)]
pub struct Message {
    /// An e-mail address, or a phone number with its `+`.
    pub to: String,
    /// What it brings.
    pub code: Code,
    /// How long that is good.
    pub good_for: Duration,
}

impl Message {
    /// Enough of the address to find it in a provider's own log.
    pub fn shortened(&self) -> String {
        match self.to.split_once('@') {
            Some((_, domain)) => format!("…@{domain}"),
            None => {
                let last: Vec<char> = self.to.chars().rev().take(2).collect();
                format!("…{}", last.into_iter().rev().collect::<String>())
            }
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Message")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_six_digits_and_all_of_them() {
        let mut first = [0u32; 10];
        for _ in 0..2000 {
            let code = Code::random().unwrap();
            assert_eq!(Code::read(code.reveal()), Some(code.clone()));
            first[usize::from(code.reveal().as_bytes()[0] - b'0')] += 1;
        }
        assert!(first.iter().all(|&n| n > 100), "{first:?}");
        assert_eq!(FAIR % CODES, 0);
    }

    #[test]
    fn what_is_typed() {
        assert_eq!(Code::read("012 345").unwrap().reveal(), "012345");
        for no in ["", "12345", "1234567", "12345x", "１２３４５６", &"1 ".repeat(40)] {
            assert_eq!(Code::read(no), None, "{no}");
        }
    }

    #[test]
    fn mute() {
        let code = Code::read("123456").unwrap();
        let message = Message { to: "ann@example.com".into(), code: code.clone(), good_for: Duration::ZERO };
        assert_eq!(format!("{code:?} {message:?}"), "Code Message");
        assert_eq!(message.shortened(), "…@example.com");
        assert_eq!(Message { to: "+4917612345678".into(), ..message }.shortened(), "…78");
    }
}
