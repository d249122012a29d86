//! Networks, and where a client is: an address that the proxy tells, read only where something depends on it.
//!
//! INVARIANT: an IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is that IPv4 address, in networks and in clients' addresses alike:
//! whoever comes over a socket of both families is not somebody else.
//! INVARIANT: what cannot be read is no address, and in no network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A network: address and prefix length. Written `10.0.0.0/8`, or an address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Its address, in canonical form and without bits after the prefix.
    address: IpAddr,
    /// Leading bits that count.
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It has no such form.
    #[error("`{0}` is no network")]
    Malformed(String),
    /// What follows the `/` is no prefix length.
    #[error("`{text}` has no prefix length from 0 to {bits}")]
    Prefix {
        /// As written.
        text: String,
        /// Bits of such an address.
        bits: u8,
    },
    /// A bit is set that does not count: mostly a slip, and there are two networks it may have meant.
    #[error("`{text}` has bits set after its prefix")]
    BitsAfterPrefix {
        /// As written.
        text: String,
        /// The address as written.
        address: IpAddr,
        /// The network without them.
        meant: Network,
    },
}

/// Bits of `::ffff:0:0/96`, below which IPv6 holds all of IPv4.
const MAPPED_BITS: u8 = 96;

impl Network {
    /// The one address that no client has.
    pub const NOBODY: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 32 };

    /// Whether `address` is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }

    /// Whether it holds every address of its family.
    pub fn is_everybody(self) -> bool {
        self.prefix == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (written, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let written: IpAddr = written.parse().map_err(|_| NetworkError::Malformed(text.into()))?;
        let bits: u8 = if written.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => {
                let read = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None };
                read.filter(|prefix| *prefix <= bits).ok_or_else(|| NetworkError::Prefix { text: text.into(), bits })?
            }
        };
        let (address, prefix) = match written.to_canonical() {
            IpAddr::V4(v4) if written.is_ipv6() && prefix >= MAPPED_BITS => (IpAddr::V4(v4), prefix - MAPPED_BITS),
            _ => (written, prefix),
        };
        let meant = Self { address: masked(address, prefix), prefix };
        if meant.address == address { Ok(meant) } else { Err(NetworkError::BitsAfterPrefix { text: text.into(), address, meant }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0)).into()),
    }
}

/// What a check says of the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Client<'a> {
    /// Nothing: the gate has no `client_ip`.
    #[default]
    NotConfigured,
    /// Nothing that counts: the header is missing, or stands twice.
    NotTold,
    /// A list of addresses, of which one counts.
    Listed {
        /// As told.
        list: &'a [u8],
        /// Which one, counted from the right, the last being 1. What stands left of it whoever asks may have written.
        from_right: usize,
    },
    /// This one.
    At(IpAddr),
}

impl Client<'_> {
    /// The client's address, where one can be read.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::NotConfigured | Self::NotTold => None,
            Self::At(address) => Some(address.to_canonical()),
            Self::Listed { list, from_right } => {
                let entry = list.rsplit(|byte| *byte == b',').nth(from_right.checked_sub(1)?)?;
                let address: IpAddr = std::str::from_utf8(entry.trim_ascii()).ok()?.parse().ok()?;
                Some(address.to_canonical())
            }
        }
    }

    /// Why it is in none of `networks`; `None` = it is in one, or none is asked for.
    pub fn is_outside(self, networks: &[Network]) -> Option<&'static str> {
        if networks.is_empty() {
            return None;
        }
        match (self, self.address()) {
            (_, Some(address)) => (!networks.iter().any(|network| network.contains(address))).then_some("not from your network"),
            (Self::NotConfigured, None) => Some("this may be asked from some networks only, and this gate does not know where clients are"),
            (_, None) => Some("this may be asked from some networks only, and the proxy did not tell one address of the client"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn who_is_in_a_network() {
        for (text, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "9.255.255.255", "::a00:1", "2001:db8::"][..],
            ),
            ("192.0.2.7", &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.2.6", "192.0.2.8", "::192.0.2.7"]),
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], &["::", "2001:db8::1"]),
            ("2001:db8::/32", &["2001:db8::", "2001:db8:ffff::1"], &["2001:db9::", "32.1.13.184"]),
            ("::1", &["::1"], &["::", "127.0.0.1", "0.0.0.1"]),
            ("::/0", &["::", "2001:db8::1"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("::ffff:10.0.0.0/104", &["10.1.2.3", "::ffff:10.1.2.3"], &["11.1.2.3"]),
            ("::ffff:192.0.2.7", &["192.0.2.7"], &["192.0.2.8"]),
        ] {
            for address in inside {
                assert!(network(text).contains(address.parse().unwrap()), "{address} in {text}");
            }
            for address in outside {
                assert!(!network(text).contains(address.parse().unwrap()), "{address} not in {text}");
            }
        }
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0/8",
            "010.0.0.0/8",
            "::/129",
            "a",
            "10.0.0.0 /8",
            "10.0.0.1/8",
            "2001:db8::1/32",
            "*",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!("10.1.2.3/8".parse::<Network>().unwrap_err().to_string(), "`10.1.2.3/8` has bits set after its prefix");
    }

    /// Client addresses as proxies and attackers write them; the rightmost is the proxy's.
    #[test]
    fn which_address_counts() {
        let at = |list: &'static str, from_right| {
            Client::Listed { list: list.as_bytes(), from_right }.address().map(|address| address.to_string())
        };
        for (list, from_right, expected) in [
            ("192.0.2.1", 1, Some("192.0.2.1")),
            ("10.0.0.1, 192.0.2.1", 1, Some("192.0.2.1")),
            ("10.0.0.1,192.0.2.1 ", 1, Some("192.0.2.1")),
            ("10.0.0.1, 192.0.2.1", 2, Some("10.0.0.1")),
            ("::ffff:192.0.2.1", 1, Some("192.0.2.1")),
            ("2001:db8::1", 1, Some("2001:db8::1")),
            ("10.0.0.1, 192.0.2.1", 3, None),
            ("192.0.2.1", 0, None),
            ("", 1, None),
            ("10.0.0.1,", 1, None),
            ("10.0.0.1, ,", 2, None),
            ("10.0.0.1, unknown", 1, None),
            ("192.0.2.1:443", 1, None),
            ("[2001:db8::1]:443", 1, None),
            ("[2001:db8::1]", 1, None),
            ("fe80::1%eth0", 1, None),
            ("for=10.0.0.1", 1, None),
            ("10.0.0.1; 192.0.2.1", 1, None),
            ("10.0.0.1 192.0.2.1", 1, None),
            ("0x0a.0.0.1", 1, None),
            ("167772161", 1, None),
            ("10.1", 1, None),
            ("010.0.0.1", 1, None),
            ("\u{ff11}0.0.0.1", 1, None),
        ] {
            assert_eq!(at(list, from_right).as_deref(), expected, "{list} {from_right}");
        }
    }

    #[test]
    fn who_cannot_be_placed_is_outside() {
        let inside = [network("0.0.0.0/0"), network("::/0")];
        for client in [Client::NotConfigured, Client::NotTold, Client::Listed { list: b"unknown", from_right: 1 }] {
            assert!(client.is_outside(&inside).is_some(), "{client:?}");
            assert_eq!(client.is_outside(&[]), None, "nothing is asked for");
        }
        assert_eq!(Client::At("10.0.0.1".parse().unwrap()).is_outside(&inside), None);
        assert_eq!(Client::At("10.0.0.1".parse().unwrap()).is_outside(&[network("10.0.0.0/30"), network("::1")]), None);
        assert!(Client::At("10.0.0.5".parse().unwrap()).is_outside(&[network("10.0.0.0/30"), network("::1")]).is_some());
    }

    proptest! {
        /// A network holds exactly the addresses whose leading bits are its own, and is read as it is written.
        #[test]
        fn leading_bits_decide(bits in any::<u32>(), prefix in 0_u8..=32, other in any::<u32>()) {
            let network = Network { address: masked(IpAddr::V4(bits.into()), prefix), prefix };
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            let same = prefix == 0 || (bits ^ other) >> (32 - u32::from(prefix)) == 0;
            prop_assert_eq!(network.contains(IpAddr::V4(other.into())), same);
        }

        /// Whatever a client writes to the left of what its proxy adds does not matter.
        #[test]
        fn what_stands_left_changes_nothing(left in "[ -~]{0,40}") {
            let list = format!("{left},192.0.2.1");
            prop_assert_eq!(Client::Listed { list: list.as_bytes(), from_right: 1 }.address(), Some("192.0.2.1".parse().unwrap()));
        }
    }
}
