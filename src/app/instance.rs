//! What super admins see of the running instance: the one place where the gate's side is told to the admin's.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::admin::{Explained, Instance, Question, Rule as Shown, StoreState, Tested};
use crate::args::{ExplainArguments, State};
use crate::config::GateConfig;
use crate::config::rules_file::RuleTest;
use crate::database::Database;
use crate::decision::credential::Presented;
use crate::decision::issuer::IssuerNames;
use crate::decision::rules::{Demand, Rule, RuleSet};
use crate::decision::scopes::ScopeSet;
use crate::explain::{self, Outage, Through};
use crate::gate::Shared;
use crate::pulse::Pulse;

/// The gates that are configured.
#[derive(Clone)]
pub(super) struct Gates {
    /// As configured, in order.
    pub(super) gates: Vec<GateConfig>,
    /// `denials.status`.
    pub(super) denial_status: Option<u16>,
    /// What an outage of the store does.
    pub(super) outage: Outage,
    /// Where the login pages are: `admin.public_url`.
    pub(super) login_at: Option<String>,
    /// Knows what became of credentials that are not live.
    pub(super) database: Database,
}

/// The tests in the rules file of what is in force; replaced with the rules.
pub(super) type Tests = Arc<ArcSwap<Vec<RuleTest>>>;

/// What the instance tells of itself.
pub(super) fn of(shared: &Arc<Shared>, gates: Gates, tests: Tests, pulse: Arc<Pulse>) -> Instance {
    let (rules_of, explained_by) = (Arc::clone(shared), Arc::clone(shared));
    let (tested_on, asked) = (Arc::clone(shared), Arc::clone(shared));
    Instance {
        decisions: Arc::clone(&shared.decisions),
        examinations: Arc::clone(&shared.examinations),
        next_connection: crate::server::next_connection,
        rules: Box::new(move |first, most| {
            let in_force = rules_of.in_force.load();
            let issuers = in_force.rules.issuers();
            in_force.rules.rules().iter().skip(first).take(most).map(|rule| shown(rule, issuers)).collect()
        }),
        gates: GateConfig::names(&gates.gates),
        explain: Box::new(move |question| explained(Arc::clone(&explained_by), gates.clone(), question)),
        tests: Box::new(move |most| {
            let (tests, in_force) = (tests.load(), tested_on.in_force.load());
            (tests.iter().take(most).map(|test| tested(test, &in_force.rules)).collect(), tests.len())
        }),
        pulse,
        store: Box::new(move || StoreState {
            ready: asked.tokens.is_ready(),
            kind: if asked.tokens.is_embedded() { "embedded" } else { "Redis" },
            cached: crate::metrics::cached_now(),
        }),
    }
}

fn names(set: &ScopeSet) -> Vec<String> {
    set.iter().map(|scope| scope.as_str().to_owned()).collect()
}

fn tested(test: &RuleTest, rules: &RuleSet) -> Tested {
    let outcome = test.run(rules);
    Tested {
        request: test.request.clone(),
        credential: test.trial.credential.map_or_else(|| "none".to_owned(), |kind| rules.issuers().name(kind).into_owned()),
        scopes: names(&test.trial.scopes),
        expect: test.expect.as_str(),
        got: outcome.got.as_str(),
        passed: outcome.passed,
        rule: outcome.rule,
        why: outcome.why,
    }
}

fn shown(rule: &Rule, issuers: &IssuerNames) -> Shown {
    let requirement = &rule.requirement;
    let (all, any) = match &requirement.scopes {
        Demand::Nothing => (Vec::new(), Vec::new()),
        Demand::All(set) => (names(set), Vec::new()),
        Demand::Any(set) => (Vec::new(), names(set)),
    };
    Shown {
        id: rule.id.clone(),
        hosts: rule.place.hosts.iter().map(ToString::to_string).collect(),
        methods: rule.place.methods.iter().map(|method| method.as_str().to_owned()).collect(),
        path: rule.place.path.to_string(),
        anonymous: requirement.anonymous,
        credentials: match requirement.anonymous {
            true => Vec::new(),
            false => requirement.credentials.kinds().map(|kind| issuers.name(kind).into_owned()).collect(),
        },
        all,
        any,
        tenants: requirement.tenants.clone(),
        from_networks: requirement.networks.iter().map(ToString::to_string).collect(),
        enforce: !requirement.shadow,
        file: rule.place.written.as_ref().map(|written| written.file.to_string()),
        line: rule.place.written.as_ref().map(|written| written.line),
    }
}

fn explained(shared: Arc<Shared>, gates: Gates, question: Question) -> Explained {
    Box::pin(async move {
        let gate = GateConfig::meant(&gates.gates, question.gate.as_deref()).map_err(|problem| format!("`gate`: {problem}"))?;
        let Gates { denial_status, outage, ref login_at, .. } = gates;
        let through = Through { denial_status, outage, login_at: login_at.clone(), ..Through::of(gate) };
        let presented = match (&question.token, &question.api_key) {
            (Some(token), _) => Some(Presented::Bearer(token.as_str().into(), None)),
            (None, Some(api_key)) => Some(Presented::ApiKey(api_key.as_str().into())),
            (None, None) => None,
        };
        let live = match presented {
            None => None,
            Some(presented) => {
                let keyring = shared.keyring.load_full();
                Some(
                    explain::shown_live(presented, &shared.tokens, &keyring, &shared.mint, &shared.issuers, &gates.database, shared.ttl_s)
                        .await,
                )
            }
        };
        let arguments = ExplainArguments {
            method: Some(question.method),
            url: Some(question.url.into()),
            gate: None,
            token: None,
            api_key: None,
            scopes: question.scopes,
            attributes: Vec::new(),
            credential: None,
            state: State::Live,
            preflight_for: None,
            from: question.from,
            headers: Vec::new(),
            request_line: None,
            no_proxy_secret: false,
            admin: None,
            admin_token_file: None,
            json: true,
        };
        let in_force = shared.in_force.load_full();
        let explanation =
            explain::explain(&arguments, &through, &in_force.rules, live).await.map_err(|problem| format!("`url`: {problem}"))?;
        serde_json::to_value(explanation).map_err(|error| error.to_string())
    })
}
