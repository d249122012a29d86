//! An explicit-state model of FenceLog, the protocol that makes the token cache provably fresh. See README.md.

mod explore;
mod promise;
mod rows;
mod rules;
mod scripts;
mod space;
mod state;
mod steps;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use explore::{Found, explore};
use rules::Rules;
use space::Space;
use state::State;
use steps::Model;

/// States that one search may have. A search that needs more fails: it proved nothing.
const LIMIT: usize = 24_000_000;
const LIMIT_LONG: usize = 50_000_000;

/// What a search must come to.
enum Wanted {
    /// Nothing is broken in the whole space.
    Holds,
    /// Something is broken.
    Caught,
    /// This can happen.
    Happens(fn(&State, &Space) -> bool),
    /// Nothing is broken although a rule is left out: it is a second lock.
    HoldsAllTheSame,
}

struct Job {
    name: String,
    model: Model,
    wanted: Wanted,
}

/// `--long`, `--verbose` (every trace), and words: only rows that contain one of them are searched.
struct Arguments {
    long: bool,
    verbose: bool,
    words: Vec<String>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments { long: false, verbose: false, words: Vec::new() };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--long" => arguments.long = true,
            "--verbose" => arguments.verbose = true,
            option if option.starts_with("--") => {
                eprintln!("no option is called `{option}`; they are --long and --verbose, then words of rows");
                return ExitCode::from(2);
            }
            word => arguments.words.push(word.to_owned()),
        }
    }
    let untested = rows::untested();
    if !untested.is_empty() {
        println!("no mutant leaves these rules out: {untested:?}");
        return ExitCode::FAILURE;
    }
    let jobs = jobs(&arguments);
    let began = Instant::now();
    let (next, failed, states) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
    // two at a time: each holds its own table of states
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (passed, found) = run(job, &arguments);
                    states.fetch_add(found.states, Ordering::Relaxed);
                    if !passed && let Ok(mut failed) = failed.lock() {
                        failed.push(job.name.clone());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    let states = states.into_inner();
    println!("\n{} rows, {states} states, {:.0} s: {} failed", jobs.len(), began.elapsed().as_secs_f32(), failed.len());
    for name in &failed {
        println!("FAILED {name}");
    }
    if failed.is_empty() && !jobs.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The searches asked for, the mutants' after those of the spaces they are caught in.
fn jobs(arguments: &Arguments) -> Vec<Job> {
    let spaces = rows::spaces();
    let mut jobs = Vec::new();
    for row in spaces.iter().filter(|row| arguments.long || !row.long) {
        let model = Model { space: row.space, rules: Rules::ALL };
        jobs.push(Job { name: format!("space: {}", row.space.name), model, wanted: Wanted::Holds });
    }
    for space in rows::wider().into_iter().filter(|_| arguments.long) {
        let model = Model { space, rules: Rules::ALL };
        jobs.push(Job { name: format!("wider: {}", space.name), model, wanted: Wanted::Holds });
    }
    for row in rows::sometimes() {
        let model = Model { space: row.space, rules: Rules::ALL };
        jobs.push(Job { name: format!("sometimes: {}", row.name), model, wanted: Wanted::Happens(row.happens) });
    }
    let mut mutants = |what: &str, mutants: Vec<rows::Mutant>, wanted: fn() -> Wanted| {
        for row in mutants {
            let Some(of) = spaces.iter().find(|of| of.space.name == row.space) else { panic!("no space is called `{}`", row.space) };
            let model = Model { space: of.space, rules: Rules::without(row.left_out) };
            jobs.push(Job { name: format!("{what}: {} (in {})", row.name, row.space), model, wanted: wanted() });
        }
    };
    mutants("mutant", rows::mutants(), || Wanted::Caught);
    if arguments.long {
        mutants("second lock", rows::second_locks(), || Wanted::HoldsAllTheSame);
    }
    jobs.retain(|job| arguments.words.is_empty() || arguments.words.iter().any(|word| job.name.contains(word.as_str())));
    jobs
}

fn run(job: &Job, arguments: &Arguments) -> (bool, Found) {
    let Job { name, model, wanted } = job;
    let limit = if arguments.long { LIMIT_LONG } else { LIMIT };
    let wants = |state: &State| match wanted {
        Wanted::Happens(happens) => happens(state, &model.space),
        _ => state.broken > 0,
    };
    let progress = |states: usize, seconds: f32| println!("  … {name}: {states} states, {seconds:.0} s");
    let (found, last) = explore(model.space.first_state(), |state, steps| model.step(state, steps), wants, limit, progress);
    let broken = last.map_or(0, |state| state.broken);
    let passed = match wanted {
        Wanted::Holds | Wanted::HoldsAllTheSame => found.trace.is_none() && !found.given_up,
        Wanted::Caught | Wanted::Happens(_) => found.trace.is_some(),
    };
    let verdict = match (&found.trace, wanted) {
        (Some(trace), Wanted::Happens(_)) => format!("happens after {} steps", trace.len()),
        (Some(trace), _) => format!("breaks {} in {} steps", promise::names(broken), trace.len()),
        (None, _) if found.given_up => "given up: too many states".into(),
        (None, Wanted::Happens(_) | Wanted::Caught) => "NEVER".into(),
        (None, Wanted::Holds | Wanted::HoldsAllTheSame) => "holds".into(),
    };
    let mark = if passed { "ok  " } else { "FAIL" };
    let mut text = format!("{mark} {name:75} {verdict:34} {:>9} states {:>6.1} s", found.states, found.seconds);
    let unexpected = !passed && found.trace.is_some();
    if let Some(trace) = found.trace.as_ref().filter(|_| unexpected || arguments.verbose) {
        trace.iter().enumerate().for_each(|(n, step)| text.push_str(&format!("\n     {:>3} {step}", n + 1)));
    }
    println!("{text}");
    (passed, found)
}
