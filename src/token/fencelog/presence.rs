//! Who has died: a process whose sign of life stood still for longer, on the clock of whoever looks, than any lease of it lasts.
//!
//! A member's sign, in Redis, is its heartbeat. Whom the database lists and Redis does not may have been lost there while it held a
//! lease; the sign is how often it has listed itself, which it does again before it takes another.
//! INVARIANT: it is taken off the list only where its sign still is the one that stood still, in one step.

use std::collections::BTreeMap;
use std::time::Duration;

use super::nanos;

/// A process as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<S> {
    /// Its id.
    pub id: String,
    /// Its last sign of life; every one is another.
    pub sign: S,
    /// How long its leases, and its cache after them, last at most.
    pub lasts: Duration,
}

/// What is known of the others: their last sign, and since when (nanoseconds since boot) it stands still.
#[derive(Debug)]
pub struct Presence<S>(BTreeMap<String, (S, u64)>);

impl<S> Default for Presence<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Clone + PartialEq> Presence<S> {
    /// Notes who is listed at `now`; returns who has died.
    pub fn gone(&mut self, listed: Vec<Member<S>>, now: u64) -> Vec<Member<S>> {
        let mut before = std::mem::take(&mut self.0);
        let mut gone = Vec::new();
        for member in listed {
            let since = match before.remove(&member.id) {
                Some((seen, since)) if seen == member.sign => since,
                _ => now,
            };
            self.0.insert(member.id.clone(), (member.sign.clone(), since));
            if now - since > nanos(super::outlasting(member.lasts)) {
                gone.push(member);
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_is_who_stands_still_longer_than_its_leases() {
        let mut presence = Presence::default();
        let member = |id: &str, sign: &str| Member { id: id.to_owned(), sign: sign.to_owned(), lasts: Duration::from_millis(1500) };
        let listed = |beat: &str| vec![member("a", beat), member("b", "1.0")];
        let ms = |ms: u64| ms * 1_000_000;
        assert_eq!(presence.gone(listed("1.0"), ms(5_000)), []);
        assert_eq!(presence.gone(listed("2.0"), ms(6_650)), [], "1.1 × 1.5 s");
        assert_eq!(presence.gone(listed("3.0"), ms(6_651)), listed("3.0")[1..]);
        assert_eq!(presence.gone(vec![], ms(9_000)), []);
    }
}
