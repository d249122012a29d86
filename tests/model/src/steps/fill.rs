//! FILL: the read of a credential, under way, cached.
//!
//! To send a fill and to run it is one step here: sent earlier, its stamps would only be older. A fill that finds nothing live is
//! no step at all: nothing follows from it.

use super::Model;
use crate::explore::Steps;
use crate::promise::must_refuse;
use crate::rules::Rule;
use crate::scripts;
use crate::state::{Fill, State};

impl Model {
    pub(super) fn fill(&self, state: &State, steps: &mut Steps<State>) {
        let gate = state.gates[0];
        if gate.fill.under_way {
            let mut next = *state;
            let cached = !gate.fill.stale || !self.rules.keep(Rule::Stamps);
            next.gates[0].fill = Fill::default();
            next.gates[0].entry = gate.entry || cached;
            steps.push(next, || format!("G0 receives its fill: live, {}", if cached { "cached" } else { "not cached" }));
        } else if !gate.entry
            && let Some(n) = self.reads_live(state)
        {
            let mut next = *state;
            next.gates[0].fill = Fill { under_way: true, stale: false, after: must_refuse(state, &self.space, self.rules) };
            steps.push(next, || format!("redis{n} runs a fill of G0: live"));
        }
    }

    /// The node that would answer a fill with "live".
    pub(super) fn reads_live(&self, state: &State) -> Option<usize> {
        let gate = state.gates[0];
        let n = usize::from(gate.connected).checked_sub(1)?;
        scripts::fill(&state.nodes[n], gate.epoch, &self.space, self.rules).then_some(n)
    }
}
