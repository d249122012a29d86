//! What a mint gives, and to whom.

use std::time::Duration;

use super::Engine;
use super::house::{ADMIN, CLIENT, House, KEY, MAX, SECRET, SESSION, TENANT, TTL, ask, scopes};
use crate::clock::UnixMs;
use crate::id::Id;
use crate::token::record::TokenFormat;
use crate::token::store::{Ask, MintOrder, MintRefusal, TOKENS_PER_KEY};

/// Where Redis tells the time, a heartbeat in between may have found out better how far its clock is from ours.
fn is_about(read: UnixMs, written: UnixMs) -> bool {
    read.0.abs_diff(written.0) < 1000
}

pub(super) async fn a_minted_token_is_there_with_all_it_hangs_on(house: House) {
    let minted = house.token().await;
    assert_eq!(minted.token.scopes, scopes("orders:read orders:write users:read"));
    assert_eq!((minted.token.key, minted.token.cap), (KEY, minted.token.issued.after(MAX)));
    assert_eq!(minted.token.signed_by, "first");
    let fill = house.fill(ask(&minted)).await.unwrap();
    let (token, idle_end) = fill.token.unwrap();
    assert_eq!(token, minted.token);
    assert!(is_about(idle_end, minted.idle_end));
    let (key, record) = fill.key.unwrap();
    assert_eq!((key, record.subject, record.secrets), (KEY, CLIENT, vec![(SECRET, None)]));
    assert_eq!(fill.chain.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [CLIENT, ADMIN, TENANT]);
    let live = house.check(ask(&minted)).await.unwrap();
    assert_eq!((live.holder.name.as_str(), live.expires_in_s), ("carl", Some(TTL.as_secs())));
    assert_eq!(house.database.live_tokens(house.now()).await.unwrap()[0].token, minted.token, "it is recorded");
}

pub(super) async fn a_token_naming_another_key_is_refused(house: House) {
    let minted = house.token().await;
    assert_eq!(house.fill(Ask::Token { id: minted.token.id, key: Id::from_bytes([9; 16]) }).await, None);
}

pub(super) async fn nobody_finds_what_was_never_there(house: House) {
    let nobody = Id::from_bytes([9; 16]);
    assert_eq!(house.fill(Ask::Token { id: nobody, key: KEY }).await, None);
    assert_eq!(house.fill(Ask::Key(nobody)).await, None);
    assert_eq!(house.fill(Ask::Session(nobody)).await, None);
    assert!(house.check(Ask::Key(KEY)).await.is_some());
    assert!(house.check(Ask::Session(SESSION)).await.is_some());
}

pub(super) async fn asking_again_gives_the_same_token_and_its_time_back(house: House) {
    let first = house.token().await;
    house.advance(TTL / 2).await;
    let again = house.token().await;
    assert_eq!(again.token, first.token);
    assert!(again.idle_end >= house.now().after(TTL), "the whole ttl again");
    let fill = house.fill(ask(&first)).await.unwrap();
    assert!(is_about(fill.token.unwrap().1, again.idle_end), "so it stands in the store");
    let row = &house.database.live_tokens(house.now()).await.unwrap()[0];
    assert!(row.idle_end.0.abs_diff(again.idle_end.0) <= 1, "the row too");
}

pub(super) async fn near_the_cap_a_new_one_comes_and_the_old_one_runs_out(house: House) {
    let first = house.token().await;
    // used all the time, up to where less than ttl is left; where Redis tells the time, none passes
    let mut left = MAX - TTL + Duration::from_secs(1);
    while !left.is_zero() {
        let step = if house.engine == Engine::Embedded { left.min(TTL / 2) } else { left };
        house.advance(step).await;
        left -= step;
        let (token, seen) = house.fill(ask(&first)).await.unwrap().token.unwrap();
        house.store().slide(token.id, token.cap, seen);
    }
    let second = house.token().await;
    assert_ne!(second.token.id, first.token.id);
    assert!(house.check(ask(&first)).await.is_some(), "the old one is still good");
    let (token, seen) = house.fill(ask(&first)).await.unwrap().token.unwrap();
    house.store().slide(token.id, token.cap, seen);
    house.store().flush().await;
    let (_, end) = house.fill(ask(&first)).await.unwrap().token.unwrap();
    assert!(end <= first.token.cap, "never past the cap");
    assert_eq!(house.token().await.token, second.token);
    house.advance(TTL).await;
    assert!(house.check(ask(&first)).await.is_none(), "over");
}

pub(super) async fn another_format_or_a_lost_signer_is_not_answered_again(house: House) {
    let first = house.token().await;
    let jwt = house.mint(MintOrder { format: TokenFormat::Jwt, issuer: "https://a".into(), ..house.order() }).await.unwrap();
    assert_ne!(jwt.token.id, first.token.id);
    assert_eq!((jwt.token.format, jwt.token.issuer.as_str()), (TokenFormat::Jwt, "https://a"));
    let rotated = house.mint(MintOrder { signers: vec!["third".into(), "first".into()], ..house.order() }).await.unwrap();
    assert_eq!(rotated.token, first.token, "its signer still verifies");
    let gone = house.mint(MintOrder { signers: vec!["third".into()], ..house.order() }).await.unwrap();
    assert_ne!(gone.token.id, first.token.id);
    assert_eq!(gone.token.signed_by, "third");
    assert!(house.check(ask(&first)).await.is_some(), "the old one runs out by itself");
}

pub(super) async fn so_many_live_tokens_and_no_more(house: House) {
    house
        .change(&format!("UPDATE api_keys SET scopes = 'orders:*', version = version + 1, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY)
        .await;
    let mut minted = Vec::new();
    for n in 0..TOKENS_PER_KEY {
        minted.push(house.mint(house.order_of(&format!("orders:s{n}"))).await.unwrap());
    }
    assert_eq!(house.mint(house.order_of("orders:more")).await.unwrap_err(), MintRefusal::TooManyTokens);
    assert_eq!(house.mint(house.order_of("orders:s7")).await.unwrap().token, minted[7].token, "asking again still works");
    house.end_token(minted[3].token.id).await;
    assert!(house.mint(house.order_of("orders:more")).await.is_ok(), "one ended, one free");
}

pub(super) async fn a_subset_of_scopes_is_a_token_of_its_own(house: House) {
    let all = house.token().await;
    let some = house.mint(house.order_of("orders:read")).await.unwrap();
    assert_ne!(all.token.id, some.token.id);
    assert!(house.allows(ask(&all), "orders:write").await);
    assert!(house.allows(ask(&some), "orders:read").await);
    assert!(!house.allows(ask(&some), "orders:write").await);
    assert_eq!(house.mint(house.order_of("orders:read")).await.unwrap().token, some.token);
}

pub(super) async fn refusals_name_the_scopes(house: House) {
    let refused = house.mint(house.order_of("orders:read billing:read users:write")).await.unwrap_err();
    assert_eq!(refused, MintRefusal::ScopeNotHeld(scopes("billing:read users:write")));
    let sql = format!("UPDATE principals SET scopes = 'orders:*', version = version + 1, changed_at = NOW WHERE uid = '{CLIENT}'");
    house.change(&sql, "subject", CLIENT).await;
    assert_eq!(
        house.mint(house.order_of("users:read")).await.unwrap_err(),
        MintRefusal::ScopeNotHeld(scopes("users:read")),
        "a level above"
    );
}

pub(super) async fn who_may_not_mint(house: House) {
    let refused = async |order| house.mint(order).await.unwrap_err();
    assert_eq!(refused(MintOrder { key: Id::from_bytes([9; 16]), ..house.order() }).await, MintRefusal::NoSuchKey);
    assert_eq!(refused(MintOrder { secret: Some([8; 32]), ..house.order() }).await, MintRefusal::NoSuchKey);
    assert!(house.mint(MintOrder { secret: None, ..house.order() }).await.is_ok(), "an act of the owner");
    let sql = format!("UPDATE tenants SET blocked = 1, version = version + 1, changed_at = NOW WHERE id = '{TENANT}'");
    house.change(&sql, "subject", TENANT).await;
    assert_eq!(refused(house.order()).await, MintRefusal::NoSuchKey);
}

pub(super) async fn many_at_once(house: House) {
    let minted = house.token().await;
    let asking = (0..200).map(|n| {
        let store = house.store().clone();
        let order = house.order();
        let asked = ask(&minted);
        tokio::spawn(async move {
            if n % 20 == 0 {
                store.mint(order).await.map(|again| again.token.id).ok()
            } else {
                store.look_up(asked).await.ok()?.map(|fill| fill.token.unwrap().0.id)
            }
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        if let Some(id) = asked.await.unwrap() {
            assert_eq!(id, minted.token.id);
        }
    }
}
