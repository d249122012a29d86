//! Made-up time: tasks take turns on one thread, and nothing takes longer than it is told to.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The time, and who waits for it.
#[derive(Default)]
pub(crate) struct Time {
    now: Cell<u64>,
    order: Cell<u64>,
    turn: Cell<usize>,
    waiting: RefCell<BinaryHeap<Reverse<(u64, u64, usize)>>>,
    begun: RefCell<Vec<Task>>,
}

impl Time {
    /// Nanoseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Begins a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.begun.borrow_mut().push(Box::pin(task));
    }

    /// Waits until then.
    pub(crate) fn until(self: &Rc<Self>, at: u64) -> Until {
        Until { time: Rc::clone(self), at, waits: false }
    }

    fn wake(&self, at: u64, task: usize) {
        self.order.set(self.order.get() + 1);
        self.waiting.borrow_mut().push(Reverse((at, self.order.get(), task)));
    }

    /// Goes on until nobody waits any more or `is_over` says so.
    pub(crate) fn run(self: &Rc<Self>, is_over: impl Fn() -> bool) {
        let (mut tasks, mut free): (Vec<Option<Task>>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut context = Context::from_waker(Waker::noop());
        while !is_over() {
            for task in self.begun.take() {
                let at = free.pop().unwrap_or_else(|| {
                    tasks.push(None);
                    tasks.len() - 1
                });
                tasks[at] = Some(task);
                self.wake(self.now(), at);
            }
            let Some(Reverse((at, _, turn))) = self.waiting.borrow_mut().pop() else { return };
            self.now.set(self.now().max(at));
            self.turn.set(turn);
            let Some(mut task) = tasks[turn].take() else { continue };
            match task.as_mut().poll(&mut context) {
                Poll::Ready(()) => free.push(turn),
                Poll::Pending => tasks[turn] = Some(task),
            }
        }
    }
}

/// See [`Time::until`].
pub(crate) struct Until {
    time: Rc<Time>,
    at: u64,
    waits: bool,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.waits && self.time.now() >= self.at {
            return Poll::Ready(());
        }
        if !self.waits {
            self.waits = true;
            self.time.wake(self.at, self.time.turn.get());
        }
        Poll::Pending
    }
}
