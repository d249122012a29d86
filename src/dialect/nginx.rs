//! nginx `auth_request`: `X-Original-*`, set by our include file.
//!
//! Answers 401 and 403 only: anything else becomes 500 at the client. The wanted status stands in
//! `X-Deny-Status`; a second call to `/explain` fetches it with its JSON body.

use super::Names;

pub(super) const NAMES: Names = Names {
    method: Some("x-original-method"),
    uri: Some("x-original-uri"),
    host: "x-original-host",
    proto: "x-original-proto",
    upgrade: None,
};
