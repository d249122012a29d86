//! Reading a database out: every row of every table as it stood at one moment, while others go on writing.

use futures_util::TryStreamExt;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, Transaction};

use super::{Column, Kind, PRINCIPALS, Row, Table, Value, tables};
use crate::clock::UnixMs;
use crate::database::{Database, DatabaseError};

/// A moment of the database.
pub struct Snapshot {
    transaction: Transaction<'static, Any>,
    tables: Vec<Table>,
    now: UnixMs,
}

impl Database {
    /// Holds this moment until it is dropped. Nobody waits for it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn snapshot(&self) -> Result<Snapshot, DatabaseError> {
        let now = self.clock.now();
        let mut transaction = self.reading().await?;
        self.engine.be_patient(&mut transaction).await?;
        let tables = tables(self.engine, &mut transaction).await?;
        Ok(Snapshot { transaction, tables, now })
    }
}

impl Snapshot {
    /// The tables, in the order in which they can be put into another database.
    pub fn tables(&self) -> Vec<Table> {
        self.tables.clone()
    }

    /// When it was taken.
    pub fn taken(&self) -> UnixMs {
        self.now
    }

    /// Gives every row of `table`, so many at a time that they fit into memory.
    ///
    /// # Errors
    /// Where they cannot be read, and what `take` refuses.
    pub async fn read<E: From<DatabaseError>>(
        &mut self,
        table: &Table,
        portion: usize,
        mut take: impl AsyncFnMut(Vec<Row>) -> Result<(), E>,
    ) -> Result<(), E> {
        let counted = format!("SELECT COUNT(*) FROM {}", table.name);
        let (expected,): (i64,) = one(&mut self.transaction, counted).await?;
        let statement = statement(table);
        let mut rows = sqlx::query(AssertSqlSafe(statement)).fetch(&mut *self.transaction);
        let (mut portion_read, mut read) = (Vec::with_capacity(portion), 0);
        while let Some(row) = rows.try_next().await.map_err(DatabaseError::from)? {
            let values = table.columns.iter().enumerate().map(|(n, column)| value(&row, n, column));
            portion_read.push(values.collect::<Result<Row, sqlx::Error>>().map_err(DatabaseError::from)?);
            if portion_read.len() == portion {
                read += portion;
                take(std::mem::take(&mut portion_read)).await?;
            }
        }
        read += portion_read.len();
        take(portion_read).await?;
        if i64::try_from(read).ok() != Some(expected) {
            let what = format!("`{}` has {expected} rows, of which {read} can be reached; it is damaged", table.name);
            return Err(DatabaseError::Unavailable(what).into());
        }
        Ok(())
    }
}

/// One row of numbers.
async fn one(read: &mut AnyConnection, statement: String) -> Result<(i64,), DatabaseError> {
    Ok(sqlx::query_as(AssertSqlSafe(statement)).fetch_one(read).await?)
}

/// Every row, in an order of which the database has an index.
fn statement(table: &Table) -> String {
    let columns = |before: &str| table.columns.iter().map(|column| format!("{before}{}", column.name)).collect::<Vec<_>>().join(", ");
    if table.name == PRINCIPALS {
        // from the top of each tree: whoever stands below comes later
        return format!(
            "WITH RECURSIVE tree (node, depth) AS (SELECT uid, 0 FROM principals WHERE parent IS NULL
               UNION ALL SELECT p.uid, t.depth + 1 FROM principals p JOIN tree t ON p.parent = t.node)
             SELECT {} FROM principals p JOIN tree t ON p.uid = t.node ORDER BY t.depth, p.uid",
            columns("p.")
        );
    }
    let first = table.columns.first().map_or("1", |column| column.name.as_str());
    format!("SELECT {} FROM {} ORDER BY {first}", columns(""), table.name)
}

fn value(row: &sqlx::any::AnyRow, n: usize, column: &Column) -> Result<Value, sqlx::Error> {
    Ok(match column.kind {
        Kind::Number => row.try_get::<Option<i64>, _>(n)?.map_or(Value::Null, Value::Number),
        Kind::Text => row.try_get::<Option<String>, _>(n)?.map_or(Value::Null, Value::Text),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(n)?.map_or(Value::Null, Value::Bytes),
    })
}
