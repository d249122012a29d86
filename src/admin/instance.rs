//! The running instance: `/v1/rules`, `/v1/decisions`, `/v1/explain`, for super admins.
//!
//! The gate's side gives what is told here; this side knows nothing of it but its shape.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, Backwards, Managed};
use super::failure::Failure;
use super::lists::Newest;
use super::request::{Call, scopes};
use crate::accounts::Refusal;
use crate::accounts::sessions::Caller;
use crate::decision::scopes::ScopeSet;
use crate::decisions::{Decision, Recent};
use crate::examinations::Examinations;
use crate::pulse::Pulse;

/// What a running instance tells of itself.
pub struct Instance {
    /// Its last refusals.
    pub decisions: Arc<Recent>,
    /// What its gates see of an examination.
    pub examinations: Arc<Examinations>,
    /// The number of the next connection.
    pub next_connection: fn() -> u64,
    /// The rules in force after the first so many, at most so many.
    pub rules: Box<dyn Fn(usize, usize) -> Vec<Rule> + Send + Sync>,
    /// How they decide a request.
    pub explain: Box<dyn Fn(Question) -> Explained + Send + Sync>,
    /// At most so many of their own tests, tried now, and how many there are.
    pub tests: Box<dyn Fn(usize) -> (Vec<Tested>, usize) + Send + Sync>,
    /// What was decided lately.
    pub pulse: Arc<Pulse>,
    /// How the token store is.
    pub store: Box<dyn Fn() -> StoreState + Send + Sync>,
    /// The gates, by what [`Question::gate`] names them.
    pub gates: Vec<String>,
}

/// How the token store is.
#[derive(Debug, Clone, Copy)]
pub struct StoreState {
    /// Whether it answers checks.
    pub ready: bool,
    /// Which it is.
    pub kind: &'static str,
    /// How many credentials are known without asking it.
    pub cached: usize,
}

/// A test of the rules, and what came of it.
#[derive(Debug, Clone)]
pub struct Tested {
    /// As written.
    pub request: String,
    /// What is presented; `none` = nothing.
    pub credential: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// `allow` or `deny`.
    pub expect: &'static str,
    /// The same, as the rules in force have it.
    pub got: &'static str,
    /// Whether the two agree.
    pub passed: bool,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Why it was refused; empty where it was not.
    pub why: String,
}

/// What comes of explaining: as `gatepost explain --json` writes it, or what is wrong with the question.
pub type Explained = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// A request to explain.
#[derive(Debug, Clone)]
pub struct Question {
    /// The original method.
    pub method: String,
    /// The original URL.
    pub url: String,
    /// Through which gate: its proxy, or where it listens; `None` = the first one configured.
    pub gate: Option<String>,
    /// An access token or a login's JWT.
    pub token: Option<String>,
    /// An API key, sent directly.
    pub api_key: Option<String>,
    /// As if a live credential held these.
    pub scopes: Option<ScopeSet>,
    /// The client's address.
    pub from: Option<IpAddr>,
}

/// A rule in force.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Empty = any.
    pub hosts: Vec<String>,
    /// Empty = any.
    pub methods: Vec<String>,
    /// As written.
    pub path: String,
    /// Whether it lets everyone pass.
    pub anonymous: bool,
    /// Which kinds of credential it takes.
    pub credentials: Vec<String>,
    /// Every one of these is demanded.
    pub all: Vec<String>,
    /// One of these is demanded.
    pub any: Vec<String>,
    /// Empty = any.
    pub tenants: Vec<String>,
    /// Networks it may be asked from; empty = any.
    pub from_networks: Vec<String>,
    /// False = shadow.
    pub enforce: bool,
    /// The rules file that it stands in.
    pub file: Option<String>,
    /// Its line there.
    pub line: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Rules {
    rules: Vec<Rule>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// A refusal, or what a rule that does not enforce would have refused.
#[derive(Serialize, ToSchema)]
struct Refused {
    /// Later ones are higher.
    id: u64,
    /// Unix seconds.
    at: u64,
    /// Which gate.
    gate: &'static str,
    /// The stable code of `X-Deny-Reason`.
    reason: &'static str,
    /// What the client heard; null = it was allowed, by a rule that does not enforce.
    status: Option<u16>,
    /// Whether it would have been refused, were the rule enforced.
    would: bool,
    method: String,
    host: String,
    /// Without its query.
    path: String,
    rule: Option<String>,
    uid: Option<String>,
    key_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Decisions {
    decisions: Vec<Refused>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// A request to explain.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Explain {
    /// The original method.
    #[schema(example = "GET")]
    pub(super) method: String,
    /// The original URL, or a path alone.
    #[schema(example = "https://api.example.com/orders/1")]
    pub(super) url: String,
    /// Through which gate: its proxy, or where it listens; without it the first one configured.
    pub(super) gate: Option<String>,
    /// An access token or a login's JWT.
    pub(super) token: Option<String>,
    /// An API key, sent directly.
    pub(super) api_key: Option<String>,
    /// As if a live credential held these.
    pub(super) scopes: Option<Vec<String>>,
    /// The client's address, as the gate's `client_ip` would tell it.
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    pub(super) from: Option<IpAddr>,
}

#[derive(Serialize, ToSchema)]
struct Explanation {
    /// As `gatepost explain --json` writes it.
    #[schema(value_type = Object)]
    explanation: Value,
}

impl Admin {
    /// Lets super admins see the running instance.
    pub fn show(&self, instance: Instance) {
        let _ = self.instance.set(instance);
    }

    pub(super) async fn shown_to(&self, call: &Call) -> Result<&Instance, Failure> {
        self.instance_for(&call.caller(self).await?)
    }

    /// What is told of the running instance to a super admin.
    pub(super) fn instance_for(&self, caller: &Caller) -> Result<&Instance, Failure> {
        self.accounts.super_admins_only(caller)?;
        Ok(self.instance.get().ok_or_else(|| Refusal::Unavailable("no gate is served by this process".to_owned()))?)
    }

    /// How the rules in force decide what is asked.
    pub(super) async fn explained(&self, caller: &Caller, asked: Explain) -> Result<Value, Failure> {
        let instance = self.instance_for(caller)?;
        if [asked.token.is_some(), asked.api_key.is_some(), asked.scopes.is_some()].iter().filter(|given| **given).count() > 1 {
            return Err(Failure::invalid("at most one of `token`, `api_key`, `scopes`"));
        }
        let scopes = asked.scopes.as_deref().map(scopes).transpose()?;
        let Explain { method, url, gate, token, api_key, from, .. } = asked;
        (instance.explain)(Question { method, url, gate, token, api_key, scopes, from }).await.map_err(Failure::invalid)
    }
}

impl Instance {
    /// A page of the rules after the first so many, and the cursor of the next.
    pub(super) fn rules_page(&self, asked: &Newest, first: usize) -> (Vec<Rule>, Option<String>) {
        let rules = (self.rules)(first, asked.wanted() as usize);
        let last = first.saturating_add(rules.len().saturating_sub(1));
        asked.page_of(rules, |_| i64::try_from(last).unwrap_or(i64::MAX))
    }
}

/// List the rules in force, in the order written.
#[utoipa::path(get, path = "/v1/rules", tag = document::INSTALLATION, security(("login" = [])), params(Backwards),
    responses((status = 200, description = "A page of rules.", body = Rules), Managed))]
pub(super) async fn rules(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let instance = admin.shown_to(&call).await?;
    let asked = Newest::read(&call)?;
    let first = usize::try_from(asked.before.unwrap_or(0)).unwrap_or(usize::MAX);
    let (rules, next_cursor) = instance.rules_page(&asked, first);
    Ok(Answer::ok(Rules { rules, next_cursor }))
}

/// List the last refusals and would-be refusals of this process, newest first.
#[utoipa::path(get, path = "/v1/decisions", tag = document::INSTALLATION, security(("login" = [])), params(Backwards),
    responses((status = 200, description = "A page of decisions.", body = Decisions), Managed))]
pub(super) async fn decisions(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let instance = admin.shown_to(&call).await?;
    let asked = Newest::read(&call)?;
    let before = asked.before.and_then(|before| u64::try_from(before).ok());
    let rows = instance.decisions.newest(before, asked.wanted() as usize);
    let (rows, next_cursor) = asked.page_of(rows, |decision| i64::try_from(decision.n).unwrap_or(i64::MAX));
    let shown = |decision: Decision| Refused {
        id: decision.n,
        at: decision.at.seconds(),
        gate: decision.gate,
        reason: decision.reason,
        status: decision.status,
        would: decision.status.is_none(),
        method: decision.method,
        host: decision.host,
        path: decision.path,
        rule: decision.rule,
        uid: decision.uid,
        key_id: decision.key_id,
    };
    Ok(Answer::ok(Decisions { decisions: rows.into_iter().map(shown).collect(), next_cursor }))
}

/// Show how the rules in force decide a request, and why.
///
/// A token or key is looked up as the gate would; nothing is counted and nothing slides.
#[utoipa::path(post, path = "/v1/explain", tag = document::INSTALLATION, security(("login" = [])), request_body = Explain,
    responses((status = 200, description = "The explanation.", body = Explanation), Managed))]
pub(super) async fn explain(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    // who may not ask hears that before anything about the question
    admin.instance_for(&caller)?;
    let explanation = admin.explained(&caller, call.json()?).await?;
    Ok(Answer::ok(Explanation { explanation }))
}
