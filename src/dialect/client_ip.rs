//! Where a gate learns the client's address: one header of its proxy, and which of the addresses in it.
//!
//! Configured, never guessed: any header may be the client's own, and of a list only what the proxies in front have added at its right
//! is theirs (CVE-2024-47070, CVE-2023-36456: a spoofed `X-Forwarded-For`).

use http::{HeaderMap, HeaderName};

use crate::decision::network::Client;

/// `client_ip: { header: X-Forwarded-For, from_right: 1 }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIp {
    /// Which header.
    pub header: HeaderName,
    /// Which of its addresses, counted from the right: the last is 1. One more for each trusted proxy in front of this one.
    pub from_right: usize,
}

impl ClientIp {
    /// What a check says of the client's address. Two lines are none: which came from whom cannot be told.
    pub(super) fn read<'a>(&self, headers: &'a HeaderMap) -> Client<'a> {
        let mut lines = headers.get_all(&self.header).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => Client::Listed { list: line.as_bytes(), from_right: self.from_right },
            _ => Client::NotTold,
        }
    }
}
