//! What a script answered, apart from the driver's own types.

/// What a script answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing.
    Nil,
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, written as one or as text.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// What is in the list; nothing where it is none.
    pub(super) fn list(&self) -> &[Reply] {
        if let Self::List(list) = self { list } else { &[] }
    }

    /// Element `n` of the list; nil beyond its end.
    pub(super) fn at(&self, n: usize) -> &Reply {
        self.list().get(n).unwrap_or(&Self::Nil)
    }

    /// What `name` stands for in a list of names and values, be they one after the other or in pairs; nil where it is not there.
    pub(super) fn field(&self, name: &str) -> &Reply {
        let is_named = |key: &Reply| key.text() == Some(name);
        let pair = |of: &'_ Reply| matches!(of.list(), [key, _] if is_named(key));
        if let Some(found) = self.list().iter().find(|of| pair(of)) {
            return found.at(1);
        }
        self.list()
            .chunks(2)
            .find_map(|two| if let [key, value] = two { is_named(key).then_some(value) } else { None })
            .unwrap_or(&Self::Nil)
    }

    /// The first element as text: every script but the heartbeat says there what it did.
    pub(super) fn status(&self) -> &str {
        self.at(0).text().unwrap_or_default()
    }
}
