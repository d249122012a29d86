//! The admin listener's routes (API.md): one resource a file, each handler parse → domain call → answer.
//!
//! Every answer leaves through [`answer::finish`], which alone writes envelopes and the headers that
//! all answers share. The gate knows nothing of this; they meet in the stores.

mod answer;
mod browser;
mod documents;
mod ends;
mod failure;
mod get_token;
mod keys;
mod lists;
mod login;
mod network;
mod origin;
mod pages;
mod password;
mod register;
mod request;
mod sessions;
mod tokens;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::routing::{delete, get, post, put};
use http::{Request, Response};
use hyper::body::Incoming;
use tower_service::Service;

use crate::accounts::{Accounts, Rules};
use crate::database::{Database, DatabaseError};
use crate::server;
use crate::token::keyring::Keyring;
use crate::token::store::TokenStore;

pub use network::Network;

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
}

/// What the routes share.
pub struct Admin {
    accounts: Accounts,
    trusted_proxies: Vec<Network>,
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
    ) -> Result<Arc<Self>, DatabaseError> {
        let accounts = Accounts::start(settings.rules, database, store, keyring).await?;
        Ok(Arc::new(Self { accounts, trusted_proxies: settings.trusted_proxies }))
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

/// Every route of the admin listener.
pub fn router(state: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(documents::index))
        .route("/.well-known/jwks.json", get(documents::jwks))
        .route("/get-token", post(get_token::get_token))
        .route("/v1/register", post(register::register))
        .route("/v1/login", get(login::log_in).post(login::log_in))
        .route("/v1/logout", post(sessions::log_out))
        .route("/v1/token/refresh", get(sessions::refresh).post(sessions::refresh))
        .route("/v1/verify", post(sessions::verify))
        .route("/v1/password/change", post(password::change))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}", delete(keys::end))
        .route("/v1/keys/{id}/rotate", post(keys::rotate))
        .route("/v1/keys/{id}/scopes", put(keys::set_scopes))
        .route("/v1/tokens", get(tokens::list))
        .route("/v1/tokens/{id}", delete(tokens::end))
        .route("/login", get(pages::login::show).post(pages::login::log_in))
        .route("/logout", post(pages::login::log_out))
        .route("/.gatepost/login", get(pages::host::begin))
        .route("/.gatepost/session", get(pages::host::arrive))
        .route("/v1/session", get(pages::home::session))
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/sessions/{id}", delete(sessions::end))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), answer::finish))
        .with_state(state)
}

#[cfg(test)]
mod tests;
