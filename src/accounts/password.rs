//! Passwords: what is taken as one, and how it is hashed and compared.
//!
//! After NIST 800-63B-4: length and a block-list, no composition rules. argon2id with OWASP's
//! m = 19456 KiB, t = 2, p = 1; a hash made under other parameters is replaced at the next login.

use std::collections::HashSet;
use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization;

use super::Refusal;
use crate::id::random_bytes;

/// Longest password, in bytes after normalisation: what is hashed is bounded.
pub const PASSWORD_BYTES: usize = 256;
/// Well-known passwords, one a line, lower case.
const COMMON: &str = include_str!("common_passwords.txt");
/// The same, to be found at once.
static COMMON_ONES: LazyLock<HashSet<&str>> = LazyLock::new(|| COMMON.lines().collect());

/// A password: NFC, at most [`PASSWORD_BYTES`], mute in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// The password that came in `field`.
    ///
    /// # Errors
    /// Where it is too long.
    pub fn new(field: &'static str, text: &str) -> Result<Self, Refusal> {
        let too_long = || Refusal::field(field, format!("at most {PASSWORD_BYTES} bytes"));
        if text.len() > 4 * PASSWORD_BYTES {
            return Err(too_long());
        }
        let text: String = text.nfc().collect();
        if text.len() > PASSWORD_BYTES { Err(too_long()) } else { Ok(Self(text)) }
    }

    /// Whether it may be chosen.
    ///
    /// # Errors
    /// [`Refusal::WeakPassword`] below `min_length` characters, or where anyone would guess it.
    pub fn strong(self, min_length: usize) -> Result<Self, Refusal> {
        if self.0.chars().count() < min_length || is_common(&self.0) { Err(Refusal::WeakPassword) } else { Ok(self) }
    }
}

impl Password {
    /// Whether it is `name` with fewer than eight characters more: whoever knows the name has soon guessed it.
    pub(super) fn is_little_more_than(&self, name: &str) -> bool {
        let plain = |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let (own, name) = (plain(&self.0), plain(name));
        !name.is_empty() && own.contains(&name) && own.chars().count() < name.chars().count() + 8
    }
}

/// How many characters around a well-known password make another one of it.
const AROUND: usize = 8;

/// Whether `password` is well known, one character or run repeated, or a well-known one repeated, with little around it, or
/// with another one behind it; with `@` for `a` and the like as without. So the list stands for many more than are in it.
fn is_common(password: &str) -> bool {
    let folded: Vec<char> = password.to_lowercase().chars().collect();
    let plain: Vec<char> = folded.iter().map(|&c| unmasked(c)).collect();
    period(&folded) <= 1 || is_run(&folded) || is_near_common(&folded) || is_near_common(&plain)
}

fn is_near_common(text: &[char]) -> bool {
    let is_known = |part: &[char]| COMMON_ONES.contains(part.iter().collect::<String>().as_str());
    let is_weak = |part: &[char]| is_known(part) || is_known(part.split_at(period(part)).0) || is_run(part);
    let letters = |c: &char| c.is_alphabetic();
    let within = match (text.iter().position(letters), text.iter().rposition(letters)) {
        (Some(first), Some(last)) => text.get(first..=last).unwrap_or_default(),
        _ => text,
    };
    let little_around = text.len() < within.len() + AROUND && is_weak(within);
    little_around || is_weak(text) || (1..text.len()).map(|at| text.split_at(at)).any(|(one, other)| is_weak(one) && is_weak(other))
}

/// The letter that a digit or sign is written for.
fn unmasked(c: char) -> char {
    match c {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '7' => 't',
        c => c,
    }
}

/// The shortest length whose repetition (the last one may be cut) spells `text`.
fn period(text: &[char]) -> usize {
    (1..text.len()).find(|&n| text.iter().zip(text.iter().skip(n)).all(|(a, b)| a == b)).unwrap_or(text.len())
}

/// `abcdefgh…`, `87654321…`
fn is_run(text: &[char]) -> bool {
    let steps = || text.iter().zip(text.iter().skip(1)).map(|(a, b)| i64::from(u32::from(*b)) - i64::from(u32::from(*a)));
    text.len() > 1 && (steps().all(|step| step == 1) || steps().all(|step| step == -1))
}

/// The parameters under which passwords are hashed.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters())
}

fn parameters() -> Params {
    Params::DEFAULT
}

/// Hashes a password: tens of milliseconds and 19 MiB.
///
/// # Errors
/// Where the operating system has no randomness to give.
pub fn hash(password: &Password) -> Result<String, ring::error::Unspecified> {
    let salt: [u8; 16] = random_bytes()?;
    argon2().hash_password_with_salt(password.0.as_bytes(), &salt).map(|hash| hash.to_string()).map_err(|_| ring::error::Unspecified)
}

/// What comparing a password told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It is another one.
    Wrong,
    /// It is this one.
    Right,
    /// It is this one, hashed under other parameters than today's.
    RightButStale,
}

/// Compares a password with a hash: as long as hashing it.
pub fn compare(password: &Password, hash: &str) -> Compared {
    let Ok(parsed) = PasswordHash::new(hash) else { return Compared::Wrong };
    if argon2().verify_password(password.0.as_bytes(), &parsed).is_err() {
        return Compared::Wrong;
    }
    let same = Params::try_from(&parsed).is_ok_and(|of| {
        let now = parameters();
        (of.m_cost(), of.t_cost(), of.p_cost()) == (now.m_cost(), now.t_cost(), now.p_cost())
    });
    if same && parsed.algorithm.as_str() == Algorithm::Argon2id.as_str() { Compared::Right } else { Compared::RightButStale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_owasps() {
        let parameters = parameters();
        assert_eq!((parameters.m_cost(), parameters.t_cost(), parameters.p_cost()), (19_456, 2, 1));
        let hash = hash(&Password::new("password", "a password of some length").unwrap()).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[test]
    fn compares_after_normalisation() {
        let composed = Password::new("password", "caf\u{e9} au lait, s'il vous pla\u{ee}t").unwrap();
        let decomposed = Password::new("password", "cafe\u{301} au lait, s'il vous plai\u{302}t").unwrap();
        let hash = hash(&composed).unwrap();
        assert_eq!(compare(&decomposed, &hash), Compared::Right);
        assert_eq!(compare(&Password::new("password", "something else entirely").unwrap(), &hash), Compared::Wrong);
        assert_eq!(compare(&composed, "$argon2id$v=19$damaged"), Compared::Wrong);
    }

    #[test]
    fn other_parameters_are_stale() {
        let password = Password::new("password", "a password of some length").unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let hash = weak.hash_password_with_salt(password.0.as_bytes(), &[7; 16]).unwrap().to_string();
        assert_eq!(compare(&password, &hash), Compared::RightButStale);
    }

    #[test]
    fn what_may_be_chosen() {
        let strong = |text: &str| Password::new("password", text).and_then(|p| p.strong(15)).is_ok();
        for good in [
            "correct horse battery staple",
            "password of nobody but me",
            "liverpool 83-1175-9304",
            "my dragon sleeps till noon",
            "tr0ubador & three!",
            "ein ganz langes Kennwort",
            "фыва олдж пролдж э",
        ] {
            assert!(strong(good), "{good}");
        }
        for bad in [
            "",
            "short",
            "fourteen chars",
            "aaaaaaaaaaaaaaaaaaaa",
            "passwordpassword",
            "PasswordPasswordPass",
            "123456789012345",
            "qwertyuiopasdfghjkl",
            "abcdefghijklmnopqrst",
            "qwertyqwertyqwerty",
            "qwertyuiop12345!",
            "12345qwertyuiop",
            "P@ssw0rdP@ssw0rd",
            "password1234567",
            "iloveyoupassword",
            "123456789password",
            "Liverpoolliverpool7!",
        ] {
            assert!(!strong(bad), "{bad}");
        }
        assert!(Password::new("password", &"x".repeat(257)).is_err());
        assert!(strong(&"xy12 ".repeat(51)));
        // characters, not bytes
        assert!(!strong("пароль мой"));
    }

    #[test]
    fn the_list_is_folded_and_without_repetitions() {
        let mut seen = std::collections::HashSet::new();
        for line in COMMON.lines() {
            assert_eq!(line, line.to_lowercase().trim());
            assert!(seen.insert(line), "{line}");
        }
        assert!(seen.len() > 500);
    }
}
