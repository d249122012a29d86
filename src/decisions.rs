//! The last refusals and would-be refusals of this process, in memory, for super admins.
//!
//! The gate writes, the admin side reads; neither knows the other. Only refusals write, so an allowed check never waits here.
//! Nothing of a credential is kept, and nothing of a query, which may hold what is nobody else's to read.

use std::collections::VecDeque;

use crate::clock::UnixMs;
use crate::lock::Mutex;

/// Most decisions kept.
const KEPT: usize = 1000;
/// Most characters kept of each text that a client chose.
const CHARS: usize = 256;

/// A refusal, or what a rule that does not enforce would have refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its number in this process; later ones are higher. Set by [`Recent::push`].
    pub n: u64,
    /// When.
    pub at: UnixMs,
    /// Which gate.
    pub gate: &'static str,
    /// Why.
    pub reason: &'static str,
    /// What the client hears; `None` = it was allowed, by a rule that does not enforce.
    pub status: Option<u16>,
    /// The original method.
    pub method: String,
    /// The original host.
    pub host: String,
    /// The original path, without its query.
    pub path: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Who was refused, where that is known.
    pub uid: Option<String>,
    /// The key it was refused with.
    pub key_id: Option<String>,
}

/// The last decisions.
#[derive(Debug, Default)]
pub struct Recent(Mutex<(u64, VecDeque<Decision>)>);

impl Recent {
    /// Takes one in; the oldest makes room.
    pub fn push(&self, mut decision: Decision) {
        let mut kept = self.0.lock();
        kept.0 += 1;
        decision.n = kept.0;
        if kept.1.len() >= KEPT {
            kept.1.pop_front();
        }
        kept.1.push_back(decision);
    }

    /// Those before number `before`, newest first, at most `limit`.
    pub fn newest(&self, before: Option<u64>, limit: usize) -> Vec<Decision> {
        let kept = self.0.lock();
        kept.1.iter().rev().filter(|decision| before.is_none_or(|before| decision.n < before)).take(limit).cloned().collect()
    }
}

/// What is kept of bytes that a client chose.
pub fn kept(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(path: &str) -> Decision {
        Decision {
            n: 0,
            at: UnixMs(1),
            gate: "nginx",
            reason: "no_rule",
            status: Some(403),
            method: "GET".into(),
            host: "a".into(),
            path: path.into(),
            rule: None,
            uid: None,
            key_id: None,
        }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_make_room() {
        let recent = Recent::default();
        for n in 0..=KEPT {
            recent.push(decision(&format!("/{n}")));
        }
        let all = recent.newest(None, KEPT * 2);
        assert_eq!((all.len(), all[0].path.as_str(), all[KEPT - 1].path.as_str()), (KEPT, "/1000", "/1"));
        let next = recent.newest(Some(all[1].n), 2);
        assert_eq!(next.iter().map(|decision| decision.path.as_str()).collect::<Vec<_>>(), ["/998", "/997"]);
    }

    #[test]
    fn what_a_client_chose_is_bounded() {
        assert_eq!(kept(&[b'a'; 5000]).len(), CHARS);
        assert_eq!(kept(b"/\xff"), "/\u{fffd}");
    }
}
