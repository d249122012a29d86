use super::*;
use crate::config::{Environment, file};

/// The configuration that this text says.
fn config(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
    std::fs::write(directory.path().join("c.pem"), certified.cert.pem()).unwrap();
    std::fs::write(directory.path().join("k.pem"), certified.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.path().join("rules.yaml"), crate::config::rules_file::SHIPPED).unwrap();
    std::fs::write(directory.path().join("gatepost.yaml"), text).unwrap();
    let environment = Environment::new([("SECRET".into(), "of-the-user".into())]).in_directory(directory.path());
    file::load(Some(Path::new("gatepost.yaml")), &environment).unwrap_or_else(|problems| panic!("{problems:#?}")).config
}

const TARGETS: [Target; 6] = [Target::Nginx, Target::Traefik, Target::Caddy, Target::Envoy, Target::Haproxy, Target::GatewayApi];

/// Every gate somewhere else.
fn moved() -> Config {
    config(
        "gates:
  - { proxy: nginx, listen: 'unix:/run/gp/n.sock', secret: { env: SECRET } }
  - { proxy: traefik, listen: 10.1.2.3:9702, secret: { env: SECRET } }
  - { proxy: caddy, listen: 'unix:/run/gp/c.sock' }
  - { proxy: haproxy, listen: 'unix:/run/gp/h.sock' }
  - { proxy: envoy, listen: '[::1]:9705' }
admin: { listen: 0.0.0.0:8800, trusted_proxies: [10.0.0.0/8], public_url: https://auth.example.com:8443/x }",
    )
}

#[test]
fn the_shipped_configuration_prints_the_shipped_files() {
    let shipped = config("");
    for (target, folder, files) in [
        (Target::Nginx, "nginx", 6),
        (Target::Traefik, "traefik", 2),
        (Target::Caddy, "examples/caddy", 1),
        (Target::Envoy, "examples/envoy", 1),
        (Target::Haproxy, "examples/haproxy", 2),
        (Target::GatewayApi, "examples/gateway-api", 1),
    ] {
        let printed = print(target, None, &shipped).unwrap();
        assert_eq!(printed.files.len(), files);
        for file in printed.files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file.name);
            assert_eq!(file.text, std::fs::read_to_string(path).unwrap(), "{folder}/{}", file.name);
        }
        let to_add = printed.notes.iter().any(|note| note.contains("is configured: add `- { proxy: "));
        assert_eq!(to_add, !matches!(target, Target::Nginx | Target::Traefik | Target::GatewayApi), "{:?}", printed.notes);
    }
}

#[test]
fn every_place_is_filled_and_nothing_else_changes() {
    let (shipped, moved) = (config(""), moved());
    for (target, expected) in [
        (Target::Nginx, &["server unix:/run/gp/n.sock;", "server 127.0.0.1:8800;"][..]),
        (Target::Traefik, &["\"http://10.1.2.3:9702/verify\"", "url: \"http://127.0.0.1:8800\""]),
        (Target::Caddy, &["forward_auth unix//run/gp/c.sock {", "reverse_proxy @login 127.0.0.1:8800"]),
        (
            Target::Envoy,
            &["uri: \"http://[::1]:9705\"", "{ address: \"::1\", port_value: 9705 }", "{ address: 127.0.0.1, port_value: 8800 }"],
        ),
        (Target::Haproxy, &["server s1 127.0.0.1:8800", "GATE = \"http://gatepost/verify\"", "SOCKET = \"unix@/run/gp/h.sock\""]),
        (Target::GatewayApi, &["http://gatepost.default.svc:9702/verify", "port: 8800"]),
    ] {
        let of = |config| print(target, None, config).unwrap().files.into_iter().map(|file| file.text).collect::<String>();
        let (before, after) = (of(&shipped), of(&moved));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&before).len(), lines(&after).len());
        let changed: Vec<String> = lines(&before).into_iter().zip(lines(&after)).filter(|(a, b)| a != b).map(|(_, b)| b).collect();
        assert_eq!(changed.len(), expected.len(), "{changed:#?}");
        for expected in expected {
            assert!(changed.iter().any(|line| line.contains(expected)), "{expected}: {changed:#?}");
        }
    }
}

#[test]
fn with_tls_the_proxy_must_verify() {
    let tls = "tls: { cert: c.pem, key: k.pem }";
    let gates: String = ["nginx", "traefik", "caddy", "haproxy", "envoy"]
        .iter()
        .enumerate()
        .map(|(n, proxy)| format!("  - {{ proxy: {proxy}, listen: 127.0.0.1:97{n:02}, {tls} }}\n"))
        .collect();
    let config = config(&format!("gates:\n{gates}admin: {{ public_url: 'https://auth.example.com', {tls} }}"));
    for (target, gate, admin) in [
        (Target::Nginx, "proxy_ssl_name                gatepost.example.com;", "proxy_ssl_name                auth.example.com;"),
        (Target::Traefik, "https://gatepost.example.com:9701/verify", "serverName: \"auth.example.com\""),
        (Target::Caddy, "tls_server_name gatepost.example.com", "tls_server_name auth.example.com"),
        (Target::Haproxy, "https://gatepost.example.com:9703/verify", "verifyhost auth.example.com"),
        (Target::Envoy, "sni: gatepost.example.com", "sni: auth.example.com"),
    ] {
        let printed = print(target, None, &config).unwrap();
        let text = files::shown(&printed.files);
        assert!(text.contains(gate) && text.contains(admin), "{text}");
        assert!(printed.notes.iter().any(|note| note.contains("speaks TLS")));
        assert!(!text.contains("proxy_pass                 http://"), "{text}");
    }
}

#[test]
fn one_gate_is_meant() {
    let config = config("gates: [{ proxy: nginx, listen: 127.0.0.1:9101 }, { proxy: nginx, listen: 127.0.0.1:9102 }]");
    let told = |gate| print(Target::Nginx, gate, &config).map(|printed| printed.files[0].text.contains("9102")).unwrap_err();
    assert_eq!(told(None), "several gates are for nginx: choose one by --gate: 127.0.0.1:9101, 127.0.0.1:9102");
    assert_eq!(told(Some("nginx")), "no gate for nginx listens on `nginx`; there are: 127.0.0.1:9101, 127.0.0.1:9102");
    assert!(print(Target::Nginx, Some("127.0.0.1:9102"), &config).unwrap().files[0].text.contains("127.0.0.1:9102;"));
    assert_eq!(print(Target::Caddy, Some("127.0.0.1:9102"), &config).unwrap_err(), "no gate for caddy is configured");
}

#[test]
fn what_a_proxy_cannot_reach_is_refused() {
    for (gates, target, what) in [
        ("{ proxy: traefik, listen: 'unix:/run/t.sock' }", Target::Traefik, "Traefik asks over TCP only"),
        ("{ proxy: traefik, listen: 'unix:/run/t.sock' }", Target::GatewayApi, "Traefik asks over TCP only"),
        ("{ proxy: nginx, listen: 127.0.0.1:0 }", Target::Nginx, "no port yet"),
        ("{ proxy: nginx, listen: 'unix:/run/a;b' }", Target::Nginx, "mean something to proxies"),
    ] {
        let told = print(target, None, &config(&format!("gates: [{gates}]"))).unwrap_err();
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let moved = moved();
    for target in TARGETS {
        let printed = print(target, None, &moved).unwrap();
        assert!(!format!("{printed:?}").contains("of-the-user"));
        let asked = printed.notes.iter().any(|note| note.starts_with("this gate asks for its secret"));
        assert_eq!(asked, matches!(target, Target::Nginx | Target::Traefik | Target::GatewayApi), "{:?}", printed.notes);
    }
}

#[test]
fn files_that_differ_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let files = [File { name: "a.conf", text: "a".into() }, File { name: "b.lua", text: "b".into() }];
    assert_eq!(files::write(&files, directory.path(), false).unwrap().matches(": written").count(), 2);
    assert_eq!(files::write(&files, directory.path(), false).unwrap().matches(": as it was").count(), 2);
    std::fs::write(directory.path().join("b.lua"), "mine").unwrap();
    std::fs::remove_file(directory.path().join("a.conf")).unwrap();
    let told = files::write(&files, directory.path(), false).unwrap_err();
    assert!(told.contains("b.lua; nothing was written") && !directory.path().join("a.conf").exists(), "{told}");
    files::write(&files, directory.path(), true).unwrap();
    assert_eq!(std::fs::read_to_string(directory.path().join("b.lua")).unwrap(), "b");
    assert_eq!(files::shown(&files), "# ======== a.conf ========\na\n-- ======== b.lua ========\nb\n");
    assert_eq!(files::shown(&files[..1]), "a");
}

#[test]
fn where_a_client_is_gets_to_the_gate() {
    let gates = |client_ip: &str| {
        let gates: String = ["nginx", "traefik", "caddy", "haproxy", "envoy"]
            .iter()
            .enumerate()
            .map(|(n, proxy)| format!("  - {{ proxy: {proxy}, listen: 127.0.0.1:900{}, client_ip: {client_ip} }}\n", n + 1))
            .collect();
        config(&format!("gates:\n{gates}"))
    };
    let (shipped, usual) = (config(""), gates("{ header: X-Forwarded-For }"));
    let (named, farther) = (gates("{ header: CF-Connecting-IP }"), gates("{ header: X-Forwarded-For, from_right: 2 }"));
    for (target, line, times) in [
        (Target::Nginx, "proxy_set_header cf-connecting-ip              $http_cf_connecting_ip;", 2),
        (Target::Traefik, "          - cf-connecting-ip", 1),
        (Target::Caddy, "cf-connecting-ip", 0), // shows everything
        (Target::Envoy, "                - { exact: cf-connecting-ip }", 1),
        (Target::Haproxy, "\"x-api-key\", \"cf-connecting-ip\", \"cookie\"", 1),
        (Target::GatewayApi, "      - cf-connecting-ip", 1),
    ] {
        let printed = |config| print(target, None, config).unwrap();
        assert_eq!(printed(&usual).files, printed(&shipped).files, "{target:?}: the shipped files tell it already");
        let named = printed(&named);
        assert_eq!(files::shown(&named.files).matches(line).count(), times, "{target:?}");
        assert!(named.notes.iter().any(|note| note.contains("believes what stands in cf-connecting-ip")));
        assert!(printed(&farther).notes.iter().any(|note| note.contains("counts to the 2. address")));
    }
}

#[test]
fn what_a_gate_tells_is_taken_from_it_alone() {
    let gates = |more: &str| {
        let gates: String = ["nginx", "traefik", "caddy", "haproxy", "envoy"]
            .iter()
            .enumerate()
            .map(|(n, proxy)| format!("  - {{ proxy: {proxy}, listen: 127.0.0.1:900{}{more} }}\n", n + 1))
            .collect();
        config(&format!("gates:\n{gates}"))
    };
    let (before, after) = (gates(""), gates(", identity_headers: { Remote-User: subject.name, X-Plan: key.meta.plan }"));
    for (target, expected) in [
        (
            Target::Nginx,
            &[
                "auth_request_set $gatepost_told_x_plan $upstream_http_x_plan;",
                "proxy_set_header x-plan $gatepost_told_x_plan;",
                "grpc_set_header x-plan $gatepost_told_x_plan;",
                "fastcgi_param HTTP_X_PLAN $gatepost_told_x_plan if_not_empty;",
            ][..],
        ),
        (Target::Traefik, &["          x-plan: \"\"", "          - x-plan"]),
        (Target::Caddy, &["\t\trequest_header -x-plan", "X-Auth-Expires-In remote-user x-plan"]),
        (Target::Envoy, &["              - { remove: x-plan }", "                    - { exact: x-plan }"]),
        (Target::Haproxy, &["  http-request del-header x-plan", "\"x-auth-expires-in\", \"remote-user\", \"x-plan\" }"]),
        (Target::GatewayApi, &["      x-plan: \"\"", "      - x-plan"]),
    ] {
        let text = |config| files::shown(&print(target, None, config).unwrap().files);
        let (before, after) = (text(&before), text(&after));
        for expected in expected {
            assert_eq!(after.matches(expected).count(), 1, "{target:?} {expected}");
            assert!(
                after
                    .contains(&expected.replace("x-plan", "remote-user").replace("x_plan", "remote_user").replace("X_PLAN", "REMOTE_USER"))
                    || expected.contains("remote-user"),
                "{expected}"
            );
        }
        let lost: Vec<_> = before.lines().filter(|line| !after.contains(line.trim_end_matches([' ', '}']))).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}

#[test]
fn what_carries_a_credential_gets_to_the_gate_and_no_farther() {
    let gates: String = ["nginx", "traefik", "caddy", "haproxy", "envoy"]
        .iter()
        .enumerate()
        .map(|(n, proxy)| format!("  - {{ proxy: {proxy}, listen: 127.0.0.1:900{}, from: {{ token: [X-Token, 'Authorization: Bearer'], key: ['X-Service: Key'] }} }}\n", n + 1))
        .collect();
    let config = config(&format!("gates:\n{gates}"));
    for (target, expected) in [
        (
            Target::Nginx,
            &[
                ("    proxy_set_header x-token                       $http_x_token;", 2),
                ("proxy_set_header x-token \"\";", 1),
                ("grpc_set_header x-token \"\";", 1),
                ("fastcgi_param HTTP_X_TOKEN \"\" if_not_empty;", 1),
            ][..],
        ),
        (Target::Traefik, &[("          - x-token", 1), ("          x-token: \"\"", 1)]),
        (Target::Caddy, &[("\t\trequest_header -x-token", 1)]),
        (Target::Envoy, &[("                - { exact: x-token }", 1), ("              - x-token", 1)]),
        (Target::Haproxy, &[("\"x-api-key\", \"x-token\", \"x-service\", \"cookie\"", 1), ("  http-request del-header x-token", 1)]),
        (Target::GatewayApi, &[("      - x-token", 1), ("      x-token: \"\"", 1)]),
    ] {
        let text = files::shown(&print(target, None, &config).unwrap().files);
        for (expected, times) in expected {
            assert_eq!(text.lines().filter(|line| line.contains(expected)).count(), *times, "{target:?} {expected}");
            assert!(
                expected.contains("x-service")
                    || text.contains(
                        &expected
                            .replace("x-token  ", "x-service")
                            .replace("x-token", "x-service")
                            .replace("x_token", "x_service")
                            .replace("X_TOKEN", "X_SERVICE")
                    ),
                "{expected}"
            );
        }
    }
}
