//! What stands behind a token or key given to `explain`: authentic or not, and live as far as the files tell.

use std::time::Duration;

use super::Shown;
use crate::clock::UnixMs;
use crate::database::{Database, DatabaseError, PendingKind};
use crate::decision::Evidence;
use crate::decision::credential::Presented;
use crate::id::Id;
use crate::token::holder::live;
use crate::token::keyring::Keyring;
use crate::token::recognise::{Authentic, recognise};
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
    ttl: Duration,
    presence_is_here: bool,
) -> Result<Shown, DatabaseError> {
    let now = database.clock().now();
    let mint = SecretMint::new(&database.installation().key_tag);
    let Authentic { kind, ask, secret, .. } = match recognise(presented, keyring, &mint, None, now) {
        Ok(authentic) => authentic,
        Err(evidence) => {
            return Ok(Shown { evidence, kind: None, state: "not authentic: forged, malformed, or of another installation".into() });
        }
    };
    let (about, id) = match ask {
        Ask::Token { key, .. } | Ask::Key(key) => (PendingKind::Key, key),
        Ask::Session(sid) => (PendingKind::Session, sid),
    };
    let mut fill = Fill::of(database.records_of(about, id).await?);
    let mut state = "authentic and live".to_owned();
    if let Ask::Token { id, key } = ask {
        if presence_is_here {
            let found = database.live_tokens(now).await?.into_iter().find(|found| found.token.id == id);
            fill.token = found.map(|found| (found.token, found.idle_end));
        } else {
            fill.token = Some((assumed(id, key, &fill, now.after(ttl)), now.after(ttl)));
            state = "authentic; whether it is live only the token store knows: shown as if it were, with all its key holds".into();
        }
    }
    if fill.token.is_none() && matches!(ask, Ask::Token { .. }) {
        state = "authentic, but ended or expired".into();
    }
    Ok(match live(ask, fill, secret.as_ref(), now, ttl.as_secs()) {
        Some(live) => Shown { evidence: Evidence::made(live.holder, live.expires_in_s), kind: Some(kind), state },
        None => {
            let state = if state == "authentic and live" { "authentic, but ended, or someone above it is blocked".into() } else { state };
            Shown { evidence: Evidence::Invalid("unknown or ended credential"), kind: Some(kind), state }
        }
    })
}

/// The same, asked of the token store that the gates ask.
pub async fn shown_live(
    presented: Presented<'_>,
    tokens: &TokenStore,
    keyring: &Keyring,
    mint: &SecretMint,
    now: UnixMs,
    ttl_s: u64,
) -> Shown {
    let Authentic { kind, ask, secret, .. } = match recognise(presented, keyring, mint, None, now) {
        Ok(authentic) => authentic,
        Err(evidence) => {
            return Shown { evidence, kind: None, state: "not authentic: forged, malformed, or of another installation".into() };
        }
    };
    let (evidence, state) = match tokens.look_up(ask).await {
        Err(_) => (Evidence::Unavailable, "authentic; the token store cannot be asked whether it is live"),
        Ok(fill) => match fill.and_then(|fill| live(ask, fill, secret.as_ref(), now, ttl_s)) {
            Some(live) => (Evidence::made(live.holder, live.expires_in_s), "authentic and live"),
            None => (Evidence::Invalid("unknown or ended credential"), "authentic, but ended, or someone above it is blocked"),
        },
    };
    Shown { evidence, kind: Some(kind), state: state.into() }
}

fn assumed(id: Id, key: Id, fill: &Fill, cap: UnixMs) -> TokenRecord {
    let scopes = fill.key.as_ref().map(|(_, key)| key.scopes.clone()).unwrap_or_default();
    TokenRecord { id, key, scopes, issued: UnixMs(0), cap, format: TokenFormat::Opaque, signed_by: String::new(), issuer: String::new() }
}
