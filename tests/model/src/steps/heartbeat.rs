//! HEARTBEAT: connections, `gp_beat`, leases, and the adoption of an epoch.
//!
//! To send a heartbeat and to run it is one step here: sent earlier, its lease would only end earlier.

use super::Model;
use crate::explore::Steps;
use crate::rules::Rule;
use crate::scripts;
use crate::state::{Age, Beat, Fill, Role, State};

impl Model {
    pub(super) fn heartbeat(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        self.connect(state, g, steps);
        self.beat(state, g, steps);
        self.take_beat(state, g, steps);
        if g == 0 && self.space.grace_grows && !state.listed_grace {
            steps.push(State { listed_grace: true, ..*state }, || "the database lists G0 with its allow_cached_for".into());
        }
    }

    fn connect(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        for (n, node) in state.nodes.iter().enumerate() {
            let leads_there = state.gates[g].connected == n as u8 + 1;
            let answers = node.role == Role::Primary || node.role == Role::Follower && self.space.followers_answer;
            if !answers || leads_there && !self.space.reconnects {
                continue;
            }
            let mut next = *state;
            let gate = &mut next.gates[g];
            if self.rules.keep(Rule::ReplyDies) {
                (gate.beat, gate.fill) = (Beat::default(), Fill::default());
            }
            gate.connected = n as u8 + 1;
            if self.rules.keep(Rule::ConnectionBumps) {
                gate.bump_all();
            }
            if next != *state {
                steps.push(next, || format!("G{g} connects to redis{n}"));
            }
        }
    }

    /// `gp_beat` registers the member and answers in any case.
    fn beat(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        let Some(n) = usize::from(state.gates[g].connected).checked_sub(1) else { return };
        let node = state.nodes[n];
        if !scripts::writable(&node, &self.space, self.rules) {
            return;
        }
        let mut next = *state;
        next.nodes[n].data.members |= 1 << g;
        if g == 0 {
            next.told_grace = state.listed_grace;
        }
        if self.space.left.removals > 0 {
            next.beaten[g] = Age::NOW;
        }
        let was_listed = node.data.members >> g & 1 == 1;
        if g == 0 && self.space.left.rows > 0 && !was_listed && self.rules.keep(Rule::ListsItselfAgain) {
            (next.unlisted, next.row_gone) = (Age::NONE, false);
            steps.push(next, || format!("redis{n} runs the heartbeat of G0, which was not listed: it writes its row again; no lease"));
            return;
        }
        let Some(epoch) = scripts::epoch_of_beat(&node, self.rules) else {
            next.gates[g].lease = Age::NONE;
            next.gates[g].beat = Beat::default();
            steps.push(next, || format!("redis{n} runs the heartbeat of G{g}: not whole; no lease"));
            return;
        };
        let position = 8 - node.data.log.leading_zeros() as u8;
        next.gates[g].beat = Beat { sent: Age::NOW, epoch, seq: node.data.seq, position, grace: state.listed_grace };
        steps.push(next, || format!("redis{n} runs the heartbeat of G{g}: epoch {epoch}, seq {}", node.data.seq));
    }

    fn take_beat(&self, state: &State, g: usize, steps: &mut Steps<State>) {
        let beat = state.gates[g].beat;
        let Some(ago) = beat.sent.ticks() else { return };
        let mut next = *state;
        let gate = &mut next.gates[g];
        if beat.epoch != gate.epoch {
            (gate.epoch, gate.applied, gate.position) = (beat.epoch, beat.seq, beat.position);
            (gate.lease, gate.beat, gate.queue) = (Age::NONE, Beat::default(), 0);
            if self.rules.keep(Rule::AdoptBumps) {
                gate.bump_all();
            }
            steps.push(next, || format!("G{g} adopts epoch {} at {}", beat.epoch, beat.seq));
            return;
        }
        if gate.applied < beat.seq && self.rules.keep(Rule::LeaseWaitsForSeq) {
            // the log may have lost what is missing; how long that is waited for concerns no promise
            (gate.applied, gate.position, gate.lease, gate.beat) = (beat.seq, beat.position, Age::NONE, Beat::default());
            if self.rules.keep(Rule::BeginAnewBumps) {
                gate.bump_all();
            }
            steps.push(next, || format!("G{g} begins anew in epoch {} at {}", beat.epoch, beat.seq));
            return;
        }
        let since = if self.rules.keep(Rule::LeaseFromSending) { ago } else { 0 };
        if since < self.space.lease {
            gate.lease = Age::of(since);
        }
        let grace = beat.grace || !self.rules.keep(Rule::GraceOfItsLease);
        if self.space.grace > 0 && grace && since < self.space.lease + self.space.grace {
            gate.grace = Age::of(since);
        }
        gate.beat = Beat::default();
        steps.push(next, || format!("G{g} has applied {}: takes the lease it asked for {ago} ticks ago", beat.seq));
    }
}
