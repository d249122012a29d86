//! Forgets what can make no difference any more, so that states that differ in nothing else are one.

use super::Model;
use crate::space::Minting;
use crate::state::{Ack, Age, Check, Data, ENDS, EndPhase, GATES, MintPhase, NODES, Role, State};

impl Model {
    pub(super) fn forget(&self, state: &mut State) {
        self.acknowledgements(state);
        self.ends(state);
        self.copies(state);
        self.mints(state);
    }

    /// Acknowledgements, members and how long the epoch was held are asked only by strict ends to come.
    fn acknowledgements(&self, state: &mut State) {
        let open = |e: usize| self.space.end(e).is_some_and(|end| end.strict) && state.ends[e].phase != EndPhase::Returned;
        if self.space.acknowledged && (0..ENDS).any(open) && state.check == Check::NotBegun {
            return;
        }
        state.held_for = Age::of(self.space.longest_hold());
        (state.left.removals, state.left.rows) = (0, 0);
        (state.unlisted, state.row_gone) = (Age::NONE, false);
        state.beaten = Default::default();
        for data in state.nodes.iter_mut().map(|node| &mut node.data).chain([&mut state.snapshot]) {
            (data.members, data.acks) = (0, [Ack::default(); GATES]);
        }
        for gate in &mut state.gates {
            gate.ack = Ack::default();
        }
    }

    fn ends(&self, state: &mut State) {
        for e in 0..ENDS {
            let Some(ending) = self.space.end(e) else { continue };
            let end = &mut state.ends[e];
            if state.check != Check::NotBegun {
                (end.applied, end.replied) = (Age::NONE, Age::NONE);
            }
            if !matches!(end.phase, EndPhase::Executed | EndPhase::Asked) {
                (end.epoch, end.n) = (0, 0);
            }
            end.settled &= end.phase == EndPhase::Executed;
            let waits = matches!(end.phase, EndPhase::Executed | EndPhase::Done | EndPhase::Asked);
            if !waits || !ending.strict {
                (end.replied, end.knows_grace) = (Age::NONE, false);
            }
        }
    }

    /// A snapshot that no restart will load, a copy that nobody will read.
    fn copies(&self, state: &mut State) {
        if state.left.restarts == 0 {
            state.left.snapshots = 0;
            state.snapshot = Data::default();
        }
        if state.left.promotions == 0 && !self.space.followers_answer {
            state.left.copies = 0;
            for n in 0..NODES {
                if state.nodes[n].role == Role::Follower {
                    state.nodes[n] = Default::default();
                }
            }
        }
    }

    fn mints(&self, state: &mut State) {
        if self.space.mint == Minting::OurToken && state.mint.phase == MintPhase::Over && state.mint.late.is_none() {
            state.mint.again = false;
        }
    }
}
