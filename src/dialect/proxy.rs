//! The proxies whose dialects are known.

/// Which proxy asks at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// nginx `auth_request`
    Nginx,
    /// Traefik ForwardAuth
    Traefik,
    /// Caddy `forward_auth`
    Caddy,
    /// HAProxy with the Lua action
    Haproxy,
    /// Envoy ext_authz over HTTP
    Envoy,
}

impl Proxy {
    /// Every proxy.
    pub const ALL: [Self; 5] = [Self::Nginx, Self::Traefik, Self::Caddy, Self::Haproxy, Self::Envoy];

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// The proxy of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proxy| proxy.as_str() == name)
    }
}
