//! The program: from configuration to listeners that serve until a signal.

mod greeting;
mod instance;
mod networks;
mod proxy_secret;
mod reload;
mod secret_key;
mod signals;
mod stores;
mod supervisor;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Notify;

use crate::accounts::Rules;
use crate::accounts::return_to::ReturnRules;
use crate::admin::{self, Admin};
use crate::clock::Clock;
use crate::config::file::Loaded;
use crate::config::watch::Watch;
use crate::config::{Config, DatabaseConfig, GateConfig, StoreConfig, TlsConfig, TlsFiles};
use crate::database::Lock;
use crate::decision::cookies::Domains;
use crate::decision::rules::RuleSet;
use crate::dialect::{self, Dialect};
use crate::gate::{Gate, InForce, Shared};
use crate::issuers::Issuers;
use crate::meters::{Meters, Source};
use crate::notices::{self, Told};
use crate::probes::Probes;
use crate::pulse::Pulse;
use crate::senders::Senders;
use crate::server::{self, BindError, Cores, Drain, Limits, Listen, Listener, Passed, PassedError, Stopper, Tls};
use crate::token::last_used::LastUsed;
use crate::token::secret::SecretMint;
use crate::token::store::TokenStore;
use crate::usage::Usage;

use networks::Blind;
pub use secret_key::read as read_secret_keys;
pub use stores::{existing_database, open_database, outage, redis_of};
pub use supervisor::Supervisor;

use signals::{Signal, Signals};
use stores::{Stores, open_stores};

/// Why the program cannot start. Exit status 1.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error("the data directory {path} cannot be made: {error}; name another with `data:`")]
    Data {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The data directory is there, for somebody else.
    #[error(
        "the data directory {path} cannot be written by user {user}: {error}; give it to that user \
         (`chown -R {user}:{group} …` what is mounted there), take a volume that the image may fill, or name another directory with `data:`"
    )]
    DataNotOurs {
        /// Which.
        path: String,
        /// The number of the user that the program runs as.
        user: u32,
        /// And of its group.
        group: u32,
        /// Why.
        error: std::io::Error,
    },
    /// The secret keys.
    #[error("secret key: {0}")]
    SecretKey(String),
    /// The secret of a gate.
    #[error("proxy secret: {0}")]
    ProxySecret(String),
    /// The database.
    #[error("{0}")]
    Database(#[from] crate::database::DatabaseError),
    /// The token store.
    #[error("{0}")]
    Store(String),
    /// A listener.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// A listener, once it is bound.
    #[error("cannot wait for connections: {0}")]
    Accept(std::io::Error),
    /// A socket that was passed.
    #[error("{0}")]
    Passed(#[from] PassedError),
    /// Something of the process itself.
    #[error("{0}")]
    Process(String),
}

impl StartError {
    fn secret_key(what: impl Into<String>) -> Self {
        Self::SecretKey(what.into())
    }
}

/// Everything bound and ready to serve.
pub struct App {
    gates: Vec<(Listener, Arc<Gate>, Limits)>,
    cores: Arc<Cores>,
    admin: Listener,
    admin_router: axum::Router,
    metrics: Listener,
    probes: Arc<Probes>,
    recorder: PrometheusHandle,
    drain: Drain,
    stopper: Stopper,
    tokens: TokenStore,
    last_used: LastUsed,
    meters: Arc<Meters>,
    usage: Usage,
    pulse: Arc<Pulse>,
    clock: Clock,
    watch: Watch,
    hangup: Arc<Notify>,
    reloaded: reload::Reloaded,
    greeting: String,
    _alone: Option<Lock>,
}

fn no_randomness() -> StartError {
    StartError::Process("the system gave no randomness".to_owned())
}

/// What the admin listener is given of the configuration.
fn admin_settings(config: &Config, issuers: Arc<Issuers>) -> admin::Settings {
    let rules = Rules {
        sign_up: config.accounts.sign_up,
        direct_scopes: config.accounts.direct_scopes.clone(),
        end_users: config.accounts.end_users.clone(),
        require_phone: config.accounts.require_phone,
        require_second_factor: config.accounts.require_second_factor,
        password_min_length: config.accounts.password_min_length,
        reveal_unknown_users: config.accounts.reveal_unknown_users,
        ttl: config.tokens.ttl,
        session_max: config.sessions.max,
        session_idle: config.sessions.idle,
        returns: ReturnRules {
            public_url: config.admin.public_url.clone(),
            domains: Domains::new(config.sessions.domains.clone()),
            hosts: config.sessions.return_hosts.clone(),
        },
        format: config.tokens.format,
        key_prefix: config.key_prefix.clone(),
        issuer: config.admin.public_url.clone().unwrap_or_else(|| "gatepost".to_owned()),
    };
    admin::Settings { rules, trusted_proxies: config.admin.trusted_proxies.clone(), oidc: config.oidc.clone(), issuers }
}

/// TLS of every listener that has it.
fn tls_configs(config: &Config) -> impl Iterator<Item = &TlsConfig> {
    config.gates.iter().filter_map(|gate| gate.tls.as_ref()).chain(&config.admin.tls)
}

/// What listeners with these files serve by: one for all of them, so that one reload replaces it everywhere.
fn pair_for(configured: &TlsConfig, in_force: &mut HashMap<TlsFiles, Tls>) -> Tls {
    in_force.entry(configured.files.clone()).or_insert_with(|| Tls::new(configured.pair.clone())).clone()
}

impl App {
    /// Opens the stores, binds every listener whose socket was not `passed`, and prepares what serves on them.
    ///
    /// # Errors
    /// Where something is missing, taken or broken.
    pub async fn build(loaded: Loaded, metrics: PrometheusHandle, mut passed: Passed) -> Result<Self, StartError> {
        let Loaded { config, rules, file, .. } = loaded;
        let Stores { database, tokens, alone } = open_stores(&config).await?;
        let keyring = Arc::new(ArcSwap::from_pointee(secret_key::read_or_make(&config)?));
        let (drain, stopper) = Drain::new();
        let hangup = Arc::new(Notify::new());
        let key_file = secret_key::file(&config).map(|path| (path, keyring.load_full()));
        let pairs: HashMap<_, _> = tls_configs(&config).map(|tls| (&tls.files, tls)).collect();
        let mut tls = HashMap::new();
        let mut in_force_for = |configured: &Option<TlsConfig>| configured.as_ref().map(|configured| pair_for(configured, &mut tls));
        let watch = Watch::new(
            &config.rules,
            &rules,
            key_file.as_ref().map(|(path, keyring)| (path.clone(), &**keyring)),
            pairs.values().copied(),
            hangup.clone(),
        );
        let tests = instance::Tests::new(ArcSwap::from_pointee(rules.tests));
        let in_force = Arc::new(ArcSwap::from_pointee(InForce::new(rules.rules)));
        tokens.want_cached(Duration::from_millis(in_force.load().rules.longest_cached_ms()));
        crate::metrics::rules_in_force(1, in_force.load().rules.rules().len(), false);

        let senders = Senders::start(config.senders.clone()).map_err(|error| StartError::Process(error.to_string()))?;
        let told = Told { letters: senders.letters(), webhooks: config.webhooks.clone() };
        notices::start(database.clone(), told).map_err(StartError::Process)?;
        let issuers = Issuers::start(config.issuers.clone());
        let admin =
            Admin::start(admin_settings(&config, issuers.clone()), database.clone(), tokens.clone(), keyring.clone(), senders).await?;
        let usage = match config.usage.enabled {
            true => Usage::start(database.clone(), config.usage.keep).map_err(|_| no_randomness())?,
            false => Usage::off(),
        };
        let shared = Arc::new(Shared {
            in_force: in_force.clone(),
            tokens: tokens.clone(),
            keyring: keyring.clone(),
            mint: SecretMint::new(&database.installation().key_tag),
            issuers,
            clock: database.clock().clone(),
            keep_alive: admin.accounts().keep_alive().clone(),
            domains: Domains::new(config.sessions.domains.clone()),
            last_used: admin.accounts().last_used().clone(),
            meters: Meters::start(Source::new(tokens.clone(), database.clone()), database.clock().clone()),
            usage,
            decisions: Arc::default(),
            examinations: Arc::default(),
            aside: tokio::runtime::Handle::current(),
            ttl_s: config.tokens.ttl.as_secs(),
            configuration: file.and_then(|file| std::path::absolute(file).ok()),
        });
        let pulse = Arc::new(Pulse::default());
        let gates_shown = instance::Gates {
            gates: config.gates.clone(),
            denial_status: config.denial_status,
            outage: outage(&config.tokens),
            login_at: config.admin.public_url.clone(),
            database: database.clone(),
        };
        admin.show(instance::of(&shared, gates_shown, tests.clone(), pulse.clone()));
        let further = dialect::further(config.gates.iter().map(|gate| &gate.identity));
        tokens.tell(further.clone());
        let mut gates = Vec::new();
        for (gate, name) in config.gates.iter().zip(GateConfig::names(&config.gates)) {
            let secret = gate.secret.as_ref().map(proxy_secret::read_or_make).transpose()?;
            let dialect = Dialect::new(gate.proxy, secret, config.denial_status)
                .with_login_at(config.admin.public_url.clone())
                .with_carriage(gate.carriage.clone())
                .with_client_ip(gate.client_ip.clone())
                .with_identity(&gate.identity, further.clone());
            let limits = Limits::Gate { raw_target: dialect.reads_request_line() };
            let listener = server::bind(&gate.listen, &mut passed).await?.with_tls(in_force_for(&gate.tls));
            gates.push((listener, Arc::new(Gate::new(dialect, shared.clone()).named(name)), limits));
        }
        let admin_listener = server::bind(&Listen::Tcp(config.admin.listen), &mut passed).await?;
        let admin_listener = admin_listener.with_tls(in_force_for(&config.admin.tls));
        let metrics_listener = server::bind(&Listen::Tcp(config.metrics), &mut passed).await?;
        passed.all_taken()?;
        let greeting = Self::greet(&config, &admin, &in_force.load().rules).await?;
        let blind = Blind::of(&config.gates);
        blind.clone().tell_of_keys(database);
        let cores = Cores::start(config.workers).map_err(|error| StartError::Process(format!("no thread for checks: {error}")))?;
        Ok(Self {
            gates,
            cores: Arc::new(cores),
            admin: admin_listener,
            admin_router: admin::router(admin),
            metrics: metrics_listener,
            probes: Arc::new(Probes::new(metrics.clone(), drain.clone(), tokens.clone())),
            recorder: metrics,
            drain,
            stopper,
            tokens,
            watch,
            hangup,
            last_used: shared.last_used.clone(),
            meters: shared.meters.clone(),
            usage: shared.usage.clone(),
            pulse,
            clock: shared.clock.clone(),
            reloaded: reload::Reloaded { in_force, tests, tokens: shared.tokens.clone(), keyring, tls, blind },
            greeting,
            _alone: alone,
        })
    }

    /// What a start prints. The key of the first minutes replaces the one before, so it is made when nothing can fail any more.
    async fn greet(config: &Config, admin: &Admin, rules: &RuleSet) -> Result<String, StartError> {
        let mut greeting = greeting::listeners(config);
        let on_loopback = config.admin.listen.ip().is_loopback() && config.gates.iter().all(|gate| gate.listen.is_local());
        if on_loopback
            && matches!((&config.tokens.store, &config.database), (StoreConfig::Embedded, DatabaseConfig::Sqlite(_)))
            && let Some(key) = admin.quickstart_key().await?
        {
            greeting.push_str(&greeting::first_minutes(config, rules, &key));
        }
        if let Some(code) = admin.setup_code() {
            greeting.push_str(&greeting::setup_code(code));
        }
        Ok(greeting)
    }

    /// What to print once everything listens.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Serves until SIGTERM or SIGINT, then drains, 25 s in all. A second signal ends at once. `supervisor` is told of both.
    ///
    /// # Errors
    /// Where signals cannot be heard.
    pub async fn run(self, supervisor: &Supervisor) -> Result<(), StartError> {
        let mut signals = Signals::new()?;
        let mut serving = tokio::task::JoinSet::new();
        for (listener, gate, limits) in self.gates {
            let handler = move |request, from: server::Connection| gate.check(request, from.number);
            let accepting = server::serve(listener, limits, Arc::clone(&self.cores), self.drain.clone(), Arc::new(handler));
            serving.spawn_on(accepting.map_err(StartError::Accept)?, self.cores.acceptor());
        }
        // beside the checks, not between them
        let here = Arc::new(Cores::here());
        let router = self.admin_router;
        let admin = move |request, from: server::Connection| admin::answer(router.clone(), request, from.peer);
        let accepting = server::serve(self.admin, Limits::Admin, Arc::clone(&here), self.drain.clone(), Arc::new(admin));
        serving.spawn(accepting.map_err(StartError::Accept)?);
        let probes = self.probes;
        let probe = move |request: hyper::Request<hyper::body::Incoming>, _| {
            let probes = probes.clone();
            async move { probes.answer(request).await }
        };
        serving.spawn(crate::metrics::upkeep(self.recorder));
        serving.spawn(self.pulse.beat(self.clock, crate::metrics::sample));
        let reloading = tokio::spawn(reload::run(self.watch, self.reloaded));
        let accepting = server::serve(self.metrics, Limits::Admin, here, self.drain.clone(), Arc::new(probe));
        let probing = tokio::spawn(accepting.map_err(StartError::Accept)?);
        let mut telling = std::pin::pin!(supervisor.ready(&self.tokens));
        let mut told = false;
        let at_once = loop {
            let signal = tokio::select! {
                () = telling.as_mut(), if !told => {
                    told = true;
                    continue;
                }
                signal = signals.next() => signal,
                () = self.tokens.ousted() => {
                    let what = "another gatepost has served from this database meanwhile, so nothing that this one remembers counts; \
                                use Redis for more than one replica";
                    return Err(StartError::Process(what.to_owned()));
                }
            };
            match signal {
                Signal::Hangup => self.hangup.notify_one(),
                Signal::Terminate => break false,
                Signal::Interrupt => break true,
            }
        };
        supervisor.stopping();
        tracing::info!("stopping: not ready, then no new connections, 25 s in all");
        tokio::select! {
            () = self.stopper.stop(at_once) => {}
            () = signals.again() => tracing::warn!("stopped at once"),
        }
        reloading.abort();
        probing.abort();
        serving.shutdown().await;
        self.meters.stop().await;
        self.tokens.stop().await;
        self.last_used.flush().await;
        self.usage.stop().await;
        tracing::info!("stopped");
        Ok(())
    }
}
