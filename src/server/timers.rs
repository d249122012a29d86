//! Timers: made on the runtime beside the cores, for whoever runs on one of them.
//!
//! A core keeps no time: it would look at the clock with every request, twice, for timers that hardly any connection ever has.

use std::future::IntoFuture;

use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, Timeout, sleep_until, timeout_at};

/// Makes timers that may be waited for anywhere.
#[derive(Debug, Clone)]
pub(super) struct Timers(Handle);

impl Timers {
    /// On the runtime that this is called on.
    pub(super) fn here() -> Self {
        Self(Handle::current())
    }

    /// Until then.
    pub(super) fn sleep_until(&self, at: Instant) -> Sleep {
        let _context = self.0.enter();
        sleep_until(at)
    }

    /// What becomes of `future`, unless it takes longer than until then.
    pub(super) fn timeout_at<F: IntoFuture>(&self, at: Instant, future: F) -> Timeout<F::IntoFuture> {
        let _context = self.0.enter();
        timeout_at(at, future)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Cores;
    use super::*;

    #[tokio::test]
    async fn a_core_waits_by_them() {
        let (cores, timers) = (Cores::start(1).unwrap(), Timers::here());
        let waited = cores.place().runtime.spawn(async move {
            let mut sleep = std::pin::pin!(timers.sleep_until(Instant::now() + Duration::from_millis(10)));
            sleep.as_mut().await;
            sleep.as_mut().reset(Instant::now() + Duration::from_millis(10));
            sleep.await;
            let never = timers.timeout_at(Instant::now() + Duration::from_millis(10), std::future::pending::<()>()).await;
            (never.is_err(), timers.timeout_at(Instant::now() + Duration::from_secs(60), async { 1 }).await)
        });
        let (over, in_time) = waited.await.unwrap();
        assert!(over && in_time == Ok(1));
    }
}
