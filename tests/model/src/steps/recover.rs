//! RECOVER: lock, epoch into the database, ends read, replayed, epoch founded.

use super::Model;
use crate::explore::Steps;
use crate::rules::Rule;
use crate::scripts;
use crate::state::{Age, ENDS, Kind, RECOVERERS, RecoverPhase, Recoverer, State};

impl Model {
    pub(super) fn recover(&self, state: &State, steps: &mut Steps<State>) {
        for r in 0..self.space.recoverers {
            match state.recoverers[r].phase {
                RecoverPhase::Idle => self.see(state, r, steps),
                RecoverPhase::Seen => self.lock(state, r, steps),
                RecoverPhase::Locked if !state.recoverers[r].has_read && !self.rules.keep(Rule::EpochBeforeReading) => {
                    self.read_ends(state, r, RecoverPhase::Locked, steps);
                }
                RecoverPhase::Locked => self.write_epoch(state, r, steps),
                RecoverPhase::EpochWritten if state.recoverers[r].has_read => self.replay(state, r, steps),
                RecoverPhase::EpochWritten => self.read_ends(state, r, RecoverPhase::Read, steps),
                RecoverPhase::Read => self.replay(state, r, steps),
                RecoverPhase::Replayed => self.found(state, r, steps),
            }
            if self.space.recoverers > 1 && state.recoverers[r].phase != RecoverPhase::Idle {
                let mut next = *state;
                next.recoverers[r] = Recoverer::default();
                steps.push(next, || format!("R{r} gives up"));
            }
        }
        for n in 0..self.space.nodes {
            if self.space.recoverers > 1 && state.nodes[n].data.lock > 0 {
                let mut next = *state;
                next.nodes[n].data.lock = 0;
                steps.push(next, || format!("the recovery lock on redis{n} runs out"));
            }
        }
    }

    /// The database's epoch is read before the lock is taken: whoever founds in between is noticed when it is swapped.
    fn see(&self, state: &State, r: usize, steps: &mut Steps<State>) {
        let mut next = *state;
        next.recoverers[r] = Recoverer { phase: RecoverPhase::Seen, seen: state.database_epoch, ..Recoverer::default() };
        if self.space.recoverers == 1 {
            // nobody comes in between
            self.lock(&next, r, steps);
        } else if (0..self.space.nodes).any(|n| self.is_to_be_founded(state, n)) && state.next_epoch <= self.space.epochs {
            steps.push(next, || format!("R{r} sees epoch {} in the database", state.database_epoch));
        }
    }

    fn is_to_be_founded(&self, state: &State, n: usize) -> bool {
        let node = &state.nodes[n];
        let stray = self.space.strays && node.data.epoch != state.database_epoch;
        scripts::writable(node, &self.space, self.rules) && (scripts::epoch_of_beat(node, self.rules).is_none() || stray)
    }

    fn lock(&self, state: &State, r: usize, steps: &mut Steps<State>) {
        if state.next_epoch > self.space.epochs {
            return;
        }
        for n in (0..self.space.nodes).filter(|n| self.is_to_be_founded(state, *n)) {
            let mut next = *state;
            let node = &mut next.nodes[n];
            if node.data.lock > 0 {
                continue;
            }
            node.data.lock = r as u8 + 1;
            let (process, line) = (node.process, node.line);
            next.recoverers[r] = Recoverer { phase: RecoverPhase::Locked, node: n as u8, process, line, ..state.recoverers[r] };
            steps.push(next, || format!("R{r} takes the recovery lock on redis{n}"));
        }
    }

    fn write_epoch(&self, state: &State, r: usize, steps: &mut Steps<State>) {
        let mut next = *state;
        if state.database_epoch != state.recoverers[r].seen && self.rules.keep(Rule::SwapAsksSeen) {
            next.recoverers[r] = Recoverer::default();
            steps.push(next, || format!("R{r} finds another epoch in the database than it saw: it leaves it to others"));
        } else if state.next_epoch <= self.space.epochs {
            let epoch = state.next_epoch;
            next.next_epoch += 1;
            next.database_epoch = epoch;
            (next.recoverers[r].epoch, next.recoverers[r].phase) = (epoch, RecoverPhase::EpochWritten);
            steps.push(next, || format!("R{r} writes epoch {epoch} into the database"));
        }
    }

    fn read_ends(&self, state: &State, r: usize, phase: RecoverPhase, steps: &mut Steps<State>) {
        let mut ends = 0;
        for e in 0..ENDS {
            let young = !self.space.other_not_replayed || self.space.end(e).is_some_and(|end| end.kind != Kind::Other);
            if young && state.ends[e].in_database {
                ends |= 1 << e;
            }
        }
        let mut next = *state;
        next.recoverers[r] = Recoverer { phase, ends, has_read: true, ..state.recoverers[r] };
        steps.push(next, || format!("R{r} reads the ends: {}", if ends == 0 { "none".into() } else { format!("{ends:02b}") }));
    }

    /// What every script of RECOVER asks.
    fn is_authorised(&self, state: &State, r: usize) -> bool {
        let recoverer = state.recoverers[r];
        let node = &state.nodes[usize::from(recoverer.node)];
        let same = (node.process, node.line) == (recoverer.process, recoverer.line) || !self.rules.keep(Rule::FoundAsksProcess);
        let mine = node.data.lock == r as u8 + 1 || !self.rules.keep(Rule::FoundAsksLock);
        scripts::writable(node, &self.space, self.rules) && same && mine
    }

    fn replay(&self, state: &State, r: usize, steps: &mut Steps<State>) {
        if !self.is_authorised(state, r) {
            return;
        }
        let Recoverer { node, epoch, ends, .. } = state.recoverers[r];
        let node = usize::from(node);
        let mut next = *state;
        for e in (0..ENDS).filter(|e| ends >> e & 1 == 1 && self.rules.keep(Rule::Replays)) {
            let Some(ending) = self.space.end(e) else { continue };
            let under = if self.rules.keep(Rule::ReplayInNewEpoch) { epoch } else { state.nodes[node].data.epoch };
            if under > 0 && next.entry_count < self.space.entries {
                scripts::end(&mut next, node, ending.kind, under, self.rules);
            } else {
                // no more room in this search: as if the entry had been trimmed at once
                scripts::put_end(&mut next.nodes[node].data, ending.kind);
            }
        }
        next.recoverers[r] = Recoverer { phase: RecoverPhase::Replayed, ends: 0, ..state.recoverers[r] };
        steps.push(next, || format!("R{r} replays onto redis{node}"));
    }

    fn found(&self, state: &State, r: usize, steps: &mut Steps<State>) {
        if !self.is_authorised(state, r) {
            return;
        }
        let Recoverer { node, epoch, .. } = state.recoverers[r];
        let mut next = *state;
        let found = &mut next.nodes[usize::from(node)];
        (found.data.founded_process, found.data.founded_line, found.data.epoch) = (found.process, found.line, epoch);
        if self.space.fails_over() {
            found.founded = Age::NOW;
        }
        if found.data.lock == r as u8 + 1 {
            found.data.lock = 0;
        }
        next.recoverers[r] = Recoverer::default();
        steps.push(next, || format!("R{r} founds epoch {epoch} on redis{node}"));
    }
}

const _: () = assert!(RECOVERERS < 4, "a lock is a small number");
