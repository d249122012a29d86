//! LOG: entries on their way, what they bump, and acknowledgements.
//!
//! The log is read over a connection of its own, which may lead to any process: also to a superseded primary.

use super::Model;
use crate::explore::Steps;
use crate::rules::Rule;
use crate::scripts;
use crate::state::{Ack, Gate, Kind, Role, State};

/// The bit of [`Gate::queue`] that stands for every generation.
const ALL: u8 = 16;

impl Model {
    pub(super) fn log(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        if state.gates[g].incoming == 0 {
            self.send_entry(state, g, steps);
        } else {
            self.apply_entry(state, g, steps);
        }
        self.work_off_queue(state, g, steps);
        self.acknowledge(state, g, steps);
    }

    fn send_entry(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        for (n, node) in state.nodes.iter().enumerate().filter(|(_, node)| node.role == Role::Primary) {
            let new = node.data.log >> state.gates[g].position;
            if new == 0 {
                continue;
            }
            let id = state.gates[g].position + new.trailing_zeros() as u8;
            let entry = state.entries[usize::from(id)];
            let mut next = *state;
            next.gates[g].incoming = id + 1;
            steps.push(next, || format!("redis{n} sends G{g} the log entry {} of epoch {}", entry.n, entry.epoch));
        }
    }

    fn apply_entry(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        let id = state.gates[g].incoming - 1;
        let entry = state.entries[usize::from(id)];
        let mut next = *state;
        let gate = &mut next.gates[g];
        gate.incoming = 0;
        gate.position = id + 1;
        if entry.epoch != gate.epoch && self.rules.keep(Rule::ForeignEntryIgnored) {
            steps.push(next, || format!("G{g} ignores the entry of epoch {}", entry.epoch));
            return;
        }
        let gap = entry.n != gate.applied + 1;
        if !self.rules.keep(Rule::BumpBeforeApplied) {
            gate.queue |= 1 << entry.kind as u8 | if gap { ALL } else { 0 };
        } else if gap && self.rules.keep(Rule::GapBumps) {
            gate.bump_all();
        } else {
            self.bump(gate, entry.kind);
        }
        gate.applied = entry.n;
        let older = gate.ack;
        gate.ack = Ack { epoch: gate.epoch, n: entry.n };
        steps.push(next, || format!("G{g} applies entry {}", entry.n));
        if older != Ack::default() {
            next.gates[g].ack = older;
            steps.push(next, || format!("G{g} applies entry {}; an older acknowledgement is still under way, this one is lost", entry.n));
        }
    }

    /// The generations that an end of this kind concerns.
    fn bump(&self, gate: &mut Gate, kind: Kind) {
        let reaches = match kind {
            Kind::Token => true,
            Kind::Key | Kind::Subject => self.rules.keep(Rule::WideBumps),
            Kind::Other => false,
        };
        if reaches {
            gate.bump_all();
        }
    }

    fn work_off_queue(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        let queue = state.gates[g].queue;
        if queue == 0 {
            return;
        }
        let mut next = *state;
        let gate = &mut next.gates[g];
        gate.queue = 0;
        for kind in [Kind::Token, Kind::Key, Kind::Subject] {
            if queue >> kind as u8 & 1 == 1 {
                self.bump(gate, kind);
            }
        }
        if queue & ALL > 0 {
            gate.bump_all();
        }
        steps.push(next, || format!("G{g} works off its side queue"));
    }

    fn acknowledge(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        let ack = state.gates[g].ack;
        if ack == Ack::default() {
            return;
        }
        for (n, node) in state.nodes.iter().enumerate() {
            if scripts::writable(node, &self.space, self.rules) {
                let mut next = *state;
                next.nodes[n].data.acks[g] = ack;
                next.gates[g].ack = Ack::default();
                steps.push(next, || format!("redis{n} stores that G{g} has applied {} of epoch {}", ack.n, ack.epoch));
            }
        }
    }
}
