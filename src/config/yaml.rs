//! YAML text to a compact tree in which every node and every key has its place.
//!
//! The only file that names the YAML crate. Of YAML it takes one document of mappings, sequences and
//! scalars: anchors, aliases, tags, a second document and a doubled key are faults, because each is a
//! way for a reader and this program to see two different files.
//! INVARIANT: bounded in depth and keys a mapping ([`Limits`]), and without recursion: no
//! input overflows the stack or takes more than time in proportion to its length.

use std::borrow::Cow;
use std::fmt::Write;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

/// Deepest nesting.
pub(super) const DEPTH: usize = 24;
/// Most keys in one mapping.
pub(super) const KEYS: usize = 500;

/// How deep and wide a document may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) depth: usize,
    pub(super) keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: DEPTH, keys: KEYS }
    }
}

/// Where something begins: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    fn of(marker: Marker) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: number(marker.line()).max(1), column: number(marker.col()).saturating_add(1) }
    }
}

/// A value with its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node<'t> {
    pub(super) place: Place,
    pub(super) content: Content<'t>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'t> {
    /// Its text, and whether it stands without quotes.
    Scalar(Cow<'t, str>, bool),
    Sequence(Vec<Node<'t>>),
    /// In the order of the file, no key twice.
    Mapping(Vec<Entry<'t>>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) place: Place,
    pub(super) value: Node<'t>,
}

impl Node<'_> {
    /// Whether it stands for "nothing": no text, `~` or `null`, without quotes.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(text, true) if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Something in the text that cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) path: String,
    pub(super) what: String,
    pub(super) what_to_do: &'static str,
}

/// Reads `text`. The tree is absent where there is no document, or where the text is no YAML; with
/// faults beside it, it holds what could be read, so that everything else wrong is found as well.
pub(super) fn parse(text: &str) -> (Option<Node<'_>>, Vec<Fault>) {
    parse_within(text, Limits::default())
}

/// As [`parse`], for what others write.
pub(super) fn parse_within(text: &str, limits: Limits) -> (Option<Node<'_>>, Vec<Fault>) {
    let mut builder = Builder { limits, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, Place::of(span.start)),
            Err(error) => builder.stop(&error),
        };
        if step.is_none() {
            return (None, builder.faults);
        }
    }
    (builder.root, builder.faults)
}

/// A collection whose end has not come. What it holds so far lies at the end of the builder's
/// items or entries, so that each collection is allocated once, in its final size.
struct Open<'t> {
    place: Place,
    /// Where its items or entries begin.
    from: usize,
    kind: Kind<'t>,
}

enum Kind<'t> {
    Sequence,
    Mapping(Option<Key<'t>>),
}

/// A key whose value has not come; without its text where the value will be dropped.
struct Key<'t> {
    text: Option<Cow<'t, str>>,
    place: Place,
}

#[derive(Default)]
struct Builder<'t> {
    limits: Limits,
    open: Vec<Open<'t>>,
    items: Vec<Node<'t>>,
    entries: Vec<Entry<'t>>,
    root: Option<Node<'t>>,
    faults: Vec<Fault>,
    documents: usize,
}

impl<'t> Builder<'t> {
    /// One event further; `None` = no use to go on.
    fn take(&mut self, event: Event<'t>, place: Place) -> Option<()> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.fault(place, "a second document", "keep one document a file, without `---` between");
                    return None;
                }
            }
            Event::Alias(_) => {
                self.fault(place, "an alias", "write the value out, or put a text that begins with `*` in quotes");
                self.value(Node { place, content: Content::Scalar(Cow::Borrowed("*"), false) })?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_decoration(anchor, tag.is_some(), place);
                self.value(Node { place, content: Content::Scalar(text, style == ScalarStyle::Plain) })?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_decoration(anchor, tag.is_some(), place);
                self.enter(Open { place, from: self.items.len(), kind: Kind::Sequence })?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_decoration(anchor, tag.is_some(), place);
                self.enter(Open { place, from: self.entries.len(), kind: Kind::Mapping(None) })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { place, from, kind } = self.open.pop()?;
                let content = match kind {
                    Kind::Sequence => Content::Sequence(self.items.drain(from..).collect()),
                    Kind::Mapping(_) => Content::Mapping(self.entries.drain(from..).collect()),
                };
                self.value(Node { place, content })?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn enter(&mut self, open: Open<'t>) -> Option<()> {
        if self.open.len() >= self.limits.depth {
            self.fault(
                open.place,
                format!("nested more than {} deep", self.limits.depth),
                "nothing in this file goes so deep: take it out",
            );
            return None;
        }
        self.open.push(open);
        Some(())
    }

    /// Puts a finished node where it belongs: the root, a list, a key, or the value of a key.
    fn value(&mut self, node: Node<'t>) -> Option<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut open.kind {
            Kind::Sequence => self.items.push(node),
            Kind::Mapping(key) => match key.take() {
                Some(Key { text: Some(key), place }) => self.entries.push(Entry { key, place, value: node }),
                Some(Key { text: None, .. }) => {}
                None => {
                    let place = node.place;
                    let before = self.entries.get(open.from..).unwrap_or_default();
                    let (text, fault) = read_key(before, node.content);
                    *key = Some(Key { text, place });
                    let full = before.len() >= self.limits.keys;
                    if let Some((what, what_to_do)) = fault {
                        self.fault(place, what, what_to_do);
                    }
                    if full {
                        self.fault(
                            place,
                            format!("more than {} keys in one mapping", self.limits.keys),
                            "nothing in this file has so many: take some out",
                        );
                        return None;
                    }
                }
            },
        }
        Some(())
    }

    fn refuse_decoration(&mut self, anchor: usize, tagged: bool, place: Place) {
        if anchor != 0 {
            self.fault(
                place,
                "an anchor",
                "take it out and write the value where it is used, or put a text that begins with `&` in quotes",
            );
        }
        if tagged {
            self.fault(place, "a tag", "take it out, or put a text that begins with `!` in quotes");
        }
    }

    /// The text is no YAML from here on.
    fn stop(&mut self, error: &ScanError) -> Option<()> {
        let place = Place::of(*error.marker());
        if error.info().contains("unknown anchor") {
            self.fault(place, "an alias", "put a text that begins with `*` in quotes");
        } else {
            let what = format!("not YAML: {}", error.info());
            self.fault(place, what, "mend the indentation, brackets or quotes here; texts that hold { } [ ] # or `: ` need quotes");
        }
        None
    }

    fn fault(&mut self, place: Place, what: impl Into<String>, what_to_do: &'static str) {
        let path = self.path();
        self.faults.push(Fault { place, path, what: what.into(), what_to_do });
    }

    /// Where the builder stands.
    fn path(&self) -> String {
        let mut path = String::new();
        for (n, open) in self.open.iter().enumerate() {
            match &open.kind {
                Kind::Sequence => {
                    let inner = self.open.iter().skip(n + 1).find(|inner| matches!(inner.kind, Kind::Sequence));
                    let end = inner.map_or(self.items.len(), |inner| inner.from);
                    let _ = write!(path, "[{}]", end.saturating_sub(open.from));
                }
                Kind::Mapping(Some(Key { text: Some(text), .. })) => {
                    let dot = if path.is_empty() { "" } else { "." };
                    let _ = write!(path, "{dot}{text}");
                }
                Kind::Mapping(_) => {}
            }
        }
        if path.is_empty() { "(file)".into() } else { path }
    }
}

/// The text of a key, or why it is none.
fn read_key<'t>(entries: &[Entry<'t>], content: Content<'t>) -> (Option<Cow<'t, str>>, Option<(String, &'static str)>) {
    match content {
        Content::Scalar(text, _) if entries.iter().any(|entry| entry.key == text) => {
            (None, Some((format!("the key `{text}` twice"), "keep one of them")))
        }
        Content::Scalar(text, _) => (Some(text), None),
        _ => (None, Some(("a key that is no text".into(), "put texts that hold { } [ ] or , in quotes"))),
    }
}

#[cfg(test)]
mod tests;
