//! FILL: what one credential hangs on, in one script, decoded. Every check runs it.

use super::core::Core;
use super::link::{CHECK, Failure};
use super::reply::Reply;
use super::scripts::Script;
use super::text;
use crate::clock::{UnixMs, boottime_ns};
use crate::database::PendingKind;
use crate::id::Id;
use crate::token::denials;
use crate::token::fencelog::check::Leave;
use crate::token::record::Fill;
use crate::token::store::{Ask, CHAIN_DEPTH, Unavailable};

impl Core {
    /// The fill. Where a rightly tagged key or an authentic session is not (wholly) there, its records are brought from the
    /// database, then it is asked again. A token whose records are not there is refused: those are brought only by a mint.
    pub(super) async fn look_up(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        if !Leave::read(&self.fence, boottime_ns()).asks() {
            return Err(Unavailable);
        }
        let found = self.fill(ask).await?;
        let (kind, id) = match ask {
            Ask::Token { .. } => return Ok(found),
            Ask::Foreign { .. } if found.is_some() => return Ok(found),
            Ask::Foreign { token, subject } => {
                for bucket in denials::buckets(token, subject) {
                    self.bring(PendingKind::Denials, bucket).await?;
                }
                // what is not there now is not known, which is not the same as not denied
                return self.fill(ask).await?.map(Some).ok_or(Unavailable);
            }
            Ask::Key(id) => (PendingKind::Key, id),
            Ask::Session(id) => (PendingKind::Session, id),
        };
        if found.as_ref().is_some_and(Fill::is_whole) {
            return Ok(found);
        }
        if self.bring(kind, id).await? { self.fill(ask).await } else { Ok(None) }
    }

    async fn fill(&self, ask: Ask) -> Result<Option<Fill>, Unavailable> {
        match self.fill_once(ask).await {
            // a stall of some milliseconds (a fork) is not worth a refusal
            Err(Some(Failure::Stalled)) => self.fill_once(ask).await.map_err(|_| Unavailable),
            other => other.map_err(|_| Unavailable),
        }
    }

    async fn fill_once(&self, ask: Ask) -> Result<Option<Fill>, Option<Failure>> {
        let held = self.hold().map_err(|_| None)?;
        let call = held.wire.call(Script::Fill).arg(held.epoch.as_str());
        let call = match ask {
            Ask::Token { id, key } => call.arg("t").id(id).id(key),
            Ask::Key(id) => call.arg("k").id(id).arg(""),
            Ask::Session(id) => call.arg("l").id(id).arg(""),
            Ask::Foreign { token, subject } => {
                let [token, subject] = denials::buckets(token, subject);
                call.arg("d").id(token).id(subject)
            }
        };
        let reply = match held.wire.run(call.number(CHAIN_DEPTH as u64), CHECK).await {
            Ok(reply) => reply,
            Err(failure) => {
                self.failed(&held, &failure);
                return Err(Some(failure));
            }
        };
        match reply.status() {
            "ok" => self.decode(ask, &reply).map(Some).ok_or_else(|| {
                tracing::error!(?ask, "a record in Redis cannot be read");
                None
            }),
            "none" => Ok(None),
            _ => {
                self.let_go(&held, "its epoch is not whole or not the one held");
                Err(None)
            }
        }
    }

    fn decode(&self, ask: Ask, reply: &Reply) -> Option<Fill> {
        let mut fill = Fill::default();
        let own = reply.at(3).text();
        match ask {
            Ask::Token { id, key } => {
                let token = text::token(id, reply.at(1).text()?)?;
                // no expiry (somebody persisted it): the cap still holds
                let idle_end = u64::try_from(reply.at(2).number()?).map_or(token.cap, |end| self.our_time(UnixMs(end)).min(token.cap));
                fill.token = Some((token, idle_end));
                if let Some(own) = own {
                    fill.key = Some((key, text::key(own)?));
                }
            }
            Ask::Key(id) => fill.key = Some((id, text::key(own?)?)),
            Ask::Session(id) => fill.session = Some((id, text::session(own?)?)),
            Ask::Foreign { token, subject } => {
                for (n, bucket) in denials::buckets(token, subject).into_iter().enumerate() {
                    fill.denials.push((bucket, text::denials(reply.at(n + 1).text()?)?));
                }
                return Some(fill);
            }
        }
        fill.chain = pairs(reply.at(4), text::subject)?;
        fill.policies = pairs(reply.at(5), text::policy)?;
        Some(fill)
    }

    /// When each token ends if not used again.
    pub(super) async fn idle_ends(&self, tokens: &[Id]) -> Result<Vec<Option<UnixMs>>, Unavailable> {
        let held = self.hold()?;
        let call = tokens.iter().fold(held.wire.call(Script::Ends).arg(held.epoch.as_str()), |call, id| call.id(*id));
        let reply = held.wire.run(call, CHECK).await.map_err(|failure| self.failed(&held, &failure))?;
        if reply.status() != "ok" {
            self.let_go(&held, "its epoch is not whole or not the one held");
            return Err(Unavailable);
        }
        let end = |n: usize| reply.at(n).number().and_then(|end| u64::try_from(end).ok()).map(|end| self.our_time(UnixMs(end)));
        Ok((1..=tokens.len()).map(end).collect())
    }
}

fn pairs<T>(list: &Reply, read: impl Fn(&str) -> Option<T>) -> Option<Vec<(Id, T)>> {
    list.list()
        .chunks(2)
        .map(|pair| match pair {
            [id, content] => Some((id.text()?.parse().ok()?, read(content.text()?)?)),
            _ => None,
        })
        .collect()
}
