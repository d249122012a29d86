//! CHECK: the one check that we look at. It begins where it must be refused, so to allow it is to break the promise.
//!
//! That a check must be refused stays true once it is. So it may have begun at any time since, and its first step here is the
//! reading of the lease.

use super::Model;
use crate::explore::Steps;
use crate::promise::{BACK, must_refuse, reason};
use crate::rules::Rule;
use crate::state::{Check, State};

impl Model {
    pub(super) fn check(&self, state: &State, steps: &mut Steps<State>) {
        match state.check {
            Check::NotBegun => self.begin(state, steps),
            Check::LeaseRead(why) => {
                if state.gates[0].entry {
                    allow(state, why, "the check finds an entry with equal stamps", steps);
                } else {
                    self.read(state, why, steps);
                }
            }
            Check::NoLease(why) => self.read(state, why, steps),
            Check::RecordRead(why) => {
                if state.gates[0].has_lease(self.space.lease) {
                    allow(state, why, "the check reads the lease: valid", steps);
                }
            }
        }
    }

    fn begin(&self, state: &State, steps: &mut Steps<State>) {
        let why = must_refuse(state, &self.space, self.rules);
        let gate = state.gates[0];
        if why == 0 {
            return;
        }
        let mut go = |check, words: &str| {
            let next = State { check, ..*state };
            steps.push(next, || format!("CHECK on G0, to be refused because {}; {words}", reason(why)));
        };
        if !self.rules.keep(Rule::LeaseFirst) {
            if gate.entry {
                go(Check::RecordRead(why), "it reads the record: live");
            }
            return;
        }
        if gate.has_lease(self.space.lease) {
            go(Check::LeaseRead(why), "it reads the lease: valid");
        } else if !self.rules.keep(Rule::NoLeaseNoAnswer) {
            go(Check::NoLease(why), "it has no lease and asks Redis");
        }
        if state.listed_grace && gate.grace.runs() && gate.entry {
            allow(state, why, "a check has no lease, but allow_cached_for and an entry with equal stamps", steps);
        }
    }

    /// By a fill: of its own, or one under way.
    fn read(&self, state: &State, why: u8, steps: &mut Steps<State>) {
        let gate = state.gates[0];
        let fill = gate.fill;
        if fill.under_way {
            if fill.after > 0 && self.rules.keep(Rule::JoinSentAfter) {
                allow(state, fill.after, "the check joins the fill under way, sent after it began", steps);
            } else if gate.has_lease(self.space.lease) && !fill.stale {
                allow(state, why, "the check joins the fill under way, with a lease and stamps that stand", steps);
            } else if !self.rules.keep(Rule::JoinOnlyFresh) {
                allow(state, why, "the check joins the fill under way", steps);
            }
        }
        if let Some(n) = self.reads_live(state) {
            allow(state, why | BACK, &format!("redis{n} runs the check's own fill: live"), steps);
        }
    }
}

fn allow(state: &State, broken: u8, words: &str, steps: &mut Steps<State>) {
    steps.push(State { broken, ..*state }, || format!("{words}: ALLOWED"));
}
