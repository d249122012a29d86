//! What the program tells whoever started it, where that wants to know (`NOTIFY_SOCKET`, sd_notify(3)): that it can decide, and
//! that it stops. systemd's `Type=notify` waits for the first.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::token::store::TokenStore;

/// How long a store that does not answer keeps the word back. Anonymous routes are served without it.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Who wants to know; nobody by default.
#[derive(Debug, Default)]
pub struct Supervisor(Option<(UnixDatagram, SocketAddr)>);

impl Supervisor {
    /// The one at this address, `NOTIFY_SOCKET` as it stands in the environment.
    ///
    /// # Errors
    /// Where it is no address of a unix socket.
    pub fn at(address: Option<&str>) -> std::io::Result<Self> {
        let Some(address) = address.filter(|address| !address.is_empty()) else { return Ok(Self(None)) };
        let address = match address.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        Ok(Self(Some((UnixDatagram::unbound()?, address))))
    }

    /// Everything listens. Says so once the store answers, too.
    pub(super) async fn ready(&self, tokens: &TokenStore) {
        let answers = async {
            while !tokens.is_ready() {
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        if self.0.is_some() {
            let _ = tokio::time::timeout(STORE_PATIENCE, answers).await;
            self.tell("READY=1");
        }
    }

    /// A signal came.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: &str) {
        let Some((socket, address)) = &self.0 else { return };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            tracing::warn!(%error, "whoever started the program (NOTIFY_SOCKET) cannot be told {what}");
        }
    }
}
