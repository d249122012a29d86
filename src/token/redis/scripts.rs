//! The Lua scripts, by name, text and digest. Each file says what it does and what its arguments are.

use std::sync::LazyLock;

use crate::id::hex;

/// A script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// `gp_beat`
    Beat,
    /// The fill of a check.
    Fill,
    /// When tokens end.
    Ends,
    /// `gp_end`
    End,
    /// `gp_mint`
    Mint,
    /// Live tokens of a copy.
    Arrive,
    /// What the members have applied.
    Acks,
    /// Who beats, and who leaves.
    Members,
    /// RECOVER: take the lock.
    Lock,
    /// RECOVER: keep the lock, or let go of it.
    Hold,
    /// RECOVER: found the epoch.
    Found,
    /// A part of a rate.
    Lease,
    /// Whether a ticket was used.
    Ticket,
}

/// Ends, heartbeats and RECOVER work under memory pressure too; mints do not.
macro_rules! script {
    ($flags:literal, $file:literal) => {
        concat!("#!lua", $flags, "\n", include_str!("common.lua"), include_str!($file))
    };
}

/// Scripts that only read.
macro_rules! reading {
    ($file:literal) => {
        concat!("#!lua flags=no-writes\n", include_str!("read.lua"), include_str!($file))
    };
}

const ALL: [(Script, &str, &str); 13] = [
    (Script::Beat, "beat", script!(" flags=allow-oom", "beat.lua")),
    (Script::Fill, "fill", reading!("fill.lua")),
    (Script::Ends, "idle_ends", reading!("ends.lua")),
    (Script::End, "end", script!(" flags=allow-oom", "end.lua")),
    (Script::Mint, "mint", script!("", "mint.lua")),
    (Script::Arrive, "arrive", script!("", "arrive.lua")),
    (Script::Acks, "acks", reading!("acks.lua")),
    (Script::Members, "members", script!(" flags=allow-oom", "members.lua")),
    (Script::Lock, "lock", script!(" flags=allow-oom", "lock.lua")),
    (Script::Hold, "hold", script!(" flags=allow-oom", "hold.lua")),
    (Script::Found, "found", script!(" flags=allow-oom", "found.lua")),
    (Script::Lease, "lease", concat!("#!lua\n", include_str!("lease.lua"))),
    (Script::Ticket, "ticket", script!("", "ticket.lua")),
];

/// SHA-1 only names a script to Redis; nothing rests on it.
static DIGESTS: LazyLock<[String; 13]> =
    LazyLock::new(|| ALL.map(|(_, _, text)| hex(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())));

impl Script {
    fn row(self) -> (usize, &'static str, &'static str) {
        let row = ALL.iter().enumerate().find(|(_, (script, ..))| *script == self);
        row.map_or((0, "", ""), |(n, (_, name, text))| (n, name, text))
    }

    /// Its name in metrics.
    pub(super) fn name(self) -> &'static str {
        self.row().1
    }

    /// Its text.
    pub(super) fn text(self) -> &'static str {
        self.row().2
    }

    /// What Redis knows it by.
    pub(super) fn sha(self) -> &'static str {
        DIGESTS.get(self.row().0).map_or("", String::as_str)
    }
}
