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
use axum::routing::MethodRouter;
use http::{Request, Response};
use hyper::body::Incoming;
use tower_service::Service;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::HttpMethod;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::{PathItemExt, routes};

use crate::accounts::{Accounts, Rules};
use crate::database::{Database, DatabaseError};
use crate::decision::network::Network;
use crate::issuers::Issuers;
use crate::oidc::{Oidc, Provider};
use crate::senders::Senders;
use crate::server;
use crate::token::keyring::Keyring;
use crate::token::store::TokenStore;

pub use failure::in_words;
pub use instance::{Explained, Instance, Question, Rule, StoreState, Tested};

/// The OpenAPI document of the admin listener: what [`openapi`] says, written down once, since making it takes more code than all the rest of
/// the listener.
pub const OPENAPI: &str = include_str!("admin/openapi.json");

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

/// Hands each handler of the admin listener to the macro `$add`. A handler's annotation says of which path and method it is, so one
/// registration is enough, and none can be missing in the document.
macro_rules! each_handler {
    ($add:ident) => {
        $add!(documents::index);
        $add!(documents::jwks);
        $add!(documents::openapi);
        $add!(documents::docs);
        $add!(documents::script);
        $add!(documents::style);
        $add!(get_token::get_token);
        $add!(oauth::token);
        $add!(oauth::introspect);
        $add!(oauth::revoke);
        $add!(oauth::metadata);
        $add!(issuers::metadata);
        $add!(issuers::metadata_of);
        $add!(register::register);
        $add!(login::log_in);
        $add!(sessions::log_out);
        $add!(sessions::refresh);
        $add!(sessions::verify);
        $add!(password::change);
        $add!(otp::send);
        $add!(otp::log_in);
        $add!(profile::change);
        $add!(profile::verify);
        $add!(refresh_key::set);
        $add!(refresh_key::log_in);
        $add!(second_factor::show);
        $add!(second_factor::begin);
        $add!(second_factor::confirm);
        $add!(second_factor::remove);
        $add!(second_factor::renew);
        $add!(second_factor::reset);
        $add!(keys::list);
        $add!(keys::create);
        $add!(keys::end);
        $add!(keys::rotate);
        $add!(keys::set_scopes);
        $add!(usage::show);
        $add!(keys::set_terms);
        $add!(tokens::list);
        $add!(tokens::end);
        $add!(tickets::make);
        $add!(pages::login::show);
        $add!(pages::login::log_in);
        $add!(pages::login::log_out);
        $add!(pages::host::begin);
        $add!(pages::host::arrive);
        $add!(pages::home::session);
        $add!(oidc::log_in);
        $add!(oidc::show_papers);
        $add!(oidc::callback);
        $add!(sessions::list);
        $add!(sessions::end);
        $add!(principals::admins::list);
        $add!(principals::admins::create);
        $add!(principals::admins::get);
        $add!(principals::admins::change);
        $add!(principals::admins::end);
        $add!(principals::clients::list);
        $add!(principals::clients::create);
        $add!(principals::clients::get);
        $add!(principals::clients::change);
        $add!(principals::clients::end);
        $add!(principals::sub_clients::list);
        $add!(principals::sub_clients::create);
        $add!(principals::sub_clients::get);
        $add!(principals::sub_clients::change);
        $add!(principals::sub_clients::end);
        $add!(policies::list);
        $add!(policies::create);
        $add!(policies::change);
        $add!(policies::end);
        $add!(invitations::list);
        $add!(invitations::create);
        $add!(invitations::end);
        $add!(tenants::list);
        $add!(tenants::change);
        $add!(issuers::list);
        $add!(issuers::denials);
        $add!(issuers::deny);
        $add!(issuers::lift);
        $add!(audit::list);
        $add!(instance::decisions);
        $add!(instance::rules);
        $add!(instance::explain);
        $add!(examinations::open);
        $add!(examinations::sights);
        $add!(examinations::close);
    };
}

/// The admin listener.
pub fn router(state: Arc<Admin>) -> Router {
    let mut router = pages::routes::routes();
    macro_rules! add {
        ($handler:path) => {
            // nothing else of the annotation: what the document says of all of them is a megabyte of the program
            let (path, methods) = utoipa_axum::paste! { (routes!(@path [path()] of $handler), routes!(@path [methods()] of $handler)) };
            let on = |on: MethodRouter<_>, method: &HttpMethod| on.on(method.to_method_filter(), $handler);
            router = router.route(&path, methods.iter().fold(MethodRouter::new(), on));
        };
    }
    each_handler!(add);
    router.layer(axum::middleware::from_fn_with_state(Arc::clone(&state), answer::finish)).with_state(state)
}

/// The OpenAPI document of every route, as the annotations say it now; the program has [`OPENAPI`].
pub fn openapi() -> OpenApi {
    let mut all: OpenApiRouter<Arc<Admin>> = OpenApiRouter::with_openapi(document::begun());
    macro_rules! add {
        ($handler:path) => {
            all = all.routes(routes!($handler));
        };
    }
    each_handler!(add);
    document::finished(all.into_openapi())
}

#[cfg(test)]
mod tests;
