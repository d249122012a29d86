//! Who did what: each admin act leaves one entry, in the database within the act's own transaction
//! and as one JSON line among those of the log, at whatever level that is kept.
//!
//! INVARIANT: no entry, no act. An entry never holds a secret, nor a name that someone typed: it may be a password.

use serde::Serialize;

use crate::clock::UnixMs;
use crate::id::Id;

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A principal.
    Principal(Id),
    /// Someone at the command line.
    Cli,
    /// The program itself.
    System,
    /// Whoever it was did not prove it.
    Unknown,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Principal(uid) => uid.fmt(f),
            Self::Cli => f.write_str("cli"),
            Self::System => f.write_str("system"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Who acts, and from where.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The client's address; empty for acts that no client asked for.
    pub origin: String,
}

impl By {
    /// The program itself.
    pub fn system() -> Self {
        Self { actor: Actor::System, origin: String::new() }
    }

    /// Someone at the command line.
    pub fn cli() -> Self {
        Self { actor: Actor::Cli, origin: String::new() }
    }

    /// The principal `uid`, asking from `origin`.
    pub fn principal(uid: Id, origin: impl ToString) -> Self {
        Self { actor: Actor::Principal(uid), origin: origin.to_string() }
    }

    /// Whoever asks from `origin`.
    pub fn unknown(origin: impl ToString) -> Self {
        Self { actor: Actor::Unknown, origin: origin.to_string() }
    }

    /// The entry for `action` on `target`.
    pub fn did(&self, action: Action, target: impl ToString) -> Entry {
        Entry { by: self.clone(), action, target: target.to_string(), result: Outcome::Done }
    }

    /// The entry for `action` on `target`, which was refused.
    pub fn tried(&self, action: Action, target: impl ToString) -> Entry {
        Entry { result: Outcome::Refused, ..self.did(action, target) }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The sign-up that founded the installation.
    Found,
    /// Any other sign-up.
    SignUp,
    /// A login made a session.
    Login,
    /// Someone signed in by an OpenID provider.
    OidcLogin,
    /// An identity at an OpenID provider became one of an account that stood.
    OidcLink,
    /// The person ended a session.
    Logout,
    /// A refresh token was exchanged for its successor.
    Refresh,
    /// A rotated refresh token came again: its session ended.
    RefreshReuse,
    /// A session was ended from the list.
    SessionEnd,
    /// The password was changed.
    PasswordChange,
    /// The password was hashed again under today's parameters.
    PasswordRehash,
    /// A one-time code was asked for.
    CodeSend,
    /// Someone said which e-mail address or phone number is theirs.
    ProfileChange,
    /// A refresh key was set.
    RefreshKey,
    /// A second factor began to be set up.
    SecondFactorBegin,
    /// A second factor counts from here on.
    SecondFactorSet,
    /// A second factor was removed.
    SecondFactorEnd,
    /// Somebody above, or at the command line, took a person's second factor away.
    SecondFactorReset,
    /// Recovery codes were made anew.
    RecoveryCodesRenew,
    /// A recovery code stood in for the second factor.
    RecoveryCodeUse,
    /// An e-mail address or a phone number was proved.
    ContactVerify,
    /// One was proved that stood unproved on another account: what let the other in has ended.
    TakeOver,
    /// A key was made.
    KeyCreate,
    /// Keys that were made elsewhere were imported.
    KeyImport,
    /// A key got a new secret.
    KeyRotate,
    /// A key's scopes were changed.
    KeyScopes,
    /// What is agreed about a key was changed.
    KeyTerms,
    /// A key was ended.
    KeyEnd,
    /// An access token was ended.
    TokenEnd,
    /// The key of the first minutes was made.
    Quickstart,
    /// An admin, client or sub-client was made.
    PrincipalCreate,
    /// One was blocked.
    PrincipalBlock,
    /// One was let in again.
    PrincipalUnblock,
    /// Its policies were replaced.
    PrincipalPolicies,
    /// What is agreed about one was changed.
    PrincipalTerms,
    /// One was ended.
    PrincipalEnd,
    /// A policy was made.
    PolicyCreate,
    /// A policy was changed.
    PolicyChange,
    /// A policy was ended.
    PolicyEnd,
    /// Someone was invited.
    InvitationCreate,
    /// An invitation was withdrawn.
    InvitationEnd,
    /// A tenant was made from a file.
    TenantCreate,
    /// A tenant was blocked.
    TenantBlock,
    /// A tenant was let in again.
    TenantUnblock,
    /// A copy of another database was put into this one.
    Import,
    /// An examination of a proxy was opened.
    Examine,
    /// A token or a subject of another issuer was denied.
    Deny,
    /// It was let in again.
    DenialEnd,
}

impl Action {
    /// As in the database and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::SignUp => "sign_up",
            Self::Login => "login",
            Self::OidcLogin => "oidc_login",
            Self::OidcLink => "oidc_link",
            Self::Logout => "logout",
            Self::Refresh => "refresh",
            Self::RefreshReuse => "refresh_reuse",
            Self::SessionEnd => "session_end",
            Self::PasswordChange => "password_change",
            Self::PasswordRehash => "password_rehash",
            Self::CodeSend => "code_send",
            Self::ProfileChange => "profile_change",
            Self::RefreshKey => "refresh_key",
            Self::SecondFactorBegin => "second_factor_begin",
            Self::SecondFactorSet => "second_factor_set",
            Self::SecondFactorEnd => "second_factor_end",
            Self::SecondFactorReset => "second_factor_reset",
            Self::RecoveryCodesRenew => "recovery_codes_renew",
            Self::RecoveryCodeUse => "recovery_code_use",
            Self::ContactVerify => "contact_verify",
            Self::TakeOver => "take_over",
            Self::KeyCreate => "key_create",
            Self::KeyImport => "key_import",
            Self::KeyRotate => "key_rotate",
            Self::KeyScopes => "key_scopes",
            Self::KeyTerms => "key_terms",
            Self::KeyEnd => "key_end",
            Self::TokenEnd => "token_end",
            Self::Quickstart => "quickstart",
            Self::PrincipalCreate => "principal_create",
            Self::PrincipalBlock => "principal_block",
            Self::PrincipalUnblock => "principal_unblock",
            Self::PrincipalPolicies => "principal_policies",
            Self::PrincipalTerms => "principal_terms",
            Self::PrincipalEnd => "principal_end",
            Self::PolicyCreate => "policy_create",
            Self::PolicyChange => "policy_change",
            Self::PolicyEnd => "policy_end",
            Self::InvitationCreate => "invitation_create",
            Self::InvitationEnd => "invitation_end",
            Self::TenantCreate => "tenant_create",
            Self::TenantBlock => "tenant_block",
            Self::TenantUnblock => "tenant_unblock",
            Self::Import => "import",
            Self::Examine => "examine",
            Self::Deny => "deny",
            Self::DenialEnd => "denial_end",
        }
    }
}

/// One act.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who, from where.
    pub by: By,
    /// What.
    pub action: Action,
    /// The id of what it was done to.
    pub target: String,
    /// What became of it.
    pub result: Outcome,
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands.
    Done,
    /// Whoever wanted it may not.
    Refused,
}

impl Outcome {
    /// As in the database and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

impl Entry {
    /// Writes the log line of an act committed at `at`.
    pub fn log(&self, at: UnixMs) {
        #[derive(Serialize)]
        struct Line<'a> {
            at: u64,
            actor: String,
            action: &'a str,
            target: &'a str,
            from: &'a str,
            result: &'a str,
        }
        let line = Line {
            at: at.seconds(),
            actor: self.by.actor.to_string(),
            action: self.action.as_str(),
            target: &self.target,
            from: &self.by.origin,
            result: self.result.as_str(),
        };
        if let Ok(json) = serde_json::to_string(&line) {
            tracing::info!(target: "audit", "{json}");
        }
    }
}
