//! What every token store does.

use std::time::Duration;

use super::Engine;
use super::house::{ADMIN, CLIENT, House, KEY, MAX, POLICY, SECRET, SESSION, TENANT, TTL, ask, scopes};
use crate::clock::Clock;
use crate::database::Database;
use crate::id::Id;
use crate::token::embedded::Embedded;
use crate::token::record::TokenFormat;
use crate::token::store::{Ask, MintOrder, MintRefusal, Settings, TOKENS_PER_KEY};

pub(super) async fn a_minted_token_is_there_with_all_it_hangs_on(house: House) {
    let minted = house.token().await;
    assert_eq!(minted.token.scopes, scopes("orders:read orders:write users:read"));
    assert_eq!((minted.token.key, minted.token.cap), (KEY, minted.token.issued.after(MAX)));
    assert_eq!(minted.token.signed_by, "first");
    let fill = house.fill(ask(&minted)).await.unwrap();
    assert_eq!(fill.token, Some((minted.token.clone(), minted.idle_end)));
    let (key, record) = fill.key.unwrap();
    assert_eq!((key, record.subject, record.secrets), (KEY, CLIENT, vec![(SECRET, None)]));
    assert_eq!(fill.chain.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [CLIENT, ADMIN, TENANT]);
    let live = house.check(ask(&minted)).await.unwrap();
    assert_eq!((live.holder.name.as_str(), live.holder.expires_in_s), ("carl", Some(TTL.as_secs())));
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
    assert_eq!(fill.token.unwrap().1, again.idle_end);
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
        house.store().slide(&token, seen);
    }
    let second = house.token().await;
    assert_ne!(second.token.id, first.token.id);
    assert!(house.check(ask(&first)).await.is_some(), "the old one is still good");
    let (token, seen) = house.fill(ask(&first)).await.unwrap().token.unwrap();
    house.store().slide(&token, seen);
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
        .change(&format!("UPDATE keys SET scopes = 'orders:*', version = version + 1, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY)
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

pub(super) async fn an_ended_token_is_gone_at_the_next_check(house: House) {
    let (gone, other) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    house.end_token(gone.token.id).await;
    assert!(house.check(ask(&gone)).await.is_none());
    assert!(house.check(ask(&other)).await.is_some());
    assert_ne!(house.token().await.token.id, gone.token.id, "an id never comes back");
    assert!(house.check(ask(&gone)).await.is_none());
}

pub(super) async fn an_ended_key_is_gone_at_the_next_check(house: House) {
    let minted = house.token().await;
    assert!(house.check(Ask::Key(KEY)).await.is_some());
    house.end_key().await;
    assert!(house.check(ask(&minted)).await.is_none());
    assert!(house.check(Ask::Key(KEY)).await.is_none());
    assert_eq!(house.mint(house.order()).await.unwrap_err(), MintRefusal::NoSuchKey);
}

pub(super) async fn an_ended_session_is_gone_at_the_next_check(house: House) {
    assert!(house.check(Ask::Session(SESSION)).await.is_some());
    let sql = format!("UPDATE sessions SET ended_at = NOW, version = version + 1, changed_at = NOW WHERE id = '{SESSION}'");
    house.change(&sql, "session", SESSION).await;
    assert!(house.check(Ask::Session(SESSION)).await.is_none());
}

pub(super) async fn narrowed_scopes_act_at_the_next_check(house: House) {
    let minted = house.token().await;
    let set = async |text: &str| {
        let sql = format!("UPDATE keys SET scopes = '{text}', version = version + 1, changed_at = NOW WHERE id = '{KEY}'");
        house.change(&sql, "key", KEY).await;
    };
    set("orders:read").await;
    assert!(!house.allows(ask(&minted), "orders:write").await);
    assert!(house.allows(ask(&minted), "orders:read").await);
    set("orders:read orders:write").await;
    assert!(house.allows(ask(&minted), "orders:write").await, "and widened again");
}

pub(super) async fn a_policy_just_attached_acts_and_one_taken_away_too(house: House) {
    let minted = house.token().await;
    let attach = format!("INSERT INTO principal_policies VALUES ('{ADMIN}', '{POLICY}')");
    let bump = |uid| format!("UPDATE principals SET version = version + 1, changed_at = NOW WHERE uid = '{uid}'");
    house.database.run_in_test(&[attach]).await;
    house.change(&bump(ADMIN), "subject", ADMIN).await;
    assert!(!house.allows(ask(&minted), "orders:write").await, "the deny of a level above");
    assert!(house.allows(ask(&minted), "orders:read").await, "a policy that Redis had not seen does not refuse everything");
    house
        .change(&format!("UPDATE policies SET deny = '', version = version + 1, changed_at = NOW WHERE id = '{POLICY}'"), "policy", POLICY)
        .await;
    assert!(house.allows(ask(&minted), "orders:write").await);
}

pub(super) async fn a_blocked_tenant_or_ancestor_refuses_everyone_below(house: House) {
    let minted = house.token().await;
    for (table, column, id) in [("tenants", "id", TENANT), ("principals", "uid", ADMIN), ("principals", "uid", CLIENT)] {
        for blocked in [1, 0] {
            let sql = format!("UPDATE {table} SET blocked = {blocked}, version = version + 1, changed_at = NOW WHERE {column} = '{id}'");
            house.change(&sql, "subject", id).await;
            for asked in [ask(&minted), Ask::Key(KEY), Ask::Session(SESSION)] {
                assert_eq!(house.check(asked).await.is_some(), blocked == 0, "{table} {asked:?}");
            }
        }
    }
}

pub(super) async fn a_rotated_secret_has_its_grace(house: House) {
    let minted = house.token().await;
    let until = house.now().after(Duration::from_secs(30)).0;
    let old = format!("UPDATE key_secrets SET until = {until} WHERE key = '{KEY}'");
    let new = format!("INSERT INTO key_secrets (hash, key, created_at) VALUES (x'{}', '{KEY}', {until})", "08".repeat(32));
    house.database.run_in_test(&[old, new]).await;
    house.change(&format!("UPDATE keys SET version = version + 1, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY).await;
    let with = |secret| MintOrder { secret: Some(secret), ..house.order() };
    assert_eq!(house.mint(with([8; 32])).await.unwrap().token, minted.token, "its tokens go on");
    assert_eq!(house.mint(with(SECRET)).await.unwrap().token, minted.token);
    assert!(house.check(Ask::Key(KEY)).await.is_some());
    house.advance(Duration::from_secs(30)).await;
    assert_eq!(house.mint(with(SECRET)).await.unwrap_err(), MintRefusal::NoSuchKey);
    assert!(house.check(Ask::Key(KEY)).await.is_none(), "a check refuses it too");
    assert!(house.mint(with([8; 32])).await.is_ok());
}

pub(super) async fn a_key_just_made_is_there(house: House) {
    let id = Id::from_bytes([0x31; 16]);
    let hash = "07".repeat(31) + "01";
    house
        .database
        .run_in_test(&[format!(
            "INSERT INTO keys (id, principal, name, scopes, created_at, changed_at) VALUES ('{id}', '{CLIENT}', 'n', 'orders:read', 1, {})",
            house.now().0
        )])
        .await;
    house.change(&format!("INSERT INTO key_secrets (hash, key, created_at) VALUES (x'{hash}', '{id}', 1)"), "key", id).await;
    let fill = house.fill(Ask::Key(id)).await.unwrap();
    assert_eq!(fill.chain.len(), 3);
    assert!(house.mint(MintOrder { key: id, secret: None, ..house.order() }).await.is_ok());
}

pub(super) async fn a_restart_loses_nothing(mut house: House) {
    let (kept, ended) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    house.end_token(ended.token.id).await;
    house.restart(house.clock.clone(), house.settings).await;
    assert!(house.check(ask(&kept)).await.is_some());
    assert!(house.check(ask(&ended)).await.is_none());
    assert_eq!(house.token().await.token, kept.token);
    house.end_key().await;
    house.restart(house.clock.clone(), house.settings).await;
    assert!(house.check(ask(&kept)).await.is_none());
    assert!(house.check(Ask::Key(KEY)).await.is_none());
}

pub(super) async fn rows_left_by_another_process_are_applied(house: House) {
    let minted = house.token().await;
    let cli = Database::open_sqlite(&house.data.path().join("gatepost.db"), house.clock.clone()).await.unwrap();
    house.commit(&format!("UPDATE keys SET ended_at = NOW, version = 2, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY).await;
    let row = cli.last_row_in_test().await;
    for _ in 0..40 {
        if cli.is_done(row).await.unwrap() {
            return assert!(house.check(ask(&minted)).await.is_none());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not done in two seconds");
}

pub(super) async fn a_slide_is_written_once_a_step(mut house: House) {
    // a step is one second
    house.restart(house.clock.clone(), Settings { ttl: Duration::from_secs(10), ..house.settings }).await;
    let minted = house.token().await;
    let before = writes(&house, minted.token.id).await;
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        let tenth = Duration::from_millis(100);
        house.clock.advance(tenth);
        if house.engine != Engine::Embedded {
            tokio::time::sleep(tenth).await;
        }
        let (token, seen) = house.fill(ask(&minted)).await.unwrap().token.unwrap();
        house.store().slide(&token, seen);
        house.store().flush().await;
    }
    let written = writes(&house, minted.token.id).await - before;
    match house.engine {
        Engine::Embedded => assert_eq!(written, 2000, "two steps on"),
        _ => assert!((1..=begun.elapsed().as_secs() + 1).contains(&written), "{written} writes in {:?}", begun.elapsed()),
    }
    let (_, end) = house.fill(ask(&minted)).await.unwrap().token.unwrap();
    assert!(end >= house.now().after(Duration::from_secs(10)));
}

/// Redis: how many PEXPIREATs ran. Embedded: the idle end in the database.
async fn writes(house: &House, id: Id) -> u64 {
    match &house.server {
        Some(server) => server.calls("pexpireat").await,
        None => {
            let live = house.database.live_tokens(house.now()).await.unwrap();
            live.iter().find(|live| live.token.id == id).unwrap().idle_end.0
        }
    }
}

pub(super) async fn a_slide_never_resurrects(house: House) {
    let minted = house.token().await;
    let (token, seen) = house.fill(ask(&minted)).await.unwrap().token.unwrap();
    house.advance(TTL / 2).await;
    house.end_token(minted.token.id).await;
    house.store().slide(&token, seen);
    house.store().flush().await;
    assert!(house.check(ask(&minted)).await.is_none());
    assert!(house.database.live_tokens(house.now()).await.unwrap().is_empty());
}

pub(super) async fn an_unused_token_runs_out_and_a_used_one_does_not(mut house: House) {
    let ttl = Duration::from_secs(2);
    house.restart(house.clock.clone(), Settings { ttl, ..house.settings }).await;
    let (unused, used) = (house.token().await, house.mint(house.order_of("orders:read")).await.unwrap());
    // Redis ends tokens by its own clock; a step is a second, so at most two seconds more
    for _ in 0..9 {
        let half = Duration::from_millis(500);
        if house.engine == Engine::Embedded {
            house.clock.advance(half);
        } else {
            tokio::time::sleep(half).await;
            house.clock.advance(half);
        }
        let (token, seen) = house.fill(ask(&used)).await.expect("used: it goes on").token.unwrap();
        house.store().slide(&token, seen);
        house.store().flush().await;
    }
    assert!(house.check(ask(&unused)).await.is_none());
    assert!(house.check(ask(&used)).await.is_some());
    assert_ne!(house.token().await.token.id, unused.token.id);
}

pub(super) async fn idle_ends_of_many(house: House) {
    let minted = house.token().await;
    let ends = house.store().idle_ends(&[Id::from_bytes([9; 16]), minted.token.id]).await.unwrap();
    assert_eq!(ends, [None, Some(minted.idle_end)]);
    assert_eq!(house.store().idle_ends(&[]).await.unwrap(), []);
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

#[tokio::test]
async fn embedded_a_clock_set_back_revives_nothing() {
    let mut house = House::new(Engine::Embedded).await;
    let minted = house.token().await;
    house.clock.advance(2 * TTL);
    assert!(house.check(ask(&minted)).await.is_none(), "it ran out, and somebody saw it");
    let set_back = Clock::manual(minted.token.issued);
    house.restart(set_back, house.settings).await;
    assert!(house.now() > minted.token.issued.after(TTL));
    assert!(house.check(ask(&minted)).await.is_none());
}

#[tokio::test]
async fn embedded_a_second_process_is_refused() {
    let house = House::new(Engine::Embedded).await;
    let error = Embedded::start(house.database.clone(), house.settings).await.err().unwrap();
    assert!(error.to_string().contains("another gatepost serves"), "{error}");
}
