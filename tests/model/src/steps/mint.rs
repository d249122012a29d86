//! MINT: the database read, `gp_mint`, the token's row; and what a lost reply leads to.

use super::Model;
use crate::explore::Steps;
use crate::rules::Rule;
use crate::scripts::{self, Refused};
use crate::space::Minting;
use crate::state::{LIVE, Mint, MintPhase, Node, Reading, State};

impl Model {
    pub(super) fn mint(&self, state: &State, steps: &mut Steps<State>) {
        match state.mint.phase {
            MintPhase::Idle => self.read_database(state, steps),
            MintPhase::Read(reading) => self.run_mint(state, reading, steps),
            MintPhase::Found => self.write_found(state, steps),
            MintPhase::Written => self.write_row(state, steps),
            MintPhase::Over => {}
        }
        self.run_late(state, steps);
    }

    fn read_database(&self, state: &State, steps: &mut Steps<State>) {
        let key = self.space.key_in_database(state);
        let mints = match self.space.mint {
            Minting::Nothing => false,
            // an ended key gets no token; records and narrowed keys are written as they are
            Minting::OurToken => key == LIVE,
            Minting::Sister | Minting::Records => true,
        };
        if mints {
            let mut next = *state;
            next.mint.phase = MintPhase::Read(Reading { key, epoch: state.held });
            next.mint.row |= !self.rules.keep(Rule::RowAfterScript);
            steps.push(next, || format!("mint reads version {key} of the key from the database"));
        }
    }

    fn run_mint(&self, state: &State, reading: Reading, steps: &mut Steps<State>) {
        for n in 0..self.space.nodes {
            let mut next = *state;
            match self.script(&mut next.nodes[n], reading, state.held) {
                Ok(()) => self.write_token(next, n, steps),
                Err(Refused::Newer) => {
                    next.mint.phase = MintPhase::Idle;
                    steps.push(next, || format!("redis{n} aborts gp_mint: it has a newer version"));
                }
                Err(Refused::Epoch) if scripts::writable(&state.nodes[n], &self.space, self.rules) => {
                    next.mint.phase = MintPhase::Idle;
                    steps.push(next, || format!("redis{n} aborts gp_mint: another epoch, or not whole"));
                }
                Err(Refused::Epoch) => {}
            }
        }
        // nobody waits any longer for an attempt that may still be on its way
        if state.left.lost_replies > 0 {
            let mut next = *state;
            next.left.lost_replies -= 1;
            next.mint = Mint { phase: MintPhase::Idle, late: Some(reading), again: true, ..state.mint };
            steps.push(next, || "mint gets no answer and begins again".into());
        }
    }

    /// The records' part of `gp_mint`, under the epoch of the reading.
    fn script(&self, node: &mut Node, reading: Reading, held: u8) -> Result<(), Refused> {
        let epoch = if self.rules.keep(Rule::MintAsksEpochRead) { reading.epoch } else { held };
        scripts::mint_records(node, reading, epoch, &self.space, self.rules)
    }

    /// The token's part of `gp_mint`, in the same go.
    fn write_token(&self, mut next: State, n: usize, steps: &mut Steps<State>) {
        let Mint { again, .. } = next.mint;
        if self.space.mint != Minting::OurToken {
            next.mint.phase = if self.space.mint == Minting::Records { MintPhase::Idle } else { MintPhase::Over };
            steps.push(next, || format!("redis{n} runs gp_mint"));
        } else if again && next.nodes[n].data.token && !self.rules.keep(Rule::FoundInOneScript) {
            next.mint.phase = MintPhase::Found;
            steps.push(next, || format!("redis{n} runs gp_mint: the token of the first attempt is live"));
        } else if again && next.nodes[n].data.token {
            next.mint.phase = MintPhase::Written;
            steps.push(next, || format!("redis{n} runs gp_mint: the token of the first attempt is live, and slid"));
        } else if again && self.rules.keep(Rule::FreshId) {
            next.mint.phase = MintPhase::Over;
            steps.push(next, || format!("redis{n} runs gp_mint: a token of another id"));
        } else {
            next.nodes[n].data.token = true;
            next.mint.phase = MintPhase::Written;
            steps.push(next, || format!("redis{n} runs gp_mint: the token is written"));
        }
    }

    /// Only where a rule is broken: what was found in one command is slid by writing it in another.
    fn write_found(&self, state: &State, steps: &mut Steps<State>) {
        let mut rows = *state;
        rows.mint.row = true;
        if !state.mint.row {
            steps.push(rows, || "mint's row enters the database".into());
        }
        for n in (0..self.space.nodes).filter(|n| scripts::writable(&state.nodes[*n], &self.space, self.rules)) {
            let mut next = *state;
            next.nodes[n].data.token = true;
            next.mint.phase = MintPhase::Written;
            steps.push(next, || format!("redis{n} slides the token found by writing it"));
        }
    }

    fn write_row(&self, state: &State, steps: &mut Steps<State>) {
        let mut next = *state;
        (next.mint.row, next.mint.phase) = (true, MintPhase::Over);
        steps.push(next, || "mint's row enters the database, mint answers".into());
        if state.left.lost_replies > 0 && !state.mint.again {
            let mut next = *state;
            next.left.lost_replies -= 1;
            next.mint = Mint { phase: MintPhase::Idle, again: true, ..state.mint };
            steps.push(next, || "mint's reply is lost, it begins again".into());
        }
    }

    /// The first attempt arrives after all. If it carries a token, it is the one we look at.
    fn run_late(&self, state: &State, steps: &mut Steps<State>) {
        let Some(reading) = state.mint.late else { return };
        for n in 0..self.space.nodes {
            let mut next = *state;
            next.mint.late = None;
            if self.script(&mut next.nodes[n], reading, state.held).is_ok() {
                next.nodes[n].data.token |= self.space.mint == Minting::OurToken;
                steps.push(next, || format!("redis{n} runs the first attempt's gp_mint"));
            }
        }
    }
}
