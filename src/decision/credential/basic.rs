//! HTTP Basic (RFC 7617) with an API key as the password: decoded on the stack, and only where the key is not known yet.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Word;

/// Longest user name and password together, in bytes. An API key has less than a hundred.
const LONGEST: usize = 512;

/// Where a user name and a password are put.
pub type Room = [u8; LONGEST];

/// Empty room.
pub fn room() -> Room {
    [0; LONGEST]
}

/// The password in what follows `Basic `. The user name says nothing.
pub fn password<'r>(text: Word<'_>, room: &'r mut Room) -> Option<Word<'r>> {
    let length = STANDARD.decode_slice(text.as_bytes(), room).ok()?;
    let both = room.get(..length)?;
    let colon = memchr::memchr(b':', both)?;
    Word::read(both.get(colon + 1..)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_what_follows_the_first_colon() {
        for (both, expected) in [
            ("x:gpk_1", Some("gpk_1")),
            (":gpk_1", Some("gpk_1")),
            ("a:b:c", Some("b:c")),
            ("gpk_1:", None),
            ("gpk_1", None),
            ("", None),
            ("x:a b", None),
            ("x:a\n", None),
            ("x:\u{e9}", None),
        ] {
            let text = STANDARD.encode(both);
            assert_eq!(password(text.as_str().into(), &mut room()).map(Word::as_str), expected, "{both}");
        }
        for text in ["eDpr=", "eDpr!", "eDp", "eDpr eDpr", "=", &STANDARD.encode(format!("{}:k", "x".repeat(600)))] {
            assert_eq!(password(text.into(), &mut room()), None, "{text}");
        }
        let long = STANDARD.encode(format!("{}:k", "x".repeat(500)));
        assert_eq!(password(long.as_str().into(), &mut room()), Some("k".into()));
    }
}
