//! Who leaves the list of members: whoever stops says so; whoever died is removed by another that saw its heartbeat
//! stand still for longer, on its own clock, than any lease of that member can last.

use std::collections::HashMap;

use super::core::{Core, Held};
use super::link::{ADMIN, Call};
use super::reply::Reply;
use super::scripts::Script;

/// What is known of the others: their last heartbeat, and since when (ms since boot) it stands still.
#[derive(Default)]
pub(super) struct Others(HashMap<String, (String, u64)>);

impl Others {
    /// Notes who beats at `now_ms`; returns those whose heartbeat has stood still too long.
    fn gone(&mut self, beating: Vec<(String, String)>, now_ms: u64) -> Vec<(String, String)> {
        let mut before = std::mem::take(&mut self.0);
        let mut gone = Vec::new();
        for (id, heartbeat) in beating {
            let since_ms = match before.remove(&id) {
                Some((seen, since_ms)) if seen == heartbeat => since_ms,
                _ => now_ms,
            };
            if now_ms - since_ms > longest_ms(&heartbeat) {
                gone.push((id.clone(), heartbeat.clone()));
            }
            self.0.insert(id, (heartbeat, since_ms));
        }
        gone
    }
}

/// W of COHERENCE §3 for a member that wrote `time L D`; ten minutes where that cannot be read.
fn longest_ms(heartbeat: &str) -> u64 {
    let mut numbers = heartbeat.split(' ').skip(1).map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(bound_ms)), Some(Ok(cached_ms))) => bound_ms.saturating_add(cached_ms).saturating_mul(11) / 10,
        _ => 600_000,
    }
}

impl Core {
    /// Removes members that died.
    pub(super) async fn remove_the_dead(&self, others: &mut Others) {
        let Ok(held) = self.hold() else { return };
        let Some(beating) = self.members(&held, &[]).await else { return };
        let gone = others.gone(beating, crate::clock::boottime_ms());
        if !gone.is_empty() {
            self.members(&held, &gone).await;
        }
    }

    /// Leaves the list: this process ends.
    pub(super) async fn leave(&self) {
        if let Ok(held) = self.hold() {
            self.members(&held, &[(self.member.to_string(), String::new())]).await;
        }
    }

    /// Removes these; who is left, with their heartbeats.
    async fn members(&self, held: &Held, removed: &[(String, String)]) -> Option<Vec<(String, String)>> {
        let call = Call::new(Script::Members).arg("epoch").arg(&held.epoch).arg("").arg("").arg("");
        let call = removed.iter().fold(call, |call, (id, heartbeat)| call.arg(id).arg(heartbeat));
        let reply = held.wire.run(call, ADMIN).await.ok().filter(|reply| reply.status() == "ok")?;
        let text = |reply: &Reply| reply.text().map(ToOwned::to_owned);
        reply.at(1).list().chunks(2).map(|pair| if let [id, beat] = pair { text(id).zip(text(beat)) } else { None }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_is_who_stands_still_longer_than_its_leases() {
        let mut others = Others::default();
        let at = |beat: &str| vec![("a".to_owned(), format!("{beat} 1000 500")), ("b".to_owned(), "1.0 1000 500".to_owned())];
        assert_eq!(others.gone(at("1.0"), 5_000), []);
        assert_eq!(others.gone(at("2.0"), 6_650), [], "1.1 × 1.5 s");
        assert_eq!(others.gone(at("3.0"), 6_651), at("3.0")[1..]);
        assert_eq!(others.gone(vec![], 9_000), []);
        assert_eq!(longest_ms("nonsense"), 600_000);
    }
}
