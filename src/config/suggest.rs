//! "Did you mean": the known word nearest to what was written.

/// The word of `known` within two edits of `word`, the nearest first.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let allowed = if word.len() < 4 { 1 } else { 2 };
    if word.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|other| (edits(word, other), *other))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, near)| near)
}

/// Letters to insert, delete or replace between the two (Levenshtein), `-` being `_`.
fn edits(a: &str, b: &str) -> usize {
    let letter = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    let b: Vec<char> = b.chars().map(letter).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().map(letter).enumerate() {
        let mut next = vec![i + 1];
        for ((y, above), diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(x != *y)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_only() {
        let known = ["listen", "proxy", "secret", "max_lifetime"];
        assert_eq!(nearest("lsten", &known), Some("listen"));
        assert_eq!(nearest("max-lifetime", &known), Some("max_lifetime"));
        assert_eq!(nearest("Proxy", &known), Some("proxy"));
        assert_eq!(nearest("banana", &known), None);
        assert_eq!(nearest("", &["a"]), Some("a"));
    }
}
