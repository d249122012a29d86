//! What Redis does by itself: its scripts, each in one go, and what they ask before they do anything.

use crate::rules::{Rule, Rules};
use crate::space::{Credential, Space};
use crate::state::{ABSENT, Data, ENDED, ENTRIES, Entry, Kind, LIVE, Node, Reading, Role, State};

/// Whether a command that writes is taken.
pub fn writable(node: &Node, space: &Space, rules: Rules) -> bool {
    let alone = node.superseded.runs() && rules.keep(Rule::MinReplicas);
    node.role == Role::Primary && (!alone || node.superseded.is_at_most(space.lag))
}

/// Whether the epoch was founded under this very process.
pub fn whole(node: &Node, rules: Rules) -> bool {
    let Data { epoch, founded_process, founded_line, .. } = node.data;
    let same_line = founded_line == node.line || !rules.keep(Rule::WholeAsksReplid);
    epoch != 0 && founded_process == node.process && same_line
}

/// What `gp_end` and `gp_mint` ask: this epoch, and whole.
pub fn takes_writes_of(node: &Node, epoch: u8, space: &Space, rules: Rules) -> bool {
    writable(node, space, rules) && epoch != 0 && node.data.epoch == epoch && (whole(node, rules) || !rules.keep(Rule::WriteAsksWhole))
}

/// What the heartbeat says: its epoch where that is whole.
pub fn epoch_of_beat(node: &Node, rules: Rules) -> Option<u8> {
    let tells = node.data.epoch != 0 && (whole(node, rules) || !rules.keep(Rule::BeatAsksWhole));
    tells.then_some(node.data.epoch)
}

/// Whether its epoch was founded so long ago that whoever still writes here was no superseded primary then. A process that held it
/// for that long writes so down beside the epoch, for all; here it is known as soon as it can be.
pub fn is_settled(node: &Node, space: &Space, rules: Rules) -> bool {
    let long = space.lag + u8::from(rules.keep(Rule::SettledOutlastsLag));
    !space.fails_over() || node.founded.is_at_least(long) || !rules.keep(Rule::DoneAsksSettled)
}

/// What the scripts that only read ask: this epoch, founded under this line, by a primary.
pub fn answers_reads_of(node: &Node, epoch: u8, rules: Rules) -> bool {
    let same_line = node.data.founded_line == node.line || !rules.keep(Rule::WholeAsksReplid);
    epoch != 0 && node.data.epoch == epoch && same_line && node.role == Role::Primary
}

/// The fill: whether the credential is live, as far as this Redis may say so at all.
pub fn fill(node: &Node, epoch: u8, space: &Space, rules: Rules) -> bool {
    let Data { token, key, subject, founded_line, .. } = node.data;
    let answers = (node.data.epoch == epoch && epoch != 0 || !rules.keep(Rule::FillAsksEpoch))
        && (founded_line == node.line || !rules.keep(Rule::FillAsksWhole) || !rules.keep(Rule::WholeAsksReplid))
        && (node.role == Role::Primary || !rules.keep(Rule::FillAsksRole));
    answers && (token || space.credential == Credential::Key) && key == LIVE && subject == LIVE
}

/// The body of `gp_end`: the record as it is after the end, and an entry of the log. Returns the entry's number.
pub fn end(state: &mut State, node: usize, kind: Kind, log_epoch: u8, rules: Rules) -> u8 {
    let data = &mut state.nodes[node].data;
    let news = match kind {
        Kind::Token | Kind::Other => true,
        Kind::Key => data.key < ENDED,
        Kind::Subject => data.subject < ENDED,
    };
    put_end(data, kind);
    if news || rules.keep(Rule::AlwaysLogged) {
        log(state, node, log_epoch, kind);
    }
    state.nodes[node].data.seq
}

/// What an end leaves behind.
pub fn put_end(data: &mut Data, kind: Kind) {
    match kind {
        Kind::Token => data.token = false,
        Kind::Key => data.key = ENDED,
        Kind::Subject => data.subject = ENDED,
        Kind::Other => {}
    }
}

fn log(state: &mut State, node: usize, epoch: u8, kind: Kind) {
    let id = usize::from(state.entry_count);
    assert!(id < ENTRIES, "the log is longer than `ENTRIES`: bound `Space::entries`");
    let data = &mut state.nodes[node].data;
    data.seq += 1;
    data.log |= 1 << id;
    state.entries[id] = Entry { epoch, n: data.seq, kind };
    state.entry_count += 1;
}

/// Why `gp_mint` wrote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Epoch,
    Newer,
}

/// `gp_mint` up to the token: the records, of no lower version than there are.
pub fn mint_records(node: &mut Node, reading: Reading, epoch: u8, space: &Space, rules: Rules) -> Result<(), Refused> {
    if !takes_writes_of(node, epoch, space, rules) {
        return Err(Refused::Epoch);
    }
    if node.data.key > reading.key && rules.keep(Rule::MintAsksVersion) {
        return Err(Refused::Newer);
    }
    node.data.key = reading.key;
    if node.data.subject == ABSENT {
        node.data.subject = LIVE;
    }
    Ok(())
}
