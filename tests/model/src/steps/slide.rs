//! Sliding expiry: what checks that were allowed send later, and tokens that run out.

use super::Model;
use crate::explore::Steps;
use crate::rules::Rule;
use crate::scripts;
use crate::state::State;

impl Model {
    pub(super) fn slide(&self, state: &State, steps: &mut Steps<State>) {
        let gate = state.gates[0];
        if !self.space.slides {
            return;
        }
        if !gate.slide && gate.entry && gate.has_lease(self.space.lease) {
            let mut next = *state;
            next.gates[0].slide = true;
            steps.push(next, || "G0 allows a check and will slide the token".into());
        }
        for n in (0..self.space.nodes).filter(|n| gate.slide && scripts::writable(&state.nodes[*n], &self.space, self.rules)) {
            let mut next = *state;
            next.gates[0].slide = false;
            // PEXPIREAT … GT does nothing to what is not there; how far it moves what is there concerns no end
            next.nodes[n].data.token |= !self.rules.keep(Rule::SlideNeverWrites);
            steps.push(next, || format!("redis{n} slides the token"));
        }
        for n in (0..self.space.nodes).filter(|n| state.nodes[*n].data.token) {
            let mut next = *state;
            next.nodes[n].data.token = false;
            steps.push(next, || format!("the token runs out on redis{n}"));
        }
    }
}
