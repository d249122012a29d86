//! Aside: what a check waits for is waited for on its own core, by the timers, tasks and connections of the runtime beside.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::HungUp;
use crate::dialect::Answer;

/// An answer on its way. Whatever is begun while it is asked for is begun on that runtime: a core keeps no time, and what one check
/// began, as a connection that others use, is not to live on its core.
pub struct Aside {
    runtime: Handle,
    answer: Pin<Box<dyn Future<Output = Result<Answer, HungUp>> + Send>>,
}

impl Aside {
    pub(super) fn new(runtime: &Handle, answer: impl Future<Output = Result<Answer, HungUp>> + Send + 'static) -> Self {
        Self { runtime: runtime.clone(), answer: Box::pin(answer) }
    }
}

impl Future for Aside {
    type Output = Result<Answer, HungUp>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let _aside = this.runtime.enter();
        this.answer.as_mut().poll(context)
    }
}
