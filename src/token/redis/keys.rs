//! Keys: what the names of everything in Redis begin with. The tag in braces puts all of them into one slot of a Cluster, so that a script may use
//! them together; installations that share a Redis have one each.

/// The tag where an address names none.
pub(super) const TAG: &str = "gp";
/// The longest one.
const LONGEST: usize = 32;

/// The names of one installation's keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keys {
    prefix: String,
    epoch: String,
    slot: u16,
}

impl Default for Keys {
    fn default() -> Self {
        Self::of(TAG)
    }
}

impl Keys {
    /// Those with this tag: letters, digits, `-`, `_` and `.`, 32 at most. `None` where it is something else.
    pub(super) fn tagged(tag: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!tag.is_empty() && tag.len() <= LONGEST && tag.bytes().all(is_plain)).then(|| Self::of(tag))
    }

    fn of(tag: &str) -> Self {
        Self { prefix: format!("{{{tag}}}:"), epoch: format!("{{{tag}}}:epoch"), slot: slot(tag.as_bytes()) }
    }

    /// What stands in the braces.
    pub(super) fn tag(&self) -> &str {
        self.prefix.trim_matches(['{', '}', ':'])
    }

    /// Begins every key.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key that every script is given; it makes the others from it.
    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// The slot of every key in a Cluster.
    pub(super) fn slot(&self) -> u16 {
        self.slot
    }
}

/// The slot of what stands in a key's braces: CRC-16/XMODEM.
fn slot(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc % 16384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_ones_redis_tells() {
        assert_eq!(Keys::default().slot(), 11306, "CLUSTER KEYSLOT {{gp}}:epoch");
        assert_eq!(slot(b"123456789"), 0x31C3);
    }

    #[test]
    fn a_tag_is_plain_and_short() {
        let shop = Keys::tagged("shop-1.eu_west").unwrap();
        assert_eq!((shop.prefix(), shop.epoch()), ("{shop-1.eu_west}:", "{shop-1.eu_west}:epoch"));
        assert_eq!(Keys::tagged("gp"), Some(Keys::default()));
        for tag in ["", "a b", "a}", "{a", "a:b", "ä", "a\n", "a*", "a?", &"a".repeat(33)] {
            assert_eq!(Keys::tagged(tag), None, "{tag:?}");
        }
    }
}
