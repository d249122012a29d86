//! Where the console's pages are. They are for people and stand in no document: whatever they do, a JSON route does as well.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::super::Admin;
use super::{
    account, audit, invitations, issuers, keys, people, policies, refusals, rules, second_factor, sessions, sign_up, tenants, tokens,
    try_it, usage,
};

/// Every page but the start page, the login pages and those on other hosts.
pub(in crate::admin) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/signup", get(sign_up::show).post(sign_up::sign_up))
        .route("/console/keys", get(keys::show).post(keys::create))
        .route("/console/keys/{id}/rotate", post(keys::rotate))
        .route("/console/keys/{id}/scopes", post(keys::set_scopes))
        .route("/console/keys/{id}/terms", post(keys::set_terms))
        .route("/console/keys/{id}/delete", post(keys::delete))
        .route("/console/keys/{id}/usage", get(usage::show))
        .route("/console/tokens", get(tokens::show))
        .route("/console/tokens/{id}/end", post(tokens::end))
        .route("/console/logins", get(sessions::show))
        .route("/console/logins/{id}/end", post(sessions::end))
        .route("/console/account", get(account::show))
        .route("/console/account/contact", post(account::change))
        .route("/console/account/code/{kind}", post(account::send))
        .route("/console/account/verify", post(account::verify))
        .route("/console/account/password", post(account::password))
        .route("/console/account/second-factor", get(second_factor::begun).post(second_factor::begin))
        .route("/console/account/second-factor/confirm", post(second_factor::confirm))
        .route("/console/account/second-factor/remove", post(second_factor::remove))
        .route("/console/account/second-factor/recovery-codes", post(second_factor::renew))
        .route("/console/people", get(people::show).post(people::create))
        .route("/console/people/{role}/{uid}", get(people::show_one))
        .route("/console/people/{role}/{uid}/{what}", post(people::change))
        .route("/console/policies", get(policies::show).post(policies::create))
        .route("/console/policies/{id}/change", post(policies::change))
        .route("/console/policies/{id}/delete", post(policies::delete))
        .route("/console/invitations", get(invitations::show).post(invitations::create))
        .route("/console/invitations/{id}/end", post(invitations::end))
        .route("/console/audit", get(audit::show))
        .route("/console/rules", get(rules::show))
        .route("/console/try", get(try_it::show).post(try_it::explain))
        .route("/console/refusals", get(refusals::show))
        .route("/console/issuers", get(issuers::show))
        .route("/console/issuers/{name}", get(issuers::show_one))
        .route("/console/issuers/{name}/denials", post(issuers::deny))
        .route("/console/issuers/{name}/denials/{id}/lift", post(issuers::lift))
        .route("/console/tenants", get(tenants::show))
        .route("/console/tenants/{id}/block", post(tenants::block))
        .route("/console/tenants/{id}/unblock", post(tenants::unblock))
}
