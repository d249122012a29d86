//! Events: what is told of a key, as a webhook's body spells it.

use serde::{Deserialize, Serialize};

use super::DAY_S;
use crate::clock::UnixMs;
use crate::database::{KeyToTell, NewDelivery, NoticeWindow};
use crate::id::Id;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A key ends soon.
    #[serde(rename = "key.expiring")]
    Expiring,
    /// A key was never used.
    #[serde(rename = "key.unused")]
    Unused,
    /// A key has ended.
    #[serde(rename = "key.ended")]
    Ended,
}

impl EventKind {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Expiring, Self::Unused, Self::Ended];

    /// As in the configuration and in what is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expiring => "key.expiring",
            Self::Unused => "key.unused",
            Self::Ended => "key.ended",
        }
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    /// Names it; the same in every try.
    pub(super) id: Id,
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    /// When it was noted, Unix seconds.
    pub(super) at: u64,
    /// Of an end that is near: how many days before it this is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) days: Option<u32>,
    /// Of an end: `deleted`, `expired` or `owner_deleted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
    #[serde(rename = "key")]
    pub(super) about: About,
}

/// The key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) id: Id,
    pub(super) name: String,
    /// The principal it belongs to.
    pub(super) owner: Id,
    pub(super) tenant: Id,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) external_id: Option<String>,
    /// Unix seconds, as all times here.
    pub(super) created_at: u64,
    pub(super) expires_at: Option<u64>,
    pub(super) last_used_at: Option<u64>,
}

impl Event {
    /// What is told of a key.
    ///
    /// # Errors
    /// Where the operating system has no randomness to give.
    pub(super) fn of(kind: EventKind, window: NoticeWindow, key: KeyToTell, now: UnixMs) -> Result<Self, ring::error::Unspecified> {
        let (days, cause) = match window {
            NoticeWindow::Expiring { days, .. } => (Some(days), None),
            NoticeWindow::Unused => (None, None),
            NoticeWindow::Deleted => (None, Some("deleted".to_owned())),
            NoticeWindow::Expired => (None, Some("expired".to_owned())),
            NoticeWindow::OwnerDeleted => (None, Some("owner_deleted".to_owned())),
        };
        let about = About {
            id: key.id,
            name: key.name,
            owner: key.owner,
            tenant: key.tenant,
            external_id: key.terms.external_id,
            created_at: key.created_at.seconds(),
            expires_at: key.expires_at.map(UnixMs::seconds),
            last_used_at: key.last_used_at.map(UnixMs::seconds),
        };
        Ok(Self { id: Id::random()?, kind, at: now.seconds(), days, cause, about })
    }

    /// As it was written.
    ///
    /// # Errors
    /// Where no version of the program writes that.
    pub(super) fn read(body: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(body)
    }

    /// Whose key it is.
    pub(super) fn owner(&self) -> Id {
        self.about.owner
    }

    /// One delivery for each of these.
    pub(super) fn deliveries(&self, targets: &[String]) -> Vec<NewDelivery> {
        // cannot fail: texts and numbers
        let body = serde_json::to_string(self).unwrap_or_default();
        targets.iter().map(|target| NewDelivery { event: self.id, target: target.clone(), body: body.clone() }).collect()
    }

    /// Whole days from when it was noted to the key's end.
    pub(super) fn days_left(&self) -> u64 {
        self.about.expires_at.map_or(0, |end| end.saturating_sub(self.at).div_ceil(DAY_S))
    }
}
