//! What a key was used for: `/v1/keys/{id}/usage`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION};
use axum::http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::Admin;
use super::answer::Answer;
use super::document::{self, ById, Managed, NotFound};
use super::failure::Failure;
use super::lists::{id, limit};
use super::request::Call;
use crate::clock::UnixMs;
use crate::database::UsageRow;
use crate::usage::hour_of;

/// How far back is told where the request says nothing.
const USUAL: Duration = Duration::from_secs(30 * 24 * 3600);
/// The last second of the year 9999.
const LATEST: u64 = 253_402_300_799;
/// Most rows of a table for a spreadsheet.
const LONGEST_TABLE: usize = 50_000;

/// Which hours, and how they are written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read off by the document alone")]
pub(super) struct Hours {
    /// Unix seconds in the first hour; without it 30 days before `to`.
    #[param(minimum = 0, maximum = 253402300799u64)]
    from: Option<u64>,
    /// Unix seconds; hours that begin before it. Without it now.
    #[param(minimum = 0, maximum = 253402300799u64)]
    to: Option<u64>,
    /// `csv` for a table with a heading, whole up to 50000 rows; so does `Accept: text/csv`.
    #[param(pattern = "^(json|csv)$")]
    format: Option<String>,
    /// Rows a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,12}-[A-Za-z0-9._:/-]{1,128}$")]
    cursor: Option<String>,
}

/// What came of the checks of one hour under one rule.
#[derive(Serialize, ToSchema)]
struct UsageHour {
    /// Its beginning, Unix seconds.
    hour: u64,
    /// The rule's id.
    rule: String,
    /// Let through.
    allowed: u64,
    /// Refused.
    refused: u64,
    /// Refused because there were too many.
    limited: u64,
}

#[derive(Serialize, ToSchema)]
struct UsageHours {
    usage: Vec<UsageHour>,
    /// For `?cursor=`; null at the end.
    next_cursor: Option<String>,
}

/// What a key was used for.
///
/// By hour and rule, oldest first; also of a key that has ended. What was counted in the last ten seconds may be missing.
#[utoipa::path(get, path = "/v1/keys/{id}/usage", tag = document::KEYS, security(("login" = [])), params(ById, Hours),
    responses((status = 200, description = "A page of hours, or all of them as a table.", content((UsageHours = "application/json"), (String = "text/csv"))),
        Managed, NotFound))]
pub(super) async fn show(State(admin): State<Arc<Admin>>, Path(key): Path<String>, call: Call) -> Result<Answer, Failure> {
    let caller = call.caller(&admin).await?;
    let (hours, is_table) = (hours(&call, admin.accounts.database().clock().now())?, is_table(&call)?);
    let (limit, cursor) = (limit(&call)?, call.parameter("cursor")?);
    let after = cursor.as_deref().map(place).transpose()?;
    let key = id(&key)?;
    if is_table {
        let most = u32::try_from(LONGEST_TABLE + 1).unwrap_or(u32::MAX);
        let rows = admin.accounts.key_usage(&caller, key, hours, after, most).await?;
        if rows.len() > LONGEST_TABLE {
            return Err(Failure::invalid(format!("`from`: more than {LONGEST_TABLE} rows; ask for fewer hours")));
        }
        let name = HeaderValue::try_from(format!("attachment; filename=\"usage-{key}.csv\"")).ok();
        let answer = Answer::bytes(StatusCode::OK, "text/csv; charset=utf-8", table(&rows));
        return Ok(name.into_iter().fold(answer, |answer, name| answer.header(CONTENT_DISPOSITION, name)));
    }
    let mut rows = admin.accounts.key_usage(&caller, key, hours, after, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|last| format!("{}-{}", last.hour.seconds(), last.rule));
    Ok(Answer::ok(UsageHours { usage: rows.into_iter().map(shown).collect(), next_cursor }))
}

fn shown(row: UsageRow) -> UsageHour {
    let UsageRow { hour, rule, counts, .. } = row;
    UsageHour { hour: hour.seconds(), rule, allowed: counts.allowed, refused: counts.refused, limited: counts.limited }
}

/// The hours from the one that `from` is in until before `to`.
fn hours(call: &Call, now: UnixMs) -> Result<(UnixMs, UnixMs), Failure> {
    let time = |name: &str| {
        let wrong = || Failure::invalid(format!("`{name}`: not Unix seconds"));
        let read = |text: String| text.parse::<u64>().ok().filter(|seconds| *seconds <= LATEST).map(|seconds| UnixMs(seconds * 1000));
        call.parameter(name)?.map(|text| read(text).ok_or_else(wrong)).transpose()
    };
    let to = time("to")?.unwrap_or(UnixMs(now.0 + 1));
    let from = time("from")?.unwrap_or_else(|| to.before(USUAL));
    if to <= from { Err(Failure::invalid("`to`: not after `from`")) } else { Ok((hour_of(from), to)) }
}

/// Whether a table is asked for: by `format`, or else by what is accepted first.
fn is_table(call: &Call) -> Result<bool, Failure> {
    match call.parameter("format")?.as_deref() {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(Failure::invalid("`format`: json or csv")),
        None => {
            let accepted = call.header(ACCEPT.as_str()).ok().flatten().unwrap_or_default();
            let mut kinds = accepted.split(',').filter_map(|kind| match kind.split(';').next().unwrap_or_default().trim() {
                "text/csv" => Some(true),
                "application/json" => Some(false),
                _ => None,
            });
            Ok(kinds.next().unwrap_or(false))
        }
    }
}

fn place(cursor: &str) -> Result<(UnixMs, &str), Failure> {
    let read = cursor.split_once('-').and_then(|(hour, rule)| Some((UnixMs(hour.parse::<u64>().ok()?.checked_mul(1000)?), rule)));
    read.filter(|(_, rule)| !rule.is_empty()).ok_or_else(|| Failure::invalid("`cursor`: not one that a list answered"))
}

/// The rows below a heading. A rule's id has nothing in it that a spreadsheet takes for more than text in the middle of a line.
fn table(rows: &[UsageRow]) -> String {
    let mut text = String::from("hour,rule,allowed,refused,limited\r\n");
    for UsageRow { hour, rule, counts, .. } in rows {
        let hour = hour.rfc3339();
        let _ = write!(text, "{hour},{rule},{},{},{}\r\n", counts.allowed, counts.refused, counts.limited);
    }
    text
}
