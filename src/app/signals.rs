//! Signals that end the program, or have it read its configuration again.

use super::StartError;

/// What the process is told.
pub(super) enum Signal {
    /// Read the configuration again.
    Hangup,
    /// End, and take the time it takes.
    Terminate,
    /// End: somebody waits at a terminal.
    Interrupt,
}

/// Those that are heard.
pub(super) struct Signals {
    hangup: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Hears them from now on.
    pub(super) fn new() -> Result<Self, StartError> {
        use tokio::signal::unix::{SignalKind, signal};
        let hear = |kind| signal(kind).map_err(|error| StartError::Process(format!("signals cannot be heard: {error}")));
        Ok(Self {
            hangup: hear(SignalKind::hangup())?,
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Hangup,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }

    /// The next signal that ends.
    pub(super) async fn again(&mut self) {
        while matches!(self.next().await, Signal::Hangup) {}
    }
}
