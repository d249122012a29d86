//! `gatepost doctor URL`: asks through the user's real proxy, and tells what arrived at the gate and at the application.
//!
//! Most holes of forward auth are in the proxy's configuration, which a gate alone cannot see. So doctor opens an examination at the
//! admin listener, sends one probe for each of its nonces, asks what the gates saw, and judges that. Nothing is changed anywhere.

mod admin;
mod fault;
mod judge;
mod probe;
mod report;
mod stand_in;
mod visitor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use admin::{Admin, Credential, Opened};
use judge::{Examined, Tried};
use probe::{Chosen, Kind, Probe};
use report::Report;
use stand_in::{Reached, StandIn};
use visitor::{Place, Reply, Sending, Visitor};

use crate::admin_access::{self, TOKEN};
use crate::config::{BAD_CONFIGURATION, Config, Environment};
use crate::create_admin_command::{ask, first_line};
use crate::examinations::Sight;

/// Find out through the real proxy what is wrong with its configuration.
///
/// Some forty harmless requests go through the proxy to URL, below `/.gatepost/doctor/`, which no application has: with made-up
/// headers, odd paths, other methods, a query, a body. Each carries a one-time nonce, by which the gate keeps what arrived. All of
/// them are refused but one GET that is let through as nobody. For three of them the gate fails, hangs up or is silent, to see
/// whether the proxy then lets everyone pass; where several gates stand behind one name, the proxy may avoid this one for some
/// seconds after that (--no-outages leaves them out).
///
/// It asks the admin listener as a super admin, and hears of the gates of that very process: of several replicas, let the proxy ask
/// the one whose --admin is named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  gatepost doctor http://127.0.0.1:8081/ --user ann                    asks for ann's password
  gatepost doctor https://api.example.com/ --admin https://auth.example.com --user ann --password-file /run/secrets/ann
  GATEPOST_ADMIN_TOKEN=… gatepost doctor https://api.example.com/v1 --json
  gatepost doctor http://test.example.com/ --user ann --application 127.0.0.1:8080
                       stands in for the application, and shows what it would get: let a route of the proxy with the same
                       lines lead there, for a first try or beside the real one

Exit status: 0 nothing found, 1 something found or no answer, 64 bad arguments or configuration.")]
pub struct DoctorCommand {
    /// A protected location as its clients reach it, through the proxy.
    url: String,
    /// The admin listener. Default: that of the configuration.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// A super admin's user name, e-mail address or phone number; without it a login's JWT is taken from $GATEPOST_ADMIN_TOKEN.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Read the password from the first line of this file; `-` = standard input. Without it the terminal is asked.
    #[arg(long, value_name = "FILE", conflicts_with = "password_env", requires = "user")]
    password_file: Option<PathBuf>,
    /// Read the password from this environment variable.
    #[arg(long, value_name = "NAME", requires = "user")]
    password_env: Option<String>,
    /// A code of the user's second factor, or a recovery code.
    #[arg(long, value_name = "CODE", requires = "user")]
    totp: Option<String>,
    /// A file with a super admin's login, the `jwt.token` of POST /v1/login; `-` = standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    admin_token_file: Option<PathBuf>,
    /// Stand in for the application at this address, and look at what it gets.
    #[arg(long, value_name = "ADDRESS:PORT")]
    application: Option<SocketAddr>,
    /// Connect to this host and port in place of the URL's.
    #[arg(long, value_name = "HOST:PORT")]
    connect: Option<String>,
    /// Trust these certificates of authorities, too (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Leave out the probes for which the gate fails.
    #[arg(long)]
    no_outages: bool,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// How long what the gates saw may take to be there, after the last answer.
const SETTLING: Duration = Duration::from_millis(50);

/// What ends the command.
enum Stop {
    /// The arguments cannot be taken.
    Bad(String),
    /// It did not come to a judgement.
    Failed(String),
}

impl DoctorCommand {
    /// Whether the configuration must be read: where the command line does not say where the admin listener is.
    pub fn needs_configuration(&self) -> bool {
        self.admin.is_none()
    }
}

/// Runs the command.
pub async fn run(command: DoctorCommand, config: Option<&Config>, environment: &Environment) -> ExitCode {
    match examine(&command, config, environment).await {
        Ok(report) => {
            let text = if command.json { report.to_json() } else { report.to_text() };
            crate::commands::say(&text);
            if report.has_faults() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(Stop::Bad(problem)) => {
            crate::commands::complain(&format!("gatepost: {problem}"));
            ExitCode::from(BAD_CONFIGURATION)
        }
        Err(Stop::Failed(problem)) => {
            crate::commands::complain(&format!("gatepost: {problem}"));
            ExitCode::FAILURE
        }
    }
}

async fn examine(command: &DoctorCommand, config: Option<&Config>, environment: &Environment) -> Result<Report, Stop> {
    let place = Place::read(&command.url).map_err(Stop::Bad)?;
    let base = admin_url(command.admin.as_deref(), config).map_err(Stop::Bad)?;
    let credential = credential(command, environment).map_err(Stop::Bad)?;
    let visitor = Visitor::new(place.clone(), command.connect.as_deref(), command.ca.as_deref()).map_err(Stop::Bad)?;
    let stand_in = match command.application {
        Some(address) => Some(StandIn::start(address).await.map_err(Stop::Failed)?),
        None => None,
    };
    let chosen = Chosen { below: &place.below, outages: !command.no_outages, stands_in: stand_in.is_some() };
    let probes = probe::all(chosen);
    let admin = Admin::enter(&base, credential).await.map_err(Stop::Failed)?;
    let manners: Vec<_> = probes.iter().map(|probe| probe.manner).collect();
    let opened = admin.open(&place.below, &manners).await;
    let examined = match &opened {
        Ok(opened) => {
            let work = Work { admin: &admin, opened, stand_in: stand_in.as_ref(), probes: &probes };
            work.examine(place, visitor).await
        }
        Err(problem) => Err(problem.clone()),
    };
    admin.leave(opened.as_ref().ok()).await;
    let examined = examined.map_err(Stop::Failed)?;
    let first = examined.asked();
    let goes_on = first.faults.is_empty();
    let mut lines = vec![first];
    if goes_on {
        lines.extend(examined.further());
    }
    Ok(Report::new(&command.url, examined.gate(), lines))
}

/// What an examination is made with.
struct Work<'a> {
    admin: &'a Admin,
    opened: &'a Opened,
    stand_in: Option<&'a StandIn>,
    probes: &'a [Probe],
}

/// A probe that was sent, and its answer.
struct Sent<'a> {
    probe: &'a Probe,
    nonce: &'a str,
    reply: Result<Reply, String>,
}

impl Work<'_> {
    /// Sends the probes: the first, and the others once that one has shown that the gate is asked.
    async fn examine(&self, place: Place, mut visitor: Visitor) -> Result<Examined, String> {
        let mut rest: Vec<(&Probe, &str)> = self.probes.iter().zip(self.opened.nonces.iter().map(String::as_str)).collect();
        let reach = rest.remove(0);
        let mut sent = vec![send(&mut visitor, reach).await];
        if let Some(Sent { reply: Err(problem), .. }) = sent.first() {
            return Err(format!("the proxy does not answer: {problem}"));
        }
        let examined = self.gather(&place, &sent).await?;
        if !examined.asked().faults.is_empty() {
            return Ok(examined);
        }
        if examined.is_open() {
            return Err(
                "the rules let everyone pass there: name a URL that they refuse to strangers, so that no probe reaches the application"
                    .to_owned(),
            );
        }
        let at = rest.iter().position(|(probe, _)| probe.kind == Kind::Silent);
        let silent = at.map(|at| rest.remove(at));
        let mut beside = visitor.another();
        let (silent, others) = tokio::join!(
            async {
                match silent {
                    Some(silent) => Some(send(&mut beside, silent).await),
                    None => None,
                }
            },
            async {
                let mut others = Vec::new();
                for one in rest {
                    others.push(send(&mut visitor, one).await);
                }
                others
            }
        );
        sent.extend(others);
        sent.extend(silent);
        tokio::time::sleep(SETTLING).await;
        self.gather(&place, &sent).await
    }

    /// Puts together what was sent, answered and seen.
    async fn gather(&self, place: &Place, sent: &[Sent<'_>]) -> Result<Examined, String> {
        let seen = self.admin.seen(self.opened).await?;
        let reached = self.stand_in.map(StandIn::reached).unwrap_or_default();
        let tried = |one: &Sent<'_>| Tried {
            kind: one.probe.kind,
            method: one.probe.method,
            target: one.probe.target(one.nonce),
            reply: one.reply.clone(),
            sights: seen.sights.iter().filter(|sight: &&Sight| sight.nonce == one.nonce).cloned().collect(),
            reached: reached.iter().filter(|reached: &&Reached| reached.carries(one.nonce)).cloned().collect(),
        };
        Ok(Examined {
            place: place.clone(),
            tried: sent.iter().map(tried).collect(),
            first_connection: seen.first_connection,
            stands_in: self.stand_in.is_some(),
        })
    }
}

async fn send<'a>(visitor: &mut Visitor, (probe, nonce): (&'a Probe, &'a str)) -> Sent<'a> {
    let sending = Sending { method: probe.method, target: probe.target(nonce), headers: probe.headers(nonce), has_body: probe.has_body };
    Sent { probe, nonce, reply: visitor.send(&sending).await }
}

/// Where the admin listener is.
fn admin_url(given: Option<&str>, config: Option<&Config>) -> Result<String, String> {
    match (given, config.map(|config| &config.admin)) {
        (Some(url), _) => admin_access::base(url).map_err(|problem| format!("--admin: {problem}")),
        (None, Some(admin)) => match (&admin.tls, &admin.public_url) {
            // an address of this very machine, where the listener of this configuration is
            (None, _) => Ok(format!("http://{}", admin.listen)),
            (Some(_), Some(url)) => admin_access::base(url).map_err(|problem| format!("admin.public_url: {problem}")),
            (Some(_), None) => {
                Err("the admin listener speaks TLS and has no public_url: name it with --admin https://NAME:PORT".to_owned())
            }
        },
        (None, None) => Err("where is the admin listener? name it with --admin".to_owned()),
    }
}

fn credential(command: &DoctorCommand, environment: &Environment) -> Result<Credential, String> {
    let read = |path: &Path| {
        let file = std::fs::File::open(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        first_line(file).map_err(|error| format!("`{}`: {error}", path.display()))
    };
    let Some(user) = &command.user else {
        return match (&command.admin_token_file, environment.get(TOKEN)) {
            (None, None) => {
                Err(format!("a super admin must ask: give --user and a password, or a login's JWT by --admin-token-file or {TOKEN}"))
            }
            (file, variable) => admin_access::login(file.as_deref(), variable).map(Credential::Login),
        };
    };
    let password = match (&command.password_env, &command.password_file) {
        (Some(name), _) => {
            environment.get(name).map(str::to_owned).ok_or_else(|| format!("the environment variable `{name}` is not set"))?
        }
        (None, Some(path)) if path.as_os_str() != "-" => read(path)?,
        (None, Some(_)) => first_line(std::io::stdin().lock()).map_err(|error| format!("standard input: {error}"))?,
        (None, None) => ask("password: ")?,
    };
    Ok(Credential::Password(user.clone(), password.into(), command.totp.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_stays_on_the_machine_or_goes_by_tls() {
        for (typed, expected) in [
            ("https://auth.example.com/", Ok("https://auth.example.com")),
            ("http://127.0.0.1:8000", Ok("http://127.0.0.1:8000")),
            ("http://[::1]:8000/", Ok("http://[::1]:8000")),
            ("http://auth.example.com", Err("show the login to the network")),
            ("http://192.0.2.7:8000", Err("show the login to the network")),
            ("http://127.0.0.1@auth.example.com", Err("show the login to the network")),
            ("auth.example.com", Err("no web address")),
        ] {
            match (admin_url(Some(typed), None), expected) {
                (Ok(is), Ok(expected)) => assert_eq!(is, expected),
                (Err(is), Err(expected)) => assert!(is.starts_with("--admin: ") && is.contains(expected), "{is}"),
                (is, _) => panic!("{typed}: {is:?}"),
            }
        }
        assert!(admin_url(None, None).unwrap_err().contains("name it with --admin"));
    }
}
