//! The main file: which one, what it says, and the environment over it.
//!
//! The shipped `config/gatepost.yaml` is part of the program and *is* the defaults: what the user's file
//! leaves out is read from it, so the two cannot differ. Everything wrong is reported at once, in both files.
//! INVARIANT: the only place that reads the environment of the process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::Environment;
use super::problem::{Complaint, Problem, Warning};
use super::reader::{Document, Field};
use super::rules_file::RulesFile;
use super::{
    Config, DatabaseConfig, RulesSource, StoreConfig, accounts, issuers, listeners, oidc, rules_file, sections, senders, values, webhooks,
    yaml,
};
use crate::decision::issuer::IssuerNames;

/// The configuration that is shipped, and that counts where nobody wrote one.
pub const SHIPPED: &str = include_str!("../../config/gatepost.yaml");

/// Where a configuration is looked for below the working directory.
const USUAL: &str = "config/gatepost.yaml";
/// Largest main file.
const BYTES: u64 = 1 << 20;

/// Everything that was read.
#[derive(Debug)]
pub struct Loaded {
    /// What the program relies on.
    pub config: Config,
    /// The rules, which passed their own tests.
    pub rules: RulesFile,
    /// What the user should know, of both files.
    pub warnings: Vec<Warning>,
    /// The main file; `None` = nobody wrote one.
    pub file: Option<PathBuf>,
}

impl Environment {
    /// The environment and working directory of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        // a value that is no UTF-8 is kept with marks in place of what is wrong: it then fits nothing, and that is reported
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self::new(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }
}

/// Reads the configuration: the file at `path`, else the one that `GATEPOST_CONFIG` names, else
/// `config/gatepost.yaml` below the working directory, else what is shipped.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    load_with(path, environment, rules_file::load_all)
}

/// As [`load`], but does not run the tests of the rules.
///
/// # Errors
/// As [`load`].
pub fn load_without_tests(path: Option<&Path>, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    load_with(path, environment, rules_file::read_all)
}

/// Where the metrics listener is, whatever else the files say; they may be broken, and a program that runs goes on with what it read.
///
/// # Errors
/// Where that cannot be told.
pub fn metrics_address(path: Option<&Path>, environment: &Environment) -> Result<SocketAddr, Vec<Problem>> {
    let Main { name, text, .. } = main_file(path, environment)?;
    let (written, faults) = yaml::parse(&text);
    let (shipped, _) = yaml::parse(SHIPPED);
    let document = Document::new(name, environment);
    let address = if written.is_none() && !faults.is_empty() {
        document.faults(faults);
        None
    } else {
        listeners::metrics(&document.root(written.as_ref(), shipped.as_ref()))
    };
    address.ok_or_else(|| document.collector.finish().0)
}

/// The main file.
struct Main {
    /// Where it is; `None` = nobody wrote one.
    file: Option<PathBuf>,
    /// How problems call it.
    name: Arc<str>,
    text: String,
}

fn main_file(path: Option<&Path>, environment: &Environment) -> Result<Main, Vec<Problem>> {
    let named = path.map(PathBuf::from).or_else(|| environment.get("GATEPOST_CONFIG").map(PathBuf::from));
    let file = match named {
        Some(path) => Some(path),
        None => Some(PathBuf::from(USUAL)).filter(|usual| environment.directory().join(usual).exists()),
    };
    let name: Arc<str> = file.as_ref().map_or_else(|| "(built-in)".into(), |path| path.display().to_string().into());
    let text = match &file {
        Some(path) => read_text(&environment.directory().join(path), BYTES).map_err(|what| {
            let what_to_do = "name a readable file with --config or GATEPOST_CONFIG".into();
            vec![Problem { file: name.clone(), line: 1, column: 1, path: "(file)".into(), what, what_to_do }]
        })?,
        None => String::new(),
    };
    Ok(Main { file, name, text })
}

/// How rules of this name and these texts are read.
type ReadRules = fn(Arc<str>, &[rules_file::Part], &IssuerNames) -> Result<RulesFile, Vec<Problem>>;

fn load_with(path: Option<&Path>, environment: &Environment, read_rules: ReadRules) -> Result<Loaded, Vec<Problem>> {
    let Main { file, name, text } = main_file(path, environment)?;
    let (written, faults) = yaml::parse(&text);
    let (shipped, _) = yaml::parse(SHIPPED);
    let document = Document::new(name, environment);
    document.variable("GATEPOST_CONFIG");
    document.variable("GATEPOST_ADMIN_TOKEN"); // of `gatepost explain --admin`
    let unreadable = written.is_none() && !faults.is_empty();
    document.faults(faults);
    let root = document.root(written.as_ref(), shipped.as_ref());
    let (config, rules) = if unreadable {
        (None, None)
    } else {
        let beside = environment.directory().join(file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")));
        let source = rules_source(&root.key("rules"), file.as_deref(), &beside);
        let config = read(&root, source.clone(), &beside);
        let names = issuer_names(&root.key("issuers"));
        (config, load_rules(&root.key("rules"), source, &names, read_rules))
    };
    if !unreadable {
        warn_of_unused(&document);
    }
    if let (Some(config), Some(Ok(rules))) = (&config, &rules) {
        leads_to_login(&root, config, rules);
        knows_clients(&root, config, rules);
    }
    let (mut problems, mut warnings) = document.collector.finish();
    let rules = match rules {
        Some(Ok(rules)) => Some(rules),
        Some(Err(more)) => {
            problems.extend(more);
            None
        }
        None => None,
    };
    match (config, rules) {
        (Some(config), Some(rules)) if problems.is_empty() => {
            warnings.extend(rules.warnings.iter().cloned());
            Ok(Loaded { config, rules, warnings, file })
        }
        _ => Err(problems),
    }
}

/// A rule that sends people to log in needs a page to send them to, and leave to bring them back.
fn leads_to_login(root: &Field<'_>, config: &Config, rules: &RulesFile) {
    let Some(rule) = rules.rules.rules().iter().find(|rule| rule.requirement.login_redirect) else { return };
    let admin = root.key("admin");
    let at = admin.key("public_url");
    let example = "write where browsers find the admin listener, like https://auth.example.com";
    match &config.admin.public_url {
        None => at.problem(Complaint::new(format!("the rule `{}` sends people to log in, and nobody says where", rule.id), example)),
        Some(url) if !accounts::is_secure(url) => {
            at.problem(Complaint::new("browsers keep a session's cookies by TLS only; http:// is for localhost alone", example));
        }
        Some(_) => {}
    }
}

/// A rule for some networks only refuses everybody at a gate that does not know where clients are.
fn knows_clients(root: &Field<'_>, config: &Config, rules: &RulesFile) {
    let Some(rule) = rules.rules.rules().iter().find(|rule| !rule.requirement.networks.is_empty()) else { return };
    let (gates, what_to_do) =
        (root.key("gates"), "write client_ip: { header: X-Forwarded-For } for the gates that requests of this rule come to");
    let items = gates.items();
    let blind: Vec<_> = config.gates.iter().zip(&items).filter(|(gate, _)| gate.client_ip.is_none()).collect();
    if blind.len() == config.gates.len() {
        gates.problem(Complaint::new(
            format!("the rule `{}` is for some networks only, and no gate knows where clients are", rule.id),
            what_to_do,
        ));
    } else {
        for (_, item) in blind {
            item.warning(Complaint::new(
                format!(
                    "the rule `{}` is for some networks only, and refuses everybody here: this gate does not know where clients are",
                    rule.id
                ),
                what_to_do,
            ));
        }
    }
}

/// Reads the rules; `None` only after a problem of the main file.
fn load_rules(
    field: &Field<'_>,
    source: Option<RulesSource>,
    issuers: &IssuerNames,
    read_rules: ReadRules,
) -> Option<Result<RulesFile, Vec<Problem>>> {
    let source = source?;
    match rules_file::texts_of(&source) {
        Ok(parts) => Some(read_rules(rules_file::called(&source), &parts, issuers)),
        Err((name, what)) => {
            field.problem(Complaint::new(format!("`{name}` {what}"), "put the rules there, or name another file"));
            None
        }
    }
}

/// What the issuers are called, whatever else is wrong with them: a rule that names one is not wrong for that.
fn issuer_names(field: &Field<'_>) -> IssuerNames {
    if !field.is_list() {
        return IssuerNames::default();
    }
    let name = |item: &Field<'_>| item.key("name").peek().unwrap_or_default();
    IssuerNames::new(field.items().iter().map(name))
}

/// The text of a file of at most `limit` bytes, or what is wrong with it.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let read = file.take(limit + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(read).is_ok_and(|read| read <= limit) { Ok(text) } else { Err(format!("longer than {limit} bytes")) }
}

/// Reads every section; `None` only after a problem.
fn read(root: &Field<'_>, rules: Option<RulesSource>, beside: &Path) -> Option<Config> {
    root.mapping(&[
        "gates",
        "admin",
        "metrics",
        "data",
        "rules",
        "database",
        "tokens",
        "secret_key",
        "denials",
        "accounts",
        "oidc",
        "issuers",
        "senders",
        "webhooks",
        "sessions",
        "usage",
        "workers",
        "log",
    ]);
    let directory = root.document().environment().directory();
    let data = root.key("data").read(values::path).map(|data| directory.join(data));
    let below = data.as_deref();
    let database = sections::database(&root.key("database"), below);
    let tokens = sections::tokens(&root.key("tokens"), below);
    // a key made by each of several replicas for itself would make each refuse the others' tokens
    let shared = tokens.as_ref().is_some_and(|tokens| !matches!(tokens.store, StoreConfig::Embedded))
        || database.as_ref().is_some_and(|database| !matches!(database, DatabaseConfig::Sqlite(_)));
    let listeners = listeners::read(root, &listeners::Places { data: below, beside, makes_secrets: !shared });
    let secret_key = sections::secret_key(&root.key("secret_key"), below, !shared);
    let denial_status = sections::denials(&root.key("denials"));
    let accounts = accounts::accounts(&root.key("accounts"));
    let oidc = oidc::oidc(&root.key("oidc"), below);
    let issuers = issuers::issuers(&root.key("issuers"), beside);
    let senders = senders::senders(&root.key("senders"), below);
    let webhooks = webhooks::webhooks(&root.key("webhooks"), below);
    let sessions =
        accounts::sessions(&root.key("sessions"), listeners.as_ref().and_then(|listeners| listeners.admin.public_url.as_deref()));
    let usage = sections::usage(&root.key("usage"));
    let workers = sections::workers(&root.key("workers"));
    let log = sections::log(&root.key("log"));
    let listeners = listeners?;
    oidc::check_address(root, &listeners.admin, oidc.as_deref());
    Some(Config {
        gates: listeners.gates,
        admin: listeners.admin,
        metrics: listeners.metrics,
        data: data?,
        rules: rules?,
        database: database?,
        tokens: tokens?,
        secret_key: secret_key?,
        denial_status: denial_status?,
        accounts: accounts?,
        oidc: oidc?,
        issuers: issuers?,
        senders: senders?,
        webhooks: webhooks?,
        sessions: sessions?,
        usage: usage?,
        workers: workers?,
        log: log?,
    })
}

/// Relative to the configuration file's directory, `beside`; the built-in ones where nobody wrote either.
fn rules_source(field: &Field<'_>, file: Option<&Path>, beside: &Path) -> Option<RulesSource> {
    if file.is_none() && !field.is_written() {
        return Some(RulesSource::BuiltIn);
    }
    let source = |path: PathBuf| {
        let has_star = |part: &std::ffi::OsStr| part.as_encoded_bytes().contains(&b'*');
        let above = path.parent().is_some_and(|above| has_star(above.as_os_str()));
        match path.file_name().is_some_and(has_star) {
            _ if above => Err(Complaint::new("a `*` in the name of a directory", "name one directory, like rules.d/*.yaml")),
            true => Ok(RulesSource::Files(beside.join(path))),
            false => Ok(RulesSource::File(beside.join(path))),
        }
    };
    field.read(|text| values::path(text).and_then(source))
}

/// Platforms inject variables of their own, so one that matches nothing is no error; but it may be a slip.
fn warn_of_unused(document: &Document<'_>) {
    let used = document.used();
    for (name, _) in document.environment().starting("GATEPOST_").filter(|(name, _)| !used.contains(*name)) {
        document.variable_warning(
            name,
            "(environment)",
            Complaint::new("matches no key and is ignored", "nothing to do, unless you meant one"),
        );
    }
}

#[cfg(test)]
mod tests;
