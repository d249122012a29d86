//! Rules that take a request but for one thing: what `explain` shows to whoever wonders why a rule does not apply.

use super::{HostPattern, Place, Rule, RuleSet, Segment};
use crate::decision::path::segments;
use crate::decision::request::Request;

/// The one thing that keeps a rule from a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Near {
    /// The rule's path ends in a slash and the request's does not (`true`), or the other way round.
    Slash(bool),
    /// One segment is another, counted from 1.
    Segment {
        /// Its place.
        at: usize,
        /// What the rule has there.
        wanted: String,
        /// What the request has there.
        found: String,
    },
    /// The host is another.
    Host,
}

impl RuleSet {
    /// At most `most` rules that everything but one thing speaks for, the nearest first. Rules whose host and path match are
    /// [candidates](Self::candidates), not these.
    pub fn nearly(&self, request: &Request<'_>, reading: &[u8], most: usize) -> Vec<(&Rule, Near)> {
        let mut found: Vec<_> = self.rules().iter().filter_map(|rule| Some((rule, near(&rule.place, request, reading)?))).collect();
        found.sort_by_key(|(rule, near)| {
            let rank = match near {
                Near::Slash(_) => 0,
                Near::Segment { .. } => 1,
                Near::Host => 2,
            };
            (rank, rule.number)
        });
        found.truncate(most);
        found
    }
}

fn near(place: &Place, request: &Request<'_>, reading: &[u8]) -> Option<Near> {
    let takes = |name: &[u8]| place.methods.iter().any(|method| method.is(name));
    if !(place.methods.is_empty() || takes(request.method) || request.method == b"HEAD" && takes(b"GET")) {
        return None;
    }
    let host = request.host.as_bytes();
    let host_fits = place.hosts.is_empty() || place.hosts.iter().any(|pattern| covers(pattern, host));
    match (host_fits, path(place, reading)) {
        (true, Path::But(near)) => Some(near),
        (false, Path::Fits) => Some(Near::Host),
        _ => None,
    }
}

fn covers(pattern: &HostPattern, host: &[u8]) -> bool {
    match pattern {
        HostPattern::Exact(name) => name.as_bytes() == host,
        HostPattern::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_bytes()),
    }
}

enum Path {
    /// It matches, and says something: a pattern that takes any path is near to none.
    Fits,
    But(Near),
    Differs,
}

fn path(place: &Place, reading: &[u8]) -> Path {
    let (wanted, rest) = (&place.path.segments, place.path.rest);
    let mut parts: Vec<&[u8]> = segments(reading).collect();
    let ends_in = |last: Option<&Segment>| matches!(last, Some(Segment::Literal(bytes)) if bytes.is_empty());
    let mut slash = None;
    if !rest && parts.len() == wanted.len() + 1 && parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
        slash = Some(Near::Slash(false));
    } else if !rest && wanted.len() == parts.len() + 1 && ends_in(wanted.last()) {
        parts.push(b"");
        slash = Some(Near::Slash(true));
    }
    if parts.len() != wanted.len() && !(rest && parts.len() > wanted.len()) {
        return Path::Differs;
    }
    let mut literals = 0;
    let mut other = None;
    for (n, (segment, part)) in wanted.iter().zip(&parts).enumerate() {
        match segment {
            Segment::Literal(bytes) if **bytes == **part => literals += usize::from(!part.is_empty()),
            Segment::Parameter(_) if !part.is_empty() => {}
            // more or fewer segments are another path
            Segment::Literal(bytes) if bytes.is_empty() || part.is_empty() => return Path::Differs,
            _ if other.is_some() => return Path::Differs,
            _ => other = Some((n, segment, *part)),
        }
    }
    match (slash, other) {
        (Some(_), Some(_)) => Path::Differs,
        (Some(near), None) => Path::But(near),
        (None, None) if literals > 0 || parts == [b""] => Path::Fits,
        (None, None) => Path::Differs,
        (None, Some((n, segment, part))) => {
            let wanted = match segment {
                Segment::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Segment::Parameter(name) => format!("{{{name}}}"),
            };
            let found = String::from_utf8_lossy(part).into_owned();
            // where nothing else speaks for the rule, the two words must be alike
            if literals > 0 || alike(&wanted, &found) { Path::But(Near::Segment { at: n + 1, wanted, found }) } else { Path::Differs }
        }
    }
}

/// Whether two words are one but for their case, or for two letters in one place.
fn alike(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let before = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let after = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let longer = a.len().max(b.len());
    let same = (before + after).min(a.len().min(b.len()));
    longer - same <= 2 && same * 2 >= longer
}

#[cfg(test)]
mod tests {
    use super::super::{Method, PathPattern, Requirement, RuleSpec};
    use super::*;

    fn told(method: &str, host: &str, uri: &str) -> Vec<String> {
        let rule = |id: &str, host: &str, methods: &[&str], path: &str| RuleSpec {
            id: id.to_owned(),
            hosts: if host.is_empty() { vec![] } else { vec![HostPattern::parse(host).unwrap()] },
            methods: methods.iter().map(|method| Method::parse(method).unwrap()).collect(),
            path: PathPattern::parse(path).unwrap(),
            fallthrough: false,
            requirement: Requirement::token(),
        };
        let rules = RuleSet::compile(vec![
            rule("order", "", &["GET"], "/orders/{id}"),
            rule("lines", "", &[], "/orders/{id}/lines"),
            rule("folder", "", &["GET"], "/files/"),
            rule("health", "", &["GET"], "/health"),
            rule("api", "*.example.com", &["GET"], "/api/**"),
            rule("all", "other.example", &[], "/**"),
        ])
        .unwrap();
        let request = Request::read(method.as_bytes(), host.as_bytes(), uri.as_bytes(), None).unwrap();
        let reading = request.path.readings().next().unwrap();
        rules.nearly(&request, reading, 10).into_iter().map(|(rule, near)| format!("{} {near:?}", rule.id)).collect()
    }

    #[test]
    fn one_thing_is_missing() {
        let segment = |at: usize, wanted: &str, found: &str| format!("Segment {{ at: {at}, wanted: {wanted:?}, found: {found:?} }}");
        for (method, host, uri, expected) in [
            ("GET", "h", "/orders/7", vec![]),
            ("GET", "h", "/orders/7/", vec!["order Slash(false)".to_owned()]),
            ("HEAD", "h", "/orders/7/", vec!["order Slash(false)".to_owned()]),
            ("POST", "h", "/orders/7/", vec![]),
            ("GET", "h", "/files", vec!["folder Slash(true)".to_owned()]),
            ("GET", "h", "/order/7", vec![format!("order {}", segment(1, "orders", "order"))]),
            ("GET", "h", "/Orders/7", vec![format!("order {}", segment(1, "orders", "Orders"))]),
            ("GET", "h", "/customers/7", vec![]),
            ("GET", "h", "/orders/7/line", vec![format!("lines {}", segment(3, "lines", "line"))]),
            ("PUT", "h", "/orders/7/other", vec![format!("lines {}", segment(3, "lines", "other"))]),
            ("GET", "h", "/orders/", vec![format!("order {}", segment(2, "{id}", ""))]),
            ("GET", "h", "/helth", vec![format!("health {}", segment(1, "health", "helth"))]),
            ("GET", "h", "/metrics", vec![]),
            ("GET", "example.com", "/api/x", vec!["api Host".to_owned()]),
            ("GET", "a.example.com", "/apis/x", vec![format!("api {}", segment(1, "api", "apis"))]),
            ("GET", "example.com", "/apis/x", vec![]),
        ] {
            assert_eq!(told(method, host, uri), expected, "{method} {host}{uri}");
        }
    }

    #[test]
    fn as_many_as_wanted() {
        let rule = |n: usize| RuleSpec {
            id: format!("r{n}"),
            hosts: vec![HostPattern::parse(&format!("h{n}.example")).unwrap()],
            methods: vec![],
            path: PathPattern::parse("/a").unwrap(),
            fallthrough: false,
            requirement: Requirement::token(),
        };
        let rules = RuleSet::compile((0..20).map(rule).collect()).unwrap();
        let request = Request::read(b"GET", b"h", b"/a", None).unwrap();
        assert_eq!(rules.nearly(&request, b"/a", 3).len(), 3);
    }
}
