//! Cookies of browser sessions, and the tokens of our forms: a session's id that authenticates itself.
//!
//! Written as two times 16 bytes in base62: the id, and 128 bits of HMAC-SHA256 over the id and what the
//! value is bound to. Each use has a key of its own, so no cookie can stand in for another, and a forged one is
//! refused before any store is asked. Whether the session is live, the store knows.

use super::base62;
use super::keyring::Keyring;
use crate::id::Id;

/// What a value is for. Each has its own key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieUse {
    /// The console's cookie, good on the admin listener only.
    Console,
    /// The gate's cookie of one host, bound to its name: an application that sees it can use it nowhere else.
    Host,
    /// The gate's cookie of a domain and its subdomains, bound to its name.
    Domain,
    /// Tells a browser that somebody logged in from before; bound to whom, and to the password they had. No credential.
    Known,
    /// What a form carries, so that no other site's page can send it; bound to what the form does.
    Form,
}

impl CookieUse {
    /// Every use.
    pub const ALL: [Self; 5] = [Self::Console, Self::Host, Self::Domain, Self::Known, Self::Form];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Console => "gatepost console cookie mac v1",
            Self::Host => "gatepost gate cookie mac v1 host",
            Self::Domain => "gatepost gate cookie mac v1 domain",
            Self::Known => "gatepost known browser mac v1",
            Self::Form => "gatepost form token mac v1",
        }
    }
}

/// The value for `id`. `None` = there is no secret key.
pub fn write(keyring: &Keyring, of: CookieUse, id: Id, bound_to: &[u8]) -> Option<String> {
    let mac = keyring.signing()?.cookie_mac(of, id, bound_to);
    let mut text = String::with_capacity(2 * base62::WIDE);
    base62::push_wide(&mut text, *id.as_bytes());
    base62::push_wide(&mut text, mac);
    Some(text)
}

/// The id in a value. `None` = forged, for another use, or bound to something else.
pub fn read(keyring: &Keyring, of: CookieUse, mut value: &[u8], bound_to: &[u8]) -> Option<Id> {
    let id = Id::from_bytes(base62::take_wide(&mut value)?);
    let mac = base62::take_wide(&mut value)?;
    let authentic = keyring.iter().any(|key| bool::from(subtle::ConstantTimeEq::ct_eq(&mac[..], &key.cookie_mac(of, id, bound_to)[..])));
    (value.is_empty() && authentic).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(lines: &[&str]) -> Keyring {
        Keyring::parse(&lines.iter().map(|byte| byte.repeat(32)).collect::<Vec<_>>().join("\n")).unwrap()
    }

    #[test]
    fn only_for_its_use_its_binding_and_this_installation() {
        let (ring, id) = (keyring(&["aa"]), Id::from_bytes([7; 16]));
        for of in CookieUse::ALL {
            let text = write(&ring, of, id, b"app.example").unwrap();
            assert_eq!(text.len(), 44);
            assert_eq!(read(&ring, of, text.as_bytes(), b"app.example"), Some(id));
            assert_eq!(read(&keyring(&["bb", "aa"]), of, text.as_bytes(), b"app.example"), Some(id), "rotation");
            assert_eq!(read(&keyring(&["bb"]), of, text.as_bytes(), b"app.example"), None, "another installation");
            for bound in [&b"other.example"[..], b"app.example ", b"app.exampl", b""] {
                assert_eq!(read(&ring, of, text.as_bytes(), bound), None);
            }
            for other in CookieUse::ALL.into_iter().filter(|other| *other != of) {
                assert_eq!(read(&ring, other, text.as_bytes(), b"app.example"), None, "{of:?} for {other:?}");
            }
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let ring = keyring(&["aa"]);
        let text = write(&ring, CookieUse::Host, Id::from_bytes([7; 16]), b"app.example").unwrap();
        for at in 0..text.len() {
            for other in ["0", "A", "z", "-", "\u{e9}", ""] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(changed == text || read(&ring, CookieUse::Host, changed.as_bytes(), b"app.example").is_none(), "{changed}");
            }
        }
        assert_eq!(read(&ring, CookieUse::Host, format!("{text}0").as_bytes(), b"app.example"), None);
    }
}
