//! What an allowed check keeps alive: the end that a use moves on, the note of when a key was used last, an entry that is about to run out.

use std::sync::Arc;
use std::time::Duration;

use super::{Gate, Heard};
use crate::clock::{Moment, UnixMs};
use crate::decision::credential::CredentialKind;
use crate::decision::request::Request;
use crate::dialect::Asked;
use crate::token::cache::{Entry, Name, Provers};
use crate::token::recognise::{At, Authentic, recognise};
use crate::token::store::Ask;

impl Gate {
    /// Keeps alive what an allowed check used: two comparisons, unless something is due.
    pub(super) fn used(&self, entry: &Entry, asked: &Asked<'_>, request: &Request<'_>, heard: &Heard, at: Moment) {
        let now = at.now;
        // nothing of another issuer's token moves, and to prove it again would cost a signature
        if matches!(entry.kind(), CredentialKind::Issuer(_)) {
            return;
        }
        let (is_first, is_due) = (entry.is_first_of_minute(now), entry.is_due(now));
        if !is_first && !is_due {
            return;
        }
        let shared = &self.shared;
        let place = At { host: &request.host, domains: &shared.domains };
        // what is kept does not say of what id it is; what is presented does
        let keyring = shared.keyring.load();
        let provers = shared.provers(&keyring);
        let recognised = || recognise(asked.presented, &keyring, &shared.mint, &shared.issuers, Some(place), now);
        let (ask, authentic) = match &heard.ticket {
            Some(ticket) => (ticket.source(), None),
            None => match recognised() {
                Ok(authentic) => (authentic.ask, Some(authentic)),
                Err(_) => return,
            },
        };
        if let (true, Some(key)) = (is_first, ask.key()) {
            shared.last_used.used(key, now);
        }
        if !is_due {
            return;
        }
        entry.slid(match (ask, entry.kind()) {
            (Ask::Token { id, .. }, _) => shared.tokens.slide(id, entry.cap(), UnixMs(0)),
            (Ask::Session(session), CredentialKind::Session) => {
                shared.keep_alive.session_used(session, entry.subject(), entry.deadline(), entry.cap())
            }
            (Ask::Session(session), _) => shared.keep_alive.used(session, entry.subject()),
            (Ask::Key(_) | Ask::Foreign { .. }, _) => UnixMs(u64::MAX),
        });
        if let Some(authentic) = authentic
            && entry.is_fading(now, Duration::from_secs(shared.ttl_s))
            && let Some(name) = shared.tokens.name(&asked.presented, place)
        {
            self.refresh(name, provers, authentic, at);
        }
    }

    /// Asks again, while nobody waits for it, what a token is whose entry is about to run out: no check of a token in use has to, nor
    /// does one fail because just then the store does not answer.
    fn refresh(&self, name: Name, provers: Provers, authentic: Authentic, at: Moment) {
        let shared = Arc::clone(&self.shared);
        self.shared.aside.spawn(async move {
            // what it is unavailable for, the next use may ask again
            let _ = shared.tokens.check(name, provers, &authentic, at).await;
        });
    }
}
