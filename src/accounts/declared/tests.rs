//! What is declared is made, changed and ended; what is not stays as it is.

use std::time::Duration;

use super::super::standing;
use super::*;
use crate::audit::{Action, By};
use crate::clock::{Clock, UnixMs};
use crate::database::NameKind;
use crate::database::test_server::TestDatabase;
use crate::decision::limit::Limit;

struct World {
    database: Database,
    _data: TestDatabase,
}

fn scopes(text: &str) -> ScopeSet {
    text.parse().unwrap()
}

/// A tenant with a policy, an admin and a client below, and a key.
fn house() -> Declared {
    let at = |what: &str| format!("a.yaml:1:1: {what}");
    Declared {
        tenants: vec![Tenant { name: "acme".into(), blocked: false, at: at("tenants[0]") }],
        policies: vec![Policy {
            name: "readers".into(),
            tenant: Some("acme".into()),
            allow: scopes("orders:read"),
            deny: ScopeSet::default(),
            terms: Terms::default(),
            at: at("policies[0]"),
        }],
        // whoever stands below is named first
        principals: vec![
            Principal {
                user: "acme-ci".into(),
                tenant: Some("acme".into()),
                email: None,
                role: Role::Client,
                below: Some("acme-ops".into()),
                policies: vec!["readers".into()],
                scopes: ScopeSet::default(),
                blocked: false,
                terms: Terms::default(),
                at: at("principals[0]"),
            },
            Principal {
                user: "acme-ops".into(),
                tenant: Some("acme".into()),
                email: None,
                role: Role::Admin,
                below: None,
                policies: Vec::new(),
                scopes: scopes("orders:*"),
                blocked: false,
                terms: Terms::default(),
                at: at("principals[1]"),
            },
        ],
        keys: vec![Key {
            id: Id::from_bytes([7; 16]),
            hash: [8; 32],
            principal: "acme-ci".into(),
            name: "nightly".into(),
            scopes: scopes("orders:read"),
            expires_at: None,
            terms: Terms::default(),
            at: at("keys[0]"),
        }],
    }
}

impl World {
    async fn new() -> Self {
        let data = TestDatabase::here().await;
        Self { database: data.open(Clock::manual(UnixMs(1_900_000_000_000))).await, _data: data }
    }

    async fn apply(&self, declared: &Declared, mode: Mode) -> Vec<String> {
        let applied = apply(&self.database, declared, mode).await.unwrap();
        let done = matches!(mode, Mode::Apply | Mode::Prune) && applied.differences.iter().any(|d| d.sign != '-' || mode == Mode::Prune);
        assert_eq!(applied.committed.is_some(), done, "{:?}", applied.differences);
        applied.differences.iter().map(|difference| difference.to_string().replace("\n    ", " | ")).collect()
    }

    async fn refused(&self, declared: &Declared) -> String {
        let error = apply(&self.database, declared, Mode::Apply).await.unwrap_err().to_string();
        assert!(error.starts_with("a.yaml:1:1: "), "{error}");
        error
    }

    async fn audit(&self) -> Vec<String> {
        let rows = self.database.audit(None, None, 100).await.unwrap();
        rows.iter().rev().map(|row| format!("{} {}", row.actor, row.action)).collect()
    }

    async fn may(&self, user: &str) -> String {
        let uid = self.database.login_row(NameKind::User, user).await.unwrap().unwrap().uid;
        standing::of_principal(&self.database, uid).await.unwrap().map_or("-".into(), |standing| standing.grant.effective(&[]).to_string())
    }
}

#[tokio::test]
async fn once_is_enough_and_each_act_is_in_the_trail() {
    let world = World::new().await;
    let made = [
        "+ tenant acme",
        "+ policy acme/readers | allow: orders:read | deny: ",
        "+ principal acme-ops | role: admin",
        "+ principal acme-ci | role: client | below: acme-ops | policies: readers",
        "+ key nightly (07070707070707070707070707070707) of acme-ci | scopes: orders:read",
    ];
    assert_eq!(world.apply(&house(), Mode::Check).await, made);
    assert_eq!(world.audit().await, [""; 0], "a check changes nothing");
    assert_eq!(world.apply(&house(), Mode::Apply).await, made);
    assert_eq!(
        world.audit().await,
        ["cli tenant_create", "cli policy_create", "cli principal_create", "cli principal_create", "cli key_create"]
    );
    for mode in [Mode::Check, Mode::Apply, Mode::Prune] {
        assert_eq!(world.apply(&house(), mode).await, [""; 0]);
    }
    assert_eq!((world.may("acme-ops").await, world.may("acme-ci").await), ("orders:*".into(), "orders:read".into()));
    let mut act = world.database.act().await.unwrap();
    assert!(act.is_key_secret(Id::from_bytes([7; 16]), &[8; 32]).await.unwrap());
}

#[tokio::test]
async fn what_changes_is_shown_and_made_so() {
    let world = World::new().await;
    world.apply(&house(), Mode::Apply).await;
    let mut other = house();
    other.tenants[0].blocked = true;
    other.policies[0].allow = scopes("orders:read orders:write");
    other.principals[0].policies.clear();
    other.principals[0].blocked = true;
    other.principals[1].scopes = scopes("orders:read");
    let changed = [
        "~ tenant acme | blocked: false \u{2192} true",
        "~ policy acme/readers | allow: orders:read \u{2192} orders:read orders:write",
        "~ principal acme-ops | scopes: orders:* \u{2192} orders:read",
        "~ principal acme-ci | blocked: false \u{2192} true | policies: now none",
    ];
    assert_eq!(world.apply(&other, Mode::Check).await, changed);
    assert_eq!(world.apply(&other, Mode::Apply).await, changed);
    assert_eq!(world.apply(&other, Mode::Check).await, [""; 0]);
    assert_eq!(world.may("acme-ci").await, "-");
    // and back, with a new secret for the key
    let mut again = house();
    again.keys[0].hash = [9; 32];
    assert_eq!(world.apply(&again, Mode::Apply).await.len(), 5);
    assert_eq!(world.apply(&again, Mode::Check).await, [""; 0]);
    // and what is agreed
    let gold = || Terms::naming(Some("cus_1".into()), [("plan".to_owned(), "gold".to_owned())].into());
    again.keys[0].terms = gold();
    again.principals[0].terms = gold();
    let agreed = r#"terms: none → {"external_id":"cus_1","metadata":{"plan":"gold"}}"#;
    let shown = world.apply(&again, Mode::Apply).await;
    assert_eq!((shown.len(), shown.iter().filter(|line| line.ends_with(agreed)).count()), (2, 2), "{shown:?}");
    assert_eq!(world.apply(&again, Mode::Check).await, [""; 0]);
    let mut act = world.database.act().await.unwrap();
    assert_eq!(act.live_key(again.keys[0].id).await.unwrap().unwrap().terms, gold());
    drop(act);
    let limit = Limit::parse(Some("10/m"), None, None, None).unwrap();
    again.policies[0].terms.limit = Some(limit.into());
    let limited = r#"~ policy acme/readers | terms: none → {"limit":{"rate":"10/m","burst":1,"per":"key"}}"#;
    assert_eq!(world.apply(&again, Mode::Apply).await, [limited]);
    assert_eq!(world.apply(&again, Mode::Check).await, [""; 0]);
    // what is not declared is not agreed
    again.policies[0].terms = Terms::default();
    assert_eq!(world.apply(&again, Mode::Apply).await.len(), 1);
    assert_eq!(world.apply(&again, Mode::Check).await, [""; 0]);
    let trail = world.audit().await;
    for action in [
        "key_terms",
        "principal_terms",
        "tenant_block",
        "tenant_unblock",
        "policy_change",
        "principal_block",
        "principal_unblock",
        "principal_policies",
        "key_rotate",
    ] {
        assert!(trail.contains(&format!("cli {action}")), "{action}: {trail:?}");
    }
}

#[tokio::test]
async fn an_address_is_declared_until_its_person_has_proved_one() {
    let world = World::new().await;
    let with = |email: &str| {
        let mut declared = house();
        declared.principals[1].email = Some(email.to_owned());
        declared
    };
    let made = world.apply(&with("ops@acme.example"), Mode::Apply).await;
    assert!(made.contains(&"+ principal acme-ops | role: admin | email: ops@acme.example".to_owned()), "{made:?}");
    assert_eq!(world.apply(&with("ops@acme.example"), Mode::Check).await, [""; 0]);
    let changed = world.apply(&with("boss@acme.example"), Mode::Apply).await;
    assert_eq!(changed, ["~ principal acme-ops | email: ops@acme.example \u{2192} boss@acme.example"]);
    assert!(world.audit().await.contains(&"cli profile_change".to_owned()));
    assert_eq!(world.apply(&house(), Mode::Check).await, [""; 0], "what a file does not say stays");

    let uid = world.database.login_row(NameKind::Email, "boss@acme.example").await.unwrap().unwrap().uid;
    let contacts = world.database.contacts_of(uid).await.unwrap().unwrap();
    assert!(!contacts.email_verified, "a file proves nothing");
    let mut act = world.database.act().await.unwrap();
    act.set_contact(uid, NameKind::Email, "me@acme.example").await.unwrap();
    let _ = act.commit(&By::cli().did(Action::ContactVerify, uid)).await.unwrap();
    assert_eq!(world.apply(&with("ops@acme.example"), Mode::Apply).await, [""; 0]);
    assert_eq!(world.database.contacts_of(uid).await.unwrap().unwrap().email.as_deref(), Some("me@acme.example"));

    let mut taken = house();
    taken.principals[0].email = Some("me@acme.example".into());
    assert!(world.refused(&taken).await.contains("somebody has or had the address `me@acme.example`"));
    for (email, problem) in [("ops", "not an e-mail address"), ("Ops@acme.example", "write `ops@acme.example`")] {
        taken.principals[0].email = Some(email.into());
        assert!(world.refused(&taken).await.contains(problem), "{email}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_leaves_everything_as_it_was() {
    let world = World::new().await;
    let mut declared = house();
    let greedy = Key { id: Id::from_bytes([6; 16]), hash: [9; 32], scopes: scopes("orders:write"), ..house().keys.remove(0) };
    declared.keys.push(Key { at: "a.yaml:1:1: keys[1]".into(), ..greedy });
    for mode in [Mode::Check, Mode::Apply] {
        let error = apply(&world.database, &declared, mode).await.unwrap_err().to_string();
        assert!(error.contains("keys[1]: `acme-ci` does not hold `orders:write`"), "{error}");
        assert_eq!(world.audit().await, [""; 0]);
        assert!(world.database.login_row(NameKind::User, "acme-ci").await.unwrap().is_none(), "nobody was made");
    }
    // what its owner is given by the very same files counts
    declared.policies[0].allow = scopes("orders:read orders:write");
    assert_eq!(world.apply(&declared, Mode::Apply).await.len(), 6);
}

#[tokio::test]
async fn a_key_may_end_by_itself() {
    let world = World::new().await;
    let until = |at: u64| {
        let mut declared = house();
        declared.keys[0].expires_at = Some(UnixMs(at));
        declared
    };
    let made = world.apply(&until(1_900_000_060_000), Mode::Apply).await;
    assert!(made.iter().any(|line| line.ends_with("| scopes: orders:read | expires_at: 2030-03-17T17:47:40Z")), "{made:?}");
    assert_eq!(world.apply(&until(1_900_000_060_000), Mode::Check).await, [""; 0]);
    // once it has ended, its declaration is no mistake, nor does it bring it back
    world.database.clock().advance(Duration::from_secs(61));
    assert_eq!(world.apply(&until(1_900_000_060_000), Mode::Apply).await, [""; 0]);
    let mut act = world.database.act().await.unwrap();
    assert!(act.live_key(Id::from_bytes([7; 16])).await.unwrap().is_none());
}

#[tokio::test]
async fn what_vanished_stays_until_it_is_pruned() {
    let world = World::new().await;
    world.apply(&house(), Mode::Apply).await;
    let empty = Declared::default();
    let shown = world.apply(&empty, Mode::Check).await;
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert!(shown.iter().all(|line| line.starts_with("- ") && line.contains("--prune")), "{shown:?}");
    assert_eq!(world.apply(&empty, Mode::Apply).await, shown);
    assert_eq!(world.may("acme-ci").await, "orders:read");
    let ended = world.apply(&empty, Mode::Prune).await;
    assert_eq!(
        ended,
        ["- key 07070707070707070707070707070707", "- principal acme-ops", "- principal acme-ci", "- policy acme/readers", "- tenant acme"]
    );
    assert_eq!(world.apply(&empty, Mode::Check).await, [""; 0]);
    assert!(world.database.login_row(NameKind::User, "acme-ci").await.unwrap().is_none());
    let back = world.refused(&house()).await;
    assert!(back.contains("somebody has or had that name"), "{back}");
}

#[tokio::test]
async fn what_others_made_is_not_touched() {
    let world = World::new().await;
    let tenant = Id::from_bytes([1; 16]);
    let bob = Id::from_bytes([2; 16]);
    world
        .database
        .run_in_test(&[
            format!("INSERT INTO tenants (id, name, created_at, changed_at) VALUES ('{tenant}', 'other', 1, 1)"),
            format!(
                "INSERT INTO principals (uid, tenant, role, user_name, scopes, created_at, changed_at)
                 VALUES ('{bob}', '{tenant}', 'admin', 'bob', '*', 1, 1)"
            ),
            format!("INSERT INTO policies (id, tenant, name, allow, deny, created_at, changed_at) VALUES ('{bob}', '{tenant}', 'p', '', '', 1, 1)"),
        ])
        .await;
    assert_eq!(world.apply(&Declared::default(), Mode::Prune).await, [""; 0]);
    let mut declared = house();
    declared.principals[1].user = "bob".into();
    declared.principals[0].below = Some("bob".into());
    assert!(world.refused(&declared).await.contains("whom apply did not make"));
    let mut declared = house();
    declared.policies[0].tenant = Some(tenant.to_string());
    declared.policies[0].name = "p".into();
    declared.principals.clear();
    declared.keys.clear();
    assert!(world.refused(&declared).await.contains("which apply did not make"));
    assert!(world.audit().await.is_empty(), "a refusal leaves nothing half done");
    // but somebody may stand below who is there, in a tenant named by its id
    let mut declared = house();
    declared.tenants.clear();
    declared.policies[0].tenant = Some(tenant.to_string());
    declared.principals.remove(1);
    declared.principals[0].tenant = Some(tenant.to_string());
    declared.principals[0].below = Some("bob".into());
    assert_eq!(world.apply(&declared, Mode::Apply).await.len(), 3);
    assert_eq!(world.may("acme-ci").await, "orders:read");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_place() {
    type Mistake = fn(&mut Declared);
    let table: [(&str, Mistake); 11] = [
        ("is declared twice", |d| d.policies.extend(house().policies)),
        ("there is no tenant `acme`", |d| d.tenants.clear()),
        ("nobody has founded this installation", |d| d.policies[0].tenant = None),
        ("stands below itself", |d| {
            d.principals[1].below = Some("acme-ci".into());
            d.principals[1].role = Role::Client;
        }),
        ("a client stands below an admin; `acme-ops` is client", |d| {
            d.principals[1].role = Role::Client;
            d.principals[1].below = Some("top".into());
            let top = Principal { user: "top".into(), ..house().principals.remove(1) };
            d.principals.push(top);
        }),
        ("a client stands below somebody", |d| d.principals[0].below = None),
        ("there is no principal `nobody`", |d| d.principals[0].below = Some("nobody".into())),
        ("has no policy `writers`", |d| d.principals[0].policies = vec!["writers".into()]),
        ("names are folded; write `acme-ops`", |d| {
            d.principals[1].user = "Acme-Ops".into();
            d.principals[0].below = Some("Acme-Ops".into());
        }),
        ("1 to 64 of the characters", |d| {
            d.principals[1].user = "a b".into();
            d.principals[0].below = Some("a b".into());
        }),
        ("there is no principal `nobody`", |d| d.keys[0].principal = "nobody".into()),
    ];
    let world = World::new().await;
    for (problem, mistake) in table {
        let mut declared = house();
        mistake(&mut declared);
        let error = world.refused(&declared).await;
        assert!(error.contains(problem), "{problem}: {error}");
        assert!(world.audit().await.is_empty(), "{problem}");
    }
    world.apply(&house(), Mode::Apply).await;
    let later: [(&str, Mistake); 4] = [
        ("role, tenant and `below` stay", |d| d.principals[1].role = Role::Client),
        ("`acme-ci` does not hold `orders:write`", |d| d.keys[0].scopes = scopes("orders:write")),
        ("name, owner and end of a key stay", |d| d.keys[0].name = "daily".into()),
        ("name, owner and end of a key stay", |d| d.keys[0].expires_at = Some(UnixMs(2_000_000_000_000))),
    ];
    for (problem, mistake) in later {
        let mut declared = house();
        mistake(&mut declared);
        if problem.starts_with("role") {
            declared.principals[1].below = None;
            declared.principals[1].tenant = Some("acme".into());
            let error = world.refused(&declared).await;
            assert!(error.contains("stands below somebody"), "{error}");
            continue;
        }
        let error = world.refused(&declared).await;
        assert!(error.contains(problem), "{problem}: {error}");
    }
}
