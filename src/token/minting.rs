//! Minting: what is decided before a token is written, the same for both stores.
//!
//! Pure: the records come from the database, where the authority is, not from the store.

use super::holder::{effective, secret_of};
use super::record::{Fill, Record, TokenRecord};
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
    let fill = Fill::of(records.iter().cloned());
    let Some((_, key)) = fill.key.as_ref().filter(|(id, _)| *id == order.key) else { return Err(MintRefusal::NoSuchKey) };
    let secret_lives = order.secret.as_ref().is_none_or(|secret| secret_of(key, secret, now).is_some());
    if !key.is_live(now) || !secret_lives {
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
