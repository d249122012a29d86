//! The commands beside `serve`: each a few lines over the room that does the work.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::admin_access;
use crate::args::{Command, ExplainArguments, ImportCommand, ImportFrom};
use crate::config::file::Loaded;
use crate::config::foreign::Foreign;
use crate::config::{self, BAD_CONFIGURATION, Environment, GateConfig, LogConfig, Proxy, StoreConfig};
use crate::explain::{self, Shown, Through};
use crate::import_openapi::ImportOpenapiArguments;
use crate::issuers::Issuers;
use crate::print_config::{self, PrintConfigArguments};

/// Runs a command other than `serve`.
pub fn run(command: Command, path: Option<&Path>, environment: &Environment) -> ExitCode {
    match command {
        // of the program, not of a configuration
        Command::Openapi => say(crate::admin::OPENAPI),
        Command::Import(ImportCommand { from: Some(ImportFrom::Openapi(arguments)), .. }) => import_openapi(&arguments),
        Command::Serve => ExitCode::FAILURE,
        Command::Healthcheck(command) => crate::healthcheck::run(&command, path, environment),
        Command::CheckConfig => finish(config::check::check_config(path, environment)),
        Command::TestRules => finish(config::check::test_rules(path, environment)),
        Command::PrintConfig(arguments) => with(path, environment, |loaded| async move { print_config(&arguments, &loaded.config) }),
        Command::Explain(arguments) if arguments.admin.is_some() => explain_running(&arguments, environment),
        Command::Explain(arguments) => with(path, environment, |loaded| explain_request(*arguments, loaded)),
        Command::CreateAdmin(command) => {
            with(path, environment, |loaded| async move { crate::create_admin_command::run(command, &loaded.config, environment).await })
        }
        Command::ResetSecondFactor(command) => {
            with(path, environment, |loaded| async move { crate::reset_second_factor_command::run(command, loaded.config).await })
        }
        Command::Apply(command) => {
            with(path, environment, |loaded| async move { crate::apply_command::run(command, &loaded.config).await })
        }
        Command::Export(command) => {
            with(path, environment, |loaded| async move { crate::backup::export::run(command, &loaded.config).await })
        }
        Command::Import(command) => {
            with(path, environment, |loaded| async move { crate::backup::import::run(command.copy, &loaded.config).await })
        }
        Command::Doctor(command) if !command.needs_configuration() => match runtime(1) {
            Ok(runtime) => runtime.block_on(crate::doctor::run(*command, None, environment)),
            Err(error) => fail(&error.to_string()),
        },
        Command::Doctor(command) => {
            with(path, environment, |loaded| async move { crate::doctor::run(*command, Some(&loaded.config), environment).await })
        }
        Command::Keys(command) => with(path, environment, |loaded| async move { crate::keys_command::run(command, &loaded.config).await }),
    }
}

/// Starts the log. Audit entries are lines of JSON and nothing else, whatever the log's level and format.
pub fn log(config: &LogConfig) {
    // what libraries have to say at debug is for their authors
    let others = config.level.min(tracing::Level::WARN);
    let targets = Targets::new().with_default(others).with_targets(["gatepost", "admin"].map(|ours| (ours, config.level)));
    let targets = targets.with_target(AUDIT, LevelFilter::OFF);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let layer = if config.json { layer.json().flatten_event(true).with_current_span(false).boxed() } else { layer.boxed() };
    let trail = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).event_format(Bare);
    let entries = Targets::new().with_target(AUDIT, LevelFilter::INFO);
    tracing_subscriber::registry().with(layer.with_filter(targets)).with(trail.with_filter(entries)).init();
}

/// Under which audit entries are logged.
const AUDIT: &str = "audit";

/// The message alone, a line of its own.
struct Bare;

impl<S, N> FormatEvent<S, N> for Bare
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &tracing_subscriber::fmt::FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The runtime that everything runs on but checks ([`crate::server::Cores`]).
///
/// # Errors
/// Where the system gives no threads.
pub fn runtime(workers: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers.max(1)).enable_all().thread_name("gatepost").build()
}

fn with<F: Future<Output = ExitCode>>(path: Option<&Path>, environment: &Environment, command: impl FnOnce(Loaded) -> F) -> ExitCode {
    match config::file::load(path, environment) {
        Ok(loaded) => match runtime(1) {
            Ok(runtime) => runtime.block_on(command(loaded)),
            Err(error) => fail(&error.to_string()),
        },
        Err(problems) => {
            problems.iter().for_each(|problem| complain(&problem.to_string()));
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

async fn explain_request(arguments: ExplainArguments, loaded: Loaded) -> ExitCode {
    let config = &loaded.config;
    let unconfigured = || arguments.gate.as_deref().and_then(Proxy::from_name).map(Through::unconfigured);
    let through = match GateConfig::meant(&config.gates, arguments.gate.as_deref()) {
        Ok(gate) => Through::of(gate),
        Err(problem) => match unconfigured() {
            Some(through) => through,
            None => return fail(&problem),
        },
    };
    let through = Through {
        denial_status: config.denial_status,
        outage: crate::app::outage(&config.tokens),
        login_at: config.admin.public_url.clone(),
        ..through
    };
    let shown = match shown(&arguments, config).await {
        Ok(shown) => shown,
        Err(error) => return fail(&error),
    };
    told(explain::explain(&arguments, &through, &loaded.rules.rules, shown).await, arguments.json)
}

/// Asks a running instance.
fn explain_running(arguments: &ExplainArguments, environment: &Environment) -> ExitCode {
    if arguments.state != crate::args::State::Live {
        return fail("--state is what is made up here; a running instance knows what is");
    }
    let login = match admin_access::login(arguments.admin_token_file.as_deref(), environment.get(admin_access::TOKEN)) {
        Ok(login) => login,
        Err(error) => return fail(&error),
    };
    let admin = arguments.admin.as_deref().unwrap_or_default();
    match runtime(1) {
        Ok(runtime) => told(runtime.block_on(explain::running::explain(arguments, admin, &login)), arguments.json),
        Err(error) => fail(&error.to_string()),
    }
}

fn told(explanation: Result<explain::Explanation, String>, json: bool) -> ExitCode {
    match explanation {
        Ok(explanation) if json => say(&format!("{}\n", serde_json::to_string_pretty(&explanation).unwrap_or_default())),
        Ok(explanation) => say(&explanation.to_text()),
        Err(error) => fail(&error),
    }
}

fn print_config(arguments: &PrintConfigArguments, config: &config::Config) -> ExitCode {
    let printed = match print_config::print(arguments.proxy, arguments.gate.as_deref(), config) {
        Ok(printed) => printed,
        Err(error) => return fail(&error),
    };
    let text = match &arguments.dir {
        None => Ok(print_config::shown(&printed.files)),
        Some(directory) => print_config::write(&printed.files, directory, arguments.force),
    };
    // what is to be known goes beside the text, which may be on its way into a file
    match text {
        Ok(text) => {
            printed.notes.iter().for_each(|note| complain(&format!("note: {note}")));
            say(&text)
        }
        Err(error) => fail(&error),
    }
}

fn import_openapi(arguments: &ImportOpenapiArguments) -> ExitCode {
    let read = Foreign::read(&arguments.file);
    match read.and_then(|document| crate::import_openapi::import(&document, arguments.any_host, arguments.undeclared)) {
        Ok(imported) => {
            let written = match &arguments.output {
                None => Ok(say(&imported.rules)),
                Some(path) => write_new(path, &imported.rules, arguments.force),
            };
            complain(imported.summary().trim_end());
            written.unwrap_or_else(|error| fail(&error))
        }
        Err(problems) => {
            problems.iter().for_each(|problem| complain(&problem.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Writes a file; one that is there stays, unless `over`.
fn write_new(path: &Path, text: &str, over: bool) -> Result<ExitCode, String> {
    let mut options = std::fs::OpenOptions::new();
    let opened = if over { options.write(true).create(true).truncate(true) } else { options.write(true).create_new(true) }.open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map(|()| ExitCode::SUCCESS).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => format!("`{}` is there already; --force writes over it", path.display()),
        _ => format!("`{}` cannot be written: {error}", path.display()),
    })
}

/// What stands behind `--token` or `--api-key`.
async fn shown(arguments: &ExplainArguments, config: &config::Config) -> Result<Option<Shown>, String> {
    let presented = match (&arguments.token, &arguments.api_key) {
        (Some(token), _) => crate::decision::credential::Presented::Bearer(token.as_str().into(), None),
        (_, Some(key)) => crate::decision::credential::Presented::ApiKey(key.as_str().into()),
        (None, None) => return Ok(None),
    };
    let database = crate::app::existing_database(config).await?;
    let keyring = crate::app::read_secret_keys(config).map_err(|error| error.to_string())?;
    let embedded = matches!(config.tokens.store, StoreConfig::Embedded);
    let issuers = match presented {
        crate::decision::credential::Presented::Bearer(..) => Issuers::fetched(config.issuers.clone()).await,
        _ => Issuers::none(),
    };
    explain::shown(presented, &database, &keyring, &issuers, config.tokens.ttl, embedded).await.map(Some).map_err(|error| error.to_string())
}

fn finish((text, code): (String, ExitCode)) -> ExitCode {
    say(&text);
    code
}

/// Prints; a reader that has gone away is no failure.
pub(crate) fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says what is wrong.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn fail(text: &str) -> ExitCode {
    complain(&format!("gatepost: {text}"));
    ExitCode::FAILURE
}
