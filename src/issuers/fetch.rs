//! Fetching: the keys of one issuer, in the background, again and again.
//!
//! INVARIANT: what was fetched last stays in force until something better was.
//! INVARIANT: tokens with unknown keys, which anybody can make up, cause at most one fetch in five minutes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::keys::{KeySet, read_set};
use super::{Fault, Issuer, KeySource, Known};
use crate::clock::boottime_ms;
use crate::lock::Mutex;
use crate::oidc::{Web, jwks_address};

/// Between two fetches while all is well.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Between two looks at a file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a fetch that failed: at first so long, then twice as long each time …
const AGAIN: Duration = Duration::from_secs(1);
/// … up to this.
const AGAIN_AT_MOST: Duration = Duration::from_secs(10);
/// Unknown keys cause a fetch at most this often.
const REFETCH_EVERY_MS: u64 = 5 * 60 * 1000;
/// Longest file of keys.
const FILE_BYTES: u64 = 256 * 1024;

/// What checks want of the background.
#[derive(Default)]
pub(super) struct Asking {
    wanted: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When an unknown key was asked for last; ms since boot.
    refetched: Option<u64>,
    /// Whether one is being asked for.
    pending: Pending,
    /// The last fetch failed.
    failed: bool,
}

/// Whether the keys are asked for because a token named one that is unknown.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Pending {
    #[default]
    No,
    /// With the next fetch: one that began before may not know of it.
    Wanted,
    /// With this one.
    Fetching,
}

impl Asking {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A token came whose key is unknown: what may be said of it. Its issuer may have a new one.
    pub(super) fn unknown_key(&self) -> Fault {
        self.unknown_key_at(boottime_ms())
    }

    fn unknown_key_at(&self, now_ms: u64) -> Fault {
        let mut state = self.state();
        let asked_lately = state.refetched.is_some_and(|at| now_ms.saturating_sub(at) < REFETCH_EVERY_MS);
        if !asked_lately {
            (state.refetched, state.pending) = (Some(now_ms), Pending::Wanted);
            drop(state);
            self.wanted.notify_one();
            return Fault::Unavailable;
        }
        match state.pending != Pending::No || state.failed {
            true => Fault::Unavailable,
            false => Fault::NotYet("the token is signed with a key that is none of its issuer's"),
        }
    }

    /// A fetch begins.
    fn begun(&self) {
        let mut state = self.state();
        if state.pending == Pending::Wanted {
            state.pending = Pending::Fetching;
        }
    }

    /// It is over.
    fn told(&self, failed: bool) {
        let mut state = self.state();
        state.failed = failed;
        if state.pending == Pending::Fetching && !failed {
            state.pending = Pending::No;
        }
    }
}

/// Fetches until it is aborted.
pub(super) async fn run(known: Arc<Known>, web: Web, number: Arc<AtomicU32>) {
    let mut again = AGAIN;
    loop {
        let wait = match once(&known, &web, &number).await {
            Ok(()) => {
                again = AGAIN;
                if matches!(known.settings.keys, KeySource::File(_)) { LOOK_EVERY } else { EVERY }
            }
            Err(()) => {
                let wait = again;
                again = (again * 2).min(AGAIN_AT_MOST);
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = known.asking.wanted.notified() => {}
        }
    }
}

/// Fetches once.
pub(super) async fn once(known: &Known, web: &Web, number: &AtomicU32) -> Result<(), ()> {
    let settings = &known.settings;
    known.asking.begun();
    let fetched = keys_of(settings, web).await;
    let is_file = matches!(settings.keys, KeySource::File(_));
    if !is_file {
        crate::metrics::issuer_keys_fetched(&settings.name, fetched.is_ok());
    }
    let before = known.keys.load_full();
    let failed = fetched.is_err();
    match fetched {
        Ok(keys) if before.as_ref().is_some_and(|before| before.is_same(&keys)) => {}
        Ok(keys) => {
            tracing::info!(issuer = %settings.name, keys = keys.len(), "keys of an issuer are in force");
            known.keys.store(Some(Arc::new(keys)));
            // whatever was judged by other keys is judged again
            number.fetch_add(1, Ordering::AcqRel);
        }
        Err(what) if is_file && known.asking.state().failed => drop(what),
        Err(what) => {
            let in_force = before.map_or(0, |before| before.len());
            tracing::warn!(issuer = %settings.name, %what, in_force, "keys of an issuer cannot be fetched: those before stay in force");
        }
    }
    known.asking.told(failed);
    if failed { Err(()) } else { Ok(()) }
}

async fn keys_of(settings: &Issuer, web: &Web) -> Result<KeySet, String> {
    let address = match &settings.keys {
        KeySource::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || of_file(&path)).await;
            return read.unwrap_or_else(|error| Err(error.to_string()));
        }
        KeySource::Address(address) => address.clone(),
        KeySource::Discovery => jwks_address(web, &settings.issuer).await?,
    };
    let set = web.json(&address).await.map_err(|fault| fault.to_string())?;
    read_set(&set).map_err(|what| format!("`{address}`: {what}"))
}

/// The keys in a file.
pub(super) fn of_file(path: &Path) -> Result<KeySet, String> {
    use std::io::Read;
    let wrong = |what: String| format!("`{}`: {what}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    file.take(FILE_BYTES).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    let set = serde_json::from_str(&text).map_err(|error| wrong(format!("no JSON: {error}")))?;
    read_set(&set).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_asked_for_once_in_five_minutes() {
        let asking = Asking::default();
        let refused = |at| matches!(asking.unknown_key_at(at), Fault::NotYet(_));
        assert!(!refused(1_000), "it is asked for");
        assert!(!refused(1_001), "and nobody knows yet");
        // one that began before may not know of the key
        asking.told(false);
        assert!(!refused(1_002));
        let fetched = |failed| {
            asking.begun();
            asking.told(failed);
        };
        fetched(false);
        assert!(refused(1_003) && refused(300_999));
        assert!(!refused(301_000));
        fetched(true);
        assert!(!refused(301_001), "an issuer that is away makes nobody a forger");
        fetched(false);
        assert!(refused(301_002));
    }
}
