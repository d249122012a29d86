//! How a command reaches the admin listener of a running instance: at which address, and by whose login.
//!
//! INVARIANT: neither a password nor a login crosses a network in the clear.

use std::path::Path;

use secrecy::SecretString;

/// Where a login's JWT is taken from, where nothing else is given.
pub(crate) const TOKEN: &str = "GATEPOST_ADMIN_TOKEN";
/// Longest login's JWT, and longest file with one.
const TOKEN_BYTES: u64 = 16 * 1024;

/// The address of an admin listener as somebody typed it, without a slash at the end: with TLS, or on this machine.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(crate) fn base(typed: &str) -> Result<String, String> {
    let base = typed.trim_end_matches('/');
    let example = "write one like https://auth.example.com or http://127.0.0.1:8000";
    match base.split_once("://") {
        Some(("https", rest)) if !rest.is_empty() => {}
        Some(("http", rest)) if is_here(rest) => {}
        Some(("http", _)) => return Err(format!("`{typed}` would show the login to the network: {example}")),
        _ => return Err(format!("`{typed}` is no web address: {example}")),
    }
    if base.contains(['?', '#', '@']) || base.chars().any(|c| c.is_control() || c == ' ') {
        return Err(format!("`{typed}` is no web address: {example}"));
    }
    Ok(base.to_owned())
}

/// Whether an authority, perhaps with a path, is of this machine.
fn is_here(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    };
    host.is_some_and(|host| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

/// The login's JWT: from this file (`-` = standard input), else from the variable's value.
///
/// # Errors
/// Where there is none, with what to do.
pub(crate) fn login(file: Option<&Path>, variable: Option<&str>) -> Result<SecretString, String> {
    use std::io::Read;
    let text = match (file, variable) {
        (Some(file), _) => {
            let from: Box<dyn Read> = if file == Path::new("-") {
                Box::new(std::io::stdin())
            } else {
                Box::new(std::fs::File::open(file).map_err(|error| format!("`{}`: {error}", file.display()))?)
            };
            let mut text = String::new();
            from.take(TOKEN_BYTES).read_to_string(&mut text).map_err(|error| format!("`{}`: {error}", file.display()))?;
            text
        }
        (None, Some(value)) => value.to_owned(),
        (None, None) => {
            return Err(format!(
                "--admin asks as a super admin: give a login's JWT (`jwt.token` of POST /v1/login) by --admin-token-file FILE, or - for \
                 standard input, or by {TOKEN}"
            ));
        }
    };
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("what was given as a super admin's login is no JWT: one line of visible ASCII".to_owned());
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_login_stays_on_the_machine_or_goes_by_tls() {
        for (admin, expected) in [
            ("https://auth.example.com/", Ok("https://auth.example.com")),
            ("https://example.com/auth", Ok("https://example.com/auth")),
            ("http://127.0.0.1:8000", Ok("http://127.0.0.1:8000")),
            ("http://[::1]:8000", Ok("http://[::1]:8000")),
            ("http://localhost:8000/", Ok("http://localhost:8000")),
            ("http://auth.example.com", Err("show the login")),
            ("http://localhost.example.com", Err("show the login")),
            ("http://127.0.0.1@evil.example", Err("show the login")),
            ("http://localhost:x@evil.example", Err("is no web address")),
            ("auth.example.com", Err("is no web address")),
            ("https://", Err("is no web address")),
            ("https://a.example?x", Err("is no web address")),
        ] {
            match (base(admin), expected) {
                (Ok(is), Ok(expected)) => assert_eq!(is, expected),
                (Err(is), Err(expected)) => assert!(is.contains(expected), "{is}"),
                (is, _) => panic!("{admin}: {is:?}"),
            }
        }
    }

    #[test]
    fn a_login_is_given_by_file_or_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "a.b.c\n").unwrap();
        assert_eq!(login(Some(file.path()), Some("d.e.f")).unwrap().expose_secret(), "a.b.c");
        assert_eq!(login(None, Some("d.e.f")).unwrap().expose_secret(), "d.e.f");
        assert!(login(None, None).unwrap_err().contains("--admin-token-file"));
        assert!(login(None, Some("")).is_err() && login(None, Some("a b")).is_err());
        assert!(login(Some(Path::new("/nowhere")), None).unwrap_err().contains("/nowhere"));
    }
}
