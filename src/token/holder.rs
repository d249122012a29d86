//! From a fill to a holder: whether what a credential hangs on is live, and what it may do now.
//!
//! Pure. Effective scopes are token ∩ key ∩ the principal's ∩ every level above, as the records say
//! at this moment; absence of any of them refuses.

use super::denials;
use super::record::{Fill, KeyRecord, PolicyRecord, Role, SubjectRecord, TokenRecord};
use super::store::{Ask, CHAIN_DEPTH};
use crate::clock::UnixMs;
use crate::decision::credential::CredentialKind;
use crate::decision::holder::{Grant, Holder};
use crate::decision::limit::Limited;
use crate::decision::scopes::ScopeSet;
use crate::decision::told::About;
use crate::id::Id;
use crate::issuers::Proved;
use crate::token::terms::Terms;

/// A live credential: who holds it, and the token to slide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Who holds it and what it may do.
    pub holder: Holder,
    /// Seconds left if not used again; `None` = no end known.
    pub expires_in_s: Option<u64>,
    /// The principal.
    pub subject: Id,
    /// The token that this use keeps alive, with its idle end as read.
    pub token: Option<(TokenRecord, UnixMs)>,
    /// The idle end, as read, and the absolute end of a browser's session that this use keeps alive.
    pub session: Option<(UnixMs, UnixMs)>,
    /// How much may pass, by whose word.
    pub limits: Vec<Limited>,
}

/// What a principal may do: its own level, every level above, less all denies. `None` = refused: the chain is broken, or someone in it is blocked.
pub fn effective(chain: &[(Id, SubjectRecord)], policies: &[(Id, PolicyRecord)]) -> Option<Grant> {
    let mut grant = Grant::everything();
    let mut next = chain.first().map(|(id, _)| *id);
    for (n, (id, subject)) in chain.iter().enumerate() {
        if next != Some(*id) || subject.blocked || n >= CHAIN_DEPTH {
            return None;
        }
        let mut allow = subject.scopes.clone();
        let mut deny = ScopeSet::default();
        for wanted in &subject.policies {
            let (_, policy) = policies.iter().find(|(id, _)| id == wanted)?;
            if !policy.ended {
                allow = allow.union(&policy.allow);
                deny = deny.union(&policy.deny);
            }
        }
        grant = grant.narrowed(&allow, &deny);
        next = subject.up;
    }
    (!chain.is_empty() && next.is_none()).then_some(grant)
}

/// What a live credential is, whatever the time: good until [`Standing::ends`], then it must be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who holds it; how long it lasts is said at each check.
    pub holder: Holder,
    /// The principal.
    pub subject: Id,
    /// Its tenant.
    pub tenant: Id,
    /// Where it stands.
    pub role: Role,
    /// The token that a use keeps alive, with its idle end as read.
    pub token: Option<(TokenRecord, UnixMs)>,
    /// The idle end, as read, and the absolute end of a browser's session that a use keeps alive.
    pub session: Option<(UnixMs, UnixMs)>,
    /// The first of its ends as things were read: no check later than this may be answered by it.
    pub ends: UnixMs,
    /// The same without a token's idle end, which the check itself moves on: what `X-Auth-Expires-In` counts down to.
    pub told_end: UnixMs,
    /// How much may pass, by whose word.
    pub limits: Vec<Limited>,
}

/// Later than any check.
const NEVER: UnixMs = UnixMs(u64::MAX);

impl Standing {
    /// `X-Auth-Expires-In` at `now`: seconds left if not used again, never above the ttl. `None` = no end known.
    pub fn expires_in_s(&self, now: UnixMs, ttl_s: u64) -> Option<u64> {
        (self.told_end != NEVER).then(|| self.told_end.since(now).as_secs().min(ttl_s))
    }
}

/// Judges what `ask` hangs on, once for as long as nothing of it changes. `secret` is the SHA-256 of an API key presented, alone or beside
/// a token: it must be a live secret of the key. `None` = refused, and no later check is allowed either unless a record changes.
pub fn judge(ask: Ask, fill: Fill, secret: Option<&[u8; 32]>, now: UnixMs) -> Option<Standing> {
    let mut grant = effective(&fill.chain, &fill.policies)?;
    let (subject, principal) = fill.chain.first()?;
    let (mut session_ends, mut agreed) = (None, Terms::default());
    let (kind, mut told_end, key_id) = match ask {
        Ask::Session(sid) => {
            let (id, session) = fill.session.as_ref()?;
            if *id != sid || !session.is_live(now) || session.subject != *subject || secret.is_some() {
                return None;
            }
            // a cookie names a session that has an idle end, a login's JWT one that has none
            let kind = if session.idle_ends.is_some() { CredentialKind::Session } else { CredentialKind::Jwt };
            session_ends = session.idle_ends.map(|idle_ends| (idle_ends, session.ends));
            (kind, session.ends.min(session.idle_ends.unwrap_or(NEVER)), String::new())
        }
        // judged by what it says itself
        Ask::Foreign { .. } => return None,
        Ask::Key(wanted) | Ask::Token { key: wanted, .. } => {
            let (id, key) = fill.key.as_ref()?;
            if *id != wanted || !key.is_live(now) || key.subject != *subject {
                return None;
            }
            // beside a token or alone, a presented key must be a live secret of this very key
            let grace = match secret {
                None => None,
                Some(secret) => secret_of(key, secret, now)?,
            };
            grant = grant.narrowed(&key.scopes, &ScopeSet::default());
            agreed.clone_from(&key.terms);
            let kind = if matches!(ask, Ask::Key(_)) { CredentialKind::ApiKey } else { CredentialKind::Token };
            (kind, key.ends.unwrap_or(NEVER).min(grace.unwrap_or(NEVER)), id.to_string())
        }
    };
    let mut ends = told_end;
    if let Ask::Token { id, key } = ask {
        let (token, idle_end) = fill.token.as_ref()?;
        if token.id != id || token.key != key || token.cap <= now || *idle_end <= now {
            return None;
        }
        grant = grant.narrowed(&token.scopes, &ScopeSet::default());
        // a use starts the idle time again, so what is told does not know of it
        told_end = told_end.min(token.cap);
        ends = told_end.min(*idle_end);
    } else if matches!(ask, Ask::Key(_)) && secret.is_none() {
        return None; // an API key is its secret: an id alone proves nothing
    }
    let holder = Holder {
        kind,
        uid: subject.to_string(),
        name: principal.name.clone(),
        tenant: principal.tenant.to_string(),
        role: principal.role.as_str().to_owned(),
        key_id,
        networks: agreed.networks,
        subject: About { external_id: principal.terms.external_id.clone(), metadata: principal.terms.metadata.clone() },
        key: About { external_id: agreed.external_id, metadata: agreed.metadata },
        grant,
    };
    let limits = limits(&fill, ask.key());
    let token = fill.token.filter(|_| matches!(ask, Ask::Token { .. }));
    Some(Standing {
        holder,
        subject: *subject,
        tenant: principal.tenant,
        role: principal.role,
        token,
        session: session_ends,
        ends,
        told_end,
        limits,
    })
}

/// Judges an authentic token of another issuer, as [`judge`] does ours: it speaks for whomever it says, unless it is denied, or whoever
/// that is. `None` = refused.
pub fn judge_foreign(token: &Proved, fill: &Fill, now: UnixMs) -> Option<Standing> {
    for id in token.token_id.into_iter().chain([token.subject_id]) {
        let (_, denials) = fill.denials.iter().find(|(bucket, _)| *bucket == denials::bucket(id))?;
        if denials.denies(id, now) {
            return None;
        }
    }
    let holder = Holder {
        kind: CredentialKind::Issuer(token.issuer),
        uid: token.subject.clone(),
        name: token.subject.clone(),
        tenant: token.tenant.clone(),
        role: Role::Foreign.as_str().to_owned(),
        key_id: String::new(),
        networks: Vec::new(),
        subject: About::default(),
        key: About::default(),
        grant: Grant { allow: token.scopes.clone(), deny: ScopeSet::default() },
    };
    let (subject, tenant, ends) = (token.subject_id, token.tenant_id, token.ends);
    let standing =
        Standing { holder, subject, tenant, role: Role::Foreign, limits: Vec::new(), token: None, session: None, ends, told_end: ends };
    (ends > now).then_some(standing)
}

/// What the key allows, the principal and those above it, and every policy of theirs, in a fixed order.
fn limits(fill: &Fill, key: Option<Id>) -> Vec<Limited> {
    let of_key = fill.key.iter().filter(|(id, _)| Some(*id) == key).map(|(id, key)| (*id, &key.terms));
    let of_subjects = fill.chain.iter().map(|(id, subject)| (*id, &subject.terms));
    let of_policies = fill.policies.iter().filter(|(_, policy)| !policy.ended).map(|(id, policy)| (*id, &policy.terms));
    of_key.chain(of_subjects).chain(of_policies).filter_map(|(id, terms)| Some(terms.limit.as_ref()?.0.said_by(id))).flatten().collect()
}

/// Judges what `ask` hangs on for one moment: see [`judge`]. `ttl_s` bounds what `X-Auth-Expires-In` says.
pub fn live(ask: Ask, fill: Fill, secret: Option<&[u8; 32]>, now: UnixMs, ttl_s: u64) -> Option<Live> {
    let standing = judge(ask, fill, secret, now)?;
    let expires_in_s = standing.expires_in_s(now, ttl_s);
    let Standing { holder, subject, token, session, limits, .. } = standing;
    Some(Live { holder, expires_in_s, subject, token, session, limits })
}

/// The end of the rotation grace of this secret, if it is a live one of the key. `None` = it is not.
pub fn secret_of(key: &KeyRecord, secret: &[u8; 32], now: UnixMs) -> Option<Option<UnixMs>> {
    let same = |hash: &[u8; 32]| bool::from(subtle::ConstantTimeEq::ct_eq(&hash[..], &secret[..]));
    let (_, until) = key.secrets.iter().find(|(hash, _)| same(hash))?;
    until.is_none_or(|until| until > now).then_some(*until)
}

#[cfg(test)]
mod tests;
