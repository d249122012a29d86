//! Tickets: each good once, for whoever asks first, in the life of the store that it was made in.

use std::time::Duration;

use rustix::process::Signal;

use super::Engine;
use super::house::{House, SESSION, patiently, until_answered};
use crate::clock::Clock;
use crate::decision::credential::CredentialKind;
use crate::id::Id;
use crate::token::store::{Ask, TokenStore, Unavailable};
use crate::token::ticket::{Purpose, Source, Ticket, Worth};

/// A ticket for so long, made now.
async fn made(house: &House, lasts: Duration) -> Ticket {
    until_answered(house.store(), Ask::Session(SESSION)).await;
    let (epoch, ends) = patiently(|| std::future::ready(house.store().ticket_terms(house.now().after(lasts)))).await;
    let source = Source { kind: CredentialKind::Jwt, ask: Ask::Session(SESSION), secret: None };
    Ticket { id: Id::random().unwrap(), source, epoch, ends, path: None, scopes: None }
}

async fn ticket(house: &House) -> Ticket {
    made(house, Duration::from_secs(30)).await
}

/// A busy machine's moment of unavailability is waited out; a use that may have been made is not tried again.
async fn worth(store: &TokenStore, ticket: &Ticket, purpose: Purpose) -> Worth {
    until_answered(store, Ask::Session(SESSION)).await;
    match purpose {
        Purpose::Look => patiently(|| store.ticket(ticket, purpose)).await,
        Purpose::Use => store.ticket(ticket, purpose).await.expect("the store answers"),
    }
}

pub(super) async fn a_ticket_is_good_once(house: House) {
    let (one, other) = (ticket(&house).await, ticket(&house).await);
    for (purpose, expected) in [
        (Purpose::Look, Worth::Good),
        (Purpose::Look, Worth::Good),
        (Purpose::Use, Worth::Good),
        (Purpose::Use, Worth::Used),
        (Purpose::Look, Worth::Used),
    ] {
        assert_eq!(worth(house.store(), &one, purpose).await, expected);
    }
    assert_eq!(worth(house.store(), &other, Purpose::Use).await, Worth::Good, "another one is another one");
    let elsewhere = Ticket { epoch: Id::from_bytes([9; 16]), ..ticket(&house).await };
    assert_eq!(worth(house.store(), &elsewhere, Purpose::Use).await, Worth::Over, "of another life of the store");
}

pub(super) async fn a_ticket_is_over_at_its_end(house: House) {
    let short = made(&house, Duration::from_millis(1500)).await;
    assert!(!house.store().is_over(&short, house.now()));
    assert_eq!(worth(house.store(), &short, Purpose::Look).await, Worth::Good);
    // Redis's clock is its own
    tokio::time::sleep(Duration::from_millis(1600)).await;
    house.clock.advance(Duration::from_millis(1600));
    assert_eq!(worth(house.store(), &short, Purpose::Use).await, Worth::Over);
    assert!(house.store().is_over(&short, house.now()));
}

pub(super) async fn of_many_who_use_one_at_once_it_is_good_for_one(house: House) {
    let mut passed = 0;
    for _ in 0..10 {
        let ticket = ticket(&house).await;
        let tries = (0..8).map(|_| {
            let (store, ticket) = (house.store().clone(), ticket.clone());
            tokio::spawn(async move { store.ticket(&ticket, Purpose::Use).await })
        });
        let mut good = 0;
        for one in tries.collect::<Vec<_>>() {
            good += u32::from(one.await.unwrap() == Ok(Worth::Good));
        }
        // on a busy machine Redis may miss both deadlines of whoever used it
        assert!(good <= 1);
        passed += good;
    }
    assert!(passed > 5, "{passed}");
}

pub(super) async fn after_a_restart_none_is_good_twice(mut house: House) {
    let (used, unused) = (ticket(&house).await, ticket(&house).await);
    assert_eq!(worth(house.store(), &used, Purpose::Use).await, Worth::Good);
    let clock = Clock::manual(house.now());
    house.restart(clock, house.settings).await;
    assert_ne!(worth(house.store(), &used, Purpose::Use).await, Worth::Good);
    // a process that ends takes its memory along; Redis goes on
    let expected = if house.engine == Engine::Embedded { Worth::Over } else { Worth::Good };
    assert_eq!(worth(house.store(), &unused, Purpose::Use).await, expected);
}

pub(super) async fn what_one_process_used_is_used_for_all(house: House) {
    let (other, mut passed) = (house.replica().await, 0);
    for _ in 0..10 {
        let ticket = ticket(&house).await;
        until_answered(&other, Ask::Session(SESSION)).await;
        let (one, two) = tokio::join!(house.store().ticket(&ticket, Purpose::Use), other.ticket(&ticket, Purpose::Use));
        let good = [one, two].iter().filter(|worth| **worth == Ok(Worth::Good)).count();
        assert!(good <= 1);
        passed += good;
        assert_eq!(worth(&other, &ticket, Purpose::Look).await, Worth::Used);
    }
    assert!(passed > 5, "{passed}");
}

pub(super) async fn a_use_whose_answer_is_late_is_asked_for_again(house: House) {
    for _ in 0..50 {
        let ticket = ticket(&house).await;
        house.server().signal(Signal::STOP);
        let using = tokio::spawn({
            let (store, ticket) = (house.store().clone(), ticket.clone());
            async move { store.ticket(&ticket, Purpose::Use).await }
        });
        // longer than one try lasts
        tokio::time::sleep(Duration::from_millis(70)).await;
        house.server().signal(Signal::CONT);
        if using.await.unwrap() == Ok(Worth::Good) {
            return assert_eq!(worth(house.store(), &ticket, Purpose::Use).await, Worth::Used, "by another");
        }
    }
    panic!("never");
}

pub(super) async fn whatever_redis_loses_no_ticket_is_good_twice(mut house: House) {
    for round in 0..4 {
        let (used, unused) = (ticket(&house).await, ticket(&house).await);
        match round {
            // what comes back is older than the use
            0 => drop(house.server().command(&["SAVE"]).await),
            // and here not
            1 => {}
            _ => assert_eq!(worth(house.store(), &used, Purpose::Look).await, Worth::Good),
        }
        assert_eq!(worth(house.store(), &used, Purpose::Use).await, Worth::Good);
        match round {
            0 | 2 => {
                house.server_mut().kill();
                assert_eq!(house.store().ticket(&unused, Purpose::Use).await, Err(Unavailable), "nobody says");
                house.server_mut().run().await;
            }
            1 => {
                house.server().command(&["SAVE"]).await;
                house.server_mut().kill();
                house.server_mut().run().await;
            }
            _ => drop(house.server().command(&["FLUSHALL"]).await),
        }
        for old in [&used, &unused] {
            // the first to ask after a FLUSHALL finds out
            until_answered(house.store(), Ask::Session(SESSION)).await;
            assert_ne!(house.store().ticket(old, Purpose::Use).await, Ok(Worth::Good), "round {round}");
        }
        let new = ticket(&house).await;
        assert_eq!(worth(house.store(), &new, Purpose::Use).await, Worth::Good, "round {round}");
    }
}
