use proptest::prelude::*;

use super::*;

fn check(uri: &str, expected: Result<&[&str], PathFault>) {
    let path = Path::read(uri.as_bytes());
    let readings = path.as_ref().map(|path| path.readings().map(|r| std::str::from_utf8(r).unwrap()).collect::<Vec<_>>()).map_err(|e| *e);
    assert_eq!(readings.as_ref().map(Vec::as_slice), expected.as_ref().copied(), "{uri}");
}

#[test]
fn plain_and_decoded() {
    check("/", Ok(&["/"]));
    check("/a/b", Ok(&["/a/b"]));
    check("/a/b/", Ok(&["/a/b/"]));
    check("/a?next=/public/../admin%2f..%00//x", Ok(&["/a"]));
    check("/a?x#y", Ok(&["/a"]));
    check("/caf%C3%A9/a%20b/~u/x,y:z@w+1", Ok(&["/café/a b/~u/x,y:z@w+1"]));
    check("/%61dmin", Ok(&["/admin"]));
    check("/.well-known/x", Ok(&["/.well-known/x"]));
    check("/a..b/c.", Ok(&["/a..b/c."]));
    check("/a{b}|\"<>^`", Ok(&["/a{b}|\"<>^`"]));
}

#[test]
fn parameters_give_a_second_reading() {
    check("/a;x=1/b;y", Ok(&["/a;x=1/b;y", "/a/b"]));
    check("/a;", Ok(&["/a;", "/a"]));
    check("/a/;x", Err(PathFault::EmptySegment));
    check("/;x/a", Err(PathFault::EmptySegment));
}

#[test]
fn refused() {
    for (fault, uris) in [
        (PathFault::NotOriginForm, &["", "*", "a", "?x", "#", "http://app.example/a", "app.example:443", "\\a", "%2fa"][..]),
        (PathFault::Control, &["/a b", "/a\tb", "/a?b c", "/a?\u{7f}", "/a\r\nb", "/a\0", "/public/a, /admin"]),
        (PathFault::Raw, &["/a\\b", "/a#b", "/#/../a", "/é", "/a#?b"]),
        (PathFault::BadEscape, &["/%", "/%2", "/%zz", "/%u002e", "/a%", "/%%20"]),
        (
            PathFault::EscapedDelimiter,
            &["/a%2fb", "/a%2Fb", "/%5c", "/%25", "/%252e", "/%23", "/%3f", "/%3b", "/%00", "/%0d%0a", "/%7f", "/%09"],
        ),
        (PathFault::NotText, &["/%ff", "/%c0%ae%c0%ae", "/%e9", "/%c2%80", "/%ed%a0%80"]),
        (
            PathFault::DotSegment,
            &[
                "/.",
                "/..",
                "/a/../b",
                "/a/./b",
                "/a/..",
                "/%2e%2e/a",
                "/.%2e/",
                "/%2e",
                "/..;x/a",
                "/.;a=b/../c",
                "/..%20/a",
                "/.../a",
                "/a/.%20.",
            ],
        ),
        (PathFault::EmptySegment, &["//", "//a", "/a//b", "/a//", "/;/", "/;"]),
    ] {
        for uri in uris {
            check(uri, Err(fault));
        }
    }
    check(&format!("/{}", "a".repeat(URI_BYTES)), Err(PathFault::TooLong));
}

/// How servers of many kinds may read a path: decoded once or not, parameters dropped or not.
fn other_readings(uri: &[u8]) -> Vec<Vec<u8>> {
    let path = uri.split(|b| *b == b'?').next().unwrap();
    let decoded = decode(path).unwrap();
    let strip = |p: &[u8]| segments(p).flat_map(|s| [b"/", s.split(|b| *b == b';').next().unwrap()].concat()).collect::<Vec<u8>>();
    vec![strip(&decoded), strip(path), decoded]
}

/// What a server that resolves dot segments and merges slashes makes of it.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let ends_open = path.ends_with(b"/");
    for segment in path.split(|b| *b == b'/').filter(|s| !s.is_empty() && *s != b".") {
        if segment == b".." {
            kept.pop();
        } else {
            kept.push(segment);
        }
    }
    let mut path = kept.iter().flat_map(|s| [b"/", *s].concat()).collect::<Vec<u8>>();
    if ends_open {
        path.push(b'/');
    }
    path
}

proptest! {
    /// Whatever is accepted means the same after resolving: no server can be led elsewhere.
    #[test]
    fn accepted_paths_have_nothing_to_resolve(uri in "/([a-c./;%?#\\\\ ]|%2[ef5]|%3b|%5c|%2E|\\.\\.|;x){0,12}") {
        if let Ok(path) = Path::read(uri.as_bytes()) {
            for reading in path.readings() {
                prop_assert_eq!(resolved(reading), reading.to_vec());
            }
            let ours: Vec<Vec<u8>> = path.readings().map(<[u8]>::to_vec).collect();
            for other in other_readings(uri.as_bytes()) {
                if !other.contains(&b'%') {
                    prop_assert!(ours.contains(&other), "{:?} not among {:?}", other, ours);
                }
            }
        }
    }

    #[test]
    fn the_fast_path_agrees_with_the_slow_one(path in "/[a-zA-Z0-9._~!$&'()*+,=:@/-]{0,20}") {
        if plain(path.as_bytes()) == path.len() {
            prop_assert_eq!(decode(path.as_bytes()).unwrap(), path.as_bytes());
            prop_assert_eq!(strip_parameters(path.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = Path::read(&bytes);
    }
}
