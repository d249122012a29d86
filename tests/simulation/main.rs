//! Deterministic simulation of the shipped protocol: made-up time, network, Redis and database, seeded faults.
//!
//! `cargo test --release --test simulation -- --nocapture` runs a million checks. `GATEPOST_CHECKS=100000000` runs more,
//! `GATEPOST_SEED=7` begins at another seed. A violation prints its seed; `GATEPOST_SEED` with it finds it again.

#![expect(clippy::indexing_slicing, clippy::panic, reason = "a simulation may panic")]
#![expect(clippy::disallowed_methods, reason = "read by hand: seed and length")]
#![expect(clippy::print_stdout, reason = "a simulation tells how far it is")]

mod database;
mod process;
mod random;
mod redis;
mod time;
mod world;

use std::time::Duration;

use world::{Settings, World};

/// A millisecond.
pub(crate) const MS: u64 = 1_000_000;
/// A second.
pub(crate) const SECOND: u64 = 1_000 * MS;

/// Checks of one seed.
const CHECKS: u64 = 20_000;

fn settings() -> Settings {
    Settings {
        // a roll-out that never ends
        bounds: [500, 1_000, 3_000].map(Duration::from_millis).to_vec(),
        slack: Duration::ZERO,
        cached: vec![Duration::ZERO],
        // wrong by less than a tenth
        clocks: Some((910_000, 1_090_000)),
        loses_data: true,
        gullible: false,
        hasty: false,
        selfish: false,
        unlisted: false,
        rivals: false,
        trusting: false,
        slow_replays: None,
        restored: false,
        calm_after: None,
        pace: 1,
        checks: CHECKS,
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Runs seeds until so many checks are done: the sum of what happened.
fn simulate(name: &str, settings: &Settings) -> [u64; 7] {
    let (begin, checks) = (
        number("GATEPOST_SEED", 1),
        number("GATEPOST_CHECKS", if std::env::var_os("GATEPOST_LONG").is_some() { 10_000_000 } else { 1_000_000 }) / 4,
    );
    let (mut sums, mut stalest) = ([0; 7], 0);
    for n in 0..checks.div_ceil(settings.checks) {
        let seed = begin + n;
        let world = World::run(seed, settings.clone());
        if let Some(violation) = &*world.found() {
            panic!("{name}: seed {seed}: {}\n(GATEPOST_SEED={seed} finds it again)", violation.what);
        }
        let of = [&world.checks, &world.allowed, &world.hits, &world.joins, &world.founded, &world.by_acks, &world.by_time];
        sums.iter_mut().zip(of).for_each(|(sum, of)| *sum += of.get());
        stalest = stalest.max(world.stalest.get());
        if n % 50 == 0 {
            println!("{name}: seed {seed}: {}", world.summary());
        }
    }
    println!(
        "{name}: stalest allow {} ms after its end was applied; checks, allowed, from the cache, joined, epochs founded, strict by acknowledgement, by time: {sums:?}",
        stalest / MS
    );
    sums
}

/// Nothing holds for want of runs.
fn everything_happened(sums: [u64; 7]) {
    let [checks, allowed, hits, joins, founded, by_acks, by_time] = sums;
    assert!(allowed > checks / 20, "{sums:?}");
    assert!(hits > checks / 20 && joins > 0 && founded > 0 && by_acks > 0 && by_time > 0, "{sums:?}");
}

#[test]
fn one_redis_that_keeps_its_data() {
    let sums = simulate("keeps its data", &Settings { loses_data: false, ..settings() });
    everything_happened(sums);
}

#[test]
fn one_redis_that_loses_data() {
    everything_happened(simulate("loses data", &settings()));
}

#[test]
fn promotions() {
    let settings = Settings { slack: Duration::from_secs(3), ..settings() };
    let [checks, allowed, _, _, founded, by_acks, by_time] = simulate("promotions", &settings);
    assert!(allowed > checks / 20 && founded > 0 && by_acks > 0 && by_time > 0);
}

#[test]
fn what_is_cached_is_used_through_outages() {
    let settings = Settings { cached: [0, 700, 4_000].map(Duration::from_millis).to_vec(), ..settings() };
    everything_happened(simulate("cached through outages", &settings));
    let settings = Settings { slack: Duration::from_secs(3), ..settings };
    let [checks, allowed, ..] = simulate("cached through promotions", &Settings { checks: CHECKS, ..settings });
    assert!(allowed > checks / 20);
}

/// Minutes pass: whoever stands still for so long is taken off the database's list, too, and comes back.
#[test]
fn processes_stand_still_for_minutes() {
    let settings = Settings { pace: 300, cached: [0, 4_000].map(Duration::from_millis).to_vec(), checks: 12_000, ..settings() };
    let [mut rows, mut back, mut founded, mut strict] = [0; 4];
    for seed in 1..=6 {
        let world = World::run(seed, settings.clone());
        assert!(world.found().is_none(), "seed {seed}: {:?}", world.found());
        println!("minutes: seed {seed}: {}", world.summary());
        assert!(world.allowed.get() > world.checks.get() / 20, "seed {seed}: {}", world.summary());
        rows += world.unlisted.get();
        back += world.relisted.get();
        founded += world.founded.get();
        strict += world.by_acks.get();
    }
    assert!(rows > 1 && back > 0 && founded > 0 && strict > 0, "{rows} rows of who seemed dead, {back} came back; {founded}, {strict}");
}

/// Two Redis on one database: a mistake that must not let what has ended be used for good.
#[test]
fn two_redis_on_one_database() {
    let settings = Settings { rivals: true, pace: 4, ..settings() };
    let sums = simulate("two Redis", &settings);
    assert!(sums[1] > sums[0] / 50 && sums[4] > 0, "{sums:?}");
    let world = World::run(1, Settings { loses_data: false, ..settings });
    assert!(world.found().is_none() && world.refused.get() > 0 && world.allowed.get() > world.checks.get() / 20, "{}", world.summary());
}

#[test]
fn once_it_is_calm_it_serves() {
    let calm = Settings { calm_after: Some(Duration::from_secs(15)), checks: 4_000, ..settings() };
    let failover = Settings { slack: Duration::from_secs(3), ..calm.clone() };
    // heartbeats further apart than looks into the database, and replays that outlast some of those
    let slow =
        Settings { bounds: vec![Duration::from_secs(10)], slow_replays: Some(Duration::from_secs(2)), restored: true, ..calm.clone() };
    for seed in 1..10 {
        for settings in [&calm, &failover, &slow, &Settings { slack: Duration::from_secs(3), ..slow.clone() }] {
            let world = World::run(seed, settings.clone());
            assert!(world.found().is_none(), "seed {seed}");
            assert!(world.unavailable.get() < world.checks.get() / 20, "seed {seed}: {}", world.summary());
        }
    }
}

/// The simulation can fail: what the protocol rests on is taken away, and it notices.
mod notices {
    use super::*;

    fn is_noticed(what: &str, settings: &Settings) {
        let seed = (1..200).find(|seed| World::run(*seed, settings.clone()).found().is_some());
        let Some(seed) = seed else { panic!("{what}: not noticed") };
        println!("{what}: noticed with seed {seed}");
    }

    #[test]
    fn scripts_that_do_not_ask_whether_the_epoch_is_whole() {
        is_noticed("gullible scripts", &Settings { gullible: true, ..settings() });
    }

    #[test]
    fn ends_that_are_done_in_an_epoch_that_is_not_settled() {
        // short leases: most who go on in the earlier epoch find in time that the database has another
        let bounds = vec![Duration::from_millis(200)];
        is_noticed("hasty ends", &Settings { hasty: true, slack: Duration::from_secs(3), bounds, ..settings() });
    }

    #[test]
    fn strict_ends_that_go_by_the_bound_of_their_own_process() {
        is_noticed("selfish ends", &Settings { selfish: true, ..settings() });
    }

    #[test]
    fn leases_of_processes_that_the_database_does_not_know() {
        is_noticed("unlisted processes", &Settings { unlisted: true, ..settings() });
    }

    #[test]
    fn leases_of_processes_that_do_not_ask_which_epoch_the_database_has() {
        is_noticed("trusting leases", &Settings { rivals: true, trusting: true, pace: 4, ..settings() });
    }

    #[test]
    fn clocks_that_run_at_half_their_speed() {
        is_noticed("slow clocks", &Settings { clocks: Some((400_000, 500_000)), loses_data: false, ..settings() });
    }

    #[test]
    fn clocks_that_run_at_twice_their_speed() {
        is_noticed("fast clocks", &Settings { clocks: Some((500_000, 3_000_000)), loses_data: false, ..settings() });
    }

    #[test]
    fn a_run_is_the_same_again() {
        let run = || World::run(11, Settings { checks: 5_000, ..settings() }).summary();
        assert_eq!(run(), run());
    }
}
