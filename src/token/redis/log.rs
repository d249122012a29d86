//! LOG: reads what was ended, on a connection of its own, and tells how far it was applied.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::core::Core;
use super::link::{Failure, Wire};
use super::reply::Reply;
use crate::id::Id;
use crate::token::fencelog::Epoch;
use crate::token::fencelog::follower::{Concern, Entry};

/// The kind of an entry that tells of imported keys.
pub(super) const IMPORTS: &str = "i";
/// How long one reading waits for entries.
const BLOCK: Duration = Duration::from_secs(1);
/// Between attempts to connect.
const AGAIN: Duration = Duration::from_millis(100);

/// Reads until the store is dropped.
pub(super) async fn run(core: Weak<Core>) {
    let mut wire = None;
    while let Some(strong) = core.upgrade() {
        // asked for before the position is read: an epoch adopted in between is not missed
        let moved = strong.moved.notified();
        let (position, ack) = {
            let follower = strong.follower();
            (follower.position(), follower.ack())
        };
        let (Some(position), Some(ack)) = (position, ack) else {
            tokio::select! { () = moved => {}, () = tokio::time::sleep(BLOCK) => {} }
            continue;
        };
        let connected: Wire = match wire.take() {
            Some(wire) => wire,
            None => match strong.link.connect().await {
                Ok(wire) => wire,
                Err(_) => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            },
        };
        let said = format!("{} {}", ack.epoch, ack.n);
        let read = connected.read_log(strong.member, &said, &position, BLOCK);
        tokio::select! {
            // a reading that still waits at the old position is left behind with its connection
            () = moved => {}
            read = read => match read.map(|reply| entries(&reply)) {
                Ok(Some(entries)) => {
                    strong.follower().entries(&entries);
                    wire = Some(connected);
                }
                Ok(None) => {
                    tracing::error!("an entry of the log in Redis cannot be read");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(Failure::Refused { code, text }) => {
                    tracing::warn!(%code, %text, "the log cannot be read");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(_) => tokio::time::sleep(AGAIN).await,
            },
        }
    }
}

/// What XREAD answered, as the protocol reads it. `None` = nobody of this house wrote that.
fn entries(reply: &Reply) -> Option<Vec<Entry>> {
    // nothing, or one stream: its name and its entries, each a position and its fields
    let stream = match reply {
        Reply::Nil => return Some(Vec::new()),
        reply => reply.at(0),
    };
    stream.at(1).list().iter().map(entry).collect()
}

fn entry(entry: &Reply) -> Option<Entry> {
    let fields = entry.at(1).list();
    let field = |name: &str| fields.chunks(2).find_map(|pair| pair.first()?.text().filter(|key| *key == name).and(pair.get(1)));
    let id: Id = field("id")?.text()?.parse().ok()?;
    let concerns = match field("kind")?.text()? {
        "t" | "k" | "l" | "d" => Concern::One(id),
        IMPORTS => Concern::Imports,
        _ => Concern::All,
    };
    Some(Entry {
        epoch: Epoch::new(field("epoch")?.text()?),
        n: u64::try_from(field("n")?.number()?).ok()?,
        concerns,
        position: Arc::from(entry.at(0).text()?),
    })
}
