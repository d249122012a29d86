//! The reload: rules, secret keys and certificates as they change on disk.
//!
//! It looks at the files themselves every [`POLL`] instead of waiting for events, so links that are swapped,
//! volumes that send no events and editors that rename all work. A change counts once two readings one [`POLL`]
//! apart agree: half a file is never taken. What does not load, or fails its own tests, is told and not taken.
//! A certificate and its key are replaced one after the other, so a pair that does not fit is given time to become one.
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
use super::{TlsConfig, TlsFiles, tls};
use crate::decision::issuer::IssuerNames;
use crate::server::{Pair, PairError};
use crate::token::keyring::Keyring;

/// Between two looks.
pub const POLL: Duration = Duration::from_millis(250);
/// Every so many looks the text is read even where its metadata says it did not change: some file systems tell times in seconds.
const READ_EVERY: u32 = 20;
/// A change counts when so many readings agree …
const AGREEING: u32 = 2;
/// … or so many, where a key does not belong to its certificate: the other half may be on its way. 10 s.
const AGREEING_HALF: u32 = 40;
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
    /// Another certificate, or another key, and they fit.
    Certificate(TlsFiles, Pair),
    /// Certificate and key that cannot be taken, and why.
    CertificateRefused(Problem),
}

/// Watches the rules file, the secret key file, and the files that listeners serve TLS from.
#[derive(Debug)]
pub struct Watch {
    /// Files may come and go.
    rules: Option<(RulesSource, Settling<Stamps>)>,
    keys: Option<Watched<1>>,
    certificates: Vec<Watched<2>>,
    /// Whether the rules last given have tests.
    tested: bool,
    /// Whose tokens rules may take besides.
    issuers: IssuerNames,
    asked: Arc<Notify>,
    every: Duration,
    pending: VecDeque<Change>,
}

impl Watch {
    /// Watches for what differs from what is in force. Built-in rules and keys without a file (`None`) do not change.
    /// Each notification of `asked` (SIGHUP) reads at once, gives the rules even where they are the same, and takes
    /// rules that have lost their tests.
    pub fn new<'c>(
        source: &RulesSource,
        rules: &RulesFile,
        key_file: Option<(PathBuf, &Keyring)>,
        certificates: impl IntoIterator<Item = &'c TlsConfig>,
        asked: Arc<Notify>,
    ) -> Self {
        let rules_files = match source {
            RulesSource::File(_) | RulesSource::Files(_) => Some((source.clone(), Settling::new(Mark::Text(rules.hash)))),
            RulesSource::BuiltIn => None,
        };
        let keys = key_file.map(|(path, keyring)| Watched::new([path], Mark::Keys(keyring.names())));
        let certificates = certificates.into_iter().map(|tls| {
            let TlsFiles { cert, key } = tls.files.clone();
            Watched::new([cert, key], Mark::Text(tls.hash))
        });
        let certificates = certificates.collect();
        let (tested, issuers) = (rules.had_tests(), rules.rules.issuers().clone());
        Self { rules: rules_files, keys, certificates, tested, issuers, asked, every: POLL, pending: VecDeque::new() }
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
            self.look_at_certificates(asked).await;
        }
    }

    async fn look_at_rules(&mut self, asked: bool) {
        let Some((source, settling)) = &mut self.rules else { return };
        let (name, regardless, known) = (rules_file::called(source), settling.regardless(asked), settling.stamp.clone());
        let source = source.clone();
        let read = tokio::task::spawn_blocking(move || {
            let stamp = stamps(&source);
            (regardless || known.as_ref() != Some(&stamp)).then(|| (stamp, rules_file::texts_of(&source)))
        });
        let Some((stamp, texts)) = read.await.ok().flatten() else { return };
        let mark = match &texts {
            Ok(parts) => Mark::Text(rules_file::hash_of(parts)),
            Err((file, what)) => Mark::Unreadable(format!("{file}: {what}")),
        };
        if !settling.settles(mark, stamp, asked, AGREEING) {
            return;
        }
        let loaded = match texts {
            Ok(parts) => {
                let (set, issuers) = (name.clone(), self.issuers.clone());
                let load = tokio::task::spawn_blocking(move || rules_file::load_all(set, &parts, &issuers)).await;
                load.unwrap_or_else(|error| Err(vec![whole_file(&name, format!("cannot be read: {error}"))]))
            }
            Err((file, what)) => Err(vec![whole_file(&file, what)]),
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
        let name = watched.name();
        let Some((stamp, [text])) = watched.read(KEY_BYTES, asked).await else { return };
        let keyring = text.and_then(|text| Keyring::parse(&text).map_err(|error| error.to_string()));
        let mark = keyring.as_ref().map_or_else(|what| Mark::Unreadable(what.clone()), |keyring| Mark::Keys(keyring.names()));
        let same = watched.settling.settled == mark;
        if watched.settling.settles(mark, stamp, asked, AGREEING) && !same {
            self.pending.push_back(match keyring {
                Ok(keyring) => Change::Keys(keyring),
                Err(what) => Change::KeysRefused(whole_file(&name, what)),
            });
        }
    }

    async fn look_at_certificates(&mut self, asked: bool) {
        for watched in &mut self.certificates {
            let Some((stamp, texts)) = watched.read(tls::BYTES, asked).await else { continue };
            let [cert, key] = watched.paths.clone();
            let files = TlsFiles { cert, key };
            let (mark, read) = read_pair(&files, texts);
            let agreeing = if matches!(read, Err(Refused::Half(_))) { AGREEING_HALF } else { AGREEING };
            let same = watched.settling.settled == mark;
            if watched.settling.settles(mark, stamp, asked, agreeing) && !same {
                self.pending.push_back(match read {
                    Ok(pair) => Change::Certificate(files, pair),
                    Err(Refused::Whole(problem) | Refused::Half(problem)) => Change::CertificateRefused(problem),
                });
            }
        }
    }
}

fn read_pair(files: &TlsFiles, texts: [Result<String, String>; 2]) -> (Mark, Result<Pair, Refused>) {
    let about = |path: &Path, what| whole_file(&rules_file::name_of(path), what);
    match texts {
        [Ok(certificates), Ok(secret)] => {
            let pair = Pair::read(&certificates, &secret).map_err(|error| match error {
                PairError::Certificate(what) => Refused::Whole(about(&files.cert, what)),
                PairError::Key(what) => Refused::Whole(about(&files.key, what)),
                PairError::Mismatch => {
                    let what = format!("the key does not belong to the first certificate in `{}`", files.cert.display());
                    Refused::Half(about(&files.key, what))
                }
            });
            (Mark::Text(tls::hash(&certificates, &secret)), pair)
        }
        [Err(what), _] => (Mark::Unreadable(what.clone()), Err(Refused::Whole(about(&files.cert, what)))),
        [_, Err(what)] => (Mark::Unreadable(what.clone()), Err(Refused::Whole(about(&files.key, what)))),
    }
}

/// Why a pair is not taken.
enum Refused {
    /// It cannot become right by itself.
    Whole(Problem),
    /// One half may be on its way.
    Half(Problem),
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

/// Which files there are, and what is said of each.
type Stamps = Vec<(PathBuf, Stamp)>;

/// Of each file that rules come from.
fn stamps(source: &RulesSource) -> Stamps {
    let files = match source {
        RulesSource::BuiltIn => Vec::new(),
        RulesSource::File(path) => vec![path.clone()],
        RulesSource::Files(pattern) => rules_file::files_of(pattern).unwrap_or_default(),
    };
    files.into_iter().map(|path| (path.clone(), Stamp::of(&path))).collect()
}

/// Several files that are read together.
#[derive(Debug)]
struct Watched<const N: usize> {
    paths: [PathBuf; N],
    settling: Settling<[Stamp; N]>,
}

impl<const N: usize> Watched<N> {
    fn new(paths: [PathBuf; N], settled: Mark) -> Self {
        Self { paths, settling: Settling::new(settled) }
    }

    /// As the first file is called in messages.
    fn name(&self) -> Arc<str> {
        self.paths.first().map_or_else(|| "".into(), |path| rules_file::name_of(path))
    }

    /// The text of each, or what is wrong with the file; `None` where nothing suggests that one changed.
    async fn read(&mut self, limit: u64, asked: bool) -> Option<([Stamp; N], [Result<String, String>; N])> {
        let regardless = self.settling.regardless(asked);
        let (paths, known) = (self.paths.clone(), self.settling.stamp);
        let read = tokio::task::spawn_blocking(move || {
            let stamp = paths.each_ref().map(|path| Stamp::of(path));
            (regardless || known != Some(stamp)).then(|| (stamp, paths.each_ref().map(|path| super::file::read_text(path, limit))))
        });
        read.await.ok().flatten()
    }
}

/// What was acted upon, and what may be soon.
#[derive(Debug)]
struct Settling<S> {
    /// What was last acted upon.
    settled: Mark,
    /// What was read last, where that differs, and how often: acted upon when it is read again.
    candidate: Option<(Mark, u32)>,
    /// As files were when they were read last.
    stamp: Option<S>,
    looks: u32,
}

impl<S> Settling<S> {
    fn new(settled: Mark) -> Self {
        Self { settled, candidate: None, stamp: None, looks: 0 }
    }

    /// Whether texts are read whatever stamps say.
    fn regardless(&mut self, asked: bool) -> bool {
        self.looks = self.looks.wrapping_add(1);
        asked || self.candidate.is_some() || self.looks.is_multiple_of(READ_EVERY)
    }

    /// Whether what was read is to be acted upon: when `agreeing` readings in a row were the same.
    fn settles(&mut self, mark: Mark, stamp: S, asked: bool, agreeing: u32) -> bool {
        self.stamp = Some(stamp);
        let readings = match &self.candidate {
            Some((candidate, readings)) if *candidate == mark => readings + 1,
            _ => 1,
        };
        if asked || (mark != self.settled && readings >= agreeing) {
            self.candidate = None;
            self.settled = mark;
            return true;
        }
        self.candidate = (mark != self.settled).then_some((mark, readings));
        false
    }
}

#[cfg(test)]
mod tests;
