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

    /// What follows `name` in a list of names and values; nil where it is not there.
    pub(super) fn field(&self, name: &str) -> &Reply {
        self.list()
            .chunks(2)
            .find_map(|pair| if let [key, value] = pair { (key.text() == Some(name)).then_some(value) } else { None })
            .unwrap_or(&Self::Nil)
    }

    /// The first element as text: every script but the heartbeat says there what it did.
    pub(super) fn status(&self) -> &str {
        self.at(0).text().unwrap_or_default()
    }
}
