//! END: the database, the script, the database again; the strict wait after it; who leaves the list of members.
//!
//! One process ends, mints and holds an epoch for it. It is not the one that answers the check.

use super::Model;
use crate::explore::Steps;
use crate::rules::Rule;
use crate::scripts;
use crate::space::{Ending, Minting};
use crate::state::{Age, ENDS, End, EndPhase, Kind, Node, State};

impl Model {
    pub(super) fn end(&self, state: &State, steps: &mut Steps<State>) {
        self.hold_epoch(state, steps);
        for e in 0..ENDS {
            let Some(ending) = self.space.end(e) else { continue };
            match state.ends[e].phase {
                EndPhase::Idle if self.rules.keep(Rule::CommitFirst) => self.commit(state, e, ending, steps),
                EndPhase::Idle | EndPhase::Committed => self.run_script(state, e, ending, steps),
                EndPhase::Executed => self.be_done(state, e, steps),
                EndPhase::Done | EndPhase::Asked if ending.strict => self.strict(state, e, steps),
                EndPhase::Done | EndPhase::Asked | EndPhase::Returned | EndPhase::Lost => {}
            }
        }
        self.remove_member(state, steps);
        self.remove_row(state, steps);
    }

    /// The process adopts an epoch by a heartbeat of its own.
    fn hold_epoch(&self, state: &State, steps: &mut Steps<State>) {
        for (n, node) in state.nodes.iter().enumerate() {
            let epoch = scripts::epoch_of_beat(node, self.rules).filter(|epoch| *epoch != state.held);
            let Some(epoch) = epoch.filter(|_| scripts::writable(node, &self.space, self.rules)) else { continue };
            steps.push(State { held: epoch, held_for: Age::NOW, ..*state }, || format!("A adopts epoch {epoch} of redis{n}"));
        }
    }

    /// END 1
    fn commit(&self, state: &State, e: usize, ending: Ending, steps: &mut Steps<State>) {
        // nobody ends a token that the database does not know
        if ending.kind == Kind::Token && self.space.mint == Minting::OurToken && !state.mint.row {
            return;
        }
        let mut next = *state;
        next.ends[e] = End { phase: EndPhase::Committed, in_database: true, ..state.ends[e] };
        steps.push(next, || format!("A commits end {e} ({:?})", ending.kind));
    }

    /// END 2
    fn run_script(&self, state: &State, e: usize, ending: Ending, steps: &mut Steps<State>) {
        for n in 0..self.space.nodes {
            let node = state.nodes[n];
            let room = state.entry_count < self.space.entries;
            if !room || !scripts::takes_writes_of(&node, state.held, &self.space, self.rules) {
                continue;
            }
            let mut next = *state;
            let number = scripts::end(&mut next, n, ending.kind, state.held, self.rules);
            let end = &mut next.ends[e];
            (end.phase, end.epoch, end.settled) = (EndPhase::Executed, state.held, scripts::is_settled(&node, &self.space, self.rules));
            if ending.strict {
                end.replied = Age::NOW;
            }
            // with one Redis the bound is asked for from here on, which is the harder reading
            if !self.space.fails_over() && !end.applied.runs() {
                end.applied = Age::NOW;
            }
            steps.push(next, || format!("redis{n} runs gp_end {e}: entry {number} of epoch {}", state.held));
        }
    }

    /// END 3
    fn be_done(&self, state: &State, e: usize, steps: &mut Steps<State>) {
        let end = state.ends[e];
        let mut next = *state;
        if !end.in_database {
            next.ends[e].in_database = true;
            steps.push(next, || format!("A commits end {e} only now"));
        } else if !end.settled {
            next.ends[e].phase = EndPhase::Committed;
            steps.push(next, || format!("A ran end {e} in an epoch that was not settled: it is sent again"));
        } else if state.database_epoch != end.epoch && self.rules.keep(Rule::DoneAsksEpoch) {
            next.ends[e].phase = EndPhase::Committed;
            steps.push(next, || format!("A finds epoch {} in the database: end {e} is sent again", state.database_epoch));
        } else {
            next.ends[e].phase = EndPhase::Done;
            // how long to wait is read from the database now
            next.ends[e].knows_grace = state.listed_grace && !state.row_gone && self.rules.keep(Rule::StrictWaitsForGrace);
            if !end.applied.runs() {
                next.ends[e].applied = Age::NOW;
            }
            steps.push(next, || format!("A marks end {e} done and answers"));
        }
        if state.left.lost_replies > 0 {
            let mut next = *state;
            next.left.lost_replies -= 1;
            next.ends[e].phase = if end.in_database { EndPhase::Committed } else { EndPhase::Lost };
            steps.push(next, || format!("A crashes, or loses the reply of end {e}"));
        }
    }

    /// By time, or by the acknowledgements of every member that is listed when they are asked for.
    fn strict(&self, state: &State, e: usize, steps: &mut Steps<State>) {
        let end = state.ends[e];
        // what is left of the list in Redis knows only of who is on it
        let longest_listed = if lists(&state.nodes[0], 0) { self.space.lease } else { self.space.lease_of_ender };
        let longest = if self.rules.keep(Rule::LongestOfAll) { self.space.longest_lease() } else { longest_listed };
        let longest_with_grace = longest + if end.knows_grace { self.space.grace } else { 0 };
        if end.replied.is_at_least(longest_with_grace) || !self.rules.keep(Rule::StrictWaits) {
            self.give_back(state, e, false, steps);
            return;
        }

        // a wait without its 1.1 is one tick short of what a lease may last
        let hold = if self.rules.keep(Rule::HeldForAll) { longest_with_grace } else { longest.saturating_sub(1) };
        let hold = hold + if self.rules.keep(Rule::HeldOutlastsLag) { self.space.lag_of_failover() } else { 0 };
        if !self.space.acknowledged || !state.held_for.is_at_least(hold) && self.rules.keep(Rule::AcksAskHeld) {
            return;
        }
        let asks_whole = self.rules.keep(Rule::AcksAskWhole);
        for node in
            state.nodes[..self.space.nodes].iter().filter(|node| scripts::answers_reads_of(node, state.held, self.rules) || !asks_whole)
        {
            if end.phase == EndPhase::Done {
                let mut next = *state;
                let asked = &mut next.ends[e];
                (asked.phase, asked.epoch, asked.n) = (EndPhase::Asked, state.held, node.data.seq);
                steps.push(next, || format!("A asks who has applied end {e}: all have once they have applied {}", node.data.seq));
            } else if end.epoch == state.held {
                let acknowledged = (0..self.space.gates).filter(|g| lists(node, *g)).all(|g| {
                    let ack = node.data.acks[g];
                    ack.n >= end.n && (ack.epoch == end.epoch && ack.epoch > 0 || !self.rules.keep(Rule::AckCarriesEpoch))
                });
                if acknowledged {
                    self.give_back(state, e, true, steps);
                }
            }
        }
    }

    fn give_back(&self, state: &State, e: usize, early: bool, steps: &mut Steps<State>) {
        let mut next = *state;
        next.ends[e].phase = EndPhase::Returned;
        next.early |= early;
        steps.push(next, || format!("strict end {e} RETURNS by {}", if early { "acknowledgements" } else { "time" }));
    }

    /// A member whose heartbeat another saw unchanged for as long as its leases can last is removed.
    fn remove_member(&self, state: &State, steps: &mut Steps<State>) {
        if state.left.removals == 0 {
            return;
        }
        let grace = if state.told_grace && self.rules.keep(Rule::RemoveWaitsForGrace) { self.space.grace } else { 0 };
        let long = self.space.longest_lease() + grace;
        for (g, beaten) in state.beaten.iter().enumerate().take(self.space.gates) {
            let dead = beaten.is_at_least(long) || !self.rules.keep(Rule::RemoveOnlyTheDead);
            if dead && state.nodes[0].data.members >> g & 1 == 1 {
                let mut next = *state;
                next.left.removals -= 1;
                next.nodes[0].data.members &= !(1 << g);
                steps.push(next, || format!("G{g} is removed from the list of members"));
            }
        }
    }

    /// The row of whom the database lists and Redis does not, as it was seen for as long as anything of it may be used.
    fn remove_row(&self, state: &State, steps: &mut Steps<State>) {
        if state.left.rows == 0 || state.row_gone || state.nodes[0].data.members & 1 == 1 {
            return;
        }
        let mut next = *state;
        if !state.unlisted.runs() {
            next.unlisted = Age::NOW;
            steps.push(next, || "A sees that the database lists G0 and Redis does not".into());
            return;
        }
        let grace = if self.rules.keep(Rule::RowOutlastsGrace) { self.space.grace } else { 0 };
        if state.unlisted.is_at_least(self.space.longest_lease() + grace) {
            next.left.rows -= 1;
            (next.unlisted, next.row_gone) = (Age::NONE, true);
            steps.push(next, || "the row of G0 is removed from the database".into());
        }
    }
}

fn lists(node: &Node, g: usize) -> bool {
    node.data.members >> g & 1 == 1
}
