//! Keys that were made elsewhere.

use std::time::{Duration, Instant};

use super::house::{CLIENT, House, fill, patiently, scopes};
use crate::audit::{Action, By};
use crate::clock::{Clock, UnixMs};
use crate::database::ImportedKey;
use crate::decision::cookies::Domains;
use crate::decision::credential::Presented;
use crate::decision::request::Host;
use crate::id::Id;
use crate::issuers::Issuers;
use crate::token::cache::{Cached, Name, Provers};
use crate::token::keyring::Keyring;
use crate::token::recognise::{At, Authentic, recognise};
use crate::token::secret::{SecretMint, sha256};
use crate::token::store::{Ask, MintOrder, Propagated, TokenStore};
use crate::token::terms::Terms;

fn text(n: usize) -> String {
    format!("sk_live_{n:032}")
}

impl House {
    fn authentic(&self, text: &str) -> Authentic {
        let mint = SecretMint::new(&self.database.installation().key_tag);
        let keyring = Keyring::parse(&"5e".repeat(32)).unwrap();
        recognise(Presented::ApiKey(text.into()), &keyring, &mint, &Issuers::none(), None, self.now()).unwrap()
    }

    fn key(&self, n: usize) -> ImportedKey {
        let hash = sha256(text(n).as_bytes());
        let id = SecretMint::new(&self.database.installation().key_tag).id_of_foreign(&hash);
        let (scopes, name) = (scopes("orders:read"), "till".to_owned());
        ImportedKey { id, hash, principal: CLIENT, name, scopes, expires_at: None, terms: Terms::default() }
    }

    /// Imports these, and says how many came.
    async fn import(&self, which: std::ops::Range<usize>) -> usize {
        let keys: Vec<ImportedKey> = which.map(|n| self.key(n)).collect();
        let mut act = self.database.act().await.unwrap();
        let came = act.import_keys(&keys).await.unwrap();
        let act = act.commit(&By::cli().did(Action::KeyImport, "some")).await.unwrap();
        let begun = Instant::now();
        while let Some(until) = act.until {
            if self.store().apply(until).await == Propagated::Yes {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "never applied");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        came
    }

    /// Whether a check presenting this text would be allowed.
    async fn lets_in(&self, store: &TokenStore, text: &str) -> bool {
        let Authentic { ask, secret, .. } = self.authentic(text);
        let Ask::Key(id) = ask else { panic!("no key") };
        may_be(store, id).await
            && fill(store, ask).await.is_some_and(|fill| crate::token::holder::live(ask, fill, secret.as_ref(), self.now(), 60).is_some())
    }
}

async fn may_be(store: &TokenStore, id: Id) -> bool {
    patiently(|| store.may_be_imported(id)).await
}

fn name(store: &TokenStore, text: &str) -> Name {
    let (host, domains) = (Host::read(b"a.example").unwrap(), Domains::default());
    store.name(&Presented::ApiKey(text.into()), At { host: &host, domains: &domains }).unwrap()
}

pub(super) async fn what_was_imported_is_known_and_nothing_else(house: House) {
    assert!(!house.lets_in(house.store(), &text(0)).await, "before");
    assert_eq!(house.import(0..300).await, 300);
    for n in [0, 150, 299] {
        assert!(house.lets_in(house.store(), &text(n)).await, "{n}");
    }
    // those that are there are left alone, live or ended
    house
        .change(
            &format!("UPDATE api_keys SET ended_at = NOW, version = version + 1, changed_at = NOW WHERE id = '{}'", house.key(7).id),
            "key",
            house.key(7).id,
        )
        .await;
    assert_eq!(house.import(0..310).await, 10);
    assert!(!house.lets_in(house.store(), &text(7)).await && house.lets_in(house.store(), &text(305)).await);
    let mut passed = 0;
    for n in 1_000..11_000 {
        let authentic = house.authentic(&text(n));
        assert!(authentic.made_elsewhere);
        // without a lease nothing is known to be unknown
        let is_unknown = house.store().is_unknown(&authentic, house.clock.moment());
        passed += usize::from(!is_unknown && may_be(house.store(), authentic.ask.key().unwrap()).await);
    }
    assert!(passed < 100, "{passed} of 10,000 others would reach the store");
}

pub(super) async fn an_imported_key_ends_and_rotates_like_any(house: House) {
    house.import(0..3).await;
    let key = house.key(1);
    let order = MintOrder { key: key.id, secret: Some(key.hash), scopes: None, ..house.order() };
    assert_eq!(house.mint(order).await.unwrap().token.scopes, scopes("orders:read"));
    // a new secret, made here, carries its id; the old text ends with its grace
    let mint = SecretMint::new(&house.database.installation().key_tag);
    let fresh = mint.make(crate::token::secret::SecretKind::ApiKey, key.id).unwrap();
    let mut act = house.database.act().await.unwrap();
    let until = house.now().after(Duration::from_secs(60));
    act.rotate_key(key.id, fresh.hashed(), Some(until)).await.unwrap();
    let act = act.commit(&By::cli().did(Action::KeyRotate, key.id)).await.unwrap();
    while house.store().apply(act.until.unwrap()).await == Propagated::Later {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let Authentic { ask, secret, made_elsewhere, .. } = house.authentic(fresh.reveal());
    assert_eq!((ask, made_elsewhere), (Ask::Key(key.id), false));
    let brought = fill(house.store(), ask).await.unwrap();
    assert!(crate::token::holder::live(ask, brought, secret.as_ref(), house.now(), 60).is_some());
    assert!(house.lets_in(house.store(), &text(1)).await, "in its grace");
    house.advance(Duration::from_secs(61)).await;
    assert!(!house.lets_in(house.store(), &text(1)).await, "after it");
    house
        .change(
            &format!("UPDATE api_keys SET ended_at = NOW, version = version + 1, changed_at = NOW WHERE id = '{}'", key.id),
            "key",
            key.id,
        )
        .await;
    assert!(fill(house.store(), ask).await.is_none_or(|fill| fill.key.is_none_or(|(_, key)| key.ended)));
    assert!(house.lets_in(house.store(), &text(2)).await, "its neighbour");
}

/// One that passed the filter by chance, and was found not to be there, is found once it is imported.
pub(super) async fn what_was_found_missing_is_not_remembered(house: House) {
    let (store, authentic) = (house.store(), Authentic { made_elsewhere: false, ..house.authentic(&text(5)) });
    let name = name(store, &text(5));
    let check = async || {
        for _ in 0..50 {
            if let Ok(entry) = store.check(name, Provers::default(), &authentic, house.clock.moment()).await {
                return entry.is_live();
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        panic!("unavailable for seconds");
    };
    assert!(!check().await);
    house.import(5..6).await;
    assert!(house.lets_in(store, &text(5)).await);
    let stale = matches!(store.cached(name, Provers::default(), house.clock.moment()), Cached::Known(held) if !held.is_live());
    assert!(!stale, "the refusal counts no more");
    assert!(check().await);
}

pub(super) async fn every_process_hears_of_an_import_within_the_bound(house: House) {
    let replica = house.replica().await;
    for n in 0..5 {
        let authentic = house.authentic(&text(n));
        assert!(!house.lets_in(&replica, &text(n)).await);
        house.import(n..n + 1).await;
        tokio::time::sleep(house.settings.staleness_bound).await;
        // never again "no", whether it has read by now or not
        for _ in 0..20 {
            assert!(!replica.is_unknown(&authentic, house.clock.moment()), "{n}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(house.lets_in(&replica, &text(n)).await);
    }
}

pub(super) async fn without_a_lease_or_the_database_nobody_says_no(mut house: House) {
    let stranger = house.authentic(&text(9));
    assert!(!may_be(house.store(), house.key(9).id).await);
    let begun = Instant::now();
    while !house.store().is_unknown(&stranger, house.clock.moment()) {
        assert!(begun.elapsed() < Duration::from_secs(10), "a lease and nothing imported: refused at once");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    house.server_mut().kill();
    tokio::time::sleep(2 * house.settings.staleness_bound).await;
    assert!(!house.store().is_unknown(&stranger, house.clock.moment()), "a process that is cut off cannot tell");
    let name = name(house.store(), &text(9));
    assert!(house.store().check(name, Provers::default(), &stranger, house.clock.moment()).await.is_err());
    // a new epoch is adopted, and the database is gone: nobody knows what was imported meanwhile
    house.database.close_in_test().await;
    house.server_mut().run().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!house.store().is_unknown(&stranger, house.clock.moment()));
}

/// A million texts that nobody imported, of the shape that keys have: how many would reach a store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_million_made_up_keys_hardly_any_reaches_the_store() {
    let house = House::new(super::Engine::Embedded).await;
    house.import(0..1000).await;
    assert!(may_be(house.store(), house.key(0).id).await);
    let (mint, moment) = (SecretMint::new(&house.database.installation().key_tag), Clock::manual(UnixMs(house.now().0)).moment());
    let (mut authentic, mut passed) = (house.authentic(&text(1)), 0);
    for n in 0..1_000_000_u32 {
        let key = mint.api_key(&format!("sk_live_{:032x}", u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))).unwrap();
        (authentic.ask, authentic.secret) = (Ask::Key(key.id), Some(key.hash));
        passed += u32::from(!house.store().is_unknown(&authentic, moment));
    }
    assert!(passed < 10_000, "{passed} of a million");
    println!("{passed} of a million made-up keys passed the filter");
}
