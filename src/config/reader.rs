//! Typed reading of a tree: fields that know their path, their place, and the environment above them.
//!
//! A [`Field`] may be absent; its children are then absent too, so every section reads the same whether
//! it was written or not, and a variable can set a value the file does not mention. Order for a scalar:
//! the variable `GATEPOST_` + path, what the file says, what the shipped file says.
//! Reading never stops at a problem: it reports and goes on with nothing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::environment::Environment;
use super::problem::{Collector, Complaint, Problem};
use super::suggest::nearest;
use super::yaml::{Content, Entry, Fault, Node, Place};

/// What is read, and what was found wrong with it.
pub(super) struct Document<'e> {
    file: Arc<str>,
    environment: &'e Environment,
    /// Variables that had a meaning.
    used: RefCell<BTreeSet<String>>,
    pub(super) collector: Collector,
}

impl<'e> Document<'e> {
    pub(super) fn new(file: Arc<str>, environment: &'e Environment) -> Self {
        Self { file, environment, used: RefCell::default(), collector: Collector::default() }
    }

    /// Its top.
    pub(super) fn root<'p>(&'p self, written: Option<&'p Node<'p>>, fallback: Option<&'p Node<'p>>) -> Field<'p> {
        Field { document: self, parent: None, segment: Segment::Root, written, fallback }
    }

    /// As it was named.
    pub(super) fn file(&self) -> &Arc<str> {
        &self.file
    }

    pub(super) fn environment(&self) -> &'e Environment {
        self.environment
    }

    /// The value of a variable, which thereby has a meaning.
    pub(super) fn variable(&self, name: &str) -> Option<&'e str> {
        let value = self.environment.get(name)?;
        self.used.borrow_mut().insert(name.into());
        Some(value)
    }

    /// Variables that had a meaning.
    pub(super) fn used(&self) -> std::cell::Ref<'_, BTreeSet<String>> {
        self.used.borrow()
    }

    /// Takes over what the tree builder could not read.
    pub(super) fn faults(&self, faults: Vec<Fault>) {
        for Fault { place, path, what, what_to_do } in faults {
            let Place { line, column } = place;
            self.collector.problem(Problem { file: self.file.clone(), line, column, path, what, what_to_do: what_to_do.into() });
        }
    }

    /// Warns about a variable.
    pub(super) fn variable_warning(&self, name: &str, path: &str, complaint: Complaint) {
        self.collector.warning(about_variable(name, path.into(), complaint));
    }
}

fn about_variable(name: &str, path: String, Complaint { what, what_to_do }: Complaint) -> Problem {
    Problem { file: name.into(), line: 0, column: 0, path, what, what_to_do }
}

/// A value in the file, or the place where one could be.
#[derive(Clone, Copy)]
pub(super) struct Field<'p> {
    document: &'p Document<'p>,
    parent: Option<&'p Field<'p>>,
    segment: Segment<'p>,
    written: Option<&'p Node<'p>>,
    fallback: Option<&'p Node<'p>>,
}

#[derive(Clone, Copy)]
enum Segment<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

/// How a field is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Absent,
    Scalar,
    Sequence,
    Mapping,
}

impl<'p> Field<'p> {
    /// The child of this name. Its keys must be known to the [`Field::mapping`] of this one.
    pub(super) fn key<'c>(&'c self, name: &'c str) -> Field<'c> {
        let child = |node: Option<&'c Node<'c>>| Some(&entries(node).iter().find(|entry| entry.key == name)?.value);
        let (written, fallback) = (child(self.written), child(self.fallback));
        Field { document: self.document, parent: Some(self), segment: Segment::Key(name), written, fallback }
    }

    /// This field without what the shipped file says, where the user says anything: for values that are
    /// one whole, like `{ file: … }` or `{ env: … }`.
    pub(super) fn whole(self) -> Self {
        if self.is_written() { Self { fallback: None, ..self } } else { self }
    }

    /// Reports whatever is no mapping, and every key that is not among `known`.
    pub(super) fn mapping(&self, known: &[&str]) {
        let Some(node) = self.written else { return };
        let Content::Mapping(entries) = &node.content else {
            return self.wrong_kind(node, "keys with values", &format!("write one or more of {}", known.join(", ")));
        };
        for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let what_to_do = match nearest(&entry.key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.key(&entry.key).problem_at(Some(entry.place), Complaint::new("unknown key", what_to_do));
        }
    }

    /// The children of a mapping whose keys the user chooses, each with its name.
    pub(super) fn named<'c>(&'c self) -> Vec<(&'c str, Field<'c>)> {
        if let Some(node) = self.written
            && !matches!(node.content, Content::Mapping(_))
        {
            self.wrong_kind(node, "names with values", "write `name: { … }`, or `{}` for none");
            return Vec::new();
        }
        entries(self.written.or(self.fallback)).iter().map(|entry| (&*entry.key, self.key(&entry.key))).collect()
    }

    /// The items of a list; variables may add to its end.
    pub(super) fn items<'c>(&'c self) -> Vec<Field<'c>> {
        let items: &[Node<'_>] = match self.written.or(self.fallback) {
            Some(Node { content: Content::Sequence(items), .. }) => items,
            Some(node) => {
                self.wrong_kind(node, "a list", "write `[one, two]`, or one a line after `- `");
                &[]
            }
            None => &[],
        };
        let item = |n: usize| {
            let node = items.get(n);
            let (written, fallback) = if self.written.is_some() { (node, None) } else { (None, node) };
            Field { document: self.document, parent: Some(self), segment: Segment::Index(n), written, fallback }
        };
        let mut fields: Vec<Field<'c>> = (0..items.len()).map(item).collect();
        if !self.document.environment.is_empty() {
            fields.extend((items.len()..).map(item).take_while(|field| field.has_variable()));
        }
        fields
    }

    /// Whether a list stands here, or nothing.
    pub(super) fn is_list(&self) -> bool {
        self.written.or(self.fallback).is_none_or(|node| matches!(node.content, Content::Sequence(_)))
    }

    /// Whether the user says anything here, in the file or by a variable.
    pub(super) fn is_written(&self) -> bool {
        self.written.is_some() || self.has_variable()
    }

    /// Whether a variable of exactly this name gives its value.
    pub(super) fn is_set_by_variable(&self) -> bool {
        !self.document.environment.is_empty() && self.document.environment.get(&self.variable_name()).is_some()
    }

    /// How the value that counts is written.
    pub(super) fn shape(&self) -> Shape {
        if self.is_set_by_variable() {
            return Shape::Scalar;
        }
        match self.written.or(self.fallback).map(|node| &node.content) {
            _ if self.has_variable() => Shape::Mapping,
            None => Shape::Absent,
            Some(Content::Scalar(..)) => Shape::Scalar,
            Some(Content::Sequence(_)) => Shape::Sequence,
            Some(Content::Mapping(_)) => Shape::Mapping,
        }
    }

    /// Its text, if it has any.
    pub(super) fn text(&self) -> Option<Cow<'p, str>> {
        if !self.document.environment.is_empty()
            && let Some(value) = self.document.variable(&self.variable_name())
        {
            return Some(Cow::Borrowed(value));
        }
        let node = self.written.or(self.fallback)?;
        match &node.content {
            Content::Scalar(text, _) if !node.is_null() => Some(Cow::Borrowed(text)),
            _ => {
                self.wrong_kind(node, "one value", "write a text or number; put texts that begin with { [ * & ! % @ in quotes");
                None
            }
        }
    }

    /// Its text, if it has any; nothing is reported.
    pub(super) fn peek(&self) -> Option<String> {
        if self.shape() == Shape::Scalar { self.text().map(Cow::into_owned) } else { None }
    }

    /// What `read` makes of its text, if it has any.
    pub(super) fn read<T>(&self, read: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<T> {
        read(&self.text()?).map_err(|complaint| self.problem(complaint)).ok()
    }

    /// As [`Field::read`]; that there is none is a problem too.
    pub(super) fn need<T>(&self, read: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<T> {
        // where the mapping around it is none, that has been reported
        let around = self.parent.and_then(|parent| parent.written);
        if self.shape() == Shape::Absent && around.is_none_or(|node| matches!(node.content, Content::Mapping(_))) {
            self.missing("write it");
        }
        self.read(read)
    }

    /// Reports that there is nothing here.
    pub(super) fn missing(&self, what_to_do: &str) {
        self.problem(Complaint::new("missing", what_to_do));
    }

    /// Reports a problem here.
    pub(super) fn problem(&self, complaint: Complaint) {
        self.document.collector.problem(self.about(None, complaint));
    }

    /// Warns about this value.
    pub(super) fn warning(&self, complaint: Complaint) {
        self.document.collector.warning(self.about(None, complaint));
    }

    /// The document it is in.
    pub(super) fn document(&self) -> &'p Document<'p> {
        self.document
    }

    /// Where it is, or where the nearest thing around it is.
    pub(super) fn place(&self) -> Place {
        match (self.written, self.parent) {
            (Some(node), _) => node.place,
            (None, Some(parent)) => parent.place(),
            (None, None) => Place::START,
        }
    }

    /// Like `gates[0].listen`.
    pub(super) fn path(&self) -> String {
        let path = self.parent.map(Self::path).unwrap_or_default();
        match self.segment {
            Segment::Root => path,
            Segment::Key(name) if path.is_empty() => name.into(),
            Segment::Key(name) => path + "." + name,
            Segment::Index(n) => path + &format!("[{n}]"),
        }
    }

    /// Like `GATEPOST_GATES_0_LISTEN`.
    pub(super) fn variable_name(&self) -> String {
        let name = self.parent.map_or_else(|| "GATEPOST".into(), Self::variable_name);
        match self.segment {
            Segment::Root => name,
            Segment::Key(key) => {
                let shout = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
                name + "_" + &key.chars().map(shout).collect::<String>()
            }
            Segment::Index(n) => name + &format!("_{n}"),
        }
    }

    /// Whether a variable sets this or something in it.
    fn has_variable(&self) -> bool {
        !self.document.environment.is_empty() && self.document.environment.sets(&self.variable_name())
    }

    fn wrong_kind(&self, node: &Node<'_>, expected: &str, what_to_do: &str) {
        let (what, what_to_do) = match &node.content {
            _ if node.is_null() => ("no value", "write one, or take the key out"),
            Content::Scalar(..) => ("one value", what_to_do),
            Content::Sequence(_) => ("a list", what_to_do),
            Content::Mapping(_) => ("keys with values", what_to_do),
        };
        let complaint = Complaint::new(format!("expected {expected}, found {what}"), what_to_do);
        self.document.collector.problem(self.about(Some(node.place), complaint));
    }

    fn problem_at(&self, place: Option<Place>, complaint: Complaint) {
        self.document.collector.problem(self.about(place, complaint));
    }

    fn about(&self, place: Option<Place>, complaint: Complaint) -> Problem {
        let path = match self.path() {
            path if path.is_empty() => "(file)".into(),
            path => path,
        };
        let name = self.variable_name();
        if place.is_none() && self.document.environment.get(&name).is_some() {
            return about_variable(&name, path, complaint);
        }
        let Place { line, column } = place.unwrap_or_else(|| self.place());
        let Complaint { what, what_to_do } = complaint;
        Problem { file: self.document.file.clone(), line, column, path, what, what_to_do }
    }
}

fn entries<'p>(node: Option<&'p Node<'p>>) -> &'p [Entry<'p>] {
    match node {
        Some(Node { content: Content::Mapping(entries), .. }) => entries,
        _ => &[],
    }
}
