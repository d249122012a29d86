//! Minting: what is decided before a token is written, the same for both stores.
//!
//! Pure: the records come from the database, where the authority is, not from the store.

use super::holder::effective;
use super::record::{Content, Fill, KeyRecord, Record, TokenRecord};
use super::store::{MintOrder, MintRefusal, Settings};
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;

/// The scopes of the token that `order` asks for.
///
/// # Errors
/// [`MintRefusal::NoSuchKey`] where the key has ended, the secret is not a live one of it, or someone above is
/// blocked or missing; [`MintRefusal::ScopeNotHeld`] with those that the key or a level above does not give.
pub(super) fn admit(records: &[Record], order: &MintOrder, now: UnixMs) -> Result<ScopeSet, MintRefusal> {
    let fill = fill_of(records);
    let Some((_, key)) = fill.key.as_ref().filter(|(id, _)| *id == order.key) else { return Err(MintRefusal::NoSuchKey) };
    if key.ended || key.ends.is_some_and(|end| end <= now) || !secret_is_live(key, order.secret.as_ref(), now) {
        return Err(MintRefusal::NoSuchKey);
    }
    let grant = effective(&fill.chain, &fill.policies).ok_or(MintRefusal::NoSuchKey)?.narrowed(&key.scopes, &ScopeSet::default());
    let Some(wanted) = &order.scopes else { return Ok(key.scopes.clone()) };
    match ScopeSet::of(grant.missing(wanted)) {
        missing if missing.is_empty() => Ok(wanted.clone()),
        missing => Err(MintRefusal::ScopeNotHeld(missing)),
    }
}

/// The record of a token, with an id that no other has.
///
/// # Errors
/// Where the operating system has no randomness to give, or nothing signs.
pub(super) fn record(order: &MintOrder, scopes: ScopeSet, now: UnixMs, settings: &Settings) -> Result<TokenRecord, MintRefusal> {
    Ok(TokenRecord {
        id: Id::random().map_err(|_| MintRefusal::Unavailable)?,
        key: order.key,
        scopes,
        issued: now,
        cap: now.after(settings.max_lifetime),
        format: order.format,
        signed_by: order.signers.first().ok_or(MintRefusal::Unavailable)?.clone(),
        issuer: order.issuer.clone(),
    })
}

/// What is read from the database as a check would see it.
fn fill_of(records: &[Record]) -> Fill {
    let mut fill = Fill { token: None, key: None, session: None, chain: Vec::new(), policies: Vec::new() };
    for record in records {
        match &record.content {
            Content::Key(key) => fill.key = Some((record.id, key.clone())),
            Content::Session(session) => fill.session = Some((record.id, session.clone())),
            Content::Subject(subject) => fill.chain.push((record.id, subject.clone())),
            Content::Policy(policy) => fill.policies.push((record.id, policy.clone())),
        }
    }
    fill
}

/// Whether `secret` is the standing one or in its rotation grace. Hashes, so comparing them tells nothing of a secret.
fn secret_is_live(key: &KeyRecord, secret: Option<&[u8; 32]>, now: UnixMs) -> bool {
    secret.is_none_or(|secret| key.secrets.iter().any(|(hash, until)| hash == secret && until.is_none_or(|until| until > now)))
}
