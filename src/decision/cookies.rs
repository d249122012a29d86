//! Cookies: one name's value out of `Cookie` headers, on bytes (RFC 6265 §4.2).
//!
//! Whose word counts where a name stands twice is a guess, and the second may be a stranger's (a subdomain can set
//! one for the whole domain): two are none.

use super::credential::Carrier;

/// The gate's cookie of one host.
pub const HOST_COOKIE: &str = "__Host-gatepost";
/// The gate's cookie of a domain and its subdomains.
pub const DOMAIN_COOKIE: &str = "__Secure-gatepost";

/// The value of the cookie `name` in these `Cookie` headers. HTTP/2 splits them, so there may be several.
pub fn find<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Carrier<'a> {
    let mut found = Carrier::Absent;
    for pair in lines.flat_map(|line| line.split(|byte| *byte == b';')) {
        let (its_name, value) = pair.split_at(memchr::memchr(b'=', pair).unwrap_or(pair.len()));
        if its_name.trim_ascii() == name.as_bytes() {
            found.add(value.strip_prefix(b"=").unwrap_or_default().trim_ascii());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(lines: &[&'a str]) -> Carrier<'a> {
        find(lines.iter().map(|line| line.as_bytes()), HOST_COOKIE)
    }

    #[test]
    fn one_is_found_wherever_it_stands() {
        for lines in [
            &["__Host-gatepost=x"][..],
            &["a=b; __Host-gatepost=x; c"],
            &["a=b;__Host-gatepost=x"],
            &[" __Host-gatepost = x ;"],
            &["a=b", "__Host-gatepost=x"],
            &["a=__Host-gatepost=y; __Host-gatepost=x"],
            &["=__Host-gatepost=y; __Host-gatepost=x"],
            &["__Host-gatepost-state=y; __Host-gatepost=x; x__Host-gatepost=y; __host-gatepost=y"],
        ] {
            assert_eq!(read(lines), Carrier::Once(b"x"), "{lines:?}");
        }
        assert_eq!(read(&["__Host-gatepost=a=b"]), Carrier::Once(b"a=b"));
        assert_eq!(read(&["__Host-gatepost"]), Carrier::Once(b""));
    }

    #[test]
    fn none_and_two() {
        for lines in [&[][..], &[""], &["a=b"], &["a=1,__Host-gatepost=x"], &["__Secure-gatepost=x"], &["\"__Host-gatepost\"=x"]] {
            assert_eq!(read(lines), Carrier::Absent, "{lines:?}");
        }
        for lines in [
            &["__Host-gatepost=x; __Host-gatepost=x"][..],
            &["__Host-gatepost=x", "__Host-gatepost=y"],
            &["__Host-gatepost; __Host-gatepost=x"],
            &["__Host-gatepost=x", "a=b; __Host-gatepost="],
        ] {
            assert_eq!(read(lines), Carrier::Doubled, "{lines:?}");
        }
    }

    proptest! {
        /// What is found stands in one of the lines, between its name and the next `;`.
        #[test]
        fn nothing_is_made_up(lines in prop::collection::vec(prop::collection::vec(prop_oneof![any::<u8>(), Just(b';'), Just(b'=')], 0..12), 0..3), value in "[a-z0-9]{0,4}") {
            let own = format!("{HOST_COOKIE}={value}");
            let with_own = lines.iter().map(Vec::as_slice).chain([own.as_bytes()]);
            prop_assert_eq!(find(with_own, HOST_COOKIE), Carrier::Once(value.as_bytes()));
            prop_assert_eq!(find(lines.iter().map(Vec::as_slice), HOST_COOKIE), Carrier::Absent);
        }
    }
}
