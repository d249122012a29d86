//! Rules and keys for some networks only, at gates that do not know where clients are: they refuse everybody there, and nobody knows why.
//!
//! What the files say together is told when they are read (`config::file`); here is what comes later, and what stands in the database.

use crate::config::GateConfig;
use crate::database::{Database, DatabaseError};
use crate::decision::rules::RuleSet;

const WHAT_TO_DO: &str = "write client_ip: { header: X-Forwarded-For } for those that their requests come to";

/// The gates that do not know where clients are, by the proxy each is for.
#[derive(Clone)]
pub(super) struct Blind(String);

impl Blind {
    pub(super) fn of(gates: &[GateConfig]) -> Self {
        let names: Vec<&str> = gates.iter().filter(|gate| gate.client_ip.is_none()).map(|gate| gate.proxy.as_str()).collect();
        Self(names.join(", "))
    }

    /// What is to be known of these rules.
    pub(super) fn of_rules(&self, rules: &RuleSet) -> Option<String> {
        let mut bound = rules.rules().iter().filter(|rule| !rule.requirement.networks.is_empty() && !self.0.is_empty());
        let rule = bound.next()?;
        let more = match bound.count() {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        Some(format!(
            "the rule `{}`{more} is for some networks only, and refuses everybody at gates that do not know where clients are ({}); {WHAT_TO_DO}",
            rule.id, self.0
        ))
    }

    /// What is to be known of the keys that there are.
    async fn of_keys(&self, database: &Database) -> Result<Option<String>, DatabaseError> {
        if self.0.is_empty() || !database.has_keys_of_networks().await? {
            return Ok(None);
        }
        Ok(Some(format!(
            "there are keys for some networks only, and gates that do not know where clients are refuse them ({}); {WHAT_TO_DO}",
            self.0
        )))
    }

    /// Tells of keys once, beside the start: there may be a million.
    pub(super) fn tell_of_keys(self, database: Database) {
        tokio::spawn(async move {
            match self.of_keys(&database).await {
                Ok(Some(warning)) => tracing::warn!("{warning}"),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "whether keys are for some networks only is not known"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, UnixMs};
    use crate::config::Environment;
    use crate::config::rules_file;
    use crate::database::test_server::TestDatabase;

    fn blind(gates: &str) -> Blind {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gatepost.yaml"), format!("gates: [{gates}]")).unwrap();
        std::fs::write(folder.path().join("rules.yaml"), "rules: [{ id: a, path: /a }]").unwrap();
        let environment = Environment::new([]).in_directory(folder.path());
        Blind::of(&crate::config::file::load(Some("gatepost.yaml".as_ref()), &environment).unwrap().config.gates)
    }

    const BLIND: &str = "{ proxy: nginx, listen: 127.0.0.1:1 }, { proxy: envoy, listen: 127.0.0.1:3 }";
    const SEEING: &str = "{ proxy: caddy, listen: 127.0.0.1:2, client_ip: { header: X-Forwarded-For } }";

    #[test]
    fn rules_for_networks_need_a_gate_that_knows_them() {
        let rules = |text: &str| rules_file::load("rules.yaml".into(), text).unwrap().rules;
        let (bound, free) = ("{ id: inner, path: /a, from_networks: [10.0.0.0/8] }", "{ id: outer, path: /b }");
        let both = rules(&format!("rules: [{free}, {bound}]"));
        let told = blind(&format!("{BLIND}, {SEEING}")).of_rules(&both).unwrap();
        assert!(told.starts_with("the rule `inner` is for") && told.contains("(nginx, envoy); write client_ip"), "{told}");
        assert_eq!(blind(SEEING).of_rules(&both), None);
        assert_eq!(blind(BLIND).of_rules(&rules(&format!("rules: [{free}]"))), None);
        let two = rules(&format!("rules: [{bound}, {}]", bound.replace("inner", "core").replace("/a", "/c")));
        assert!(blind(BLIND).of_rules(&two).unwrap().contains("(and 1 more)"));
    }

    #[tokio::test]
    async fn so_do_keys() {
        let data = TestDatabase::here().await;
        let database = data.open(Clock::manual(UnixMs(1_900_000_000_000))).await;
        let id = "07".repeat(16);
        let terms = r#"{"metadata":{"networks":"[10.0.0.0/8]"}}"#;
        let key = format!(
            "INSERT INTO api_keys (id, principal, name, scopes, created_at, changed_at, terms) VALUES ('{id}', '{id}', 'a', '', 1, 1, '{terms}')"
        );
        database
            .run_in_test(&[
                format!("INSERT INTO tenants (id, name, created_at, changed_at) VALUES ('{id}', 'other', 1, 1)"),
                format!(
                    "INSERT INTO principals (uid, tenant, role, user_name, scopes, created_at, changed_at)
                     VALUES ('{id}', '{id}', 'admin', 'bob', '*', 1, 1)"
                ),
                key,
            ])
            .await;
        assert_eq!(blind(BLIND).of_keys(&database).await.unwrap(), None, "metadata of that name");
        database.run_in_test(&[r#"UPDATE api_keys SET terms = '{"networks":["10.0.0.0/8"]}'"#.to_owned()]).await;
        assert!(blind(BLIND).of_keys(&database).await.unwrap().unwrap().contains("refuse them (nginx, envoy)"));
        assert_eq!(blind(SEEING).of_keys(&database).await.unwrap(), None);
        database.run_in_test(&["UPDATE api_keys SET ended_at = 2".to_owned()]).await;
        assert_eq!(blind(BLIND).of_keys(&database).await.unwrap(), None);
    }
}
