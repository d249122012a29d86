//! Senders: what brings a one-time code to a phone or a mailbox.
//!
//! A code is queued and sent by workers of its channel, so that nobody learns from the time an answer takes
//! whether anything was sent. Every queue is bounded: where one is full, the code is dropped and counted.
//!
//! INVARIANT: neither a code nor a whole address is ever logged, but by the `log` sender, whose purpose that is.

mod email;
mod message;
mod sms;
mod template;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

use crate::metrics;
pub use email::Letter;
pub use email::{Email, Mailbox, Security, Smtp};
pub use message::{Code, Message};
pub use sms::{Method, Sms};
pub use template::{Template, TemplateError};

/// Most codes waiting in a channel.
const QUEUE: usize = 256;
/// Codes a channel sends at one time.
const WORKERS: usize = 4;
/// Longest that one sending may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long after a failure the second and last try begins.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What sends one-time codes, as it is written.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// By e-mail.
    pub email: Option<Email>,
    /// By SMS.
    pub sms: Option<Sms>,
    /// Into the log, for a first try.
    pub log: bool,
}

/// By which way a code goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// To a mailbox.
    Email,
    /// To a phone.
    Sms,
}

impl Channel {
    /// As in the metrics and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// Why a sender cannot be made ready.
#[derive(Debug, thiserror::Error)]
#[error("the sender of {} codes cannot be made ready: {cause}", channel.as_str())]
pub struct NotReady {
    channel: Channel,
    cause: String,
}

/// Why something was not sent.
#[derive(Debug)]
pub enum Unsent {
    /// The other side says no: it will say so again.
    Refused(String),
    /// It could not be asked, or says that it cannot now.
    Failed(String),
}

/// What carries the codes of one channel.
enum Carrier {
    Email(Arc<email::Mailer>),
    Sms(sms::Gateway),
}

impl Carrier {
    async fn carry(&self, message: &Message) -> Result<(), Unsent> {
        let carried = tokio::time::timeout(PATIENCE, async {
            match self {
                Self::Email(mailer) => mailer.carry(message).await,
                Self::Sms(gateway) => gateway.carry(message).await,
            }
        });
        carried.await.unwrap_or_else(|_| Err(Unsent::Failed("no answer in time".to_owned())))
    }
}

/// The senders of an installation.
pub struct Senders {
    email: Option<mpsc::Sender<Message>>,
    sms: Option<mpsc::Sender<Message>>,
    letters: Option<Letters>,
    log: bool,
}

/// Sends mails that bring no code, and tells what became of each.
#[derive(Clone)]
pub struct Letters(Option<Arc<email::Mailer>>);

impl Letters {
    /// Sends one, once: who wants it sent tries again.
    ///
    /// # Errors
    /// Where it was not sent.
    pub async fn send(&self, letter: &Letter) -> Result<(), Unsent> {
        let Some(mailer) = &self.0 else {
            tracing::info!(target: "senders", "a mail, in the log because of `senders.log`: {}", letter.subject);
            return Ok(());
        };
        let sent = tokio::time::timeout(PATIENCE, mailer.send(letter)).await;
        sent.unwrap_or_else(|_| Err(Unsent::Failed("no answer in time".to_owned())))
    }
}

impl Senders {
    /// Makes the senders ready and starts their workers; they end when this is dropped.
    ///
    /// # Errors
    /// Where the system's certificates cannot be read.
    pub fn start(settings: Settings) -> Result<Self, NotReady> {
        let not_ready = |channel| move |cause| NotReady { channel, cause };
        let email = settings.email.map(email::Mailer::new).transpose().map_err(not_ready(Channel::Email))?.map(Arc::new);
        let sms = settings.sms.map(sms::Gateway::new).transpose().map_err(not_ready(Channel::Sms))?;
        let letters = (email.is_some() || settings.log).then(|| Letters(email.clone()));
        Ok(Self {
            letters,
            email: email.map(|mailer| workers(Channel::Email, Carrier::Email(mailer))),
            sms: sms.map(|gateway| workers(Channel::Sms, Carrier::Sms(gateway))),
            log: settings.log,
        })
    }

    /// What sends mails that bring no code, where anything does.
    pub fn letters(&self) -> Option<Letters> {
        self.letters.clone()
    }

    /// Sends a mail that brings no code, where anything does, and tries again once where that may help; never waits.
    pub fn write(&self, letter: Letter) {
        let Some(letters) = self.letters() else { return };
        tokio::spawn(async move {
            let mut sent = letters.send(&letter).await;
            if matches!(sent, Err(Unsent::Failed(_))) {
                tokio::time::sleep(AGAIN_AFTER).await;
                sent = letters.send(&letter).await;
            }
            if let Err(Unsent::Refused(cause) | Unsent::Failed(cause)) = sent {
                tracing::warn!(target: "senders", cause, subject = letter.subject, "a mail was not sent");
            }
        });
    }

    /// Whether anything sends by this channel.
    pub fn sends(&self, channel: Channel) -> bool {
        self.log || self.queue(channel).is_some()
    }

    fn queue(&self, channel: Channel) -> Option<&mpsc::Sender<Message>> {
        match channel {
            Channel::Email => self.email.as_ref(),
            Channel::Sms => self.sms.as_ref(),
        }
    }

    /// Sends a code; never waits.
    pub fn send(&self, channel: Channel, message: Message) {
        if self.log {
            tracing::warn!(
                target: "senders",
                "one-time code for {}: {} (in the log because of `senders.log`, which is for a first try only)",
                message.to,
                message.code.reveal()
            );
        }
        let Some(queue) = self.queue(channel) else {
            metrics::code_sent(channel.as_str(), "logged");
            return;
        };
        if queue.try_send(message).is_err() {
            metrics::code_sent(channel.as_str(), "dropped");
            tracing::warn!(target: "senders", channel = channel.as_str(), "a one-time code was dropped: too many wait to be sent");
        }
    }
}

/// The queue of a channel, with workers that end when it is dropped.
fn workers(channel: Channel, carrier: Carrier) -> mpsc::Sender<Message> {
    let (queue, waiting) = mpsc::channel(QUEUE);
    let (waiting, carrier) = (Arc::new(Mutex::new(waiting)), Arc::new(carrier));
    for _ in 0..WORKERS {
        let (waiting, carrier) = (Arc::clone(&waiting), Arc::clone(&carrier));
        tokio::spawn(async move {
            loop {
                let next = waiting.lock().await.recv().await;
                let Some(message) = next else { break };
                deliver(channel, &carrier, &message).await;
            }
        });
    }
    queue
}

/// Sends one code; tries again once where that may help.
async fn deliver(channel: Channel, carrier: &Carrier, message: &Message) {
    let mut outcome = carrier.carry(message).await;
    if matches!(outcome, Err(Unsent::Failed(_))) {
        tokio::time::sleep(AGAIN_AFTER).await;
        outcome = carrier.carry(message).await;
    }
    let (result, cause) = match outcome {
        Ok(()) => ("sent", None),
        Err(Unsent::Refused(cause)) => ("refused", Some(cause)),
        Err(Unsent::Failed(cause)) => ("failed", Some(cause)),
    };
    metrics::code_sent(channel.as_str(), result);
    let (channel, to) = (channel.as_str(), message.shortened());
    match cause {
        None => tracing::debug!(target: "senders", channel, to, "a one-time code was sent"),
        Some(cause) => tracing::warn!(target: "senders", channel, to, cause, "a one-time code was not sent"),
    }
}

#[cfg(test)]
pub(crate) mod sinks;
#[cfg(test)]
mod tests;
