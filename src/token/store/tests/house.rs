//! The world of a test: a database with a small tree of people, a clock, a store.
//!
//! Tenant → admin (everything) → client (`orders:*`, `users:read`) with a key for
//! `orders:read orders:write users:read` and a session.

use std::time::{Duration, Instant};

use super::Engine;
use super::server::Server;
use crate::clock::{Clock, UnixMs};
use crate::database::Database;
use crate::database::test_server::TestDatabase;
use crate::decision::scopes::{Scope, ScopeSet};
use crate::id::Id;
use crate::token::embedded::Embedded;
use crate::token::holder::{self, Live};
use crate::token::record::{Fill, TokenFormat};
use crate::token::redis::{Redis, StartError};
use crate::token::store::{Ask, MintOrder, MintRefusal, Minted, Propagated, Settings, TokenStore, Unavailable};

pub(super) const TENANT: Id = Id::from_bytes([0x10; 16]);
pub(super) const ADMIN: Id = Id::from_bytes([0x11; 16]);
pub(super) const CLIENT: Id = Id::from_bytes([0x12; 16]);
pub(super) const POLICY: Id = Id::from_bytes([0x20; 16]);
pub(super) const KEY: Id = Id::from_bytes([0x30; 16]);
pub(super) const SESSION: Id = Id::from_bytes([0x40; 16]);
pub(super) const SECRET: [u8; 32] = [7; 32];
pub(super) const TTL: Duration = Duration::from_secs(60);
pub(super) const MAX: Duration = Duration::from_secs(600);

pub(super) struct House {
    pub(super) engine: Engine,
    store: Option<TokenStore>,
    pub(super) database: Database,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) server: Option<Server>,
    pub(super) data: TestDatabase,
}

pub(super) fn scopes(text: &str) -> ScopeSet {
    text.parse().unwrap()
}

impl House {
    pub(super) async fn new(engine: Engine) -> Self {
        let server = if engine == Engine::Embedded { None } else { Some(Server::start(engine).await) };
        Self::with(engine, server).await
    }

    pub(super) async fn with(engine: Engine, server: Option<Server>) -> Self {
        // shown for a test that fails
        let log = tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::DEBUG);
        drop(log.try_init());
        let data = TestDatabase::here().await;
        // Redis has a clock of its own: a test's begins there, too
        let clock = Clock::manual(Clock::system().now());
        let database = data.open(clock.clone()).await;
        people(&database).await;
        let settings = Settings { ttl: TTL, max_lifetime: MAX, staleness_bound: Duration::from_millis(200) };
        let store = start(engine, server.as_ref(), &database, settings).await.unwrap();
        Self { engine, store: Some(store), database, clock, settings, server, data }
    }

    pub(super) fn store(&self) -> &TokenStore {
        self.store.as_ref().unwrap()
    }

    pub(super) fn fence(&self) -> std::sync::Arc<crate::token::fence::Fence> {
        self.store().fence()
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(super) fn server_mut(&mut self) -> &mut Server {
        self.server.as_mut().unwrap()
    }

    /// As after `kill -9`.
    pub(super) fn stop(&mut self) {
        self.store = None;
    }

    /// Another store on the same database and Redis: a second replica.
    pub(super) async fn replica(&self) -> TokenStore {
        start(self.engine, self.server.as_ref(), &self.database, self.settings).await.unwrap()
    }

    /// As after `kill -9`: nothing is flushed, a new process opens the same files with its clock at `clock`.
    pub(super) async fn restart(&mut self, clock: Clock, settings: Settings) {
        self.database = self.data.open(clock.clone()).await;
        self.clock = clock;
        self.settings = settings;
        self.store = None;
        for _ in 0..100 {
            match start(self.engine, self.server.as_ref(), &self.database, settings).await {
                Ok(store) => return self.store = Some(store),
                // its upkeep may still be letting go
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("does not start again");
    }

    /// Lets time pass for this process; where Redis tells the time, until the store noticed how far they are apart.
    pub(super) async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        if self.engine != Engine::Embedded {
            // in slices: where the machine stands still, most of them come after that
            for _ in 0..15 {
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        }
    }

    pub(super) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    pub(super) fn order(&self) -> MintOrder {
        MintOrder {
            key: KEY,
            scopes: None,
            secret: Some(SECRET),
            format: TokenFormat::Opaque,
            signers: vec!["first".into(), "second".into()],
            issuer: String::new(),
        }
    }

    pub(super) fn order_of(&self, text: &str) -> MintOrder {
        MintOrder { scopes: Some(scopes(text)), ..self.order() }
    }

    /// Mints; a busy machine's moment of unavailability is waited out.
    pub(super) async fn mint(&self, order: MintOrder) -> Result<Minted, MintRefusal> {
        let mut minted = self.store().mint(order.clone()).await;
        for _ in 0..30 {
            if !matches!(minted, Err(MintRefusal::Unavailable)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            minted = self.store().mint(order.clone()).await;
        }
        minted
    }

    pub(super) async fn token(&self) -> Minted {
        self.mint(self.order()).await.unwrap()
    }

    pub(super) async fn fill(&self, ask: Ask) -> Option<Fill> {
        fill(self.store(), ask).await
    }

    pub(super) async fn check(&self, ask: Ask) -> Option<Live> {
        check(self.store(), &self.clock, ask).await
    }

    /// Whether a check by `ask` that demands `scope` is allowed.
    pub(super) async fn allows(&self, ask: Ask, scope: &str) -> bool {
        let scope: Scope = scope.parse().unwrap();
        self.check(ask).await.is_some_and(|live| live.holder.grant.holds(&scope))
    }

    /// What an admin act does: the change and its outbox row in one transaction, then the store is told.
    pub(super) async fn change(&self, sql: &str, kind: &str, id: Id) {
        self.commit(sql, kind, id).await;
        let (row, begun) = (self.database.last_row_in_test().await, Instant::now());
        // on a busy machine Redis may miss a deadline
        while self.store().apply(row).await == Propagated::Later {
            assert!(begun.elapsed() < 10 * SECOND, "never applied");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The first half of it.
    pub(super) async fn commit(&self, sql: &str, kind: &str, id: Id) {
        let at = self.now().0;
        let sql = sql.replace("NOW", &at.to_string());
        let row = format!("INSERT INTO outbox (kind, id, at) VALUES ('{kind}', '{id}', {at})");
        self.database.run_in_test(&[sql, row]).await;
    }

    pub(super) async fn end_key(&self) {
        self.change(&format!("UPDATE api_keys SET ended_at = NOW, version = version + 1, changed_at = NOW WHERE id = '{KEY}'"), "key", KEY)
            .await;
    }

    pub(super) async fn end_token(&self, id: Id) {
        self.change(&format!("UPDATE tokens SET ended_at = NOW WHERE id = '{id}'"), "token", id).await;
    }
}

pub(super) fn ask(minted: &Minted) -> Ask {
    Ask::Token { id: minted.token.id, key: minted.token.key }
}

/// What comes of it, once a busy machine's moment of unavailability is over.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Unavailable>>>(attempt: impl Fn() -> F) -> T {
    for _ in 0..50 {
        match attempt().await {
            Ok(found) => return found,
            Err(Unavailable) => tokio::time::sleep(Duration::from_millis(60)).await,
        }
    }
    panic!("unavailable for seconds");
}

pub(super) async fn fill(store: &TokenStore, ask: Ask) -> Option<Fill> {
    patiently(|| store.look_up(ask)).await
}

pub(super) async fn check(store: &TokenStore, clock: &Clock, ask: Ask) -> Option<Live> {
    let secret = matches!(ask, Ask::Key(_)).then_some(&SECRET);
    holder::live(ask, fill(store, ask).await?, secret, clock.now(), TTL.as_secs())
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// A second, and what a busy machine adds to it.
pub(super) const SOON: Duration = Duration::from_secs(2);

/// How long until the store answers again.
pub(super) async fn until_answered(store: &TokenStore, ask: Ask) -> Duration {
    let begun = Instant::now();
    while store.look_up(ask).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

async fn start(engine: Engine, server: Option<&Server>, database: &Database, settings: Settings) -> Result<TokenStore, String> {
    if engine == Engine::Embedded {
        return Embedded::start(database.clone(), settings)
            .await
            .map(|store| TokenStore::embedded(store).unwrap())
            .map_err(|e| e.to_string());
    }
    start_redis(&server.unwrap().url(), database, settings).await.map_err(|e| e.to_string())
}

pub(super) async fn start_redis(url: &str, database: &Database, settings: Settings) -> Result<TokenStore, StartError> {
    Redis::start(&url.to_owned().into(), database.clone(), settings).await.map(|store| TokenStore::redis(store).unwrap())
}

async fn people(database: &Database) {
    let now = database.clock().now().0;
    let hash: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
    database
        .run_in_test(&[
            format!("INSERT INTO tenants (id, name, created_at, changed_at) VALUES ('{TENANT}', 'acme', {now}, {now})"),
            format!(
                "INSERT INTO principals (uid, tenant, role, user_name, scopes, created_at, changed_at)
                 VALUES ('{ADMIN}', '{TENANT}', 'admin', 'ada', '*', {now}, {now})"
            ),
            format!(
                "INSERT INTO principals (uid, tenant, parent, role, user_name, scopes, created_at, changed_at)
                 VALUES ('{CLIENT}', '{TENANT}', '{ADMIN}', 'client', 'carl', 'orders:* users:read', {now}, {now})"
            ),
            format!(
                "INSERT INTO policies (id, tenant, name, allow, deny, created_at, changed_at)
                 VALUES ('{POLICY}', '{TENANT}', 'no writes', '', 'orders:write', 5, 5)"
            ),
            format!(
                "INSERT INTO api_keys (id, principal, name, scopes, created_at, changed_at)
                 VALUES ('{KEY}', '{CLIENT}', 'k', 'orders:read orders:write users:read', {now}, {now})"
            ),
            format!("INSERT INTO key_secrets (hash, key_id, created_at) VALUES (x'{hash}', '{KEY}', {now})"),
            format!(
                "INSERT INTO sessions (id, principal, created_at, ends_at, changed_at)
                 VALUES ('{SESSION}', '{CLIENT}', {now}, {}, {now})",
                now + 3_600_000
            ),
        ])
        .await;
}
