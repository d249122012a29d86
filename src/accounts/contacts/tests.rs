use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::super::names::Name;
use super::super::password::Password;
use super::super::sign_up::Application;
use super::super::{Accounts, Origin, RequirePhone, RequireSecondFactor, Rules, SignUp};
use super::*;
use crate::audit::By;
use crate::clock::{Clock, UnixMs};
use crate::database::test_server::TestDatabase;
use crate::database::{Committed, PendingKind};
use crate::decision::scopes::ScopeSet;
use crate::senders::{self, Senders};
use crate::token::embedded::Embedded;
use crate::token::keyring::Keyring;
use crate::token::record::{Content, TokenFormat};
use crate::token::store::{Settings, TokenStore};

const PASSWORD: &str = "seven green bicycles";
const VICTIM: &str = "victim@example.com";
const ORIGIN: Origin = Origin { address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), local: true };

struct House {
    accounts: Accounts,
    _data: TestDatabase,
}

struct Person {
    uid: Id,
    api_key: String,
    jwt: String,
    refresh_token: String,
}

impl House {
    async fn new() -> Self {
        let data = TestDatabase::here().await;
        let clock = Clock::manual(UnixMs(1_900_000_000_000));
        let database = data.open(clock).await;
        let (ttl, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        let settings = Settings { ttl, max_lifetime: day, staleness_bound: Duration::from_secs(1) };
        let store = TokenStore::embedded(Embedded::start(database.clone(), settings).await.unwrap()).unwrap();
        let keyring = Arc::new(ArcSwap::from_pointee(Keyring::parse(&"ab".repeat(32)).unwrap()));
        let rules = Rules {
            sign_up: SignUp::Open,
            direct_scopes: ScopeSet::everything(),
            end_users: None,
            require_phone: RequirePhone::Never,
            require_second_factor: RequireSecondFactor::Never,
            password_min_length: 15,
            reveal_unknown_users: false,
            ttl,
            session_max: day,
            session_idle: day,
            returns: crate::accounts::return_to::ReturnRules::default(),
            format: TokenFormat::Opaque,
            key_prefix: Default::default(),
            issuer: "gatepost".to_owned(),
        };
        Self {
            accounts: Accounts::start(rules, database, store, keyring, Senders::start(senders::Settings::default()).unwrap())
                .await
                .unwrap(),
            _data: data,
        }
    }

    async fn person(&self, kind: NameKind, name: &str) -> Person {
        let name = Name::given(kind, name).unwrap();
        let password = Password::new("password", PASSWORD).unwrap();
        let new = Application { name: name.clone(), password: password.clone(), phone: None, invitation: None, setup_code: None };
        let made = self.accounts.sign_up(new, ORIGIN).await.unwrap();
        let login = self.accounts.log_in(&name, password, None, ORIGIN).await.unwrap();
        Person {
            uid: made.uid,
            api_key: made.api_key.unwrap().reveal().to_owned(),
            jwt: login.jwt,
            refresh_token: login.refresh_token.reveal().to_owned(),
        }
    }

    async fn prove(&self, text: &str, by: Option<Id>) -> Proved {
        let mut act = self.accounts.database.act().await.unwrap();
        let proved = prove(&mut act, NameKind::Email, text, by).await.unwrap();
        self.commit(act).await;
        proved
    }

    async fn commit(&self, act: Act) {
        let committed: Committed = act.commit(&By::system().did(Action::ContactVerify, "")).await.unwrap();
        self.accounts.propagate(committed).await;
    }

    async fn logs_in(&self, kind: NameKind, name: &str) -> bool {
        let name = Name::given(kind, name).unwrap();
        self.accounts.log_in(&name, Password::new("password", PASSWORD).unwrap(), None, ORIGIN).await.is_ok()
    }

    /// As `X-Auth-User` shows it: what a check reads of the principal.
    async fn shown(&self, uid: Id) -> String {
        let records = self.accounts.database.records_of(PendingKind::Subject, uid).await.unwrap();
        let own = records.into_iter().find(|record| record.id == uid).unwrap();
        let Content::Subject(subject) = own.content else { panic!("no subject") };
        assert_eq!(self.accounts.database.shown_name(uid).await.unwrap(), Some(subject.name.to_string()));
        subject.name.to_string()
    }

    /// Checks that nothing of what the person held lets anyone in.
    async fn is_shut_out(&self, person: &Person) {
        assert!(self.accounts.exchange(&person.api_key, None, ORIGIN).await.is_err());
        assert!(self.accounts.caller(&person.jwt).await.is_err());
        assert!(self.accounts.refresh(&person.refresh_token, ORIGIN).await.is_err());
    }
}

#[tokio::test]
async fn whoever_signs_up_under_anothers_address_loses_all_when_its_owner_proves_it() {
    let house = House::new().await;
    let attacker = house.person(NameKind::Email, VICTIM).await;
    assert_eq!(house.shown(attacker.uid).await, attacker.uid.to_string(), "an unproved address is never shown");
    assert!(house.accounts.exchange(&attacker.api_key, None, ORIGIN).await.is_ok());
    assert!(house.accounts.caller(&attacker.jwt).await.is_ok());

    assert_eq!(house.prove(VICTIM, None).await, Proved::TookOver(attacker.uid));
    house.is_shut_out(&attacker).await;
    assert!(!house.logs_in(NameKind::Email, VICTIM).await);
    assert_eq!(house.shown(attacker.uid).await, VICTIM, "it is the victim's now");
    // proved once, it is theirs for good
    assert_eq!(house.prove(VICTIM, None).await, Proved::Known(attacker.uid));
}

#[tokio::test]
async fn who_proves_their_own_address_loses_nothing() {
    let house = House::new().await;
    let ann = house.person(NameKind::Email, "ann@example.com").await;
    assert_eq!(house.prove("ann@example.com", Some(ann.uid)).await, Proved::Verified(ann.uid));
    assert_eq!(house.shown(ann.uid).await, "ann@example.com");
    assert!(house.logs_in(NameKind::Email, "ann@example.com").await);
    assert!(house.accounts.exchange(&ann.api_key, None, ORIGIN).await.is_ok());
    assert!(house.accounts.caller(&ann.jwt).await.is_ok());
}

#[tokio::test]
async fn who_is_logged_in_takes_the_address_and_not_the_account() {
    let house = House::new().await;
    let attacker = house.person(NameKind::Email, VICTIM).await;
    let victim = house.person(NameKind::User, "victim").await;
    assert_eq!(house.prove(VICTIM, Some(victim.uid)).await, Proved::TookOver(victim.uid));
    house.is_shut_out(&attacker).await;
    assert!(house.logs_in(NameKind::User, "victim").await);
    assert!(house.accounts.caller(&victim.jwt).await.is_ok());
    assert_eq!(house.prove(VICTIM, None).await, Proved::Known(victim.uid));
    assert_eq!(house.shown(attacker.uid).await, attacker.uid.to_string());
}

#[tokio::test]
async fn a_proved_address_is_moved_by_nobody() {
    let house = House::new().await;
    let ann = house.person(NameKind::Email, "ann@example.com").await;
    let bob = house.person(NameKind::User, "bob").await;
    house.prove("ann@example.com", Some(ann.uid)).await;
    assert_eq!(house.prove("ann@example.com", Some(bob.uid)).await, Proved::Known(ann.uid));
    assert!(house.accounts.caller(&ann.jwt).await.is_ok());
    assert_eq!(house.accounts.database.contacts_of(bob.uid).await.unwrap().unwrap().email, None);
}

#[tokio::test]
async fn an_ended_account_lets_go_of_what_it_never_proved() {
    let house = House::new().await;
    let attacker = house.person(NameKind::Email, VICTIM).await;
    let mut act = house.accounts.database.act().await.unwrap();
    act.end_principal(attacker.uid).await.unwrap();
    house.commit(act).await;
    assert_eq!(house.prove(VICTIM, None).await, Proved::Freed);
    assert_eq!(house.prove(VICTIM, None).await, Proved::Nobody);
    let victim = house.person(NameKind::Email, VICTIM).await;
    assert_ne!(victim.uid, attacker.uid);
}

#[tokio::test]
async fn what_was_proved_and_replaced_is_given_to_nobody_else() {
    let house = House::new().await;
    let ann = house.person(NameKind::User, "ann").await;
    let bob = house.person(NameKind::User, "bob").await;
    for address in ["old@example.com", "new@example.com"] {
        assert_eq!(house.prove(address, Some(ann.uid)).await, Proved::Verified(ann.uid));
    }
    assert_eq!(house.prove("old@example.com", None).await, Proved::Former);
    assert_eq!(house.prove("old@example.com", Some(bob.uid)).await, Proved::Former);
    assert!(house.accounts.database.is_taken(NameKind::Email, "old@example.com").await.unwrap());
    assert_eq!(house.prove("old@example.com", Some(ann.uid)).await, Proved::Verified(ann.uid));
    assert_eq!(house.prove("old@example.com", None).await, Proved::Known(ann.uid));
    assert_eq!(house.prove("new@example.com", None).await, Proved::Former);
}

#[tokio::test]
async fn a_refresh_key_ends_with_the_rest() {
    let house = House::new().await;
    house.person(NameKind::User, "founder").await;
    let (ann, bob) = (house.person(NameKind::Email, VICTIM).await, house.person(NameKind::User, "bob").await);
    let mut act = house.accounts.database.act().await.unwrap();
    assert!(!act.set_refresh_key(ann.uid, "$argon2id$").await.unwrap(), "no phone is proved");
    assert_eq!(prove(&mut act, NameKind::Phone, "+4917612345678", Some(ann.uid)).await.unwrap(), Proved::Verified(ann.uid));
    assert!(act.set_refresh_key(ann.uid, "$argon2id$").await.unwrap());
    assert_eq!(prove(&mut act, NameKind::Email, VICTIM, Some(bob.uid)).await.unwrap(), Proved::TookOver(bob.uid));
    house.commit(act).await;
    assert_eq!(house.accounts.database.refresh_key_row("+4917612345678").await.unwrap().unwrap().hash, None);
}

#[tokio::test]
async fn an_account_that_changes_hands_keeps_no_other_contact_and_nobody_below_at_work() {
    let house = House::new().await;
    house.person(NameKind::User, "founder").await;
    let attacker = house.person(NameKind::Email, VICTIM).await;
    let mut act = house.accounts.database.act().await.unwrap();
    act.set_contact(attacker.uid, NameKind::Phone, "+4915112345678").await.unwrap();
    house.commit(act).await;
    let caller = house.accounts.caller(&attacker.jwt).await.unwrap();
    let back = crate::accounts::principals::NewOne {
        name: Name::given(NameKind::User, "back").unwrap(),
        role: crate::token::record::Role::Client,
        password: Some(Password::new("password", PASSWORD).unwrap()),
        policies: None,
        parent: None,
        terms: Default::default(),
    };
    let (_, _, committed) = house.accounts.create_principal(&caller, back, ORIGIN).await.unwrap();
    house.accounts.propagate(committed).await;
    assert!(house.logs_in(NameKind::User, "back").await);

    assert_eq!(house.prove(VICTIM, None).await, Proved::TookOver(attacker.uid));
    assert_eq!(house.accounts.database.contacts_of(attacker.uid).await.unwrap().unwrap().phone, None);
    assert!(!house.logs_in(NameKind::User, "back").await);
}

#[tokio::test]
async fn a_mistyped_number_does_not_give_the_installation_away() {
    let house = House::new().await;
    let name = Name::given(NameKind::User, "founder").unwrap();
    let phone = Some(Name::given(NameKind::Phone, "+4915112345678").unwrap());
    let password = Password::new("password", PASSWORD).unwrap();
    house.accounts.sign_up(Application { name, password, phone, invitation: None, setup_code: None }, ORIGIN).await.unwrap();
    let mut act = house.accounts.database.act().await.unwrap();
    assert_eq!(prove(&mut act, NameKind::Phone, "+4915112345678", None).await.unwrap(), Proved::Freed);
    house.commit(act).await;
    assert!(house.logs_in(NameKind::User, "founder").await);
}

#[tokio::test]
async fn what_waited_while_its_session_ended_makes_nothing() {
    let house = House::new().await;
    house.person(NameKind::User, "founder").await;
    let attacker = house.person(NameKind::Email, VICTIM).await;
    let caller = house.accounts.caller(&attacker.jwt).await.unwrap();
    house.prove(VICTIM, None).await;
    let late =
        house.accounts.keys(Some(caller.claims.sid)).create(&By::system(), caller.reach(), &caller.standing, Default::default()).await;
    assert_eq!(late.map(|_| ()).unwrap_err(), Refusal::InvalidToken);
}
