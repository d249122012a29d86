//! Reloads: what changed on disk is put in force whole, or not at all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::networks::Blind;
use crate::config::TlsFiles;
use crate::config::watch::{Change, Watch};
use crate::gate::InForce;
use crate::server::Tls;
use crate::token::keyring::Keyring;
use crate::token::store::TokenStore;

/// What a reload replaces.
pub(super) struct Reloaded {
    /// Rules with their counters.
    pub in_force: Arc<ArcSwap<InForce>>,
    /// The tests in their file.
    pub tests: super::instance::Tests,
    /// The token store, which has to know how long rules use what is cached.
    pub tokens: TokenStore,
    /// Secret keys.
    pub keyring: Arc<ArcSwap<Keyring>>,
    /// The pairs that listeners serve TLS by.
    pub tls: HashMap<TlsFiles, Tls>,
    /// The gates that do not know where clients are.
    pub blind: Blind,
}

/// Takes changes until dropped.
pub(super) async fn run(mut watch: Watch, reloaded: Reloaded) {
    let mut generation = 1;
    loop {
        match watch.next().await {
            Change::Rules(file) => {
                generation += 1;
                let rules = file.rules.rules().len();
                file.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                reloaded.blind.of_rules(&file.rules).iter().for_each(|warning| tracing::warn!("{warning}"));
                reloaded.tests.store(Arc::new(file.tests));
                let in_force = InForce::new(file.rules);
                reloaded.tokens.want_cached(Duration::from_millis(in_force.rules.longest_cached_ms()));
                reloaded.in_force.store(Arc::new(in_force));
                crate::metrics::rules_in_force(generation, rules, true);
                tracing::info!(generation, rules, "rules reloaded");
            }
            Change::RulesRefused(problems) => {
                crate::metrics::reload_refused();
                problems.iter().for_each(|problem| tracing::error!("{problem}"));
                tracing::error!(generation, "the rules on disk are not taken; those in force stay");
            }
            Change::Keys(keyring) => {
                tracing::info!(keys = keyring.iter().len(), "secret keys reloaded");
                reloaded.keyring.store(Arc::new(keyring));
                crate::metrics::reloaded();
            }
            Change::Certificate(files, pair) => {
                if let Some(tls) = reloaded.tls.get(&files) {
                    tls.replace(pair);
                }
                if files.is_key_open() {
                    tracing::warn!(key = %files.key.display(), "everybody on this machine may read the key: chmod 640 it, or 600");
                }
                crate::metrics::reloaded();
                tracing::info!(cert = %files.cert.display(), "certificate reloaded");
            }
            Change::KeysRefused(problem) | Change::CertificateRefused(problem) => {
                crate::metrics::reload_refused();
                tracing::error!("{problem}");
            }
        }
    }
}
