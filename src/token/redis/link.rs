//! The link to Redis: one raw multiplexed connection, its deadlines and its errors. The only file that names the driver.
//!
//! Why raw: `ConnectionManager` moves pushes to a side queue and retries behind our back; what later waits for
//! order on this connection (COHERENCE §5.2.4) could not rely on either.
//!
//! INVARIANT: every command has a deadline and a permit, so nothing waits in a queue without bound.
//! INVARIANT: every error says that the store could not be asked, or refused; none says "not found".

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, ProtocolVersion, PushKind, RedisError, ServerErrorKind, Value,
};
use tokio::sync::{Notify, Semaphore};

use super::reply::Reply;
use super::scripts::Script;
use crate::id::Id;

/// For a connection, handshake included.
const CONNECT: Duration = Duration::from_millis(100);
/// For a command that a check waits for.
pub(super) const CHECK: Duration = Duration::from_millis(50);
/// For a command that an admin act, RECOVER or the flusher waits for.
pub(super) const ADMIN: Duration = Duration::from_millis(500);
/// Most entries of the log read at once.
const ENTRIES: usize = 1000;
/// Most commands in flight; one more is refused at once.
const IN_FLIGHT: usize = 512;
/// So many stalls in a row and nobody asks any more until a heartbeat was answered.
const STALLS: u32 = 5;

/// Where Redis is.
pub(super) struct Link {
    client: Client,
    kick: Arc<Notify>,
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
}

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// [`IN_FLIGHT`] commands wait already.
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
            Self::Unread => "unread",
        }
    }

    /// Whether Redis as a whole cannot be asked, not just one key of it.
    pub(super) fn is_general(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            Self::Refused { code, .. } => {
                ["LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "NOPERM", "NOREPLICAS", "MISCONF"]
                    .contains(&code.as_str())
            }
            Self::Full | Self::Stalled | Self::Unread => false,
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
        // the driver's own message would repeat the address, password and all
        let wrong = |error: RedisError| error.detail().map_or_else(|| error.category().to_owned(), |_| "not a redis:// address".to_owned());
        let info = url.into_connection_info().map_err(wrong)?;
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = info.tcp_settings().clone().set_nodelay(true).set_user_timeout(Duration::from_secs(1));
        let client = Client::open(info.set_redis_settings(redis).set_tcp_settings(tcp)).map_err(wrong)?;
        Ok(Self { client, kick })
    }

    /// A connection, within [`CONNECT`].
    pub(super) async fn connect(&self) -> Result<Wire, Failure> {
        let kick = Arc::clone(&self.kick);
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(None).set_push_sender(
            move |push: ::redis::PushInfo| {
                if push.kind == PushKind::Disconnection {
                    kick.notify_one();
                }
                Ok::<(), ::redis::aio::SendError>(())
            },
        );
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection = tokio::time::timeout(CONNECT, connecting).await.map_err(|_| Failure::Stalled)??;
        Ok(Wire { connection, state: Arc::new(WireState { permits: Semaphore::new(IN_FLIGHT), stalls: AtomicU32::new(0) }) })
    }
}

impl Wire {
    /// Runs a script.
    pub(super) async fn run(&self, call: Call, deadline: Duration) -> Result<Reply, Failure> {
        let _permit = self.state.permits.try_acquire().map_err(|_| counted(call.script.name(), Failure::Full))?;
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

    /// The sections of INFO that `fields` are in, as text.
    pub(super) async fn info(&self) -> Result<String, Failure> {
        let mut command = ::redis::cmd("INFO");
        command.arg("server").arg("memory");
        let reply = self.timed("info", CONNECT, self.send(&command)).await?;
        reply.text().map(ToOwned::to_owned).ok_or(Failure::Unread)
    }

    /// Moves idle ends on, in one go: `PEXPIREAT … GT`, which never revives and never goes back.
    pub(super) async fn slide(&self, ends: &[(Id, u64)]) -> Result<(), Failure> {
        let mut pipeline = ::redis::pipe();
        for (id, end) in ends {
            pipeline.cmd("PEXPIREAT").arg(format!("{}t:{id}", super::PREFIX)).arg(*end).arg("GT");
        }
        let answers =
            async { self.connection.clone().send_packed_commands(&pipeline, 0, ends.len()).await.map(Value::Array)?.extract_error() };
        self.timed("slide", ADMIN, answers).await.map(drop)
    }

    /// LOG: says how far `member` has applied the log, and reads what comes after `position`, waiting `block` for it.
    pub(super) async fn read_log(&self, member: Id, said: &str, position: &str, block: Duration) -> Result<Reply, Failure> {
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("HSET").arg(format!("{}ack", super::PREFIX)).arg(member.to_string()).arg(said);
        let block_ms = crate::clock::millis(block);
        pipeline.cmd("XREAD").arg("COUNT").arg(ENTRIES).arg("BLOCK").arg(block_ms).arg("STREAMS");
        pipeline.arg(format!("{}log", super::PREFIX)).arg(position);
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
    /// `script`, without arguments yet.
    pub(super) fn new(script: Script) -> Self {
        let mut command = Cmd::with_capacity(24, 2048);
        command.arg("EVALSHA").arg(script.sha()).arg(1).arg(super::EPOCH);
        Self { script, command }
    }

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
