//! A made-up Redis: what the Lua scripts of `src/token/redis` do, on data that can be lost, rolled back and copied.

use std::collections::BTreeMap;
use std::time::Duration;

use gatepost::id::Id;
use gatepost::token::fencelog::Epoch;
use gatepost::token::fencelog::follower::{Ack, Concern};

use super::MS;

/// How long a recovery lock lasts.
const LOCK: u64 = 3_000 * MS;
/// Most entries of the log.
const LOG: usize = 40;

/// What ends or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    Token(Id),
    Key(Id),
    Subject(Id),
}

impl Thing {
    fn concern(self) -> Concern {
        match self {
            Self::Token(id) | Self::Key(id) => Concern::One(id),
            Self::Subject(_) => Concern::All,
        }
    }
}

/// A record: its version, and whether it has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    pub(crate) version: u64,
    pub(crate) ended: bool,
}

/// An entry of the log; its place says where it is.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) place: u64,
    pub(crate) epoch: Epoch,
    pub(crate) n: u64,
    pub(crate) concerns: Concern,
}

/// Everything in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    /// Its process, its replication line, and whether it is settled.
    epoch: Option<(Epoch, u64, u64, bool)>,
    lock: Option<(u64, u64)>,
    records: BTreeMap<Thing, Record>,
    tokens: BTreeMap<Id, (Id, Id)>,
    seq: u64,
    log: Vec<Logged>,
    /// The last heartbeat, and what its process may use lasts so long.
    members: BTreeMap<u64, (u64, Duration)>,
    acks: BTreeMap<u64, Ack>,
}

/// A server.
pub(crate) struct Redis {
    pub(crate) data: Data,
    run_id: u64,
    replid: u64,
    /// Where in the log the next entry goes: by time, so it goes on after everything was lost.
    place: u64,
    /// No writes from then on: it lost its replicas.
    pub(crate) isolated_from: u64,
    /// Answers nothing before.
    pub(crate) stopped_until: u64,
    /// For a simulation that must fail: scripts do not ask whether the epoch is whole.
    pub(crate) gullible: bool,
}

/// Who is allowed to write.
#[derive(Clone, Debug)]
pub(crate) enum By {
    Epoch(Epoch),
    Lock { nonce: u64, run_id: u64, replid: u64, epoch: Epoch },
}

/// A script with its arguments; `Members` removes who is named with no heartbeat whatever it is.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    Beat { member: u64, lasts: Duration, settles: Option<Epoch> },
    Read { member: u64, ack: Ack, after: u64 },
    Fill { epoch: Epoch, token: Id, key: Id },
    End { by: By, things: Vec<(Thing, Record)> },
    Mint { by: By, records: Vec<(Thing, Record)>, token: Id, key: Id, subject: Id, again: bool },
    Acks { epoch: Epoch },
    Members { remove: Vec<(u64, Option<u64>)> },
    Lock { nonce: u64, instead_of: Option<Epoch> },
    Found { by: By, is_first: bool },
    Unlock { nonce: u64 },
}

/// What it answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Beat { whole: Option<Epoch>, there: Option<Epoch>, recovering: bool, was_member: bool, settled: bool, seq: u64, last: u64 },
    Entries(Vec<Logged>),
    Live(bool),
    Ended(u64),
    Minted(Id),
    NewerThere,
    Acks(Vec<Option<Ack>>),
    Members(Vec<(u64, u64, Duration)>),
    Locked { run_id: u64, replid: u64 },
    Held,
    Ok,
    OtherEpoch,
}

impl Redis {
    pub(crate) fn new(run_id: u64) -> Self {
        Self { data: Data::default(), run_id, replid: run_id, place: 0, isolated_from: u64::MAX, stopped_until: 0, gullible: false }
    }

    /// It comes up again with this data.
    pub(crate) fn restart(&mut self, data: Data, run_id: u64) {
        *self = Self { data, run_id, replid: run_id, isolated_from: u64::MAX, stopped_until: 0, ..*self };
    }

    /// The same process takes another role and back: only the replication id changes.
    pub(crate) fn change_role(&mut self, replid: u64) {
        self.replid = replid;
    }

    fn is_whole(&self, epoch: &Epoch) -> bool {
        self.data.epoch.as_ref().is_some_and(|(whole, run_id, replid, _)| {
            whole == epoch && (self.gullible || (*run_id == self.run_id && *replid == self.replid))
        })
    }

    fn authorised(&self, now: u64, by: &By) -> Option<Epoch> {
        match by {
            By::Epoch(epoch) => self.is_whole(epoch).then(|| epoch.clone()),
            By::Lock { nonce, run_id, replid, epoch } => {
                let is_held = self.data.lock.is_some_and(|(held, until)| held == *nonce && until > now);
                (is_held && (*run_id, *replid) == (self.run_id, self.replid)).then(|| epoch.clone())
            }
        }
    }

    fn put(&mut self, thing: Thing, record: Record) {
        let there = self.data.records.entry(thing).or_default();
        if record.version > there.version {
            *there = record;
        }
    }

    fn record(&self, thing: Thing) -> Record {
        self.data.records.get(&thing).copied().unwrap_or_default()
    }

    /// Runs a script at once; `None` = no answer.
    pub(crate) fn run(&mut self, now: u64, script: Script) -> Option<Reply> {
        let reads = matches!(script, Script::Fill { .. } | Script::Acks { .. } | Script::Read { .. });
        if now < self.stopped_until || (now >= self.isolated_from && !reads) {
            return None;
        }
        Some(match script {
            Script::Beat { member, lasts, settles } => {
                let was_member = self.data.members.insert(member, (now, lasts)).is_some();
                let epoch = self.data.epoch.as_ref().map(|(epoch, ..)| epoch.clone());
                let (there, whole) = (epoch.clone(), epoch.filter(|epoch| self.is_whole(epoch)));
                let mut settled = false;
                if let (Some((epoch, .., is_settled)), Some(_)) = (&mut self.data.epoch, &whole) {
                    *is_settled |= settles.as_ref() == Some(epoch);
                    settled = *is_settled;
                }
                let last = self.data.log.last().map_or(0, |last| last.place);
                let recovering = self.data.lock.is_some_and(|(_, until)| until > now);
                Reply::Beat { whole, there, recovering, was_member, settled, seq: self.data.seq, last }
            }
            Script::Read { member, ack, after } => {
                self.data.acks.insert(member, ack);
                Reply::Entries(self.data.log.iter().filter(|entry| entry.place > after).cloned().collect())
            }
            Script::Fill { epoch, .. } | Script::Acks { epoch } if !self.is_whole(&epoch) => Reply::OtherEpoch,
            Script::Fill { token, key, .. } => Reply::Live(self.data.tokens.get(&token).is_some_and(|(of, subject)| {
                let records = [self.record(Thing::Key(key)), self.record(Thing::Subject(*subject))];
                *of == key && records.iter().all(|record| record.version > 0 && !record.ended)
            })),
            Script::Acks { .. } => {
                let of_members = self.data.members.keys().map(|member| self.data.acks.get(member).cloned()).collect();
                Reply::Acks(of_members)
            }
            Script::End { by, things } => match self.authorised(now, &by) {
                None => Reply::OtherEpoch,
                Some(epoch) => {
                    for (thing, record) in things {
                        match thing {
                            Thing::Token(id) => drop(self.data.tokens.remove(&id)),
                            thing => self.put(thing, record),
                        }
                        self.data.seq += 1;
                        self.place = self.place.max(now) + 1;
                        let entry = Logged { place: self.place, epoch: epoch.clone(), n: self.data.seq, concerns: thing.concern() };
                        self.data.log.push(entry);
                    }
                    let beyond = self.data.log.len().saturating_sub(LOG);
                    self.data.log.drain(..beyond);
                    Reply::Ended(self.data.seq)
                }
            },
            Script::Mint { by, records, token, key, subject, again } => {
                if self.authorised(now, &by).is_none() {
                    return Some(Reply::OtherEpoch);
                }
                if records.iter().any(|(thing, record)| self.record(*thing).version > record.version) {
                    return Some(Reply::NewerThere);
                }
                records.into_iter().for_each(|(thing, record)| self.put(thing, record));
                let there = self.data.tokens.iter().find(|(_, (of, _))| *of == key).map(|(id, _)| *id);
                if let Some(there) = there.filter(|_| again) {
                    return Some(Reply::Minted(there));
                }
                self.data.tokens.insert(token, (key, subject));
                Reply::Minted(token)
            }
            Script::Members { remove } => {
                for (member, beat) in remove {
                    if self.data.members.get(&member).is_some_and(|(last, _)| beat.is_none_or(|beat| beat == *last)) {
                        self.data.members.remove(&member);
                        self.data.acks.remove(&member);
                    }
                }
                Reply::Members(self.data.members.iter().map(|(member, (beat, lasts))| (*member, *beat, *lasts)).collect())
            }
            Script::Lock { nonce, instead_of } => {
                let whole = self.data.epoch.as_ref().filter(|(epoch, ..)| self.is_whole(epoch)).map(|(epoch, ..)| epoch.clone());
                let is_free = self.data.lock.is_none_or(|(_, until)| until <= now);
                if !is_free || (whole.is_some() && whole != instead_of) {
                    return Some(Reply::Held);
                }
                self.data.lock = Some((nonce, now + LOCK));
                Reply::Locked { run_id: self.run_id, replid: self.replid }
            }
            Script::Unlock { nonce } => {
                self.data.lock = self.data.lock.filter(|(held, _)| *held != nonce);
                Reply::Ok
            }
            Script::Found { by, is_first } => match self.authorised(now, &by) {
                None => Reply::OtherEpoch,
                Some(epoch) => {
                    self.data.epoch = Some((epoch, self.run_id, self.replid, is_first));
                    self.data.lock = None;
                    Reply::Ok
                }
            },
        })
    }
}
