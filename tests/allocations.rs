//! An allowed check of a known credential allocates nothing and takes no lock, whatever the store.
//!
//! What is counted is everything that [`Gate::check`] does, from a request as hyper hands it over (with its map of headers, which
//! hyper fills and takes back) to the finished answer: reading the dialect, finding the rule, looking the credential up, deciding,
//! counting, rendering. What hyper and the sockets do before and after is theirs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost::accounts::names::Name;
use gatepost::accounts::password::Password;
use gatepost::accounts::return_to::ReturnRules;
use gatepost::accounts::sign_up::Application;
use gatepost::accounts::{Accounts, Origin, RequirePhone, RequireSecondFactor, Rules, SignUp};
use gatepost::clock::{Clock, UnixMs};
use gatepost::config::Environment;
use gatepost::config::file::{self, Loaded};
use gatepost::database::{Database, NameKind};
use gatepost::decision::cookies::Domains;
use gatepost::decision::scopes::ScopeSet;
use gatepost::decision::told;
use gatepost::dialect::{Answer, Carriage, Dialect, Holds, IdentityHeaders, Place, Proxy, further};
use gatepost::gate::{Gate, InForce, Shared};
use gatepost::id::Id;
use gatepost::issuers::Issuers;
use gatepost::lock;
use gatepost::meters::{Meters, Source};
use gatepost::senders::Senders;
use gatepost::token::embedded::Embedded;
use gatepost::token::keyring::Keyring;
use gatepost::token::record::TokenFormat;
use gatepost::token::redis::Redis;
use gatepost::token::secret::{SecretKind, SecretMint};
use gatepost::token::store::{Ask, Settings, TokenStore};
use gatepost::usage::Usage;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use ring::signature::{Ed25519KeyPair, KeyPair};

const ORIGIN: Origin = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), local: true };
const HOST: &str = "app.example";

/// Everything behind a gate, with a person and what they present.
struct House {
    shared: Arc<Shared>,
    accounts: Accounts,
    api_key: String,
    _data: tempfile::TempDir,
}

impl House {
    async fn new(format: TokenFormat) -> Self {
        Self::with_tokens_in(None, format).await
    }

    /// With tokens in the Redis at this address and a bound so long, or embedded.
    async fn with_tokens_in(redis: Option<(&str, Duration)>, format: TokenFormat) -> Self {
        let data = tempfile::tempdir().unwrap();
        let loaded = loaded(data.path());
        // time stands still: nothing comes due between two checks
        let clock = Clock::manual(UnixMs(1_900_000_000_250));
        let database = Database::open_sqlite(&data.path().join("gatepost.db"), clock.clone()).await.unwrap();
        let ttl = Duration::from_secs(3600);
        let staleness_bound = redis.map_or(Duration::from_secs(1), |(_, bound)| bound);
        let settings = Settings { ttl, max_lifetime: 12 * ttl, staleness_bound };
        let tokens = match redis {
            None => TokenStore::embedded(Embedded::start(database.clone(), settings).await.unwrap()),
            Some((url, _)) => TokenStore::redis(Redis::start(&url.to_owned().into(), database.clone(), settings).await.unwrap()),
        };
        let tokens = tokens.unwrap();
        tokens.want_cached(Duration::from_millis(loaded.rules.rules.longest_cached_ms()));
        let keyring = Arc::new(ArcSwap::from_pointee(Keyring::parse(&"ab".repeat(32)).unwrap()));
        let senders = Senders::start(gatepost::senders::Settings::default()).unwrap();
        let accounts =
            Accounts::start(rules_of_accounts(format), database.clone(), tokens.clone(), keyring.clone(), senders).await.unwrap();
        let application = Application { name: name(), password: password(), phone: None, invitation: None, setup_code: None };
        let signed_up = accounts.sign_up(application, ORIGIN).await.unwrap();
        let shared = Arc::new(Shared {
            in_force: Arc::new(ArcSwap::from_pointee(InForce::new(loaded.rules.rules))),
            tokens: tokens.clone(),
            keyring,
            issuers: Issuers::start(loaded.config.issuers),
            mint: SecretMint::new(&database.installation().key_tag),
            clock: clock.clone(),
            keep_alive: accounts.keep_alive().clone(),
            domains: Domains::default(),
            last_used: accounts.last_used().clone(),
            meters: Meters::start(Source::new(tokens.clone(), database.clone()), clock.clone()),
            usage: Usage::start(database.clone(), Duration::from_secs(86_400)).unwrap(),
            decisions: Arc::default(),
            examinations: Arc::default(),
            aside: tokio::runtime::Handle::current(),
            ttl_s: ttl.as_secs(),
            configuration: None,
        });
        let api_key = signed_up.api_key.unwrap().reveal().to_owned();
        Self { shared, accounts, api_key, _data: data }
    }

    /// The id of the key.
    fn key(&self) -> Id {
        self.shared.mint.read(SecretKind::ApiKey, &self.api_key).unwrap().id()
    }

    /// Everything that may be presented, as header and value.
    async fn credentials(&self) -> Vec<(&'static str, String)> {
        let token = self.accounts.exchange(&self.api_key, None, ORIGIN).await.unwrap().text;
        let login = self.accounts.log_in(&name(), password(), None, ORIGIN).await.unwrap();
        let proof = self.accounts.prove_password(&name(), password(), None, ORIGIN).await.unwrap();
        let session = self.accounts.open_browser(&proof, None, None, ORIGIN).await.unwrap();
        let cookie = self.accounts.gate_cookie(session, HOST).unwrap();
        vec![
            ("authorization", format!("Bearer {token}")),
            ("x-authorization", format!("Agent {token}")),
            ("authorization", format!("Bearer {}", login.jwt)),
            ("authorization", format!("Bearer {}", foreign_token())),
            ("x-api-key", self.api_key.clone()),
            ("cookie", format!("theme=dark; {}={}", cookie.name, cookie.value)),
        ]
    }
}

fn name() -> Name {
    Name::given(NameKind::User, "alice").unwrap()
}

fn password() -> Password {
    Password::new("password", "a long and quiet passphrase").unwrap()
}

fn rules_of_accounts(format: TokenFormat) -> Rules {
    Rules {
        sign_up: SignUp::First,
        direct_scopes: ScopeSet::everything(),
        end_users: None,
        require_phone: RequirePhone::Never,
        require_second_factor: RequireSecondFactor::Never,
        password_min_length: 8,
        reveal_unknown_users: false,
        ttl: Duration::from_secs(3600),
        session_max: Duration::from_secs(12 * 3600),
        session_idle: Duration::from_secs(3600),
        returns: ReturnRules::default(),
        format,
        key_prefix: Default::default(),
        issuer: "gatepost".to_owned(),
    }
}

const RULES: &str = r"
rules:
  - { id: orders, hosts: [app.example], methods: [GET], path: '/orders/{id}', scopes: { all: [orders:read] }, credentials: [token, api_key, session, jwt, 'issuer:corp'] }
  - { id: tenant, path: '/tenant/{tenant}/**', match: { tenant: subject.tenant }, credentials: ['issuer:corp'], limit: { rate: 1000000/s, quota: 1000000/month } }
  - { id: mine, path: '/mine/{role}/**', match: { role: subject.role }, credentials: [token, api_key, session, jwt], limit: { rate: 1000000/s, quota: 1000000/month } }
  - { id: kept, path: /kept/**, credentials: [token, api_key, session, jwt], on_store_error: { allow_cached_for: 60s } }
  - { id: open, path: /open/**, access: anonymous }
";

const MAIN: &str = "
rules: rules.yaml
issuers: [{ name: corp, issuer: https://id.example/, jwks: file:keys.json, audiences: [app], tenant_claim: org }]
";

/// Another issuer's key: Ed25519 of this seed.
const SEED: [u8; 32] = [7; 32];

/// The configuration, with the other issuer's keys beside it.
fn loaded(directory: &Path) -> Loaded {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let keys = serde_json::json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x }] });
    for (name, text) in [("gatepost.yaml", MAIN), ("rules.yaml", RULES), ("keys.json", &keys.to_string())] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    file::load(Some(&directory.join("gatepost.yaml")), &Environment::default()).map_err(|problems| problems.len()).unwrap()
}

/// A token of the other issuer.
fn foreign_token() -> String {
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let key = jsonwebtoken::EncodingKey::from_ed_der(&[&head[..], &SEED].concat());
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = Some("a".to_owned());
    let claims = serde_json::json!({ "iss": "https://id.example/", "sub": "auth0|7", "aud": "app", "exp": 1_900_003_600, "jti": "t1",
                                     "scope": "orders:read", "org": "acme" });
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

/// The headers of a browser's request as this proxy sends them on, with what is presented.
fn headers(proxy: Proxy, uri: &str, presented: Option<&(&'static str, String)>) -> HeaderMap {
    let own = match proxy {
        Proxy::Nginx => {
            vec![("x-original-method", "GET"), ("x-original-uri", uri), ("x-original-host", HOST), ("x-original-proto", "https")]
        }
        Proxy::Envoy => vec![("host", HOST), ("x-forwarded-proto", "https")],
        _ => vec![("x-forwarded-method", "GET"), ("x-forwarded-uri", uri), ("x-forwarded-host", HOST), ("x-forwarded-proto", "https")],
    };
    let usual = [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://app.example/orders"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("x-request-id", "7f3a9c0d5e1b48f2a6c4d8e0b1f39275"),
    ];
    let presented = presented.map(|(name, value)| (*name, value.as_str()));
    let mut headers = HeaderMap::new();
    for (name, value) in own.into_iter().chain(usual).chain(presented) {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn request(proxy: Proxy, uri: &str, presented: Option<&(&'static str, String)>) -> Request<()> {
    let target = if proxy == Proxy::Envoy { format!("/verify{uri}") } else { "/verify".to_owned() };
    let mut request = Request::builder().uri(target).body(()).unwrap();
    *request.headers_mut() = headers(proxy, uri, presented);
    request
}

/// What a check took.
#[derive(Debug, Default, PartialEq)]
struct Took {
    allocations: u64,
    bytes: u64,
    locks: u64,
}

/// The answer, which must be there at once, and what it took.
fn at_once(gate: &Arc<Gate>, request: Request<()>) -> (Answer, Took) {
    let mut answer = None;
    let locks = lock::taken();
    let took = measure(|| {
        let mut checked = std::pin::pin!(gate.check(request, 0));
        if let Poll::Ready(Ok(ready)) = checked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            answer = Some(ready);
        }
    });
    let took = Took { allocations: took.count_total, bytes: took.bytes_total, locks: lock::taken() - locks };
    (answer.unwrap(), took)
}

fn is_foreign(presented: Option<&(&'static str, String)>) -> bool {
    presented.is_some_and(|(_, value)| *value == format!("Bearer {}", foreign_token()))
}

async fn nothing_is_allocated(house: &House) {
    let credentials = house.credentials().await;
    for proxy in Proxy::ALL {
        let gate = Arc::new(Gate::new(Dialect::new(proxy, None, None), house.shared.clone()));
        // which of the credentials each is asked with
        let (foreign, own): (Vec<_>, Vec<_>) = credentials.iter().map(Some).partition(|presented| is_foreign(*presented));
        let all = credentials.iter().map(Some).collect();
        let uris = [("/orders/17?page=2", all), ("/mine/super_admin/a/b", own), ("/tenant/acme/a", foreign), ("/open/a", vec![None])];
        for (uri, presented) in uris {
            for presented in presented {
                let what = format!("{proxy:?} {uri} {presented:?}");
                // heartbeats have their turn; then the first check asks the store, the second fills what a process fills once
                tokio::task::yield_now().await;
                for _ in 0..2 {
                    let answer = gate.check(request(proxy, uri, presented), 0).await.unwrap();
                    assert_eq!(answer.status(), 200, "{what}");
                }
                for _ in 0..3 {
                    let (answer, took) = at_once(&gate, request(proxy, uri, presented));
                    assert_eq!((answer.status().as_u16(), answer.headers().len()), (200, 5), "{what}");
                    assert_eq!(answer.headers()["x-auth-user"].is_empty(), presented.is_none(), "{what}");
                    assert_eq!(took, Took::default(), "{what}");
                }
            }
        }
    }
}

/// What a gate is configured to tell is rendered when a credential is read, not when it is checked.
#[tokio::test]
async fn nor_does_what_a_gate_tells_besides() {
    let house = House::new(TokenFormat::Opaque).await;
    let sources = ["subject.name", "subject.uid", "subject.role", "key.id", "key.meta.plan", "subject.external_id", "scopes", "expires_in"];
    let own = sources.iter().enumerate();
    let own =
        own.map(|(n, source)| (HeaderName::try_from(format!("x-told-{n}")).unwrap(), told::Source::from_name(source).unwrap())).collect();
    let said = IdentityHeaders { standard: false, own };
    let wanted = further([&said]);
    house.shared.tokens.tell(wanted.clone());
    for proxy in Proxy::ALL {
        let dialect = Dialect::new(proxy, None, None).with_identity(&said, wanted.clone());
        let gate = Arc::new(Gate::new(dialect, house.shared.clone()));
        for presented in &house.credentials().await {
            for _ in 0..2 {
                gate.check(request(proxy, "/orders/17", Some(presented)), 0).await.unwrap();
            }
            let (answer, took) = at_once(&gate, request(proxy, "/orders/17", Some(presented)));
            let said = |n: usize| answer.headers()[&format!("x-told-{n}")].to_str().unwrap();
            assert_eq!((answer.status().as_u16(), answer.headers().len()), (200, 8));
            // of another issuer's token its words are told
            assert!(matches!((said(0), said(2), said(1).len()), ("alice", "super_admin", 32) | (_, "foreign", 1..)), "{answer:?}");
            assert_eq!(took, Took::default(), "{proxy:?} {presented:?}");
        }
    }
}

#[tokio::test]
async fn a_known_credential_takes_no_memory() {
    nothing_is_allocated(&House::new(TokenFormat::Opaque).await).await;
}

#[tokio::test]
async fn nor_does_one_written_as_a_jwt() {
    nothing_is_allocated(&House::new(TokenFormat::Jwt).await).await;
}

/// A redis-server on a free port; it ends with the test.
struct Server {
    child: Child,
    url: String,
    _data: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        #[expect(clippy::disallowed_methods, reason = "which servers the tests run is told by the environment")]
        let program = std::env::var("GATEPOST_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned());
        let data = tempfile::tempdir().unwrap();
        let port = port.to_string();
        let child = Command::new(&program)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", data.path().to_str().unwrap()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; install redis-server, or set GATEPOST_TEST_REDIS to one"));
        let begun = Instant::now();
        while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{program} does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, url: format!("redis://127.0.0.1:{port}"), _data: data }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn nor_does_one_that_stands_in_redis() {
    let redis = Server::start();
    // checks come in a row, and heartbeats between
    let house = House::with_tokens_in(Some((&redis.url, Duration::from_secs(10))), TokenFormat::Opaque).await;
    nothing_is_allocated(&house).await;
}

/// Nobody makes Redis work by what ran out and says so itself.
#[tokio::test]
async fn a_jwt_that_ran_out_asks_no_store() {
    let redis = Server::start();
    let house = House::with_tokens_in(Some((&redis.url, Duration::from_secs(10))), TokenFormat::Jwt).await;
    let gate = Arc::new(Gate::new(Dialect::new(Proxy::Nginx, None, None), house.shared.clone()));
    let presented = ("authorization", format!("Bearer {}", house.accounts.exchange(&house.api_key, None, ORIGIN).await.unwrap().text));
    house.shared.clock.advance(Duration::from_secs(13 * 3600));
    for _ in 0..2 {
        let (answer, _) = at_once(&gate, request(Proxy::Nginx, "/orders/17", Some(&presented)));
        assert_eq!(answer.status(), 401);
    }
}

/// What is cached is used without the store where a rule says so, and costs no more then.
#[tokio::test]
async fn nor_does_one_that_outlasts_redis() {
    let redis = Server::start();
    let bound = Duration::from_millis(500);
    let house = House::with_tokens_in(Some((&redis.url, bound)), TokenFormat::Opaque).await;
    let gate = Arc::new(Gate::new(Dialect::new(Proxy::Nginx, None, None), house.shared.clone()));
    let credentials: Vec<_> = house.credentials().await.into_iter().filter(|presented| !is_foreign(Some(presented))).collect();
    // a lease later it is known that rules want this
    tokio::time::sleep(bound).await;
    for presented in credentials.iter().chain(&credentials) {
        assert_eq!(gate.check(request(Proxy::Nginx, "/kept/a", Some(presented)), 0).await.unwrap().status(), 200, "{presented:?}");
    }
    drop(redis);
    tokio::time::sleep(2 * bound).await;
    for presented in &credentials {
        assert_eq!(gate.check(request(Proxy::Nginx, "/orders/17", Some(presented)), 0).await.unwrap().status(), 403, "the lease is over");
        gate.check(request(Proxy::Nginx, "/kept/a", Some(presented)), 0).await.unwrap();
        let (answer, took) = at_once(&gate, request(Proxy::Nginx, "/kept/a", Some(presented)));
        assert_eq!((answer.status().as_u16(), took), (200, Took::default()), "{presented:?}");
    }
}

#[tokio::test]
async fn what_comes_with_a_key_is_counted() {
    let house = House::new(TokenFormat::Opaque).await;
    let gate = Arc::new(Gate::new(Dialect::new(Proxy::Nginx, None, None), house.shared.clone()));
    for presented in &house.credentials().await {
        for uri in ["/orders/17", "/orders/17", "/mine/super_admin/a", "/mine/nobody/a", "/open/a"] {
            gate.check(request(Proxy::Nginx, uri, Some(presented)), 0).await.unwrap();
        }
    }
    house.shared.usage.flush().await;
    let key = house.key();
    let rows = house.accounts.database().usage_of(key, (UnixMs(0), UnixMs(u64::MAX >> 1)), None, 10).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.rule.as_str(), row.counts.allowed, row.counts.refused, row.counts.limited)).collect();
    // two carriers of a token, and the key itself; neither the login's JWT nor the session has a key
    assert_eq!(rows, [("mine", 3, 3, 0), ("orders", 6, 0, 0)]);
}

/// What is known of a token in use is read again before it runs out, and no check waits for that.
#[tokio::test]
async fn a_token_in_use_is_never_waited_for() {
    for format in [TokenFormat::Opaque, TokenFormat::Jwt] {
        let house = House::new(format).await;
        let gate = Arc::new(Gate::new(Dialect::new(Proxy::Nginx, None, None), house.shared.clone()));
        let token = house.accounts.exchange(&house.api_key, None, ORIGIN).await.unwrap().text;
        let presented = ("authorization", format!("Bearer {token}"));
        gate.check(request(Proxy::Nginx, "/orders/17", Some(&presented)), 0).await.unwrap();
        let minute = Duration::from_secs(60);
        for used in 1..180 {
            house.shared.clock.advance(minute);
            // the embedded store's time mark moves with whoever asks it
            house.shared.tokens.look_up(Ask::Key(house.key())).await.unwrap();
            let (answer, _) = at_once(&gate, request(Proxy::Nginx, "/orders/17", Some(&presented)));
            assert_eq!(answer.status(), 200, "{format:?} after {used} minutes");
            tokio::task::yield_now().await;
        }
    }
}

/// Wherever a gate is told that credentials stand: one that is known is not even decoded.
#[tokio::test]
async fn nor_do_places_of_ones_own() {
    use base64::Engine;
    let house = House::new(TokenFormat::Opaque).await;
    let place = |header: &'static str, scheme: Option<&str>, holds| Place {
        header: HeaderName::from_static(header),
        scheme: scheme.map(str::to_owned),
        holds,
    };
    let carriage = Carriage::new(vec![
        place("authorization", Some("Bearer"), Holds::Token),
        place("x-session-token", None, Holds::Token),
        place("authorization", Some("Basic"), Holds::BasicKey),
    ]);
    let token = house.accounts.exchange(&house.api_key, None, ORIGIN).await.unwrap().text;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("anybody:{}", house.api_key));
    for proxy in Proxy::ALL {
        let dialect = Dialect::new(proxy, None, None).with_carriage(Some(carriage.clone()));
        let gate = Arc::new(Gate::new(dialect, house.shared.clone()));
        for presented in
            [("authorization", format!("Bearer {token}")), ("x-session-token", token.clone()), ("authorization", format!("Basic {basic}"))]
        {
            for _ in 0..2 {
                gate.check(request(proxy, "/orders/17", Some(&presented)), 0).await.unwrap();
            }
            let (answer, took) = at_once(&gate, request(proxy, "/orders/17", Some(&presented)));
            assert_eq!(
                (answer.status().as_u16(), answer.headers()["x-auth-user"].as_bytes()),
                (200, &b"alice"[..]),
                "{proxy:?} {presented:?}"
            );
            assert_eq!(took, Took::default(), "{proxy:?} {presented:?}");
        }
    }
}

/// The measure measures.
#[tokio::test]
async fn a_refusal_takes_some() {
    let house = House::new(TokenFormat::Opaque).await;
    let gate = Arc::new(Gate::new(Dialect::new(Proxy::Nginx, None, None), house.shared.clone()));
    let (answer, took) = at_once(&gate, request(Proxy::Nginx, "/nowhere", None));
    assert_eq!(answer.status(), 403);
    assert!(took.allocations > 0 && took.locks > 0);
}
