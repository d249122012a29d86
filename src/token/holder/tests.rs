use std::time::Duration;

use super::*;
use crate::token::record::{Role, SessionRecord, TokenFormat};
use crate::token::terms::Terms;

const NOW: UnixMs = UnixMs(1_900_000_000_000);
const TTL_S: u64 = 3600;
const SECRET: [u8; 32] = [7; 32];

fn id(byte: u8) -> Id {
    Id::from_bytes([byte; 16])
}

fn scopes(text: &str) -> ScopeSet {
    text.parse().unwrap()
}

fn later(seconds: u64) -> UnixMs {
    NOW.after(Duration::from_secs(seconds))
}

const TOKEN: u8 = 1;
const KEY: u8 = 2;
const ALICE: u8 = 3;
const BOSS: u8 = 4;
const TENANT: u8 = 5;
const POLICY: u8 = 6;
const SESSION: u8 = 7;

fn subject(role: Role, up: Option<u8>, held: &str) -> SubjectRecord {
    SubjectRecord {
        name: "alice".into(),
        role,
        up: up.map(id),
        tenant: id(TENANT),
        scopes: scopes(held),
        policies: vec![],
        blocked: false,
        terms: Terms::default(),
    }
}

fn token_record(held: &str) -> TokenRecord {
    TokenRecord {
        id: id(TOKEN),
        key: id(KEY),
        scopes: scopes(held),
        issued: NOW,
        cap: later(40_000),
        format: TokenFormat::Opaque,
        signed_by: String::new(),
        issuer: String::new(),
    }
}

fn fill() -> Fill {
    let key = KeyRecord {
        subject: id(ALICE),
        scopes: scopes("*"),
        secrets: vec![(SECRET, None)],
        ends: None,
        ended: false,
        terms: Terms::default(),
    };
    Fill {
        token: Some((token_record("orders:*"), later(100))),
        key: Some((id(KEY), key)),
        session: None,
        chain: vec![
            (id(ALICE), subject(Role::Client, Some(BOSS), "*")),
            (id(BOSS), subject(Role::Admin, Some(TENANT), "*")),
            (id(TENANT), subject(Role::Tenant, None, "*")),
        ],
        policies: vec![],
        denials: vec![],
    }
}

const ASK: Ask = Ask::Token { id: Id::from_bytes([TOKEN; 16]), key: Id::from_bytes([KEY; 16]) };

fn judge(change: impl FnOnce(&mut Fill)) -> Option<Live> {
    let mut fill = fill();
    change(&mut fill);
    live(ASK, fill, None, NOW, TTL_S)
}

fn holds(live: &Option<Live>, scope: &str) -> bool {
    live.as_ref().unwrap().holder.grant.holds(&scope.parse().unwrap())
}

#[test]
fn a_live_token() {
    let live = judge(|_| {}).unwrap();
    assert_eq!(live.expires_in_s, Some(TTL_S));
    assert_eq!((live.subject, live.holder.kind), (id(ALICE), CredentialKind::Token));
    assert_eq!(live.holder.key_id, id(KEY).to_string());
    assert!(holds(&Some(live), "orders:read"));
}

#[test]
fn whatever_is_absent_ended_or_blocked_refuses() {
    type Change = fn(&mut Fill);
    let cases: [(&str, Change); 15] = [
        ("no token", |f| f.token = None),
        ("idle end reached", |f| f.token.as_mut().unwrap().1 = NOW),
        ("cap reached", |f| f.token.as_mut().unwrap().0.cap = NOW),
        ("another token", |f| f.token.as_mut().unwrap().0.id = id(9)),
        ("a token of another key", |f| f.token.as_mut().unwrap().0.key = id(9)),
        ("no key", |f| f.key = None),
        ("another key", |f| f.key.as_mut().unwrap().0 = id(9)),
        ("key ended", |f| f.key.as_mut().unwrap().1.ended = true),
        ("key past its end", |f| f.key.as_mut().unwrap().1.ends = Some(NOW)),
        ("another's key", |f| f.key.as_mut().unwrap().1.subject = id(BOSS)),
        ("no principal", |f| f.chain.clear()),
        ("chain broken off", |f| f.chain.truncate(2)),
        ("someone above blocked", |f| f.chain[1].1.blocked = true),
        ("tenant blocked", |f| f.chain[2].1.blocked = true),
        ("a policy missing", |f| f.chain[1].1.policies = vec![id(POLICY)]),
    ];
    for (what, change) in cases {
        assert_eq!(judge(change), None, "{what}");
    }
}

#[test]
fn every_level_narrows() {
    for (what, change) in [
        ("token", (|f: &mut Fill| f.token.as_mut().unwrap().0.scopes = scopes("orders:read")) as fn(&mut Fill)),
        ("key", |f| f.key.as_mut().unwrap().1.scopes = scopes("orders:read")),
        ("principal", |f| f.chain[0].1.scopes = scopes("orders:read")),
        ("ancestor", |f| f.chain[1].1.scopes = scopes("orders:read")),
        ("tenant", |f| f.chain[2].1.scopes = scopes("orders:read")),
    ] {
        let live = judge(change);
        assert!(holds(&live, "orders:read") && !holds(&live, "orders:write"), "{what}");
    }
}

#[test]
fn policies_give_and_take() {
    let with = |allow: &str, deny: &str, ended| {
        judge(|f| {
            f.chain[0].1.scopes = scopes("");
            f.chain[0].1.policies = vec![id(POLICY)];
            f.policies = vec![(id(POLICY), PolicyRecord { allow: scopes(allow), deny: scopes(deny), ended, terms: Terms::default() })];
        })
    };
    assert!(holds(&with("orders:*", "", false), "orders:read"));
    assert!(!holds(&with("orders:*", "orders:read", false), "orders:read"));
    assert!(!holds(&with("orders:*", "", true), "orders:read"), "a deleted policy gives nothing");
}

#[test]
fn a_secret_must_be_a_live_one_of_the_key() {
    let ask = Ask::Key(id(KEY));
    let judge = |secret: Option<&[u8; 32]>, until: Option<UnixMs>| {
        let mut fill = fill();
        fill.key.as_mut().unwrap().1.secrets[0].1 = until;
        live(ask, fill, secret, NOW, TTL_S)
    };
    let alone = judge(Some(&SECRET), None).unwrap();
    assert_eq!((alone.holder.kind, alone.expires_in_s, alone.token), (CredentialKind::ApiKey, None, None));
    assert_eq!(judge(Some(&SECRET), Some(later(60))).unwrap().expires_in_s, Some(60), "in its rotation grace");
    assert_eq!(judge(Some(&SECRET), Some(NOW)), None, "after its grace");
    assert_eq!(judge(Some(&[8; 32]), None), None);
    assert_eq!(judge(None, None), None, "an id alone proves nothing");
    assert!(live(ASK, fill(), Some(&SECRET), NOW, TTL_S).is_some(), "beside its token");
    assert_eq!(live(ASK, fill(), Some(&[8; 32]), NOW, TTL_S), None, "beside a token of another key");
}

#[test]
fn sessions() {
    let judge = |change: fn(&mut SessionRecord)| {
        let mut session = SessionRecord { subject: id(ALICE), ends: later(50), idle_ends: None, ended: false };
        change(&mut session);
        live(Ask::Session(id(SESSION)), Fill { session: Some((id(SESSION), session)), token: None, key: None, ..fill() }, None, NOW, TTL_S)
    };
    let live = judge(|_| {}).unwrap();
    assert_eq!((live.holder.kind, live.expires_in_s, live.holder.key_id.as_str()), (CredentialKind::Jwt, Some(50), ""));
    assert_eq!(judge(|s| s.ended = true), None);
    assert_eq!(judge(|s| s.ends = NOW), None);
    assert_eq!(judge(|s| s.subject = id(BOSS)), None);
}

#[test]
fn expires_in_is_bounded_by_every_end() {
    assert_eq!(judge(|f| f.token.as_mut().unwrap().0.cap = later(70)).unwrap().expires_in_s, Some(70));
    assert_eq!(judge(|f| f.key.as_mut().unwrap().1.ends = Some(later(30))).unwrap().expires_in_s, Some(30));
}

#[test]
fn a_chain_without_end_is_refused() {
    let mut fill = fill();
    fill.chain = (0..20).map(|n| (id(n), subject(Role::Client, Some(n + 1), "*"))).collect();
    fill.key.as_mut().unwrap().1.subject = id(0);
    assert_eq!(live(ASK, fill, None, NOW, TTL_S), None);
}
