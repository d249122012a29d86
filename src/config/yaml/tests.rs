use proptest::prelude::*;

use super::*;

/// The tree in one line: scalars as text, quoted ones in quotes.
fn show(node: &Node<'_>) -> String {
    match &node.content {
        Content::Scalar(text, true) => text.to_string(),
        Content::Scalar(text, false) => format!("{text:?}"),
        Content::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Content::Mapping(entries) => {
            let entry = |entry: &Entry<'_>| format!("{}: {}", entry.key, show(&entry.value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn faults(text: &str) -> Vec<String> {
    let fault = |Fault { place, path, what, .. }: Fault| format!("{}:{}: {path}: {what}", place.line, place.column);
    parse(text).1.into_iter().map(fault).collect()
}

#[test]
fn trees() {
    for (text, tree) in [
        ("a: 1\nb: [x, 'y', {}]", "{a: 1, b: [x, \"y\", {}]}"),
        ("a:\n  - b: c\n    d: e\n  - f", "{a: [{b: c, d: e}, f]}"),
        ("---\na: /x/{id}\n...", "{a: /x/{id}}"),
        ("\u{feff}a: b", "{a: b}"),
        ("a: |\n  one\n  two\n", "{a: \"one\\ntwo\\n\"}"),
        ("a:", "{a: }"),
        ("a:\r\n  b: ä\r\n", "{a: {b: ä}}"),
        ("GET https://api.example.com/x#y", "GET https://api.example.com/x#y"),
    ] {
        let (tree_read, faults) = parse(text);
        assert_eq!((tree_read.as_ref().map(show).as_deref(), faults), (Some(tree), vec![]), "{text}");
    }
    assert_eq!(parse(""), (None, vec![]));
    assert_eq!(parse("# only a comment\n"), (None, vec![]));
}

#[test]
fn places_count_characters_from_one() {
    let (tree, _) = parse("# one\nä: {ö: 'x', b: y}\n");
    let Some(Node { content: Content::Mapping(outer), .. }) = &tree else { panic!() };
    let Content::Mapping(inner) = &outer[0].value.content else { panic!() };
    let at = |line, column| Place { line, column };
    assert_eq!((outer[0].place, outer[0].value.place), (at(2, 1), at(2, 4)));
    assert_eq!((inner[1].place, inner[1].value.place), (at(2, 13), at(2, 16)));
}

#[test]
fn what_two_readers_could_read_differently_is_a_fault() {
    for (text, expected) in [
        ("a: 1\nb: {c: 1, c: 2}", &["2:11: b: the key `c` twice"][..]),
        ("a: 1\na: {b: 1, b: 2}", &["2:1: (file): the key `a` twice", "2:11: (file): the key `b` twice"]),
        ("a: &x 1\nb: *x", &["1:4: a: an anchor", "2:4: b: an alias"]),
        ("hosts: *.example.com", &["1:8: hosts: an alias"]),
        ("a: !!str 1", &["1:4: a: a tag"]),
        ("a: 1\n---\na: 2", &["2:1: (file): a second document"]),
        ("{[a]: b}", &["1:2: (file): a key that is no text"]),
        ("a: [x, [y, {b: [!t z]}]]", &["1:17: a[1][1].b[0]: a tag"]),
        ("<<: {a: 1}", &[]),
    ] {
        assert_eq!(faults(text), expected, "{text}");
    }
    let broken = faults("a: [1, 2\nb: 3");
    assert!(broken.len() == 1 && broken[0].contains("not YAML"), "{broken:?}");
}

#[test]
fn depth_and_width_are_bounded() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert_eq!(faults(&deep(DEPTH)), Vec::<String>::new());
    assert!(faults(&deep(DEPTH + 1))[0].contains("nested more than"));
    assert!(!faults(&deep(100_000)).is_empty());
    assert!(!faults(&"- ".repeat(100_000)).is_empty());
    assert!(!faults(&"? ".repeat(100_000)).is_empty());
    let wide = |n: usize| (0..n).map(|i| format!("k{i}: 1\n")).collect::<String>();
    assert_eq!(faults(&wide(KEYS)), Vec::<String>::new());
    assert!(faults(&wide(KEYS + 1))[0].contains("more than"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_panics_on_text(text in "\\PC{0,80}") {
        parse(&text);
    }

    #[test]
    fn never_panics_on_what_looks_like_yaml(parts in prop::collection::vec(
        prop::sample::select(vec!["a", "b", ": ", ":", "- ", "-", "? ", "[", "]", "{", "}", ",", "\n", "\n  ", "\n    ", "\t", "\r", "'", "\"", "\\", "\\x", "\\U",
            "#", " #", "&a", "*a", "!", "!!s", "!<", "|", ">", "|2-\n", "%", "%YAML 1.2\n", "%TAG ! a\n", "---", "---\n", "...", "~", "\u{feff}", "\u{85}", "\0", "ä", "<<: "]), 0..40)) {
        parse(&parts.concat());
    }
}
