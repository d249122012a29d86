//! HEARTBEAT: connects, finds out whether Redis is whole and ours, adopts its epoch or begins RECOVER.
//!
//! It is also the probe of the breaker: once commands fail, [`Core::failed`] lets go of what was held and
//! checks are refused at once; only an answered heartbeat takes hold again.

use std::mem::discriminant;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::core::{Complaint, Core, Held};
use super::link::{CHECK, Failure, Wire};
use super::recover::Recovered;
use super::scripts::Script;
use super::{StartError, examine};
use crate::clock::{UnixMs, boottime_ns, millis};
use crate::token::fencelog::Epoch;
use crate::token::fencelog::follower::{self as fencelog, Ack, Agreement, Heard};

/// Most time between attempts to reach a Redis that does not answer; see [`Core::again`].
const AGAIN: Duration = Duration::from_millis(100);
/// Between attempts where Redis answers and must not be used: until somebody mends it.
const HOPELESS: Duration = Duration::from_secs(1);
/// After a heartbeat without answer.
const MISSED: Duration = Duration::from_millis(20);
/// So many without answer and the connection is made anew: it may be half open.
const MISSES: u32 = 4;

/// What the heart remembers from beat to beat.
#[derive(Default)]
struct Heart {
    wire: Option<Wire>,
    misses: u32,
    /// Numbers the connections.
    link: u64,
    /// Whether the last of them stands in another's place, and nothing was read by it yet.
    is_replaced: bool,
}

/// Beats until the store is dropped.
pub(super) async fn run(core: Weak<Core>) {
    let mut heart = Heart::default();
    while let Some(strong) = core.upgrade() {
        let pause = strong.beat(&mut heart).await;
        let kick = Arc::clone(&strong.kick);
        drop(strong);
        tokio::select! { () = tokio::time::sleep(pause) => {}, () = kick.notified() => {} }
    }
}

/// Whether this Redis may be used; why it did not say, where it did not.
pub(super) async fn examine(core: &Core, wire: &Wire) -> Result<Option<Failure>, StartError> {
    if let Some(failure) = examine::fits(&core.link, wire).await? {
        return Ok(Some(failure));
    }
    match core.send_beat(wire).await {
        Ok(beat) if beat.is_foreign(core) => Err(StartError::Foreign),
        Ok(_) => Ok(None),
        Err(failure) => examine::refusal(failure),
    }
}

/// What `gp_beat` answered.
struct Beat {
    /// When it was sent, nanoseconds since boot.
    sent: u64,
    /// How far the log was applied then.
    applied: Option<Ack>,
    /// The longest `allow_cached_for` that the database listed then.
    cached: Duration,
    whole: bool,
    epoch: String,
    installation: String,
    seq: u64,
    /// The position of the log's last entry.
    last: String,
    recovering: bool,
    settled: bool,
}

impl Beat {
    fn is_foreign(&self, core: &Core) -> bool {
        !self.installation.is_empty() && self.installation != core.database.installation().id.to_string()
    }
}

impl Core {
    /// One beat; how long until the next.
    async fn beat(&self, heart: &mut Heart) -> Duration {
        let wire = match &heart.wire {
            Some(wire) => wire.clone(),
            None => match self.connect(heart).await {
                Ok(wire) => wire,
                Err(pause) => return pause,
            },
        };
        match self.send_beat(&wire).await {
            Ok(beat) => {
                heart.misses = 0;
                self.heed(&wire, &beat, heart).await
            }
            Err(Failure::Stalled) if heart.misses + 1 < MISSES => {
                heart.misses += 1;
                if heart.misses > 1 {
                    self.lose("it does not answer in time");
                }
                MISSED
            }
            Err(failure) => {
                self.lose(&failure.to_string());
                if self.link.is_over(&wire, &failure).await {
                    self.follower().lost(heart.link);
                    heart.misses = 0;
                    heart.wire = None;
                }
                self.again()
            }
        }
    }

    async fn connect(&self, heart: &mut Heart) -> Result<Wire, Duration> {
        let wire = self.link.connect().await.map_err(|failure| {
            self.lose(&failure.to_string());
            self.again()
        })?;
        match examine(self, &wire).await {
            Ok(None) => {
                heart.wire = Some(wire.clone());
                heart.link += 1;
                heart.is_replaced = true;
                Ok(wire)
            }
            Ok(Some(failure)) => {
                self.lose(&failure.to_string());
                Err(self.again())
            }
            Err(error) => Err(self.complain(heart, error)),
        }
    }

    async fn send_beat(&self, wire: &Wire) -> Result<Beat, Failure> {
        let (bound, cached) = (self.settings.staleness_bound, self.listing.cached());
        // before it is sent: from here on its lease is measured
        let (sent_ns, sent, applied) = (boottime_ns(), self.now(), self.follower().ack());
        let settles = self.follower().settles(sent_ns, self.link.slack()).cloned();
        let call = wire.call(Script::Beat).id(self.member).number(millis(bound)).number(millis(cached));
        let call = call.arg(settles.as_ref().map_or("", Epoch::as_str));
        let reply = wire.run_beyond(call, CHECK).await?;
        let received = self.now();
        let number = |n: usize| reply.at(n).number().and_then(|number| u64::try_from(number).ok()).ok_or(Failure::Unread);
        let text = |n: usize| reply.at(n).text().map(ToOwned::to_owned).ok_or(Failure::Unread);
        let beat = Beat {
            sent: sent_ns,
            applied,
            cached,
            whole: number(0)? == 1,
            epoch: text(1)?,
            installation: text(2)?,
            seq: number(3)?,
            last: text(6)?,
            recovering: !text(7)?.is_empty(),
            settled: number(10)? == 1,
        };
        self.listing.hear(sent_ns, number(8)? == 1);
        self.replicas.store(u32::try_from(number(9)?.max(1)).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.offset.note(UnixMs(number(4)? * 1000 + number(5)? / 1000), sent, received);
        Ok(beat)
    }

    /// Whole and ours: adopt. Not whole: recover.
    async fn heed(&self, wire: &Wire, beat: &Beat, heart: &mut Heart) -> Duration {
        if beat.is_foreign(self) {
            return self.complain(heart, StartError::Foreign);
        }
        // nobody is on the way to found what the database has
        let stray = self.follower().is_stray(&beat.epoch) && !beat.recovering;
        if beat.whole
            && let Some(cached) = self.listing.lacks(self.fence.longest_cached())
        {
            // nobody may wait for less than this process's leases: the database has to know of it first
            return match self.list(cached).await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "without the database no lease can be taken");
                    self.again()
                }
            };
        }
        let epoch = (beat.whole && !stray).then(|| Epoch::new(&beat.epoch));
        if let Some(epoch) = epoch.as_ref().filter(|epoch| heart.is_replaced && self.follower().epoch() == Some(*epoch)) {
            // held before that: what is read again can be asked for, so nobody notices
            self.take_hold(wire, epoch);
            self.follower().replaced();
        }
        heart.is_replaced = false;
        let heard = fencelog::Beat {
            sent: beat.sent,
            applied: beat.applied.clone(),
            cached: beat.cached,
            link: heart.link,
            whole: epoch.clone(),
            settled: beat.settled,
            seq: beat.seq,
            last: beat.last.as_str().into(),
        };
        let heard = self.follower().beat(boottime_ns(), heard);
        if let Some(epoch) = epoch {
            self.take_hold(wire, &epoch);
            return if heard == Heard::Adopted {
                if self.follower().agreement() == Agreement::Unknown {
                    self.listing.doubt();
                }
                self.moved.notify_one();
                Duration::ZERO
            } else {
                self.settings.staleness_bound / 4
            };
        }
        self.lose(if stray { "the database has another epoch" } else { "it restarted or lost its data, and is made whole again" });
        match self.recover(wire, &beat.epoch, beat.whole).await {
            Ok(Recovered::Founded) => Duration::ZERO,
            Ok(Recovered::ByOthers) => MISSED,
            Ok(Recovered::Foreign) => self.complain(heart, StartError::Foreign),
            Ok(Recovered::Refused(by)) => {
                // or it is the same Redis after all, which one who knows the epoch is about to make whole
                self.complain(heart, StartError::Rival { by, ours: self.link.place() })
            }
            Err(error) => {
                tracing::warn!(%error, "Redis is not whole yet");
                self.again()
            }
        }
    }

    /// Scripts are sent by this connection, once the database is known to have this epoch.
    fn take_hold(&self, wire: &Wire, epoch: &Epoch) {
        let agreement = self.follower().agreement();
        match agreement {
            Agreement::Agrees => {}
            Agreement::Unknown => return self.look.notify_one(),
            // the lookout looks again in its own time
            Agreement::Differs(_) => return,
        }
        let held = self.held.load();
        if held.as_ref().is_none_or(|held| held.epoch != *epoch || !held.wire.is(wire)) {
            self.held.store(Some(Arc::new(Held { wire: wire.clone(), epoch: epoch.clone() })));
            self.say(true, "whole and ours");
        }
        self.adopted.notify_waiters();
    }

    /// Until a Redis that did not answer is asked again: it is noticed within a heartbeat that it is back.
    fn again(&self) -> Duration {
        AGAIN.min(self.settings.staleness_bound / 4)
    }

    /// Holds nothing to ask by. A lease stays until it is over: an outage shorter than that is not noticed.
    fn lose(&self, why: &str) {
        self.held.store(None);
        self.say(false, why);
    }

    /// Holds nothing, and says why, once: this has to be mended.
    fn complain(&self, heart: &mut Heart, why: StartError) -> Duration {
        let text = why.to_string();
        self.lose(&text);
        self.follower().stop();
        heart.wire = None;
        let mut complaint = self.complaint.lock();
        let is_same = |complaint: &&mut Complaint| discriminant(&complaint.why) == discriminant(&why);
        match complaint.as_mut().filter(is_same) {
            Some(complaint) => complaint.times += 1,
            None => {
                tracing::error!("{text}");
                *complaint = Some(Complaint { why, times: 1 });
            }
        }
        HOPELESS
    }
}
