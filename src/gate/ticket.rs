//! Tickets at a gate: read from the query of the original URI where every rule concerned takes them, and nowhere else.
//!
//! A ticket stands for what it was made from, found like any credential, in the cache or by asking the store; it narrows that by scopes.
//! INVARIANT: it is used up last, where nothing else refuses; until the store says that nobody used it before, nothing is allowed.

use std::sync::Arc;

use arc_swap::Guard;

use super::{Gate, Heard, Known, Question};
use crate::clock::{Moment, UnixMs};
use crate::decision::credential::{CredentialKind, Presented, Word, ticket};
use crate::decision::holder::{Grant, Holder, Identity, Told, header_value};
use crate::decision::network::Network;
use crate::decision::rules::Attribute;
use crate::decision::scopes::ScopeSet;
use crate::decision::told::Further;
use crate::decision::{Evidence, Shown};
use crate::dialect::{Asked, Call};
use crate::id::Id;
use crate::meters::Charge;
use crate::token::cache::{Cached, Entry, Provers};
use crate::token::store::{Ask, Unavailable};
use crate::token::ticket::{Purpose, Ticket, Worth, read};

const OVER: Evidence<'static> = Evidence::Invalid("expired ticket: get one for each connection");

/// A ticket, and what is known of it so far.
pub(super) struct Ticketed {
    ticket: Ticket,
    stands_for: Result<Narrowed, Unavailable>,
    /// Asked for once nothing else refuses.
    worth: Option<Result<Worth, Unavailable>>,
}

/// What a ticket was made from, as far as the ticket goes.
#[derive(Debug)]
struct Narrowed {
    source: Arc<Entry>,
    grant: Grant,
}

/// What a request presents as its ticket; `None` = nothing. Cookies come by themselves; any other credential beside it is one too many.
pub(super) fn presented<'a>(asked: &Asked<'a>) -> Option<Result<&'a str, &'static str>> {
    use crate::decision::credential::Carrier::{Absent, Doubled, Once};
    let value = match ticket::in_query(asked.told.uri.once()?) {
        Absent => return None,
        Doubled => return Some(Err("two tickets")),
        Once(value) => value,
    };
    Some(match asked.presented {
        Presented::Nothing | Presented::Session(_) => Word::read(value).map(Word::as_str).ok_or("no ticket after `ticket=`"),
        Presented::Malformed(why) => Err(why),
        Presented::Bearer(..) | Presented::ApiKey(_) | Presented::BasicKey(_) => {
            Err("a ticket beside another credential: send one of them")
        }
    })
}

impl Gate {
    /// What is known of the ticket that a request presents.
    pub(super) fn ticketed<'e>(
        &self,
        presented: Result<&str, &'static str>,
        asked: &Asked<'_>,
        at: Moment,
        heard: &'e Heard,
    ) -> Result<Known<'e>, Question> {
        if let Some(ticketed) = &heard.ticket {
            return Ok(ticketed.known(at.now, self.shared.ttl_s));
        }
        let shared = &self.shared;
        let refused = |evidence| Ok(Known::of_kind(evidence, CredentialKind::Ticket));
        let text = match presented {
            Ok(text) => text,
            Err(why) => return refused(Evidence::Invalid(why)),
        };
        let keyring = shared.keyring.load();
        // before anything is judged by them
        let provers = shared.provers(&keyring);
        let Some(ticket) = read(&keyring, text) else { return refused(Evidence::Invalid("malformed or forged ticket")) };
        if shared.tokens.is_over(&ticket, at.now) {
            return refused(OVER);
        }
        if !ticket.is_for(asked.told.uri.once().unwrap_or_default()) {
            return refused(Evidence::Invalid("this ticket is for another path"));
        }
        Err(Question::Ticket(Box::new(ticket), provers))
    }

    /// Finds what a ticket was made from.
    pub(super) async fn stands_for(&self, ticket: Ticket, provers: Provers, at: Moment) -> Ticketed {
        let tokens = &self.shared.tokens;
        let (name, source) = (tokens.name_of_source(&ticket.source), ticket.source.authentic());
        let found = match tokens.cached(name, provers, at) {
            Cached::Known(entry) => Ok(Guard::into_inner(entry)),
            Cached::Unknown => tokens.check(name, provers, &source, at).await,
            // nobody says whether a ticket was used
            Cached::Lapsed { .. } => Err(Unavailable),
        };
        Ticketed { stands_for: found.map(|source| Narrowed::by(source, ticket.scopes.as_ref())), ticket, worth: None }
    }

    /// Asks what the ticket is worth that nothing else refuses, which uses it up where it is to let something pass. What was charged goes
    /// back where it is worth nothing.
    pub(super) async fn weigh(&self, ticketed: &mut Ticketed, purpose: Purpose, charged: &[Charge]) {
        let worth = self.shared.tokens.ticket(&ticketed.ticket, purpose).await;
        if worth != Ok(Worth::Good) {
            self.shared.meters.put_back(charged.iter().copied());
        }
        ticketed.worth = Some(worth);
    }
}

impl Question {
    /// What a ticket is worth, for this call, which was charged so.
    pub(super) fn worth(call: Option<Call>, charged: Vec<Charge>) -> Self {
        let purpose = if call == Some(Call::Verify) { Purpose::Use } else { Purpose::Look };
        Self::Worth(purpose, charged)
    }
}

impl Ticketed {
    /// Whether it has been asked what it is worth.
    pub(super) fn is_weighed(&self) -> bool {
        self.worth.is_some()
    }

    /// What it was made from.
    pub(super) fn source(&self) -> Ask {
        self.ticket.source.ask
    }

    fn known(&self, now: UnixMs, ttl_s: u64) -> Known<'_> {
        let narrowed = self.stands_for.as_ref().ok().filter(|narrowed| narrowed.source.is_live());
        let evidence = match (self.worth, narrowed) {
            _ if self.stands_for.is_err() => Evidence::Unavailable,
            (Some(Err(Unavailable)), _) => Evidence::Unavailable,
            (Some(Ok(Worth::Used)), _) => Evidence::UsedTicket,
            (Some(Ok(Worth::Over)), _) => OVER,
            (None | Some(Ok(Worth::Good)), Some(narrowed)) => {
                Evidence::Live { holder: Shown::Kept(narrowed), expires_in_s: narrowed.source.expires_in_s(now, ttl_s) }
            }
            (None | Some(Ok(Worth::Good)), None) => Evidence::Invalid("what this ticket was made from has ended"),
        };
        Known { evidence, kind: Some(CredentialKind::Ticket), used: narrowed.map(|narrowed| &*narrowed.source) }
    }
}

impl Narrowed {
    fn by(source: Arc<Entry>, scopes: Option<&ScopeSet>) -> Self {
        let grant = match scopes {
            None => source.grant().clone(),
            Some(scopes) => source.grant().narrowed(scopes, &ScopeSet::default()),
        };
        Self { source, grant }
    }
}

impl Identity for Narrowed {
    fn kind(&self) -> CredentialKind {
        CredentialKind::Ticket
    }

    fn is(&self, attribute: Attribute, value: &[u8]) -> bool {
        self.source.is(attribute, value)
    }

    fn grant(&self) -> &Grant {
        &self.grant
    }

    fn networks(&self) -> &[Network] {
        self.source.networks()
    }

    fn told(&self, further: &[Further]) -> Told {
        let scopes = self.grant.same_for_all().then(|| header_value(&self.grant.effective(&[]).to_string()));
        Told { scopes, ..self.source.told(further) }
    }

    fn key(&self) -> Option<Id> {
        self.source.key()
    }

    fn holder(&self) -> Holder {
        Holder { kind: CredentialKind::Ticket, grant: self.grant.clone(), ..self.source.holder() }
    }
}
