//! Examinations: what the gates of this process see of the requests by which `gatepost doctor` examines a proxy.
//!
//! The admin side opens one, the gate writes, the admin side reads; neither knows the other. A request belongs to an examination
//! by one of its nonces alone: 128 random bits that nobody hears but the super admin who opened it, good for two minutes. While
//! none is open, a check pays one relaxed load.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decision::credential::ticket;
use crate::id::Id;
use crate::lock::Mutex;

/// How long an examination is open.
pub const LASTS: Duration = Duration::from_secs(120);
/// Most that are open at once.
const AT_ONCE: usize = 4;
/// Most nonces of one.
pub const NONCES: usize = 64;
/// Most sights kept of one nonce: a proxy may try four times, and ask `/explain`.
const SIGHTS: usize = 8;
/// Most headers kept of one sight, and most bytes of each value.
const HEADERS: usize = 100;
const BYTES: usize = 256;

/// What every nonce begins with; 32 hex digits follow.
const PREFIX: &[u8] = b"gpd_";
/// The length of a nonce.
const LENGTH: usize = PREFIX.len() + 32;
/// Below what a nonce may be let through: a path that no application has.
const RESERVED: &str = "/.gatepost/doctor/";

/// How the gate answers a request of an examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// Like any other request.
    Usual,
    /// Lets it through once, as nobody: GET of the nonce's own path below `/.gatepost/doctor/`, which no application has.
    Allow,
    /// The same, as `gatepost-doctor`: for a doctor that stands in for the application.
    Identify,
    /// 500.
    Fail,
    /// Nothing for three seconds, then like any other request.
    Silence,
    /// Ends the connection without an answer.
    HangUp,
}

/// What a proxy said of one part of the original request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Said {
    /// 0, 1, or 2 for more than once.
    pub times: u8,
    /// What, where it is said once.
    pub value: Option<String>,
}

/// A header as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeenHeader {
    /// In lower case.
    pub name: String,
    /// Its first 256 bytes; null where it may hold a credential.
    pub value: Option<String>,
    /// Whether the nonce stands in it.
    pub has_nonce: bool,
}

/// One request of an examination as it arrived at a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sight {
    /// Whose nonce it carried.
    pub nonce: String,
    /// At whose gate: the `proxy` of its configuration.
    pub gate: String,
    /// Which connection of all that this process accepted.
    pub connection: u64,
    /// `verify`, `explain`; null = neither lives at the target.
    pub call: Option<String>,
    /// The check's own request line, without version.
    pub line: String,
    /// Every header, without credentials.
    pub headers: Vec<SeenHeader>,
    /// The original method, as the gate reads it.
    pub method: Said,
    /// The original URI.
    pub uri: Said,
    /// The original host.
    pub host: Said,
    /// The original scheme.
    pub proto: Said,
    /// Why it cannot be judged.
    pub fault: Option<String>,
    /// Whether the proxy secret is right, or none is wanted.
    pub secret_is_right: bool,
    /// Whether the proxy announces a body, which ends the connection.
    pub announces_body: bool,
    /// Whether the connection is to become another.
    pub upgrade: bool,
    /// Whether the rules let it pass.
    pub allowed: bool,
    /// `X-Deny-Reason`; null where it was allowed.
    pub reason: Option<String>,
    /// The final status that the client should see; what `manner` asks for left aside.
    pub status: u16,
}

/// An open examination, as its opener sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its id.
    pub id: Id,
    /// One nonce for each manner asked for, in their order.
    pub nonces: Vec<String>,
}

/// Why none was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// Others are open.
    #[error("too many examinations are open")]
    TooMany,
    /// The operating system has no randomness to give.
    #[error("the system gave no randomness")]
    NoRandomness,
}

/// A nonce that a check carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// It.
    pub nonce: String,
    /// How the gate answers.
    pub manner: Manner,
    /// The one path by which it may be let through.
    pub path: String,
}

struct Nonce {
    text: String,
    manner: Manner,
    spent: bool,
}

struct Examination {
    id: Id,
    opened: Instant,
    below: String,
    from: u64,
    nonces: Vec<Nonce>,
    sights: Vec<Sight>,
}

/// The open examinations of this process.
#[derive(Default)]
pub struct Examinations {
    any: AtomicBool,
    open: Mutex<Vec<Examination>>,
}

impl Examinations {
    /// Opens one with a nonce for each of `manners`. What is let through lies below `below`, which ends without a slash.
    /// `from` is the number of the next connection.
    ///
    /// # Errors
    /// See [`NotOpened`].
    pub fn open(&self, below: &str, manners: &[Manner], from: u64) -> Result<Opened, NotOpened> {
        let mut open = self.lock();
        if open.len() >= AT_ONCE {
            return Err(NotOpened::TooMany);
        }
        let id = Id::random().map_err(|_| NotOpened::NoRandomness)?;
        let nonce = |manner: &Manner| {
            let random = Id::random().map_err(|_| NotOpened::NoRandomness)?;
            Ok(Nonce { text: format!("{}{random}", String::from_utf8_lossy(PREFIX)), manner: *manner, spent: false })
        };
        let nonces = manners.iter().take(NONCES).map(nonce).collect::<Result<Vec<_>, _>>()?;
        let texts = nonces.iter().map(|nonce| nonce.text.clone()).collect();
        open.push(Examination { id, opened: Instant::now(), below: below.to_owned(), from, nonces, sights: Vec::new() });
        self.any.store(true, Ordering::Relaxed);
        Ok(Opened { id, nonces: texts })
    }

    /// What was seen so far, in order of arrival, and the number of the first connection that is younger; `None` = it is not open.
    pub fn sights(&self, id: Id) -> Option<(Vec<Sight>, u64)> {
        self.lock().iter().find(|one| one.id == id).map(|one| (one.sights.clone(), one.from))
    }

    /// Closes one; whether it was open.
    pub fn close(&self, id: Id) -> bool {
        let mut open = self.lock();
        let before = open.len();
        open.retain(|one| one.id != id);
        self.any.store(!open.is_empty(), Ordering::Relaxed);
        open.len() < before
    }

    /// Whether any may be open.
    #[inline]
    pub fn are_open(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// The nonce that stands in one of these texts. Where nothing looks like one, nobody waits.
    pub fn find<'t>(&self, texts: impl Iterator<Item = &'t [u8]>) -> Option<Found> {
        let mut like = texts.flat_map(nonces_in).peekable();
        if like.peek().is_none() {
            if let Some(mut open) = self.open.try_lock() {
                self.tidy(&mut open);
            }
            return None;
        }
        let open = self.lock();
        like.find_map(|text| {
            let of = |one: &Examination| {
                let nonce = one.nonces.iter().find(|nonce| nonce.text.as_bytes() == text)?;
                let path = format!("{}{RESERVED}{}", one.below, nonce.text);
                Some(Found { nonce: nonce.text.clone(), manner: nonce.manner, path })
            };
            open.iter().find_map(of)
        })
    }

    /// Keeps a sight.
    pub fn saw(&self, sight: Sight) {
        let mut open = self.lock();
        let Some(one) = open.iter_mut().find(|one| one.nonces.iter().any(|nonce| nonce.text == sight.nonce)) else { return };
        if one.sights.iter().filter(|seen| seen.nonce == sight.nonce).count() < SIGHTS {
            one.sights.push(sight);
        }
    }

    /// Whether this nonce may still let something through; not a second time.
    pub fn spend(&self, nonce: &str) -> bool {
        let mut open = self.lock();
        let found = open.iter_mut().flat_map(|one| &mut one.nonces).find(|one| one.text == nonce);
        found.is_some_and(|nonce| !std::mem::replace(&mut nonce.spent, true))
    }

    /// Those that are open still.
    fn lock(&self) -> MutexGuard<'_, Vec<Examination>> {
        let mut open = self.open.lock();
        self.tidy(&mut open);
        open
    }

    fn tidy(&self, open: &mut Vec<Examination>) {
        open.retain(|one| one.opened.elapsed() < LASTS);
        self.any.store(!open.is_empty(), Ordering::Relaxed);
    }
}

/// Everything in `text` that is shaped like a nonce.
fn nonces_in(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memmem::find_iter(text, PREFIX).filter_map(move |at| text.get(at..at + LENGTH))
}

/// The headers of a request as a sight keeps them. Values that may hold a credential are left out, whoever sent them.
pub fn seen<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>, nonce: &str) -> Vec<SeenHeader> {
    let header = |(name, value): (&str, &[u8])| {
        let shown = String::from_utf8_lossy(value.get(..BYTES).unwrap_or(value)).into_owned();
        SeenHeader {
            name: name.to_owned(),
            value: Some(shown).filter(|_| !may_hold_a_credential(name) && !ticket::may_stand_in(value)),
            has_nonce: memchr::memmem::find(value, nonce.as_bytes()).is_some(),
        }
    };
    headers.take(HEADERS).map(header).collect()
}

fn may_hold_a_credential(name: &str) -> bool {
    ["auth", "cookie", "secret", "token", "key", "password"].iter().any(|part| name.contains(part)) && !name.starts_with("x-auth-")
}

impl std::fmt::Debug for Examinations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Examinations")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(nonce: &str) -> Sight {
        Sight {
            nonce: nonce.into(),
            gate: "nginx".into(),
            connection: 1,
            call: Some("verify".into()),
            line: "GET /verify".into(),
            headers: Vec::new(),
            method: Said::default(),
            uri: Said::default(),
            host: Said::default(),
            proto: Said::default(),
            fault: None,
            secret_is_right: true,
            announces_body: false,
            upgrade: false,
            allowed: false,
            reason: Some("no_rule".into()),
            status: 403,
        }
    }

    #[test]
    fn a_nonce_is_found_wherever_it_stands_and_nothing_else_is() {
        let table = Examinations::default();
        assert!(!table.are_open());
        let opened = table.open("/api", &[Manner::Usual, Manner::Allow], 7).unwrap();
        assert!(table.are_open());
        let [first, second] = &opened.nonces[..] else { panic!("{opened:?}") };
        let find = |text: &str| table.find([text.as_bytes()].into_iter()).map(|found| (found.nonce, found.manner, found.path));
        let path = |nonce: &str| format!("/api/.gatepost/doctor/{nonce}");
        assert_eq!(find(&format!("/a?b={first}&c")), Some((first.clone(), Manner::Usual, path(first))));
        assert_eq!(find(&format!("gpd_x {second}")), Some((second.clone(), Manner::Allow, path(second))));
        for nothing in ["", "gpd_", &first[..LENGTH - 1], &first.to_uppercase(), &format!("gpd_{}", "0".repeat(32))] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn sights_are_kept_in_order_and_bounded() {
        let table = Examinations::default();
        let opened = table.open("", &[Manner::Usual; 2], 3).unwrap();
        for _ in 0..SIGHTS + 2 {
            table.saw(sight(&opened.nonces[1]));
        }
        table.saw(sight(&opened.nonces[0]));
        table.saw(sight("gpd_unknown"));
        let (sights, from) = table.sights(opened.id).unwrap();
        assert_eq!((sights.len(), from), (SIGHTS + 1, 3));
        assert_eq!(sights.last().unwrap().nonce, opened.nonces[0]);
        assert!(table.close(opened.id) && !table.close(opened.id));
        assert_eq!(table.sights(opened.id), None);
        assert!(!table.are_open());
    }

    #[test]
    fn few_are_open_at_once() {
        let table = Examinations::default();
        let first = table.open("", &[Manner::Usual; 100], 0).unwrap();
        assert_eq!(first.nonces.len(), NONCES);
        for _ in 1..AT_ONCE {
            table.open("", &[], 0).unwrap();
        }
        assert_eq!(table.open("", &[], 0), Err(NotOpened::TooMany));
        table.close(first.id);
        assert!(table.open("", &[], 0).is_ok());
    }

    #[test]
    fn what_is_over_is_forgotten_by_the_next_check() {
        let table = Examinations::default();
        let opened = table.open("", &[Manner::Allow], 0).unwrap();
        table.open.lock()[0].opened -= LASTS;
        assert!(table.are_open());
        assert_eq!(table.find([&b"/a"[..]].into_iter()), None);
        assert!(!table.are_open());
        assert_eq!(table.find([opened.nonces[0].as_bytes()].into_iter()), None);
    }

    #[test]
    fn a_nonce_lets_through_once() {
        let table = Examinations::default();
        let opened = table.open("", &[Manner::Allow; 2], 0).unwrap();
        assert!(table.spend(&opened.nonces[0]) && !table.spend(&opened.nonces[0]));
        assert!(table.spend(&opened.nonces[1]));
        assert!(!table.spend("gpd_unknown"));
        table.close(opened.id);
        assert!(!table.spend(&opened.nonces[1]));
    }

    #[test]
    fn credentials_are_not_kept() {
        let long = "a".repeat(BYTES * 2);
        let headers = [
            ("authorization", "Bearer gpt_x"),
            ("x-authorization", "Agent gpt_x"),
            ("x-api-key", "gpk_x"),
            ("cookie", "a=n"),
            ("x-proxy-secret", "s"),
            ("x-vendor-token", "t"),
            ("x-auth-user", "mallory"),
            ("x-original-uri", &long),
            ("x-forwarded-uri", "/ws?a=n&ticket=gpw_x"),
        ];
        let seen = seen(headers.iter().map(|(name, value)| (*name, value.as_bytes())), "n");
        let shown: Vec<_> = seen.iter().filter_map(|header| Some((header.name.as_str(), header.value.as_ref()?.len()))).collect();
        assert_eq!(shown, [("x-auth-user", 7), ("x-original-uri", BYTES)]);
        assert!(seen[3].has_nonce && !seen[0].has_nonce);
    }
}
