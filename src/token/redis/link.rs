//! The link to Redis: one raw multiplexed connection to one primary, its deadlines and its errors. The only file that names
//! the driver.
//!
//! Why raw: `ConnectionManager` moves pushes to a side queue and retries behind our back; what later waits for
//! order on this connection (COHERENCE §5.2.4) could not rely on either.
//!
//! INVARIANT: every command has a deadline and a permit, so nothing waits in a queue without bound.
//! INVARIANT: every error says that the store could not be asked, or refused; none says "not found".

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, PushKind, RedisConnectionInfo, RedisError, ServerErrorKind, Value};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

use super::address::{Address, Host, Login};
use super::discovery::{Finder, Place};
use super::keys::Keys;
use super::reply::Reply;
use super::scripts::Script;
use super::socket::{Dialer, Socket};
use crate::id::Id;

/// For a command that a check waits for.
pub(super) const CHECK: Duration = Duration::from_millis(50);
/// For a command that an admin act, RECOVER or the flusher waits for.
pub(super) const ADMIN: Duration = Duration::from_millis(500);
/// Most entries of the log read at once.
const ENTRIES: usize = 1000;
/// Most commands in flight; one more waits for its turn, no longer than its deadline.
const IN_FLIGHT: usize = 512;
/// So many stalls in a row and nobody asks any more until a heartbeat was answered.
const STALLS: u32 = 5;

/// What Redis may add to its replicas' lag before it stops writing: it counts in whole seconds, once a second.
const COUNTING: Duration = Duration::from_secs(2);

/// Where Redis is.
pub(super) struct Link {
    finder: Finder,
    kick: Arc<Notify>,
    slack_ms: AtomicU64,
}

/// How a connection introduces itself.
pub(super) struct Access<'a> {
    login: &'a Login,
    database: u16,
    protocol: ProtocolVersion,
    keys: &'a Arc<Keys>,
    /// Notified when the connection ends.
    kick: Option<Arc<Notify>>,
}

impl<'a> Access<'a> {
    /// To a server.
    pub(super) fn data(address: &'a Address) -> Self {
        Self { login: &address.login, database: address.database, protocol: ProtocolVersion::RESP3, keys: &address.keys, kick: None }
    }

    /// To a Sentinel.
    pub(super) fn sentinel(address: &'a Address) -> Self {
        Self { login: &address.sentinel_login, database: 0, protocol: ProtocolVersion::RESP2, keys: &address.keys, kick: None }
    }
}

/// A connection; clones share it.
#[derive(Clone)]
pub(super) struct Wire {
    connection: MultiplexedConnection,
    state: Arc<WireState>,
}

struct WireState {
    permits: Semaphore,
    stalls: AtomicU32,
    place: Place,
    keys: Arc<Keys>,
    patience: Duration,
    driver: AbortHandle,
}

impl Drop for WireState {
    fn drop(&mut self) {
        // else it stays for as long as the other end keeps silent
        self.driver.abort();
    }
}

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// [`IN_FLIGHT`] commands went on waiting.
    #[error("too many commands wait for Redis")]
    Full,
    /// The deadline passed.
    #[error("Redis did not answer in time")]
    Stalled,
    /// The connection is gone or was not made.
    #[error("no connection to Redis: {0}")]
    Broken(String),
    /// Redis answered with an error.
    #[error("Redis refused: {code} {text}")]
    Refused {
        /// The first word, like `LOADING`.
        code: String,
        /// The rest.
        text: String,
    },
    /// Something there is not as it must be, and waiting will not mend it.
    #[error("{0}")]
    Unusable(String),
    /// An answer that no script gives.
    #[error("Redis gave an answer that cannot be read")]
    Unread,
}

impl Failure {
    fn cause(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Stalled => "stalled",
            Self::Broken(_) => "broken",
            Self::Refused { .. } => "refused",
            Self::Unusable(_) => "unusable",
            Self::Unread => "unread",
        }
    }

    /// Whether Redis as a whole cannot be asked, not just one key of it.
    pub(super) fn is_general(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Unusable(_) => true,
            Self::Refused { code, .. } => {
                self.is_elsewhere() || ["LOADING", "BUSY", "NOAUTH", "NOPERM", "MISCONF"].contains(&code.as_str())
            }
            Self::Full | Self::Stalled | Self::Unread => false,
        }
    }

    /// Whether another server may have taken over: the next connection asks anew who it is. A primary whose replicas
    /// left it may have been cut off from those that elect its successor.
    pub(super) fn is_elsewhere(&self) -> bool {
        const CODES: [&str; 7] = ["READONLY", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS"];
        matches!(self, Self::Refused { code, .. } if CODES.contains(&code.as_str()))
    }

    /// Whether waiting will not mend it.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Unusable(_) => true,
            Self::Refused { code, text } => {
                ["NOAUTH", "WRONGPASS", "NOPERM", "NOPROTO"].contains(&code.as_str()) || text.starts_with("ACL failure in script")
            }
            Self::Full | Self::Stalled | Self::Broken(_) | Self::Unread => false,
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            _ if error.is_timeout() => Self::Stalled,
            ErrorKind::AuthenticationFailed => Self::Refused { code: "WRONGPASS".to_owned(), text: error.to_string() },
            ErrorKind::RESP3NotSupported => Self::Refused { code: "NOPROTO".to_owned(), text: error.to_string() },
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused {
                code: error.code().unwrap_or("ERR").to_owned(),
                text: error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned),
            },
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Unread,
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl Link {
    /// To the Redis at `url`; `kick` is notified when a connection ends.
    pub(super) fn new(url: &str, kick: Arc<Notify>) -> Result<Self, String> {
        let address = Address::parse(url).map_err(|error| error.to_string())?;
        Ok(Self { finder: Finder::new(address)?, kick, slack_ms: AtomicU64::new(0) })
    }

    /// A connection to the primary, whoever that is by now; soon, or not at all.
    pub(super) async fn connect(&self) -> Result<Wire, Failure> {
        let place = self.finder.find().await?;
        let wire = self.wire(&place).await?;
        if !self.is_single() && !wire.is_primary().await? {
            return Err(Failure::Refused { code: "READONLY".to_owned(), text: format!("{} is no primary", place.host) });
        }
        Ok(wire)
    }

    /// Whether `wire` leads nowhere any more after this failure, so that another connection must be made.
    pub(super) async fn is_over(&self, wire: &Wire, failure: &Failure) -> bool {
        match failure {
            // its replicas may come back: it is left only for another
            Failure::Refused { code, .. } if code == "NOREPLICAS" => self.finder.find().await.is_ok_and(|place| place.host != *wire.host()),
            Failure::Refused { .. } => failure.is_elsewhere(),
            _ => true,
        }
    }

    /// Whether it is one server that no other takes over from.
    pub(super) fn is_single(&self) -> bool {
        self.finder.address.is_single()
    }

    /// Where it is, as it would be written, without user and password.
    pub(super) fn place(&self) -> String {
        self.finder.address.to_string()
    }

    /// How long after another took over a former primary may still take writes, and so give leases (COHERENCE §1):
    /// zero for one server; else what was learnt when it was examined, the longest so far.
    pub(super) fn slack(&self) -> Duration {
        Duration::from_millis(self.slack_ms.load(Ordering::Relaxed))
    }

    /// Notes the replication lag from which on a primary takes no writes.
    pub(super) fn learn_lag(&self, max_lag: Duration) {
        self.slack_ms.fetch_max(crate::clock::millis(max_lag.saturating_add(COUNTING)), Ordering::Relaxed);
    }

    /// The lag that the address declares.
    pub(super) fn declared_lag(&self) -> Option<Duration> {
        self.finder.address.max_lag
    }

    async fn wire(&self, place: &Place) -> Result<Wire, Failure> {
        let access = Access { kick: Some(Arc::clone(&self.kick)), ..Access::data(&self.finder.address) };
        Wire::open_at(&self.finder.dialer, place.clone(), access, self.finder.patience()).await
    }
}

impl Wire {
    /// A connection to `host`, handshake included within `patience`, which is the deadline of what is asked plainly, too.
    pub(super) async fn open(dialer: &Dialer, host: &Host, access: Access<'_>, patience: Duration) -> Result<Self, Failure> {
        Self::open_at(dialer, Place { host: host.clone(), replicas: 0 }, access, patience).await
    }

    async fn open_at(dialer: &Dialer, place: Place, access: Access<'_>, patience: Duration) -> Result<Self, Failure> {
        let keys = Arc::clone(access.keys);
        let opening = async {
            match dialer.dial(&place.host).await? {
                Socket::Plain(stream) => introduce(stream, access).await.map_err(Failure::from),
                Socket::Tls(stream) => introduce(stream, access).await.map_err(Failure::from),
            }
        };
        let (connection, driver) = tokio::time::timeout(patience, opening).await.map_err(|_| Failure::Stalled)??;
        let state = WireState { permits: Semaphore::new(IN_FLIGHT), stalls: AtomicU32::new(0), place, keys, patience, driver };
        Ok(Self { connection, state: Arc::new(state) })
    }

    /// Where it leads to.
    pub(super) fn host(&self) -> &Host {
        &self.state.place.host
    }

    /// What our keys are called there.
    pub(super) fn keys(&self) -> &Keys {
        &self.state.keys
    }

    /// A script to be run here, without arguments yet.
    pub(super) fn call(&self, script: Script) -> Call {
        let mut command = Cmd::with_capacity(24, 2048);
        command.arg("EVALSHA").arg(script.sha()).arg(1).arg(self.keys().epoch());
        Call { script, command }
    }

    /// How many replicas that server is known to have.
    pub(super) fn replicas(&self) -> u64 {
        self.state.place.replicas
    }

    /// Runs a command that is no script.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<Reply, Failure> {
        let mut command = Cmd::new();
        command.arg(words);
        self.timed("ask", self.state.patience, self.send(&command)).await
    }

    async fn is_primary(&self) -> Result<bool, Failure> {
        let replication = self.ask(&["INFO", "replication"]).await?;
        Ok(replication.text().ok_or(Failure::Unread)?.lines().any(|line| line.trim_end() == "role:master"))
    }

    /// Runs a script.
    pub(super) async fn run(&self, call: Call, deadline: Duration) -> Result<Reply, Failure> {
        let Ok(Ok(_permit)) = tokio::time::timeout(deadline, self.state.permits.acquire()).await else {
            return Err(counted(call.script.name(), Failure::Full));
        };
        self.run_beyond(call, deadline).await
    }

    /// Runs a script whatever waits already: for the heartbeat, which is one.
    pub(super) async fn run_beyond(&self, call: Call, deadline: Duration) -> Result<Reply, Failure> {
        let operation = call.script.name();
        self.timed(operation, deadline, async {
            match self.send(&call.command).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => self.send(&call.in_full()).await,
                answer => answer,
            }
        })
        .await
    }

    /// INFO, as text.
    pub(super) async fn info(&self) -> Result<String, Failure> {
        let mut command = ::redis::cmd("INFO");
        // one word: before 7.0 it takes no more, and its version must be told
        command.arg("default");
        let reply = self.timed("info", self.state.patience, self.send(&command)).await?;
        reply.text().map(ToOwned::to_owned).ok_or(Failure::Unread)
    }

    /// Moves idle ends on, in one go: `PEXPIREAT … GT`, which never revives and never goes back.
    pub(super) async fn slide(&self, ends: &[(Id, u64)]) -> Result<(), Failure> {
        let mut pipeline = ::redis::pipe();
        for (id, end) in ends {
            pipeline.cmd("PEXPIREAT").arg(format!("{}t:{id}", self.keys().prefix())).arg(*end).arg("GT");
        }
        let answers =
            async { self.connection.clone().send_packed_commands(&pipeline, 0, ends.len()).await.map(Value::Array)?.extract_error() };
        self.timed("slide", ADMIN, answers).await.map(drop)
    }

    /// LOG: says how far `member` has applied the log, and reads what comes after `position`, waiting `block` for it.
    pub(super) async fn read_log(&self, member: Id, said: &str, position: &str, block: Duration) -> Result<Reply, Failure> {
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("HSET").arg(format!("{}ack", self.keys().prefix())).arg(member.to_string()).arg(said);
        let block_ms = crate::clock::millis(block);
        pipeline.cmd("XREAD").arg("COUNT").arg(ENTRIES).arg("BLOCK").arg(block_ms).arg("STREAMS");
        pipeline.arg(format!("{}log", self.keys().prefix())).arg(position);
        let answers = async {
            let answers: Value = self.connection.clone().send_packed_commands(&pipeline, 0, 2).await.map(Value::Array)?.extract_error()?;
            Ok::<_, RedisError>(if let Value::Array(answers) = answers {
                answers.into_iter().nth(1).unwrap_or(Value::Nil)
            } else {
                Value::Nil
            })
        };
        // not timed: it waits for what may never come
        let answer = tokio::time::timeout(block + ADMIN, answers).await.map_err(|_| counted("log", Failure::Stalled))?;
        answer.map(Reply::from).map_err(|error| counted("log", Failure::from(error)))
    }

    /// Whether so many commands stalled in a row that nobody should ask.
    pub(super) fn is_stalled(&self) -> bool {
        self.state.stalls.load(Ordering::Relaxed) >= STALLS
    }

    /// Whether both are one connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        // a refusal comes as a value here
        self.connection.clone().send_packed_command(command).await?.extract_error()
    }

    async fn timed(
        &self,
        operation: &'static str,
        deadline: Duration,
        answer: impl Future<Output = Result<Value, RedisError>>,
    ) -> Result<Reply, Failure> {
        let begun = Instant::now();
        let answer = tokio::time::timeout(deadline, answer).await.map_or(Err(Failure::Stalled), |answer| answer.map_err(Failure::from));
        match &answer {
            Err(Failure::Stalled) => drop(self.state.stalls.fetch_add(1, Ordering::Relaxed)),
            _ => self.state.stalls.store(0, Ordering::Relaxed),
        }
        crate::metrics::store_asked(operation, begun.elapsed());
        answer.map(Reply::from).map_err(|failure| counted(operation, failure))
    }
}

/// The handshake on a stream, and who carries what goes over it from then on.
async fn introduce<S>(stream: S, access: Access<'_>) -> Result<(MultiplexedConnection, AbortHandle), RedisError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // without CLIENT SETINFO, which a user of few rights may not send
    let mut info = RedisConnectionInfo::default().set_protocol(access.protocol).set_db(i64::from(access.database)).set_skip_set_lib_name();
    if let Some(user) = &access.login.user {
        info = info.set_username(user);
    }
    if let Some(password) = &access.login.password {
        info = info.set_password(password.expose_secret());
    }
    let mut config = AsyncConnectionConfig::new().set_response_timeout(None);
    if let Some(kick) = access.kick {
        config = config.set_push_sender(move |push: ::redis::PushInfo| {
            if push.kind == PushKind::Disconnection {
                kick.notify_one();
            }
            Ok::<(), ::redis::aio::SendError>(())
        });
    }
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    Ok((connection, tokio::spawn(driver).abort_handle()))
}

fn counted(operation: &'static str, failure: Failure) -> Failure {
    crate::metrics::store_failed(operation, failure.cause());
    failure
}

/// A script with its arguments.
pub(super) struct Call {
    script: Script,
    command: Cmd,
}

impl Call {
    /// One more argument.
    pub(super) fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    /// One more, a number.
    pub(super) fn number(mut self, argument: u64) -> Self {
        self.command.arg(argument);
        self
    }

    /// One more, an id.
    pub(super) fn id(self, argument: Id) -> Self {
        self.arg(argument.to_string())
    }

    /// The same with the script's text, which Redis then knows (again).
    fn in_full(&self) -> Cmd {
        let mut command = Cmd::new();
        command.arg("EVAL").arg(self.script.text());
        for argument in self.command.args_iter().skip(2) {
            if let ::redis::Arg::Simple(argument) = argument {
                command.arg(argument);
            }
        }
        command
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        match value {
            Value::Int(number) => Self::Number(number),
            Value::BulkString(bytes) => String::from_utf8(bytes).map_or(Self::Nil, Self::Text),
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => Self::Text(text),
            Value::Okay => Self::Text("OK".to_owned()),
            Value::Array(list) | Value::Set(list) => Self::List(list.into_iter().map(Self::from).collect()),
            // RESP3 answers XREAD with a map: as RESP2 does, a list of names, each with what is under it
            Value::Map(map) => Self::List(map.into_iter().map(|(name, under)| Self::List(vec![name.into(), under.into()])).collect()),
            _ => Self::Nil,
        }
    }
}
