//! Names: how a person signs up and logs in.
//!
//! Every name is folded before it is compared or stored, so `Ann` and `ann` are one person.
//! INVARIANT: a user name can be mistaken neither for an e-mail address, nor a phone number, nor a
//! uid, since `X-Auth-User` shows any of the four.

use super::Refusal;
use crate::database::NameKind;
use crate::id::Id;

/// User names that belong to the program.
const RESERVED: [&str; 1] = ["quickstart"];
/// Longest name worth looking at.
const NAME_BYTES: usize = 320;

/// A name as given, folded, of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// User name, e-mail or phone.
    pub kind: NameKind,
    /// Folded; grammatical only where [`Name::checked`] made it.
    pub text: String,
}

impl Name {
    /// For a look-up: whatever it is, it is only compared.
    ///
    /// # Errors
    /// Where it is too long to be anyone's.
    pub fn given(kind: NameKind, text: &str) -> Result<Self, Refusal> {
        if text.len() > NAME_BYTES {
            return Err(Refusal::field(field(kind), format!("at most {NAME_BYTES} bytes")));
        }
        // nobody's name has these, and engines differ in what they make of them
        let text = text.to_ascii_lowercase().replace(|c: char| c.is_control() || c.is_whitespace(), "\u{fffd}");
        Ok(Self { kind, text })
    }

    /// The user part of Basic credentials: with `@` an e-mail address, with `+` in front a phone number, otherwise a user name.
    ///
    /// # Errors
    /// Where it is too long to be anyone's.
    pub fn of_basic(text: &str) -> Result<Self, Refusal> {
        let kind = match text {
            _ if text.contains('@') => NameKind::Email,
            _ if text.starts_with('+') => NameKind::Phone,
            _ => NameKind::User,
        };
        Self::given(kind, text)
    }

    /// For a new account: it must be well formed.
    ///
    /// # Errors
    /// Naming the field that breaks the grammar.
    pub fn checked(self) -> Result<Self, Refusal> {
        match self.kind {
            NameKind::User if RESERVED.contains(&self.text.as_str()) => Err(Refusal::UserExists),
            NameKind::User if is_user_name(&self.text) => Ok(self),
            NameKind::User => Err(Refusal::field(
                "user",
                "1 to 64 of the characters a-z, 0-9, `.`, `_`, `-`, shaped neither like a phone number nor like a uid",
            )),
            NameKind::Email if is_email(&self.text) => Ok(self),
            NameKind::Email => Err(Refusal::field("email", "not an e-mail address")),
            NameKind::Phone if is_phone(&self.text) => Ok(self),
            NameKind::Phone => Err(Refusal::field("phone", "`+`, then 7 to 15 digits, country code first")),
        }
    }

    /// A name to sign up under: a user name or an e-mail address.
    ///
    /// # Errors
    /// Where it is a phone number.
    pub fn to_sign_up_under(self) -> Result<Self, Refusal> {
        match self.kind {
            NameKind::User | NameKind::Email => Ok(self),
            NameKind::Phone => {
                Err(Refusal::field(field(NameKind::User), "a user name or an e-mail address; a phone number goes into `phone`"))
            }
        }
    }

    /// The text, where it is of this kind.
    pub fn of_kind(&self, kind: NameKind) -> Option<&str> {
        (self.kind == kind).then_some(self.text.as_str())
    }
}

/// The field that carries such a name.
pub fn field(kind: NameKind) -> &'static str {
    match kind {
        NameKind::User => "user",
        NameKind::Email => "email",
        NameKind::Phone => "phone",
    }
}

fn is_user_name(text: &str) -> bool {
    let grammatical =
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    let like_a_phone = text.bytes().filter(u8::is_ascii_digit).count() >= 7 && !text.bytes().any(|b| b.is_ascii_lowercase());
    grammatical && !like_a_phone && text.parse::<Id>().is_err()
}

/// The addresses that HTML's `<input type=email>` takes, with at least one dot in the domain left open; ASCII only,
/// so that no two addresses merely look alike.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 254
        && (1..=64).contains(&local.len())
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b))
        && domain.split('.').all(label)
}

/// E.164.
fn is_phone(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: NameKind, text: &str, expected: bool) {
        assert_eq!(Name::given(kind, text).and_then(Name::checked).is_ok(), expected, "{kind:?} {text}");
    }

    #[test]
    fn user_names() {
        for good in ["a", "ann", "Ann", "a.b_c-d", "x2", "2024", &"a".repeat(64), "abc1234567"] {
            check(NameKind::User, good, true);
        }
        // U+212A KELVIN SIGN folds to `k` in Unicode: only ASCII is folded
        for bad in [
            "",
            " ann",
            "ann ",
            "a b",
            "ann@example.com",
            "+4917612345678",
            "\u{212a}",
            "é",
            "a/b",
            "4917612345678",
            "555-123-4567",
            "quickstart",
        ] {
            check(NameKind::User, bad, false);
        }
        check(NameKind::User, &"a".repeat(65), false);
        check(NameKind::User, &"ab".repeat(16), false);
    }

    #[test]
    fn emails() {
        for good in ["a@b", "ann@example.com", "Ann.Lee+x@mail.example.com"] {
            check(NameKind::Email, good, true);
        }
        for bad in ["", "@", "a@", "@b", "a@b..c", "a b@c", "a@-b.c", "a@b@c", "é@b.c", "a@b.c\n"] {
            check(NameKind::Email, bad, false);
        }
    }

    #[test]
    fn phones() {
        check(NameKind::Phone, "+4917612345678", true);
        for bad in ["", "+", "4917612345678", "+0917612345678", "+49 176 1234567", "+123456", "+1234567890123456"] {
            check(NameKind::Phone, bad, false);
        }
    }

    #[test]
    fn folding_makes_one_person_of_two_spellings() {
        assert_eq!(Name::given(NameKind::User, "ANN"), Name::given(NameKind::User, "ann"));
        assert_eq!(Name::of_basic("Ann@Example.com").map(|name| (name.kind, name.text)), Ok((NameKind::Email, "ann@example.com".into())));
        assert_eq!(Name::of_basic("+49176123").map(|name| name.kind), Ok(NameKind::Phone));
    }
}
