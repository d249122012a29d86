//! An entry: what one presented credential was found to be, judged as far as it can be ahead of a check.
//!
//! There may be a million of them, so it is small, and mostly one piece of memory: what many have in common is kept once, moments take
//! six bytes, and header values are made of its texts when they are wanted.
//! INVARIANT: nothing in it points into a request: a slice of a header would keep that connection's whole buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::common::Common;
use super::name::Name;
use super::text::{self, Text};
use crate::clock::UnixMs;
use crate::decision::credential::CredentialKind;
use crate::decision::holder::{Grant, Holder, Identity, Told, header_value};
use crate::decision::issuer::IssuerNumber;
use crate::decision::limit::{Limited, Per};
use crate::decision::network::Network;
use crate::decision::rules::Attribute;
use crate::decision::told::{About, Further};
use crate::id::Id;
use crate::token::fence::{Concerned, Fence, Stamps};

/// What is known of one presented credential.
#[derive(Debug)]
pub struct Entry {
    /// What was presented.
    name: Name,
    /// The principal.
    subject: Id,
    /// The key, where it [`HAS_KEY`].
    key: Id,
    /// The generations it was read under.
    stamps: Stamps,
    common: Arc<Common>,
    /// What `X-Auth-User` says; empty = the principal's uid.
    user: Text,
    /// From when on a use moves an idle end on, and the last minute in which a use was noted.
    uses: Uses,
    /// Until when it may be used.
    deadline: Short,
    /// No later than this does any use move its end: a token's cap, a session's end; of a key, its own end.
    cap: Short,
    /// Of what is ours: how long before its cap a token ends in any case, milliseconds. Of another issuer's token, which ends at its
    /// cap: the issuer's place.
    ends_before_cap_ms: u32,
    concerned: Concerned,
    /// The keys that proved it, as far as their number fits.
    proved_by: [u8; 3],
    traits: u8,
}

const KIND: u8 = 0b111;
const LIVE: u8 = 0b1000;
const HAS_KEY: u8 = 0b1_0000;

const MINUTE_MS: u64 = 60_000;
/// Whom no record is about.
pub(super) const NOBODY: Id = Id::from_bytes([0; 16]);
/// The end of what has none.
pub(super) const NEVER: UnixMs = UnixMs(u64::MAX);

/// How an entry is found, and until when it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// What was presented.
    pub(super) name: Name,
    /// What kind that is.
    pub(super) kind: CredentialKind,
    /// What proved it.
    pub(super) provers: Provers,
    /// Which generations concern it.
    pub(super) concerned: Concerned,
    /// Those that it was read under.
    pub(super) stamps: Stamps,
    /// Until when it may be used.
    pub(super) deadline: UnixMs,
}

/// What a live credential stands for.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    pub(super) subject: Id,
    pub(super) name: &'a str,
    pub(super) key: Option<Id>,
    pub(super) common: Arc<Common>,
    /// See [`Entry::cap`].
    pub(super) cap: UnixMs,
    /// What `X-Auth-Expires-In` counts down to.
    pub(super) told_end: UnixMs,
    /// From when on a use moves an idle end on.
    pub(super) slides: UnixMs,
}

/// The keys in force: what some proved, others may not prove any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provers {
    /// The number of our keyring.
    pub keyring: u32,
    /// The number of the other issuers' keys.
    pub issuers: u32,
}

impl Provers {
    /// As an entry keeps the one that proves what is of this class.
    fn of(self, class: u8) -> [u8; 3] {
        let number = if class == FOREIGN { self.issuers } else { self.keyring };
        let [a, b, c, _] = number.to_le_bytes();
        [a, b, c]
    }
}

/// The class of other issuers' tokens.
const FOREIGN: u8 = 4;

/// The class of a kind, and which issuer's it is.
fn class(kind: CredentialKind) -> (u8, u32) {
    match kind {
        CredentialKind::Token => (0, 0),
        CredentialKind::ApiKey => (1, 0),
        CredentialKind::Session => (2, 0),
        CredentialKind::Jwt => (3, 0),
        // none is kept: what it was made from is
        CredentialKind::Ticket => (5, 0),
        CredentialKind::Issuer(number) => (FOREIGN, u32::try_from(number.place()).unwrap_or_default()),
    }
}

impl Entry {
    /// A live credential.
    pub(super) fn live(terms: Terms, standing: Standing<'_>) -> Self {
        let Standing { subject, name, key, common, cap, told_end, slides } = standing;
        let shown = if header_value(name).is_empty() { "" } else { name };
        Self {
            subject,
            key: key.unwrap_or(NOBODY),
            user: shown.into(),
            uses: Uses::due(slides),
            cap: cap.into(),
            ends_before_cap_ms: match class(terms.kind) {
                (FOREIGN, place) => place,
                _ => u32::try_from(cap.0.saturating_sub(told_end.0)).unwrap_or(u32::MAX),
            },
            traits: class(terms.kind).0 | LIVE | if key.is_some() { HAS_KEY } else { 0 },
            ..Self::refused(terms, common)
        }
    }

    /// A credential that is refused; it has `nothing` in common with any.
    pub(super) fn refused(terms: Terms, nothing: Arc<Common>) -> Self {
        let Terms { name, kind, provers, concerned, stamps, deadline } = terms;
        let (class, place) = class(kind);
        Self {
            name,
            subject: NOBODY,
            key: NOBODY,
            stamps,
            common: nothing,
            user: "".into(),
            uses: Uses::due(NEVER),
            deadline: deadline.into(),
            cap: deadline.into(),
            ends_before_cap_ms: place,
            concerned,
            proved_by: provers.of(class),
            traits: class,
        }
    }

    /// What it is found by.
    pub(super) fn name(&self) -> Name {
        self.name
    }

    /// Whether it may not be used: something ended or changed, or its time is over, as far as the store said.
    pub(super) fn is_spent(&self, fence: &Fence, now: UnixMs) -> bool {
        self.deadline() <= now || !self.is_of(fence)
    }

    /// Whether it can never be used again, not even without the store, where what uses moved since it was read counts too.
    pub(super) fn is_over(&self, fence: &Fence, now: UnixMs, ttl: Duration) -> bool {
        self.lasts_until(ttl) <= now || !self.is_of(fence)
    }

    fn is_of(&self, fence: &Fence) -> bool {
        fence.stamps(self.concerned) == self.stamps
    }

    /// When a token ends at the latest, should none of its slides have been lost; of all else the deadline.
    fn lasts_until(&self, ttl: Duration) -> UnixMs {
        match self.idles() {
            // a use from then on would move its idle end on, so that lies a ttl later at least
            true => self.uses.next_due().after(ttl).min(self.last_end()).max(self.deadline()),
            false => self.deadline(),
        }
    }

    /// Whether it ends sooner if it is not used: a token does.
    fn idles(&self) -> bool {
        self.traits & HAS_KEY != 0 && matches!(self.kind(), CredentialKind::Token | CredentialKind::Jwt)
    }

    /// When it ends in any case.
    fn last_end(&self) -> UnixMs {
        let before_cap_ms = if self.is_foreign() { 0 } else { u64::from(self.ends_before_cap_ms) };
        UnixMs(self.cap().0.saturating_sub(before_cap_ms))
    }

    /// Whether so little is left of its deadline, a fifth of `ttl`, that the store should be asked again while it serves: uses have moved
    /// the end of a token meanwhile.
    pub fn is_fading(&self, now: UnixMs, ttl: Duration) -> bool {
        self.idles() && self.deadline() < self.last_end() && self.deadline() <= now.after(ttl / 5)
    }

    /// Whether these keys proved it.
    pub(super) fn is_proved_by(&self, provers: Provers) -> bool {
        self.proved_by == provers.of(self.traits & KIND)
    }

    fn is_foreign(&self) -> bool {
        self.traits & KIND == FOREIGN
    }

    /// Whether it stands for somebody; otherwise it is refused.
    pub fn is_live(&self) -> bool {
        self.traits & LIVE != 0
    }

    /// What was presented.
    pub fn kind(&self) -> CredentialKind {
        match self.traits & KIND {
            0 => CredentialKind::Token,
            1 => CredentialKind::ApiKey,
            2 => CredentialKind::Session,
            FOREIGN => IssuerNumber::new(self.ends_before_cap_ms as usize).map_or(CredentialKind::Jwt, CredentialKind::Issuer),
            5 => CredentialKind::Ticket,
            _ => CredentialKind::Jwt,
        }
    }

    /// The principal.
    pub fn subject(&self) -> Id {
        self.subject
    }

    /// How much may pass, by whose word.
    pub fn limits(&self) -> &[Limited] {
        &self.common.limits
    }

    /// Whose checks are counted together with its own.
    pub fn counted_with(&self, per: Per) -> Id {
        match per {
            Per::Tenant => self.common.tenant,
            Per::Key => self.key().unwrap_or(self.subject),
            Per::Principal => self.subject,
        }
    }

    /// Until when it may be used, as it was read; of a browser's session, its idle end.
    pub fn deadline(&self) -> UnixMs {
        self.deadline.into()
    }

    /// No later than this does any use move its end.
    pub fn cap(&self) -> UnixMs {
        self.cap.into()
    }

    /// `X-Auth-Expires-In` at `now`: seconds left if not used again, never above the ttl. `None` = no end known.
    pub fn expires_in_s(&self, now: UnixMs, ttl_s: u64) -> Option<u64> {
        (self.cap() != NEVER).then(|| (self.last_end().0.saturating_sub(now.0) / 1000).min(ttl_s))
    }

    /// Whether a use at `now` may move an idle end on. Answers yes to one caller, until [`Entry::slid`] says when next.
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.uses.is_due(now)
    }

    /// A use moves it on again from `due` on.
    pub fn slid(&self, due: UnixMs) {
        self.uses.slid(due);
    }

    /// Whether a use at `now` is the first of its minute.
    pub fn is_first_of_minute(&self, now: UnixMs) -> bool {
        self.uses.is_first_of_minute(now)
    }

    /// What `X-Auth-User` says; `room` is for the principal's uid, where it says that.
    fn user<'a>(&'a self, room: &'a mut [u8; 32]) -> &'a [u8] {
        let user = self.user.as_ref();
        if !user.is_empty() {
            return user;
        }
        *room = self.subject.hex_digits();
        room
    }
}

impl Identity for Entry {
    fn kind(&self) -> CredentialKind {
        self.kind()
    }

    fn is(&self, attribute: Attribute, value: &[u8]) -> bool {
        let is = |its: &[u8]| !its.is_empty() && its == value;
        match attribute {
            // another issuer's subject is called what it is called there
            Attribute::Uid if self.is_foreign() => is(self.user(&mut [0; 32])),
            Attribute::Uid => is(&self.subject.hex_digits()),
            Attribute::Name => is(self.user.as_ref()),
            Attribute::Tenant => is(self.common.tenant_value.as_bytes()),
            Attribute::Role => is(self.common.role.as_str().as_bytes()),
            Attribute::KeyId => self.key().is_some_and(|key| is(&key.hex_digits())),
        }
    }

    fn grant(&self) -> &Grant {
        &self.common.grant
    }

    fn networks(&self) -> &[Network] {
        &self.common.networks
    }

    fn told(&self, _: &[Further]) -> Told {
        let key = self.key().map(|key| key.hex_digits());
        let [user, key_id] = text::values(self.user(&mut [0; 32]), key.as_ref().map_or(&[], <[u8; 32]>::as_slice));
        Told {
            user,
            scopes: self.common.scopes_value.clone(),
            tenant: self.common.tenant_value.clone(),
            key_id,
            further: self.common.further.clone(),
        }
    }

    fn key(&self) -> Option<Id> {
        (self.traits & HAS_KEY != 0).then_some(self.key)
    }

    fn holder(&self) -> Holder {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Holder {
            kind: self.kind(),
            uid: if self.is_foreign() { text(self.user(&mut [0; 32])) } else { self.subject.to_string() },
            name: text(self.user.as_ref()),
            tenant: text(self.common.tenant_value.as_bytes()),
            role: self.common.role.as_str().to_owned(),
            key_id: self.key().map(|key| key.to_string()).unwrap_or_default(),
            networks: self.common.networks.to_vec(),
            // of these only the finished values are kept
            subject: About::default(),
            key: About::default(),
            grant: self.common.grant.clone(),
        }
    }
}

/// A moment in six bytes: milliseconds up to the year 10889. What is later is [`NEVER`].
#[derive(Clone, Copy, Debug)]
struct Short([u8; 6]);

const LAST: u64 = (1 << 48) - 1;

impl From<UnixMs> for Short {
    fn from(moment: UnixMs) -> Self {
        let [a, b, c, d, e, f, ..] = moment.0.min(LAST).to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl From<Short> for UnixMs {
    fn from(Short([a, b, c, d, e, f]): Short) -> Self {
        match u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) {
            LAST => NEVER,
            moment => Self(moment),
        }
    }
}

/// What uses of an entry may bring about, in one word: from when on one moves an idle end on, a [`Short`] moment, then the minute in which
/// one was noted last, as far as it fits.
#[derive(Debug)]
struct Uses(AtomicU64);

impl Uses {
    fn due(due: UnixMs) -> Self {
        Self(AtomicU64::new(due.0.min(LAST) << 16))
    }

    fn is_due(&self, now: UnixMs) -> bool {
        self.change(|due, noted| (now.0 >= due && due != LAST).then_some((LAST, noted)))
    }

    fn slid(&self, due: UnixMs) {
        self.change(|_, noted| Some((due.0.min(LAST), noted)));
    }

    fn next_due(&self) -> UnixMs {
        match self.0.load(Ordering::Relaxed) >> 16 {
            LAST => NEVER,
            due => UnixMs(due),
        }
    }

    fn is_first_of_minute(&self, now: UnixMs) -> bool {
        let minute = (now.0 / MINUTE_MS) & 0xffff;
        self.change(|due, noted| (noted != minute).then_some((due, minute)))
    }

    /// Whether it was changed; it is only read where there is nothing to change.
    fn change(&self, to: impl Fn(u64, u64) -> Option<(u64, u64)>) -> bool {
        let change = |uses: u64| to(uses >> 16, uses & 0xffff).map(|(due, noted)| due << 16 | noted);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

#[cfg(test)]
mod tests;
