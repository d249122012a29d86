//! The door: arguments → configuration → app → run until a signal.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use gatepost::args::{Arguments, Command};
use gatepost::config::{self, BAD_CONFIGURATION, Environment};
use gatepost::server::Passed;
use gatepost::{app, commands};

fn main() -> ExitCode {
    gatepost::server::install_cryptography();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(asked) => {
            // --help and --version are fine; what cannot be read is as bad as a configuration that cannot
            let _ = asked.print();
            return if asked.use_stderr() { ExitCode::from(BAD_CONFIGURATION) } else { ExitCode::SUCCESS };
        }
    };
    let environment = Environment::of_process();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(arguments.config.as_deref(), &environment),
        command => commands::run(command, arguments.config.as_deref(), &environment),
    }
}

fn serve(path: Option<&std::path::Path>, environment: &Environment) -> ExitCode {
    let passed = match Passed::of_process() {
        Ok(passed) => passed,
        Err(error) => return failed(&error),
    };
    let loaded = match config::file::load(path, environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems.iter().for_each(|problem| say(&mut std::io::stderr(), &format!("{problem}\n")));
            say(&mut std::io::stderr(), &format!("gatepost: {} in the configuration; nothing was started\n", count(problems.len())));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    commands::log(&loaded.config.log);
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let workers = loaded.config.workers;
    let serving = async {
        let metrics = gatepost::metrics::install().map_err(app::StartError::Process)?;
        let supervisor = app::Supervisor::at(environment.get("NOTIFY_SOCKET"))
            .map_err(|error| app::StartError::Process(format!("NOTIFY_SOCKET: {error}")))?;
        let app = app::App::build(loaded, metrics, passed).await?;
        say(&mut std::io::stdout(), app.greeting());
        app.run(&supervisor).await
    };
    match commands::runtime(workers).map(|runtime| runtime.block_on(serving)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    say(&mut std::io::stderr(), &format!("gatepost: {error}\n"));
    ExitCode::FAILURE
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// Prints; a reader that has gone away is no failure.
fn say(to: &mut dyn Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
