//! Everything outside the processes: network, servers, database, faults, and what is true of every credential.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gatepost::id::Id;
use gatepost::token::fencelog::Epoch;

use super::database::Database;
use super::process::{Outcome, Process};
use super::random::Random;
use super::redis::{Data, Redis, Reply, Script, Thing};
use super::time::Time;
use super::{MS, SECOND};

/// Processes at one time.
const PROCESSES: usize = 3;
/// Keys with tokens at one time.
const KEYS: usize = 3;

/// How long it takes at most to find out that the database has another Redis's epoch: what waits for an answer of the database may wait twice.
const FOUND_OUT: u64 = 5 * SECOND / 2;

/// What a simulation is of.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// L: each process has one of them.
    pub(crate) bounds: Vec<Duration>,
    /// How long a superseded primary may still give leases; zero without promotions.
    pub(crate) slack: Duration,
    /// D, how long what is cached is used without a lease: the rules of each process say one of them, and at times another.
    pub(crate) cached: Vec<Duration>,
    /// Clocks run from so many to so many millionths of real time; `None` = right.
    pub(crate) clocks: Option<(u64, u64)>,
    /// Redis restarts, is emptied, or a copy is promoted.
    pub(crate) loses_data: bool,
    /// For a simulation that must fail: scripts do not ask whether the epoch is whole.
    pub(crate) gullible: bool,
    /// The same: ends are done in an epoch that is not settled.
    pub(crate) hasty: bool,
    /// The same: a strict end goes by what its own process may use.
    pub(crate) selfish: bool,
    /// The same: processes do not list themselves in the database.
    pub(crate) unlisted: bool,
    /// By mistake, a third of the processes have a Redis of their own on the same database.
    pub(crate) rivals: bool,
    /// For a simulation that must fail: leases are taken whatever epoch the database has.
    pub(crate) trusting: bool,
    /// How long a founder takes at most to read what is replayed; `None` = as long as anything else that the database is asked.
    pub(crate) slow_replays: Option<Duration>,
    /// The last fault is that the database names an epoch that nobody founds, as one restored from a backup does.
    pub(crate) restored: bool,
    /// Faults end then; checks are counted from eight seconds later on.
    pub(crate) calm_after: Option<Duration>,
    /// So many times as slowly do people and faults come, and so much longer do faults last.
    pub(crate) pace: u64,
    /// Checks.
    pub(crate) checks: u64,
}

/// A token with what it hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) token: Id,
    pub(crate) key: Id,
    pub(crate) subject: Id,
}

/// When an end was applied, and when its strict wait returned.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    applied: Option<u64>,
    everywhere: Option<u64>,
}

/// A check that was allowed and must not have been.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// In words.
    pub(crate) what: String,
}

/// The world.
pub(crate) struct World {
    pub(crate) time: Rc<Time>,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    servers: RefCell<Vec<Redis>>,
    /// The server that clients are told of.
    pub(crate) primary: Cell<usize>,
    database: RefCell<Database>,
    database_away_until: Cell<u64>,
    snapshot: RefCell<Data>,
    ends: RefCell<BTreeMap<Thing, Ended>>,
    credentials: RefCell<Vec<Credential>>,
    keys: RefCell<Vec<(Id, Id)>>,
    pub(crate) violation: RefCell<Option<Violation>>,
    pub(crate) checks: Cell<u64>,
    pub(crate) allowed: Cell<u64>,
    pub(crate) unavailable: Cell<u64>,
    pub(crate) stalest: Cell<u64>,
    pub(crate) hits: Cell<u64>,
    pub(crate) joins: Cell<u64>,
    pub(crate) adopted: Cell<u64>,
    pub(crate) founded: Cell<u64>,
    pub(crate) by_acks: Cell<u64>,
    pub(crate) by_time: Cell<u64>,
    pub(crate) faults: Cell<u64>,
    /// Rows of processes that were taken off the database's list by others.
    pub(crate) unlisted: Cell<u64>,
    /// Processes among them that came back and listed themselves again.
    pub(crate) relisted: Cell<u64>,
    /// Claims that were refused.
    pub(crate) refused: Cell<u64>,
}

impl World {
    /// Runs a simulation to its end.
    pub(crate) fn run(seed: u64, settings: Settings) -> Rc<Self> {
        let mut first = Redis::new(1);
        first.gullible = settings.gullible;
        let world = Rc::new(Self {
            time: Rc::default(),
            random: Random::new(seed),
            servers: RefCell::new(if settings.rivals { vec![first, Redis::new(1_000_000)] } else { vec![first] }),
            primary: Cell::new(0),
            database: RefCell::default(),
            database_away_until: Cell::new(0),
            snapshot: RefCell::default(),
            ends: RefCell::default(),
            credentials: RefCell::default(),
            keys: RefCell::default(),
            violation: RefCell::default(),
            checks: Cell::new(0),
            allowed: Cell::new(0),
            unavailable: Cell::new(0),
            stalest: Cell::new(0),
            hits: Cell::new(0),
            joins: Cell::new(0),
            adopted: Cell::new(0),
            founded: Cell::new(0),
            by_acks: Cell::new(0),
            by_time: Cell::new(0),
            faults: Cell::new(0),
            unlisted: Cell::new(0),
            relisted: Cell::new(0),
            refused: Cell::new(0),
            settings,
        });
        let processes: Vec<_> = (0..PROCESSES).map(|n| Process::start(&world, n as u64)).collect();
        let processes = Rc::new(RefCell::new(processes));
        world.time.spawn(Rc::clone(&world).people(Rc::clone(&processes)));
        world.time.spawn(Rc::clone(&world).requests(Rc::clone(&processes)));
        world.time.spawn(Rc::clone(&world).nemesis(Rc::clone(&processes)));
        let over = Rc::clone(&world);
        world.time.run(move || over.checks.get() >= over.settings.checks || over.violation.borrow().is_some());
        world
    }

    /// The server that a process is told of.
    pub(crate) fn server_of(&self, process: u64) -> usize {
        if self.settings.rivals && process % 3 == 2 { 1 } else { self.primary.get() }
    }

    pub(crate) fn new_id(&self) -> Id {
        let (a, b) = (self.random.next(), self.random.next());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&a.to_le_bytes());
        bytes[8..].copy_from_slice(&b.to_le_bytes());
        Id::from_bytes(bytes)
    }

    fn is_calm(&self) -> bool {
        self.settings.calm_after.is_some_and(|calm| self.time.now() > calm.as_nanos() as u64)
    }

    /// One way through the network: most often quick, sometimes very slow.
    fn way(&self) -> u64 {
        let random = &self.random;
        let slowness = if self.is_calm() { 0 } else { 100 };
        match random.below(100).min(slowness) {
            0..90 => random.between(MS / 20, MS),
            90..98 => random.between(MS, 20 * MS),
            _ => random.between(20 * MS, 900 * MS),
        }
    }

    /// Carries a script to a server and its answer back, or loses either.
    pub(crate) async fn carry(&self, server: usize, script: Script) -> Option<Reply> {
        let (there, back) = (self.way(), self.way());
        let loss = if self.is_calm() { 0 } else { 4 };
        let (lost_there, lost_back) = (self.random.per_mille(loss), self.random.per_mille(loss));
        self.time.until(self.time.now() + there).await;
        if lost_there {
            return None;
        }
        let now = self.time.now();
        let reply = self.servers.borrow_mut()[server].run(now, script)?;
        self.time.until(now + back).await;
        (!lost_back).then_some(reply)
    }

    /// Does something in the database; nothing where it is away.
    pub(crate) async fn database<T>(&self, act: impl FnOnce(&mut Database) -> T) -> Option<T> {
        let (there, back) = (self.way(), self.way());
        self.time.until(self.time.now() + there).await;
        if self.time.now() < self.database_away_until.get() {
            return None;
        }
        let did = act(&mut self.database.borrow_mut());
        self.time.until(self.time.now() + back).await;
        Some(did)
    }

    /// An end's row is done.
    pub(crate) fn applied(&self, thing: Thing) {
        self.ends.borrow_mut().entry(thing).or_default().applied.get_or_insert(self.time.now());
    }

    /// A strict end returned.
    pub(crate) fn seen_everywhere(&self, thing: Thing) {
        self.ends.borrow_mut().entry(thing).or_default().everywhere.get_or_insert(self.time.now());
    }

    /// A token was given out.
    pub(crate) fn minted(&self, credential: Credential) {
        let mut credentials = self.credentials.borrow_mut();
        if !credentials.contains(&credential) {
            credentials.push(credential);
        }
        let beyond = credentials.len().saturating_sub(24);
        credentials.drain(..beyond);
    }

    /// When the first end of this credential was applied, and when the first strict one had returned.
    fn ended(&self, credential: Credential) -> (Option<u64>, Option<u64>) {
        let ends = self.ends.borrow();
        let of = [Thing::Token(credential.token), Thing::Key(credential.key), Thing::Subject(credential.subject)];
        let ended: Vec<Ended> = of.iter().filter_map(|thing| ends.get(thing).copied()).collect();
        (ended.iter().filter_map(|ended| ended.applied).min(), ended.iter().filter_map(|ended| ended.everywhere).min())
    }

    fn judge(&self, (process, staleness): (u64, u64), credential: Credential, began: u64, outcome: Outcome) {
        let is_counted = self.settings.calm_after.is_none_or(|calm| began > (calm + Duration::from_secs(8)).as_nanos() as u64);
        if is_counted {
            self.checks.set(self.checks.get() + 1);
        }
        match outcome {
            Outcome::Refused => return,
            Outcome::Unavailable => return self.unavailable.set(self.unavailable.get() + u64::from(is_counted)),
            Outcome::Allowed => self.allowed.set(self.allowed.get() + 1),
        }
        let (applied, everywhere) = self.ended(credential);
        let stale = applied.map_or(0, |applied| began.saturating_sub(applied));
        self.stalest.set(self.stalest.get().max(stale));
        let rule = match everywhere {
            Some(from) if began >= from && !self.settings.rivals => "a strict end had returned",
            _ if stale >= staleness + if self.settings.rivals { FOUND_OUT * self.settings.pace } else { 0 } => "the bound had passed",
            _ => return,
        };
        let what = format!(
            "process {process} allowed a check that began at {} ms, though {rule}; {credential:?}, ended at {:?} (strict {:?}) ms, stale for {} ms at most",
            began / MS,
            applied.map(|at| at / MS),
            everywhere.map(|at| at / MS),
            staleness / MS,
        );
        self.violation.borrow_mut().get_or_insert(Violation { what });
    }

    /// People make keys, mint tokens and end things.
    async fn people(self: Rc<Self>, processes: Rc<RefCell<Vec<Rc<Process>>>>) {
        loop {
            let pause = self.random.between(5 * MS, 120 * MS) * self.settings.pace;
            self.time.until(self.time.now() + pause).await;
            let Some(process) = self.any(&processes) else { continue };
            if self.keys.borrow().len() < KEYS {
                let (key, subject) = (self.new_id(), self.new_id());
                self.database.borrow_mut().make(Thing::Key(key));
                self.database.borrow_mut().make(Thing::Subject(subject));
                self.keys.borrow_mut().push((key, subject));
            }
            let what = self.random.below(100);
            let of = self.random.pick(&self.keys.borrow()).copied();
            let Some((key, subject)) = of else { continue };
            let thing = match what {
                0..70 => {
                    self.time.spawn(process.mint(key, subject));
                    continue;
                }
                70..94 => {
                    let some = self.random.pick(&self.credentials.borrow()).copied();
                    let Some(credential) = some else { continue };
                    Thing::Token(credential.token)
                }
                94..97 => Thing::Key(key),
                _ => Thing::Subject(subject),
            };
            if !matches!(thing, Thing::Token(_)) {
                self.keys.borrow_mut().retain(|(of, _)| *of != key);
            }
            let strict = self.random.per_mille(400);
            self.time.spawn(process.end_thing(thing, strict));
        }
    }

    /// Clients send requests, most of them with what has ended.
    async fn requests(self: Rc<Self>, processes: Rc<RefCell<Vec<Rc<Process>>>>) {
        loop {
            let pause = self.random.between(MS / 10, 3 * MS) * self.settings.pace;
            self.time.until(self.time.now() + pause).await;
            let credential = {
                let credentials = self.credentials.borrow();
                let ended: Vec<_> = credentials.iter().filter(|one| self.ended(**one).0.is_some()).copied().collect();
                let from = if self.random.per_mille(600) && !ended.is_empty() { &ended } else { &*credentials };
                self.random.pick(from).copied()
            };
            let (Some(credential), Some(process)) = (credential, self.any(&processes)) else { continue };
            let world = Rc::clone(&self);
            self.time.spawn(async move {
                // the head is complete when the process has it all, paused or not
                let began = world.time.now();
                process.go_on().await;
                let staleness = process.staleness();
                let outcome = process.check(credential).await;
                if !process.is_over.get() {
                    world.judge((process.number, staleness), credential, began, outcome);
                }
            });
        }
    }

    fn any(&self, processes: &RefCell<Vec<Rc<Process>>>) -> Option<Rc<Process>> {
        self.random.pick(&processes.borrow()).cloned()
    }

    /// Whatever can go wrong does.
    async fn nemesis(self: Rc<Self>, processes: Rc<RefCell<Vec<Rc<Process>>>>) {
        let mut runs = 1;
        loop {
            let pause = self.random.between(30 * MS, 1_500 * MS) * self.settings.pace;
            self.time.until(self.time.now() + pause).await;
            if self.is_calm() {
                if self.settings.restored {
                    self.database.borrow_mut().epoch = Some(Epoch::new("restored"));
                }
                return;
            }
            self.faults.set(self.faults.get() + 1);
            let (now, fault, primary) = (self.time.now(), self.random.below(100), self.server_of(self.random.below(3)));
            let long = self.random.between(50 * MS, 2_500 * MS) * self.settings.pace;
            let Some(process) = self.any(&processes) else { continue };
            match fault {
                0..20 => process.paused_until.set(now + long),
                20..35 => process.reconnect(),
                35..45 => self.servers.borrow_mut()[primary].stopped_until = now + long / 3,
                45..52 => self.database_away_until.set(now + long / 2),
                52..55 => process.reload(self.random.pick(&self.settings.cached).copied().unwrap_or_default()),
                55..60 => {
                    let number = PROCESSES as u64 + self.faults.get();
                    if self.random.per_mille(500) {
                        process.end();
                    } else {
                        self.time.spawn(Rc::clone(&process).leave());
                    }
                    let new = Process::start(&self, number);
                    let mut processes = processes.borrow_mut();
                    processes.retain(|old| !Rc::ptr_eq(old, &process));
                    processes.push(new);
                }
                60..72 => *self.snapshot.borrow_mut() = self.servers.borrow()[primary].data.clone(),
                _ if !self.settings.loses_data => {}
                72..84 => {
                    runs += 1;
                    let data = if self.random.per_mille(700) { self.snapshot.borrow().clone() } else { Data::default() };
                    self.servers.borrow_mut()[primary].restart(data, runs);
                    processes.borrow().iter().for_each(|process| process.reconnect());
                }
                84..90 => self.servers.borrow_mut()[primary].data = Data::default(),
                90..93 => {
                    runs += 1;
                    self.servers.borrow_mut()[primary].change_role(runs);
                }
                _ if self.settings.slack.is_zero() => {}
                _ => {
                    // a replica with an older copy is promoted; the old primary goes on until it misses its replicas
                    runs += 1;
                    let mut promoted = Redis::new(runs);
                    promoted.gullible = self.settings.gullible;
                    promoted.data = self.snapshot.borrow().clone();
                    let mut servers = self.servers.borrow_mut();
                    servers[primary].isolated_from = now + self.settings.slack.as_nanos() as u64;
                    servers.push(promoted);
                    self.primary.set(servers.len() - 1);
                    drop(servers);
                    for process in processes.borrow().iter() {
                        // each hears of it when it does
                        let (process, world, at) = (Rc::clone(process), Rc::clone(&self), now + self.random.below(3 * SECOND));
                        self.time.spawn(async move {
                            world.time.until(at).await;
                            process.go_on().await;
                            process.reconnect();
                        });
                    }
                }
            }
        }
    }

    /// What happened, in a line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} checks in {} s: {} allowed, {} unavailable, {} from the cache, {} joined; stalest allow {} ms; {} faults, {} epochs founded, {} \
             adopted; {} strict ends by acknowledgement, {} by time; {} rows of who seemed dead, {} came back",
            self.checks.get(),
            self.time.now() / SECOND,
            self.allowed.get(),
            self.unavailable.get(),
            self.hits.get(),
            self.joins.get(),
            self.stalest.get() / MS,
            self.faults.get(),
            self.founded.get(),
            self.adopted.get(),
            self.by_acks.get(),
            self.by_time.get(),
            self.unlisted.get(),
            self.relisted.get(),
        )
    }

    /// What is wrong, if anything.
    pub(crate) fn found(&self) -> Ref<'_, Option<Violation>> {
        self.violation.borrow()
    }
}
