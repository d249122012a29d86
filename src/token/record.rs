//! Records: what the token store keeps about keys, sessions, principals, tenants and policies.
//!
//! The database is the authority; a record is its copy under a version, so that a store can tell
//! newer from older and never takes an older one (COHERENCE: gp_end, gp_mint). The fill of a check
//! gathers the records that one credential hangs on; [`crate::token::holder`] judges them.

use crate::clock::UnixMs;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::token::denials::DenialsRecord;
use crate::token::terms::Terms;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An API key.
    Key,
    /// A session.
    Session,
    /// A principal, or a tenant (the root of its principals).
    Subject,
    /// A policy.
    Policy,
    /// Denials of other issuers' tokens, one bucket of them.
    Denials,
}

/// A record with its name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub id: Id,
    /// Grows with every change; an absent record is version 0.
    pub version: u64,
    /// What it says.
    pub content: Content,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An API key.
    Key(KeyRecord),
    /// A session.
    Session(SessionRecord),
    /// A principal or a tenant.
    Subject(SubjectRecord),
    /// A policy.
    Policy(PolicyRecord),
    /// A bucket of denials.
    Denials(DenialsRecord),
}

impl Record {
    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Key(_) => Kind::Key,
            Content::Session(_) => Kind::Session,
            Content::Subject(_) => Kind::Subject,
            Content::Policy(_) => Kind::Policy,
            Content::Denials(_) => Kind::Denials,
        }
    }
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The principal it belongs to.
    pub subject: Id,
    /// What it may do at most.
    pub scopes: ScopeSet,
    /// SHA-256 of each secret (the whole `gpk_…` text) with the time its rotation grace ends; `None` = the standing one.
    pub secrets: Vec<([u8; 32], Option<UnixMs>)>,
    /// When it ends by itself.
    pub ends: Option<UnixMs>,
    /// Whether it has been ended.
    pub ended: bool,
    /// What is agreed besides.
    pub terms: Terms,
}

impl KeyRecord {
    /// Whether it has neither been ended nor run out.
    pub fn is_live(&self, now: UnixMs) -> bool {
        !self.ended && self.ends.is_none_or(|end| end > now)
    }
}

/// A session: one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The principal who logged in.
    pub subject: Id,
    /// Its absolute end.
    pub ends: UnixMs,
    /// When it ends if not used again: a browser's session has such an end, a login by JWT has none.
    pub idle_ends: Option<UnixMs>,
    /// Whether it has been ended.
    pub ended: bool,
}

impl SessionRecord {
    /// Whether it has neither been ended nor run out, nor stayed unused for too long.
    pub fn is_live(&self, now: UnixMs) -> bool {
        !self.ended && self.ends > now && self.idle_ends.is_none_or(|end| end > now)
    }
}

/// Where a principal stands. A tenant is a subject too, with no parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The tenant itself.
    Tenant,
    /// The founder of the installation.
    SuperAdmin,
    /// The founder of a tenant, or made by a super admin.
    Admin,
    /// Made by an admin.
    Client,
    /// Made by a client.
    SubClient,
    /// Came by code or OpenID Connect.
    EndUser,
    /// The built-in principal of the first minutes.
    Quickstart,
    /// Nobody of ours: whoever another issuer's token is about. No record has it.
    Foreign,
}

impl Role {
    /// As in the API, rules and headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::SuperAdmin => "super_admin",
            Self::Admin => "admin",
            Self::Client => "client",
            Self::SubClient => "sub_client",
            Self::EndUser => "end_user",
            Self::Quickstart => "quickstart",
            Self::Foreign => "foreign",
        }
    }

    /// The role with this name, among those that records have.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Tenant, Self::SuperAdmin, Self::Admin, Self::Client, Self::SubClient, Self::EndUser, Self::Quickstart]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// A principal or a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRecord {
    /// What `X-Auth-User` shows: user name, verified e-mail or verified phone, otherwise the uid. A tenant's name for a tenant.
    pub name: String,
    /// Where it stands.
    pub role: Role,
    /// The next one up: the parent principal, or the tenant for the topmost, `None` for a tenant.
    pub up: Option<Id>,
    /// The tenant it belongs to; itself for a tenant.
    pub tenant: Id,
    /// What it was given directly.
    pub scopes: ScopeSet,
    /// The policies attached to it; what it may do is its scopes and these together, less their denies.
    pub policies: Vec<Id>,
    /// Whether it is blocked or deleted: refuses everyone below, too.
    pub blocked: bool,
    /// What is agreed besides.
    pub terms: Terms,
}

/// A named set of scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRecord {
    /// What it gives.
    pub allow: ScopeSet,
    /// What it takes, whatever else gives it.
    pub deny: ScopeSet,
    /// Whether it has been deleted: gives and takes nothing.
    pub ended: bool,
    /// What is agreed besides.
    pub terms: Terms,
}

/// A live access token as the store keeps it. A token id is written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: Id,
    /// The key it was minted from.
    pub key: Id,
    /// What it may do at most.
    pub scopes: ScopeSet,
    /// When it was minted.
    pub issued: UnixMs,
    /// Its absolute end.
    pub cap: UnixMs,
    /// Opaque or JWT.
    pub format: TokenFormat,
    /// The name (fingerprint) of the secret key that authenticates it.
    pub signed_by: String,
    /// The `iss` of a JWT; empty for an opaque one.
    pub issuer: String,
}

/// How access tokens are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// `gpt_…`
    Opaque,
    /// A JWT, `typ: at+jwt`.
    Jwt,
}

impl TokenFormat {
    /// As in the configuration and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::Jwt => "jwt",
        }
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Opaque, Self::Jwt].into_iter().find(|format| format.as_str() == name)
    }
}

/// What one credential hangs on, read from the store in one go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// The token with its idle end, where the credential is an access token.
    pub token: Option<(TokenRecord, UnixMs)>,
    /// The key, where the credential is an access token or an API key.
    pub key: Option<(Id, KeyRecord)>,
    /// The session, where the credential is a login's JWT.
    pub session: Option<(Id, SessionRecord)>,
    /// The principal first, then each one above it, the tenant last. Empty or broken off = refuse.
    pub chain: Vec<(Id, SubjectRecord)>,
    /// Every policy that the chain names. One missing = refuse.
    pub policies: Vec<(Id, PolicyRecord)>,
    /// The buckets that another issuer's token falls into. One missing = refuse.
    pub denials: Vec<(Id, DenialsRecord)>,
}

impl Fill {
    /// What these records say, in their order; no token.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let mut fill = Self::default();
        for Record { id, content, .. } in records {
            match content {
                Content::Key(key) => fill.key = Some((id, key)),
                Content::Session(session) => fill.session = Some((id, session)),
                Content::Subject(subject) => fill.chain.push((id, subject)),
                Content::Policy(policy) => fill.policies.push((id, policy)),
                Content::Denials(denials) => fill.denials.push((id, denials)),
            }
        }
        fill
    }

    /// Whether every record is there that the others name.
    pub fn is_whole(&self) -> bool {
        let mut named = self.chain.iter().flat_map(|(_, subject)| &subject.policies);
        let topped = self.chain.last().is_some_and(|(_, top)| top.up.is_none());
        topped && named.all(|policy| self.policies.iter().any(|(id, _)| id == policy))
    }
}
