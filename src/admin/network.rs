//! Networks: an address and how many of its leading bits count.

use std::net::IpAddr;

/// A network: address and prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its address.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

impl Network {
    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (of, address, width) = match (self.address, address) {
            (IpAddr::V4(of), IpAddr::V4(address)) => (u128::from(of.to_bits()), u128::from(address.to_bits()), 32),
            (IpAddr::V6(of), IpAddr::V6(address)) => (of.to_bits(), address.to_bits(), 128),
            _ => return false,
        };
        let ignored = width - u32::from(self.prefix).min(width);
        (of ^ address).checked_shr(ignored).unwrap_or(0) == 0
    }
}
