//! `issuers:`: other issuers whose tokens rules may take.
//!
//! INVARIANT: `none` and shared secrets (HS256 and its like) are no algorithms that can be written here.

use std::path::Path;

use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{oidc, values};
use crate::decision::issuer::IssuerNumber;
use crate::issuers::{ALGORITHMS, Issuer, KeySource, read_set};

/// Largest file of keys.
const KEYS_BYTES: u64 = 256 * 1024;
/// Longest `iss`.
const ISSUER_BYTES: usize = 255;
/// What tokens may be signed with where nothing is written: what nearly every issuer uses.
const USUAL: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// Reads the section. Files are relative to `beside`.
pub(super) fn issuers(field: &Field<'_>, beside: &Path) -> Option<Vec<Issuer>> {
    let items = field.items();
    if items.len() > IssuerNumber::MOST {
        field.problem(Complaint::new(format!("more than {} issuers", IssuerNumber::MOST), "take some out"));
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| issuer(item, beside)).collect();
    for (n, (item, one)) in items.iter().zip(&read).enumerate() {
        let earlier = |is_same: &dyn Fn(&Issuer) -> bool| read.iter().take(n).flatten().any(is_same);
        let Some(one) = one else { continue };
        if earlier(&|other| other.name == one.name) {
            item.key("name").problem(Complaint::new(format!("`{}` stands twice", one.name), "give each issuer a name of its own"));
        }
        // a token would be judged by one of them, and which would be a guess
        if earlier(&|other| other.issuer == one.issuer) {
            item.key("issuer").problem(Complaint::new("another one has this issuer, too", "keep one, with the audiences of both"));
        }
    }
    read.into_iter().collect()
}

fn issuer(field: &Field<'_>, beside: &Path) -> Option<Issuer> {
    field.mapping(&["name", "issuer", "jwks", "audiences", "algorithms", "scope_claim", "tenant_claim", "typ"]);
    let name = field.key("name").need(name);
    let keys_at = field.key("jwks");
    let is_discovered = keys_at.shape() == Shape::Absent;
    let issuer = field.key("issuer").need(|text| iss(text, is_discovered));
    let keys = if is_discovered { Some(KeySource::Discovery) } else { keys_at.read(|text| keys(text, beside)) };
    let audiences_at = field.key("audiences");
    if audiences_at.shape() == Shape::Absent {
        audiences_at.missing("write for whom its tokens are meant (`aud`), like audiences: [https://api.example.com]; without it a token made for any other service would count here");
    }
    let audiences = list(&audiences_at, values::text, "write for whom its tokens are meant");
    let algorithms_at = field.key("algorithms");
    let algorithms = match algorithms_at.shape() {
        Shape::Absent => ALGORITHMS.into_iter().filter(|(name, _)| USUAL.contains(name)).map(|(_, algorithm)| Some(algorithm)).collect(),
        _ => list(&algorithms_at, algorithm, "write what its tokens are signed with, or take it out"),
    };
    let scope_claim = or(&field.key("scope_claim"), Some("scope".to_owned()), values::text);
    let tenant_at = field.key("tenant_claim");
    let tenant_claim = if tenant_at.shape() == Shape::Absent { Some(None) } else { tenant_at.read(values::text).map(Some) };
    let access_tokens_only = or(&field.key("typ"), Some(false), values::one_of(&[("at+jwt", true), ("JWT", false)]));
    Some(Issuer {
        name: name?,
        issuer: issuer?,
        keys: keys?,
        audiences: audiences?,
        algorithms: algorithms?,
        scope_claim: scope_claim?,
        tenant_claim: tenant_claim?,
        access_tokens_only: access_tokens_only?,
    })
}

fn name(text: &str) -> Result<String, Complaint> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=32).contains(&text.len()) && text.bytes().all(fine) {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(format!("`{text}` is no name of an issuer"), "write 1 to 32 of a-z, 0-9 and `-`"))
    }
}

/// The `iss` of tokens, byte for byte: a slash at the end counts.
fn iss(text: &str, is_discovered: bool) -> Result<String, Complaint> {
    if text.is_empty() || text.len() > ISSUER_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let what_to_do = format!("write the `iss` of its tokens: 1 to {ISSUER_BYTES} visible characters");
        return Err(Complaint::new(format!("`{text}` is no issuer"), what_to_do));
    }
    if is_discovered {
        safe(text).map_err(|complaint| Complaint {
            what_to_do: format!("{}, or say with jwks where its keys are", complaint.what_to_do),
            ..complaint
        })?;
    }
    Ok(text.to_owned())
}

/// An address that whoever is between us and it cannot speak for.
fn safe(text: &str) -> Result<String, Complaint> {
    values::http_url(text)?;
    if oidc::is_safe(text) {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(format!("whoever is between us and `{text}` could be anybody"), "write an https address"))
    }
}

fn keys(text: &str, beside: &Path) -> Result<KeySource, Complaint> {
    let Some(path) = text.strip_prefix("file:") else {
        return safe(text)
            .map(KeySource::Address)
            .map_err(|complaint| Complaint { what_to_do: "write an https address, or file:PATH".into(), ..complaint });
    };
    let path = beside.join(values::path(path)?);
    let wrong = |what: String| Complaint::new(format!("`{}`: {what}", path.display()), "name a file with a set of public keys (RFC 7517)");
    let text = super::file::read_text(&path, KEYS_BYTES).map_err(wrong)?;
    let set = serde_json::from_str(&text).map_err(|error| wrong(format!("no JSON: {error}")))?;
    read_set(&set).map_err(wrong)?;
    Ok(KeySource::File(path))
}

fn algorithm(text: &str) -> Result<jsonwebtoken::Algorithm, Complaint> {
    let names = ALGORITHMS.map(|(name, _)| name).join(", ");
    if text.eq_ignore_ascii_case("none") {
        return Err(Complaint::new("a token that nobody signed is anybody's", format!("write one of {names}")));
    }
    if text.starts_with("HS") {
        let what = format!("`{text}` goes by a shared secret: whoever verifies such tokens can make them");
        return Err(Complaint::new(what, format!("write one of {names}")));
    }
    values::one_of(&ALGORITHMS)(text)
}

/// The items of a list that is not empty.
fn list<T>(field: &Field<'_>, read: impl Fn(&str) -> Result<T, Complaint>, what_to_do: &str) -> Option<Vec<T>> {
    let items = field.items();
    if items.is_empty() && field.shape() == Shape::Sequence {
        field.problem(Complaint::new("an empty list", what_to_do));
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| item.read(&read)).collect();
    Some(read.into_iter().collect::<Option<Vec<_>>>()?).filter(|read| !read.is_empty())
}

/// What is written, or else this.
fn or<T>(field: &Field<'_>, otherwise: Option<T>, read: impl Fn(&str) -> Result<T, Complaint>) -> Option<T> {
    if field.shape() == Shape::Absent { otherwise } else { field.read(read) }
}
