//! The whole database, table by table: read out under one snapshot, put into an empty one in one transaction.
//!
//! Columns are read from the schema itself, so a new one is copied without a word here. A new table takes one line: in
//! [`COPIED`], after those its rows refer to, or in [`LEFT`]. A test compares both with the schema.

mod filling;
mod snapshot;

use sqlx::AnyConnection;

use super::{DatabaseError, Engine};

pub use filling::Filling;
pub use snapshot::Snapshot;

/// What is copied, in this order: whatever a row refers to comes before it.
pub(super) const COPIED: [&str; 29] = [
    INSTALLATION,
    "founding",
    "tenants",
    PRINCIPALS,
    "policies",
    "principal_policies",
    "api_keys",
    "key_secrets",
    TOKENS,
    "sessions",
    "refresh_tokens",
    "outbox",
    "audit",
    "invitations",
    "challenges",
    "pending_contacts",
    "former_contacts",
    "identities",
    "sign_ins",
    "host_codes",
    "declared",
    "second_factors",
    "recovery_codes",
    "denials",
    "denial_buckets",
    "quotas",
    "usage_hours",
    "key_notices",
    "deliveries",
];

/// What is not: it belongs to the processes that serve from this very database, or to the schema.
#[cfg(test)]
pub(super) const LEFT: [&str; 7] = ["turn", "setup_codes", REPLICAS, "claims", ARRIVALS, "usage_writers", "_sqlx_migrations"];

/// One row: it stands in every database that was ever opened.
pub(super) const INSTALLATION: &str = "installation";
/// Its rows refer to others of it.
const PRINCIPALS: &str = "principals";
/// Where the token store may know better when one ends.
pub(super) const TOKENS: &str = "tokens";
/// Who serves.
const REPLICAS: &str = "replicas";
/// Tokens that came with a copy.
const ARRIVALS: &str = "arrivals";
/// Columns of `installation` that tell of this database and its token store alone.
const OF_THIS_DATABASE: [&str; 4] = ["one", "id", "epoch", "served_by"];
/// Tables whose rows are numbered by the database.
const NUMBERED: [&str; 2] = ["outbox", "audit"];

/// A table of the copy.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in the order of their values.
    pub columns: Vec<Column>,
}

impl Table {
    /// Where the column of this name stands.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Number,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

/// What stands in one column of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The values of a row.
pub type Row = Vec<Value>;

/// The number of the schema that this program makes: that of its newest migration.
pub fn schema_version() -> i64 {
    super::engine::newest_migration(Engine::Postgres)
}

/// The tables that are copied, as the database has them.
async fn tables(engine: Engine, read: &mut AnyConnection) -> Result<Vec<Table>, DatabaseError> {
    let statement = engine.sql(match engine {
        Engine::Sqlite => "SELECT name, type FROM pragma_table_info(?) ORDER BY cid",
        Engine::Postgres => {
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns
             WHERE table_schema = current_schema() AND CAST(table_name AS TEXT) = ? ORDER BY ordinal_position"
        }
        Engine::Mysql => {
            "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns
             WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
        }
    });
    let mut tables = Vec::with_capacity(COPIED.len());
    for name in COPIED {
        let found: Vec<(String, String)> = sqlx::query_as(statement.clone()).bind(name).fetch_all(&mut *read).await?;
        let columns = found
            .into_iter()
            .filter(|(column, _)| name != INSTALLATION || !OF_THIS_DATABASE.contains(&column.as_str()))
            .map(|(column, kind)| Ok(Column { kind: kind_of(name, &kind)?, name: column }))
            .collect::<Result<Vec<_>, DatabaseError>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

/// What a column of this type holds.
fn kind_of(table: &str, name: &str) -> Result<Kind, DatabaseError> {
    let name = name.to_ascii_lowercase();
    let holds = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if holds(&["int"]) {
        Ok(Kind::Number)
    } else if holds(&["blob", "bytea", "binary"]) {
        Ok(Kind::Bytes)
    } else if holds(&["text", "char"]) {
        Ok(Kind::Text)
    } else {
        Err(DatabaseError::Unavailable(format!("a column of `{table}` has the type `{name}`, which cannot be copied")))
    }
}

/// `names` with a comma between.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
