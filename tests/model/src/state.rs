//! What there is at one moment of a run: Redis processes, gateposts, the database, who ends, mints and recovers.
//!
//! Only what the next step or the promise can depend on is here. Ids are small numbers given out in order; time is kept as
//! [`Age`]s, never as a date, so runs of any length have finitely many states.

pub const NODES: usize = 3;
pub const GATES: usize = 2;
pub const ENDS: usize = 2;
pub const RECOVERERS: usize = 2;
/// Log entries that one run can hold.
pub const ENTRIES: usize = 7;

/// How many ticks ago something happened; it grows up to a limit beyond which nobody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Age(u8);

impl Age {
    /// It did not happen, or not any more.
    pub const NONE: Self = Self(0);
    pub const NOW: Self = Self(1);

    pub fn of(ticks: u8) -> Self {
        Self(ticks + 1)
    }

    pub fn ticks(self) -> Option<u8> {
        self.0.checked_sub(1)
    }

    pub fn runs(self) -> bool {
        self.0 > 0
    }

    pub fn is_below(self, ticks: u8) -> bool {
        self.ticks().is_some_and(|age| age < ticks)
    }

    pub fn is_at_most(self, ticks: u8) -> bool {
        self.ticks().is_some_and(|age| age <= ticks)
    }

    pub fn is_at_least(self, ticks: u8) -> bool {
        self.ticks().is_some_and(|age| age >= ticks)
    }

    /// One tick passes; it stands still at `limit`.
    pub fn grow(&mut self, limit: u8) {
        if self.is_below(limit) {
            self.0 += 1;
        }
    }

    /// One tick passes; at `limit` it is over.
    pub fn run_out(&mut self, limit: u8) {
        self.grow(limit);
        if self.is_at_least(limit) {
            *self = Self::NONE;
        }
    }
}

/// What an end is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The token we look at.
    #[default]
    Token,
    /// Its key.
    Key,
    /// The subject of its key.
    Subject,
    /// Something else: it moves the log.
    Other,
}

/// A key's or subject's record in Redis. The version is all there is to it: the end makes version 2.
pub type Version = u8;
pub const ABSENT: Version = 0;
pub const LIVE: Version = 1;
pub const ENDED: Version = 2;

/// An acknowledgement: of all entries up to `n` of this epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ack {
    pub epoch: u8,
    pub n: u8,
}

/// An entry of the log. Its stream id is its place in [`State::entries`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    pub epoch: u8,
    pub n: u8,
    pub kind: Kind,
}

/// What a snapshot or a follower's copy carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Data {
    /// `{gp}:epoch`: its nonce (0 = none), and the process and replication line it was founded under.
    pub epoch: u8,
    pub founded_process: u8,
    pub founded_line: u8,
    pub token: bool,
    pub key: Version,
    pub subject: Version,
    pub seq: u8,
    /// Which entries the log holds, a bit each.
    pub log: u8,
    /// Which gateposts `{gp}:members` lists, a bit each.
    pub members: u8,
    pub acks: [Ack; GATES],
    /// `{gp}:recovery`: 1 + the recoverer, 0 = none.
    pub lock: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    #[default]
    Off,
    Primary,
    /// A Redis replica: it has a copy that somebody may read.
    Follower,
}

/// A Redis process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node {
    pub role: Role,
    /// `run_id`
    pub process: u8,
    /// `master_replid`: new at every start and every promotion.
    pub line: u8,
    /// Since another was promoted in its place.
    pub superseded: Age,
    /// Since its epoch was founded here.
    pub founded: Age,
    pub data: Data,
}

/// A heartbeat's reply that was not taken yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Beat {
    /// Since it was sent; [`Age::NONE`] = no reply is under way.
    pub sent: Age,
    pub epoch: u8,
    pub seq: u8,
    pub position: u8,
    /// Sent when the database knew of `allow_cached_for` here.
    pub grace: bool,
}

/// A fill's reply that says "live" and was not taken yet; others do nothing, so they are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fill {
    pub under_way: bool,
    /// A generation it hangs on moved since it was sent.
    pub stale: bool,
    /// Why a check that began before it was sent would have to be refused (see [`crate::promise`]).
    pub after: u8,
}

/// A gatepost process that answers checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gate {
    pub epoch: u8,
    pub applied: u8,
    /// The stream id from which the log is read on.
    pub position: u8,
    /// Since the heartbeat was sent that the lease rests on.
    pub lease: Age,
    /// The same, kept on for `allow_cached_for`.
    pub grace: Age,
    /// 1 + the node that heartbeats and fills go to.
    pub connected: u8,
    pub beat: Beat,
    pub fill: Fill,
    /// The credential is cached as live, and its stamps are those of now.
    pub entry: bool,
    /// 1 + the log entry under way to it.
    pub incoming: u8,
    /// The acknowledgement under way from it.
    pub ack: Ack,
    /// Only where a rule is broken: bumps that wait for a side queue, a bit for each [`Kind`], 16 for all.
    pub queue: u8,
    /// A sliding of the token's expiry is under way.
    pub slide: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndPhase {
    #[default]
    Idle,
    /// Its row stands in the outbox.
    Committed,
    /// `gp_end` ran; the row is not done.
    Executed,
    /// The row is done, the end was answered.
    Done,
    /// It was asked once, for a strict answer, how far the log is.
    Asked,
    /// The strict answer was given.
    Returned,
    /// Only where a rule is broken: forgotten by its process, and never committed.
    Lost,
}

/// An end, and its strict wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct End {
    pub phase: EndPhase,
    pub in_database: bool,
    /// Since it was applied for the first time: from then on the bound counts.
    pub applied: Age,
    /// The epoch its script ran in; later, the one that acknowledgements are asked in, and up to which entry.
    pub epoch: u8,
    pub n: u8,
    /// Whether that epoch was settled then.
    pub settled: bool,
    /// Since the script's reply.
    pub replied: Age,
    /// Whether its wait knows of `allow_cached_for`.
    pub knows_grace: bool,
}

/// A script `gp_mint` that was not run yet: what it was read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reading {
    pub key: Version,
    pub epoch: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MintPhase {
    #[default]
    Idle,
    Read(Reading),
    /// Only where a rule is broken: it found the token live and is about to write it.
    Found,
    /// The token stands in Redis, its row not yet in the database.
    Written,
    Over,
}

/// MINT, and the token's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mint {
    pub phase: MintPhase,
    /// The token's row stands in the database: from here on it can be ended.
    pub row: bool,
    /// An attempt whose answer nobody waits for any more, still on its way to Redis.
    pub late: Option<Reading>,
    /// The attempt under way is a second one.
    pub again: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecoverPhase {
    #[default]
    Idle,
    /// It knows the database's epoch.
    Seen,
    Locked,
    EpochWritten,
    Read,
    Replayed,
}

/// RECOVER, by one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recoverer {
    pub phase: RecoverPhase,
    pub node: u8,
    pub process: u8,
    pub line: u8,
    /// The database's epoch before the lock was taken.
    pub seen: u8,
    pub epoch: u8,
    /// Which ends it read, a bit each.
    pub ends: u8,
    pub has_read: bool,
}

/// Where the one check is that we look at. It begins where it must be refused; the number says why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Check {
    #[default]
    NotBegun,
    LeaseRead(u8),
    /// Only where a rule is broken: no lease, and it asks Redis all the same.
    NoLease(u8),
    /// Only where a rule is broken: the record is read, the lease comes next.
    RecordRead(u8),
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub restarts: u8,
    pub snapshots: u8,
    pub flushes: u8,
    pub promotions: u8,
    pub demotions: u8,
    pub copies: u8,
    pub trims: u8,
    pub lost_replies: u8,
    pub removals: u8,
    pub rows: u8,
}

/// One moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: [Node; NODES],
    pub snapshot: Data,
    pub entries: [Entry; ENTRIES],
    pub entry_count: u8,
    pub gates: [Gate; GATES],
    /// Which gateposts another saw without a heartbeat: since their last one.
    pub beaten: [Age; GATES],
    /// Whether the last heartbeat of G0 told of `allow_cached_for`.
    pub told_grace: bool,
    /// The epoch in the database.
    pub database_epoch: u8,
    /// The database lists G0 with its `allow_cached_for`.
    pub listed_grace: bool,
    /// Since A saw that the database lists G0 and Redis does not; that this row was removed for it.
    pub unlisted: Age,
    pub row_gone: bool,
    /// The epoch that the process holds which ends and mints, and since when.
    pub held: u8,
    pub held_for: Age,
    pub ends: [End; ENDS],
    pub mint: Mint,
    pub recoverers: [Recoverer; RECOVERERS],
    pub check: Check,
    pub left: Left,
    pub next_epoch: u8,
    pub next_id: u8,
    /// A strict end returned by acknowledgements before its time was up.
    pub early: bool,
    /// What was broken, as bits of [`crate::promise`]; such a state ends the search.
    pub broken: u8,
}

impl Gate {
    /// Bumps every generation: what is cached or under way counts no more.
    pub fn bump_all(&mut self) {
        self.entry = false;
        self.fill.stale = self.fill.under_way;
    }

    pub fn has_lease(&self, lease: u8) -> bool {
        self.lease.is_below(lease)
    }
}

impl State {
    /// The primary that clients are told of.
    pub fn newest(&self) -> Option<usize> {
        self.nodes.iter().position(|node| node.role == Role::Primary && !node.superseded.runs())
    }

    /// A `run_id` or `master_replid` not seen before.
    pub fn fresh_id(&mut self) -> u8 {
        self.next_id += 1;
        self.next_id
    }
}
