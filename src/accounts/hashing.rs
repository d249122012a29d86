//! The threads that hash passwords: few, of lowered priority, so that checks keep their pace.
//!
//! INVARIANT: at most [`QUEUE`] jobs wait and each thread works on one, so memory is bounded by
//! threads × 19 MiB. Networks take turns, and a full queue is full for whoever fills it.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::throttle::ClientNetwork;
use crate::lock::Mutex;

/// Most jobs waiting.
pub(super) const QUEUE: usize = 50;
/// How much these threads yield to others (`nice`).
const NICENESS: i32 = 10;

/// No place in the queue, or the program is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

type Job = Box<dyn FnOnce() + Send>;

/// The hashing threads; they end when this is dropped.
pub(super) struct Hashing(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    #[cfg(test)]
    begun: std::sync::atomic::AtomicUsize,
}

/// Waiting jobs, one lane a network; the lane in front is next.
#[derive(Default)]
struct Queue {
    lanes: VecDeque<(ClientNetwork, VecDeque<Job>)>,
    waiting: usize,
    closed: bool,
}

impl Queue {
    fn push(&mut self, network: ClientNetwork, job: Job) -> Result<(), Busy> {
        let own = self.lanes.iter().find(|(of, _)| *of == network).map_or(0, |(_, lane)| lane.len());
        if self.waiting >= QUEUE {
            // whoever fills the queue makes room for others: its last job is dropped, which answers it as busy
            let longest = self.lanes.iter_mut().map(|(_, lane)| lane).max_by_key(|lane| lane.len()).ok_or(Busy)?;
            if longest.len() <= own + 1 {
                return Err(Busy);
            }
            longest.pop_back();
            self.waiting -= 1;
        }
        match self.lanes.iter_mut().find(|(of, _)| *of == network) {
            Some((_, lane)) => lane.push_back(job),
            None => self.lanes.push_back((network, VecDeque::from([job]))),
        }
        self.waiting += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<Job> {
        let (network, mut lane) = self.lanes.pop_front()?;
        let job = lane.pop_front();
        if !lane.is_empty() {
            self.lanes.push_back((network, lane));
        }
        self.waiting -= usize::from(job.is_some());
        job
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// The next job; waits for one. `None` when the program is ending.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.pop() {
                return Some(job);
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Hashing {
    /// Starts max(1, cores/2) threads.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads((cores / 2).max(1))
    }

    fn with_threads(threads: usize) -> std::io::Result<Self> {
        let hashing = Self(Arc::default());
        for _ in 0..threads {
            let shared = Arc::clone(&hashing.0);
            std::thread::Builder::new().name("password".into()).spawn(move || work(&shared))?;
        }
        Ok(hashing)
    }

    /// Runs `job` on one of the threads, in the turn of `network`.
    ///
    /// # Errors
    /// [`Busy`] where there is no place in the queue.
    pub(super) async fn run<T: Send + 'static>(&self, network: ClientNetwork, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // nobody waits any more: the client is gone
            if !answer.is_closed() {
                let _ = answer.send(job());
            }
        };
        self.0.queue().push(network, Box::new(job))?;
        self.0.wake.notify_one();
        answered.await.map_err(|_| Busy)
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.wake.notify_all();
    }
}

fn work(shared: &Shared) {
    // Linux keeps a niceness per thread; where lowering it fails, the work is done all the same
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    while let Some(job) = shared.next() {
        #[cfg(test)]
        shared.begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // a job that panics answers its caller as busy and costs no thread
        let _ = std::panic::catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::mpsc;

    use super::*;
    use crate::accounts::Accounts;

    impl Accounts {
        /// How many passwords were hashed or compared.
        pub(crate) fn passwords_hashed(&self) -> usize {
            self.hashing.0.begun.load(std::sync::atomic::Ordering::SeqCst)
        }
    }

    fn network(n: u8) -> ClientNetwork {
        ClientNetwork::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)))
    }

    /// One thread, held until the sender is dropped.
    fn held() -> (Arc<Hashing>, mpsc::Sender<()>) {
        let hashing = Arc::new(Hashing::with_threads(1).unwrap());
        let (release, hold) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _ = begun.send(());
            let _ = hold.recv();
        });
        hashing.0.queue().push(network(0), job).unwrap();
        hashing.0.wake.notify_one();
        begins.recv().unwrap();
        (hashing, release)
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_for_whoever_fills_it_only() {
        let (hashing, release) = held();
        let jobs: Vec<_> = (0..QUEUE)
            .map(|n| (n, Arc::clone(&hashing)))
            .map(|(n, h)| tokio::spawn(async move { h.run(network(1), move || n).await }))
            .collect();
        while hashing.0.queue().waiting < QUEUE {
            tokio::task::yield_now().await;
        }
        assert_eq!(hashing.run(network(1), || 0).await, Err(Busy));
        let other = {
            let h = Arc::clone(&hashing);
            tokio::spawn(async move { h.run(network(2), || 77).await })
        };
        while hashing.0.queue().lanes.len() < 2 {
            tokio::task::yield_now().await;
        }
        drop(release);
        assert_eq!(other.await.unwrap(), Ok(77));
        let mut busy = 0;
        for job in jobs {
            busy += usize::from(job.await.unwrap().is_err());
        }
        assert_eq!(busy, 1, "the last of the network that filled the queue made room");
    }

    #[test]
    fn networks_take_turns() {
        let mut queue = Queue::default();
        let (sender, order) = mpsc::channel();
        for n in [1, 1, 1, 2, 3] {
            let sender = sender.clone();
            queue.push(network(n), Box::new(move || sender.send(n).unwrap())).unwrap();
        }
        while let Some(job) = queue.pop() {
            job();
        }
        drop(sender);
        assert_eq!(order.iter().collect::<Vec<_>>(), [1, 2, 3, 1, 1]);
    }

    #[tokio::test]
    async fn a_panic_costs_no_thread() {
        let hashing = Hashing::with_threads(1).unwrap();
        assert_eq!(hashing.run(network(1), || -> u8 { panic!("on purpose") }).await, Err(Busy));
        assert_eq!(hashing.run(network(1), || 5).await, Ok(5));
    }
}
