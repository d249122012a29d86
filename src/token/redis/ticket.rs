//! Tickets: which were used, in the epoch they were made in.
//!
//! An epoch lives in one Redis process, and whatever was lost, rolled back or promoted is given another before anything is believed of it.
//! So a ticket that names the epoch can be used in that one process alone, where a script is atomic: once, whatever Redis loses.

use super::core::{Core, Held};
use super::link::{CHECK, Failure};
use super::scripts::Script;
use crate::clock::{UnixMs, boottime_ns};
use crate::id::Id;
use crate::token::store::Unavailable;
use crate::token::ticket::{Purpose, Ticket, Worth};

impl Core {
    /// The epoch of a ticket that is made now and lasts until `ends`, and that end by Redis's clock.
    pub(super) fn ticket_terms(&self, ends: UnixMs) -> Result<(Id, UnixMs), Unavailable> {
        Ok((epoch_of(&*self.leased()?), self.redis_time(ends)))
    }

    /// What it is worth, to use it up or to know.
    pub(super) async fn ticket(&self, ticket: &Ticket, purpose: Purpose) -> Result<Worth, Unavailable> {
        let user = match purpose {
            Purpose::Use => Id::random().map_err(|_| Unavailable)?.to_string(),
            Purpose::Look => String::new(),
        };
        match self.ticket_once(ticket, &user).await {
            // it may have been used without our hearing of it
            Err(Some(Failure::Stalled)) => self.ticket_once(ticket, &user).await,
            worth => worth,
        }
        .map_err(|_| Unavailable)
    }

    async fn ticket_once(&self, ticket: &Ticket, user: &str) -> Result<Worth, Option<Failure>> {
        let held = self.leased().map_err(|Unavailable| None)?;
        if epoch_of(&held) != ticket.epoch {
            return Ok(Worth::Over);
        }
        let call = held.wire.call(Script::Ticket).arg("epoch").arg(held.epoch.as_str()).arg("").arg("").arg("");
        let reply = match held.wire.run(call.id(ticket.id).number(ticket.ends.0).arg(user), CHECK).await {
            Ok(reply) => reply,
            Err(failure) => {
                self.failed(&held, &failure);
                return Err(Some(failure));
            }
        };
        match reply.status() {
            "good" => Ok(Worth::Good),
            "used" => Ok(Worth::Used),
            "over" => Ok(Worth::Over),
            _ => {
                self.let_go(&held, "its epoch is not whole or not the one held");
                Err(None)
            }
        }
    }

    /// What is held, under a lease: an old primary may still answer.
    fn leased(&self) -> Result<std::sync::Arc<Held>, Unavailable> {
        if self.fence.lease() <= boottime_ns() { Err(Unavailable) } else { self.hold() }
    }
}

fn epoch_of(held: &Held) -> Id {
    Id::named("epoch", held.epoch.as_str())
}
