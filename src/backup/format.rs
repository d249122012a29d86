//! The lines of a copy.
//!
//! ```text
//! {"gatepost_export":1,"schema":3,"version":"0.1.0","engine":"SQLite","store":"embedded","made_at":1763751600000,"secret_keys":["9f…"]}
//! {"table":"tenants","columns":["id","name",…]}
//! ["10…","acme",…]
//! …
//! {"rows":1234,"sha256":"…"}
//! ```
//! Bytes are written `{"hex":"00ff"}`. The last line counts the rows and is the SHA-256 of every line before it: what was cut off
//! or changed is noticed.

use std::io::{BufRead, Read, Write};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::BackupError;
use crate::database::{Column, Kind, Row, Table, Value};
use crate::id::hex;

/// What this program writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;
/// Longest line that is read, bytes.
const LONGEST: u64 = 16 << 20;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// [`FORMAT`].
    pub(super) gatepost_export: u32,
    /// The schema it was read from.
    pub(super) schema: i64,
    /// Which gatepost wrote it.
    pub(super) version: String,
    /// The database it was read from.
    pub(super) engine: String,
    /// The token store it was read from.
    pub(super) store: String,
    /// When, Unix milliseconds.
    pub(super) made_at: u64,
    /// The names of the secret keys under which tokens, sessions and codes were made.
    pub(super) secret_keys: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Section {
    table: String,
    columns: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct End {
    rows: u64,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Section(Section),
    End(End),
}

/// Writes a copy.
pub(super) struct Writer<W> {
    to: W,
    digest: Context,
    rows: u64,
}

impl<W: Write> Writer<W> {
    /// Begins with the header.
    pub(super) fn begin(to: W, header: &Header) -> std::io::Result<Self> {
        let mut writer = Self { to, digest: Context::new(&SHA256), rows: 0 };
        writer.line(header)?;
        Ok(writer)
    }

    /// Begins a table.
    pub(super) fn table(&mut self, table: &Table) -> std::io::Result<()> {
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        self.line(&Section { table: table.name.to_owned(), columns })
    }

    /// Writes a row of it.
    pub(super) fn row(&mut self, row: &Row) -> std::io::Result<()> {
        let value = |value: &Value| match value {
            Value::Null => serde_json::Value::Null,
            Value::Number(number) => json!(number),
            Value::Text(text) => json!(text),
            Value::Bytes(bytes) => json!({ "hex": hex(bytes) }),
        };
        self.rows += 1;
        self.line(&row.iter().map(value).collect::<Vec<_>>())
    }

    /// Writes the last line; returns how many rows there were.
    pub(super) fn end(mut self) -> std::io::Result<u64> {
        let sha256 = hex(self.digest.clone().finish().as_ref());
        self.line(&End { rows: self.rows, sha256 })?;
        self.to.flush()?;
        Ok(self.rows)
    }

    fn line(&mut self, value: &impl Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.to.write_all(&line)
    }
}

/// What comes next in a copy.
pub(super) enum Next {
    /// Rows of this table, with these columns.
    Table(String, Vec<String>),
    /// A row.
    Row(Vec<serde_json::Value>),
    /// Nothing more, and all of it was there.
    End,
}

/// Reads a copy.
pub(super) struct Reader<R> {
    from: R,
    digest: Context,
    rows: u64,
    line: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub(super) fn begin(from: R) -> Result<(Self, Header), BackupError> {
        let mut reader = Self { from, digest: Context::new(&SHA256), rows: 0, line: 0, text: Vec::new() };
        reader.next_line()?;
        // what a later format says of itself can be read, whatever else it says
        #[derive(Deserialize)]
        struct Any {
            gatepost_export: u32,
            version: String,
        }
        let strange = |_| BackupError::said("this is no copy made by `gatepost export`: its first line is no header of one");
        let any: Any = serde_json::from_slice(&reader.text).map_err(strange)?;
        if any.gatepost_export > FORMAT {
            let (format, version) = (any.gatepost_export, any.version);
            return Err(BackupError::said(format!(
                "this copy has format {format}, made by gatepost {version}; this one ({}) reads formats up to {FORMAT}: import it with \
                 {version} or newer",
                env!("CARGO_PKG_VERSION")
            )));
        }
        let header = serde_json::from_slice(&reader.text).map_err(strange)?;
        reader.digest.update(&reader.text);
        Ok((reader, header))
    }

    /// What comes next.
    pub(super) fn read(&mut self) -> Result<Next, BackupError> {
        self.next_line()?;
        if self.text.is_empty() {
            return Err(self.wrong("the copy ends here, before its last line: it was cut off"));
        }
        if self.text.starts_with(b"[") {
            let row = serde_json::from_slice(&self.text).map_err(|_| self.wrong("this is no row"))?;
            self.digest.update(&self.text);
            self.rows += 1;
            return Ok(Next::Row(row));
        }
        match serde_json::from_slice(&self.text) {
            Ok(Text::Section(section)) => {
                self.digest.update(&self.text);
                Ok(Next::Table(section.table, section.columns))
            }
            Ok(Text::End(end)) => self.check(&end).map(|()| Next::End),
            Err(_) => Err(self.wrong("this is neither a table nor a row")),
        }
    }

    fn check(&mut self, end: &End) -> Result<(), BackupError> {
        if end.rows != self.rows || end.sha256 != hex(self.digest.clone().finish().as_ref()) {
            return Err(self.wrong(&format!("{} rows came, {} were written, or one was changed: the copy is damaged", self.rows, end.rows)));
        }
        self.next_line()?;
        if self.text.is_empty() { Ok(()) } else { Err(self.wrong("something follows the last line")) }
    }

    /// Reads a line; an empty text where there is none.
    fn next_line(&mut self) -> Result<(), BackupError> {
        self.text.clear();
        self.line += 1;
        let read = (&mut self.from).take(LONGEST).read_until(b'\n', &mut self.text);
        read.map_err(|error| BackupError::said(format!("line {}: {error}", self.line)))?;
        if !self.text.is_empty() && !self.text.ends_with(b"\n") {
            return Err(self.wrong("the copy ends within a line: it was cut off"));
        }
        Ok(())
    }

    /// `problem` with the place.
    pub(super) fn wrong(&self, problem: &str) -> BackupError {
        BackupError::said(format!("line {}: {problem}", self.line))
    }
}

/// What a column is given.
pub(super) fn value(json: serde_json::Value, column: &Column) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match (json, column.kind) {
        (Json::Null, _) => Value::Null,
        (Json::Number(number), Kind::Number) => Value::Number(number.as_i64()?),
        (Json::String(text), Kind::Text) => Value::Text(text),
        (Json::Object(bytes), Kind::Bytes) => Value::Bytes(bytes_of(bytes.get("hex")?.as_str()?)?),
        _ => return None,
    })
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}
