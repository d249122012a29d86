//! The shipped files, proxy by proxy, with the places in them that a configuration fills.

use std::net::SocketAddr;

use super::{File, Places, Target, Upstream};
use crate::config::Listen;

/// Where proxies find the authorities that certificates may be signed by. Debian, Ubuntu and Alpine have it here.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The files for `target`.
pub(super) fn fill(target: Target, places: &Places, notes: &mut Vec<String>) -> Result<Vec<File>, String> {
    match target {
        Target::Nginx => Ok(nginx(places)),
        Target::Traefik => traefik(places, notes),
        Target::Caddy => Ok(caddy(places)),
        Target::Envoy => Ok(envoy(places)),
        Target::Haproxy => Ok(haproxy(places)),
        Target::GatewayApi => gateway_api(places, notes),
    }
}

/// A shipped file on its way to the user's.
struct Template {
    name: &'static str,
    text: String,
}

impl Template {
    fn new(name: &'static str, shipped: &str) -> Self {
        Self { name, text: shipped.to_owned() }
    }

    /// Puts `value` wherever `place` stands; that it does stand there is a test.
    fn put(mut self, place: &str, value: &str) -> Self {
        debug_assert!(self.text.contains(place), "{}: no `{place}`", self.name);
        self.text = self.text.replace(place, value);
        self
    }

    /// Puts a line for each of these names after every line that is `place`; one that is there already is not put again.
    fn beside(self, place: &str, names: &[String], line: impl Fn(&str) -> String) -> Self {
        let more: String =
            names.iter().map(|name| line(name)).filter(|line| !self.text.lines().any(|known| known == line.trim_end())).collect();
        if more.is_empty() { self } else { self.put(place, &format!("{place}{more}")) }
    }

    fn done(self) -> File {
        File { name: self.name, text: self.text }
    }
}

fn nginx(places: &Places) -> Vec<File> {
    let server = |upstream: &Upstream| format!("server {};", upstream.listen);
    let http = Template::new("gatepost.conf", include_str!("../../nginx/gatepost.conf"))
        .put("server 127.0.0.1:9001;", &server(&places.gate))
        .put("server 127.0.0.1:8000;", &server(&places.admin));
    let mut in_server = Template::new("gatepost_server.conf", include_str!("../../nginx/gatepost_server.conf"));
    in_server = in_server.beside("    proxy_set_header X-Api-Key                     $http_x_api_key;\n", &places.shown, |name| {
        format!("    proxy_set_header {name:<29} $http_{};\n", name.replace('-', "_"))
    });
    let verified = |name: &str| {
        format!(
            "
    proxy_ssl_verify              on;
    proxy_ssl_trusted_certificate {AUTHORITIES};    # or the authority of your own
    proxy_ssl_server_name         on;
    proxy_ssl_name                {name};"
        )
    };
    if let Some(name) = &places.gate.tls_name {
        for place in ["proxy_pass                 http://gatepost/verify;", "proxy_pass                 http://gatepost;"] {
            in_server = in_server.put(place, &format!("{}{}", place.replace("http:", "https:"), verified(name)));
        }
    }
    if let Some(name) = &places.admin.tls_name {
        for path in [".gatepost/login", ".gatepost/session", ".well-known/oauth-protected-resource"] {
            let place = format!("proxy_pass                 http://gatepost_admin/{path};");
            in_server = in_server.put(&place, &format!("{}{}", place.replace("http:", "https:"), verified(name)));
        }
    }
    let variable = |name: &str| name.replace('-', "_");
    let told = &places.told;
    let in_location = Template::new("gatepost_location.conf", include_str!("../../nginx/gatepost_location.conf")).beside(
        "auth_request_set $gatepost_expires_in $upstream_http_x_auth_expires_in;\n",
        told,
        |name| format!("auth_request_set $gatepost_told_{0} $upstream_http_{0};\n", variable(name)),
    );
    let to_app = Template::new("gatepost_proxy.conf", include_str!("../../nginx/gatepost_proxy.conf")).beside(
        "proxy_set_header X-Auth-Expires-In $gatepost_expires_in;\n",
        told,
        |name| format!("proxy_set_header {name} $gatepost_told_{};\n", variable(name)),
    );
    let to_app =
        to_app.beside("proxy_set_header X-Api-Key       \"\";\n", &places.taken, |name| format!("proxy_set_header {name} \"\";\n"));
    let to_grpc = Template::new("gatepost_grpc.conf", include_str!("../../nginx/gatepost_grpc.conf")).beside(
        "grpc_set_header X-Auth-Expires-In $gatepost_expires_in;\n",
        told,
        |name| format!("grpc_set_header {name} $gatepost_told_{};\n", variable(name)),
    );
    let to_grpc =
        to_grpc.beside("grpc_set_header X-Api-Key       \"\";\n", &places.taken, |name| format!("grpc_set_header {name} \"\";\n"));
    let to_fastcgi = Template::new("gatepost_fastcgi.conf", include_str!("../../nginx/gatepost_fastcgi.conf")).beside(
        "fastcgi_param HTTP_X_AUTH_EXPIRES_IN $gatepost_expires_in if_not_empty;\n",
        told,
        |name| format!("fastcgi_param HTTP_{} $gatepost_told_{} if_not_empty;\n", variable(name).to_uppercase(), variable(name)),
    );
    let to_fastcgi = to_fastcgi.beside("fastcgi_param HTTP_X_API_KEY       \"\" if_not_empty;\n", &places.taken, |name| {
        format!("fastcgi_param HTTP_{} \"\" if_not_empty;\n", variable(name).to_uppercase())
    });
    vec![http.done(), in_server.done(), in_location.done(), to_app.done(), to_grpc.done(), to_fastcgi.done()]
}

fn traefik(places: &Places, notes: &mut Vec<String>) -> Result<Vec<File>, String> {
    let gate = address(&places.gate).ok_or_else(no_sockets)?;
    let (scheme, authority) = match &places.gate.tls_name {
        // Traefik asks for the name that stands in the address
        Some(name) => ("https", format!("{name}:{}", gate.port())),
        None => ("http", gate.to_string()),
    };
    if places.gate.tls_name.is_some() {
        notes.push(format!("the name in Traefik's address of the gate must lead to {}", gate.ip()));
    }
    let mut dynamic = Template::new("dynamic.yml", include_str!("../../traefik/dynamic.yml"))
        .put("address: \"http://127.0.0.1:9002/verify\"", &format!("address: \"{scheme}://{authority}/verify\""));
    let admin = &places.admin.listen;
    dynamic = match &places.admin.tls_name {
        None => dynamic.put("\"http://127.0.0.1:8000\"", &format!("\"http://{admin}\"")),
        Some(name) => dynamic.put(
            "gatepost-admin: { loadBalancer: { servers: [ { url: \"http://127.0.0.1:8000\" } ] } }",
            &format!(
                "gatepost-admin: {{ loadBalancer: {{ serversTransport: gatepost-admin, servers: [ {{ url: \"https://{admin}\" }} ] }} }}

  serversTransports:
    gatepost-admin: {{ serverName: \"{name}\" }}"
            ),
        ),
    };
    dynamic = dynamic
        .beside("          X-Auth-Expires-In: \"\"\n", &places.told, |name| format!("          {name}: \"\"\n"))
        .beside("          X-Api-Key: \"\"\n", &places.taken, |name| format!("          {name}: \"\"\n"))
        .beside("          - X-Auth-Expires-In\n", &places.told, |name| format!("          - {name}\n"))
        .beside("          - X-Api-Key\n", &places.shown, |name| format!("          - {name}\n"));
    Ok(vec![dynamic.done(), Template::new("traefik.yml", include_str!("../../traefik/traefik.yml")).done()])
}

fn caddy(places: &Places) -> Vec<File> {
    let gate = match (&places.gate.listen, &places.gate.tls_name) {
        (Listen::Unix(path), _) => format!("unix/{}", path.display()),
        (Listen::Tcp(address), None) => address.to_string(),
        (Listen::Tcp(address), Some(_)) => format!("https://{address}"),
    };
    let mut file = Template::new("Caddyfile", include_str!("../../examples/caddy/Caddyfile"))
        .put("forward_auth 127.0.0.1:9003 {", &format!("forward_auth {gate} {{"));
    file = file.beside("\t\trequest_header -X-Auth-*\n", &places.told, |name| format!("\t\trequest_header -{name}\n")).beside(
        "\t\trequest_header -X-Api-Key\n",
        &places.taken,
        |name| format!("\t\trequest_header -{name}\n"),
    );
    if !places.told.is_empty() {
        let place = "X-Auth-Key-Id X-Auth-Expires-In\n";
        file = file.put(place, &format!("{} {}\n", place.trim_end(), places.told.join(" ")));
    }
    if let Some(name) = &places.gate.tls_name {
        file = file.put("\t\t\ttransport http {\n", &format!("\t\t\ttransport http {{\n\t\t\t\ttls_server_name {name}\n"));
    }
    let (admin, place) = (&places.admin.listen, "reverse_proxy @login 127.0.0.1:8000");
    file = match &places.admin.tls_name {
        None => file.put(place, &format!("reverse_proxy @login {admin}")),
        Some(name) => file.put(
            place,
            &format!("reverse_proxy @login https://{admin} {{\n\t\t\ttransport http {{\n\t\t\t\ttls_server_name {name}\n\t\t\t}}\n\t\t}}"),
        ),
    };
    vec![file.done()]
}

fn envoy(places: &Places) -> Vec<File> {
    let endpoint = |upstream: &Upstream| match &upstream.listen {
        Listen::Unix(path) => format!("{{ pipe: {{ path: {} }} }}", path.display()),
        Listen::Tcp(address) => {
            let ip = if address.is_ipv4() { address.ip().to_string() } else { format!("\"{}\"", address.ip()) };
            format!("{{ socket_address: {{ address: {ip}, port_value: {} }} }}", address.port())
        }
    };
    let uri = match (&places.gate.listen, &places.gate.tls_name) {
        (Listen::Unix(_), _) => "http://gatepost".to_owned(),
        (Listen::Tcp(address), None) => format!("http://{address}"),
        (Listen::Tcp(address), Some(_)) => format!("https://{address}"),
    };
    let mut file = Template::new("envoy.yaml", include_str!("../../examples/envoy/envoy.yaml"))
        .put("uri: \"http://127.0.0.1:9005\"", &format!("uri: \"{uri}\""))
        .put("{ socket_address: { address: 127.0.0.1, port_value: 9005 } }", &endpoint(&places.gate))
        .put("{ socket_address: { address: 127.0.0.1, port_value: 8000 } }", &endpoint(&places.admin));
    file = file
        .beside("              - x-api-key\n", &places.taken, |name| format!("              - {name}\n"))
        .beside("              - { remove: x-auth-expires-in }\n", &places.told, |name| format!("              - {{ remove: {name} }}\n"))
        .beside("                    - { exact: x-auth-expires-in }\n", &places.told, |name| {
            format!("                    - {{ exact: {name} }}\n")
        })
        .beside("                - { exact: x-api-key }\n", &places.shown, |name| format!("                - {{ exact: {name} }}\n"));
    for (cluster, upstream) in [("gatepost", &places.gate), ("gatepost_admin", &places.admin)] {
        if let Some(name) = &upstream.tls_name {
            let place = format!("  - name: {cluster}\n");
            let transport = format!(
                "    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {name}
        common_tls_context:
          validation_context:
            trusted_ca: {{ filename: {AUTHORITIES} }}             # or the authority of your own
            match_typed_subject_alt_names: [ {{ san_type: DNS, matcher: {{ exact: {name} }} }} ]
"
            );
            file = file.put(&place, &format!("{place}{transport}"));
        }
    }
    vec![file.done()]
}

fn haproxy(places: &Places) -> Vec<File> {
    let mut lua = Template::new("forward-auth.lua", include_str!("../../examples/haproxy/forward-auth.lua"));
    let place = "local GATE = \"http://127.0.0.1:9004/verify\"";
    lua = match (&places.gate.listen, &places.gate.tls_name) {
        (Listen::Unix(path), _) => lua
            .put(place, "local GATE = \"http://gatepost/verify\"")
            .put("local SOCKET = nil", &format!("local SOCKET = \"unix@{}\"", path.display())),
        (Listen::Tcp(address), None) => lua.put(place, &format!("local GATE = \"http://{address}/verify\"")),
        // the name that the certificate must show is the one in the URL; where to go is said besides
        (Listen::Tcp(address), Some(name)) => lua
            .put(place, &format!("local GATE = \"https://{name}:{}/verify\"", address.port()))
            .put("local SOCKET = nil", &format!("local SOCKET = \"{address}\"")),
    };
    let told: String = places.told.iter().map(|name| format!(", \"{name}\"")).collect();
    if !told.is_empty() {
        lua = lua.put("\"x-auth-expires-in\" }", &format!("\"x-auth-expires-in\"{told} }}"));
    }
    let shown: String = places.shown.iter().map(|name| format!("\"{name}\", ")).collect();
    if !shown.is_empty() {
        lua = lua.put("\"x-api-key\", ", &format!("\"x-api-key\", {shown}"));
    }
    let tls = match &places.admin.tls_name {
        None => String::new(),
        Some(name) => format!(" ssl verify required ca-file {AUTHORITIES} sni str({name}) verifyhost {name}"),
    };
    let mut cfg = Template::new("haproxy.cfg", include_str!("../../examples/haproxy/haproxy.cfg"))
        .put("server s1 127.0.0.1:8000", &format!("server s1 {}{tls}", places.admin.listen));
    cfg = cfg
        .beside("  http-request del-header x-auth- -m beg\n", &places.told, |name| format!("  http-request del-header {name}\n"))
        .beside("  http-request del-header x-api-key\n", &places.taken, |name| format!("  http-request del-header {name}\n"));
    if places.gate.tls_name.is_some() {
        let place = "  lua-load ./forward-auth.lua\n";
        cfg = cfg.put(place, &format!("{place}  httpclient.ssl.verify required\n  httpclient.ssl.ca-file {AUTHORITIES}\n"));
    }
    vec![cfg.done(), lua.done()]
}

fn gateway_api(places: &Places, notes: &mut Vec<String>) -> Result<Vec<File>, String> {
    let gate = address(&places.gate).ok_or_else(no_sockets)?;
    let admin = address(&places.admin).ok_or_else(no_sockets)?;
    notes.push(format!(
        "in a cluster Gatepost is the Service `gatepost` with the ports {} and {}: its gate and its admin listener must listen on an address \
         of the pod, like 0.0.0.0:{0}, the gate with a secret",
        gate.port(),
        admin.port()
    ));
    if places.admin.tls_name.is_some() {
        notes.push("the admin listener speaks TLS: the Service must say so, or the Gateway have a BackendTLSPolicy for it".to_owned());
    }
    let scheme = if places.gate.tls_name.is_some() { "https" } else { "http" };
    let file = Template::new("gatepost.yaml", include_str!("../../examples/gateway-api/gatepost.yaml"))
        .put("http://gatepost.default.svc:9002/verify", &format!("{scheme}://gatepost.default.svc:{}/verify", gate.port()))
        .put("port: 8000", &format!("port: {}", admin.port()))
        .beside("      X-Auth-Expires-In: \"\"\n", &places.told, |name| format!("      {name}: \"\"\n"))
        .beside("      X-Api-Key: \"\"\n", &places.taken, |name| format!("      {name}: \"\"\n"))
        .beside("      - X-Auth-Expires-In\n", &places.told, |name| format!("      - {name}\n"))
        .beside("      - X-Api-Key\n", &places.shown, |name| format!("      - {name}\n"));
    Ok(vec![file.done()])
}

fn address(upstream: &Upstream) -> Option<SocketAddr> {
    match upstream.listen {
        Listen::Tcp(address) => Some(address),
        Listen::Unix(_) => None,
    }
}

fn no_sockets() -> String {
    "Traefik asks over TCP only: let this gate listen on an address and port".to_owned()
}
