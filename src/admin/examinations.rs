//! Examinations of a proxy: `/v1/examinations`, for super admins; `gatepost doctor` is who asks.
//!
//! They concern the gates of this very process.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Managed, NotFound, Throttled};
use super::failure::Failure;
use super::lists::id;
use super::request::Call;
use crate::accounts::Refusal;
use crate::examinations::{LASTS, Manner, NONCES, NotOpened, Opened, Sight};
use crate::id::Id;

/// Longest path that nonces may lie below.
const BELOW_BYTES: usize = 512;

/// What to examine.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Examine {
    /// One nonce is made for each.
    #[schema(min_items = 1, max_items = 64)]
    manners: Vec<Manner>,
    /// The path of the protected location; what is let through lies below it, under `/.gatepost/doctor/`.
    #[schema(example = "/api", max_length = 512, pattern = "^(/[A-Za-z0-9._~-]+)*/?$")]
    below: Option<String>,
}

/// An open examination.
#[derive(Serialize, ToSchema)]
struct Examination {
    id: Id,
    /// In the order of `manners`.
    nonces: Vec<String>,
    /// Seconds.
    expires_in: u64,
}

#[derive(Serialize, ToSchema)]
struct OneExamination {
    examination: Examination,
}

#[derive(Serialize, ToSchema)]
struct Sights {
    /// In order of arrival.
    sights: Vec<Sight>,
    /// Connections of this number and above were accepted after the examination was opened.
    first_connection: u64,
}

#[derive(Serialize, ToSchema)]
struct Closed {
    deleted: bool,
}

/// Open an examination of the proxy before this process's gates, for two minutes; at most four at once.
///
/// A request that carries a nonce is recorded by the gate it arrives at. It is refused or allowed like any other, but for what its
/// manner says: `fail`, `silence` and `hang_up` refuse in another way; `allow` and `identify` let one GET through, of the nonce's own
/// path below `/.gatepost/doctor/`.
#[utoipa::path(post, path = "/v1/examinations", tag = document::INSTALLATION, security(("login" = [])), request_body = Examine,
    responses((status = 201, description = "Opened.", body = OneExamination), Managed, Throttled))]
pub(super) async fn open(State(admin): State<Arc<Admin>>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let instance = admin.instance_for(&caller)?;
    let body: Examine = call.json()?;
    if !(1..=NONCES).contains(&body.manners.len()) {
        return Err(Failure::invalid(format!("`manners`: 1 to {NONCES}")));
    }
    let below = body.below.as_deref().unwrap_or_default();
    let below = below.strip_suffix('/').unwrap_or(below);
    if !is_plain(below) {
        return Err(Failure::invalid("`below`: a path of plain segments, such as /api"));
    }
    let Opened { id, nonces } = instance.examinations.open(below, &body.manners, (instance.next_connection)()).map_err(refused)?;
    if let Err(refusal) = admin.accounts.examine(&caller, id, call.origin).await {
        instance.examinations.close(id);
        return Err(refusal.into());
    }
    Ok(Answer::created(OneExamination { examination: Examination { id, nonces, expires_in: LASTS.as_secs() } }))
}

/// Show what this process's gates saw of an examination.
#[utoipa::path(get, path = "/v1/examinations/{id}", tag = document::INSTALLATION, security(("login" = [])), params(ById),
    responses((status = 200, description = "What was seen.", body = Sights), Managed, NotFound))]
pub(super) async fn sights(State(admin): State<Arc<Admin>>, Path(examination): Path<String>, call: Call) -> Result<Answer, Failure> {
    let instance = admin.shown_to(&call).await?;
    let (sights, first_connection) = instance.examinations.sights(id(&examination)?).ok_or(Refusal::NotFound)?;
    Ok(Answer::ok(Sights { sights, first_connection }))
}

/// Close an examination before its time.
#[utoipa::path(delete, path = "/v1/examinations/{id}", tag = document::INSTALLATION, security(("login" = [])), params(ById),
    responses((status = 200, description = "Closed.", body = Closed), Managed, NotFound))]
pub(super) async fn close(State(admin): State<Arc<Admin>>, Path(examination): Path<String>, call: Call) -> Result<Answer, Failure> {
    let instance = admin.shown_to(&call).await?;
    match instance.examinations.close(id(&examination)?) {
        true => Ok(Answer::ok(Closed { deleted: true })),
        false => Err(Refusal::NotFound.into()),
    }
}

/// Whether nothing in it means anything to a rule, and no part of it is empty or a dot segment.
fn is_plain(below: &str) -> bool {
    let fits = |part: &str| {
        let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte));
        plain && !part.is_empty() && part.bytes().any(|byte| byte != b'.')
    };
    below.is_empty() || (below.len() <= BELOW_BYTES && below.strip_prefix('/').is_some_and(|rest| rest.split('/').all(fits)))
}

fn refused(error: NotOpened) -> Failure {
    match error {
        NotOpened::TooMany => Refusal::TooManyTries(LASTS).into(),
        NotOpened::NoRandomness => Refusal::Unavailable(error.to_string()).into(),
    }
}
