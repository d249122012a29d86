//! Time passes: one tick, at any moment. A paused process is one that does nothing for some ticks.
//!
//! Clock error is no state. A lease is taken to last the whole of L after it was asked for and a strict end to wait no longer than
//! that: what the factors 0.9 and 1.1 guarantee at the worst. Ages are whole ticks, so a lease of L is held to be over at L ticks; a
//! superseded primary may still write at `lag` ticks, so that the two together come as near to the bound as whole ticks can.

use super::Model;
use crate::explore::Steps;
use crate::state::State;

impl Model {
    pub(super) fn tick(&self, state: &State, steps: &mut Steps<State>) {
        let space = &self.space;
        let with_grace = space.lease + space.grace;
        let longest = space.longest_wait();
        let mut next = *state;
        for gate in &mut next.gates {
            gate.lease.run_out(space.lease);
            gate.grace.run_out(with_grace);
            gate.beat.sent.grow(with_grace);
        }
        next.unlisted.grow(longest);
        next.beaten.iter_mut().for_each(|beaten| beaten.grow(longest));
        for end in &mut next.ends {
            end.applied.grow(space.bound());
            end.replied.grow(longest);
        }
        next.held_for.grow(space.longest_hold());
        for node in &mut next.nodes {
            node.superseded.grow(space.lag + 1);
            node.founded.grow(space.lag + 1);
        }
        if next != *state {
            steps.push(next, || "tick".into());
        }
    }
}
