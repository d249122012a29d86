use proptest::prelude::*;

use super::*;

fn rules() -> ReturnRules {
    ReturnRules {
        public_url: Some("https://auth.example.com".to_owned()),
        domains: vec!["example.com".to_owned()],
        hosts: vec!["app.other.test".to_owned(), "localhost".to_owned()],
    }
}

#[test]
fn what_may_be_returned_to() {
    for (text, expected) in [
        ("/", "/"),
        ("/console", "/console"),
        ("/console?a=https://x.example//&b", "/console?a=https://x.example//&b"),
        ("https://auth.example.com", "/"),
        ("https://auth.example.com:443/console?a", "/console?a"),
        ("https://app.example.com", "https://app.example.com/"),
        ("https://app.example.com?a=b", "https://app.example.com/?a=b"),
        ("https://APP.Example.Com:8443/A?B=%2f", "https://app.example.com:8443/A?B=%2f"),
        ("https://example.com/", "https://example.com/"),
        ("https://a.b.example.com/", "https://a.b.example.com/"),
        ("https://app.other.test/x#part", "https://app.other.test/x"),
        ("http://localhost:8081/x", "http://localhost:8081/x"),
        ("https://app.example.com/..//evil.example/", "https://app.example.com/..//evil.example/"),
    ] {
        let to = ReturnTo::parse(text, &rules());
        assert_eq!(to.to_string(), expected, "{text}");
        assert_eq!(ReturnTo::parse(expected, &rules()), to, "{text} once more");
    }
}

/// BYP-147 to BYP-155, and the rest of their class.
#[test]
fn what_may_not() {
    for text in [
        "",
        "console",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "/%5Cevil.example/\\",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/./evil.example",
        "/..//evil.example",
        "/a/../..//evil.example",
        "/a//evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https:\\\\evil.example",
        "https://",
        "https://evil.example",
        "https://evil.example/app.example.com",
        "https://evil.example?https://app.example.com",
        "https://evil.example#.app.example.com/",
        "https://evil.example\\.app.example.com/",
        "https://evil.example%23.example.com/",
        "https://evil.example%2f.example.com/",
        "https://app.example.com@evil.example/",
        "https://app.example.com:x@evil.example/",
        "https://app.example.com:443@evil.example/",
        "https://user@app.example.com/",
        "https://app.example.com.evil.example/",
        "https://evilexample.com/",
        "https://app.example.com./",
        "https://app..example.com/",
        "https://.example.com/",
        "https://app.example.com:/",
        "https://app.example.com:0/",
        "https://app.example.com:99999/",
        "https://app.example.com:8443:443/",
        "https://app.exam\tple.com/",
        "https://app.ex\u{e4}mple.com/",
        "https://app.example\u{3002}com/",
        "https://[::1]@evil.example/",
        "https://app.other.test.evil.example/",
        "https://x.app.other.test/",
        "HTTPS://app.example.com/",
        "http://app.example.com/",
        "http://app.other.test/",
        "ftp://app.example.com/",
        "javascript:alert(1)//example.com",
        "javascript://app.example.com/%0aalert(1)",
        "data:text/html,https://app.example.com/",
        "https://127.0.0.1/",
        "http://127.1/",
        "http://localhost.evil.example/",
        "https://app.example.com/\r\nSet-Cookie: a=b",
        "https://app.example.com/<script>",
    ] {
        assert_eq!(ReturnTo::parse(text, &rules()), ReturnTo::Start, "{text:?}");
    }
    assert_eq!(ReturnTo::parse(&format!("/{}", "a".repeat(LONGEST)), &rules()), ReturnTo::Start);
    assert_eq!(ReturnTo::parse("https://app.example.com/", &ReturnRules::default()), ReturnTo::Start, "nothing is configured");
}

#[test]
fn the_host_of_the_login_pages_may_have_other_pages() {
    let rules = ReturnRules { public_url: Some("https://host.test:8000/auth".to_owned()), ..ReturnRules::default() };
    assert_eq!(ReturnTo::parse("https://host.test/x", &rules).to_string(), "https://host.test/x");
    assert_eq!(ReturnTo::parse("https://host.test:8000/x", &rules), ReturnTo::Own("/x".to_owned()));
    assert_eq!(ReturnTo::parse("https://sub.host.test/x", &rules), ReturnTo::Start);
}

#[test]
fn a_domain_covers_itself_and_what_is_below() {
    let rules = rules();
    for (host, covered) in
        [("example.com", true), ("a.example.com", true), ("aexample.com", false), ("com", false), ("example.com.x", false)]
    {
        assert_eq!(rules.domain_of(host).is_some(), covered, "{host}");
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("https://".to_owned()),
        Just("http://".to_owned()),
        Just("//".to_owned()),
        Just("/\\".to_owned()),
        Just("app.example.com".to_owned()),
        Just("evil.example".to_owned()),
        Just("auth.example.com".to_owned()),
        Just("localhost".to_owned()),
        Just("[::1]".to_owned()),
        "[/\\\\@:#?%.\t\n 0-9a-z-]{0,3}",
        "\\PC{0,2}",
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever is asked for: a browser, which reads addresses by the WHATWG's rules, stays on hosts that are allowed.
    #[test]
    fn a_browser_never_leaves_the_allowed_hosts(text in hostile()) {
        let rules = rules();
        let to = ReturnTo::parse(&text, &rules);
        let base = url::Url::parse("https://auth.example.com/login").unwrap();
        let seen = base.join(&to.to_string()).unwrap();
        let host = seen.host_str().unwrap();
        prop_assert!(rules.allows(host) || host == "auth.example.com", "{text:?} leads to {seen}");
        prop_assert!(seen.scheme() == "https" || is_loopback(host), "{text:?} leads to {seen}");
        prop_assert!(seen.username().is_empty() && seen.password().is_none());
        if let Some(site) = to.site() {
            prop_assert_eq!(host, &site.host);
            prop_assert_eq!(seen.port(), site.port);
        }
        prop_assert_eq!(ReturnTo::parse(&to.to_string(), &rules), to);
    }
}
