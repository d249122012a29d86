//! Records as text: what is written into Redis, and how it is read back. JSON, for whoever looks with `redis-cli`.

use serde::{Deserialize, Serialize};

use super::link::Call;
use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::{Id, from_hex, hex};
use crate::token::denials::DenialsRecord;
use crate::token::record::{Content, KeyRecord, PolicyRecord, Record, Role, SessionRecord, SubjectRecord, TokenFormat, TokenRecord};
use crate::token::terms::Terms;

#[derive(Serialize, Deserialize)]
struct Key {
    subject: Id,
    scopes: String,
    secrets: Vec<(String, Option<UnixMs>)>,
    ends: Option<UnixMs>,
    ended: bool,
    #[serde(default, skip_serializing_if = "Terms::are_none")]
    terms: Terms,
}

#[derive(Serialize, Deserialize)]
struct Session {
    subject: Id,
    ends: UnixMs,
    #[serde(default)]
    idle_ends: Option<UnixMs>,
    ended: bool,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    role: String,
    up: Option<Id>,
    tenant: Id,
    scopes: String,
    policies: Vec<Id>,
    blocked: bool,
    #[serde(default, skip_serializing_if = "Terms::are_none")]
    terms: Terms,
}

#[derive(Serialize, Deserialize)]
struct Policy {
    allow: String,
    deny: String,
    ended: bool,
    #[serde(default, skip_serializing_if = "Terms::are_none")]
    terms: Terms,
}

#[derive(Serialize, Deserialize)]
struct Denials {
    denied: Vec<(Id, Option<UnixMs>)>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    key: Id,
    scopes: String,
    issued: UnixMs,
    cap: UnixMs,
    format: String,
    signed_by: String,
    issuer: String,
}

/// The seven arguments of a record (`common.lua`).
pub(super) fn push(call: Call, record: &Record) -> Call {
    let ids = |ids: &[Id]| ids.iter().map(Id::to_string).collect::<Vec<_>>().join(" ");
    let (kind, content, ended, up, policies) = match &record.content {
        Content::Key(key) => {
            let secrets = key.secrets.iter().map(|(hash, until)| (hex(hash), *until)).collect();
            let text = Key {
                subject: key.subject,
                scopes: key.scopes.to_string(),
                secrets,
                ends: key.ends,
                ended: key.ended,
                terms: key.terms.clone(),
            };
            ("k", json(&text), key.ended, Some(key.subject), String::new())
        }
        Content::Session(session) => {
            let text = Session { subject: session.subject, ends: session.ends, idle_ends: session.idle_ends, ended: session.ended };
            ("l", json(&text), session.ended, Some(session.subject), String::new())
        }
        Content::Subject(subject) => {
            let text = Subject {
                name: subject.name.clone(),
                role: subject.role.as_str().to_owned(),
                up: subject.up,
                tenant: subject.tenant,
                scopes: subject.scopes.to_string(),
                policies: subject.policies.clone(),
                blocked: subject.blocked,
                terms: subject.terms.clone(),
            };
            ("s", json(&text), subject.blocked, subject.up, ids(&subject.policies))
        }
        Content::Policy(policy) => {
            let text =
                Policy { allow: policy.allow.to_string(), deny: policy.deny.to_string(), ended: policy.ended, terms: policy.terms.clone() };
            ("p", json(&text), policy.ended, None, String::new())
        }
        Content::Denials(denials) => ("d", json(&Denials { denied: denials.denied.clone() }), false, None, String::new()),
    };
    call.arg(kind)
        .id(record.id)
        .number(record.version)
        .arg(content)
        .arg(if ended { "1" } else { "0" })
        .arg(up.map(|up| up.to_string()).unwrap_or_default())
        .arg(policies)
}

/// The content of a token's record.
pub(super) fn of_token(token: &TokenRecord) -> String {
    json(&Token {
        key: token.key,
        scopes: token.scopes.to_string(),
        issued: token.issued,
        cap: token.cap,
        format: token.format.as_str().to_owned(),
        signed_by: token.signed_by.clone(),
        issuer: token.issuer.clone(),
    })
}

fn json(value: &impl Serialize) -> String {
    // cannot fail: plain structs of texts and numbers
    serde_json::to_string(value).unwrap_or_default()
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn scopes(text: &str) -> Option<ScopeSet> {
    text.parse().ok()
}

/// A token as [`of_token`] wrote it. `None` = nobody of this house wrote that.
pub(super) fn token(id: Id, text: &str) -> Option<TokenRecord> {
    let token: Token = read(text)?;
    Some(TokenRecord {
        id,
        key: token.key,
        scopes: scopes(&token.scopes)?,
        issued: token.issued,
        cap: token.cap,
        format: TokenFormat::from_name(&token.format)?,
        signed_by: token.signed_by,
        issuer: token.issuer,
    })
}

/// A key as [`push`] wrote it.
pub(super) fn key(text: &str) -> Option<KeyRecord> {
    let key: Key = read(text)?;
    let secrets = key.secrets.into_iter().map(|(hash, until)| Some((from_hex(&hash)?, until))).collect::<Option<_>>()?;
    Some(KeyRecord { subject: key.subject, scopes: scopes(&key.scopes)?, secrets, ends: key.ends, ended: key.ended, terms: key.terms })
}

/// A session as [`push`] wrote it.
pub(super) fn session(text: &str) -> Option<SessionRecord> {
    let session: Session = read(text)?;
    Some(SessionRecord { subject: session.subject, ends: session.ends, idle_ends: session.idle_ends, ended: session.ended })
}

/// A subject as [`push`] wrote it.
pub(super) fn subject(text: &str) -> Option<SubjectRecord> {
    let subject: Subject = read(text)?;
    Some(SubjectRecord {
        name: subject.name,
        role: Role::from_name(&subject.role)?,
        up: subject.up,
        tenant: subject.tenant,
        scopes: scopes(&subject.scopes)?,
        policies: subject.policies,
        blocked: subject.blocked,
        terms: subject.terms,
    })
}

/// A policy as [`push`] wrote it.
pub(super) fn policy(text: &str) -> Option<PolicyRecord> {
    let policy: Policy = read(text)?;
    Some(PolicyRecord { allow: scopes(&policy.allow)?, deny: scopes(&policy.deny)?, ended: policy.ended, terms: policy.terms })
}

/// A bucket of denials as [`push`] wrote it.
pub(super) fn denials(text: &str) -> Option<DenialsRecord> {
    read(text).map(|Denials { denied }| DenialsRecord { denied })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = Id> {
        any::<[u8; 16]>().prop_map(Id::from_bytes)
    }

    fn sets() -> impl Strategy<Value = ScopeSet> {
        proptest::collection::vec("[a-z._-]{1,8}(:[a-z]{1,4}){0,2}(:\\*)?", 0..5)
            .prop_map(|texts| ScopeSet::parse(texts.iter().map(String::as_str)).unwrap())
    }

    fn times() -> impl Strategy<Value = UnixMs> {
        (0..1u64 << 45).prop_map(UnixMs)
    }

    proptest! {
        #[test]
        fn tokens_come_back(id in ids(), key in ids(), scopes in sets(), issued in times(), cap in times(), jwt: bool, issuer in ".{0,20}") {
            let format = if jwt { TokenFormat::Jwt } else { TokenFormat::Opaque };
            let record = TokenRecord { id, key, scopes, issued, cap, format, signed_by: "ab12".into(), issuer };
            prop_assert_eq!(token(id, &of_token(&record)), Some(record));
        }

        #[test]
        fn whatever_stands_there_is_read_or_refused(text in ".{0,60}") {
            let _ = (token(Id::from_bytes([1; 16]), &text), key(&text), session(&text), subject(&text), policy(&text));
        }
    }
}
