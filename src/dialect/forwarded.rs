//! Traefik ForwardAuth, Caddy `forward_auth` and HAProxy with our Lua action: `X-Forwarded-*`.
//!
//! All three pass a refusal on whole: final status and JSON body.

use super::Names;

pub(super) const NAMES: Names = Names {
    method: Some("x-forwarded-method"),
    uri: Some("x-forwarded-uri"),
    host: "x-forwarded-host",
    proto: "x-forwarded-proto",
    upgrade: Some("x-original-upgrade"),
};
