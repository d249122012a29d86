//! Faults: what each means, and how it is mended in each proxy.

use crate::dialect::Proxy;

/// What may be wrong with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// No gate was asked.
    NotAsked,
    /// The proxy secret is missing, wrong or doubled.
    ProxySecret,
    /// The proxy describes the request in headers that this gate does not read.
    WrongDialect,
    /// The proxy asks where nothing lives.
    WrongTarget,
    /// Method, URI or host are not told once and readably.
    NotDescribed,
    /// The gate is told another URI than the client sent.
    WrongUri,
    /// ... another method.
    WrongMethod,
    /// ... another host.
    WrongHost,
    /// ... another scheme.
    WrongScheme,
    /// The gate refused; the client was let through.
    RefusalIgnored,
    /// The client does not see the gate's status.
    StatusLost,
    /// Each check opens a connection.
    NoKeepAlive,
    /// The client's query stands in the check's own target.
    QueryAppended,
    /// The gate is not told the query.
    QueryLost,
    /// The check announces the client's body.
    BodyAnnounced,
    /// The client's own description is believed.
    DescriptionBelieved,
    /// Client headers that describe a request arrive beside the proxy's own.
    ClientHeaders,
    /// The client's identity headers arrive at the gate.
    IdentityToGate,
    /// Headers that the gate judges by do not arrive.
    CredentialsLost,
    /// The gate does not hear of an upgrade.
    UpgradeUntold,
    /// The gate judges a cleaned path.
    UriRewritten,
    /// A path goes past the gate.
    PastTheGate,
    /// A gate that fails lets everyone pass.
    FailOpen,
    /// A gate that is silent holds clients up.
    SlowTimeout,
    /// A 200 is not taken for yes.
    NotLetThrough,
    /// The application does not hear who asks.
    IdentityLost,
    /// The application believes the client who asks.
    IdentitySpoofed,
    /// The client can have the identity headers dropped.
    IdentityDropped,
    /// The client's description of the request reaches the application.
    ClientHeadersToApp,
    /// Credentials reach the application.
    CredentialsToApp,
    /// The proxy secret reaches the application.
    SecretToApp,
    /// An upgrade to h2c reaches the application.
    TunnelToApp,
    /// The application gets another request than was judged.
    RequestChanged,
}

/// The proxies whose own words differ, in the order of a text.
struct Mends {
    nginx: &'static str,
    traefik: &'static str,
    caddy: &'static str,
    envoy: &'static str,
    haproxy: &'static str,
}

impl Mends {
    const fn all(text: &'static str) -> Self {
        Self { nginx: text, traefik: text, caddy: text, envoy: text, haproxy: text }
    }
}

impl Fault {
    /// What it means, for whoever runs the proxy.
    pub(super) fn means(self) -> &'static str {
        match self {
            Self::NotAsked => {
                "no gate of this process heard of the request: the location is not protected, or the proxy asks another process, or cannot reach it"
            }
            Self::ProxySecret => {
                "the gate refuses every request with `proxy_secret`, as it would refuse a stranger who asks in the proxy's place"
            }
            Self::WrongDialect => "the gate reads the headers of the proxy in its `proxy:` and no others, so every request is refused",
            Self::WrongTarget => "a gate answers at /verify and /explain alone, so every request is refused",
            Self::NotDescribed => "what the gate cannot read once and plainly it does not guess: every such request is refused",
            Self::WrongUri => {
                "the rules judge another path than the one the application is asked for: routes open or close that nobody meant"
            }
            Self::WrongMethod => "the rules see one method whatever the client does: who may read may also delete",
            Self::WrongHost => "rules with `hosts:` match the wrong host, and sessions of one host count on another",
            Self::WrongScheme => "the gate takes the page for one of another scheme; the way back after a login may lead there",
            Self::RefusalIgnored => "the gate's no does not hold: whoever asks is let through",
            Self::StatusLost => "clients do not see the gate's own answer: its status, JSON body or challenge is lost on the way",
            Self::NoKeepAlive => "a connection a check costs more than the check itself, and runs out of ports under load",
            Self::QueryAppended => "the gate does not look at it, but tokens in queries end up in whatever logs the check's address",
            Self::QueryLost => "no rule looks at the query, but the way back after a login loses it",
            Self::BodyAnnounced => "no body follows, so the gate ends the connection after each upload",
            Self::DescriptionBelieved => {
                "a client chooses which request is judged: every closed route is open (the class of CVE-2026-40575)"
            }
            Self::ClientHeaders => {
                "this gate does not read them; an application, or a gate of another kind behind the same lines, may believe them"
            }
            Self::IdentityToGate => {
                "the proxy does not take them out before the check: where the gate's own are not set in their place, the application believes the client"
            }
            Self::CredentialsLost => "credentials and browsers' proofs in these headers never count",
            Self::UpgradeUntold => {
                "another site's page may open a WebSocket with a visitor's session: the gate cannot tell it from a page that is only read"
            }
            Self::UriRewritten => "the application is asked for the path as it was sent: what the gate allows is not what happens",
            Self::PastTheGate => {
                "these paths were answered, and no gate was asked: an application that reads them like the protected ones is open"
            }
            Self::FailOpen => "while the gate is away or broken, everyone is let through",
            Self::SlowTimeout => "while the gate hangs, every client hangs with it, and the proxy fills up with waiting requests",
            Self::NotLetThrough => {
                "the gate says yes with exactly 200; a proxy that wants another status refuses everybody. (An application that answers an unknown path like this looks the same: --application tells)"
            }
            Self::IdentityLost => "the application cannot know who asks",
            Self::IdentitySpoofed => "a client chooses who it is: the application believes these headers (the class of CVE-2026-30851)",
            Self::IdentityDropped => {
                "a client that names them in `Connection` is nobody to the application, which may take it for an internal request"
            }
            Self::ClientHeadersToApp => {
                "many frameworks route, log or build links by these: the application sees another request than was judged"
            }
            Self::CredentialsToApp => {
                "what the gate has used up is not the application's business: its logs and its bugs hold live credentials"
            }
            Self::SecretToApp => "whoever reads the application's headers can ask the gate in the proxy's place",
            Self::TunnelToApp => "after an upgrade to h2c further requests reach the application through the tunnel, past every check",
            Self::RequestChanged => "the rules judged a request that the application never got",
        }
    }

    /// How it is mended.
    pub(super) fn mend(self, proxy: Proxy) -> &'static str {
        let mends = self.mends();
        match proxy {
            Proxy::Nginx => mends.nginx,
            Proxy::Traefik => mends.traefik,
            Proxy::Caddy => mends.caddy,
            Proxy::Envoy => mends.envoy,
            Proxy::Haproxy => mends.haproxy,
        }
    }

    fn mends(self) -> Mends {
        match self {
            Self::NotAsked => Mends {
                nginx: "`auth_request /_gatepost/verify;` in `location /` (gatepost_location.conf), without `satisfy any`, `return` or `rewrite` before it; `server` in `upstream gatepost` is the gate's address; with several replicas name the admin listener of the one that is asked",
                traefik: "`middlewares: [gatepost]` on the router that serves this URL, and `forwardAuth.address` is the gate's; with several replicas name the admin listener of the one that is asked",
                caddy: "`forward_auth` without a path matcher, before `reverse_proxy` in one `route`; its address is the gate's; with several replicas name the admin listener of the one that is asked",
                envoy: "`envoy.filters.http.ext_authz` before the router, not `disabled` in `typed_per_filter_config`; its cluster leads to the gate; with several replicas name the admin listener of the one that is asked",
                haproxy: "`http-request lua.gatepost` in the frontend, and `GATE` in forward-auth.lua is the gate's address; with several replicas name the admin listener of the one that is asked",
            },
            Self::ProxySecret => Mends {
                nginx: "`proxy_set_header X-Proxy-Secret \"...\";` in both gatepost locations, the value of the gate's `secret`; above all with `proxy_pass_request_headers off`",
                traefik: "`X-Proxy-Secret: ...` in `customRequestHeaders` before the check, and `X-Proxy-Secret` in `authRequestHeaders`",
                caddy: "`request_header -X-Proxy-Secret` before and `header_up X-Proxy-Secret ...` inside `forward_auth`",
                envoy: "`authorization_request.headers_to_add: [{ key: x-proxy-secret, value: ... }]`, and `remove: x-proxy-secret` among the mutations before it",
                haproxy: "`ask[\"x-proxy-secret\"]` in forward-auth.lua is the gate's `secret`, and `http-request del-header x-proxy-secret` comes before it",
            },
            Self::WrongDialect => Mends::all(
                "let the proxy ask the gate of its own kind (`gates: [{ proxy: ..., listen: ... }]`, `gatepost print-config` prints what belongs to it)",
            ),
            Self::WrongTarget => Mends {
                nginx: "`proxy_pass http://gatepost/verify;`",
                traefik: "`forwardAuth.address: http://<gate>/verify`",
                caddy: "`uri /verify?` in `forward_auth`",
                envoy: "`path_prefix: /verify` in `http_service`",
                haproxy: "`GATE = \"http://<gate>/verify\"` in forward-auth.lua",
            },
            Self::NotDescribed => Mends {
                nginx: "`proxy_set_header X-Original-Method $request_method; X-Original-URI $request_uri; X-Original-Host $host;` in the verify location, with `proxy_pass_request_headers off`",
                traefik: "ForwardAuth tells them by itself: `trustForwardHeader: false`, and no middleware before it that sets X-Forwarded-*",
                caddy: "`forward_auth` tells them by itself: no `header_up` of X-Forwarded-* in it, and `request_header -X-Forwarded-Uri` and `-X-Forwarded-Method` before it",
                envoy: "`path_prefix: /verify` and nothing that rewrites `:path` before `ext_authz`",
                haproxy: "`ask[\"x-forwarded-method\"]`, `-uri`, `-host` in forward-auth.lua, and `http-request del-header x-forwarded- -m beg` before it",
            },
            Self::WrongUri | Self::UriRewritten => Mends {
                nginx: "`proxy_set_header X-Original-URI $request_uri;`: raw, as the application sees it. `$uri` is decoded, cleaned, and in the subrequest the verify location itself",
                traefik: "ForwardAuth before `stripPrefix`, `replacePath` and their kind in the chain of middlewares",
                caddy: "`forward_auth` before `handle_path`, `uri strip_prefix` and `rewrite`",
                envoy: "`ext_authz` before every filter that rewrites the path, without `regex_rewrite` in a filter",
                haproxy: "`http-request set-var(txn.gatepost_uri) pathq` before every `set-path` and `replace-path`",
            },
            Self::WrongMethod => Mends {
                nginx: "`proxy_set_header X-Original-Method $request_method;`, and error_page with a named location: a path turns the method into GET",
                traefik: "no middleware before ForwardAuth that sets X-Forwarded-Method, `trustForwardHeader: false`",
                caddy: "no `header_up X-Forwarded-Method` in `forward_auth`",
                envoy: "nothing that sets `:method` before `ext_authz`",
                haproxy: "`ask[\"x-forwarded-method\"] = { txn.f:method() }`",
            },
            Self::WrongHost => Mends {
                nginx: "`proxy_set_header X-Original-Host $host;`: neither `$proxy_host` nor `$http_host`",
                traefik: "no `X-Forwarded-Host` in `customRequestHeaders`, `trustForwardHeader: false`",
                caddy: "no `header_up Host` or `X-Forwarded-Host` in `forward_auth`",
                envoy: "no `host_rewrite_literal` before `ext_authz`",
                haproxy: "`http-request set-var(txn.gatepost_host) req.fhdr(host)`",
            },
            Self::WrongScheme => Mends {
                nginx: "`proxy_set_header X-Original-Proto $scheme;`; behind a load balancer that ends TLS say `https`",
                traefik: "the load balancer's address in `entryPoints.*.forwardedHeaders.trustedIPs`, never `insecure: true`",
                caddy: "the load balancer's address in `trusted_proxies`",
                envoy: "`use_remote_address: true` with `xff_num_trusted_hops`, and x-forwarded-proto in `allowed_headers`",
                haproxy: "`http-request set-var(txn.gatepost_proto) str(https)` behind a load balancer that ends TLS",
            },
            Self::RefusalIgnored => Mends {
                nginx: "`satisfy all;` in the location, no `error_page 401 403 =200 ...`, and `auth_request` where the request is served, not in a parent that it does not inherit from",
                traefik: "no `errors` middleware before ForwardAuth that turns 401 and 403 into something else",
                caddy: "no `handle_response` inside `forward_auth` that goes on with the request",
                envoy: "`failure_mode_allow: false`, `disabled: false`, and no local reply mapper that turns 401 and 403 into 200",
                haproxy: "`txn:done(reply)` on every refusal, and `http-request deny unless { var(txn.gatepost_ok) -m bool }` after the action",
            },
            Self::StatusLost => Mends {
                nginx: "`error_page 401 403 500 = @gatepost_explain;` in the location and the named location of gatepost_server.conf",
                traefik: "no `errors` middleware around ForwardAuth; `maxResponseBodySize` not below 65536",
                caddy: "no `handle_response` inside `forward_auth`",
                envoy: "`allowed_client_headers` with content-type, www-authenticate, retry-after and location; no local reply mapper",
                haproxy: "pass the answer's status, body and headers on (`refuse` in forward-auth.lua)",
            },
            Self::NoKeepAlive => Mends {
                nginx: "`keepalive 64;` in `upstream gatepost`, `proxy_pass http://gatepost/verify;`, `proxy_http_version 1.1;`, `proxy_set_header Connection \"\";`",
                traefik: "no `Connection: close` from anything between Traefik and the gate",
                caddy: "`transport http { keepalive 60s; keepalive_idle_conns_per_host 64 }` in `forward_auth`; never `keepalive off`",
                envoy: "no `max_requests_per_connection: 1` in the gate's cluster",
                haproxy: "`core.httpclient()` keeps connections by itself, one set a thread: no `connection: close` in `ask`; `tune.httpclient.*` as it comes",
            },
            Self::QueryAppended => Mends {
                nginx: "no `$is_args$args` in the `proxy_pass` of the verify location",
                traefik: "`forwardAuth.address` without a query",
                caddy: "`uri /verify?`: the question mark at the end drops the client's query",
                envoy: "nothing: its check carries the client's path and query, which is how it tells them",
                haproxy: "no query in `GATE`",
            },
            Self::QueryLost => Mends {
                nginx: "`proxy_set_header X-Original-URI $request_uri;`, which holds the query",
                traefik: "no middleware before ForwardAuth that cuts the query",
                caddy: "no `uri query` or `rewrite` before `forward_auth`",
                envoy: "nothing that cuts the query before `ext_authz`",
                haproxy: "`http-request set-var(txn.gatepost_uri) pathq`, not `path`",
            },
            Self::BodyAnnounced => Mends {
                nginx: "`proxy_pass_request_body off; proxy_set_header Content-Length \"\";` in the verify location",
                traefik: "no `forwardBody: true`, no Content-Length in `authRequestHeaders`",
                caddy: "no `method` other than GET in `forward_auth`, which sends no body",
                envoy: "no `with_request_body`, no content-length in `allowed_headers`",
                haproxy: "no content-length in `SHOWN`",
            },
            Self::DescriptionBelieved => Mends {
                nginx: "`proxy_pass_request_headers off;` in the verify location, and `proxy_set_header` for each of X-Original-Method, -URI, -Host and -Proto",
                traefik: "`trustForwardHeader: false` (written down) and `entryPoints.*.forwardedHeaders` without `insecure: true`; X-Original-* never in `authRequestHeaders`",
                caddy: "`request_header -X-Forwarded-Uri`, `-X-Forwarded-Method` before `forward_auth`; `trusted_proxies` only with your own load balancers",
                envoy: "nothing that takes `:path` from a header; `remove: x-forwarded-proto` comes with `use_remote_address: true`",
                haproxy: "`http-request del-header x-forwarded- -m beg` before the action, and no x-forwarded-* in `SHOWN`",
            },
            Self::ClientHeaders => Mends {
                nginx: "`proxy_pass_request_headers off;` in the verify location; `proxy_set_header X-Original-URL \"\";` and its like in gatepost_proxy.conf",
                traefik: "`customRequestHeaders` with an empty value for each before ForwardAuth (gatepost-clean), `trustForwardHeader: false`, and a list in `authRequestHeaders`",
                caddy: "`request_header -X-Original-*`, `-X-Rewrite-Url`, `-Forwarded` and its like before `forward_auth`",
                envoy: "`remove` for each among `early_header_mutation_extensions`; a list of exact names in `allowed_headers`",
                haproxy: "`http-request del-header x-original- -m beg`, `x-forwarded- -m beg`, `x-rewrite-url`, `forwarded` before the action",
            },
            Self::IdentityToGate => Mends {
                nginx: "`proxy_pass_request_headers off;` in the verify location, and `proxy_set_header X-Auth-User $gatepost_user;` and the other four beside proxy_pass; `underscores_in_headers off`",
                traefik: "an empty X-Auth-User and the other four in `customRequestHeaders` before ForwardAuth; `aliasHeadersStrategy: delete` on the entry point",
                caddy: "`request_header -X-Auth-*`, and `-*~*` and its like, before `forward_auth`",
                envoy: "`remove: x-auth-user` and the other four among `early_header_mutation_extensions`; `headers_with_underscores_action: REJECT_REQUEST`",
                haproxy: "`http-request del-header x-auth- -m beg` and `http-request del-header [^A-Za-z0-9-] -m reg` before the action",
            },
            Self::CredentialsLost => Mends {
                nginx: "`proxy_set_header Authorization $http_authorization;` and its like in both gatepost locations",
                traefik: "each of them in `authRequestHeaders`",
                caddy: "no `request_header -...` of them before `forward_auth`",
                envoy: "each of them in `allowed_headers.patterns`",
                haproxy: "each of them in `SHOWN` of forward-auth.lua",
            },
            Self::UpgradeUntold => Mends {
                nginx: "`proxy_set_header Upgrade $http_upgrade;` in the verify location",
                traefik: "a second router for WebSocket with `X-Original-Upgrade: websocket` in `customRequestHeaders`, and X-Original-Upgrade in `authRequestHeaders`",
                caddy: "`request_header @websocket Upgrade websocket` before `forward_auth`, with `Connection: Upgrade`",
                envoy: "`exact: upgrade` in `allowed_headers`",
                haproxy: "`upgrade` in `SHOWN` of forward-auth.lua",
            },
            Self::PastTheGate => Mends {
                nginx: "`auth_request` in `location /`, and decide by path in the rules: nginx matches the normalised path, the application gets the raw one",
                traefik: "the middleware on a router for `PathPrefix(`/`)`, and decide by path in the rules; `encodedCharacters` as shipped",
                caddy: "`forward_auth` without a path matcher, and decide by path in the rules",
                envoy: "`ext_authz` for every route, and decide by path in the rules; `path_with_escaped_slashes_action: REJECT_REQUEST`",
                haproxy: "`http-request lua.gatepost` without a path condition, and decide by path in the rules",
            },
            Self::FailOpen => Mends {
                nginx: "no `error_page 5xx =200 ...` that the check inherits: `error_page 500 502 503 504 @gatepost_down;` in the verify location, `error_page 401 403 500 = @gatepost_explain;` in the protected one",
                traefik: "no `errors` middleware around ForwardAuth, and no fallback (`failover`) service without it",
                caddy: "no `handle_errors` and no `handle_response` that goes on to the application",
                envoy: "`failure_mode_allow: false`",
                haproxy: "refuse whatever is not 200: `http-request deny deny_status 503 unless { var(txn.gatepost_ok) -m bool }`",
            },
            Self::SlowTimeout => Mends {
                nginx: "`proxy_connect_timeout 250ms; proxy_send_timeout 500ms; proxy_read_timeout 500ms;` in both gatepost locations",
                traefik: "Traefik waits 30 s, fixed in its code",
                caddy: "`transport http { dial_timeout 250ms; response_header_timeout 500ms }` in `forward_auth`",
                envoy: "`timeout: 0.5s` in `server_uri`",
                haproxy: "`timeout = 500` in the call of `core.httpclient()`; HAProxy tries four times",
            },
            Self::NotLetThrough => Mends {
                nginx: "nothing between nginx and the gate that changes 200; the application reached by `proxy_pass` is up",
                traefik: "nothing between Traefik and the gate that changes 200; the application is up",
                caddy: "`forward_auth` as it is: a hand-written `handle_response` must take 200",
                envoy: "Envoy takes exactly 200: nothing between it and the gate that changes it; the application is up",
                haproxy: "`if status ~= 200 then` in the Lua action: 200 is the gate's yes, 204 it never says",
            },
            Self::IdentityLost => Mends {
                nginx: "`auth_request_set $gatepost_user $upstream_http_x_auth_user;` (gatepost_location.conf) and `proxy_set_header X-Auth-User $gatepost_user;` (gatepost_proxy.conf), and the other four; a `proxy_set_header` of your own in the location hides those of the server",
                traefik: "X-Auth-User and the other four in `authResponseHeaders`",
                caddy: "`copy_headers X-Auth-User X-Auth-Scopes X-Auth-Tenant X-Auth-Key-Id X-Auth-Expires-In` in `forward_auth`",
                envoy: "x-auth-user and the other four in `authorization_response.allowed_upstream_headers`",
                haproxy: "`txn.http:req_add_header(name, value)` for each of `IDENTITY` in forward-auth.lua",
            },
            Self::IdentitySpoofed => Mends {
                nginx: "`proxy_set_header X-Auth-User $gatepost_user;` and the other four beside proxy_pass: an empty value removes the client's; `underscores_in_headers off`, `ignore_invalid_headers on`",
                traefik: "X-Auth-User and the other four in `authResponseHeaders`, empty in `customRequestHeaders` before the check; `aliasHeadersStrategy: delete` on the entry point",
                caddy: "`request_header -X-Auth-*`, `-*~*` and its like before `forward_auth`, and `copy_headers` in it",
                envoy: "`remove: x-auth-user` and the other four, and `remove_on_match` for other spellings, among `early_header_mutation_extensions`",
                haproxy: "`http-request del-header x-auth- -m beg` and `http-request del-header [^A-Za-z0-9-] -m reg` before the action",
            },
            Self::IdentityDropped => Mends {
                nginx: "`proxy_set_header Connection $gatepost_connection;` beside proxy_pass",
                traefik: "X-Auth-* in `authResponseHeaders`, ForwardAuth last but for gatepost-strip",
                caddy: "`request_header @plain -Connection` before `forward_auth`: Caddy drops what the client names there after the gate's headers are set",
                envoy: "`remove` of the five before the check, `allowed_upstream_headers` after it",
                haproxy: "`http-request del-header connection` before the action",
            },
            Self::ClientHeadersToApp => Mends {
                nginx: "`include gatepost_proxy.conf;` beside proxy_pass: `proxy_set_header X-Original-URI \"\";` and its like",
                traefik: "an empty value for each in `customRequestHeaders` (gatepost-clean), and `entryPoints.*.forwardedHeaders` without `insecure: true`",
                caddy: "`request_header -X-Original-*`, `-X-Forwarded-Uri` and its like before `forward_auth`",
                envoy: "`remove` for each among `early_header_mutation_extensions`",
                haproxy: "`http-request del-header x-original- -m beg`, `x-forwarded- -m beg` and its like",
            },
            Self::CredentialsToApp => Mends {
                nginx: "`proxy_set_header X-Api-Key \"\";`, `X-Authorization \"\"` and `Cookie $gatepost_cookie` beside proxy_pass",
                traefik: "gatepost-strip after ForwardAuth: an empty X-Api-Key and X-Authorization in `customRequestHeaders`",
                caddy: "`request_header -X-Api-Key` and its like after `forward_auth`, and the two lines that cut the gate's cookies",
                envoy: "`request_headers_to_remove: [x-api-key, x-authorization]`, and the Lua filter that cuts the gate's cookies",
                haproxy: "`http-request del-header x-api-key` and its like after the action, which cuts the gate's cookies",
            },
            Self::SecretToApp => Mends {
                nginx: "`proxy_set_header X-Proxy-Secret \"\";` beside proxy_pass, and set in the gatepost locations only",
                traefik: "gatepost-strip after ForwardAuth: an empty X-Proxy-Secret in `customRequestHeaders`",
                caddy: "X-Proxy-Secret by `header_up` inside `forward_auth`, not by `request_header`",
                envoy: "`request_headers_to_remove: [x-proxy-secret]`, and set by `authorization_request.headers_to_add` only",
                haproxy: "X-Proxy-Secret in the Lua action only, and `http-request del-header x-proxy-secret`",
            },
            Self::TunnelToApp => Mends {
                nginx: "`proxy_set_header Upgrade $gatepost_upgrade; proxy_set_header Connection $gatepost_connection;`: websocket only",
                traefik: "an empty Upgrade in `customRequestHeaders` of the router that is not for WebSocket",
                caddy: "`request_header @plain -Upgrade` and `-Connection` before `forward_auth`",
                envoy: "`upgrade_configs: [{ upgrade_type: websocket }]` and no other",
                haproxy: "`http-request del-header upgrade unless websocket`, and `del-header connection`, `http2-settings`",
            },
            Self::RequestChanged => Mends {
                nginx: "`proxy_pass http://app;` without a path, no `rewrite` and no `proxy_method` in the protected location",
                traefik: "ForwardAuth last: what changes the path before it is judged, what changes it after is not",
                caddy: "no `rewrite`, `uri` or `method` after `forward_auth`",
                envoy: "no `prefix_rewrite` or `regex_rewrite` in the route",
                haproxy: "no `set-path`, `replace-path` or `set-method` after the action",
            },
        }
    }
}
