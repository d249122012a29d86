//! The rules of the protocol, one by one. A mutant is the protocol with one of them left out.

macro_rules! rules {
    ($($(#[$words:meta])* $rule:ident,)*) => {
        /// A rule, in the words of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $($(#[$words])* $rule,)*
        }

        impl Rule {
            /// Every rule.
            pub fn all() -> impl Iterator<Item = Self> {
                [$(Self::$rule),*].into_iter()
            }
        }
    };
}

rules! {
    // CHECK and FILL
    /// What was read is cached only under the generations of before it was read.
    Stamps,
    /// The lease is read before the record.
    LeaseFirst,
    /// Without a lease nothing is allowed, neither cached nor read.
    NoLeaseNoAnswer,
    /// A check joins a fill under way only if that was sent after it began, or the lease is valid and the stamps stand.
    JoinOnlyFresh,
    /// A leave rather than a rule: a fill that was sent after the check began may be joined whatever its stamps.
    JoinSentAfter,
    /// A fill is answered only in the epoch that it was sent under.
    FillAsksEpoch,
    /// A fill is answered only where the epoch is whole: founded under this very replication line.
    FillAsksWhole,
    /// A fill is answered only by a primary.
    FillAsksRole,
    /// A new connection bumps every generation.
    ConnectionBumps,
    /// A reply dies with its connection.
    ReplyDies,
    // HEARTBEAT
    /// A lease counts from when its heartbeat was sent.
    LeaseFromSending,
    /// A lease waits until what was logged before its heartbeat is applied.
    LeaseWaitsForSeq,
    /// A heartbeat says whether the epoch is whole.
    BeatAsksWhole,
    /// To adopt an epoch bumps every generation.
    AdoptBumps,
    /// To begin anew in the same epoch, where the log lost what a heartbeat counts, does so too.
    BeginAnewBumps,
    /// `allow_cached_for` counts from leases whose heartbeat was sent after the database knew of it.
    GraceOfItsLease,
    /// A whole epoch is one of this `master_replid` too, not of this `run_id` alone.
    WholeAsksReplid,
    // LOG
    /// An entry's bump comes before it counts as applied.
    BumpBeforeApplied,
    /// An entry out of turn bumps every generation.
    GapBumps,
    /// An end of a key or subject bumps more than the token's own generation.
    WideBumps,
    /// Entries of another epoch are ignored.
    ForeignEntryIgnored,
    // END
    /// The database commits before the script runs.
    CommitFirst,
    /// `gp_end` and `gp_mint` run only where the epoch is whole.
    WriteAsksWhole,
    /// An end is logged also where its version was there already.
    AlwaysLogged,
    /// A row is done only while the database's epoch is the one its script ran in.
    DoneAsksEpoch,
    /// A row is done only by a script that ran in a settled epoch: one that this primary took writes in for so long that it was no
    /// superseded one when the epoch was founded.
    DoneAsksSettled,
    /// That is longer than a superseded primary writes. Without this it is one tick less.
    SettledOutlastsLag,
    // STRICT
    /// A strict end waits at all.
    StrictWaits,
    /// Who asks for acknowledgements asks whether the epoch is whole.
    AcksAskWhole,
    /// An acknowledgement carries its epoch.
    AckCarriesEpoch,
    /// Acknowledgements count only for who has held the epoch for a while.
    AcksAskHeld,
    /// That while is as long as the longest lease and the longest `allow_cached_for`.
    HeldForAll,
    /// And as long as a superseded primary gives leases, besides.
    HeldOutlastsLag,
    /// The longest lease is that of the database's rows, not of who is left in Redis's list.
    LongestOfAll,
    /// A strict end waits for `allow_cached_for`, too.
    StrictWaitsForGrace,
    /// A member is removed only after as long as any lease of it can last.
    RemoveOnlyTheDead,
    /// And after what its heartbeat told of `allow_cached_for`.
    RemoveWaitsForGrace,
    /// The database's row of who is not on the list of members goes only after as long as any lease of it, and `allow_cached_for`
    /// after it, can last.
    RowOutlastsGrace,
    /// Who was not on the list of members writes that row again before it takes a lease.
    ListsItselfAgain,
    // MINT
    /// `gp_mint` aborts where Redis has a higher version.
    MintAsksVersion,
    /// `gp_mint` runs in the epoch that was held before the database was read.
    MintAsksEpochRead,
    /// A token id is written once: who tries again takes another.
    FreshId,
    /// The token's row enters the database after `gp_mint`.
    RowAfterScript,
    /// To find a live token and to slide it is one script.
    FoundInOneScript,
    /// A sliding lengthens what is there; it never writes.
    SlideNeverWrites,
    // RECOVER
    /// The ends are replayed before the epoch is founded.
    Replays,
    /// The replay logs under the new epoch.
    ReplayInNewEpoch,
    /// The new epoch stands in the database before the ends are read.
    EpochBeforeReading,
    /// The new epoch replaces only the one that was seen before the lock was taken.
    SwapAsksSeen,
    /// Replay and founding ask for their own lock.
    FoundAsksLock,
    /// Replay and founding ask for the process they began with.
    FoundAsksProcess,
    // Redis
    /// `min-replicas-to-write`: a superseded primary soon writes no more.
    MinReplicas,
    // The promise
    /// The bound is what is published. Without this it is one tick less: then it must break, or more is published than is needed.
    PublishedBound,
}

/// The rules that are kept.
#[derive(Clone, Copy)]
pub struct Rules(u64);

impl Rules {
    /// The protocol.
    pub const ALL: Self = Self(u64::MAX);

    pub fn without(left_out: &[Rule]) -> Self {
        Self(left_out.iter().fold(u64::MAX, |rules, rule| rules & !(1 << *rule as u64)))
    }

    pub fn keep(self, rule: Rule) -> bool {
        self.0 >> rule as u64 & 1 == 1
    }
}
