//! Notices: what owners of keys and their systems are told by mail and by signed webhooks: that a key is about to end, was never used,
//! or has ended.
//!
//! Every process looks for such keys; the one that notes a thing first makes it an event, with a delivery for each who is told
//! ([`crate::database`] keeps both). Deliveries are taken one by one by whichever process comes first, and tried again, with longer
//! and longer waits, for three days.
//! INVARIANT: an event stands in the database with all its deliveries before anything is sent, so it is told at least once, under one id.

mod event;
mod letter;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::causes::with_causes;
use crate::database::{Database, DatabaseError, Delivery, NoticeWindow};
use crate::metrics;
use crate::senders::{Letters, Unsent};

use self::event::Event;
pub use self::event::EventKind;
use self::webhook::Client;
pub use self::webhook::Webhook;

/// How often keys are looked for, and deliveries that are due.
const EVERY: Duration = Duration::from_secs(5);
/// Most keys that become events at one time, of each sort.
const KEYS: u32 = 100;
/// Most deliveries taken at one time.
const DELIVERIES: u32 = 20;
/// How long whoever takes a delivery has for it.
const CLAIM: Duration = Duration::from_secs(60);
/// How long it is tried.
const TRIED_FOR: Duration = Duration::from_secs(3 * DAY_S);
/// How long after the first failure it is tried again; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// And at most.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
const DAY_S: u64 = 24 * 3600;
/// By what the mail of an owner is known among deliveries.
const MAIL: &str = "mail";

/// Who is told.
#[derive(Clone, Default)]
pub struct Told {
    /// Owners, by mail.
    pub letters: Option<Letters>,
    /// Systems.
    pub webhooks: Vec<Webhook>,
}

/// Begins to tell; ends with the process. Nothing is looked for where nobody is told.
///
/// # Errors
/// Where the system's certificates cannot be read.
pub fn start(database: Database, told: Told) -> Result<(), String> {
    if told.letters.is_none() && told.webhooks.is_empty() {
        return Ok(());
    }
    let teller = Arc::new(Teller { client: Client::new()?, database, told });
    tokio::spawn(async move {
        let mut due = tokio::time::interval(EVERY);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut fails = false;
        loop {
            due.tick().await;
            match teller.round().await {
                Ok(()) => fails = false,
                Err(error) if fails => tracing::debug!(%error, "notices wait for the database"),
                Err(error) => {
                    fails = true;
                    tracing::warn!(%error, "notices wait for the database");
                }
            }
        }
    });
    Ok(())
}

struct Teller {
    client: Client,
    database: Database,
    told: Told,
}

impl Teller {
    /// Looks for keys once, and for deliveries that are due.
    async fn round(self: &Arc<Self>) -> Result<(), DatabaseError> {
        for kind in EventKind::ALL {
            for window in windows(kind) {
                self.note(kind, window).await?;
            }
        }
        // side by side: one that does not answer keeps nobody waiting
        let mut delivering = JoinSet::new();
        for delivery in self.database.deliveries_due(DELIVERIES).await? {
            if self.database.claim_delivery(&delivery, CLAIM).await? {
                let teller = Arc::clone(self);
                delivering.spawn(async move { teller.deliver(&delivery).await });
            }
        }
        delivering.join_all().await.into_iter().collect()
    }

    /// Makes events of what is to be told and was not.
    async fn note(&self, kind: EventKind, window: NoticeWindow) -> Result<(), DatabaseError> {
        let mut targets = self.targets(kind);
        if window == NoticeWindow::OwnerDeleted {
            // whose account is gone gets no mail of it
            targets.retain(|target| target != MAIL);
        }
        if targets.is_empty() {
            return Ok(());
        }
        for key in self.database.keys_to_tell(window, KEYS).await? {
            let Ok(event) = Event::of(kind, window, key, self.database.clock().now()) else { continue };
            if self.database.note_event(event.about.id, window, &event.deliveries(&targets)).await? {
                tracing::info!(event = kind.as_str(), key = %event.about.id, "a notice");
            }
        }
        Ok(())
    }

    fn targets(&self, kind: EventKind) -> Vec<String> {
        let mail = self.told.letters.is_some().then(|| MAIL.to_owned());
        let webhooks = self.told.webhooks.iter().filter(|webhook| webhook.events.contains(&kind)).map(Webhook::name);
        mail.into_iter().chain(webhooks).collect()
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<(), DatabaseError> {
        let channel = if delivery.target == MAIL { "mail" } else { "webhook" };
        let now = self.database.clock().now();
        let outcome = match Event::read(&delivery.body) {
            Ok(event) if delivery.target == MAIL => self.mail(&event).await?,
            Ok(event) => match self.told.webhooks.iter().find(|webhook| webhook.name() == delivery.target) {
                Some(webhook) => self.client.post(webhook, &event, &delivery.body, now).await.map_err(Unsent::Failed),
                None => Err(Unsent::Refused("no webhook of this address is configured any more".to_owned())),
            },
            Err(error) => Err(Unsent::Refused(with_causes(&error))),
        };
        let event = &delivery.event;
        let (result, cause) = match outcome {
            Ok(()) => ("sent", None),
            Err(Unsent::Failed(cause)) if now < delivery.made_at.after(TRIED_FOR) => ("failed", Some(cause)),
            Err(Unsent::Failed(cause) | Unsent::Refused(cause)) => ("given_up", Some(cause)),
        };
        metrics::notice(channel, result);
        match (result, cause) {
            ("failed", Some(cause)) => {
                let wait = wait(delivery.tries);
                tracing::warn!(%event, channel, cause, tries = delivery.tries, again_in_s = wait.as_secs(), "a notice was not taken");
                self.database.postpone_delivery(delivery, now.after(wait)).await
            }
            (_, cause) => {
                match cause {
                    None => tracing::debug!(%event, channel, "a notice was taken"),
                    Some(cause) => tracing::error!(%event, channel, cause, "a notice is given up"),
                }
                self.database.end_delivery(delivery).await
            }
        }
    }

    /// Mails the owner, who may have no address that is proved: then there is nothing to do.
    async fn mail(&self, event: &Event) -> Result<Result<(), Unsent>, DatabaseError> {
        let Some(letters) = &self.told.letters else {
            return Ok(Err(Unsent::Refused("no sender of mail is configured any more".to_owned())));
        };
        let contacts = self.database.contacts_of(event.owner()).await?.unwrap_or_default();
        let Some(to) = contacts.email.filter(|_| contacts.email_verified) else { return Ok(Ok(())) };
        Ok(letters.send(&letter::of(event, to)).await)
    }
}

/// Of which keys a thing is told.
fn windows(kind: EventKind) -> Vec<NoticeWindow> {
    match kind {
        EventKind::Expiring => vec![
            NoticeWindow::Expiring { days: 30, unless: 7 },
            NoticeWindow::Expiring { days: 7, unless: 1 },
            NoticeWindow::Expiring { days: 1, unless: 0 },
        ],
        EventKind::Unused => vec![NoticeWindow::Unused],
        EventKind::Ended => vec![NoticeWindow::Deleted, NoticeWindow::Expired, NoticeWindow::OwnerDeleted],
    }
}

/// How long after so many tries the next one comes.
fn wait(tries: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests;
