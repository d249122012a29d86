//! What is searched: spaces in which the promise must hold, things that must be possible, mutants that must be caught.

use crate::rules::Rule;
use crate::space::{Credential, Ending, Minting, Space};
use crate::state::{EndPhase, Kind, Left, State};

/// A space, and whether it is searched only with `--long`.
pub struct Row {
    pub space: Space,
    pub long: bool,
}

/// Something that must be reachable, lest a space holds for want of runs.
pub struct Sometimes {
    pub name: &'static str,
    pub space: Space,
    pub happens: fn(&State, &Space) -> bool,
}

/// The protocol without some of its rules.
pub struct Mutant {
    pub name: &'static str,
    pub left_out: &'static [Rule],
    /// The space it is caught in.
    pub space: &'static str,
}

const fn strict(kind: Kind) -> Option<Ending> {
    Some(Ending { kind, strict: true })
}

const fn plain(kind: Kind) -> Option<Ending> {
    Some(Ending { kind, strict: false })
}

const NOTHING: Left = Space::PLAIN.left;
const RECOVERS: Space = Space { recoverers: 1, epochs: 2, ..Space::PLAIN };
const RESTART: Space = Space { left: Left { restarts: 1, ..NOTHING }, ..RECOVERS };
const FLUSHALL: Space = Space { left: Left { flushes: 1, ..NOTHING }, ..RECOVERS };
const ROW_REMOVED: Space = Space {
    grace: 1,
    credential: Credential::Key,
    mint: Minting::Records,
    ends: [strict(Kind::Key), None],
    left: Left { flushes: 1, rows: 1, ..NOTHING },
    ..FLUSHALL
};
const FAILOVER: Space = Space {
    nodes: 2,
    ends: [strict(Kind::Key), None],
    entries: 3,
    acknowledged: false,
    left: Left { promotions: 1, copies: 1, ..NOTHING },
    ..RECOVERS
};
const FAILOVER_ACKNOWLEDGED: Space = Space { lag: 1, acknowledged: true, left: Left { promotions: 1, ..NOTHING }, ..FAILOVER };
/// One that still speaks to the superseded primary replaces its epoch, since the database names that of the promoted one.
const SUPERSEDED: Space =
    Space { strays: true, epochs: 3, ends: [plain(Kind::Key), None], left: Left { promotions: 1, ..NOTHING }, ..FAILOVER };

/// In which the protocol must hold.
pub fn spaces() -> Vec<Row> {
    let short = |space| Row { space, long: false };
    let long = |space| Row { space, long: true };
    let lost = |left: Left| Left { lost_replies: 1, ..left };
    let minted = Space { mint: Minting::OurToken, ..Space::PLAIN };
    vec![
        short(Space { name: "plain, token", reconnects: true, left: lost(NOTHING), ..Space::PLAIN }),
        short(Space { name: "plain, key", reconnects: true, ends: [strict(Kind::Key), None], left: lost(NOTHING), ..Space::PLAIN }),
        short(Space { name: "plain, subject", reconnects: true, ends: [strict(Kind::Subject), None], left: lost(NOTHING), ..Space::PLAIN }),
        short(Space {
            name: "two ends",
            reconnects: true,
            ends: [strict(Kind::Token), plain(Kind::Other)],
            left: Left { trims: 1, ..NOTHING },
            ..Space::PLAIN
        }),
        short(Space { name: "two gateposts", gates: 2, ends: [strict(Kind::Key), None], ..Space::PLAIN }),
        short(Space { name: "mint, key end", ends: [strict(Kind::Key), None], ..minted }),
        short(Space { name: "mint, token end", ..minted }),
        short(Space { name: "mint, lost reply", left: lost(NOTHING), ..minted }),
        short(Space { name: "mint, lost reply, key end", ends: [strict(Kind::Key), None], left: lost(NOTHING), ..minted }),
        short(Space { name: "narrow, mint of a sister", mint: Minting::Sister, ends: [strict(Kind::Key), None], ..Space::PLAIN }),
        short(Space { name: "sliding", slides: true, reconnects: true, ..Space::PLAIN }),
        short(Space {
            name: "member removed",
            ends: [plain(Kind::Other), strict(Kind::Token)],
            left: Left { removals: 1, ..NOTHING },
            ..Space::PLAIN
        }),
        short(Space { name: "restart", reconnects: true, left: Left { restarts: 1, snapshots: 1, ..NOTHING }, ..RESTART }),
        short(Space { name: "restart, other end", ends: [strict(Kind::Token), plain(Kind::Other)], ..RESTART }),
        short(Space { name: "restart, other end first", ends: [plain(Kind::Other), plain(Kind::Token)], ..RESTART }),
        short(Space {
            name: "restart, old end not replayed",
            entries: 3,
            other_not_replayed: true,
            ends: [plain(Kind::Other), strict(Kind::Token)],
            ..RESTART
        }),
        short(Space { name: "restart while recovering", left: Left { restarts: 2, snapshots: 1, ..NOTHING }, ..RESTART }),
        short(Space { name: "script first", left: Left { restarts: 1, snapshots: 1, lost_replies: 1, ..NOTHING }, ..RESTART }),
        short(Space {
            name: "mint, restart",
            mint: Minting::OurToken,
            ends: [strict(Kind::Key), None],
            left: Left { restarts: 1, snapshots: 1, ..NOTHING },
            ..RESTART
        }),
        short(Space {
            name: "mint, lost reply, restart",
            mint: Minting::OurToken,
            left: Left { restarts: 1, snapshots: 1, lost_replies: 1, ..NOTHING },
            ..RESTART
        }),
        long(Space {
            name: "mint, lost reply, failover",
            mint: Minting::OurToken,
            ends: [strict(Kind::Token), None],
            left: Left { lost_replies: 1, ..FAILOVER.left },
            ..FAILOVER
        }),
        short(Space { name: "sliding, restart", slides: true, ..RESTART }),
        short(Space {
            name: "two recoverers",
            recoverers: 2,
            epochs: 3,
            entries: 2,
            ends: [plain(Kind::Token), None],
            left: Left { restarts: 1, flushes: 1, ..NOTHING },
            ..RECOVERS
        }),
        short(Space {
            name: "stray epoch",
            recoverers: 2,
            epochs: 3,
            entries: 3,
            strays: true,
            left: Left { restarts: 1, ..NOTHING },
            ..RECOVERS
        }),
        short(Space { name: "flushall", reconnects: true, mint: Minting::Records, ..FLUSHALL }),
        short(Space {
            name: "flushall, key presented",
            credential: Credential::Key,
            mint: Minting::Records,
            ends: [strict(Kind::Key), None],
            ..FLUSHALL
        }),
        short(Space {
            name: "mint, flushall x2",
            mint: Minting::OurToken,
            epochs: 3,
            entries: 3,
            ends: [plain(Kind::Key), None],
            left: Left { flushes: 2, ..NOTHING },
            ..FLUSHALL
        }),
        short(Space { name: "allow_cached_for", reconnects: true, grace: 1, ..FLUSHALL }),
        short(Space { name: "allow_cached_for grows", reconnects: true, grace: 1, grace_grows: true, ..Space::PLAIN }),
        short(Space {
            name: "allow_cached_for grows, member removed",
            grace: 1,
            grace_grows: true,
            ends: [plain(Kind::Other), strict(Kind::Token)],
            left: Left { removals: 1, ..NOTHING },
            ..Space::PLAIN
        }),
        short(Space { name: "allow_cached_for, row removed", ..ROW_REMOVED }),
        short(Space { name: "mixed L", lease: 3, lease_of_ender: 1, ..FLUSHALL }),
        short(Space { name: "failover", ..FAILOVER }),
        short(Space { name: "failover, token", ends: [strict(Kind::Token), None], ..FAILOVER }),
        short(Space { name: "failover, follower answers", followers_answer: true, ..FAILOVER }),
        short(Space { name: "failover, allow_cached_for", grace: 1, ..FAILOVER }),
        short(Space { name: "failover, acknowledgements", ..FAILOVER_ACKNOWLEDGED }),
        long(Space { name: "failover, acknowledgements and a copy", left: FAILOVER.left, ..FAILOVER_ACKNOWLEDGED }),
        short(Space { name: "failover, mint", mint: Minting::OurToken, ..FAILOVER }),
        short(Space { name: "failover, the superseded goes on", lease: 1, lease_of_ender: 1, lag: 1, ..SUPERSEDED }),
        long(Space { name: "failover, the superseded goes on for longer", ..SUPERSEDED }),
        short(Space { name: "role change", left: Left { promotions: 2, demotions: 1, copies: 0, ..NOTHING }, ..FAILOVER }),
        short(Space {
            name: "second failover",
            nodes: 3,
            epochs: 2,
            entries: 2,
            left: Left { promotions: 2, copies: 0, ..NOTHING },
            ..FAILOVER
        }),
        long(Space {
            name: "second failover, both recovered",
            nodes: 3,
            lease: 1,
            lease_of_ender: 1,
            lag: 1,
            epochs: 3,
            entries: 3,
            left: Left { promotions: 2, copies: 0, ..NOTHING },
            ..FAILOVER
        }),
    ]
}

/// The same with more, for `--long`: connections break at any time; in one Redis's spaces of moderate size a reply is lost, too, and
/// leases and the bound are a tick longer.
pub fn wider() -> Vec<Space> {
    const LARGE: [&str; 3] = ["restart, other end", "restart, old end not replayed", "mint, lost reply, restart"];
    let widen = |space: Space| {
        let is_large =
            space.fails_over() || space.recoverers > 1 || space.left.flushes > 0 || space.grace > 0 || LARGE.contains(&space.name);
        match is_large {
            true => Space { reconnects: true, ..space },
            false => Space {
                reconnects: true,
                lease: space.lease + 1,
                lease_of_ender: space.lease_of_ender + 1,
                left: Left { lost_replies: space.left.lost_replies.max(1), ..space.left },
                ..space
            },
        }
    };
    let already = |space: &Space, wider: &Space| space.reconnects == wider.reconnects && space.lease == wider.lease;
    let rows = spaces().into_iter().filter(|row| !row.long);
    rows.map(|row| (row.space, widen(row.space))).filter(|(space, wider)| !already(space, wider)).map(|(_, wider)| wider).collect()
}

/// What must be possible.
pub fn sometimes() -> Vec<Sometimes> {
    fn live_in_second_epoch(state: &State, space: &Space) -> bool {
        let gate = state.gates[0];
        !state.ends[0].in_database && gate.epoch == 2 && gate.entry && gate.has_lease(space.lease)
    }
    let minted = Space { mint: Minting::OurToken, ends: [strict(Kind::Key), None], ..Space::PLAIN };
    vec![
        Sometimes {
            name: "cold start: a live token is allowed",
            space: Space { cold: true, ..Space::PLAIN },
            happens: |state, space| !state.ends[0].in_database && state.gates[0].entry && state.gates[0].has_lease(space.lease),
        },
        Sometimes { name: "a strict end returns by acknowledgements", space: Space::PLAIN, happens: |state, _| state.early },
        Sometimes {
            name: "a strict end returns by acknowledgements of two gateposts",
            space: Space { gates: 2, ..Space::PLAIN },
            happens: |state, _| state.early,
        },
        Sometimes {
            name: "a strict end returns by time",
            space: Space::PLAIN,
            happens: |state, _| state.ends[0].phase == EndPhase::Returned && !state.early,
        },
        Sometimes { name: "after a restart: a live token is allowed in the new epoch", space: RESTART, happens: live_in_second_epoch },
        Sometimes {
            name: "after a restart: a strict end returns by acknowledgements in the new epoch",
            space: RESTART,
            happens: |state, _| state.early && state.held == 2,
        },
        Sometimes {
            name: "after FLUSHALL: a new token is minted and allowed",
            space: Space { mint: Minting::OurToken, ends: [strict(Kind::Key), None], ..FLUSHALL },
            happens: live_in_second_epoch,
        },
        Sometimes {
            name: "after FLUSHALL: a key's records come back and it is allowed",
            space: Space { credential: Credential::Key, mint: Minting::Records, ends: [strict(Kind::Key), None], ..FLUSHALL },
            happens: live_in_second_epoch,
        },
        Sometimes { name: "after a failover: a live token is allowed by the new primary", space: FAILOVER, happens: live_in_second_epoch },
        Sometimes {
            name: "failover: a strict end returns by acknowledgements",
            space: FAILOVER_ACKNOWLEDGED,
            happens: |state, _| state.early,
        },
        Sometimes {
            name: "after a failover: a strict end of the promoted primary's epoch returns by acknowledgements",
            space: FAILOVER_ACKNOWLEDGED,
            happens: |state, _| state.early && state.held == 2,
        },
        Sometimes {
            name: "after a failover: an end sent to the old primary is sent again and answered",
            space: FAILOVER,
            happens: |state, _| state.ends[0].phase == EndPhase::Returned && state.held == 2 && state.nodes[1].data.seq > 1,
        },
        Sometimes {
            name: "after a role change: a live token is allowed by a process that was primary before",
            space: Space { left: Left { promotions: 2, demotions: 1, ..NOTHING }, ..FAILOVER },
            happens: |state, space| live_in_second_epoch(state, space) && state.left.promotions == 0 && state.nodes[0].data.epoch == 2,
        },
        Sometimes {
            name: "after two failovers: a live token is allowed by the third primary",
            space: Space { nodes: 3, left: Left { promotions: 2, ..NOTHING }, ..FAILOVER },
            happens: |state, space| {
                live_in_second_epoch(state, space) && state.nodes[2].data.epoch == 2 && state.nodes[1].superseded.runs()
            },
        },
        Sometimes {
            name: "a lost mint reply: the second attempt finds the token of the first",
            space: Space { left: Left { lost_replies: 1, ..NOTHING }, ..minted },
            happens: |state, _| state.mint.row && state.left.lost_replies == 0 && state.nodes[0].data.token && state.gates[0].entry,
        },
        Sometimes {
            name: "a removed row: it is written again, and a live token is allowed under a new lease",
            space: ROW_REMOVED,
            happens: |state, space| {
                live_in_second_epoch(state, space) && state.left.rows == 0 && !state.row_gone && state.gates[0].grace.runs()
            },
        },
        Sometimes {
            name: "allow_cached_for: a live token is allowed without a lease",
            space: Space { grace: 1, ..Space::PLAIN },
            happens: |state, space| !state.ends[0].in_database && state.gates[0].entry && state.gates[0].grace.is_at_least(space.lease),
        },
    ]
}

/// Each must be caught: one that is not makes the run fail.
pub fn mutants() -> Vec<Mutant> {
    let of = |name, left_out, space| Mutant { name, left_out, space };
    vec![
        of("no stamp guard", &[Rule::Stamps], "plain, token"),
        of("lease from the reply's time", &[Rule::LeaseFromSending], "plain, token"),
        of("bumps by a side queue", &[Rule::BumpBeforeApplied], "plain, token"),
        of("record read before the lease", &[Rule::LeaseFirst], "plain, token"),
        of("lease does not wait for seq", &[Rule::LeaseWaitsForSeq], "plain, token"),
        of("read without a lease", &[Rule::NoLeaseNoAnswer], "failover"),
        of("join any read", &[Rule::JoinOnlyFresh], "plain, token"),
        of("acknowledgement without epoch", &[Rule::AckCarriesEpoch], "restart, old end not replayed"),
        of("empty member list trusted", &[Rule::AcksAskHeld], "flushall"),
        of("old data under the same epoch", &[Rule::BeatAsksWhole, Rule::WriteAsksWhole, Rule::FillAsksWhole], "restart"),
        of("wide end (key) bumps only the token's shard", &[Rule::WideBumps], "plain, key"),
        of("wide end (subject) bumps only the token's shard", &[Rule::WideBumps], "plain, subject"),
        of("mint without version check", &[Rule::MintAsksVersion], "mint, key end"),
        of("script before the database's commit", &[Rule::CommitFirst], "script first"),
        of("gap without bump", &[Rule::GapBumps], "two ends"),
        of("token id written twice", &[Rule::FreshId], "mint, lost reply"),
        of("adopting keeps the cache", &[Rule::AdoptBumps], "flushall"),
        of("to begin anew keeps the cache", &[Rule::BeginAnewBumps], "plain, token"),
        of("allow_cached_for used before its lease was asked for", &[Rule::GraceOfItsLease], "allow_cached_for grows"),
        of("member removed while allow_cached_for lasts", &[Rule::RemoveWaitsForGrace], "allow_cached_for grows, member removed"),
        of("row removed while allow_cached_for lasts", &[Rule::RowOutlastsGrace], "allow_cached_for, row removed"),
        of("lease without a row", &[Rule::ListsItselfAgain], "allow_cached_for, row removed"),
        of("replies outlive their connection", &[Rule::ReplyDies], "failover"),
        of("acknowledgements asked of what is not whole", &[Rule::AcksAskWhole], "flushall"),
        of("no replay before founding", &[Rule::Replays], "restart"),
        of("strict does not wait", &[Rule::StrictWaits], "plain, token"),
        of("strict does not wait for allow_cached_for", &[Rule::StrictWaitsForGrace], "allow_cached_for"),
        of("strict does not wait for allow_cached_for with failover", &[Rule::StrictWaitsForGrace], "failover, allow_cached_for"),
        of("fill of a foreign epoch accepted", &[Rule::FillAsksEpoch, Rule::FillAsksWhole], "restart"),
        of("fill does not ask whether the epoch is whole", &[Rule::FillAsksWhole], "restart"),
        of("fill does not ask for a primary", &[Rule::FillAsksRole], "failover, follower answers"),
        of("gp_end and gp_mint do not ask whether the epoch is whole", &[Rule::WriteAsksWhole], "restart, other end"),
        of("row done without the database's epoch", &[Rule::DoneAsksEpoch], "failover"),
        of(
            "row done in an epoch that a superseded primary may have been given",
            &[Rule::DoneAsksSettled],
            "failover, the superseded goes on",
        ),
        of("an epoch settled a tick too early", &[Rule::SettledOutlastsLag], "failover, the superseded goes on"),
        of("acknowledgements counted while a superseded primary gives leases", &[Rule::HeldOutlastsLag], "failover, acknowledgements"),
        of("ends read before the epoch is in the database", &[Rule::EpochBeforeReading], "failover"),
        of("replay logged under the old epoch", &[Rule::ReplayInNewEpoch], "restart, other end first"),
        of("entries of a foreign epoch applied", &[Rule::ForeignEntryIgnored], "restart, other end first"),
        of("epoch held too short", &[Rule::HeldForAll], "flushall"),
        of("longest L of the surviving list only", &[Rule::LongestOfAll], "mixed L"),
        of("a version already there is not logged", &[Rule::AlwaysLogged], "narrow, mint of a sister"),
        of("token row before gp_mint", &[Rule::RowAfterScript], "mint, token end"),
        of(
            "mint with a later epoch and founding without its own lock",
            &[Rule::MintAsksEpochRead, Rule::FoundAsksLock],
            "mint, flushall x2",
        ),
        of("founding does not ask for its process", &[Rule::FoundAsksProcess], "restart while recovering"),
        of("no min-replicas-to-write", &[Rule::MinReplicas], "failover"),
        of("whole by run_id alone", &[Rule::WholeAsksReplid], "role change"),
        of("token found in one command, slid in another", &[Rule::FoundInOneScript], "mint, lost reply"),
        of("sliding by SET", &[Rule::SlideNeverWrites], "sliding"),
        of("a bound one tick shorter", &[Rule::PublishedBound], "plain, token"),
        of("a bound one tick shorter, allow_cached_for", &[Rule::PublishedBound], "allow_cached_for"),
        of("a bound one tick shorter, failover", &[Rule::PublishedBound], "failover"),
        of("a bound one tick shorter, both", &[Rule::PublishedBound], "failover, allow_cached_for"),
        of("member removed while it may hold a lease", &[Rule::RemoveOnlyTheDead], "member removed"),
    ]
}

/// Rules that are left out by no row of these two tables: there must be none.
pub fn untested() -> Vec<Rule> {
    let left_out: Vec<Rule> = mutants().iter().chain(&second_locks()).flat_map(|row| row.left_out).copied().collect();
    Rule::all().filter(|rule| !left_out.contains(rule)).collect()
}

/// Rules whose absence alone is not seen, so they are a second lock; searched with `--long` to say so.
pub fn second_locks() -> Vec<Mutant> {
    let of = |name, left_out, space| Mutant { name, left_out, space };
    vec![
        of("reconnect keeps the cache", &[Rule::ConnectionBumps], "plain, token"),
        of("reconnect keeps the cache", &[Rule::ConnectionBumps], "two ends"),
        of("reconnect keeps the cache", &[Rule::ConnectionBumps], "restart"),
        of("reconnect keeps the cache", &[Rule::ConnectionBumps], "flushall"),
        of("reconnect keeps the cache", &[Rule::ConnectionBumps], "allow_cached_for"),
        of("reconnect keeps the cache", &[Rule::ConnectionBumps], "failover"),
        of("reconnect keeps the cache", &[Rule::ConnectionBumps], "role change"),
        of("replies outlive their connection, but are joined by their stamps alone", &[Rule::ReplyDies, Rule::JoinSentAfter], "failover"),
        of(
            "replies outlive their connection, but are joined by their stamps alone",
            &[Rule::ReplyDies, Rule::JoinSentAfter],
            "role change",
        ),
        of("an epoch written whatever the database has", &[Rule::SwapAsksSeen], "stray epoch"),
        of("founding does not ask for its own lock", &[Rule::FoundAsksLock], "mint, flushall x2"),
        of("mint sends the epoch held when sending", &[Rule::MintAsksEpochRead], "mint, flushall x2"),
        of("mint sends the epoch held when sending", &[Rule::MintAsksEpochRead], "mint, restart"),
    ]
}
