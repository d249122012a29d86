//! Templates: text with `{phone}`, `{phone_digits}` (the number without its `+`) and `{code}`.
//!
//! INVARIANT: what is put in is escaped for the place it stands in, so it is a value there and nothing else.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Message;

/// A text with places; mute in debug output, since it may hold a secret.
#[derive(Clone)]
pub struct Template(Vec<Part>);

#[derive(Clone)]
enum Part {
    Text(String),
    Phone,
    PhoneDigits,
    Code,
}

/// Each place and how it is spelled.
const PLACES: [(&str, Part); 3] = [("{phone}", Part::Phone), ("{phone_digits}", Part::PhoneDigits), ("{code}", Part::Code)];

/// How a value is written where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// In an address or a form: percent-encoded.
    Percent,
    /// Within a JSON string.
    Json,
    /// As it is.
    Plain,
}

/// What a template must say and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The host would depend on who is sent to.
    #[error("a place before the path")]
    InHost,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Template")
    }
}

impl Template {
    /// Reads a text. Braces that are no place are text: JSON is full of them.
    pub fn new(text: &str) -> Self {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((at, spelled, place)) =
            PLACES.iter().filter_map(|(spelled, place)| Some((rest.find(spelled)?, spelled, place))).min_by_key(|(at, ..)| *at)
        {
            let (before, after) = rest.split_at(at);
            parts.push(Part::Text(before.to_owned()));
            parts.push(place.clone());
            rest = after.strip_prefix(spelled).unwrap_or_default();
        }
        parts.push(Part::Text(rest.to_owned()));
        Self(parts)
    }

    /// Reads an address, where no place may stand before the path.
    ///
    /// # Errors
    /// Where one does.
    pub fn of_url(text: &str) -> Result<Self, TemplateError> {
        let template = Self::new(text);
        let first = template.0.first();
        let fixed = matches!(first, Some(Part::Text(text)) if text.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?'])));
        if fixed || template.0.len() == 1 { Ok(template) } else { Err(TemplateError::InHost) }
    }

    /// Whether it has a place for the number.
    pub fn names_phone(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Phone | Part::PhoneDigits))
    }

    /// Whether it has a place for the code.
    pub fn names_code(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Code))
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(text) if text.is_empty()))
    }

    /// The text for this message.
    pub(super) fn fill(&self, message: &Message, escape: Escape) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Phone => filled.push_str(&escape.of(&message.to)),
                Part::PhoneDigits => filled.push_str(&escape.of(message.to.trim_start_matches('+'))),
                Part::Code => filled.push_str(&escape.of(message.code.reveal())),
            }
        }
        filled
    }
}

impl Escape {
    fn of(self, value: &str) -> String {
        match self {
            Self::Percent => utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
            }
            Self::Plain => value.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Code;
    use super::*;

    fn message(to: &str) -> Message {
        Message { to: to.to_owned(), code: Code::read("012345").unwrap(), good_for: Duration::ZERO }
    }

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        let template = Template::new(r#"{"to":"{phone}","digits":"{phone_digits}","text":"{code} {{code}} {name}"}"#);
        assert_eq!(template.fill(&message("+49176"), Escape::Json), r#"{"to":"+49176","digits":"49176","text":"012345 {012345} {name}"}"#);
        assert!(template.names_phone() && template.names_code() && !template.is_empty());
        assert!(Template::new("").is_empty());
    }

    #[test]
    fn what_is_put_in_is_a_value_and_nothing_else() {
        let hostile = message("+49\"&x=1");
        assert_eq!(Template::new("To={phone}").fill(&hostile, Escape::Percent), "To=%2B49%22%26x%3D1");
        assert_eq!(Template::new("\"{phone}\"").fill(&hostile, Escape::Json), "\"+49\\\"&x=1\"");
        assert_eq!(Template::new("{phone}").fill(&hostile, Escape::Plain), "+49\"&x=1");
    }

    #[test]
    fn the_host_is_fixed() {
        for good in ["https://sms.example.com/send/{phone}", "https://sms.example.com?to={phone}", "https://sms.example.com"] {
            assert!(Template::of_url(good).is_ok(), "{good}");
        }
        for bad in ["https://{phone}.example.com/", "{phone}", "https://sms.example.com{code}/", "https://sms:{code}/"] {
            assert!(Template::of_url(bad).is_err(), "{bad}");
        }
    }
}
