//! Rows read as records: one function a table, each under one of three filters.
//!
//! A row that cannot be read (an id that is none, an unknown role) is an error, not a missing record:
//! a store that skipped it might forget an end.

use std::collections::HashMap;

use sqlx::{Any, AnyConnection};

use super::super::{DatabaseError, Engine, time};
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::record::{Content, KeyRecord, PolicyRecord, Record, Role, SessionRecord, SubjectRecord};
use crate::token::terms::Terms;

/// Which rows; each takes one value.
pub(super) type Filter = usize;
/// The row with this id.
pub(super) const ONE: Filter = 0;
/// The rows changed at or after this time.
pub(super) const SINCE: Filter = 1;
/// The rows that have not ended at this time.
pub(super) const LIVE: Filter = 2;
/// Of keys alone: those that came by a later import than this.
pub(super) const IMPORTED: Filter = 3;

/// The statement that begins with `$head`, under each filter. `$ends`: the column with the row's own end.
macro_rules! statements {
    ($head:literal, $id:literal, $ends:literal $(, $tail:literal)?) => {
        [
            concat!($head, $id, " = ?" $(, $tail)?),
            concat!($head, "changed_at >= ?" $(, $tail)?),
            concat!($head, "ended_at IS NULL AND (", $ends, " IS NULL OR ", $ends, " > ?)" $(, $tail)?),
            concat!($head, "imported > ?" $(, $tail)?),
        ]
    };
}

/// A value that a filter compares with.
pub(super) trait Value: Clone + Send + sqlx::Type<Any> + for<'q> sqlx::Encode<'q, Any> + 'static {}
impl Value for i64 {}
impl Value for String {}

/// Picks a statement and runs it.
macro_rules! rows {
    ($read:expr, $statements:expr, $filter:expr, $value:expr, $row:ty) => {{
        let statements = $statements;
        let statement: &'static str = statements.get($filter).copied().unwrap_or_default();
        sqlx::query_as::<_, $row>(Engine::of($read).sql(statement)).bind($value).fetch_all(&mut *$read).await?
    }};
}

type KeyRow = (String, String, String, Option<i64>, Option<i64>, i64, Option<String>);
type SecretRow = (String, Vec<u8>, Option<i64>);

/// API keys with their secrets, less those whose grace is over at `now`.
pub(super) async fn keys(read: &mut AnyConnection, filter: Filter, value: impl Value, now: i64) -> Result<Vec<Record>, DatabaseError> {
    let found = rows!(
        read,
        statements!("SELECT id, principal, scopes, expires_at, ended_at, version, terms FROM api_keys WHERE ", "id", "expires_at"),
        filter,
        value.clone(),
        KeyRow
    );
    let secrets = rows!(
        read,
        statements!(
            "SELECT key_id, hash, until FROM key_secrets WHERE key_id IN (SELECT id FROM api_keys WHERE ",
            "id",
            "expires_at",
            ") ORDER BY created_at DESC"
        ),
        filter,
        value,
        SecretRow
    );
    let mut of: HashMap<String, Vec<_>> = HashMap::new();
    for (key, hash, until) in secrets {
        let hash = <[u8; 32]>::try_from(hash).map_err(|_| damaged("key_secrets", &key))?;
        if until.is_none_or(|until| until > now) {
            of.entry(key).or_default().push((hash, until.map(time)));
        }
    }
    let record = |(id, principal, scopes, expires_at, ended_at, version, terms): KeyRow| {
        Ok(Record {
            version: number("keys", &id, version)?,
            content: Content::Key(KeyRecord {
                subject: parse("keys", &id, &principal)?,
                scopes: parse("keys", &id, &scopes)?,
                secrets: of.remove(&id).unwrap_or_default(),
                ends: expires_at.map(time),
                ended: ended_at.is_some(),
                terms: agreed("keys", &id, terms.as_deref())?,
            }),
            id: parse("keys", &id, &id)?,
        })
    };
    found.into_iter().map(record).collect()
}

type SessionRow = (String, String, i64, Option<i64>, Option<i64>, i64);

/// Sessions.
pub(super) async fn sessions(read: &mut AnyConnection, filter: Filter, value: impl Value) -> Result<Vec<Record>, DatabaseError> {
    let found = rows!(
        read,
        statements!("SELECT id, principal, ends_at, idle_ends_at, ended_at, version FROM sessions WHERE ", "id", "ends_at"),
        filter,
        value,
        SessionRow
    );
    let record = |(id, principal, ends_at, idle_ends_at, ended_at, version): SessionRow| {
        Ok(Record {
            version: number("sessions", &id, version)?,
            content: Content::Session(SessionRecord {
                subject: parse("sessions", &id, &principal)?,
                ends: time(ends_at),
                idle_ends: idle_ends_at.map(time),
                ended: ended_at.is_some(),
            }),
            id: parse("sessions", &id, &id)?,
        })
    };
    found.into_iter().map(record).collect()
}

/// The principal or tenant with this id.
pub(super) async fn subject(read: &mut AnyConnection, id: Id) -> Result<Option<Record>, DatabaseError> {
    match principals(read, ONE, id.to_string()).await?.pop() {
        Some(principal) => Ok(Some(principal)),
        None => Ok(tenants(read, ONE, id.to_string()).await?.pop()),
    }
}

type PrincipalRow = (String, String, Option<String>, String, String, String, i64, Option<i64>, i64, Option<String>);

/// Principals with the policies attached to them.
pub(super) async fn principals(read: &mut AnyConnection, filter: Filter, value: impl Value) -> Result<Vec<Record>, DatabaseError> {
    let found = rows!(
        read,
        statements!(
            "SELECT uid, tenant, parent, role,
                    COALESCE(user_name, CASE WHEN email_verified <> 0 THEN email END, CASE WHEN phone_verified <> 0 THEN phone END, uid),
                    scopes, blocked, ended_at, version, terms FROM principals WHERE ",
            "uid",
            "NULL"
        ),
        filter,
        value.clone(),
        PrincipalRow
    );
    let attached = rows!(
        read,
        statements!(
            "SELECT DISTINCT principal, policy FROM principal_policies WHERE principal IN (SELECT uid FROM principals WHERE ",
            "uid",
            "NULL",
            ") ORDER BY policy"
        ),
        filter,
        value,
        (String, String)
    );
    let mut policies: HashMap<String, Vec<Id>> = HashMap::new();
    for (principal, policy) in attached {
        let policy = parse("principal_policies", &principal, &policy)?;
        policies.entry(principal).or_default().push(policy);
    }
    let record = |(uid, tenant, parent, role, name, scopes, blocked, ended_at, version, terms): PrincipalRow| {
        let tenant = parse("principals", &uid, &tenant)?;
        Ok(Record {
            version: number("principals", &uid, version)?,
            content: Content::Subject(SubjectRecord {
                name,
                role: Role::from_name(&role).ok_or_else(|| damaged("principals", &uid))?,
                up: Some(parent.map_or(Ok(tenant), |parent| parse("principals", &uid, &parent))?),
                tenant,
                scopes: parse("principals", &uid, &scopes)?,
                policies: policies.remove(&uid).unwrap_or_default(),
                blocked: blocked != 0 || ended_at.is_some(),
                terms: agreed("principals", &uid, terms.as_deref())?,
            }),
            id: parse("principals", &uid, &uid)?,
        })
    };
    found.into_iter().map(record).collect()
}

/// Tenants: subjects with nobody above, to whom everything is open.
pub(super) async fn tenants(read: &mut AnyConnection, filter: Filter, value: impl Value) -> Result<Vec<Record>, DatabaseError> {
    let statements = [
        "SELECT id, name, blocked, version FROM tenants WHERE id = ?",
        "SELECT id, name, blocked, version FROM tenants WHERE changed_at >= ?",
    ];
    let found = rows!(read, statements, filter, value, (String, String, i64, i64));
    let record = |(id, name, blocked, version): (String, String, i64, i64)| {
        let tenant = parse("tenants", &id, &id)?;
        Ok(Record {
            id: tenant,
            version: number("tenants", &id, version)?,
            content: Content::Subject(SubjectRecord {
                name,
                role: Role::Tenant,
                up: None,
                tenant,
                scopes: ScopeSet::everything(),
                policies: Vec::new(),
                blocked: blocked != 0,
                terms: Terms::default(),
            }),
        })
    };
    found.into_iter().map(record).collect()
}

/// Policies.
pub(super) async fn policies(read: &mut AnyConnection, filter: Filter, value: impl Value) -> Result<Vec<Record>, DatabaseError> {
    let found = rows!(
        read,
        statements!("SELECT id, allow, deny, ended_at, version, terms FROM policies WHERE ", "id", "NULL"),
        filter,
        value,
        (String, String, String, Option<i64>, i64, Option<String>)
    );
    let record = |(id, allow, deny, ended_at, version, terms): (String, String, String, Option<i64>, i64, Option<String>)| {
        Ok(Record {
            version: number("policies", &id, version)?,
            content: Content::Policy(PolicyRecord {
                allow: parse("policies", &id, &allow)?,
                deny: parse("policies", &id, &deny)?,
                ended: ended_at.is_some(),
                terms: agreed("policies", &id, terms.as_deref())?,
            }),
            id: parse("policies", &id, &id)?,
        })
    };
    found.into_iter().map(record).collect()
}

/// `text`, from the row `id`, as what it spells.
pub(super) fn parse<T: std::str::FromStr>(table: &str, id: &str, text: &str) -> Result<T, DatabaseError> {
    text.parse().map_err(|_| damaged(table, id))
}

fn agreed(table: &str, id: &str, text: Option<&str>) -> Result<Terms, DatabaseError> {
    Terms::read(text).map_err(|_| damaged(table, id))
}

fn number(table: &str, id: &str, value: i64) -> Result<u64, DatabaseError> {
    u64::try_from(value).map_err(|_| damaged(table, id))
}

/// A row that no version of the program writes.
pub(super) fn damaged(table: &str, id: &str) -> DatabaseError {
    DatabaseError::Unavailable(format!("row `{id}` of `{table}` is damaged"))
}
