//! How much may happen in a run: the bounds of one search.

use crate::state::{Age, Data, ENDED, ENDS, Gate, Kind, LIVE, Left, Node, Role, State};

/// What is minted in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Minting {
    Nothing,
    /// The token we look at: it is not there in the beginning.
    OurToken,
    /// Another token of its key.
    Sister,
    /// No token: records that were not found.
    Records,
}

/// What a check presents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    Token,
    Key,
}

/// An end that happens in a run.
#[derive(Clone, Copy)]
pub struct Ending {
    pub kind: Kind,
    pub strict: bool,
}

/// The bounds of one search. Not bounded: heartbeats, fills, ticks, lapses of the lease.
#[derive(Clone, Copy)]
pub struct Space {
    pub name: &'static str,
    /// Ticks that a lease of a gatepost lasts.
    pub lease: u8,
    /// The same of the process that ends and mints.
    pub lease_of_ender: u8,
    /// `allow_cached_for`, in ticks.
    pub grace: u8,
    /// There was none in the beginning: new rules bring it.
    pub grace_grows: bool,
    /// Ticks for which a superseded primary still writes.
    pub lag: u8,
    pub credential: Credential,
    pub ends: [Option<Ending>; ENDS],
    pub mint: Minting,
    pub gates: usize,
    pub recoverers: usize,
    /// Redis processes; more than one makes it Sentinel or Cluster.
    pub nodes: usize,
    /// Entries that the log may come to have.
    pub entries: u8,
    /// The highest epoch that is founded.
    pub epochs: u8,
    /// Nobody has a lease in the beginning, nothing is cached.
    pub cold: bool,
    /// Connections break at any time; else only where Redis restarts or another node is chosen.
    pub reconnects: bool,
    /// Connections may lead to a Redis that is no primary.
    pub followers_answer: bool,
    /// The second end is too old to be replayed.
    pub other_not_replayed: bool,
    /// Strict ends ask for acknowledgements; else they wait.
    pub acknowledged: bool,
    /// An epoch that is whole is replaced where the database names another.
    pub strays: bool,
    /// Checks slide the token's expiry.
    pub slides: bool,
    pub left: Left,
}

impl Space {
    /// One gatepost, one Redis, a strict end of the token.
    pub const PLAIN: Self = Self {
        name: "",
        lease: 2,
        lease_of_ender: 2,
        grace: 0,
        grace_grows: false,
        lag: 2,
        credential: Credential::Token,
        ends: [Some(Ending { kind: Kind::Token, strict: true }), None],
        mint: Minting::Nothing,
        gates: 1,
        recoverers: 0,
        nodes: 1,
        entries: 4,
        epochs: 1,
        cold: false,
        reconnects: false,
        followers_answer: false,
        other_not_replayed: false,
        acknowledged: true,
        strays: false,
        slides: false,
        left: Left {
            restarts: 0,
            snapshots: 0,
            flushes: 0,
            promotions: 0,
            demotions: 0,
            copies: 0,
            trims: 0,
            lost_replies: 0,
            removals: 0,
            rows: 0,
        },
    };

    /// Sentinel and Cluster.
    pub fn fails_over(&self) -> bool {
        self.nodes > 1
    }

    /// The published bound, in ticks since an end was applied.
    pub fn bound(&self) -> u8 {
        self.lease + self.grace
    }

    pub fn longest_lease(&self) -> u8 {
        self.lease.max(self.lease_of_ender)
    }

    /// The longest that any strict end waits.
    pub fn longest_wait(&self) -> u8 {
        self.longest_lease() + self.grace
    }

    /// For how long the longest lease of an earlier epoch is waited for.
    pub fn longest_hold(&self) -> u8 {
        self.longest_wait() + self.lag_of_failover()
    }

    /// How long a superseded primary may still write, where any is.
    pub fn lag_of_failover(&self) -> u8 {
        if self.fails_over() { self.lag } else { 0 }
    }

    pub fn end(&self, n: usize) -> Option<Ending> {
        self.ends[n]
    }

    pub fn first_state(&self) -> State {
        let minted_later = self.mint == Minting::OurToken;
        let data = Data {
            epoch: 1,
            founded_process: 1,
            founded_line: 1,
            token: !minted_later,
            key: if minted_later { 0 } else { LIVE },
            subject: LIVE,
            members: if self.cold { 0 } else { (1 << self.gates) - 1 },
            ..Data::default()
        };
        let mut state = State {
            snapshot: if self.left.restarts > 0 { data } else { Data::default() },
            database_epoch: 1,
            listed_grace: self.grace > 0 && !self.grace_grows,
            told_grace: self.grace > 0 && !self.grace_grows,
            held: 1,
            held_for: Age::of(self.longest_hold()),
            left: self.left,
            next_epoch: 2,
            next_id: self.nodes as u8,
            ..State::default()
        };
        for (n, node) in state.nodes.iter_mut().enumerate().take(self.nodes) {
            let role = if n == 0 { Role::Primary } else { Role::Follower };
            let founded = if self.fails_over() && n == 0 { Age::of(self.lag + 1) } else { Age::NONE };
            *node = Node { role, process: n as u8 + 1, line: 1, founded, data, ..Node::default() };
        }
        for (n, gate) in state.gates.iter_mut().enumerate().take(self.gates) {
            if !self.cold {
                let grace = if self.grace > 0 && !self.grace_grows { Age::NOW } else { Age::NONE };
                let entry = n == 0 && !minted_later;
                *gate = Gate { epoch: 1, connected: 1, lease: Age::NOW, grace, entry, ..Gate::default() };
            }
        }
        if self.left.removals > 0 {
            state.beaten = [Age::NOW; 2];
        }
        state
    }

    /// The version of the key's record in the database.
    pub fn key_in_database(&self, state: &State) -> u8 {
        let ended = (0..ENDS).any(|n| self.ends[n].is_some_and(|end| end.kind == Kind::Key) && state.ends[n].in_database);
        if ended { ENDED } else { LIVE }
    }
}
