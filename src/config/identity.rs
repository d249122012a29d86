//! `identity_headers` and `standard_headers` of a gate: what an application is told, and under which names.
//!
//! INVARIANT: a name is one that the client cannot say in another way, that means nothing else on the way, and that the gate does not
//! read itself: a header that did would be a header that somebody else can set.

use http::HeaderName;

use super::listeners::header_name;
use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::values;
use super::{Carriage, ClientIp, IdentityHeaders, Proxy};
use crate::decision::told::Source;
use crate::dialect;

/// Most headers of a gate.
const MOST: usize = 16;
/// What a connection, a proxy, a browser or another part of Gatepost gives a meaning.
const TAKEN: [&str; 28] = [
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "origin",
    "pragma",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];
/// The same, whole families.
const TAKEN_FAMILIES: [&str; 13] = [
    "accept",
    "access-control-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "x-auth-",
    "x-deny-",
    "x-envoy-",
    "x-forwarded-",
    "x-http-method",
    "x-method-",
    "x-original-",
];

/// Reads both; `None` only after a problem.
pub(super) fn read(gate: &Field<'_>, taken: &TakenHeaders<'_>) -> Option<IdentityHeaders> {
    let at = gate.key("standard_headers");
    let standard = if at.shape() == Shape::Absent { Some(true) } else { at.read(values::boolean) };
    let field = gate.key("identity_headers");
    let mut own: Vec<(HeaderName, Source)> = Vec::new();
    let mut whole = true;
    for (written, at) in field.named() {
        let problem = |what: String, what_to_do: &str| {
            at.problem(Complaint::new(what, what_to_do));
        };
        let source = at.need(source);
        match header_name(written) {
            Err(complaint) => at.problem(complaint),
            Ok(name) if taken.is(&name) => {
                problem(format!("`{written}` means something else on the way"), "choose a name of your own, like X-Customer");
            }
            Ok(name) if own.iter().any(|(known, _)| *known == name) => {
                problem(format!("`{written}` stands twice: names of headers compare without case"), "take one out");
            }
            Ok(name) => {
                if let Some(source) = source {
                    own.push((name, source));
                    continue;
                }
            }
        }
        whole = false;
    }
    if own.len() > MOST {
        field.problem(Complaint::new(format!("more than {MOST} headers"), "tell the application less, or let it ask by key.id"));
    }
    if standard == Some(false) && own.is_empty() && whole {
        at_nothing(gate);
    }
    (whole && own.len() <= MOST).then_some(())?;
    Some(IdentityHeaders { standard: standard?, own })
}

/// An application that is told nothing cannot tell one client from another.
fn at_nothing(gate: &Field<'_>) {
    gate.key("standard_headers")
        .warning(Complaint::new("the application is told nothing of who asks", "write identity_headers, unless it need not know"));
}

/// Whether a header's name means something to a connection, a proxy, a browser or another part of Gatepost.
pub(super) fn means_something(name: &str) -> bool {
    TAKEN.contains(&name) || TAKEN_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// What a gate reads itself.
pub(super) struct TakenHeaders<'c> {
    pub(super) proxy: Option<Proxy>,
    pub(super) client_ip: Option<&'c ClientIp>,
    pub(super) carriage: Option<&'c Carriage>,
}

impl TakenHeaders<'_> {
    fn is(&self, name: &HeaderName) -> bool {
        means_something(name.as_str())
            || self.proxy.is_some_and(|proxy| dialect::reads(proxy, name))
            || self.client_ip.is_some_and(|client_ip| client_ip.header == *name)
            || self.carriage.is_some_and(|carriage| carriage.headers().any(|carries| carries == name))
    }
}

fn source(text: &str) -> Result<Source, Complaint> {
    Source::from_name(text).ok_or_else(|| {
        Complaint::new(
            format!("`{text}` is nothing that is known of a client"),
            "write subject.uid, .name, .tenant, .role, .external_id or .meta.NAME, key.id, .external_id or .meta.NAME, scopes or expires_in",
        )
    })
}
