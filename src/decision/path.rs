//! Paths: the original request's path as bytes, refused rather than normalised.
//!
//! Two servers that disagree on what a path means are how forward-auth gets bypassed, so anything
//! that some server reads differently is refused: controls, spaces, `\`, `#`, raw non-ASCII, bad
//! escapes, escapes of `/ \ % # ? ;` and controls, what is not UTF-8, dot segments (also `..;x`),
//! empty segments. The rest is decoded once. With `;` there are two readings, with and without
//! parameters, and both must be allowed.
//! (CVE-2019-9901, CVE-2021-32779, CVE-2021-29492, CVE-2026-41059, CVE-2026-15573 and their kin.)

use std::borrow::Cow;

/// Longest original URI, in bytes.
pub const URI_BYTES: usize = 64 * 1024;

/// A path that every server reads the same way, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    whole: Cow<'a, [u8]>,
    without_parameters: Option<Vec<u8>>,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not begin with `/`: absolute form, `*`, an authority, or nothing.
    #[error("the URI does not begin with `/`")]
    NotOriginForm,
    /// Over [`URI_BYTES`].
    #[error("the URI is longer than 64 KiB")]
    TooLong,
    /// A control character or a space, raw anywhere in the URI.
    #[error("a control character or space in the URI")]
    Control,
    /// `\`, `#` or a byte above 127, raw in the path.
    #[error("a raw backslash, `#` or non-ASCII byte in the path")]
    Raw,
    /// `%` without two hex digits.
    #[error("a bad percent escape in the path")]
    BadEscape,
    /// An escape of `/ \ % # ? ;` or a control.
    #[error("an escaped delimiter or control character in the path")]
    EscapedDelimiter,
    /// What the escapes spell is not UTF-8, or holds a control character.
    #[error("the decoded path is not plain UTF-8 text")]
    NotText,
    /// `.` or `..`, whatever its spelling, also with parameters.
    #[error("a dot segment in the path")]
    DotSegment,
    /// `//`, or `/;x/`.
    #[error("an empty segment in the path")]
    EmptySegment,
}

impl<'a> Path<'a> {
    /// The path of an original URI in origin form; what follows `?` is not part of it.
    ///
    /// # Errors
    /// See [`PathFault`].
    pub fn read(uri: &'a [u8]) -> Result<Self, PathFault> {
        if uri.len() > URI_BYTES {
            return Err(PathFault::TooLong);
        }
        if uri.first() != Some(&b'/') {
            return Err(PathFault::NotOriginForm);
        }
        // one scan decides the usual case
        if let Some((path, query)) = uri.split_at_checked(plain(uri))
            && matches!(query.first(), None | Some(b'?'))
        {
            check_query(query)?;
            return Ok(Self { whole: Cow::Borrowed(path), without_parameters: None });
        }
        let (path, query) = memchr::memchr(b'?', uri).and_then(|at| uri.split_at_checked(at)).unwrap_or((uri, &[]));
        check_query(query)?;
        let whole = decode(path)?;
        let text = std::str::from_utf8(&whole).map_err(|_| PathFault::NotText)?;
        if text.chars().any(char::is_control) {
            return Err(PathFault::NotText);
        }
        let without_parameters = strip_parameters(&whole)?;
        Ok(Self { whole: Cow::Owned(whole), without_parameters })
    }

    /// Every reading of it, each decoded and beginning with `/`.
    pub fn readings(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.whole()).chain(self.without_parameters())
    }

    /// The reading of it as it stands.
    pub fn whole(&self) -> &[u8] {
        &self.whole
    }

    /// The reading without parameters, where it has some.
    pub fn without_parameters(&self) -> Option<&[u8]> {
        self.without_parameters.as_deref()
    }
}

/// The segments of a reading: `/a/b` has two, `/a/` has `a` and an empty one, `/` has an empty one.
pub fn segments(reading: &[u8]) -> impl Iterator<Item = &[u8]> {
    reading.get(1..).unwrap_or_default().split(|byte| *byte == b'/')
}

/// A byte that means itself to every server, `/` and `.` apart: `[A-Za-z0-9_~!$&'()*+,=:@-]`.
const ORDINARY: u8 = 1;
const SLASH: u8 = 2;
const DOT: u8 = 4;

/// Which of these a byte is; 0 = none.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "below 256, evaluated by the compiler")]
        {
            kinds[byte] = match byte as u8 {
                b'/' => SLASH,
                b'.' => DOT,
                b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' | b'-' => ORDINARY,
                other if other.is_ascii_alphanumeric() => ORDINARY,
                _ => 0,
            };
        }
        byte += 1;
    }
    kinds
};

/// How many bytes from the beginning on mean themselves to every server, without `//` and `/.`.
fn plain(path: &[u8]) -> usize {
    let mut fine = ORDINARY | SLASH | DOT;
    let end = path.iter().position(|byte| {
        let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(0);
        let ends = kind & fine == 0;
        fine = if kind == SLASH { ORDINARY } else { ORDINARY | SLASH | DOT };
        ends
    });
    end.unwrap_or(path.len())
}

/// A query is the application's own, but a URI with a raw control or space is no URI.
fn check_query(query: &[u8]) -> Result<(), PathFault> {
    if query.iter().any(|byte| is_control_or_space(*byte)) { Err(PathFault::Control) } else { Ok(()) }
}

fn is_control_or_space(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

fn decode(path: &[u8]) -> Result<Vec<u8>, PathFault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match *byte {
            byte if is_control_or_space(byte) => return Err(PathFault::Control),
            b'\\' | b'#' | 0x80.. => return Err(PathFault::Raw),
            b'%' => {
                let [high, low, after @ ..] = rest else { return Err(PathFault::BadEscape) };
                let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok()).ok_or(PathFault::BadEscape);
                let byte = value(*high)? << 4 | value(*low)?;
                // an application that decodes again, or decodes first, would see another path
                if matches!(byte, b'/' | b'\\' | b'%' | b'#' | b'?' | b';' | 0..=0x1f | 0x7f) {
                    return Err(PathFault::EscapedDelimiter);
                }
                decoded.push(byte);
                rest = after;
            }
            byte => decoded.push(byte),
        }
    }
    Ok(decoded)
}

/// The reading of servers that drop `;parameters` from each segment; `None` where there are none.
fn strip_parameters(path: &[u8]) -> Result<Option<Vec<u8>>, PathFault> {
    let mut stripped = Vec::with_capacity(path.len());
    let mut names = segments(path).peekable();
    let mut has_parameters = false;
    while let Some(segment) = names.next() {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        has_parameters |= name.len() < segment.len();
        // `..` as some server may see it: also with parameters, with spaces or dots that are trimmed
        if name.contains(&b'.') && name.iter().all(|byte| matches!(byte, b'.' | b' ')) {
            return Err(PathFault::DotSegment);
        }
        if name.is_empty() && (names.peek().is_some() || !segment.is_empty()) {
            return Err(PathFault::EmptySegment);
        }
        stripped.push(b'/');
        stripped.extend_from_slice(name);
    }
    Ok(has_parameters.then_some(stripped))
}

#[cfg(test)]
mod tests;
