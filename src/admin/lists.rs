//! Lists: a page of rows at a time, oldest first, each page naming where the next begins.

use super::failure::Failure;
use super::request::Call;
use crate::accounts::Refusal;
use crate::clock::UnixMs;
use crate::database::Page;
use crate::id::Id;

/// Rows a page where the request says nothing.
const DEFAULT_LIMIT: u32 = 100;
/// Most rows a page.
const LONGEST: u32 = 1000;

/// Which page is asked for, of whose list.
pub(super) struct Asked {
    /// How many rows the answer shows.
    limit: usize,
    /// What to fetch: one row more, which tells whether there is a next page.
    pub(super) page: Page,
    /// `?principal=UID`.
    pub(super) of: Option<Id>,
}

impl Asked {
    /// Reads `limit`, `cursor` and `principal`.
    pub(super) fn read(call: &Call) -> Result<Self, Failure> {
        let limit = limit(call)?;
        let after = field(call, "cursor", place)?;
        let of = field(call, "principal", |text| text.parse().ok())?;
        Ok(Self { limit: limit as usize, page: Page { after, limit: limit + 1 }, of })
    }

    /// What the answer shows of `rows`, and the cursor of the next page.
    pub(super) fn page_of<T, S>(&self, rows: &[T], place: impl Fn(&T) -> (UnixMs, Id), show: impl Fn(&T) -> S) -> (Vec<S>, Option<String>) {
        let shown: Vec<&T> = rows.iter().take(self.limit).collect();
        let next = shown.last().filter(|_| rows.len() > self.limit).map(|last| {
            let (at, id) = place(last);
            format!("{}-{id}", at.0)
        });
        (shown.into_iter().map(show).collect(), next)
    }
}

/// Which page is asked for of a list that goes backwards by number.
pub(super) struct Newest {
    limit: u32,
    /// Those before this number; `None` from the newest.
    pub(super) before: Option<i64>,
}

impl Newest {
    /// Reads `limit` and `cursor`.
    pub(super) fn read(call: &Call) -> Result<Self, Failure> {
        let before = field(call, "cursor", |text| text.parse().ok().filter(|before| *before > 0))?;
        Ok(Self { limit: limit(call)?, before })
    }

    /// How many rows to fetch: one more than shown, which tells whether there is a next page.
    pub(super) fn wanted(&self) -> u32 {
        self.limit + 1
    }

    /// What the answer shows of `rows`, and the cursor of the next page.
    pub(super) fn page_of<T>(&self, mut rows: Vec<T>, number: impl Fn(&T) -> i64) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next = rows.last().filter(|_| more).map(|last| number(last).to_string());
        (rows, next)
    }
}

/// `?limit=`, or what counts where it is not there.
pub(super) fn limit(call: &Call) -> Result<u32, Failure> {
    let limit = field(call, "limit", |text| text.parse().ok().filter(|limit| (1..=LONGEST).contains(limit)))?;
    Ok(limit.unwrap_or(DEFAULT_LIMIT))
}

/// `?tenant=ID`.
pub(super) fn tenant(call: &Call) -> Result<Option<Id>, Failure> {
    field(call, "tenant", |text| text.parse().ok())
}

/// The ids of a body's list.
pub(super) fn ids(name: &'static str, list: &[String]) -> Result<Vec<Id>, Failure> {
    let ids: Result<Vec<Id>, _> = list.iter().map(|text| text.parse()).collect();
    ids.map_err(|_| Refusal::field(name, "not all of them are ids").into())
}

fn field<T>(call: &Call, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let wrong = || {
        Failure::invalid(match name {
            "limit" => format!("`limit`: 1 to {LONGEST}"),
            "cursor" => "`cursor`: not one that a list answered".to_owned(),
            name => format!("`{name}`: not an id"),
        })
    };
    call.parameter(name)?.map(|text| read(&text).ok_or_else(wrong)).transpose()
}

fn place(cursor: &str) -> Option<(UnixMs, Id)> {
    let (at, id) = cursor.split_once('-')?;
    Some((UnixMs(at.parse().ok()?), id.parse().ok()?))
}

/// The id in a path; what is no id names nothing.
pub(super) fn id(text: &str) -> Result<Id, Failure> {
    text.parse().map_err(|_| Refusal::NotFound.into())
}
