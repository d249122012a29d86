//! What is done to Redis: restarts, lost data, promotions. Each may happen so often as the space says, at any moment.

use super::Model;
use crate::explore::Steps;
use crate::rules::Rule;
use crate::state::{Age, Beat, Data, Node, Role, State};

impl Model {
    pub(super) fn faults(&self, state: &State, steps: &mut Steps<State>) {
        self.snapshot_and_restart(state, steps);
        self.flush(state, steps);
        self.trim(state, steps);
        for n in 0..self.space.nodes {
            match state.nodes[n].role {
                Role::Follower => {
                    self.copy(state, n, steps);
                    self.promote(state, n, steps);
                }
                Role::Primary => self.demote(state, n, steps),
                Role::Off => {}
            }
        }
    }

    fn snapshot_and_restart(&self, state: &State, steps: &mut Steps<State>) {
        if state.left.restarts == 0 {
            return;
        }
        if state.left.snapshots > 0 && state.snapshot != state.nodes[0].data {
            let mut next = *state;
            next.left.snapshots -= 1;
            next.snapshot = state.nodes[0].data;
            steps.push(next, || "redis0 saves a snapshot".into());
        }
        let mut next = *state;
        next.left.restarts -= 1;
        let (process, line) = (next.fresh_id(), next.fresh_id());
        next.nodes[0] = Node { role: Role::Primary, process, line, data: state.snapshot, ..Node::default() };
        for gate in next.gates.iter_mut().filter(|gate| gate.connected == 1) {
            gate.connected = 0;
            // replies that were sent may still arrive; a beat's can be lost, too, by never being taken
        }
        steps.push(next, || "redis0 RESTARTS with its last snapshot".into());
    }

    fn flush(&self, state: &State, steps: &mut Steps<State>) {
        if state.left.flushes > 0 {
            let mut next = *state;
            next.left.flushes -= 1;
            next.nodes[0].data = Data::default();
            steps.push(next, || "FLUSHALL on redis0".into());
        }
    }

    fn trim(&self, state: &State, steps: &mut Steps<State>) {
        let log = state.nodes[0].data.log;
        if state.left.trims > 0 && log > 0 {
            let mut next = *state;
            next.left.trims -= 1;
            next.nodes[0].data.log = log & (log - 1);
            steps.push(next, || "the log is trimmed by one".into());
        }
    }

    /// A follower catches up.
    fn copy(&self, state: &State, n: usize, steps: &mut Steps<State>) {
        let Some(primary) = state.newest() else { return };
        let Node { line, data, .. } = state.nodes[primary];
        if state.left.copies > 0 && (state.nodes[n].line, state.nodes[n].data) != (line, data) {
            let mut next = *state;
            next.left.copies -= 1;
            (next.nodes[n].line, next.nodes[n].data) = (line, data);
            steps.push(next, || format!("redis{n} has copied redis{primary} this far"));
        }
    }

    fn promote(&self, state: &State, n: usize, steps: &mut Steps<State>) {
        if state.left.promotions == 0 {
            return;
        }
        let mut next = *state;
        next.left.promotions -= 1;
        if let Some(old) = state.newest() {
            next.nodes[old].superseded = Age::NOW;
        }
        next.nodes[n].role = Role::Primary;
        next.nodes[n].line = next.fresh_id();
        steps.push(next, || format!("redis{n} is PROMOTED with the copy it has"));
    }

    /// A superseded primary hears of it: the process stays, its data goes.
    fn demote(&self, state: &State, n: usize, steps: &mut Steps<State>) {
        let Some(primary) = state.newest().filter(|_| state.left.demotions > 0 && state.nodes[n].superseded.runs()) else { return };
        let Node { line, data, .. } = state.nodes[primary];
        let mut next = *state;
        next.left.demotions -= 1;
        next.nodes[n] = Node { role: Role::Follower, process: state.nodes[n].process, line, data, ..Node::default() };
        if !self.space.followers_answer {
            for gate in next.gates.iter_mut().filter(|gate| gate.connected == n as u8 + 1) {
                (gate.connected, gate.beat) = (0, Beat::default());
                if self.rules.keep(Rule::ConnectionBumps) {
                    gate.bump_all();
                }
            }
        }
        steps.push(next, || format!("redis{n} becomes a follower of redis{primary}, in the same process"));
    }
}
