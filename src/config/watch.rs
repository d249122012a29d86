//! The reload: rules and secret keys as they change on disk.
//!
//! It looks at the files themselves every [`POLL`] instead of waiting for events, so links that are swapped,
//! volumes that send no events and editors that rename all work. A change counts once two readings one [`POLL`]
//! apart agree: half a file is never taken. What does not load, or fails its own tests, is told and not taken.
//! INVARIANT: nothing here has power over what is in force; callers replace it only by what loaded.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::RulesSource;
use super::problem::Problem;
use super::rules_file::{self, RulesFile};
use crate::token::keyring::Keyring;
use crate::token::secret::sha256;

/// Between two looks.
pub const POLL: Duration = Duration::from_millis(250);
/// Every so many looks the text is read even where its metadata says it did not change: some file systems tell times in seconds.
const READ_EVERY: u32 = 20;
/// Largest secret key file.
const KEY_BYTES: u64 = 64 << 10;

/// What happened.
#[derive(Debug)]
pub enum Change {
    /// Other rules, which passed their own tests.
    Rules(Box<RulesFile>),
    /// Rules that cannot be taken, and why.
    RulesRefused(Vec<Problem>),
    /// Other secret keys.
    Keys(Keyring),
    /// Secret keys that cannot be taken, and why.
    KeysRefused(Problem),
}

/// Watches the rules file and the secret key file.
#[derive(Debug)]
pub struct Watch {
    rules: Option<Watched>,
    keys: Option<Watched>,
    /// Whether the rules last given have tests.
    tested: bool,
    asked: Arc<Notify>,
    every: Duration,
    pending: VecDeque<Change>,
}

impl Watch {
    /// Watches for what differs from what is in force. Built-in rules and keys without a file (`None`) do not change.
    /// Each notification of `asked` (SIGHUP) reads at once, gives the rules even where they are the same, and takes
    /// rules that have lost their tests.
    pub fn new(source: &RulesSource, rules: &RulesFile, key_file: Option<(PathBuf, &Keyring)>, asked: Arc<Notify>) -> Self {
        let rules_file = match source {
            RulesSource::File(path) => Some(Watched::new(path.clone(), Mark::Text(rules.hash))),
            RulesSource::BuiltIn => None,
        };
        let keys = key_file.map(|(path, keyring)| Watched::new(path, Mark::Keys(keyring.names())));
        Self { rules: rules_file, keys, tested: rules.had_tests(), asked, every: POLL, pending: VecDeque::new() }
    }

    /// The next change. May be dropped and called again: no change is lost.
    pub async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return change;
            }
            let asked = tokio::select! {
                () = self.asked.notified() => true,
                () = tokio::time::sleep(self.every) => false,
            };
            self.look_at_rules(asked).await;
            self.look_at_keys(asked).await;
        }
    }

    async fn look_at_rules(&mut self, asked: bool) {
        let Some(watched) = &mut self.rules else { return };
        let name = rules_file::name_of(&watched.path);
        let Some((stamp, text)) = watched.read(rules_file::BYTES, asked).await else { return };
        let mark = text.as_ref().map_or_else(|what| Mark::Unreadable(what.clone()), |text| Mark::Text(sha256(text.as_bytes())));
        if !watched.settles(mark, stamp, asked) {
            return;
        }
        let loaded = match text {
            Ok(text) => {
                let file = name.clone();
                let load = tokio::task::spawn_blocking(move || rules_file::load(file, &text)).await;
                load.unwrap_or_else(|error| Err(vec![whole_file(&name, format!("cannot be read: {error}"))]))
            }
            Err(what) => Err(vec![whole_file(&name, what)]),
        };
        self.pending.push_back(match loaded {
            Ok(rules) if self.tested && !rules.had_tests() && !asked => Change::RulesRefused(vec![lost_tests(&rules.name)]),
            Ok(rules) => {
                self.tested = rules.had_tests();
                Change::Rules(Box::new(rules))
            }
            Err(problems) => Change::RulesRefused(problems),
        });
    }

    async fn look_at_keys(&mut self, asked: bool) {
        let Some(watched) = &mut self.keys else { return };
        let name = rules_file::name_of(&watched.path);
        let Some((stamp, text)) = watched.read(KEY_BYTES, asked).await else { return };
        let keyring = text.and_then(|text| Keyring::parse(&text).map_err(|error| error.to_string()));
        let mark = keyring.as_ref().map_or_else(|what| Mark::Unreadable(what.clone()), |keyring| Mark::Keys(keyring.names()));
        let same = watched.settled == mark;
        if watched.settles(mark, stamp, asked) && !same {
            self.pending.push_back(match keyring {
                Ok(keyring) => Change::Keys(keyring),
                Err(what) => Change::KeysRefused(whole_file(&name, what)),
            });
        }
    }
}

fn whole_file(name: &Arc<str>, what: String) -> Problem {
    let what_to_do = "mend it; until then what was read before stays in force".into();
    Problem { file: name.clone(), line: 1, column: 1, path: "(file)".into(), what, what_to_do }
}

/// An emptied or cut-off file often still loads; its missing tests give it away.
fn lost_tests(name: &Arc<str>) -> Problem {
    let what = "the rules in force have tests and these have none".into();
    let what_to_do = "write tests, or send SIGHUP to take the rules without".into();
    Problem { file: name.clone(), line: 1, column: 1, path: "tests".into(), what, what_to_do }
}

/// What a file held, as far as is needed to see that it holds something else.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mark {
    Text([u8; 32]),
    Keys(Vec<String>),
    Unreadable(String),
}

/// What the file system says of a file: device, inode, length, and seconds and nanoseconds of its change and of its
/// writing. `None` where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(Option<([u64; 3], [i64; 4])>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let tell = |found: Metadata| {
            ([found.dev(), found.ino(), found.len()], [found.ctime(), found.ctime_nsec(), found.mtime(), found.mtime_nsec()])
        };
        Self(std::fs::metadata(path).ok().map(tell))
    }
}

/// One file.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What was last acted upon.
    settled: Mark,
    /// What was read last, where that differs: acted upon when it is read again.
    candidate: Option<Mark>,
    /// As it was when it was read last.
    stamp: Option<Stamp>,
    looks: u32,
}

impl Watched {
    fn new(path: PathBuf, settled: Mark) -> Self {
        Self { path, settled, candidate: None, stamp: None, looks: 0 }
    }

    /// Its text, or what is wrong with the file; `None` where nothing suggests that it changed.
    async fn read(&mut self, limit: u64, asked: bool) -> Option<(Stamp, Result<String, String>)> {
        self.looks = self.looks.wrapping_add(1);
        let regardless = asked || self.candidate.is_some() || self.looks.is_multiple_of(READ_EVERY);
        let (path, known) = (self.path.clone(), self.stamp);
        let read = tokio::task::spawn_blocking(move || {
            let stamp = Stamp::of(&path);
            (regardless || known != Some(stamp)).then(|| (stamp, super::file::read_text(&path, limit)))
        });
        read.await.ok().flatten()
    }

    /// Whether what was read is to be acted upon.
    fn settles(&mut self, mark: Mark, stamp: Stamp, asked: bool) -> bool {
        self.stamp = Some(stamp);
        if asked || self.candidate.as_ref() == Some(&mark) {
            self.candidate = None;
            self.settled = mark;
            return true;
        }
        self.candidate = (mark != self.settled).then_some(mark);
        false
    }
}

#[cfg(test)]
mod tests;
