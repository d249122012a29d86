//! What is denied of another issuer is refused at the next check, whatever Redis forgets.

use super::house::{House, fill};
use crate::audit::{Action, By};
use crate::clock::UnixMs;
use crate::database::DenialRow;
use crate::decision::issuer::IssuerNumber;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::issuers::Proved;
use crate::token::denials::{self, Denied};
use crate::token::holder::judge_foreign;
use crate::token::store::{Ask, Propagated, TokenStore};

const ISSUER: &str = "https://id.example/";

fn token(jti: Option<&str>, sub: &str, ends: UnixMs) -> Proved {
    Proved {
        issuer: IssuerNumber::new(0).unwrap(),
        subject: sub.to_owned(),
        tenant: String::new(),
        scopes: ScopeSet::default(),
        ends,
        token_id: jti.map(|jti| denials::id(ISSUER, Denied::Token, jti)),
        subject_id: denials::id(ISSUER, Denied::Subject, sub),
        tenant_id: denials::tenant(ISSUER, ""),
    }
}

fn ask(token: &Proved) -> Ask {
    Ask::Foreign { token: token.token_id.unwrap_or(token.subject_id), subject: token.subject_id }
}

async fn passes_at(store: &TokenStore, house: &House, token: &Proved) -> bool {
    let fill = fill(store, ask(token)).await.expect("never absent: what is not there is not known");
    judge_foreign(token, &fill, house.now()).is_some()
}

async fn passes(house: &House, token: &Proved) -> bool {
    passes_at(house.store(), house, token).await
}

async fn act(house: &House, denied: Denied, value: &str, until: Option<UnixMs>) -> Id {
    let id = denials::id(ISSUER, denied, value);
    let mut act = house.database.act().await.unwrap();
    let row = DenialRow { id, issuer: ISSUER.to_owned(), denied, value: value.to_owned(), until, created_at: act.now() };
    act.deny(&row).await.unwrap();
    let committed = act.commit(&By::system().did(Action::Deny, id)).await.unwrap();
    told(house, committed.until).await;
    id
}

async fn lift(house: &House, id: Id) {
    let mut act = house.database.act().await.unwrap();
    act.lift_denial(id).await.unwrap();
    let committed = act.commit(&By::system().did(Action::DenialEnd, id)).await.unwrap();
    told(house, committed.until).await;
}

async fn told(house: &House, until: Option<i64>) {
    for _ in 0..100 {
        if house.store().apply(until.unwrap()).await == Propagated::Yes {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never applied");
}

fn later(house: &House, seconds: u64) -> UnixMs {
    house.now().after(std::time::Duration::from_secs(seconds))
}

pub(super) async fn a_denied_token_or_subject_is_refused_at_the_next_check(house: House) {
    let ends = later(&house, 300);
    let (one, other) = (token(Some("t1"), "ann", ends), token(Some("t2"), "ann", ends));
    let (bob, nameless) = (token(Some("t3"), "bob", ends), token(None, "ann", ends));
    for token in [&one, &other, &bob, &nameless] {
        assert!(passes(&house, token).await);
    }
    let denied = act(&house, Denied::Token, "t1", None).await;
    assert!(!passes(&house, &one).await && passes(&house, &other).await && passes(&house, &nameless).await);
    act(&house, Denied::Subject, "ann", None).await;
    for token in [&one, &other, &nameless] {
        assert!(!passes(&house, token).await);
    }
    assert!(passes(&house, &bob).await);
    // a name is one of tokens or of subjects, never both
    act(&house, Denied::Token, "bob", None).await;
    assert!(passes(&house, &bob).await);
    lift(&house, denied).await;
    lift(&house, denials::id(ISSUER, Denied::Subject, "ann")).await;
    assert!(passes(&house, &one).await, "lifted");
}

pub(super) async fn a_denial_lasts_as_long_as_it_says(house: House) {
    let one = token(Some("t1"), "ann", later(&house, 300));
    act(&house, Denied::Subject, "ann", Some(later(&house, 30))).await;
    assert!(!passes(&house, &one).await);
    house.advance(std::time::Duration::from_secs(31)).await;
    assert!(passes(&house, &one).await);
    let mut act = house.database.act().await.unwrap();
    assert_eq!(act.count_denials().await.unwrap(), 0, "put away");
}

pub(super) async fn a_denial_bumps_what_was_read_before(house: House) {
    let one = token(Some("t1"), "ann", later(&house, 300));
    assert!(passes(&house, &one).await);
    let fence = house.fence();
    let before = fence.stamps(ask(&one));
    act(&house, Denied::Token, "t1", None).await;
    assert_ne!(fence.stamps(ask(&one)), before);
    let before = fence.stamps(ask(&one));
    act(&house, Denied::Subject, "ann", None).await;
    assert_ne!(fence.stamps(ask(&one)), before);
}

pub(super) async fn a_restart_remembers_denials(mut house: House) {
    let one = token(Some("t1"), "ann", later(&house, 300));
    act(&house, Denied::Subject, "ann", None).await;
    house.restart(house.clock.clone(), house.settings).await;
    assert!(!passes(&house, &one).await);
}

pub(super) async fn a_denial_is_never_forgotten(mut house: House) {
    let ends = later(&house, 300);
    let (one, bob) = (token(Some("t1"), "ann", ends), token(Some("t3"), "bob", ends));
    assert!(passes(&house, &one).await);
    house.server().command(&["SAVE"]).await;
    act(&house, Denied::Token, "t1", None).await;
    // an older snapshot, in which it was not denied
    house.server_mut().kill();
    house.server_mut().run().await;
    assert!(!passes(&house, &one).await && passes(&house, &bob).await);
    // nothing at all
    house.server().command(&["FLUSHALL"]).await;
    assert!(!passes(&house, &one).await && passes(&house, &bob).await);
    // the one record, by hand: what is not there is brought, never taken for "not denied"
    let key = format!("{{gp}}:d:{}", denials::bucket(one.token_id.unwrap()));
    house.server().command(&["DEL", &key]).await;
    assert!(!passes(&house, &one).await);
}

pub(super) async fn a_denial_by_one_process_acts_on_another(house: House) {
    let one = token(Some("t1"), "ann", later(&house, 300));
    let other = house.replica().await;
    assert!(passes_at(&other, &house, &one).await);
    act(&house, Denied::Subject, "ann", None).await;
    house.store().strict().await.unwrap();
    assert!(!passes_at(&other, &house, &one).await);
}
