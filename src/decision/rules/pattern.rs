//! Patterns as written in rules: hosts and paths.

use std::fmt;

use crate::decision::path::segments;
use crate::decision::request::Host;

/// Most segments in a path pattern.
const SEGMENTS: usize = 32;

/// A host pattern, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Any host that ends in this suffix, which begins with a dot: `*.example.com` holds `.example.com`.
    Wildcard(String),
}

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a host.
    #[error("`{0}` is not a host: write a name such as `api.example.com` (no port), or `*.example.com`")]
    Host(String),
    /// Not a path.
    #[error("`{0}` is not a path: {1}")]
    Path(String, &'static str),
}

impl HostPattern {
    /// Reads `api.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// [`PatternError::Host`], with the text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let lower = text.to_ascii_lowercase();
        let (name, wildcard) = lower.strip_prefix("*.").map_or((lower.as_str(), false), |name| (name, true));
        let wrong = || PatternError::Host(text.to_owned());
        let host = Host::read(name.as_bytes()).ok_or_else(wrong)?;
        if host.as_bytes() != name.as_bytes() {
            return Err(wrong());
        }
        Ok(if wildcard { Self::Wildcard(format!(".{name}")) } else { Self::Exact(lower) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(bytes) => write!(f, "/{}", String::from_utf8_lossy(bytes))?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        if self.rest { f.write_str("/**") } else { Ok(()) }
    }
}

/// One segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// These bytes.
    Literal(Box<[u8]>),
    /// `{name}`: any one segment that is not empty.
    Parameter(String),
}

/// A path pattern: segments, and whether `/**` takes the rest, itself included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// In order.
    pub segments: Vec<Segment>,
    /// Whether it ends in `/**`.
    pub rest: bool,
}

impl PathPattern {
    /// Reads `/orders/{id}`, `/api/**`, `/`. Literals stand for themselves, decoded (`/café`, not `/caf%C3%A9`).
    ///
    /// # Errors
    /// [`PatternError::Path`], with the text and what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let wrong = |what| PatternError::Path(text.to_owned(), what);
        if !text.starts_with('/') {
            return Err(wrong("a path begins with `/`"));
        }
        let mut pattern = Self { segments: Vec::new(), rest: false };
        let mut parts = segments(text.as_bytes()).map(|part| std::str::from_utf8(part).unwrap_or_default()).peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            match part {
                "**" if last => pattern.rest = true,
                _ => pattern.segments.push(Segment::parse(part, last).map_err(wrong)?),
            }
        }
        let mut names: Vec<&str> = pattern.parameters().map(|(_, name)| name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(wrong("a parameter name stands twice"));
        }
        if pattern.segments.len() > SEGMENTS {
            return Err(wrong("more than 32 segments"));
        }
        Ok(pattern)
    }

    /// Its parameters with their places among the segments.
    pub fn parameters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.segments.iter().enumerate().filter_map(|(at, segment)| match segment {
            Segment::Parameter(name) => Some((at, name.as_str())),
            Segment::Literal(_) => None,
        })
    }

    /// A path that it matches.
    pub fn example(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(bytes) => path.push_str(&String::from_utf8_lossy(bytes)),
                Segment::Parameter(name) => path.push_str(name),
            }
        }
        if self.rest {
            path.push_str("/x");
        }
        path
    }
}

impl Segment {
    fn parse(part: &str, last: bool) -> Result<Self, &'static str> {
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let fine = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return if fine { Ok(Self::Parameter(name.to_owned())) } else { Err("a parameter is `{name}` of letters, digits and `_`") };
        }
        match part {
            "" if !last => Err("an empty segment (`//`) is refused in every request"),
            "." | ".." => Err("a dot segment is refused in every request"),
            _ if part.contains('*') => {
                Err("`**` stands alone at the end (`/api/**`), and there are no other wildcards: `{name}` takes one segment")
            }
            _ if part.contains(['{', '}']) => Err("a parameter takes a whole segment: `/{name}/`"),
            _ if part.contains(['%', '\\', '#', '?', ';']) || part.chars().any(char::is_control) => {
                Err("`% \\ # ? ;` and controls cannot be matched: write other characters as they are, not escaped")
            }
            _ => Ok(Self::Literal(part.as_bytes().into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(HostPattern::parse("API.example.com"), Ok(HostPattern::Exact("api.example.com".into())));
        assert_eq!(HostPattern::parse("*.Example.com"), Ok(HostPattern::Wildcard(".example.com".into())));
        for text in ["", "*", "*.", "a.*.b", "*a.example", "a:80", "a/b", "a.example.", "*.*.a"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths() {
        for (text, example) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/orders/{id}", "/orders/id"),
            ("/**", "/x"),
            ("/a/{b}/**", "/a/b/x"),
            ("/a b/é", "/a b/é"),
        ] {
            assert_eq!(PathPattern::parse(text).unwrap().example(), example);
        }
        for text in [
            "", "a", "/a//b", "/./a", "/a/..", "/*", "/a*", "/**/a", "/a/x**", "/{}", "/{a-b}", "/x{a}", "/{a}x", "/{a}/{a}", "/%41",
            "/a;b", "/a?b", "/a#b", "/a\\b",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }
}
