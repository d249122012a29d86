//! Locks. Whoever holds one leaves what it guards whole at every step, so one whose holder panicked is taken like any other.
//!
//! How many each thread took is counted: a check that is answered from memory must take none (`tests/allocations.rs`).

#![expect(clippy::disallowed_types, reason = "the locks that all others are made of")]

use std::cell::Cell;
use std::sync::{MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard, TryLockError};

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// How many locks this thread has taken.
pub fn taken() -> u64 {
    TAKEN.get()
}

fn count() {
    TAKEN.set(TAKEN.get() + 1);
}

/// Held by one at a time.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Guards `value`.
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Where nobody holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        count();
        match self.0.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Waits for its turn.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        count();
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by any number of readers, or by one writer.
#[derive(Debug, Default)]
pub struct RwLock<T>(std::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// Guards `value`.
    pub const fn new(value: T) -> Self {
        Self(std::sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        count();
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is alone.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        count();
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_counted_and_outlive_whoever_panics() {
        let (one, many) = (Mutex::new(1), RwLock::new(2));
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _held = (one.lock(), many.write());
                panic!("while both are held");
            });
            assert!(panics.join().is_err());
        });
        let before = taken();
        assert_eq!(*one.lock(), 1);
        assert_eq!(*many.read(), 2);
        *many.write() += 1;
        let held = one.lock();
        assert!(one.try_lock().is_none());
        drop(held);
        assert_eq!(taken() - before, 5);
    }
}
