//! The drain: how serving ends, 25 s in all.
//!
//! Serving → Unready (`/readyz` says so; balancers look away) → Closing (no new connections, but from sockets
//! that were passed; answers carry `Connection: close`) → Ending (idle connections end, the rest after their answer).

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// How long balancers have to look away.
const UNREADY: Duration = Duration::from_secs(5);
/// How long busy connections have to be told `close`.
const CLOSING: Duration = Duration::from_secs(1);
/// How long answers under way have.
const ENDING: Duration = Duration::from_secs(17);

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// At work.
    Serving,
    /// About to stop: not ready, but still at work.
    Unready,
    /// No new connections; answers say `close`.
    Closing,
    /// Idle connections end.
    Ending,
}

/// What listeners and connections watch.
#[derive(Debug, Clone)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
    /// The same, for who asks with every request: without a lock.
    now: std::sync::Arc<AtomicU8>,
    alive: std::sync::Arc<watch::Sender<()>>,
}

/// What stops them.
#[derive(Debug)]
pub struct Stopper {
    phase: watch::Sender<Phase>,
    now: std::sync::Arc<AtomicU8>,
    alive: std::sync::Arc<watch::Sender<()>>,
}

impl Drain {
    /// A drain and what starts it.
    pub fn new() -> (Self, Stopper) {
        let (sender, phase) = watch::channel(Phase::Serving);
        let alive = std::sync::Arc::new(watch::Sender::new(()));
        let now = std::sync::Arc::new(AtomicU8::new(Phase::Serving as u8));
        (Self { phase, now: now.clone(), alive: alive.clone() }, Stopper { phase: sender, now, alive })
    }

    /// Whether the process is in that phase, or beyond.
    pub fn has_reached(&self, phase: Phase) -> bool {
        self.now.load(Ordering::Acquire) >= phase as u8
    }

    /// Until that phase.
    pub async fn until(&self, phase: Phase) {
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }

    /// Held by each connection while it lives, and by each accept loop while it may still bring one.
    pub(super) fn alive(&self) -> watch::Receiver<()> {
        self.alive.subscribe()
    }
}

impl Stopper {
    /// Stops everything; returns when the last connection has ended, or its time is over. `at_once` skips the time
    /// for balancers: somebody sits at the terminal.
    pub async fn stop(&self, at_once: bool) {
        if !at_once {
            self.enter(Phase::Unready);
            tokio::time::sleep(UNREADY).await;
        }
        self.enter(Phase::Closing);
        if tokio::time::timeout(CLOSING, self.alive.closed()).await.is_ok() {
            return;
        }
        self.enter(Phase::Ending);
        let _ = tokio::time::timeout(ENDING, self.alive.closed()).await;
    }

    fn enter(&self, phase: Phase) {
        self.now.store(phase as u8, Ordering::Release);
        self.phase.send_replace(phase);
    }
}
