//! What is in memory: every record under its version, every live token.
//!
//! INVARIANT: a record is replaced only by one of a higher version.

use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::HashMap;

use crate::clock::UnixMs;
use crate::database::{LiveToken, PendingKind};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::denials::{self, DenialsRecord};
use crate::token::record::{Content, Fill, KeyRecord, PolicyRecord, Record, SessionRecord, SubjectRecord, TokenRecord};
use crate::token::store::{Ask, CHAIN_DEPTH, MintOrder};

type Versioned<T> = HashMap<Id, (u64, T)>;

/// Records and live tokens.
#[derive(Default)]
pub(super) struct Memory {
    keys: Versioned<KeyRecord>,
    sessions: Versioned<SessionRecord>,
    subjects: Versioned<SubjectRecord>,
    policies: Versioned<PolicyRecord>,
    denials: Versioned<DenialsRecord>,
    tokens: HashMap<Id, Live>,
    /// The tokens of each key that has any.
    of_key: HashMap<Id, Vec<Id>>,
}

/// A token with its idle end, which moves under a read lock.
pub(super) struct Live {
    token: TokenRecord,
    idle_end: AtomicU64,
}

impl Live {
    /// When it ends if not used again.
    pub(super) fn idle_end(&self) -> UnixMs {
        UnixMs(self.idle_end.load(Ordering::Acquire))
    }

    fn is_live(&self, now: UnixMs) -> bool {
        self.idle_end() > now && self.token.cap > now
    }
}

impl Memory {
    /// What `ask` hangs on.
    pub(super) fn look_up(&self, ask: Ask, now: UnixMs) -> Option<Fill> {
        let mut fill = Fill::default();
        let subject = match ask {
            Ask::Token { id, key } => {
                // a token that names another key than its record is refused
                let live = self.live(id, now).filter(|live| live.token.key == key)?;
                fill.token = Some((live.token.clone(), live.idle_end()));
                fill.key = of(&self.keys, key);
                fill.key.as_ref().map(|(_, key)| key.subject)
            }
            Ask::Key(id) => {
                fill.key = Some(of(&self.keys, id)?);
                fill.key.as_ref().map(|(_, key)| key.subject)
            }
            Ask::Session(id) => {
                fill.session = Some(of(&self.sessions, id)?);
                fill.session.as_ref().map(|(_, session)| session.subject)
            }
            Ask::Foreign { token, subject } => {
                // every denial of the database is here, so a bucket that is not holds none
                let held = |bucket| of(&self.denials, bucket).unwrap_or_else(|| (bucket, DenialsRecord::default()));
                fill.denials.extend(denials::buckets(token, subject).map(held));
                return Some(fill);
            }
        };
        self.climb(subject, &mut fill);
        Some(fill)
    }

    fn climb(&self, mut up: Option<Id>, fill: &mut Fill) {
        while let Some((id, subject)) = up.filter(|_| fill.chain.len() < CHAIN_DEPTH).and_then(|id| of(&self.subjects, id)) {
            up = subject.up;
            for policy in &subject.policies {
                if fill.policies.iter().all(|(id, _)| id != policy) {
                    fill.policies.extend(of(&self.policies, *policy));
                }
            }
            fill.chain.push((id, subject));
        }
    }

    /// The token, if it is live.
    pub(super) fn live(&self, id: Id, now: UnixMs) -> Option<&Live> {
        self.tokens.get(&id).filter(|live| live.is_live(now))
    }

    /// Moves the idle end of a live token on; whether it moved. One that has run out stays so.
    pub(super) fn slide(&self, id: Id, to: UnixMs, now: UnixMs) -> bool {
        self.live(id, now).is_some_and(|live| live.idle_end.fetch_max(to.0, Ordering::AcqRel) < to.0)
    }

    /// The live token that answers `order`: same scopes and format, a signer that is still there, and ttl or more before its cap.
    pub(super) fn reusable(&self, order: &MintOrder, scopes: &ScopeSet, now: UnixMs, ttl: Duration) -> Option<TokenRecord> {
        let answers = |token: &TokenRecord| {
            token.scopes == *scopes
                && token.format == order.format
                && order.signers.contains(&token.signed_by)
                && token.cap >= now.after(ttl)
        };
        self.tokens_of(order.key, now).find(|live| answers(&live.token)).map(|live| live.token.clone())
    }

    /// How many live tokens the key has.
    pub(super) fn live_of(&self, key: Id, now: UnixMs) -> usize {
        self.tokens_of(key, now).count()
    }

    fn tokens_of(&self, key: Id, now: UnixMs) -> impl Iterator<Item = &Live> {
        self.of_key.get(&key).into_iter().flatten().filter_map(move |id| self.live(*id, now))
    }

    /// Takes a record in, if it is newer than what is there; then says what it is.
    pub(super) fn take(&mut self, Record { id, version, content }: Record) -> Option<(PendingKind, Id)> {
        let (kind, taken) = match content {
            Content::Key(key) => (PendingKind::Key, newer(&mut self.keys, id, version, key)),
            Content::Session(session) => (PendingKind::Session, newer(&mut self.sessions, id, version, session)),
            Content::Subject(subject) => (PendingKind::Subject, newer(&mut self.subjects, id, version, subject)),
            Content::Policy(policy) => (PendingKind::Policy, newer(&mut self.policies, id, version, policy)),
            Content::Denials(denials) => (PendingKind::Denials, newer(&mut self.denials, id, version, denials)),
        };
        taken.then_some((kind, id))
    }

    /// Drops a record whose row is gone: nothing is there, so nothing is allowed.
    pub(super) fn forget(&mut self, kind: PendingKind, id: Id) {
        match kind {
            PendingKind::Token => self.remove(id),
            PendingKind::Key => drop(self.keys.remove(&id)),
            PendingKind::Session => drop(self.sessions.remove(&id)),
            PendingKind::Subject => drop(self.subjects.remove(&id)),
            PendingKind::Policy => drop(self.policies.remove(&id)),
            PendingKind::Denials => drop(self.denials.remove(&id)),
        }
    }

    /// Takes a token in.
    pub(super) fn insert(&mut self, LiveToken { token, idle_end }: LiveToken) {
        self.of_key.entry(token.key).or_default().push(token.id);
        self.tokens.insert(token.id, Live { token, idle_end: AtomicU64::new(idle_end.0) });
    }

    /// Drops a token.
    pub(super) fn remove(&mut self, id: Id) {
        let Some(live) = self.tokens.remove(&id) else { return };
        if let Entry::Occupied(mut of_key) = self.of_key.entry(live.token.key) {
            of_key.get_mut().retain(|other| *other != id);
            if of_key.get().is_empty() {
                of_key.remove();
            }
        }
    }

    /// What has run out: tokens, and keys and sessions that have ended.
    pub(super) fn over(&self, now: UnixMs) -> Vec<(PendingKind, Id)> {
        let tokens = self.tokens.iter().filter(|(_, live)| !live.is_live(now)).map(|(id, _)| (PendingKind::Token, *id));
        let keys = self.keys.iter().filter(|(_, (_, key))| key.ended).map(|(id, _)| (PendingKind::Key, *id));
        let sessions = self.sessions.iter().filter(|(_, (_, session))| !session.is_live(now)).map(|(id, _)| (PendingKind::Session, *id));
        tokens.chain(keys).chain(sessions).collect()
    }

    /// Whether any token is there.
    pub(super) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }
}

fn of<T: Clone>(records: &Versioned<T>, id: Id) -> Option<(Id, T)> {
    records.get(&id).map(|(_, record)| (id, record.clone()))
}

fn newer<T>(records: &mut Versioned<T>, id: Id, version: u64, record: T) -> bool {
    match records.entry(id) {
        Entry::Occupied(there) if there.get().0 >= version => return false,
        Entry::Occupied(mut there) => drop(there.insert((version, record))),
        Entry::Vacant(free) => drop(free.insert((version, record))),
    }
    true
}
