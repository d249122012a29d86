//! An entry: what one presented credential was found to be, judged as far as it can be ahead of a check.
//!
//! INVARIANT: nothing in it points into a request: a slice of a header would keep that connection's whole buffer.

use std::sync::atomic::{AtomicU64, Ordering};

use super::name::Name;
use crate::clock::UnixMs;
use crate::decision::credential::CredentialKind;
use crate::token::fence::Stamps;
use crate::token::holder::Standing;
use crate::token::store::Ask;

/// What is known of one presented credential.
#[derive(Debug)]
pub struct Entry {
    /// What was presented.
    pub(super) name: Name,
    /// The keyring that proved it.
    pub(super) keyring: u32,
    /// What the store is asked about it.
    pub(super) ask: Ask,
    /// What was presented.
    pub kind: CredentialKind,
    /// The generations it was read under.
    pub(super) stamps: Stamps,
    /// Until when it may be used.
    pub(super) deadline: UnixMs,
    /// `None` = refused: not there, or ended.
    pub(super) standing: Option<Box<Standing>>,
    /// From when on a use moves an idle end on.
    slides: AtomicU64,
    /// From when on a use is noted.
    noted: AtomicU64,
}

impl Entry {
    /// What was found.
    pub(super) fn new(
        name: Name,
        keyring: u32,
        ask: Ask,
        kind: CredentialKind,
        stamps: Stamps,
        deadline: UnixMs,
        standing: Option<Standing>,
    ) -> Self {
        let standing = standing.map(Box::new);
        Self { name, keyring, ask, kind, stamps, deadline, standing, slides: AtomicU64::new(0), noted: AtomicU64::new(0) }
    }

    /// What stands in a free place.
    pub(super) fn nothing() -> Self {
        let ask = Ask::Session(crate::id::Id::from_bytes([0; 16]));
        Self::new(Name([0; 2]), 0, ask, CredentialKind::Token, Stamps::default(), UnixMs(0), None)
    }

    /// What it stands for; `None` = refused.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_deref()
    }

    /// What the store was asked.
    pub fn ask(&self) -> Ask {
        self.ask
    }

    /// Whether a use at `now` may move an idle end on. Answers yes to one caller, until [`Entry::slid`] says when next.
    pub(crate) fn is_due(&self, now: UnixMs) -> bool {
        let due = self.slides.load(Ordering::Relaxed);
        now.0 >= due && self.slides.compare_exchange(due, u64::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// A use moves it on again from `due` on.
    pub(crate) fn slid(&self, due: UnixMs) {
        self.slides.store(due.0, Ordering::Relaxed);
    }

    /// Whether a use at `now` is the first in `every` milliseconds.
    pub(crate) fn is_first_in(&self, every: u64, now: UnixMs) -> bool {
        let from = self.noted.load(Ordering::Relaxed);
        now.0 >= from && self.noted.compare_exchange(from, now.0.saturating_add(every), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
