//! What stands behind a token or key given to `explain`: authentic or not, live or what became of it.
//!
//! The gate tells all that is not live by one word, so that nobody learns from it. Whoever explains may know more, so the database,
//! which keeps ended tokens for a week, is asked besides.

use std::time::Duration;

use super::{Fate, Shown};
use crate::clock::UnixMs;
use crate::database::{Database, DatabaseError, PendingKind};
use crate::decision::Evidence;
use crate::decision::credential::Presented;
use crate::id::Id;
use crate::issuers::Issuers;
use crate::token::denials;
use crate::token::holder::{Standing, effective, judge_foreign, live, secret_of};
use crate::token::jwt::JwtFault;
use crate::token::keyring::Keyring;
use crate::token::recognise::{Authentic, NOT_OURS, Unproved, recognise};
use crate::token::record::{Fill, TokenFormat, TokenRecord};
use crate::token::secret::SecretMint;
use crate::token::store::{Ask, TokenStore};

/// Looks a credential up. `presence_is_here` = the database knows which tokens are live (the embedded store).
///
/// # Errors
/// Where the database cannot be read.
pub async fn shown(
    presented: Presented<'_>,
    database: &Database,
    keyring: &Keyring,
    issuers: &Issuers,
    ttl: Duration,
    presence_is_here: bool,
) -> Result<Shown, DatabaseError> {
    let now = database.clock().now();
    let mint = SecretMint::new(&database.installation().key_tag);
    let authentic = match recognise(presented, keyring, &mint, issuers, None, now) {
        Ok(authentic) => authentic,
        Err(unproved) => return Ok(not_authentic(presented, unproved, keyring, now)),
    };
    if let (Some(token), Ask::Foreign { token: id, subject }) = (&authentic.foreign, authentic.ask) {
        let mut fill = Fill::default();
        for bucket in denials::buckets(id, subject) {
            fill.denials.extend(Fill::of(database.records_of(PendingKind::Denials, bucket).await?).denials);
        }
        return Ok(of_another_issuer(presented, &authentic, judge_foreign(token, &fill, now), now, ttl.as_secs()));
    }
    let Authentic { ask, secret, .. } = authentic;
    let mut fill = Fill::of(database.records_of(about(ask).0, about(ask).1).await?);
    let mut is_assumed = false;
    if let Ask::Token { id, key } = ask {
        if presence_is_here {
            let found = database.live_tokens(now).await?.into_iter().find(|found| found.token.id == id);
            fill.token = found.map(|found| (found.token, found.idle_end));
        } else if database.token_fate(id).await?.is_some_and(|fate| fate.ended_at.is_none() && fate.cap > now) {
            is_assumed = true;
            fill.token = Some((assumed(id, key, &fill, now.after(ttl)), now.after(ttl)));
        }
    }
    match live(ask, fill, secret.as_ref(), now, ttl.as_secs()) {
        Some(live) => {
            let (fate, state) = if is_assumed {
                (Fate::Assumed, "authentic; whether it is live only the token store knows: shown as if it were, with all its key holds")
            } else {
                (Fate::Live, LIVE)
            };
            Ok(Shown {
                evidence: Evidence::made(live.holder, live.expires_in_s),
                kind: Some(authentic.kind),
                fate,
                state: state.into(),
                limits: live.limits,
            })
        }
        None => Ok(not_live(presented, &authentic, became(ask, secret.as_ref(), database, now).await?)),
    }
}

/// The same, asked of the token store that the gates ask.
pub async fn shown_live(
    presented: Presented<'_>,
    tokens: &TokenStore,
    keyring: &Keyring,
    mint: &SecretMint,
    issuers: &Issuers,
    database: &Database,
    ttl_s: u64,
) -> Shown {
    let now = database.clock().now();
    let authentic = match recognise(presented, keyring, mint, issuers, None, now) {
        Ok(authentic) => authentic,
        Err(unproved) => return not_authentic(presented, unproved, keyring, now),
    };
    let Authentic { kind, ask, secret, .. } = authentic;
    match tokens.look_up(ask).await {
        Err(_) => {
            let state = "authentic; the token store cannot be asked whether it is live".into();
            Shown { evidence: Evidence::Unavailable, kind: Some(kind), fate: Fate::Unavailable, state, limits: Vec::new() }
        }
        Ok(fill) if let Some(token) = &authentic.foreign => {
            let standing = fill.and_then(|fill| judge_foreign(token, &fill, now));
            of_another_issuer(presented, &authentic, standing, now, ttl_s)
        }
        Ok(fill) => match fill.and_then(|fill| live(ask, fill, secret.as_ref(), now, ttl_s)) {
            Some(live) => Shown {
                evidence: Evidence::made(live.holder, live.expires_in_s),
                kind: Some(kind),
                fate: Fate::Live,
                state: LIVE.into(),
                limits: live.limits,
            },
            None => {
                let unread = |_| (Fate::Unknown, "authentic, but not live; the database cannot be asked what became of it".to_owned());
                not_live(presented, &authentic, became(ask, secret.as_ref(), database, now).await.unwrap_or_else(unread))
            }
        },
    }
}

const LIVE: &str = "authentic and live";

fn not_authentic(presented: Presented<'_>, unproved: Unproved, keyring: &Keyring, now: UnixMs) -> Shown {
    let Unproved { evidence, kind, .. } = unproved;
    if kind.is_some() {
        let (fate, state) = match &evidence {
            Evidence::Unavailable => {
                (Fate::Unavailable, "of another issuer, whose keys are not known yet, or not the one it names".to_owned())
            }
            Evidence::Invalid(why) => (Fate::Forged, format!("of another issuer, but {why}")),
            _ => (Fate::Forged, "of another issuer, but not authentic".to_owned()),
        };
        return Shown { evidence, kind, fate, state, limits: Vec::new() };
    }
    let expired = match presented {
        Presented::Bearer(text, _) => keyring.iter().any(|key| key.login_jwt().verify_login(text.as_str(), now) == Err(JwtFault::Expired)),
        _ => false,
    };
    let (fate, state) = match expired {
        true => (Fate::Expired, "an authentic login's JWT that has expired"),
        false => (Fate::Forged, "not authentic: forged, malformed, of another installation, or made under a secret key that is gone"),
    };
    Shown { evidence, kind: None, fate, state: state.into(), limits: Vec::new() }
}

/// An authentic token of another issuer, as it stands.
fn of_another_issuer(presented: Presented<'_>, authentic: &Authentic, standing: Option<Standing>, now: UnixMs, ttl_s: u64) -> Shown {
    match standing {
        Some(standing) => {
            let expires_in_s = standing.expires_in_s(now, ttl_s);
            let state = "authentic, of another issuer, and not denied".to_owned();
            Shown {
                evidence: Evidence::made(standing.holder, expires_in_s),
                kind: Some(authentic.kind),
                fate: Fate::Live,
                state,
                limits: standing.limits,
            }
        }
        None => {
            let state = "authentic, of another issuer, but it is denied here, or whoever it is about".to_owned();
            not_live(presented, authentic, (Fate::Ended, state))
        }
    }
}

fn not_live(presented: Presented<'_>, authentic: &Authentic, (fate, state): (Fate, String)) -> Shown {
    if authentic.made_elsewhere && fate == Fate::Unknown && matches!(presented, Presented::ApiKey(_)) {
        let state = "no API key of this installation, and none that was imported";
        return Shown { evidence: NOT_OURS, kind: None, fate: Fate::Forged, state: state.into(), limits: Vec::new() };
    }
    Shown { evidence: Evidence::Invalid("unknown or ended credential"), kind: Some(authentic.kind), fate, state, limits: Vec::new() }
}

/// What became of an authentic credential that is not live.
async fn became(ask: Ask, secret: Option<&[u8; 32]>, database: &Database, now: UnixMs) -> Result<(Fate, String), DatabaseError> {
    let (kind, id) = about(ask);
    let fill = Fill::of(database.records_of(kind, id).await?);
    let unknown =
        || (Fate::Unknown, "authentic, but the database does not know it: ended long ago, or an older database is in use".to_owned());
    let told = |fate, text: &str| Ok((fate, format!("authentic, but {text}")));
    if let Ask::Session(_) = ask {
        let Some((_, session)) = &fill.session else { return Ok(unknown()) };
        match session.idle_ends.filter(|end| *end <= now) {
            _ if session.ended => return told(Fate::Ended, "its login has ended"),
            _ if session.ends <= now => return told(Fate::Expired, &format!("its login expired at {}", session.ends.rfc3339())),
            Some(end) => return told(Fate::Expired, &format!("its login was not used, and expired at {}", end.rfc3339())),
            None => {}
        }
    } else {
        let Some((_, key)) = &fill.key else { return Ok(unknown()) };
        if key.ended {
            return told(Fate::KeyDeleted, &format!("the key {id} has been deleted, and what was minted from it ended with it"));
        }
        if let Some(end) = key.ends.filter(|end| *end <= now) {
            return told(
                Fate::KeyExpired,
                &format!("the key {id} expired at {}, and what was minted from it ended with it", end.rfc3339()),
            );
        }
        if secret.is_some_and(|secret| secret_of(key, secret, now).is_none()) {
            return told(Fate::SecretReplaced, &format!("the key {id} has been rotated: this secret of it has ended"));
        }
    }
    if effective(&fill.chain, &fill.policies).is_none() {
        return told(Fate::Blocked, "its owner, or someone above, is blocked or deleted");
    }
    let Ask::Token { id, .. } = ask else { return Ok(unknown()) };
    let Some(fate) = database.token_fate(id).await? else { return Ok(unknown()) };
    match fate.ended_at {
        Some(at) => told(Fate::Ended, &format!("it was ended at {}", at.rfc3339())),
        None if fate.cap <= now => told(Fate::Expired, &format!("it expired at {}, the end of its longest life", fate.cap.rfc3339())),
        None if fate.idle_end <= now => told(Fate::Expired, &format!("it was not used, and expired at {}", fate.idle_end.rfc3339())),
        // with Redis the database does not know the idle end
        None => told(Fate::Expired, "it was not used for too long, and expired"),
    }
}

/// The record that a credential hangs on first.
fn about(ask: Ask) -> (PendingKind, Id) {
    match ask {
        Ask::Token { key, .. } | Ask::Key(key) => (PendingKind::Key, key),
        Ask::Session(sid) => (PendingKind::Session, sid),
        Ask::Foreign { token, .. } => (PendingKind::Denials, denials::bucket(token)),
    }
}

fn assumed(id: Id, key: Id, fill: &Fill, cap: UnixMs) -> TokenRecord {
    let scopes = fill.key.as_ref().map(|(_, key)| key.scopes.clone()).unwrap_or_default();
    TokenRecord { id, key, scopes, issued: UnixMs(0), cap, format: TokenFormat::Opaque, signed_by: String::new(), issuer: String::new() }
}
