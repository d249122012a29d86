//! Envoy ext_authz over HTTP: the request's own method, `/verify` + path, and `Host`.
//!
//! Exactly 200 allows: Envoy takes 201, 204, 206 and 299 for refusals.

use super::Names;

pub(super) const NAMES: Names = Names { method: None, uri: None, host: "host", proto: "x-forwarded-proto", upgrade: None };
