//! Flights: fills under way, so that checks of one credential that come together ask the store once.
//!
//! INVARIANT: no check is answered by another one's fill unless it would be answered from the cache, too: see [`Leave::joins`].

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::lock::Mutex;
use crate::token::fence::Stamps;
use crate::token::fencelog::check::Leave;
use crate::token::record::Fill;
use crate::token::store::{Ask, Unavailable};

/// What a fill brought.
pub(super) type Brought = Result<Option<Arc<Fill>>, Unavailable>;

/// Fills under way.
#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Ask, Flight>>>);

/// One fill.
#[derive(Clone)]
struct Flight {
    /// Taken before it was sent.
    stamps: Stamps,
    brought: watch::Receiver<Option<Brought>>,
}

impl Flight {
    fn is_on_its_way(&self) -> bool {
        self.brought.has_changed().is_ok()
    }
}

impl Flights {
    /// What `ask` hangs on: by a fill under way that may be joined, or by one of its own, made by `fill`.
    /// `stamps` are as they are now.
    pub(super) async fn fill<F>(&self, ask: Ask, (leave, stamps): (Leave, Stamps), fill: impl FnOnce() -> F) -> (Stamps, Brought)
    where
        F: Future<Output = Result<Option<Fill>, Unavailable>> + Send + 'static,
    {
        let mut flight = {
            let mut under_way = self.0.lock();
            match under_way.get(&ask) {
                Some(flight) if flight.is_on_its_way() && leave.joins(flight.stamps, stamps) => flight.clone(),
                _ => {
                    let (tell, brought) = watch::channel(None);
                    let flight = Flight { stamps, brought };
                    under_way.insert(ask, flight.clone());
                    // a task of its own: the check that began it may be given up by its proxy
                    tokio::spawn(land(Arc::clone(&self.0), ask, fill(), tell));
                    flight
                }
            }
        };
        let brought = match flight.brought.wait_for(Option::is_some).await {
            Ok(brought) => brought.clone().unwrap_or(Err(Unavailable)),
            Err(_) => Err(Unavailable),
        };
        (flight.stamps, brought)
    }
}

async fn land<F>(flights: Arc<Mutex<HashMap<Ask, Flight>>>, ask: Ask, fill: F, tell: watch::Sender<Option<Brought>>)
where
    F: Future<Output = Result<Option<Fill>, Unavailable>>,
{
    let brought = fill.await.map(|fill| fill.map(Arc::new));
    {
        let mut under_way = flights.lock();
        // a later one may stand there
        if under_way.get(&ask).is_some_and(|flight| flight.brought.same_channel(&tell.subscribe())) {
            under_way.remove(&ask);
        }
    }
    tell.send_replace(Some(brought));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::id::Id;
    use crate::token::fence::Fence;

    const ASK: Ask = Ask::Session(Id::from_bytes([1; 16]));

    fn two_stamps() -> [Stamps; 2] {
        let fence = Fence::default();
        let before = fence.stamps(ASK);
        fence.bump_all();
        [before, fence.stamps(ASK)]
    }

    struct House {
        flights: Flights,
        asked: AtomicU32,
        let_go: watch::Sender<bool>,
    }

    impl House {
        fn new() -> Self {
            Self { flights: Flights::default(), asked: AtomicU32::new(0), let_go: watch::channel(false).0 }
        }

        async fn check(&self, leave: Leave, stamps: Stamps) -> (Stamps, Brought) {
            let fill = || {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let mut gone = self.let_go.subscribe();
                async move { gone.wait_for(|gone| *gone).await.map(|_| None).map_err(|_| Unavailable) }
            };
            self.flights.fill(ASK, (leave, stamps), fill).await
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn many_checks_ask_once() {
        let house = House::new();
        let [old, _] = two_stamps();
        let checks = (0..50).map(|_| house.check(Leave::Leased, old));
        let mut checks: Vec<_> = checks.map(Box::pin).collect();
        for check in &mut checks {
            assert!(futures_poll(check.as_mut()).is_none());
        }
        house.let_go.send_replace(true);
        for check in checks {
            assert_eq!(check.await, (old, Ok(None)));
        }
        assert_eq!(house.asked(), 1);
        house.check(Leave::Leased, old).await.1.unwrap();
        assert_eq!(house.asked(), 2, "a fill that has landed is not joined");
    }

    #[tokio::test]
    async fn after_an_end_nobody_joins_what_was_read_before() {
        let house = House::new();
        let [old, new] = two_stamps();
        let mut before = Box::pin(house.check(Leave::Leased, old));
        assert!(futures_poll(before.as_mut()).is_none());
        let mut after = Box::pin(house.check(Leave::Leased, new));
        assert!(futures_poll(after.as_mut()).is_none());
        let mut unleased = Box::pin(house.check(Leave::Unleased, new));
        assert!(futures_poll(unleased.as_mut()).is_none());
        assert_eq!(house.asked(), 3);
        house.let_go.send_replace(true);
        assert_eq!((before.await.0, after.await.0, unleased.await.0), (old, new, new));
    }

    #[tokio::test]
    async fn whoever_began_a_fill_may_go() {
        let house = House::new();
        let [old, _] = two_stamps();
        let mut first = Box::pin(house.check(Leave::Leased, old));
        assert!(futures_poll(first.as_mut()).is_none());
        let mut second = Box::pin(house.check(Leave::Leased, old));
        assert!(futures_poll(second.as_mut()).is_none());
        drop(first);
        house.let_go.send_replace(true);
        assert_eq!(second.await.1, Ok(None));
        assert_eq!(house.asked(), 1);
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        }
    }
}
