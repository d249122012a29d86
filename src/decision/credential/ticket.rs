//! Tickets in the query of an original URI: `?ticket=…`.
//!
//! Names compare as they are written: a spelling with `%` is another parameter, and nothing here makes a ticket of it.

use super::Carrier;

/// What stands before a ticket in a query.
const NAME: &[u8] = b"ticket";

/// The value of the parameter `ticket`; empty where it has none.
pub fn in_query(uri: &[u8]) -> Carrier<'_> {
    let mut found = Carrier::Absent;
    for value in query(uri).split(|byte| *byte == b'&').filter_map(value) {
        found.add(value);
    }
    found
}

/// Whether a ticket may stand anywhere in this text, for whoever is about to show it.
pub fn may_stand_in(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"ticket=").is_some()
}

fn query(uri: &[u8]) -> &[u8] {
    memchr::memchr(b'?', uri).and_then(|at| uri.get(at + 1..)).unwrap_or_default()
}

/// The value of one parameter that is called so.
fn value(parameter: &[u8]) -> Option<&[u8]> {
    match parameter.strip_prefix(NAME)? {
        [] => Some(&[]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn where_a_ticket_stands() {
        use Carrier::{Absent, Doubled, Once};
        for (uri, found) in [
            ("/ws", Absent),
            ("/ws?", Absent),
            ("/ticket=a", Absent),
            ("/ws?ticket=a", Once(&b"a"[..])),
            ("/ws?ticket=a=b", Once(b"a=b")),
            ("/ws?x=1&ticket=a&y", Once(b"a")),
            ("/ws?x=1?ticket=a", Absent),
            ("/ws?ticket=a?b", Once(b"a?b")),
            ("/ws?ticket", Once(b"")),
            ("/ws?ticket=", Once(b"")),
            ("/ws?ticket=a&ticket=a", Doubled),
            ("/ws?ticket=a&ticket", Doubled),
            ("/ws?tickets=a&aticket=b&Ticket=c&ticket%3Dd&tick%65t=e&%20ticket=f", Absent),
            ("/ws?x=1;ticket=a", Absent),
        ] {
            assert_eq!(in_query(uri.as_bytes()), found, "{uri}");
        }
    }

    proptest! {
        /// As many as were written are found, wherever they stand among others.
        #[test]
        fn nothing_is_made_up(parameters in prop::collection::vec("(ticket|tickets|x|)(=[a-z?=]{0,3})?", 0..5)) {
            let uri = format!("/a?{}", parameters.join("&"));
            let written: Vec<&str> = parameters.iter().filter_map(|one| one.strip_prefix("ticket")).filter(|rest| !rest.starts_with('s')).collect();
            match (in_query(uri.as_bytes()), written.as_slice()) {
                (Carrier::Absent, []) => {}
                (Carrier::Once(value), [rest]) => prop_assert_eq!(value, rest.strip_prefix('=').unwrap_or_default().as_bytes()),
                (Carrier::Doubled, [_, _, ..]) => {}
                (found, written) => prop_assert!(false, "{found:?} of {written:?}"),
            }
            prop_assert!(!written.iter().any(|rest| rest.starts_with('=')) || may_stand_in(uri.as_bytes()));
        }
    }
}
