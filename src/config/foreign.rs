//! A document that was not written for this program, YAML or JSON: its values, and where each stands.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::file::read_text;
use super::problem::Problem;
use super::yaml::{self, Content, Limits, Node};

/// Largest document.
const BYTES: u64 = 64 << 20;
/// Deeper than any description of an API, and shallow enough to be walked; the JSON reader takes no more either.
const LIMITS: Limits = Limits { depth: 128, keys: 20_000 };

/// A document.
#[derive(Debug)]
pub struct Foreign {
    /// As it was named.
    pub name: Arc<str>,
    /// What it says. Of YAML's scalars only `true`, `false` and `null` are more than text.
    pub value: Value,
    /// Line and column by JSON pointer (RFC 6901).
    places: HashMap<String, (u32, u32)>,
}

impl Foreign {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that keeps it from being read.
    pub fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        let name: Arc<str> = path.display().to_string().into();
        let text = read_text(path, BYTES).map_err(|what| {
            let what_to_do = "name a file of YAML or JSON".into();
            vec![Problem { file: name.clone(), line: 1, column: 1, path: "(file)".into(), what, what_to_do }]
        })?;
        Self::parse(name, &text)
    }

    /// Reads a text: JSON where it begins with `{`, otherwise YAML.
    ///
    /// # Errors
    /// Everything that keeps it from being read.
    pub fn parse(name: Arc<str>, text: &str) -> Result<Self, Vec<Problem>> {
        let text = text.trim_start_matches('\u{feff}');
        let (tree, faults) = yaml::parse_within(text, LIMITS);
        let mut places = HashMap::new();
        let of_tree = tree.map(|tree| value(tree, &mut String::new(), &mut places));
        if text.trim_start().starts_with('{') {
            // nearly all JSON is YAML, and YAML knows the places; the rest is read without them
            let value = serde_json::from_str(text).map_err(|error| {
                let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                let (line, column) = (number(error.line()).max(1), number(error.column()).max(1));
                let (what, what_to_do) = (format!("not JSON: {error}"), "mend it".into());
                vec![Problem { file: name.clone(), line, column, path: "(file)".into(), what, what_to_do }]
            })?;
            return Ok(Self { name, value, places });
        }
        let problem = |fault: yaml::Fault| Problem {
            file: name.clone(),
            line: fault.place.line,
            column: fault.place.column,
            path: fault.path,
            what: fault.what,
            what_to_do: fault.what_to_do.into(),
        };
        if !faults.is_empty() {
            return Err(faults.into_iter().map(problem).collect());
        }
        Ok(Self { value: of_tree.unwrap_or(Value::Null), name, places })
    }

    /// A problem with what stands at a pointer, or with what is nearest around it.
    pub fn problem(&self, pointer: &str, what: impl Into<String>, what_to_do: impl Into<String>) -> Problem {
        let mut around = pointer;
        let (line, column) = loop {
            match (self.places.get(around), around.rfind('/')) {
                (Some(place), _) => break *place,
                (None, Some(end)) => around = around.get(..end).unwrap_or_default(),
                (None, None) => break (1, 1),
            }
        };
        let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
        let path = parts.collect::<Vec<_>>().join(".");
        let path = if path.is_empty() { "(file)".into() } else { path };
        Problem { file: self.name.clone(), line, column, path, what: what.into(), what_to_do: what_to_do.into() }
    }
}

/// The pointer of a child.
pub fn pointer_to(parent: &str, child: &str) -> String {
    format!("{parent}/{}", child.replace('~', "~0").replace('/', "~1"))
}

fn value(node: Node<'_>, pointer: &mut String, places: &mut HashMap<String, (u32, u32)>) -> Value {
    places.insert(pointer.clone(), (node.place.line, node.place.column));
    let is_null = node.is_null();
    let length = pointer.len();
    let value = match node.content {
        _ if is_null => Value::Null,
        Content::Scalar(text, true) if text == "true" => Value::Bool(true),
        Content::Scalar(text, true) if text == "false" => Value::Bool(false),
        Content::Scalar(text, _) => Value::String(text.into_owned()),
        Content::Sequence(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(n, item)| {
                    *pointer = pointer_to(pointer, &n.to_string());
                    let item = value(item, pointer, places);
                    pointer.truncate(length);
                    item
                })
                .collect(),
        ),
        Content::Mapping(entries) => {
            let mut map = Map::new();
            for entry in entries {
                *pointer = pointer_to(pointer, &entry.key);
                let child = value(entry.value, pointer, places);
                // where its key is, not its value: that may be lines further down
                places.insert(pointer.clone(), (entry.place.line, entry.place.column));
                pointer.truncate(length);
                map.insert(entry.key.into_owned(), child);
            }
            Value::Object(map)
        }
    };
    pointer.truncate(length);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_say_the_same() {
        let json = Foreign::parse("a".into(), "{\"a\": [true, null, \"x\\/y\"],\n \"b/c\": {\"d\": \"\\ud83d\\ude00\"}}").unwrap();
        let yaml = Foreign::parse("a".into(), "a: [true, ~, x/y]\nb/c:\n  d: \u{1f600}").unwrap();
        assert_eq!(json.value, yaml.value);
        assert_eq!(yaml.problem("/b~1c/d", "what", "do").to_string(), "a:3:3: b/c.d: what; do");
        assert_eq!(yaml.problem("/b~1c/e/f", "what", "do").to_string(), "a:2:1: b/c.e.f: what; do");
        assert_eq!(yaml.problem("/a/2", "what", "do").to_string(), "a:1:14: a.2: what; do");
    }

    #[test]
    fn what_is_no_document_is_told_with_its_place() {
        let told = |text: &str| Foreign::parse("a".into(), text).unwrap_err().first().unwrap().to_string();
        assert!(told("{\"a\": 1,\n}").starts_with("a:2:1: (file): not JSON: "), "{}", told("{\"a\": 1,\n}"));
        assert!(told("a: *b").starts_with("a:1:4: "), "{}", told("a: *b"));
        assert!(told("a: [").contains("not YAML"));
        assert!(Foreign::read(Path::new("/nowhere")).unwrap_err().first().unwrap().to_string().contains("cannot be read"));
    }
}
