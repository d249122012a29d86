//! The rules of one installation: who may sign up, what a password must be, how long things live.

use std::time::Duration;

use super::return_to::ReturnRules;
use crate::decision::scopes::ScopeSet;
use crate::token::record::TokenFormat;
use crate::token::secret::KeyPrefix;

/// Who may sign up directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUp {
    /// The first founds the installation, everyone after needs an invitation.
    First,
    /// Everyone.
    Open,
    /// Nobody: an invitation, always.
    Invitation,
}

/// Whether a phone number is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequirePhone {
    /// Founders are asked.
    First,
    /// No key before it.
    Always,
    /// Never.
    Never,
}

/// Who must have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequireSecondFactor {
    /// Nobody.
    Never,
    /// Admins, and whoever has somebody below.
    Managers,
    /// Everybody who logs in.
    Always,
}

/// What the accounts rely on.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Who may sign up directly.
    pub sign_up: SignUp,
    /// What a direct sign-up holds in the tenant it founds.
    pub direct_scopes: ScopeSet,
    /// What someone holds who proves a contact or an identity and has no account: an end user of the founding tenant. `None` = nobody does.
    pub end_users: Option<ScopeSet>,
    /// Whether a phone number is asked for.
    pub require_phone: RequirePhone,
    /// Who must have a second factor.
    pub require_second_factor: RequireSecondFactor,
    /// In characters.
    pub password_min_length: usize,
    /// Whether login tells an unknown user from a wrong password.
    pub reveal_unknown_users: bool,
    /// How long a login's JWT and an unused token live.
    pub ttl: Duration,
    /// How long a session lives.
    pub session_max: Duration,
    /// How long a browser's session lives unused.
    pub session_idle: Duration,
    /// Where a login in a browser may return to.
    pub returns: ReturnRules,
    /// How tokens are written.
    pub format: TokenFormat,
    /// What API keys made from now on begin with.
    pub key_prefix: KeyPrefix,
    /// The `iss` of JWTs.
    pub issuer: String,
}
