//! Cores: threads that serve connections, each by a runtime of its own.
//!
//! A connection stays on the core it was placed on, so a check is read, decided and answered without a word to any other thread, and
//! whatever else the process does takes no turn between two of them. Most proxies keep few connections and keep them long: each is placed
//! on the core that has fewest. Traefik makes and ends them all the time, for it keeps but a few: so connections are accepted on the
//! first core, and one that stays there has been nowhere else. A core has no clock: timers are those of the runtime beside
//! ([`Timers`](super::timers::Timers)).

use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Where connections are served. The threads end with it.
#[derive(Debug)]
pub struct Cores {
    first: Core,
    others: Vec<Core>,
}

#[derive(Debug)]
struct Core {
    runtime: Handle,
    /// Held by each of its connections.
    connections: Arc<()>,
    /// The thread ends when it goes; `None` = not a thread of ours.
    _thread: Option<oneshot::Sender<()>>,
}

/// A place on a core, held by a connection while it lives.
pub(super) struct Place {
    pub(super) runtime: Handle,
    /// Whether it is where connections are accepted.
    pub(super) is_here: bool,
    pub(super) held: Arc<()>,
}

impl Cores {
    /// So many threads, at least one.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn start(count: usize) -> std::io::Result<Self> {
        Ok(Self { first: Core::start()?, others: (1..count).map(|_| Core::start()).collect::<std::io::Result<_>>()? })
    }

    /// The runtime that this is called on.
    pub fn here() -> Self {
        Self { first: Core { runtime: Handle::current(), connections: Arc::default(), _thread: None }, others: Vec::new() }
    }

    /// Where connections are accepted: on a core, so that one which is placed there is nothing to any other thread.
    pub fn acceptor(&self) -> &Handle {
        &self.first.runtime
    }

    /// Where the next connection goes: where there are fewest, first of all where it was accepted.
    pub(super) fn place(&self) -> Place {
        let core = self.all().min_by_key(|core| Arc::strong_count(&core.connections)).unwrap_or(&self.first);
        Place { runtime: core.runtime.clone(), is_here: std::ptr::eq(core, &self.first), held: Arc::clone(&core.connections) }
    }

    fn all(&self) -> impl Iterator<Item = &Core> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Core {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let (stop, stopped) = oneshot::channel();
        let handle = runtime.handle().clone();
        thread::Builder::new().name("gatepost-core".to_owned()).spawn(move || runtime.block_on(stopped))?;
        Ok(Self { runtime: handle, connections: Arc::default(), _thread: Some(stop) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_goes_where_fewest_are() {
        let cores = Cores::start(3).unwrap();
        let on = |place: &Place| cores.all().position(|core| core.runtime.id() == place.runtime.id()).unwrap();
        let mut places: Vec<_> = (0..6).map(|_| cores.place()).collect();
        assert_eq!(places.iter().map(on).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
        places.retain(|place| on(place) != 1);
        assert_eq!((on(&cores.place()), on(&cores.place())), (1, 1), "nobody holds the first any more");
    }

    #[test]
    fn what_is_placed_runs_and_ends_with_its_core() {
        let cores = Cores::start(1).unwrap();
        let (told, tells) = std::sync::mpsc::channel();
        let lives = Arc::new(());
        let held = Arc::clone(&lives);
        cores.place().runtime.spawn(async move {
            told.send(thread::current().name().map(str::to_owned)).unwrap();
            std::future::pending::<()>().await;
            drop(held);
        });
        assert_eq!(tells.recv().unwrap().as_deref(), Some("gatepost-core"));
        drop(cores);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while Arc::strong_count(&lives) > 1 {
            assert!(std::time::Instant::now() < end, "it goes on without its core");
            thread::yield_now();
        }
    }
}
