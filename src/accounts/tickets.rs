//! Tickets: made from what a caller holds, for the address of a WebSocket. Nothing is written anywhere: the store learns of one when it
//! is used.

use std::time::Duration;

use super::{Accounts, Origin, Refusal};
use crate::clock::UnixMs;
use crate::decision::credential::{CredentialKind, Presented};
use crate::decision::path::Path;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::issuers::Issuers;
use crate::token::holder::judge;
use crate::token::recognise::{Authentic, recognise};
use crate::token::secret::sha256;
use crate::token::store::Ask;
use crate::token::ticket::{LONGEST, Source, Ticket, write};

/// Most bytes of scopes: a ticket stands in an address.
const WORDS: usize = 2048;

/// A ticket to make.
#[derive(Debug, Clone, Default)]
pub struct NewTicket {
    /// How long it lasts at most; `None` = as long as one may.
    pub lasts_s: Option<u64>,
    /// What it may do at most; `None` = as what it is made from.
    pub scopes: Option<ScopeSet>,
    /// The one path that it is good for; `None` = any.
    pub path: Option<String>,
}

/// A ticket that was made.
pub struct MadeTicket {
    /// Its text, shown once.
    pub text: String,
    /// Its end.
    pub ends: UnixMs,
}

/// What a ticket is to be made from.
#[derive(Debug, Clone, Copy)]
pub struct TicketSource {
    source: Source,
    /// When it ends by what it says itself.
    ends: Option<UnixMs>,
    /// Whether it is an API key that was made elsewhere, which nothing proves.
    made_elsewhere: bool,
}

impl TicketSource {
    /// A browser's session.
    pub fn session(id: Id) -> Self {
        Self { source: Source { kind: CredentialKind::Session, ask: Ask::Session(id), secret: None }, ends: None, made_elsewhere: false }
    }

    /// Whether it is a login's JWT, which routes of people take.
    pub fn is_login(&self) -> bool {
        self.source.kind == CredentialKind::Jwt
    }
}

impl Accounts {
    /// What is presented, where tickets are made from such.
    ///
    /// # Errors
    /// [`Refusal::UnknownKey`], [`Refusal::InvalidToken`], of other issuers' tokens too, or the throttle's.
    pub fn ticket_source(&self, presented: Presented<'_>, issuers: &Issuers, origin: Origin) -> Result<TicketSource, Refusal> {
        self.throttle.ask_network(origin.network())?;
        let now = self.database.clock().now();
        let of = |authentic: Authentic| {
            let Authentic { ends, made_elsewhere, .. } = authentic;
            Source::of(&authentic).map(|source| TicketSource { source, ends, made_elsewhere })
        };
        recognise(presented, &self.keyring.load(), &self.mint, issuers, None, now)
            .ok()
            .and_then(of)
            .ok_or_else(|| self.no_source(matches!(presented, Presented::ApiKey(_)), origin))
    }

    /// Makes a ticket.
    ///
    /// # Errors
    /// [`Refusal::Field`], [`Refusal::UnknownKey`] and [`Refusal::InvalidToken`] where its source is not live, [`Refusal::ScopeNotHeld`], or
    /// unavailable.
    pub async fn make_ticket(&self, of: TicketSource, new: NewTicket, origin: Origin) -> Result<MadeTicket, Refusal> {
        let TicketSource { source, ends, .. } = of;
        let lasts = match new.lasts_s.map(Duration::from_secs) {
            None => LONGEST,
            Some(lasts) if !lasts.is_zero() && lasts <= LONGEST => lasts,
            Some(_) => return Err(Refusal::field("expires_in", format!("1 to {} seconds", LONGEST.as_secs()))),
        };
        let path = new.path.as_deref().map(path).transpose()?;
        if new.scopes.as_ref().is_some_and(|scopes| scopes.to_string().len() > WORDS) {
            return Err(Refusal::field("scopes", "more than an address can carry: name fewer"));
        }
        let now = self.database.clock().now();
        if let (true, Ask::Key(key)) = (of.made_elsewhere, source.ask)
            && !self.store.may_be_imported(key).await?
        {
            return Err(self.unknown_key(origin));
        }
        let fill = self.store.look_up(source.ask).await?;
        let standing = fill.and_then(|fill| judge(source.ask, fill, source.secret.as_ref(), now));
        let standing = standing
            .filter(|standing| standing.holder.kind == source.kind)
            .ok_or_else(|| self.no_source(source.kind == CredentialKind::ApiKey, origin))?;
        if let Some(wanted) = &new.scopes {
            let missing = standing.holder.grant.missing(wanted);
            if !missing.is_empty() {
                return Err(Refusal::ScopeNotHeld(missing));
            }
        }
        let ends = now.after(lasts).min(standing.ends).min(ends.unwrap_or(standing.ends));
        let (epoch, store_ends) = self.store.ticket_terms(ends)?;
        let ticket = Ticket { id: Id::random()?, source, epoch, ends: store_ends, path, scopes: new.scopes };
        let text = write(&self.keyring.load(), &ticket).ok_or_else(|| Refusal::Unavailable("a ticket could not be sealed".to_owned()))?;
        if let Some(key) = source.ask.key() {
            self.last_used.used(key, now);
        }
        Ok(MadeTicket { text, ends })
    }

    /// A key that is none counts against the network it came from.
    fn no_source(&self, is_key: bool, origin: Origin) -> Refusal {
        if is_key { self.unknown_key(origin) } else { Refusal::InvalidToken }
    }
}

/// The hash of a path that a gate would take.
fn path(text: &str) -> Result<[u8; 32], Refusal> {
    let wrong = |what: String| Refusal::field("path", what);
    if text.contains('?') {
        return Err(wrong("a path, without a query".to_owned()));
    }
    Path::read(text.as_bytes()).map_err(|fault| wrong(fault.to_string()))?;
    Ok(sha256(text.as_bytes()))
}
