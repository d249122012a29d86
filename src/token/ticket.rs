//! Tickets: what a browser puts into the address of a WebSocket, where it can send no header. Good once, and for 30 seconds at most.
//!
//! `gpw_`, then base64url of a sealed note (ChaCha20-Poly1305 under a key that nothing else uses): what the ticket was made from, its own
//! id, until when it lasts, and perhaps a path and scopes. So an address in somebody's log tells nothing, a forged ticket is refused
//! before any store is asked, and a ticket stands for what it was made from *as that is now*: what ends that ends the ticket.
//!
//! INVARIANT: a ticket names the epoch of the store that it was made in, and is good in no other. Which tickets were used is known to
//! that one life of the store alone ([`super::redis`], [`super::embedded`]): whatever is lost with it is of no use any more.
//! INVARIANT: its times are those of the store's clock, which alone decides, so that replicas may differ.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keyring::Keyring;
use super::recognise::Authentic;
use super::seal::{SealUse, open, seal};
use super::secret::{HashedSecret, sha256};
use super::store::Ask;
use crate::clock::UnixMs;
use crate::decision::credential::CredentialKind;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;

/// The first bytes of a ticket.
pub const PREFIX: &str = "gpw_";
/// How long one lasts at most.
pub const LONGEST: Duration = Duration::from_secs(30);
/// Longest ticket, in bytes: it stands in an address, and proxies take some 8 KiB of those.
const LONGEST_TEXT: usize = 4096;
/// Of how a note is written.
const VERSION: u8 = 1;
/// In the place of an id that there is not.
const NOBODY: Id = Id::from_bytes([0; 16]);

const HAS_SECRET: u8 = 1;
const HAS_PATH: u8 = 2;
const HAS_SCOPES: u8 = 4;

/// What an authentic ticket is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Nobody used it yet.
    Good,
    /// It let something pass already.
    Used,
    /// Its time is over, or the life of the store that it was good in.
    Over,
}

/// Why a ticket's worth is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To use it up, where it is good.
    Use,
    /// To know.
    Look,
}

/// What a ticket was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is: a token, a key, or a session of either kind.
    pub kind: CredentialKind,
    /// What to ask the store.
    pub ask: Ask,
    /// SHA-256 of the API key that was presented, alone or beside a token: where it is replaced, the ticket ends.
    pub secret: Option<HashedSecret>,
}

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What is used up.
    pub id: Id,
    /// What it was made from.
    pub source: Source,
    /// The life of the store that it is good in.
    pub epoch: Id,
    /// Its end, by the store's clock.
    pub ends: UnixMs,
    /// SHA-256 of the one path that it is good for; `None` = any.
    pub path: Option<[u8; 32]>,
    /// What it may do at most; `None` = as its source.
    pub scopes: Option<ScopeSet>,
}

impl Source {
    /// What of it has one length: its kind, and two ids. Different for different sources.
    pub(super) fn fixed(&self) -> [u8; 33] {
        let (kind, first, second) = match (self.ask, self.kind) {
            (Ask::Token { id, key }, _) => (0, id, key),
            (Ask::Key(id), _) => (1, id, NOBODY),
            (Ask::Session(id), CredentialKind::Session) => (2, id, NOBODY),
            (Ask::Session(id), _) => (3, id, NOBODY),
            // no tickets are made from these, and none is read that says so
            (Ask::Foreign { token, subject }, _) => (4, token, subject),
        };
        let mut fixed = [kind; 33];
        let ids = first.as_bytes().iter().chain(second.as_bytes());
        fixed.iter_mut().skip(1).zip(ids).for_each(|(to, from)| *to = *from);
        fixed
    }

    fn read(kind: u8, first: Id, second: Id, secret: Option<HashedSecret>) -> Option<Self> {
        let (kind, ask) = match kind {
            0 => (CredentialKind::Token, Ask::Token { id: first, key: second }),
            1 => (CredentialKind::ApiKey, Ask::Key(first)),
            2 => (CredentialKind::Session, Ask::Session(first)),
            3 => (CredentialKind::Jwt, Ask::Session(first)),
            _ => return None,
        };
        Some(Self { kind, ask, secret })
    }

    /// The source of what was presented. `None` = no ticket is made from such.
    pub fn of(authentic: &Authentic) -> Option<Self> {
        let Authentic { kind, ask, secret, .. } = *authentic;
        (!matches!(ask, Ask::Foreign { .. })).then_some(Self { kind, ask, secret })
    }

    /// As if it were presented itself.
    pub fn authentic(&self) -> Authentic {
        let Self { kind, ask, secret } = *self;
        Authentic { kind, ask, secret, made_elsewhere: false, ends: None, foreign: None }
    }
}

impl Ticket {
    /// Whether it is good for the path of this original URI.
    pub fn is_for(&self, uri: &[u8]) -> bool {
        let path = uri.split(|byte| *byte == b'?').next().unwrap_or_default();
        self.path.is_none_or(|wanted| wanted == sha256(path))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let has = |flag, there| if there { flag } else { 0 };
        let flags =
            has(HAS_SECRET, self.source.secret.is_some()) | has(HAS_PATH, self.path.is_some()) | has(HAS_SCOPES, self.scopes.is_some());
        let mut bytes = vec![VERSION, flags];
        bytes.extend(self.source.fixed());
        bytes.extend(self.id.as_bytes());
        bytes.extend(self.epoch.as_bytes());
        bytes.extend(self.ends.0.to_be_bytes());
        bytes.extend(self.source.secret.iter().chain(&self.path).flatten());
        bytes.extend(self.scopes.iter().flat_map(|scopes| scopes.to_string().into_bytes()));
        bytes
    }

    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let [version, flags, kind] = take(from)?;
        if version != VERSION {
            return None;
        }
        let [first, second, id, epoch] = [take(from)?, take(from)?, take(from)?, take(from)?].map(Id::from_bytes);
        let ends = UnixMs(u64::from_be_bytes(take(from)?));
        let secret = if flags & HAS_SECRET == 0 { None } else { Some(take(from)?) };
        let path = if flags & HAS_PATH == 0 { None } else { Some(take(from)?) };
        let scopes = match (flags & HAS_SCOPES, bytes) {
            (0, []) => None,
            (0, _) => return None,
            (_, rest) => Some(std::str::from_utf8(rest).ok()?.parse().ok()?),
        };
        Some(Self { id, source: Source::read(kind, first, second, secret)?, epoch, ends, path, scopes })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}

/// The text of a ticket. `None` = there is no secret key, the system gives no randomness, or it says more than an address can carry.
pub fn write(keyring: &Keyring, ticket: &Ticket) -> Option<String> {
    let sealed = seal(keyring, SealUse::Ticket, PREFIX.as_bytes(), &ticket.to_bytes())?;
    let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
    (text.len() <= LONGEST_TEXT).then_some(text)
}

/// What an authentic ticket says. `None` = forged, of another kind, or sealed under a key that is gone.
pub fn read(keyring: &Keyring, text: &str) -> Option<Ticket> {
    let body = text.strip_prefix(PREFIX).filter(|_| text.len() <= LONGEST_TEXT)?;
    let sealed = URL_SAFE_NO_PAD.decode(body).ok()?;
    Ticket::from_bytes(&open(keyring, SealUse::Ticket, PREFIX.as_bytes(), &sealed)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keyring(lines: &[&str]) -> Keyring {
        Keyring::parse(&lines.iter().map(|byte| byte.repeat(32)).collect::<Vec<_>>().join("\n")).unwrap()
    }

    fn ids() -> impl Strategy<Value = Id> {
        any::<[u8; 16]>().prop_map(Id::from_bytes)
    }

    fn sources() -> impl Strategy<Value = Source> {
        (0..4u8, ids(), ids(), any::<Option<[u8; 32]>>()).prop_map(|(kind, first, second, secret)| {
            let second = if kind == 0 { second } else { NOBODY };
            Source::read(kind, first, second, secret).unwrap()
        })
    }

    fn tickets() -> impl Strategy<Value = Ticket> {
        let scopes = prop::collection::vec("[a-z]{1,8}(:[a-z]{1,4}){0,2}(:\\*)?", 0..5);
        let scopes = prop::option::of(scopes.prop_map(|texts| ScopeSet::parse(texts.iter().map(String::as_str)).unwrap()));
        (ids(), sources(), ids(), any::<u64>(), any::<Option<[u8; 32]>>(), scopes)
            .prop_map(|(id, source, epoch, ends, path, scopes)| Ticket { id, source, epoch, ends: UnixMs(ends), path, scopes })
    }

    fn ticket() -> Ticket {
        let [id, epoch, of] = [1, 2, 3].map(|n| Id::from_bytes([n; 16]));
        let source = Source { kind: CredentialKind::Jwt, ask: Ask::Session(of), secret: None };
        Ticket { id, source, epoch, ends: UnixMs(1_900_000_030_000), path: None, scopes: None }
    }

    proptest! {
        #[test]
        fn there_and_back(ticket in tickets()) {
            let ring = keyring(&["aa"]);
            let text = write(&ring, &ticket).unwrap();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "an address carries it as it is");
            prop_assert_eq!(read(&ring, &text), Some(ticket.clone()));
            prop_assert_eq!(read(&keyring(&["bb", "aa"]), &text), Some(ticket), "rotation");
            prop_assert_eq!(read(&keyring(&["bb"]), &text), None, "another installation");
        }

        /// Nobody but us can seal a note; whatever one held, it is read or refused.
        #[test]
        fn whatever_a_note_holds_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..120usize, ticket in tickets()) {
            let _ = Ticket::from_bytes(&bytes);
            let whole = ticket.to_bytes();
            let cut = whole.get(..cut).unwrap_or(&whole);
            // cut short it is another ticket nowhere but in its scopes, which come last
            if let Some(found) = Ticket::from_bytes(cut) {
                prop_assert_eq!(Ticket { scopes: None, ..found }, Ticket { scopes: None, ..ticket });
            }
        }

        #[test]
        fn different_sources_differ(one in sources(), other in sources()) {
            prop_assert_eq!(one == other, (one.fixed(), one.secret) == (other.fixed(), other.secret));
        }

        #[test]
        fn no_other_text_is_a_ticket(text in "(gpw_)?[A-Za-z0-9_-]{0,200}") {
            prop_assert_eq!(read(&keyring(&["aa"]), &text), None);
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let ring = keyring(&["aa"]);
        let text = write(&ring, &ticket()).unwrap();
        assert_eq!(text.len(), 142, "short enough for any address");
        for at in 0..text.len() {
            for other in ["0", "A", "z", "-", "=", "\u{e9}", ""] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(changed == text || read(&ring, &changed).is_none(), "{changed}");
            }
        }
        assert_eq!(
            (read(&ring, &format!("{text}=")), read(&ring, &format!("{text}A")), read(&ring, &text.to_uppercase())),
            (None, None, None)
        );
    }

    #[test]
    fn no_two_are_alike() {
        let ring = keyring(&["aa"]);
        assert_ne!(write(&ring, &ticket()), write(&ring, &ticket()));
    }

    #[test]
    fn what_no_address_can_carry_is_not_written() {
        let scopes = ScopeSet::parse((0..64).map(|n| format!("{n:0>100}")).collect::<Vec<_>>().iter().map(String::as_str)).unwrap();
        assert_eq!(write(&keyring(&["aa"]), &Ticket { scopes: Some(scopes), ..ticket() }), None);
    }

    #[test]
    fn for_one_path_alone() {
        let bound = Ticket { path: Some(sha256(b"/ws/prices")), ..ticket() };
        for (uri, good) in [
            ("/ws/prices", true),
            ("/ws/prices?ticket=x", true),
            ("/ws/prices/", false),
            ("/ws/price", false),
            ("/WS/prices", false),
            ("/ws/prices;x", false),
            ("/ws%2Fprices", false),
            ("", false),
        ] {
            assert_eq!(bound.is_for(uri.as_bytes()), good, "{uri}");
            assert!(ticket().is_for(uri.as_bytes()));
        }
    }

    #[test]
    fn none_is_made_from_anothers_token() {
        let other = Id::from_bytes([9; 16]);
        let ask = Ask::Foreign { token: other, subject: other };
        assert_eq!(Source::of(&Authentic { ask, ..ticket().source.authentic() }), None);
        let source = Source { ask, ..ticket().source };
        assert_eq!(Ticket::from_bytes(&Ticket { source, ..ticket() }.to_bytes()), None);
        assert_eq!(Source::of(&ticket().source.authentic()), Some(ticket().source));
    }
}
