//! Throttling of guesses: per account and per client network, on every route that takes a password.
//!
//! Five failures of an account are free, then each costs a wait that doubles from one second to fifteen
//! minutes. A network has more, and is forgiven one a minute: many people may share an address.
//! INVARIANT: an account is counted by its id, whatever spelling was used (CVE-2025-24806), and an
//! unknown name exactly like a known one. Every map is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::{Clock, UnixMs};
use crate::id::Id;
use crate::lock::Mutex;

/// Failures that cost an account nothing.
const FREE_PER_ACCOUNT: u32 = 5;
/// Wrong codes that cost a name nothing: as many as the challenges take that one may have.
const FREE_PER_CODES: u32 = 15;
/// Failures that cost a network nothing.
const FREE_PER_NETWORK: u32 = 50;
/// Sign-ins at a provider that a network may begin at once.
const FREE_BEGINNINGS: u32 = 100;
/// How long it takes until it may begin one more.
const BEGINNING_EVERY: Duration = Duration::from_secs(3);
/// How long it takes until a network is forgiven one of its failures.
const FORGIVEN_EVERY: Duration = Duration::from_secs(60);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A tally is forgotten this long after its last failure.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
/// Most tallies a map holds.
const TALLIES: usize = 50_000;

/// Where a client comes from: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(u128);

impl ClientNetwork {
    /// The network of this address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
        })
    }
}

impl std::fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Whose password is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tried {
    /// This account's.
    Account(Id),
    /// Nobody's: SHA-256 of the folded name.
    Unknown([u8; 32]),
    /// An account's, in a browser that its owner logged in from before: strangers' failures keep nobody out of their own.
    KnownBrowser(Id),
    /// A one-time code sent to this name, by SHA-256.
    Code([u8; 32]),
    /// This account's second factor.
    SecondFactor(Id),
}

/// Try again after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany(pub Duration);

#[derive(Clone, Copy, Debug)]
struct Tally {
    failures: u32,
    /// From here on time forgives.
    since: UnixMs,
    /// The last failure.
    last: UnixMs,
    /// No try before this.
    until: UnixMs,
}

struct Tallies<K> {
    free: u32,
    forgiven_every: Option<Duration>,
    of: Mutex<HashMap<K, Tally>>,
}

impl Tally {
    /// What is left of it at `now`.
    fn at(mut self, now: UnixMs, forgiven_every: Option<Duration>) -> Self {
        if self.last.after(FORGOTTEN) <= now {
            self.failures = 0;
        }
        if let Some(every) = forgiven_every {
            let forgiven = u32::try_from(now.since(self.since).as_millis() / every.as_millis()).unwrap_or(u32::MAX);
            self.failures = self.failures.saturating_sub(forgiven);
            self.since = self.since.after(every.saturating_mul(forgiven));
        }
        if self.failures == 0 {
            self.since = now;
        }
        self
    }
}

impl<K: Hash + Eq + Copy> Tallies<K> {
    fn new(free: u32, forgiven_every: Option<Duration>) -> Self {
        Self { free, forgiven_every, of: Mutex::default() }
    }

    fn ask(&self, key: K, now: UnixMs) -> Result<(), TooMany> {
        let of = self.of.lock();
        match of.get(&key) {
            Some(tally) if tally.until > now => Err(TooMany(tally.until.since(now))),
            _ => Ok(()),
        }
    }

    fn failed(&self, key: K, now: UnixMs) {
        let mut of = self.of.lock();
        if of.len() >= TALLIES && !of.contains_key(&key) {
            of.retain(|_, tally| tally.at(now, self.forgiven_every).failures > 0);
            if of.len() >= TALLIES
                && let Some(oldest) = of.iter().min_by_key(|(_, tally)| tally.last).map(|(key, _)| *key)
            {
                of.remove(&oldest);
            }
        }
        let tally = of.entry(key).or_insert(Tally { failures: 0, since: now, last: now, until: now });
        *tally = tally.at(now, self.forgiven_every);
        tally.failures = tally.failures.saturating_add(1);
        tally.last = now;
        tally.until = now.after(wait(tally.failures, self.free));
    }

    fn forget(&self, key: K) {
        self.of.lock().remove(&key);
    }
}

/// What the `failures`th failure costs.
fn wait(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1u64.checked_shl(beyond.min(32)).unwrap_or(u64::MAX)).min(LONGEST),
    }
}

/// Counts failures.
pub(super) struct Throttle {
    clock: Clock,
    accounts: Tallies<Tried>,
    // apart from the accounts: who guesses elsewhere is counted there, and a login here forgives them nothing
    browsers: Tallies<Tried>,
    // apart from the accounts, so that made-up names push no account's tally out
    unknown: Tallies<Tried>,
    // apart from the passwords, or wrong codes would lock out who knows theirs
    codes: Tallies<Tried>,
    // apart from the passwords: a right password must not forgive wrong codes
    second_factors: Tallies<Tried>,
    networks: Tallies<ClientNetwork>,
    beginnings: Tallies<ClientNetwork>,
}

impl Throttle {
    /// With nothing counted.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            accounts: Tallies::new(FREE_PER_ACCOUNT, None),
            browsers: Tallies::new(FREE_PER_ACCOUNT, None),
            unknown: Tallies::new(FREE_PER_ACCOUNT, None),
            codes: Tallies::new(FREE_PER_CODES, None),
            second_factors: Tallies::new(FREE_PER_ACCOUNT, None),
            networks: Tallies::new(FREE_PER_NETWORK, Some(FORGIVEN_EVERY)),
            beginnings: Tallies::new(FREE_BEGINNINGS, Some(BEGINNING_EVERY)),
        }
    }

    fn tallies(&self, tried: Tried) -> &Tallies<Tried> {
        match tried {
            Tried::Account(_) => &self.accounts,
            Tried::KnownBrowser(_) => &self.browsers,
            Tried::Unknown(_) => &self.unknown,
            Tried::Code(_) => &self.codes,
            Tried::SecondFactor(_) => &self.second_factors,
        }
    }

    /// Whether this network may try at all.
    ///
    /// # Errors
    /// [`TooMany`] with the wait that is left.
    pub(super) fn ask_network(&self, network: ClientNetwork) -> Result<(), TooMany> {
        self.networks.ask(network, self.clock.now())
    }

    /// Whether a try may be made.
    ///
    /// # Errors
    /// [`TooMany`] with the wait that is left.
    pub(super) fn ask(&self, tried: Tried, network: ClientNetwork) -> Result<(), TooMany> {
        self.ask_network(network)?;
        self.tallies(tried).ask(tried, self.clock.now())
    }

    /// A try failed.
    pub(super) fn failed(&self, tried: Tried, network: ClientNetwork) {
        self.name_failed(tried);
        self.network_failed(network);
    }

    /// A try failed that its network is counted for elsewhere.
    pub(super) fn name_failed(&self, tried: Tried) {
        self.tallies(tried).failed(tried, self.clock.now());
    }

    /// Something that this network alone answers for failed.
    pub(super) fn network_failed(&self, network: ClientNetwork) {
        self.networks.failed(network, self.clock.now());
    }

    /// A network begins a sign-in that we must remember.
    ///
    /// # Errors
    /// [`TooMany`] with the wait that is left.
    pub(super) fn begin(&self, network: ClientNetwork) -> Result<(), TooMany> {
        let now = self.clock.now();
        self.beginnings.ask(network, now)?;
        self.beginnings.failed(network, now);
        Ok(())
    }

    /// A try succeeded: the account begins again. Its network does not, or one account of one's own would pay for guesses at others.
    pub(super) fn succeeded(&self, tried: Tried) {
        self.tallies(tried).forget(tried);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> ClientNetwork {
        ClientNetwork::of(text.parse().unwrap())
    }

    #[test]
    fn five_are_free_then_the_wait_doubles_to_fifteen_minutes() {
        let clock = Clock::manual(UnixMs(1_000_000));
        let throttle = Throttle::new(clock.clone());
        let (tried, home) = (Tried::Account(Id::from_bytes([1; 16])), network("192.0.2.1"));
        let mut waits = Vec::new();
        for _ in 0..16 {
            assert_eq!(throttle.ask(tried, home), Ok(()));
            throttle.failed(tried, home);
            let wait = throttle.ask(tried, home).err().map_or(0, |TooMany(wait)| wait.as_secs());
            waits.push(wait);
            clock.advance(Duration::from_secs(wait));
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        throttle.succeeded(tried);
        assert_eq!(throttle.ask(tried, home), Ok(()));
    }

    #[test]
    fn an_account_is_throttled_from_everywhere_and_others_are_not() {
        let throttle = Throttle::new(Clock::manual(UnixMs(1_000_000)));
        let (one, two) = (Tried::Account(Id::from_bytes([1; 16])), Tried::Unknown([2; 32]));
        for _ in 0..5 {
            throttle.failed(one, network("192.0.2.1"));
        }
        assert!(throttle.ask(one, network("198.51.100.1")).is_err());
        assert_eq!(throttle.ask(two, network("192.0.2.1")), Ok(()));
    }

    #[test]
    fn a_network_is_throttled_whoever_it_tries() {
        let throttle = Throttle::new(Clock::manual(UnixMs(1_000_000)));
        for n in 0..FREE_PER_NETWORK {
            throttle.failed(Tried::Unknown([u8::try_from(n).unwrap(); 32]), network("2001:db8::1"));
        }
        assert!(throttle.ask(Tried::Unknown([255; 32]), network("2001:db8::ffff")).is_err(), "same /64");
        assert_eq!(throttle.ask(Tried::Unknown([255; 32]), network("2001:db8:0:1::1")), Ok(()));
    }

    #[test]
    fn a_network_is_forgiven_as_time_passes() {
        let clock = Clock::manual(UnixMs(1_000_000));
        let throttle = Throttle::new(clock.clone());
        for n in 0..1000u64 {
            assert_eq!(throttle.ask_network(network("192.0.2.1")), Ok(()), "failure {n}");
            throttle.network_failed(network("192.0.2.1"));
            // one a minute, never quite a minute apart
            clock.advance(Duration::from_secs(if n % 2 == 0 { 59 } else { 61 }));
        }
        let account = Tried::Account(Id::from_bytes([1; 16]));
        for _ in 0..7 {
            throttle.failed(account, network("192.0.2.2"));
        }
        clock.advance(Duration::from_secs(3600));
        throttle.failed(account, network("192.0.2.2"));
        assert_eq!(throttle.ask(account, network("192.0.2.3")), Err(TooMany(Duration::from_secs(8))), "an account is not");
    }

    #[test]
    fn networks() {
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
    }

    #[test]
    fn maps_are_bounded() {
        let tallies = Tallies::new(5, None);
        for n in 0..u32::try_from(TALLIES).unwrap() + 3 {
            tallies.failed(n, UnixMs(u64::from(n)));
        }
        assert_eq!(tallies.of.lock().len(), TALLIES);
    }
}
