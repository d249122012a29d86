//! What a super admin reads of a refusal later: kept in memory, nothing of a credential and nothing of a query.

use super::Gate;
use crate::decision::{Denial, Verdict};
use crate::decisions::{Decision, kept};
use crate::dialect::Asked;

/// Keeps a refusal, or what a rule that does not enforce would have refused. An allow costs one comparison.
pub(super) fn keep(at: &Gate, asked: &Asked<'_>, verdict: &Verdict<'_>) {
    match verdict {
        Verdict::Deny(denial) => at.shared.decisions.push(decision(at, asked, denial, Some(at.dialect.status_of(denial.reason)))),
        Verdict::Allow(permit) => {
            if let Some(denial) = permit.shadowed() {
                at.shared.decisions.push(decision(at, asked, denial, None));
            }
        }
    }
}

fn decision(at: &Gate, asked: &Asked<'_>, denial: &Denial<'_>, status: Option<u16>) -> Decision {
    let uri = asked.told.uri.once().unwrap_or_default();
    let path = uri.split(|byte| *byte == b'?').next().unwrap_or_default();
    let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Decision {
        n: 0,
        at: at.shared.clock.now(),
        gate: at.dialect.proxy().as_str(),
        reason: denial.reason.as_str(),
        status,
        method: kept(asked.told.method.once().unwrap_or_default()),
        host: kept(asked.told.host.once().unwrap_or_default()),
        path: kept(path),
        rule: denial.rule.map(|rule| rule.id.clone()),
        uid: denial.holder.as_ref().and_then(|holder| known(&holder.uid)),
        key_id: denial.holder.as_ref().and_then(|holder| known(&holder.key_id)),
    }
}
