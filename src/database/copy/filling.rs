//! Putting a copy into a database: into an empty one, in one transaction, so that all of it stands or nothing.

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::{ARRIVALS, COPIED, INSTALLATION, Kind, NUMBERED, REPLICAS, Row, TOKENS, Table, Value, listed, tables};
use crate::audit::Entry;
use crate::clock::UnixMs;
use crate::database::{Database, DatabaseError, Engine, column, trail};

/// A database that is being filled; dropped without [`Filling::commit`], nothing of it stands.
pub struct Filling {
    transaction: Transaction<'static, Any>,
    engine: Engine,
    tables: Vec<Table>,
    /// The row of `installation`: written last, because whoever opens the database waits for it.
    installation: Option<(Table, Row)>,
    now: UnixMs,
}

impl Database {
    /// Begins.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn fill(&self) -> Result<Filling, DatabaseError> {
        let mut transaction = self.pool.begin_with(self.engine.begin()).await?;
        if let Some(turn) = self.engine.turn() {
            sqlx::query(turn).execute(&mut *transaction).await?;
        }
        self.engine.be_patient(&mut transaction).await?;
        let tables = tables(self.engine, &mut transaction).await?;
        Ok(Filling { transaction, engine: self.engine, tables, installation: None, now: self.clock.now() })
    }
}

impl Filling {
    /// The tables as this database has them.
    pub fn tables(&self) -> Vec<Table> {
        self.tables.clone()
    }

    /// A table that has rows already, if any has; `replicas` where a server runs on this database.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn occupied(&mut self) -> Result<Option<&'static str>, DatabaseError> {
        for table in COPIED.into_iter().chain([REPLICAS]).filter(|table| *table != INSTALLATION) {
            let statement = format!("SELECT 1 FROM {table} LIMIT 1");
            if sqlx::query(AssertSqlSafe(statement)).fetch_optional(&mut *self.transaction).await?.is_some() {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }

    /// Whether a server that needs Redis has begun to serve from this database.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn is_served(&mut self) -> Result<bool, DatabaseError> {
        let statement = format!("SELECT 1 FROM {REPLICAS} LIMIT 1");
        Ok(sqlx::query(AssertSqlSafe(statement)).fetch_optional(&mut *self.transaction).await?.is_some())
    }

    /// Puts rows into `table`, whose columns are those of the rows and among those of [`Filling::tables`].
    ///
    /// # Errors
    /// Where the database refuses one.
    pub async fn insert(&mut self, table: &Table, rows: &[Row]) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        if table.name == INSTALLATION {
            self.installation = rows.first().map(|row| (table.clone(), row.clone()));
            return Ok(());
        }
        let places = format!("({})", listed(table.columns.iter().map(|_| "?")));
        let names = listed(table.columns.iter().map(|column| column.name.as_str()));
        let statement = format!("INSERT INTO {} ({names}) VALUES {}", table.name, listed(rows.iter().map(|_| places.as_str())));
        self.run(&statement, table, rows).await
    }

    /// The row is there: it takes what was made once for the other installation. It keeps its own id, so that a token store that
    /// served the other one, and may know of later changes, is refused rather than believed.
    async fn write_installation(&mut self) -> Result<(), DatabaseError> {
        let Some((table, row)) = self.installation.take() else { return Ok(()) };
        let set = table.columns.iter().map(|column| format!("{} = ?", column.name)).collect::<Vec<_>>().join(", ");
        self.run(&format!("UPDATE {INSTALLATION} SET {set}"), &table, &[row]).await
    }

    async fn run(&mut self, statement: &str, table: &Table, rows: &[Row]) -> Result<(), DatabaseError> {
        let mut query = sqlx::query(self.engine.sql_of(statement)).persistent(false);
        for (value, column) in rows.iter().flat_map(|row| row.iter().zip(&table.columns)) {
            query = match (value, column.kind) {
                (Value::Number(number), _) => query.bind(*number),
                (Value::Text(text), _) => query.bind(text.clone()),
                (Value::Bytes(bytes), _) => query.bind(bytes.clone()),
                // what is not there has a type all the same
                (Value::Null, Kind::Number) => query.bind(None::<i64>),
                (Value::Null, Kind::Text) => query.bind(None::<String>),
                (Value::Null, Kind::Bytes) => query.bind(None::<Vec<u8>>),
            };
        }
        query.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Makes all of it stand. `arrive`: a token store outside of this process has to be given what is live.
    ///
    /// # Errors
    /// Where it cannot be committed: then nothing of it stands.
    pub async fn commit(mut self, entry: &Entry, arrive: bool) -> Result<(), DatabaseError> {
        if self.engine == Engine::Postgres {
            for table in NUMBERED {
                // its own count begins after what came
                let next =
                    format!("SELECT setval(pg_get_serial_sequence('{table}', 'n'), COALESCE((SELECT MAX(n) FROM {table}), 0) + 1, false)");
                sqlx::query(AssertSqlSafe(next)).execute(&mut *self.transaction).await?;
            }
        }
        if arrive {
            let live =
                format!("INSERT INTO {ARRIVALS} (token) SELECT id FROM {TOKENS} WHERE ended_at IS NULL AND cap > ? AND idle_end > ?");
            let now = column(self.now);
            sqlx::query(self.engine.sql_of(&live)).bind(now).bind(now).execute(&mut *self.transaction).await?;
        }
        trail::write(&mut self.transaction, entry, self.now).await?;
        self.write_installation().await?;
        self.transaction.commit().await?;
        entry.log(self.now);
        Ok(())
    }
}
