//! Every metric: names, help, and the handles of the hot path. Prefix `gatepost_`.

mod durations;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use self::durations::Durations;
use crate::clock::UnixMs;
use crate::decision::credential::CredentialKind;
use crate::decision::rules::RuleSet;
use crate::decision::{Denial, Permit, Reason, Verdict};
use crate::pulse::Sample;

/// Decisions, by rule, result (`allow`, `deny`, `shadow` = allowed though it would be refused), reason and kind of credential.
const DECISIONS: &str = "gatepost_decisions_total";
/// From the head being read to the answer being ready.
const DECISION_DURATION: &str = "gatepost_decision_duration_seconds";
/// The rules in force, counted up by each reload that took.
const RULES_GENERATION: &str = "gatepost_rules_generation";
/// How many rules are in force.
const RULES: &str = "gatepost_rules";
/// Reloads that took.
const RELOADS: &str = "gatepost_reloads_total";
/// Reloads that were refused: what was in force stays.
const RELOAD_FAILURES: &str = "gatepost_reload_failures_total";
/// Whether the last reload was refused.
const RELOAD_FAILED: &str = "gatepost_reload_failed";
/// Whether the store answers checks.
const STORE_UP: &str = "gatepost_store_up";
/// From a command being sent to its answer, by operation.
const STORE_DURATION: &str = "gatepost_store_request_duration_seconds";
/// Commands without a good answer, by operation and cause.
const STORE_ERRORS: &str = "gatepost_store_errors_total";
/// Credentials that are known without asking the store.
const CACHED: &str = "gatepost_cached_credentials";
/// Answers of the admin listener, by route and status.
const ADMIN_ANSWERS: &str = "gatepost_admin_answers_total";
/// Sign-ins at OpenID providers, by provider and what came of them.
const SIGN_INS: &str = "gatepost_oidc_sign_ins_total";
const FOREIGN_TOKENS: &str = "gatepost_issuer_signatures_total";
const ISSUER_KEYS: &str = "gatepost_issuer_key_fetches_total";
/// One-time codes, by channel and what became of them: `sent`, `refused`, `failed`, `dropped` (too many waited), `logged`.
const CODES: &str = "gatepost_codes_sent_total";
/// Leases of limits, by what they count (`rate`, `quota`) and whether there was anything (`leased`, `none`).
const LEASES: &str = "gatepost_limit_leases_total";
/// Rows of usage that are counted and not in the database yet.
const USAGE_WAITING: &str = "gatepost_usage_waiting_rows";
/// Portions of usage brought to the database, by result: `written`, `failed` (kept, and tried again).
const USAGE_WRITES: &str = "gatepost_usage_writes_total";
/// Checks that usage does not tell of: too much waited for the database.
const USAGE_LOST: &str = "gatepost_usage_lost_total";
/// Notices of keys, by channel (`mail`, `webhook`) and what became of each try: `sent`, `failed` (tried again), `given_up`.
const NOTICES: &str = "gatepost_notices_total";
/// Version and commit, value 1.
const BUILD: &str = "gatepost_build_info";

/// From 50 µs up, seconds.
const BUCKETS: [f64; 14] = [50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0];

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What the console charts, readable as the recorder's counters are not; an allowed check writes none of it.
static TOTALS: Totals =
    Totals { refused: [const { AtomicU64::new(0) }; Reason::ALL.len()], asked: AtomicU64::new(0), cached: AtomicUsize::new(0) };

struct Totals {
    /// In the order of [`Reason::ALL`].
    refused: [AtomicU64; Reason::ALL.len()],
    /// Commands to the token store.
    asked: AtomicU64,
    cached: AtomicUsize,
}

/// The totals of this process now.
pub fn sample(at: UnixMs) -> Sample {
    Sample {
        at,
        decided: TOOK.count(),
        refused: std::array::from_fn(|n| TOTALS.refused.get(n).map_or(0, |refused| refused.load(Ordering::Relaxed))),
        asked: TOTALS.asked.load(Ordering::Relaxed),
    }
}

/// How many credentials are known without asking the store.
pub fn cached_now() -> usize {
    TOTALS.cached.load(Ordering::Relaxed)
}

/// Installs the recorder and describes every metric. Once a process.
///
/// # Errors
/// Where a recorder stands already.
pub fn install() -> Result<PrometheusHandle, String> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS).map_err(|e| e.to_string())?;
    let handle = builder.install_recorder().map_err(|e| e.to_string())?;
    describe_counter!(DECISIONS, "Decisions, by rule, result, reason and kind of credential");
    describe_gauge!(RULES_GENERATION, "The rules in force, counted up by each reload that took");
    describe_gauge!(RULES, "How many rules are in force");
    describe_counter!(RELOADS, "Reloads that took");
    describe_counter!(RELOAD_FAILURES, "Reloads that were refused: what was in force stays");
    describe_gauge!(RELOAD_FAILED, "1 where the last reload was refused");
    describe_gauge!(STORE_UP, "1 where the token store answers checks");
    describe_histogram!(STORE_DURATION, Unit::Seconds, "From a command being sent to its answer, by operation");
    describe_counter!(STORE_ERRORS, "Commands without a good answer, by operation and cause");
    describe_gauge!(CACHED, "Credentials that are known without asking the store");
    describe_counter!(ADMIN_ANSWERS, "Answers of the admin listener, by route and status");
    describe_counter!(SIGN_INS, "Sign-ins at OpenID providers, by provider and what came of them");
    describe_counter!(FOREIGN_TOKENS, "Signatures of other issuers' tokens that were verified, by issuer and what came of it");
    describe_counter!(ISSUER_KEYS, "Fetches of an issuer's keys, by issuer and what came of it");
    describe_counter!(CODES, "One-time codes, by channel and what became of them");
    describe_counter!(LEASES, "Leases of limits, by what they count and whether there was anything");
    describe_gauge!(USAGE_WAITING, "Rows of usage that are counted and not in the database yet");
    describe_counter!(USAGE_WRITES, "Portions of usage brought to the database, by result");
    describe_counter!(USAGE_LOST, "Checks that usage does not tell of: too much waited for the database");
    describe_counter!(NOTICES, "Notices of keys, by channel and what became of each try");
    describe_gauge!(BUILD, "Version, value 1");
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    counter!(RELOADS).absolute(0);
    for (is_quota, any) in [(false, false), (false, true), (true, false), (true, true)] {
        leases(is_quota, any).absolute(0);
    }
    counter!(RELOAD_FAILURES).absolute(0);
    gauge!(RELOAD_FAILED).set(0.0);
    gauge!(USAGE_WAITING).set(0.0);
    counter!(USAGE_WRITES, "result" => "written").absolute(0);
    counter!(USAGE_LOST).absolute(0);
    ["mail", "webhook"].into_iter().for_each(|channel| counter!(NOTICES, "channel" => channel, "result" => "sent").absolute(0));
    Ok(handle)
}

/// Rules came into force.
pub fn rules_in_force(generation: u64, rules: usize, reload: bool) {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    {
        gauge!(RULES_GENERATION).set(generation as f64);
        gauge!(RULES).set(rules as f64);
    }
    if reload {
        reloaded();
    }
}

/// A reload took.
pub fn reloaded() {
    counter!(RELOADS).increment(1);
    gauge!(RELOAD_FAILED).set(0.0);
}

/// A reload was refused.
pub fn reload_refused() {
    counter!(RELOAD_FAILURES).increment(1);
    gauge!(RELOAD_FAILED).set(1.0);
}

/// The admin listener answered. `route` is the pattern, so the labels are bounded.
pub fn admin_answered(route: &str, status: u16) {
    counter!(ADMIN_ANSWERS, "route" => route.to_owned(), "status" => status.to_string()).increment(1);
}

/// Something came of a sign-in at `provider`, which the configuration names.
pub fn oidc_signed_in(provider: &str, outcome: &'static str) {
    counter!(SIGN_INS, "provider" => provider.to_owned(), "outcome" => outcome).increment(1);
}

/// What became of a one-time code.
pub fn code_sent(channel: &'static str, result: &'static str) {
    counter!(CODES, "channel" => channel, "result" => result).increment(1);
}

/// A part of a limit was asked for.
pub fn leased(is_quota: bool, any: bool) {
    leases(is_quota, any).increment(1);
}

fn leases(is_quota: bool, any: bool) -> Counter {
    let (counts, result) = (if is_quota { "quota" } else { "rate" }, if any { "leased" } else { "none" });
    counter!(LEASES, "limit" => counts, "result" => result)
}

/// So many rows of usage wait for the database.
pub fn usage_waits(rows: usize) {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    gauge!(USAGE_WAITING).set(rows as f64);
}

/// What became of a portion of usage.
pub fn usage_written(result: &'static str) {
    counter!(USAGE_WRITES, "result" => result).increment(1);
}

/// So many checks are counted by no usage.
pub fn usage_lost(checks: u64) {
    counter!(USAGE_LOST).increment(checks);
}

/// What became of a try to bring a notice.
pub fn notice(channel: &'static str, result: &'static str) {
    counter!(NOTICES, "channel" => channel, "result" => result).increment(1);
}

/// Whether the store answers checks.
pub fn store_up(up: bool) {
    gauge!(STORE_UP).set(if up { 1.0 } else { 0.0 });
}

/// So many credentials are known without asking the store.
pub fn cached(entries: usize) {
    TOTALS.cached.store(entries, Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    gauge!(CACHED).set(entries as f64);
}

/// The store was asked something, and this long passed.
pub fn store_asked(operation: &'static str, took: Duration) {
    TOTALS.asked.fetch_add(1, Ordering::Relaxed);
    histogram!(STORE_DURATION, "operation" => operation).record(took);
}

/// The store gave no good answer.
pub fn store_failed(operation: &'static str, cause: &'static str) {
    counter!(STORE_ERRORS, "operation" => operation, "cause" => cause).increment(1);
}

/// Every metric as text, for whoever scrapes.
pub fn render(handle: &PrometheusHandle) -> String {
    let mut text = handle.render();
    TOOK.render(DECISION_DURATION, "From the head being read to the answer being ready", &mut text);
    text
}

/// Folds recorded samples into their buckets from time to time: without it, they pile up while nobody scrapes.
pub async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}

/// How long decisions took.
static TOOK: Durations = Durations::new();

/// A signature of another issuer's token was verified.
pub fn foreign_token(issuer: &str, is_proved: bool) {
    let result = if is_proved { "proved" } else { "forged" };
    counter!(FOREIGN_TOKENS, "issuer" => issuer.to_owned(), "result" => result).increment(1);
}

/// Keys of an issuer were fetched.
pub fn issuer_keys_fetched(issuer: &str, is_fetched: bool) {
    let result = if is_fetched { "fetched" } else { "failed" };
    counter!(ISSUER_KEYS, "issuer" => issuer.to_owned(), "result" => result).increment(1);
}

/// The counters of one generation of rules: allows are counted without looking anything up.
pub struct DecisionMetrics {
    /// For each rule that has allowed anything, by what was presented.
    allows: Box<[OnceLock<Box<Allows>>]>,
}

type Allows = [OnceLock<Counter>; 1 + CredentialKind::CLASSES];

impl std::fmt::Debug for DecisionMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecisionMetrics")
    }
}

impl DecisionMetrics {
    /// For these rules.
    pub fn new(rules: &RuleSet) -> Self {
        Self { allows: rules.rules().iter().map(|_| OnceLock::new()).collect() }
    }

    /// Counts one decision that took `took`.
    pub fn count(&self, verdict: &Verdict<'_>, kind: Option<CredentialKind>, took: Duration) {
        match verdict {
            Verdict::Allow(permit) => match permit.shadowed() {
                None => self.count_allow(permit),
                Some(denial) => count_denial("shadow", denial, kind),
            },
            Verdict::Deny(denial) => {
                if let Some(refused) = TOTALS.refused.get(denial.reason as usize) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                count_denial("deny", denial, kind);
            }
        }
        TOOK.record(took);
    }

    fn count_allow(&self, permit: &Permit<'_>) {
        let kind = permit.holder().map(|holder| holder.kind());
        let slot = kind.map_or(0, |kind| 1 + kind.class());
        if let Some(counter) = self.allows.get(permit.rule().number).and_then(|allows| allows.get_or_init(Box::default).get(slot)) {
            let rule = || permit.rule().id.clone();
            counter
                .get_or_init(|| counter!(DECISIONS, "rule" => rule(), "result" => "allow", "reason" => "", "credential" => name(kind)))
                .increment(1);
        }
    }
}

fn count_denial(result: &'static str, denial: &Denial<'_>, kind: Option<CredentialKind>) {
    let rule = denial.rule.map(|rule| rule.id.clone()).unwrap_or_default();
    counter!(DECISIONS, "rule" => rule, "result" => result, "reason" => denial.reason.as_str(), "credential" => name(kind)).increment(1);
}

fn name(kind: Option<CredentialKind>) -> &'static str {
    kind.map_or("none", CredentialKind::as_str)
}
