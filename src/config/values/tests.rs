use super::*;

/// Takes every one of `good`, and none of `bad`.
fn check<T>(read: impl Fn(&str) -> Reading<T>, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(read(text).is_ok(), "{text}: {}", read(text).err().unwrap().what);
    }
    for text in bad {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn durations_need_a_whole_number_and_a_unit() {
    let bad =
        ["", "0", "60", "m", "1.5h", "-1s", "+1s", "60 m", "1h30m", "60M", "1w", "0s", "999ms", "99999999999999999999h", "11d1h", "4000d"];
    check(lifetime, &["1s", "60m", "12h", "7d", "1000ms", "01h"], &bad);
    assert_eq!(lifetime("90m"), Ok(Duration::from_secs(5400)));
    let bound = duration(Duration::from_millis(100), Duration::from_secs(10));
    check(bound, &["100ms", "10s"], &["99ms", "10001ms", "11s"]);
}

#[test]
fn listeners_are_addresses_with_ports_or_absolute_sockets() {
    check(
        listen,
        &["127.0.0.1:9001", "[::1]:9001", "0.0.0.0:0", "unix:/run/gatepost/nginx.sock"],
        &[
            "9001",
            ":9001",
            "localhost:9001",
            "127.0.0.1",
            "127.0.0.1:99999",
            "::1:9001",
            "unix:",
            "unix:a.sock",
            "unix:/run/",
            "/run/a.sock",
            "",
        ],
    );
    assert!(listen(&format!("unix:/{}", "a".repeat(106))).is_ok());
    assert!(listen(&format!("unix:/{}", "a".repeat(107))).is_err());
    assert_eq!(listen("localhost:9001").unwrap_err().what_to_do, "write 127.0.0.1:9001, or unix:/run/gatepost/nginx.sock");
}

#[test]
fn networks_have_no_bits_after_their_prefix() {
    check(
        network,
        &["10.0.0.0/8", "192.0.2.7", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/128", "192.0.2.7/32"],
        &["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "2001:db8::1/32", "::/129", "example.com", ""],
    );
    assert_eq!(network("10.1.2.3/8").unwrap_err().what_to_do, "write 10.0.0.0/8, or 10.1.2.3 for that one address");
}

#[test]
fn web_addresses_lose_the_slash_at_their_end() {
    check(
        http_url,
        &["https://auth.example.com", "http://localhost:8000", "https://[::1]:8443/base/"],
        &[
            "auth.example.com",
            "ftp://a",
            "https://",
            "https://a b",
            "https://u@a",
            "https://a?b",
            "https://a#b",
            "https://a:b",
            "https://-a",
        ],
    );
    assert_eq!(http_url("https://a.example/").as_deref(), Ok("https://a.example"));
}

#[test]
fn single_words_and_numbers() {
    check(boolean, &["true", "false"], &["yes", "True", "1", ""]);
    check(number(8, 10), &["8", "10", "009"], &["7", "11", "+8", "8.0", "", "99999999999999999999"]);
    check(text, &["a b"], &["", "a\nb"]);
    check(host_name, &["example.com", "a"], &["*.example.com", "a:1", "", ".", "a..b", "https://a"]);
    check(email_address, &["a@example.com"], &["a", "@example.com", "a@", "a b@c"]);
    check(scope, &["orders:read", "*"], &["", "a b", "*:a"]);
    assert_eq!(one_of(&[("opaque", 1), ("jwt", 2)])("opaqe").unwrap_err().what_to_do, "did you mean `opaque`?");
}
