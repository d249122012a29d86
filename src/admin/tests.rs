//! The admin listener as its clients see it: requests in, whole answers out, on a real database file.

mod browser;
mod console;
mod document;
mod documents;
mod ends;
mod get_token;
mod issuers;
mod keys;
mod lists;
mod login;
mod matrix;
mod oauth;
mod oidc;
mod otp;
mod password;
mod people;
mod profile;
mod refresh_key;
mod register;
mod second_factor;
mod sessions;
mod store_away;
mod terms;
mod tickets;
mod tokens;
mod usage;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_service::Service;

use super::{Admin, Peer, Settings, router};
use crate::accounts::return_to::ReturnRules;
use crate::accounts::{Origin, RequirePhone, RequireSecondFactor, Rules, SignUp};
use crate::clock::{Clock, UnixMs};
use crate::database::Database;
use crate::database::test_server::TestDatabase;
use crate::decision::scopes::ScopeSet;
use crate::issuers::Issuers;
use crate::senders::{self, Senders};
use crate::token::embedded::Embedded;
use crate::token::keyring::Keyring;
use crate::token::record::TokenFormat;
use crate::token::store::{self, TokenStore};

/// A password that may be chosen.
const PASSWORD: &str = "seven green bicycles";

/// A client on this machine.
const LOCAL: Origin = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), local: true };

/// An installation with its admin listener.
struct House {
    admin: Arc<Admin>,
    database: Database,
    store: TokenStore,
    clock: Clock,
    _data: TestDatabase,
}

/// One answer.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The text at this JSON pointer.
    fn text(&self, pointer: &str) -> String {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer}: {}", self.body)).to_owned()
    }

    /// Checks status and message, and that the code is the message in snake case.
    #[track_caller]
    fn is_refused(&self, status: u16, message: &str) {
        assert_eq!((self.status.as_u16(), &self.body["message"]), (status, &json!(message)), "{}", self.body);
        assert_eq!(self.body["error"], json!(message.replace([' ', '-'], "_")), "{}", self.body);
        self.is_envelope(false);
    }

    /// Checks a 400 `invalid_request` that names the field.
    #[track_caller]
    fn is_invalid(&self, field: &str) {
        assert_eq!((self.status.as_u16(), &self.body["error"]), (400, &json!("invalid_request")), "{}", self.body);
        assert!(self.text("/message").contains(&format!("`{field}`")), "{} does not name {field}", self.body);
        self.is_envelope(false);
    }

    #[track_caller]
    fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// What all answers share.
    #[track_caller]
    fn is_envelope(&self, ok: bool) {
        assert_eq!(self.body["ok"], json!(ok));
        assert!(self.body["timestamp"].is_f64(), "{}", self.body);
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some());
    }
}

/// One request; without further ado it comes plainly from this machine.
struct Ask {
    method: &'static str,
    path: String,
    peer: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Ask {
    fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), peer: "127.0.0.1", headers: vec![("host", "localhost:8000".to_owned())], body: Vec::new() }
    }

    fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    fn json(self, body: Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..self.header("content-type", "application/json") }
    }

    fn form(self, fields: &str) -> Self {
        Self { body: fields.as_bytes().to_vec(), ..self.header("content-type", "application/x-www-form-urlencoded") }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    fn basic(self, name: &str, password: &str) -> Self {
        self.header("authorization", format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    }

    fn from(self, peer: &'static str) -> Self {
        Self { peer, ..self }
    }
}

fn rules() -> Rules {
    Rules {
        sign_up: SignUp::First,
        direct_scopes: ScopeSet::everything(),
        end_users: None,
        require_phone: RequirePhone::First,
        require_second_factor: RequireSecondFactor::Never,
        password_min_length: 15,
        reveal_unknown_users: false,
        ttl: Duration::from_secs(3600),
        session_max: Duration::from_secs(12 * 3600),
        session_idle: Duration::from_secs(3600),
        returns: ReturnRules::default(),
        format: TokenFormat::Opaque,
        key_prefix: Default::default(),
        issuer: "gatepost".to_owned(),
    }
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn open() -> Self {
        Self::with(|rules| rules.sign_up = SignUp::Open).await
    }

    async fn with(change: impl FnOnce(&mut Rules)) -> Self {
        Self::made(change, senders::Settings::default(), Vec::new(), Issuers::none()).await
    }

    /// With these senders of one-time codes.
    async fn sending(change: impl FnOnce(&mut Rules), senders: senders::Settings) -> Self {
        Self::made(change, senders, Vec::new(), Issuers::none()).await
    }

    /// That takes tokens of these issuers; open.
    async fn taking(issuers: Arc<Issuers>) -> Self {
        Self::made(|rules| rules.sign_up = SignUp::Open, senders::Settings::default(), Vec::new(), issuers).await
    }

    async fn made(
        change: impl FnOnce(&mut Rules),
        senders: senders::Settings,
        oidc: Vec<crate::oidc::Provider>,
        issuers: Arc<Issuers>,
    ) -> Self {
        let mut rules = rules();
        change(&mut rules);
        let data = TestDatabase::here().await;
        let clock = Clock::manual(UnixMs(1_900_000_000_250));
        let database = data.open(clock.clone()).await;
        let settings =
            store::Settings { ttl: rules.ttl, max_lifetime: Duration::from_secs(12 * 3600), staleness_bound: Duration::from_secs(1) };
        let store = TokenStore::embedded(Embedded::start(database.clone(), settings).await.unwrap()).unwrap();
        let keyring = Arc::new(ArcSwap::from_pointee(Keyring::parse(&"ab".repeat(32)).unwrap()));
        let settings = Settings { rules, trusted_proxies: Vec::new(), oidc, issuers };
        let senders = Senders::start(senders).unwrap();
        let admin = Admin::start(settings, database.clone(), store.clone(), keyring, senders).await.unwrap();
        Self { admin, database, store, clock, _data: data }
    }

    async fn ask(&self, ask: Ask) -> Reply {
        let mut request = Request::builder().method(ask.method).uri(&ask.path);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(Body::from(ask.body)).unwrap();
        request.extensions_mut().insert(Peer(ask.peer.parse::<IpAddr>().unwrap()));
        let response = router(Arc::clone(&self.admin)).call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let is_json = head.headers.get("content-type").is_some_and(|kind| kind == "application/json");
        let body = if is_json { serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")) } else { text.into() };
        Reply { status: head.status, headers: head.headers, body }
    }

    /// Signs `user` up.
    async fn sign_up(&self, user: &str) -> Reply {
        self.ask(Ask::post("/v1/register").json(json!({ "user": user, "password": PASSWORD }))).await
    }

    /// Logs `user` in.
    async fn log_in(&self, user: &str) -> Reply {
        self.ask(Ask::get("/v1/login").basic(user, PASSWORD)).await
    }

    /// Signs `user` up and logs it in: its API key and its login's JWT.
    async fn person(&self, user: &str) -> Person {
        let made = self.sign_up(user).await;
        made.is(201);
        let login = self.log_in(user).await;
        login.is(200);
        Person {
            uid: made.text("/uid"),
            api_key: made.text("/api_key"),
            jwt: login.text("/jwt/token"),
            refresh_token: login.text("/jwt/refresh_token"),
        }
    }

    /// Exchanges an API key for an access token.
    async fn exchange(&self, api_key: &str) -> Reply {
        self.ask(Ask::post("/get-token").json(json!({ "api_key": api_key }))).await
    }
}

struct Person {
    uid: String,
    api_key: String,
    jwt: String,
    refresh_token: String,
}

/// Whether `text` is an id.
fn is_id(text: &str) -> bool {
    text.parse::<crate::id::Id>().is_ok()
}
