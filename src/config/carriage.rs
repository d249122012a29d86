//! `from` of a gate: in which headers, behind which schemes, tokens and keys stand.
//!
//! INVARIANT: no value can be read in two ways: a header without a scheme has one place, and no scheme of a header stands twice.

use super::identity::means_something;
use super::listeners::header_name;
use super::problem::Complaint;
use super::reader::{Field, Shape};
use super::{Carriage, Proxy};
use crate::dialect::{self, Holds, Place};

/// Most places of a gate.
const MOST: usize = 16;
/// What every gate reads; of `token` and `key` the one that is not written stays as it is.
const TOKENS: [&str; 2] = ["Authorization: Bearer", "X-Authorization: Agent"];
const KEYS: [&str; 1] = ["X-Api-Key"];
/// Of what a gate reads anyway, these carry credentials.
const CARRIERS: [&str; 3] = ["authorization", "x-authorization", "x-api-key"];

/// Reads it; `None` only after a problem.
pub(super) fn read(field: &Field<'_>, proxy: Option<Proxy>) -> Option<Option<Carriage>> {
    if field.shape() == Shape::Absent {
        return Some(None);
    }
    field.mapping(&["token", "key"]);
    let mut places: Vec<Place> = Vec::new();
    let mut whole = field.shape() == Shape::Mapping;
    for (name, usual, holds) in [("token", &TOKENS[..], Holds::Token), ("key", &KEYS[..], Holds::Key)] {
        let list = field.key(name);
        if list.shape() == Shape::Absent {
            // what every gate reads is fine, but for what stands there already
            for place in usual.iter().filter_map(|text| place(text, holds, proxy).ok()) {
                match fits(&place, &places) {
                    Ok(()) => places.push(place),
                    Err(complaint) => {
                        list.problem(complaint);
                        whole = false;
                    }
                }
            }
            continue;
        }
        whole &= list.shape() == Shape::Sequence;
        for item in list.items() {
            match item.read(|text| place(text, holds, proxy)) {
                Some(place) => match fits(&place, &places) {
                    Ok(()) => places.push(place),
                    Err(complaint) => {
                        item.problem(complaint);
                        whole = false;
                    }
                },
                None => whole = false,
            }
        }
    }
    if places.len() > MOST {
        field.problem(Complaint::new(format!("more than {MOST} places"), "let clients agree on fewer"));
        whole = false;
    }
    whole.then(|| Some(Carriage::new(places)))
}

/// `Header`, or `Header: Scheme`.
fn place(text: &str, holds: Holds, proxy: Option<Proxy>) -> Result<Place, Complaint> {
    let (header, scheme) = match text.split_once(':') {
        None => (text, None),
        Some((header, scheme)) => (header, Some(scheme.trim_matches(' '))),
    };
    let header = header_name(header)?;
    let known = header.as_str();
    let is_read = means_something(known) || proxy.is_some_and(|proxy| dialect::reads(proxy, &header));
    if is_read && !CARRIERS.contains(&known) {
        return Err(Complaint::new(format!("`{header}` means something else on the way"), "name a header of its own, like X-Api-Key"));
    }
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if scheme.is_some_and(|scheme| !is_scheme(scheme)) {
        return Err(Complaint::new(
            format!("`{text}` has no scheme after its header"),
            "write one like Authorization: Bearer, or the header alone",
        ));
    }
    let is_basic = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"));
    let holds = match (holds, is_basic) {
        (Holds::Token, true) => {
            return Err(Complaint::new("HTTP Basic carries a key here, as the password", "write it below `key`"));
        }
        (_, true) => Holds::BasicKey,
        (holds, false) => holds,
    };
    Ok(Place { header, scheme: scheme.map(str::to_owned), holds })
}

/// Whether a value can still be read in one way only.
fn fits(new: &Place, known: &[Place]) -> Result<(), Complaint> {
    for other in known.iter().filter(|other| other.header == new.header) {
        match (&new.scheme, &other.scheme) {
            (Some(new), Some(other)) if !new.eq_ignore_ascii_case(other) => {}
            (Some(_), Some(_)) => return Err(Complaint::new("this place stands twice", "take one out")),
            _ => {
                return Err(Complaint::new(
                    format!("`{}` without a scheme takes every value, and stands twice", new.header),
                    "write a scheme with each, or take one out",
                ));
            }
        }
    }
    Ok(())
}
