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
use utoipa_axum::router::OpenApiRouter;
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

/// Every route of the admin listener, and what stands in the document about each: one registration gives both.
fn routes() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::with_openapi(document::begun())
        .routes(routes!(documents::index))
        .routes(routes!(documents::jwks))
        .routes(routes!(documents::openapi))
        .routes(routes!(documents::docs))
        .routes(routes!(documents::script))
        .routes(routes!(documents::style))
        .routes(routes!(get_token::get_token))
        .routes(routes!(oauth::token))
        .routes(routes!(oauth::introspect))
        .routes(routes!(oauth::revoke))
        .routes(routes!(oauth::metadata))
        .routes(routes!(issuers::metadata))
        .routes(routes!(issuers::metadata_of))
        .routes(routes!(register::register))
        .routes(routes!(login::log_in))
        .routes(routes!(sessions::log_out))
        .routes(routes!(sessions::refresh))
        .routes(routes!(sessions::verify))
        .routes(routes!(password::change))
        .routes(routes!(otp::send))
        .routes(routes!(otp::log_in))
        .routes(routes!(profile::change))
        .routes(routes!(profile::verify))
        .routes(routes!(refresh_key::set))
        .routes(routes!(refresh_key::log_in))
        .routes(routes!(second_factor::show, second_factor::begin))
        .routes(routes!(second_factor::confirm))
        .routes(routes!(second_factor::remove))
        .routes(routes!(second_factor::renew))
        .routes(routes!(second_factor::reset))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::end))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::set_scopes))
        .routes(routes!(usage::show))
        .routes(routes!(keys::set_terms))
        .routes(routes!(tokens::list))
        .routes(routes!(tokens::end))
        .routes(routes!(tickets::make))
        .routes(routes!(pages::login::show, pages::login::log_in))
        .routes(routes!(pages::login::log_out))
        .routes(routes!(pages::host::begin))
        .routes(routes!(pages::host::arrive))
        .routes(routes!(pages::home::session))
        .routes(routes!(oidc::log_in, oidc::show_papers))
        .routes(routes!(oidc::callback))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(principals::admins::list, principals::admins::create))
        .routes(routes!(principals::admins::get, principals::admins::change, principals::admins::end))
        .routes(routes!(principals::clients::list, principals::clients::create))
        .routes(routes!(principals::clients::get, principals::clients::change, principals::clients::end))
        .routes(routes!(principals::sub_clients::list, principals::sub_clients::create))
        .routes(routes!(principals::sub_clients::get, principals::sub_clients::change, principals::sub_clients::end))
        .routes(routes!(policies::list, policies::create))
        .routes(routes!(policies::change, policies::end))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::end))
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::change))
        .routes(routes!(issuers::list))
        .routes(routes!(issuers::denials, issuers::deny))
        .routes(routes!(issuers::lift))
        .routes(routes!(audit::list))
        .routes(routes!(instance::decisions))
        .routes(routes!(instance::rules))
        .routes(routes!(instance::explain))
        .routes(routes!(examinations::open))
        .routes(routes!(examinations::sights, examinations::close))
}

/// The admin listener.
pub fn router(state: Arc<Admin>) -> Router {
    let (router, _) = routes().split_for_parts();
    router.merge(pages::routes::routes()).layer(axum::middleware::from_fn_with_state(Arc::clone(&state), answer::finish)).with_state(state)
}

/// The OpenAPI document of every route.
pub fn openapi() -> OpenApi {
    document::finished(routes().into_openapi())
}

#[cfg(test)]
mod tests;
