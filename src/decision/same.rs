//! Whether two short texts are the same, without a call. Not in constant time: for nothing that is secret.

/// Texts of four to thirty-two bytes, as most names are, take two comparisons of pieces that may overlap.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(one: &[u8], other: &[u8]) -> Option<bool> {
        Some(one.first_chunk::<N>()? == other.first_chunk::<N>()? && one.last_chunk::<N>()? == other.last_chunk::<N>()?)
    }
    one.len() == other.len()
        && match one.len() {
            8..=16 => ends::<8>(one, other),
            4..8 => ends::<4>(one, other),
            17..=32 => ends::<16>(one, other),
            _ => None,
        }
        .unwrap_or_else(|| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for len in 0..80 {
            let one = vec![b'a'; len];
            assert!(same(&one, &one.clone()));
            assert!(!same(&[one.as_slice(), b"a"].concat(), &one));
            for at in 0..len {
                let mut other = one.clone();
                other[at] = b'b';
                assert!(!same(&one, &other) && !same(&other, &one), "{at} of {len}");
            }
        }
    }
}
