//! The admin listener's routes (API.md): one resource a file, each handler parse → domain call → answer.
//!
//! Every answer leaves through [`answer::finish`], which alone writes envelopes and the headers that
//! all answers share. The gate knows nothing of this; they meet in the stores.

mod answer;
mod audit;
mod browser;
mod document;
mod documents;
mod ends;
mod examinations;
mod failure;
mod form;
mod get_token;
mod instance;
mod invitations;
mod issuers;
mod keys;
mod lists;
mod login;
mod oauth;
mod oidc;
mod origin;
mod otp;
mod pages;
mod password;
mod policies;
mod principals;
mod profile;
mod refresh_key;
mod register;
mod request;
mod second_factor;
mod sessions;
mod tenants;
mod tickets;
mod tokens;
mod usage;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use tower_service::Service;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::accounts::{Accounts, Rules};
use crate::database::{Database, DatabaseError};
use crate::decision::network::Network;
use crate::issuers::Issuers;
use crate::oidc::{Oidc, Provider};
use crate::senders::Senders;
use crate::server;
use crate::token::keyring::Keyring;
use crate::token::store::TokenStore;

pub use instance::{Explained, Instance, Question, Rule, StoreState, Tested};

/// The other end of the connection; the server puts it into each request's extensions.
///
/// A request without one counts as coming from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// What the admin listener relies on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The rules of the accounts.
    pub rules: Rules,
    /// Networks whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
    /// OpenID providers that people may come from.
    pub oidc: Vec<Provider>,
    /// Other issuers whose tokens rules may take.
    pub issuers: Arc<Issuers>,
}

/// What the routes share.
pub struct Admin {
    accounts: Accounts,
    trusted_proxies: Vec<Network>,
    /// What the gate's side tells, once it stands.
    instance: OnceLock<Instance>,
    oidc: Oidc,
    issuers: Arc<Issuers>,
}

impl Admin {
    /// Starts the accounts behind the routes.
    ///
    /// # Errors
    /// As [`Accounts::start`].
    pub async fn start(
        settings: Settings,
        database: Database,
        store: TokenStore,
        keyring: Arc<ArcSwap<Keyring>>,
        senders: Senders,
    ) -> Result<Arc<Self>, DatabaseError> {
        let oidc = Oidc::new(settings.oidc, database.clock());
        let accounts = Accounts::start(settings.rules, database, store, keyring, senders).await?;
        let Settings { trusted_proxies, issuers, .. } = settings;
        Ok(Arc::new(Self { accounts, trusted_proxies, oidc, issuers, instance: OnceLock::new() }))
    }

    /// The set-up code to print, where nobody had founded when this process started.
    pub fn setup_code(&self) -> Option<&str> {
        self.accounts.setup_code()
    }

    /// The key of the first minutes, replacing the one before; `None` once someone has founded. To be asked for only
    /// where everything is embedded and the admin listener is on loopback.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn quickstart_key(&self) -> Result<Option<String>, DatabaseError> {
        self.accounts.quickstart_key().await
    }

    /// The domain behind the routes.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}

/// Answers one request that came over a connection from `peer`.
///
/// # Errors
/// None: every failure is an answer.
pub async fn answer(router: Router, mut request: Request<Incoming>, peer: server::Peer) -> Result<Response<Body>, Infallible> {
    let peer = match peer {
        server::Peer::Address(address) => address,
        server::Peer::Local => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    request.extensions_mut().insert(Peer(peer));
    router.clone().call(request.map(Body::new)).await
}

/// Hands `add` every route of the admin listener with what stands in the document about it: one registration gives both.
fn each_route(add: &mut dyn FnMut(UtoipaMethodRouter<Arc<Admin>>)) {
    add(routes!(documents::index));
    add(routes!(documents::jwks));
    add(routes!(documents::openapi));
    add(routes!(documents::docs));
    add(routes!(documents::script));
    add(routes!(documents::style));
    add(routes!(get_token::get_token));
    add(routes!(oauth::token));
    add(routes!(oauth::introspect));
    add(routes!(oauth::revoke));
    add(routes!(oauth::metadata));
    add(routes!(issuers::metadata));
    add(routes!(issuers::metadata_of));
    add(routes!(register::register));
    add(routes!(login::log_in));
    add(routes!(sessions::log_out));
    add(routes!(sessions::refresh));
    add(routes!(sessions::verify));
    add(routes!(password::change));
    add(routes!(otp::send));
    add(routes!(otp::log_in));
    add(routes!(profile::change));
    add(routes!(profile::verify));
    add(routes!(refresh_key::set));
    add(routes!(refresh_key::log_in));
    add(routes!(second_factor::show, second_factor::begin));
    add(routes!(second_factor::confirm));
    add(routes!(second_factor::remove));
    add(routes!(second_factor::renew));
    add(routes!(second_factor::reset));
    add(routes!(keys::list, keys::create));
    add(routes!(keys::end));
    add(routes!(keys::rotate));
    add(routes!(keys::set_scopes));
    add(routes!(usage::show));
    add(routes!(keys::set_terms));
    add(routes!(tokens::list));
    add(routes!(tokens::end));
    add(routes!(tickets::make));
    add(routes!(pages::login::show, pages::login::log_in));
    add(routes!(pages::login::log_out));
    add(routes!(pages::host::begin));
    add(routes!(pages::host::arrive));
    add(routes!(pages::home::session));
    add(routes!(oidc::log_in, oidc::show_papers));
    add(routes!(oidc::callback));
    add(routes!(sessions::list));
    add(routes!(sessions::end));
    add(routes!(principals::admins::list, principals::admins::create));
    add(routes!(principals::admins::get, principals::admins::change, principals::admins::end));
    add(routes!(principals::clients::list, principals::clients::create));
    add(routes!(principals::clients::get, principals::clients::change, principals::clients::end));
    add(routes!(principals::sub_clients::list, principals::sub_clients::create));
    add(routes!(principals::sub_clients::get, principals::sub_clients::change, principals::sub_clients::end));
    add(routes!(policies::list, policies::create));
    add(routes!(policies::change, policies::end));
    add(routes!(invitations::list, invitations::create));
    add(routes!(invitations::end));
    add(routes!(tenants::list));
    add(routes!(tenants::change));
    add(routes!(issuers::list));
    add(routes!(issuers::denials, issuers::deny));
    add(routes!(issuers::lift));
    add(routes!(audit::list));
    add(routes!(instance::decisions));
    add(routes!(instance::rules));
    add(routes!(instance::explain));
    add(routes!(examinations::open));
    add(routes!(examinations::sights, examinations::close));
}

/// The admin listener. What the document says of a route goes at once: all of it together is megabytes that nobody may ever ask for.
pub fn router(state: Arc<Admin>) -> Router {
    let mut router = pages::routes::routes();
    each_route(&mut |route| {
        let (alone, _) = OpenApiRouter::new().routes(route).split_for_parts();
        router = std::mem::take(&mut router).merge(alone);
    });
    router.layer(axum::middleware::from_fn_with_state(Arc::clone(&state), answer::finish)).with_state(state)
}

/// The OpenAPI document of every route.
pub fn openapi() -> OpenApi {
    let mut all = OpenApiRouter::with_openapi(document::begun());
    each_route(&mut |route| all = std::mem::take(&mut all).routes(route));
    document::finished(all.into_openapi())
}

#[cfg(test)]
mod tests;
