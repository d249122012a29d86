//! Everything that can happen next. Each file below holds one part of the protocol, or what is done to it.

mod check;
mod end;
mod faults;
mod fill;
mod forget;
mod heartbeat;
mod log;
mod mint;
mod recover;
mod slide;
mod time;

use crate::explore::Steps;
use crate::rules::Rules;
use crate::space::Space;
use crate::state::State;

/// One search's space and rules.
#[derive(Clone, Copy)]
pub struct Model {
    pub space: Space,
    pub rules: Rules,
}

impl Model {
    /// All steps from `state`.
    pub fn step(&self, state: &State, steps: &mut Steps<State>) {
        self.tick(state, steps);
        for gate in 0..self.space.gates {
            self.heartbeat(state, gate, steps);
            self.log(state, gate, steps);
        }
        // one gatepost answers the check; the others matter by their heartbeats and acknowledgements
        self.fill(state, steps);
        self.check(state, steps);
        self.slide(state, steps);
        self.end(state, steps);
        self.mint(state, steps);
        self.recover(state, steps);
        self.faults(state, steps);
        for next in &mut steps.next {
            self.forget(next);
        }
    }
}
