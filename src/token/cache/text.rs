//! Texts of entries: kept in place where they are short, and given out as header values without asking for memory.
//!
//! A header value shares its bytes with whoever else holds them, which an entry would have to pay for with a second piece of memory,
//! as large as the first. So it is written when it is wanted, into memory that this thread uses again as soon as its last answers are sent.

use std::cell::Cell;

use bytes::BytesMut;
use http::HeaderValue;

/// Bytes that stand in place: a text is no larger than one that stands apart, its address and length, and what tells the two apart.
const HERE: usize = 22;
/// What a thread asks for at once: the values of some twenty answers.
const ROOM: usize = 1024;

thread_local! {
    /// Where this thread writes next.
    static WRITTEN: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// A text that does not change.
#[derive(Debug)]
pub(super) enum Text {
    /// As most are.
    Here {
        len: u8,
        bytes: [u8; HERE],
    },
    Apart(Box<[u8]>),
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut bytes = [0; HERE];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(room)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Here { len, bytes }
            }
            _ => Self::Apart(text.as_bytes().into()),
        }
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Here { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Apart(bytes) => bytes,
        }
    }
}

/// Both texts as header values; empty where none can carry one. Asks for memory only while answers of this thread that are not sent yet
/// hold all that was asked for before.
pub(super) fn values(one: &[u8], other: &[u8]) -> [HeaderValue; 2] {
    let len = one.len() + other.len();
    let mut room = WRITTEN.take();
    if room.capacity() < len {
        room.reserve(len.max(ROOM));
    }
    room.extend_from_slice(one);
    room.extend_from_slice(other);
    let mut both = room.split().freeze();
    WRITTEN.set(room);
    let first = both.split_to(one.len());
    let value = |bytes| HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static(""));
    [value(first), value(both)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small() {
        assert_eq!(size_of::<Text>(), 24, "and no larger for the short ones that stand in place");
    }

    #[test]
    fn says_what_it_was_made_of() {
        for len in [0, 1, HERE, HERE + 1, 300] {
            let text = "é".repeat(len / 2) + &"a".repeat(len % 2);
            assert_eq!(Text::from(text.as_str()).as_ref(), text.as_bytes(), "{len}");
        }
    }

    #[test]
    fn values_are_what_was_written_whoever_else_holds_some() {
        let texts = |n: usize| (format!("key-{n}"), "u".repeat(n % 70));
        let held: Vec<_> = (0..1000).map(|n| (n, values(texts(n).0.as_bytes(), texts(n).1.as_bytes()))).collect();
        for (n, [one, other]) in held {
            let (key, user) = texts(n);
            assert_eq!((one, other), (HeaderValue::try_from(key).unwrap(), HeaderValue::try_from(user).unwrap()));
        }
        assert_eq!(values(b"", b""), [HeaderValue::from_static(""), HeaderValue::from_static("")]);
        assert_eq!(values(b"a\nb", b"c"), [HeaderValue::from_static(""), HeaderValue::from_static("c")]);
    }

    #[test]
    fn what_is_sent_is_room_again() {
        let long = "x".repeat(3 * ROOM);
        values(&[b'a'; 32], long.as_bytes());
        let counted = allocation_counter::measure(|| {
            for n in 0..10_000 {
                let [key, user] = values(&[b'a'; 32], if n % 50 == 0 { long.as_bytes() } else { b"carl@example.com" });
                assert!(key.len() == 32 && !user.is_empty());
            }
        });
        assert_eq!(counted.count_total, 0);
    }
}
