//! Reasons: every way to refuse, each with its stable code and its one status.

/// Why a request is refused. `as_str` is the code in `X-Deny-Reason`, metrics, the log and `/explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing was presented.
    NoCredential,
    /// A kind of credential that this rule does not take.
    CredentialNotAccepted,
    /// Malformed, forged, unknown, ended, or two carriers that differ.
    InvalidCredential,
    /// A ticket that let something pass already.
    TicketUsed,
    /// A scope is missing.
    InsufficientScope,
    /// No rule for this host and path.
    NoRule,
    /// Rules for host and path, none of which lists the method.
    MethodNotListed,
    /// A path parameter is not the principal's own.
    MatchFailed,
    /// The tenant is not among those that may pass.
    TenantMismatch,
    /// The client is not in a network that the rule, or its key, is for; or it is not known where it is.
    NetworkRefused,
    /// The path means different things to different servers.
    PathRefused,
    /// The proxy did not describe the request.
    RequestNotDescribed,
    /// `X-Proxy-Secret` is missing or wrong.
    ProxySecret,
    /// Too many in a short time.
    RateLimited,
    /// As many as may pass in the day or month have passed.
    QuotaExceeded,
    /// Store or lease missing.
    StoreUnavailable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::NoCredential,
        Self::CredentialNotAccepted,
        Self::InvalidCredential,
        Self::TicketUsed,
        Self::InsufficientScope,
        Self::NoRule,
        Self::MethodNotListed,
        Self::MatchFailed,
        Self::TenantMismatch,
        Self::NetworkRefused,
        Self::PathRefused,
        Self::RequestNotDescribed,
        Self::ProxySecret,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::StoreUnavailable,
    ];

    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::CredentialNotAccepted => "credential_not_accepted",
            Self::InvalidCredential => "invalid_credential",
            Self::TicketUsed => "ticket_used",
            Self::InsufficientScope => "insufficient_scope",
            Self::NoRule => "no_rule",
            Self::MethodNotListed => "method_not_listed",
            Self::MatchFailed => "match_failed",
            Self::TenantMismatch => "tenant_mismatch",
            Self::NetworkRefused => "network_refused",
            Self::PathRefused => "path_refused",
            Self::RequestNotDescribed => "request_not_described",
            Self::ProxySecret => "proxy_secret",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::StoreUnavailable => "store_unavailable",
        }
    }

    /// The status (RFC 9110 §15.5, RFC 6585 §4; 503 so that a store outage is never taken for a logout).
    pub fn status(self) -> u16 {
        match self {
            Self::NoCredential | Self::CredentialNotAccepted | Self::InvalidCredential | Self::TicketUsed => 401,
            Self::InsufficientScope
            | Self::NoRule
            | Self::MethodNotListed
            | Self::MatchFailed
            | Self::TenantMismatch
            | Self::NetworkRefused
            | Self::PathRefused
            | Self::RequestNotDescribed
            | Self::ProxySecret => 403,
            Self::RateLimited | Self::QuotaExceeded => 429,
            Self::StoreUnavailable => 503,
        }
    }

    /// What `WWW-Authenticate` says (RFC 6750 §3); `scope` is what the rule demands.
    pub fn challenge(self, scope: Option<&super::scopes::ScopeSet>) -> Option<String> {
        match self {
            Self::NoCredential | Self::CredentialNotAccepted => Some(r#"Bearer realm="gatepost""#.to_owned()),
            Self::InvalidCredential | Self::TicketUsed => Some(r#"Bearer realm="gatepost", error="invalid_token""#.to_owned()),
            Self::InsufficientScope => {
                let scope = scope.map(ToString::to_string).unwrap_or_default();
                Some(format!(r#"Bearer realm="gatepost", error="insufficient_scope", scope="{scope}""#))
            }
            Self::NoRule
            | Self::MethodNotListed
            | Self::MatchFailed
            | Self::TenantMismatch
            | Self::NetworkRefused
            | Self::PathRefused
            | Self::RequestNotDescribed
            | Self::ProxySecret
            | Self::RateLimited
            | Self::QuotaExceeded
            | Self::StoreUnavailable => None,
        }
    }

    /// What there is to say where nothing more is known.
    pub fn usual_message(self) -> &'static str {
        match self {
            Self::NoCredential => "no credential",
            Self::CredentialNotAccepted => "credential not accepted here",
            Self::InvalidCredential => "invalid credential",
            Self::TicketUsed => "this ticket has been used: get one for each connection (POST /v1/tickets)",
            Self::InsufficientScope => "missing scope",
            Self::NoRule => "no rule for this host and path",
            Self::MethodNotListed => "no rule for this method",
            Self::MatchFailed => "not yours",
            Self::TenantMismatch => "this tenant may not pass here",
            Self::NetworkRefused => "not from your network",
            Self::PathRefused => "path refused",
            Self::RequestNotDescribed => "request not described",
            Self::ProxySecret => "wrong proxy secret",
            Self::RateLimited => "too many requests: try again shortly",
            Self::QuotaExceeded => "no more requests in this day or month",
            Self::StoreUnavailable => "authorization unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_in_the_guide_with_its_status() {
        let guide = include_str!("../../docs/operating.md");
        for reason in Reason::ALL {
            let row = format!("| `{}` | {} | ", reason.as_str(), reason.status());
            assert_eq!(guide.matches(&row).count(), 1, "{row}");
        }
    }
}
