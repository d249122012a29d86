//! Databases for tests: one PostgreSQL and one MariaDB a test process, on unix sockets below a temporary directory, and a
//! database of its own for each test.
//!
//! Each server runs below a shell that waits for the end of a pipe and then stops it: however the tests end, nothing is
//! left. Nothing is written through to the disk, so that they are fast.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tokio::sync::OnceCell;

use super::{Database, Engine};
use crate::clock::Clock;

/// Names the engine to a run of the tests.
const HERE: &str = "GATEPOST_TEST_DATABASE";
/// Runs a server until standard input ends. `$1`: how it is stopped; `$2`: its directory.
const WATCH: &str = r#"stop=$1 data=$2; shift 2
"$@" >"$data/log" 2>&1 </dev/null &
cat >/dev/null
kill "-$stop" $!
wait
rm -rf "$data""#;
/// How long a server has to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database of a test's own, empty; dropped with it.
pub(crate) struct TestDatabase {
    engine: Engine,
    url: SecretString,
    name: String,
    data: tempfile::TempDir,
}

impl TestDatabase {
    /// Makes one on the engine that this run of the tests is for: SQLite, unless the environment tells another.
    pub(crate) async fn here() -> Self {
        Self::new(here()).await
    }

    /// Makes one.
    pub(crate) async fn new(engine: Engine) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let data = tempfile::tempdir().unwrap();
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let url = match engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres => {
                let server = Server::postgres().await;
                server.command(&format!("CREATE DATABASE {name} TEMPLATE migrated")).await;
                server.url(&name)
            }
            Engine::Mysql => {
                let server = Server::mariadb().await;
                server.command(&format!("CREATE DATABASE {name}")).await;
                server.url(&name)
            }
        };
        Self { engine, url: url.into(), name, data }
    }

    /// Opens it, as one more process would.
    pub(crate) async fn open(&self, clock: Clock) -> Database {
        match self.engine {
            Engine::Sqlite => Database::open_sqlite(&self.file(), clock).await.unwrap(),
            Engine::Postgres | Engine::Mysql => Database::open(self.engine, &self.url, clock).await.unwrap(),
        }
    }

    /// Breaks every connection there is to it.
    pub(crate) async fn cut(&self, database: &Database) {
        match self.engine {
            // nobody stands between it and its file
            Engine::Sqlite => {}
            Engine::Postgres => {
                let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
                Server::postgres().await.command(&end).await;
            }
            Engine::Mysql => {
                let list = format!("SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = '{}'", self.name);
                let connections: Vec<(i64,)> = sqlx::query_as(AssertSqlSafe(list)).fetch_all(&database.pool).await.unwrap();
                for (connection,) in connections {
                    Server::mariadb().await.command(&format!("KILL {connection}")).await;
                }
            }
        }
    }

    /// The file of a SQLite database.
    pub(crate) fn file(&self) -> PathBuf {
        self.data.path().join("gatepost.db")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = match self.engine {
            Engine::Sqlite => return,
            Engine::Postgres => format!("DROP DATABASE {} WITH (FORCE)", self.name),
            Engine::Mysql => format!("DROP DATABASE {}", self.name),
        };
        let engine = self.engine;
        // beside the tests: nobody waits for it
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = if engine == Engine::Postgres { Server::postgres().await } else { Server::mariadb().await };
                server.command(&drop).await;
            });
        });
    }
}

/// The engine that this run of the tests is for.
pub(crate) fn here() -> Engine {
    #[expect(clippy::disallowed_methods, reason = "which servers the tests run is told by the environment")]
    match std::env::var(HERE).as_deref() {
        Ok("postgres") => Engine::Postgres,
        Ok("mariadb") => Engine::Mysql,
        _ => Engine::Sqlite,
    }
}

/// Whatever stands on a database is tested on SQLite like everything else, and once more on each of the others.
fn the_same_tests_on(engine: &str) {
    if here() != Engine::Sqlite {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([
        "accounts::contacts::",
        "accounts::declared::",
        "backup::",
        "database::",
        "admin::tests::",
        "keys_command::",
        "meters::tests::",
        "token::store::tests::embedded::",
        "token::store::tests::redis::",
    ]);
    // who may do what is decided above the database, and asking for all of it takes long
    let output = again.args(["--skip", "the_same_tests_on", "--skip", "admin::tests::matrix"]).env(HERE, engine).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let summary = said.lines().rev().find(|line| line.starts_with("test result:")).unwrap_or_default();
    let passed = summary.split(' ').nth(3).and_then(|passed| passed.parse::<u32>().ok()).unwrap_or_default();
    println!("{summary}");
    assert!(output.status.success() && passed > 100, "on {engine}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_same_tests_on_postgres() {
    the_same_tests_on("postgres");
}

#[test]
fn the_same_tests_on_mariadb() {
    the_same_tests_on("mariadb");
}

/// A server of this test process.
struct Server {
    scheme: &'static str,
    user: &'static str,
    options: String,
    // its standard input is the pipe whose end stops it
    _watch: Child,
}

impl Server {
    /// The PostgreSQL of this process.
    async fn postgres() -> &'static Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        SERVER
            .get_or_init(|| async {
                let program = program("GATEPOST_TEST_POSTGRES", "postgres", "postgresql");
                let data = directory();
                let cluster = data.join("cluster");
                let initdb = program.with_file_name("initdb");
                let made = as_user("postgres", &initdb, &data)
                    .args(["--no-sync", "--no-instructions", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"])
                    .arg(&cluster)
                    .output();
                check(&initdb, &made);
                let mut server = as_user("postgres", &program, &data);
                server.arg("-D").arg(&cluster).arg("-k").arg(&data);
                for setting in [
                    "listen_addresses=",
                    "fsync=off",
                    "full_page_writes=off",
                    "max_connections=400",
                    "shared_buffers=64MB",
                    "autovacuum=off",
                ] {
                    server.args(["-c", setting]);
                }
                let server = Self {
                    scheme: "postgres",
                    user: "postgres",
                    options: format!("host={}", data.display()),
                    _watch: watch("QUIT", &data, &server),
                };
                server.come_up(&data, "postgres").await;
                server.command("CREATE DATABASE migrated").await;
                let template = Database::open(Engine::Postgres, &server.url("migrated").into(), Clock::system()).await.unwrap();
                // every test is an installation of its own
                template.pool.execute("DELETE FROM installation").await.unwrap();
                template.close().await;
                server
            })
            .await
    }

    /// The MariaDB of this process.
    async fn mariadb() -> &'static Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        SERVER
            .get_or_init(|| async {
                let program = program("GATEPOST_TEST_MARIADB", "mariadbd", "mariadb-server");
                let data = directory();
                let tables = format!("--datadir={}", data.join("tables").display());
                let install = in_path("mariadb-install-db").unwrap_or_else(|| program.with_file_name("mariadb-install-db"));
                let mut installing = as_user("mysql", &install, &data);
                installing.args([
                    "--no-defaults",
                    &tables,
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--skip-name-resolve",
                ]);
                check(&install, &installing.output());
                let socket = data.join("socket");
                let mut server = as_user("mysql", &program, &data);
                server.args([
                    "--no-defaults",
                    &tables,
                    "--skip-networking",
                    "--skip-log-bin",
                    "--skip-name-resolve",
                    "--max-connections=400",
                ]);
                server.arg(format!("--socket={}", socket.display())).arg(format!("--pid-file={}", data.join("pid").display()));
                // a server whose own character set is another one: what is said in the schema counts
                server.args(["--character-set-server=latin1", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"]);
                server.args(["--innodb-flush-method=nosync", "--innodb-file-per-table=0", "--innodb-buffer-pool-size=96M"]);
                let server = Self {
                    scheme: "mysql",
                    user: "root",
                    options: format!("socket={}", socket.display()),
                    _watch: watch("KILL", &data, &server),
                };
                server.come_up(&data, "mysql").await;
                server
            })
            .await
    }

    fn url(&self, database: &str) -> String {
        format!("{}://{}@localhost/{database}?{}", self.scheme, self.user, self.options)
    }

    async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url(if self.scheme == "mysql" { "mysql" } else { "postgres" })).await
    }

    async fn command(&self, statement: &str) {
        let mut connection = self.connect().await.unwrap();
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn come_up(&self, data: &Path, what: &str) {
        let began = std::time::Instant::now();
        while let Err(error) = self.connect().await {
            if began.elapsed() > PATIENCE {
                panic!("{what} does not come up: {error}\n{}", std::fs::read_to_string(data.join("log")).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Where everybody may write: a server refuses to run as root, so it is another user's.
fn directory() -> PathBuf {
    let data = tempfile::Builder::new().prefix("gatepost-").tempdir().unwrap().keep();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
    data
}

/// The program that the environment names, or one in the usual places.
fn program(variable: &str, name: &str, package: &str) -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "which servers the tests run is told by the environment")]
    let told = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let found = told.or_else(|| {
        let mut versions: Vec<PathBuf> =
            std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|e| e.path()).collect();
        versions.sort();
        versions.into_iter().rev().map(|version| version.join("bin").join(name)).find(|program| program.exists())
    });
    found.or_else(|| in_path(name)).unwrap_or_else(|| panic!("there is no `{name}`: apt-get install {package}, or set {variable} to it"))
}

fn in_path(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "which servers the tests run is told by the environment")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|program| program.exists())
}

/// `program` as itself, or as `user` where the tests run as root.
fn as_user(user: &str, program: &Path, data: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(data).stdin(Stdio::null());
    command
}

fn check(program: &Path, output: &std::io::Result<std::process::Output>) {
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("`{}`: {}", program.display(), String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("`{}` cannot be run: {error}", program.display()),
    }
}

/// Runs `server` until this process ends. In a process group of its own, so that Ctrl-C does not end the watch first.
fn watch(signal: &str, data: &Path, server: &Command) -> Child {
    use std::os::unix::process::CommandExt;
    let mut watch = Command::new("sh");
    watch.args(["-c", WATCH, "watch", signal]).arg(data).arg(server.get_program()).args(server.get_args());
    let mut watch = watch.current_dir(data).stdin(Stdio::piped()).process_group(0).spawn().unwrap();
    watch.stdin.as_mut().unwrap().flush().unwrap();
    watch
}
