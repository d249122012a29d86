//! Which tickets were used, while this process lives: those of another one are good for nothing here.

use foldhash::{HashMap, HashMapExt};

use crate::clock::UnixMs;
use crate::id::Id;
use crate::lock::Mutex;
use crate::token::store::Unavailable;
use crate::token::ticket::{Purpose, Ticket, Worth};

/// Most that are kept: one more cannot be told from one that was used, so it is refused.
const MOST: usize = 100_000;
/// At so many it is first looked which of them are over.
const LEAST: usize = 1024;

/// The tickets of this process.
pub(super) struct Tickets {
    /// This life of the store.
    pub(super) epoch: Id,
    used: Mutex<Used>,
}

struct Used {
    /// Each with its end.
    until: HashMap<Id, UnixMs>,
    tidy_at: usize,
}

impl Tickets {
    /// None used yet.
    pub(super) fn new(epoch: Id) -> Self {
        Self { epoch, used: Mutex::new(Used { until: HashMap::new(), tidy_at: LEAST }) }
    }

    /// What a ticket is worth at `now`, which never goes back.
    ///
    /// # Errors
    /// [`Unavailable`] where too many were used to keep one more.
    pub(super) fn worth(&self, ticket: &Ticket, purpose: Purpose, now: UnixMs) -> Result<Worth, Unavailable> {
        let mut used = self.used.lock();
        if used.until.contains_key(&ticket.id) {
            return Ok(Worth::Used);
        }
        if ticket.epoch != self.epoch || ticket.ends <= now {
            return Ok(Worth::Over);
        }
        if purpose == Purpose::Use {
            used.make_room(now)?;
            used.until.insert(ticket.id, ticket.ends);
        }
        Ok(Worth::Good)
    }
}

impl Used {
    /// Forgets what is over, where there are many.
    fn make_room(&mut self, now: UnixMs) -> Result<(), Unavailable> {
        if self.until.len() >= self.tidy_at {
            self.until.retain(|_, ends| *ends > now);
            self.until.shrink_to(2 * self.until.len() + LEAST);
            self.tidy_at = (2 * self.until.len() + LEAST).min(MOST);
        }
        if self.until.len() < MOST { Ok(()) } else { Err(Unavailable) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::decision::credential::CredentialKind;
    use crate::token::store::Ask;
    use crate::token::ticket::Source;

    const EPOCH: Id = Id::from_bytes([7; 16]);

    fn ticket(n: u32, ends: u64) -> Ticket {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        let source = Source { kind: CredentialKind::Jwt, ask: Ask::Session(EPOCH), secret: None };
        Ticket { id: Id::from_bytes(id), source, epoch: EPOCH, ends: UnixMs(ends), path: None, scopes: None }
    }

    #[test]
    fn once_until_it_is_over_and_in_this_life_alone() {
        let tickets = Tickets::new(EPOCH);
        let worth = |ticket: &Ticket, purpose, now| tickets.worth(ticket, purpose, UnixMs(now)).unwrap();
        let (first, second) = (ticket(1, 100), ticket(2, 100));
        assert_eq!([Purpose::Look, Purpose::Use, Purpose::Look, Purpose::Use].map(|purpose| worth(&first, purpose, 99)), {
            [Worth::Good, Worth::Good, Worth::Used, Worth::Used]
        });
        assert_eq!((worth(&second, Purpose::Use, 100), worth(&second, Purpose::Look, 100)), (Worth::Over, Worth::Over));
        let elsewhere = Ticket { epoch: Id::from_bytes([8; 16]), ..ticket(3, 100) };
        assert_eq!(worth(&elsewhere, Purpose::Use, 0), Worth::Over);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_good_that_was_not_kept() {
        let tickets = Tickets::new(EPOCH);
        let most = u32::try_from(MOST).unwrap();
        for n in 0..most {
            assert_eq!(tickets.worth(&ticket(n, 100), Purpose::Use, UnixMs(0)), Ok(Worth::Good));
        }
        assert_eq!(tickets.worth(&ticket(most, 100), Purpose::Use, UnixMs(0)), Err(Unavailable));
        assert_eq!(tickets.worth(&ticket(0, 100), Purpose::Use, UnixMs(0)), Ok(Worth::Used));
        // later they are over, and there is room
        assert_eq!(tickets.worth(&ticket(most, 200), Purpose::Use, UnixMs(100)), Ok(Worth::Good));
        assert_eq!(tickets.used.lock().until.len(), 1);
    }

    proptest! {
        /// Whatever is asked in whatever order while time goes on: a ticket is used once, before its end.
        #[test]
        fn never_twice(asked in prop::collection::vec((0..20u32, any::<bool>(), 0..3u64), 0..400), tidy_at in 1..8usize) {
            let tickets = Tickets::new(EPOCH);
            tickets.used.lock().tidy_at = tidy_at;
            let (mut now, mut used) = (0, HashSet::new());
            for (n, uses, after) in asked {
                now += after;
                let (one, purpose) = (ticket(n, 20 + 10 * u64::from(n)), if uses { Purpose::Use } else { Purpose::Look });
                let worth = tickets.worth(&one, purpose, UnixMs(now)).unwrap();
                prop_assert_eq!(worth == Worth::Good, one.ends > UnixMs(now) && !used.contains(&n));
                if uses && worth == Worth::Good {
                    used.insert(n);
                }
            }
        }
    }
}
