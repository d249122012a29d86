//! The promise: which check must be refused, and what it is called when it is not.

use crate::rules::{Rule, Rules};
use crate::space::Space;
use crate::state::{Check, ENDS, EndPhase, Kind, State};

/// P1: no allow begins later than the bound after the end was applied.
pub const LATE: u8 = 1;
/// P2: no allow begins after a strict end has returned.
pub const AFTER_STRICT: u8 = 2;
/// P3, P4: after data was lost or a mint came late, the credential stands in Redis as if it had never been ended.
pub const BACK: u8 = 4;

/// Why a check that begins now must be refused; 0 = it may be allowed. It stays so: no reason ever goes.
pub fn must_refuse(state: &State, space: &Space, rules: Rules) -> u8 {
    let bound = if rules.keep(Rule::PublishedBound) { space.bound() } else { space.bound() - 1 };
    let mut why = match state.check {
        Check::NotBegun => 0,
        Check::LeaseRead(why) | Check::NoLease(why) | Check::RecordRead(why) => why,
    };
    for n in 0..ENDS {
        let Some(end) = space.end(n).filter(|end| end.kind != Kind::Other) else { continue };
        if state.ends[n].applied.is_at_least(bound) {
            why |= LATE;
        }
        if end.strict && state.ends[n].phase == EndPhase::Returned {
            why |= AFTER_STRICT;
        }
    }
    why
}

/// The words for a reason.
pub fn reason(why: u8) -> &'static str {
    match why & (LATE | AFTER_STRICT) {
        LATE => "the bound has passed",
        AFTER_STRICT => "the strict end has returned",
        _ => "the bound has passed and the strict end has returned",
    }
}

/// The names of what was broken.
pub fn names(broken: u8) -> String {
    let all = [(LATE, "P1"), (AFTER_STRICT, "P2"), (BACK, "P3/P4")];
    all.iter().filter(|(bit, _)| broken & bit > 0).map(|(_, name)| *name).collect::<Vec<_>>().join("+")
}
