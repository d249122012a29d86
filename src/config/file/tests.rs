use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::config::{IdentityHeaders, Listen, Proxy, RequirePhone, SecretSource, SignUp};
use crate::decision::scopes::ScopeSet;
use crate::issuers::KeySource;
use crate::oidc::ProviderKind;
use crate::token::record::TokenFormat;

const KEY: &str = "abababababababababababababababababababababababababababababababab";

/// Loads `yaml` as `gatepost.yaml` in a directory of its own that holds `data/secret`, `rules.yaml` and a pair besides.
fn load_text(yaml: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("data")).unwrap();
    fs::write(directory.path().join("data/secret"), "from-a-file\n").unwrap();
    fs::write(directory.path().join("data/keys"), KEY).unwrap();
    fs::write(directory.path().join("data/bad-keys"), format!("{KEY}\nnot a key")).unwrap();
    let (pair, other) = (rcgen::generate_simple_self_signed([]).unwrap(), rcgen::KeyPair::generate().unwrap());
    fs::write(directory.path().join("cert.pem"), pair.cert.pem()).unwrap();
    for (name, key, mode) in [("key.pem", &pair.signing_key, 0o600), ("open.pem", &pair.signing_key, 0o644), ("other.pem", &other, 0o600)] {
        fs::write(directory.path().join(name), key.serialize_pem()).unwrap();
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(directory.path().join("gatepost.yaml"), yaml).unwrap();
    fs::write(directory.path().join("rules.yaml"), "rules: [{ id: a, path: /a, access: anonymous }]").unwrap();
    fs::write(directory.path().join("issuers.yaml"), "rules: [{ id: a, path: /a, credentials: [token, issuer:corp, issuer:address] }]")
        .unwrap();
    fs::write(directory.path().join("keys.json"), ED25519).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    load(Some(Path::new("gatepost.yaml")), &Environment::new(variables).in_directory(directory.path()))
}

fn config(yaml: &str, variables: &[(&str, &str)]) -> Config {
    load_text(yaml, variables).unwrap_or_else(|problems| panic!("{yaml}: {problems:#?}")).config
}

fn problems(yaml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load_text(yaml, variables).map(|_| panic!("loaded: {yaml} {variables:?}")).unwrap_err().iter().map(Problem::to_string).collect()
}

fn warnings(yaml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load_text(yaml, variables).unwrap().warnings.iter().map(Warning::to_string).collect()
}

fn proxy_secret(config: &Config, gate: usize) -> &str {
    match config.gates[gate].secret.as_ref().unwrap() {
        SecretSource::Text(text) => text.expose_secret(),
        SecretSource::File(path) => panic!("{} is there", path.display()),
    }
}

/// Whether `yaml` has one problem, and it reads so (a start is enough).
fn is_wrong(yaml: &str, expected: &str) -> bool {
    let found = problems(yaml, &[]);
    let right = found.len() == 1 && found[0].starts_with(&format!("gatepost.yaml:{expected}"));
    if !right {
        println!("{yaml}\n{found:#?}");
    }
    right
}

#[test]
fn webhooks_and_usage() {
    let read = config(
        "webhooks: [{ url: 'http://127.0.0.1:2590/told/', secret: { file: keys } }, { url: https://a/b, secret: { file: keys }, events: [key.ended] }]",
        &[("GATEPOST_USAGE_KEEP", "30d")],
    );
    let told: Vec<_> = read.webhooks.iter().map(|webhook| (webhook.url.as_str(), webhook.events.len())).collect();
    assert_eq!(told, [("http://127.0.0.1:2590/told", 3), ("https://a/b", 1)]);
    assert_eq!(read.webhooks[0].secret.expose_secret(), KEY);
    assert_eq!((read.usage.keep, read.usage.enabled), (Duration::from_secs(30 * 86_400), true));
    assert!(!config("usage: { enabled: false }", &[]).usage.enabled);
}

#[test]
fn an_empty_file_the_shipped_file_and_no_file_say_the_same() {
    let everything_but_places = |yaml| {
        let config = Config { data: PathBuf::new(), rules: RulesSource::BuiltIn, ..config(yaml, &[]) };
        format!("{config:?}")
    };
    assert_eq!(everything_but_places(""), everything_but_places(SHIPPED));
    let directory = tempfile::tempdir().unwrap();
    let none = load(None, &Environment::default().in_directory(directory.path())).unwrap();
    assert_eq!(none.file, None);
    assert_eq!(none.config.rules, RulesSource::BuiltIn);
    assert!(load_text(SHIPPED, &[]).unwrap().warnings.is_empty());
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = config("", &[]);
    let gates: Vec<_> = config.gates.iter().map(|gate| (gate.proxy, gate.listen.to_string())).collect();
    assert_eq!(gates, [(Proxy::Nginx, "127.0.0.1:9001".into()), (Proxy::Traefik, "127.0.0.1:9002".into())]);
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.metrics.to_string(), "127.0.0.1:9464");
    assert!(config.data.ends_with("data"));
    assert!(matches!(&config.database, DatabaseConfig::Sqlite(file) if file.as_os_str() == "gatepost.db"));
    assert!(matches!(config.tokens.store, StoreConfig::Embedded));
    assert_eq!(config.tokens.format, TokenFormat::Opaque);
    assert_eq!(config.tokens.ttl, Duration::from_secs(3600));
    assert_eq!(config.tokens.max_lifetime, Duration::from_secs(12 * 3600));
    assert_eq!(config.tokens.staleness_bound, Duration::from_secs(1));
    assert!(matches!(&config.secret_key, SecretSource::File(path) if path == Path::new("gatepost.key")));
    assert_eq!(config.denial_status, None);
    assert_eq!(config.accounts.sign_up, SignUp::First);
    assert_eq!(config.accounts.direct_scopes, ScopeSet::everything());
    assert_eq!(config.accounts.end_users, None);
    assert_eq!(config.accounts.require_phone, RequirePhone::First);
    assert_eq!((config.accounts.password_min_length, config.accounts.reveal_unknown_users), (15, false));
    assert!(config.oidc.is_empty() && config.senders.email.is_none() && config.senders.sms.is_none() && !config.senders.log);
    assert_eq!((config.sessions.idle, config.sessions.max), (Duration::from_secs(3600), Duration::from_secs(12 * 3600)));
    assert!(config.workers >= 1);
    assert_eq!((config.log.level, config.log.json), (tracing::Level::INFO, false));
}

#[test]
fn every_key_is_read() {
    let yaml = r#"
gates:
  - { proxy: caddy, listen: "unix:/run/gatepost/caddy.sock" }
  - { proxy: haproxy, listen: 0.0.0.0:9004, secret: { env: PROXY_SECRET } }
  - { proxy: envoy, listen: "[::1]:9005", secret: { file: secret } }
admin: { listen: 0.0.0.0:8000, public_url: https://auth.example.com/, trusted_proxies: [10.0.0.0/8, "::1"] }
metrics: { listen: 0.0.0.0:9464 }
data: data
rules: rules.yaml
database: sqlite:/var/lib/gatepost.db
tokens: { store: "redis://u:pw@redis.internal:6379/2", format: jwt, ttl: 5m, max_lifetime: 1h, staleness_bound: 250ms }
secret_key: { file: keys }
denials: { status: 422 }
accounts: { sign_up: open, direct_scopes: [orders:read], end_users: { scopes: [a] }, require_phone: never, password_min_length: 8, reveal_unknown_users: true }
oidc:
  google: { issuer: https://accounts.google.com, client_id: me, client_secret: { env: PROXY_SECRET }, allowed_domains: [example.com] }
  own:
    issuer: https://id.example.com/realms/one/
    client_id: gatepost
    client_secret: { file: secret }
    label: Example
    scopes: [email, groups]
    link_verified_email: true
    grants: [{ claim: groups, value: ops, policy: operators }]
senders:
  email: { smtp: "smtp://user@smtp.example.com:587", password: { file: secret }, from: gatepost@example.com }
  sms: { url: "https://sms.example.com/send?to={phone}", method: PUT, headers: { Authorization: { env: PROXY_SECRET }, Accept: text/plain }, body: "{code}" }
  log: true
sessions: { idle: 10m, max: 1h, domains: [Example.com], return_hosts: [app.example.com] }
workers: 3
log: { level: debug, format: json }
"#;
    let variables = [("PROXY_SECRET", "a-secret-of-the-proxy")];
    let config = config(yaml, &variables);
    assert_eq!(config.gates[0].listen, Listen::Unix("/run/gatepost/caddy.sock".into()));
    assert_eq!((proxy_secret(&config, 1), proxy_secret(&config, 2)), ("a-secret-of-the-proxy", "from-a-file"));
    assert_eq!(config.admin.public_url.as_deref(), Some("https://auth.example.com"));
    assert_eq!(config.admin.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    assert!(matches!(&config.rules, RulesSource::File(path) if path.is_absolute() && path.ends_with("rules.yaml")));
    assert!(matches!(&config.database, DatabaseConfig::Sqlite(file) if file.as_os_str() == "/var/lib/gatepost.db"));
    assert!(matches!(&config.tokens.store, StoreConfig::Redis(url) if url.expose_secret() == "redis://u:pw@redis.internal:6379/2"));
    assert_eq!(config.tokens.format, TokenFormat::Jwt);
    assert_eq!(config.tokens.staleness_bound, Duration::from_millis(250));
    assert_eq!(config.denial_status, Some(422));
    assert_eq!(config.accounts.sign_up, SignUp::Open);
    assert_eq!(config.accounts.end_users.as_ref().unwrap().to_string(), "a");
    assert_eq!(config.accounts.password_min_length, 8);
    assert_eq!(config.oidc[0].client_secret.expose_secret(), "a-secret-of-the-proxy");
    assert_eq!((config.oidc[0].kind, config.oidc[0].label.as_str()), (ProviderKind::Google, "Google"));
    assert_eq!((config.oidc[0].scopes.join(" "), config.oidc[0].link_verified_email), ("email profile".into(), false));
    assert_eq!((config.oidc[1].kind, config.oidc[1].label.as_str()), (ProviderKind::Other, "Example"));
    assert_eq!(config.oidc[1].issuer, "https://id.example.com/realms/one");
    assert_eq!((config.oidc[1].scopes.join(" "), config.oidc[1].link_verified_email), ("email groups".into(), true));
    assert_eq!(config.oidc[1].grants[0].policy, "operators");
    assert_eq!(config.senders.email.as_ref().unwrap().password.as_ref().unwrap().expose_secret(), "from-a-file");
    assert_eq!(config.senders.sms.as_ref().unwrap().headers.len(), 2);
    assert_eq!(config.sessions.domains, ["example.com"]);
    assert_eq!(config.workers, 3);
    assert!(config.log.json);
    assert!(warnings(yaml, &variables).iter().all(|text| !text.contains("no effect")));
    // and no secret stands in what is printed of it
    let printed = format!("{config:?}");
    assert!(!printed.contains("a-secret") && !printed.contains("from-a-file") && !printed.contains("pw@"), "{printed}");
}

#[test]
fn each_mistake_is_told_where_it_is() {
    let table = [
        ("gate: []", "1:1: gate: unknown key; did you mean `gates`?"),
        ("banana: 1", "1:1: banana: unknown key; known here: gates, admin"),
        ("- a", "1:1: (file): expected keys with values, found a list; write"),
        ("gates: []", "1:8: gates: no gate; write at least one"),
        ("gates: nginx", "1:8: gates: expected a list, found one value; write"),
        ("gates: [{ proxy: nginx }]", "1:9: gates[0].listen: missing; write it"),
        ("gates: [{ listen: 127.0.0.1:1 }]", "1:9: gates[0].proxy: missing; write it"),
        ("gates: [{ proxy: ngnix, listen: 127.0.0.1:1 }]", "1:18: gates[0].proxy: `ngnix` is not known here; did you mean `nginx`?"),
        ("gates: [{ proxy: nginx, listen: 0.0.0.0:1 }]", "1:9: gates[0].secret: missing; `0.0.0.0:1` can be reached from other machines"),
        (
            "gates: [{ proxy: nginx, listen: 127.0.0.1:1, secret: hunter2 }]",
            "1:54: gates[0].secret: a secret cannot stand in the file itself",
        ),
        ("gates: [{ proxy: nginx, listen: 127.0.0.1:1, secret: {} }]", "1:54: gates[0].secret: neither env nor file"),
        ("gates: [{ proxy: nginx, listen: 127.0.0.1:1, secret: { env: A, file: b } }]", "1:54: gates[0].secret: both env and file"),
        (
            "gates: [{ proxy: nginx, listen: 127.0.0.1:1, secret: { env: NOPE } }]",
            "1:61: gates[0].secret.env: the environment variable `NOPE` is not set",
        ),
        ("gates: [{ proxy: nginx, listen: 127.0.0.1:1, secret: { file: . } }]", "1:54: gates[0].secret: `"),
        ("gates: [{ proxy: nginx, listen: 127.0.0.1:1, secret: }]", "1:52: gates[0].secret: a secret cannot stand in the file itself"),
        (
            "gates: [{ proxy: nginx, listen: 'unix:/a', tls: { cert: cert.pem, key: key.pem } }]",
            "1:49: gates[0].tls: a unix socket takes no TLS",
        ),
        (
            "gates: [{ proxy: nginx, listen: 0.0.0.0:1, tls: { cert: cert.pem, key: key.pem } }]",
            "1:9: gates[0].secret: missing; `0.0.0.0:1` can be reached from other machines",
        ),
        (
            "gates: [{ proxy: nginx, listen: 127.0.0.1:1, client_ip: X-Forwarded-For }]",
            "1:57: gates[0].client_ip: expected keys with values",
        ),
        ("gates: [{ proxy: nginx, listen: 127.0.0.1:1, client_ip: {} }]", "1:57: gates[0].client_ip.header: missing; write it"),
        (
            "gates: [{ proxy: nginx, listen: 127.0.0.1:1, client_ip: { header: X_Real_IP } }]",
            "1:67: gates[0].client_ip.header: `X_Real_IP` is no name of a header that every proxy passes on",
        ),
        (
            "gates: [{ proxy: caddy, listen: 127.0.0.1:1, client_ip: { header: X-Forwarded-Host } }]",
            "1:67: gates[0].client_ip.header: `X-Forwarded-Host` says something else to a gate",
        ),
        (
            "gates: [{ proxy: nginx, listen: 127.0.0.1:1, client_ip: { header: X-Forwarded-For, from_right: 0 } }]",
            "1:96: gates[0].client_ip.from_right: `0` is no whole number from 1 to 16",
        ),
        ("admin: { tls: { cert: cert.pem } }", "1:15: admin.tls.key: missing; write it"),
        ("admin: { tls: { key: key.pem } }", "1:15: admin.tls.cert: missing; write it"),
        ("admin: { tls: cert.pem }", "1:15: admin.tls: expected keys with values, found one value"),
        ("admin: { tls: { cert: cert.pem, key: key.pem, ca: ca.pem } }", "1:47: admin.tls.ca: unknown key"),
        ("gates: [{ proxy: nginx, listen: 127.0.0.1:8000 }]", "1:1: admin.listen: `127.0.0.1:8000` is taken by gates[0].listen"),
        ("metrics: { listen: 0.0.0.0:9001 }", "1:20: metrics.listen: `0.0.0.0:9001` is taken by gates[0].listen"),
        ("admin: { listen: 0.0.0.0:8000 }", "1:18: admin.listen: passwords and keys would cross the network"),
        ("admin: { trusted_proxies: [10.0.0.1/8] }", "1:28: admin.trusted_proxies[0]: `10.0.0.1/8` has bits set after its prefix"),
        ("admin: { public_url: auth.example.com }", "1:22: admin.public_url: `auth.example.com` is no web address"),
        ("admin:", "1:6: admin: expected keys with values, found no value; write one, or take the key out"),
        ("data: \"\"", "1:7: data: empty"),
        (
            "database: postgres:gatepost",
            "1:11: database: not the address of a database server; write one like postgres://user:password@host",
        ),
        ("database: postgres://u:pw@db", "1:11: database: the address names no database; write one like"),
        ("database: postgres:///gatepost", "1:11: database: not the address of a database server"),
        ("database: mysql://u:p/w@db/gatepost", "1:11: database: not the address of a database server"),
        (
            "database: mysql://u:pw@db/gatepost?ssl_mode=required",
            "1:11: database: the address has an option that is not known here; write sslmode",
        ),
        ("database: postgres://u:pw@db/gatepost?sslmod=verify-full", "1:11: database: the address has an option that is not known here"),
        ("database: oracle", "1:11: database: not a database address"),
        ("database: 'sqlite:'", "1:11: database: no file after `sqlite:`"),
        ("database: 'sqlite::memory:'", "1:11: database: no file after `sqlite:`"),
        ("tokens: { store: memcached }", "1:18: tokens.store: not a token store"),
        ("tokens: { store: 'rediss://r?ca=/nowhere/ca.pem' }", "1:18: tokens.store: `/nowhere/ca.pem` cannot be read"),
        ("tokens: { store: redis+sentinel://r }", "1:18: tokens.store: the address names no service"),
        ("tokens: { store: redis+cluster://r/1 }", "1:18: tokens.store: a Cluster has only database 0"),
        ("tokens: { store: 'redis://' }", "1:18: tokens.store: not a Redis address"),
        ("tokens: { format: JWT }", "1:19: tokens.format: `JWT` is not known here; did you mean `jwt`?"),
        ("tokens: { ttl: 60 }", "1:16: tokens.ttl: `60` is no duration; write a whole number with its unit"),
        ("tokens: { ttl: 24h }", "1:16: tokens.ttl: ttl 1day is longer than max_lifetime 12h; make"),
        ("tokens: { max_lifetime: 5m }", "1:25: tokens.max_lifetime: ttl 1h is longer than max_lifetime 5m"),
        ("tokens: { staleness_bound: 50ms }", "1:28: tokens.staleness_bound: `50ms` is out of bounds; write one from 100ms to 10s"),
        ("secret_key: { file: bad-keys }", "1:13: secret_key: in `"),
        ("secret_key: { env: NOPE }", "1:20: secret_key.env: the environment variable `NOPE` is not set"),
        ("tokens: { store: redis://r }", "1:1: secret_key: `"),
        ("denials: { status: 503 }", "1:20: denials.status: `503` is not a status that can stand for a refusal"),
        ("denials: { status: 429 }", "1:20: denials.status: `429` is not a status that can stand for a refusal"),
        ("denials: { status: 200 }", "1:20: denials.status: `200` is not a status that can stand for a refusal"),
        ("accounts: { sign_up: open }", "1:11: accounts.direct_scopes: missing; with sign_up: open, write"),
        ("accounts: { direct_scopes: ['a b'] }", "1:29: accounts.direct_scopes[0]: `a b` is not a scope"),
        ("accounts: { direct_scopes: a }", "1:28: accounts.direct_scopes: expected a list, found one value"),
        ("accounts: { end_users: on }", "1:24: accounts.end_users: `on` is not known here; write off"),
        ("accounts: { end_users: {} }", "1:24: accounts.end_users.scopes: missing"),
        ("accounts: { require_phone: maybe }", "1:28: accounts.require_phone: `maybe` is not known here"),
        ("accounts: { password_min_length: 7 }", "1:34: accounts.password_min_length: `7` is no whole number from 8 to 128"),
        ("accounts: { reveal_unknown_users: yes }", "1:35: accounts.reveal_unknown_users: `yes` is neither true nor false"),
        ("oidc: { Google: { issuer: https://a, client_id: b, client_secret: { file: secret } } }", "1:17: oidc.Google: a provider's name"),
        ("oidc: { google: { client_id: b, client_secret: { file: secret } } }", "1:17: oidc.google.issuer: missing"),
        ("oidc: { google: { issuer: https://a, client_id: b } }", "1:17: oidc.google.client_secret: missing"),
        (
            "oidc: { a: { issuer: http://issuer.example, client_id: b, client_secret: { file: secret } } }",
            "1:22: oidc.a.issuer: whoever is between us and `http://issuer.example` could be anybody",
        ),
        (
            "oidc: { a: { issuer: https://a, client_id: b, client_secret: { file: secret } }, b: { issuer: https://a/, client_id: b, client_secret: { file: secret } } }",
            "1:95: oidc.b.issuer: `a` has this issuer, too",
        ),
        (
            "oidc: { a: { issuer: https://a, client_id: b, client_secret: { file: secret }, kind: Google } }",
            "1:86: oidc.a.kind: `Google` is not known here; did you mean `google`?",
        ),
        (
            "oidc: { a: { issuer: https://a, client_id: b, client_secret: { file: secret }, grants: [{ claim: c, policy: p }] } }",
            "1:89: oidc.a.grants[0].value: missing",
        ),
        (
            "oidc: { a: { issuer: https://login.microsoftonline.com/common/v2.0, client_id: b, client_secret: { file: secret }, grants: [{ claim: c, value: v, policy: p }] } }",
            "1:124: oidc.a.grants: every organization's people log in by this issuer",
        ),
        (
            "oidc: { a: { issuer: https://a, client_id: b, client_secret: { file: secret }, scopes: ['a b'] } }",
            "1:89: oidc.a.scopes[0]: `a b` is no scope of a provider",
        ),
        (
            "admin: { listen: 0.0.0.0:8000, trusted_proxies: [10.0.0.0/8] }\noidc: { a: { issuer: https://a, client_id: b, client_secret: { file: secret } } }",
            "1:8: admin.public_url: missing; providers in `oidc` send people back to it",
        ),
        (
            "admin: { public_url: http://auth.example.com }\noidc: { a: { issuer: https://a, client_id: b, client_secret: { file: secret } } }",
            "1:22: admin.public_url: with a provider in `oidc` people come back here",
        ),
        ("senders: { email: { smtp: 'smtp://u:p@h', from: a@b } }", "1:27: senders.email.smtp: a password in the address"),
        ("senders: { email: { smtp: 'smtp://h' } }", "1:19: senders.email.from: missing"),
        (
            "senders: { sms: { url: http://sms.example, body: '{code}{phone}' } }",
            "1:24: senders.sms.url: whoever is between us and this gateway",
        ),
        ("usage: { keep: 23h }", "1:16: usage.keep: `23h` is out of bounds"),
        ("usage: { keeps: 2d }", "1:10: usage.keeps: unknown key; did you mean `keep`?"),
        (
            "webhooks: [{ url: http://hooks.example/a, secret: { file: keys } }]",
            "1:19: webhooks[0].url: whoever is between us and this address",
        ),
        ("webhooks: [{ url: https://a }]", "1:12: webhooks[0].secret: missing"),
        ("webhooks: [{ url: https://a, secret: { file: secret } }]", "1:38: webhooks[0].secret: fewer than 16 characters"),
        (
            "webhooks: [{ url: https://a, secret: { file: keys }, events: [key.made] }]",
            "1:63: webhooks[0].events[0]: `key.made` is not known here",
        ),
        ("webhooks: [{ url: https://a, secret: { file: keys }, events: [] }]", "1:62: webhooks[0].events: it is told nothing"),
        (
            "webhooks: [{ url: https://a, secret: { file: keys } }, { url: https://a, secret: { file: keys } }]",
            "1:63: webhooks[1].url: another webhook has this address",
        ),
        ("senders: { sms: { url: https://a, body: '{code}' } }", "1:17: senders.sms: {phone} is neither in url nor in headers or body"),
        (
            "senders: { sms: { url: https://a, body: '{code}{phone}', headers: { 'a b': c } } }",
            "1:76: senders.sms.headers.a b: not a header name",
        ),
        (
            "senders: { sms: { url: https://a, body: '{code}{phone}', method: DELETE } }",
            "1:66: senders.sms.method: `DELETE` is not known here",
        ),
        ("senders: { log: 1 }", "1:17: senders.log: `1` is neither true nor false"),
        ("sessions: { max: 0s }", "1:18: sessions.max: `0s` is out of bounds"),
        ("sessions: { idle: soon }", "1:19: sessions.idle: `soon` is no duration"),
        ("sessions: { domains: ['*.a'] }", "1:23: sessions.domains[0]: `*.a` is no host name"),
        ("sessions: { domains: [example.com] }", "1:22: sessions.domains: a login that leads here has no pages to begin on"),
        ("sessions: { return_hosts: [app.test] }", "1:27: sessions.return_hosts: a login that leads here has no pages to begin on"),
        (
            "sessions: { return_hosts: [app.test] }\nadmin: { public_url: 'http://auth.test' }",
            "1:27: sessions.return_hosts: browsers keep a session's cookies by TLS only, and admin.public_url is without",
        ),
        (
            "sessions: { domains: [com] }\nadmin: { public_url: 'https://auth.test' }",
            "1:23: sessions.domains[0]: `com` is no domain whose hosts are all yours",
        ),
        (
            "sessions: { domains: [a.test, b.a.test] }\nadmin: { public_url: 'https://auth.test' }",
            "1:31: sessions.domains[1]: `b.a.test` is `a.test`, or lies below it",
        ),
        ("workers: -1", "1:10: workers: `-1` is no whole number from 0 to 1024"),
        ("log: { level: warning }", "1:15: log.level: `warning` is not known here; write one of error, warn"),
        ("log: { format: xml }", "1:16: log.format: `xml` is not known here"),
    ];
    assert_eq!(table.iter().filter(|(yaml, expected)| !is_wrong(yaml, expected)).count(), 0);
}

const ED25519: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn issuers_are_read() {
    let yaml = "
issuers:
  - { name: corp, issuer: https://id.example.com/, audiences: [https://api.example.com, b] }
  - name: file
    issuer: anything-but-spaces
    jwks: file:keys.json
    audiences: [a]
    algorithms: [ES384, PS256]
    scope_claim: realm_access.roles
    tenant_claim: tid
    typ: at+jwt
  - { name: address, issuer: https://other.example.com, jwks: http://127.0.0.1:8080/keys, audiences: [a] }
rules: issuers.yaml
";
    let loaded = load_text(yaml, &[]).unwrap();
    let [corp, file, address] = &loaded.config.issuers[..] else { panic!("{:?}", loaded.config.issuers) };
    assert_eq!((corp.issuer.as_str(), &corp.keys), ("https://id.example.com/", &KeySource::Discovery));
    assert_eq!((corp.audiences.len(), corp.scope_claim.as_str(), &corp.tenant_claim, corp.access_tokens_only), (2, "scope", &None, false));
    assert_eq!(format!("{:?}", corp.algorithms), "[RS256, ES256, EdDSA]");
    assert!(matches!(&file.keys, KeySource::File(path) if path.ends_with("keys.json")));
    assert_eq!(format!("{:?}", file.algorithms), "[ES384, PS256]");
    assert_eq!(
        (file.scope_claim.as_str(), file.tenant_claim.as_deref(), file.access_tokens_only),
        ("realm_access.roles", Some("tid"), true)
    );
    assert_eq!(address.keys, KeySource::Address("http://127.0.0.1:8080/keys".into()));
    let rules = &loaded.rules.rules;
    let taken: Vec<_> = rules.rules()[0].requirement.credentials.kinds().map(|kind| rules.issuers().name(kind)).collect();
    assert_eq!(taken, ["token", "issuer:corp", "issuer:address"]);
}

#[test]
fn each_mistake_of_an_issuer_is_told_where_it_is() {
    let with = |more: &str| format!("issuers: [{{ name: a, issuer: https://id.example, audiences: [a]{more} }}]");
    let table = [
        ("issuers: {}".to_owned(), "1:10: issuers: expected a list, found keys with values"),
        ("issuers: [{ issuer: https://a.example, audiences: [a] }]".into(), "1:11: issuers[0].name: missing"),
        ("issuers: [{ name: A, issuer: https://a.example, audiences: [a] }]".into(), "1:19: issuers[0].name: `A` is no name of an issuer"),
        ("issuers: [{ name: a, audiences: [a] }]".into(), "1:11: issuers[0].issuer: missing"),
        ("issuers: [{ name: a, issuer: corp, audiences: [a] }]".into(), "1:30: issuers[0].issuer: `corp` is no web address"),
        ("issuers: [{ name: a, issuer: http://a.example, audiences: [a] }]".into(), "1:30: issuers[0].issuer: whoever is between us"),
        ("issuers: [{ name: a, issuer: https://a.example }]".into(), "1:11: issuers[0].audiences: missing; write for whom"),
        ("issuers: [{ name: a, issuer: https://a.example, audiences: [] }]".into(), "1:60: issuers[0].audiences: an empty list"),
        (with(", algorithms: []"), "1:78: issuers[0].algorithms: an empty list"),
        (with(", algorithms: [RS256, none]"), "1:86: issuers[0].algorithms[1]: a token that nobody signed is anybody's"),
        (with(", algorithms: [HS256]"), "1:79: issuers[0].algorithms[0]: `HS256` goes by a shared secret"),
        (with(", algorithms: [RS265]"), "1:79: issuers[0].algorithms[0]: `RS265` is not known here; did you mean `RS256`?"),
        (with(", jwks: http://a.example/keys"), "1:72: issuers[0].jwks: whoever is between us"),
        (with(", jwks: file:none.json"), "1:72: issuers[0].jwks: `"),
        (with(", jwks: file:rules.yaml"), "1:72: issuers[0].jwks: `"),
        (with(", typ: JWS"), "1:71: issuers[0].typ: `JWS` is not known here"),
        (with(", audience: b"), "1:66: issuers[0].audience: unknown key; did you mean `audiences`?"),
        (
            "issuers: [{ name: a, issuer: https://a.example, audiences: [a] }, { name: a, issuer: https://b.example, audiences: [a] }]"
                .into(),
            "1:75: issuers[1].name: `a` stands twice",
        ),
        (
            "issuers: [{ name: a, issuer: https://a.example, audiences: [a] }, { name: b, issuer: https://a.example, audiences: [b] }]"
                .into(),
            "1:86: issuers[1].issuer: another one has this issuer, too",
        ),
    ];
    assert_eq!(table.iter().filter(|(yaml, expected)| !is_wrong(yaml, expected)).count(), 0);
    let unknown = problems("rules: issuers.yaml", &[]);
    assert!(
        unknown[0].contains("rules[0].credentials[1]: `issuer:corp` is not configured; name it in `issuers:` of the main file"),
        "{unknown:?}"
    );
}

#[test]
fn a_proxy_secret_that_is_not_there_is_made_by_the_only_program_alone() {
    let yaml = "gates: [{ proxy: nginx, listen: 0.0.0.0:1, secret: { file: proxy/secret } }]";
    let config = config(yaml, &[]);
    assert!(matches!(&config.gates[0].secret, Some(SecretSource::File(path)) if path.ends_with("data/proxy/secret")));
    let told = warnings(yaml, &[]);
    assert!(told.len() == 1 && told[0].contains("proxy/secret` is not there; the start makes it"), "{told:?}");
    let shared = [("GATEPOST_TOKENS_STORE", "redis://r"), ("GATEPOST_SECRET_KEY", KEY)];
    let told = problems(yaml, &shared);
    assert!(told.len() == 1 && told[0].contains("gates[0].secret: `") && told[0].contains("cannot be read"), "{told:?}");
}

#[test]
fn the_metrics_listener_is_found_however_broken_the_rest_is() {
    let directory = tempfile::tempdir().unwrap();
    let found = |yaml: &str, variables: &[(&str, &str)]| {
        fs::write(directory.path().join("gatepost.yaml"), yaml).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let found = metrics_address(Some(Path::new("gatepost.yaml")), &Environment::new(variables).in_directory(directory.path()));
        found.map(|address| address.to_string()).map_err(|problems| problems[0].to_string())
    };
    assert_eq!(found("", &[]).unwrap(), "127.0.0.1:9464");
    assert_eq!(found("gates: nonsense\nrules: nowhere\nmetrics: { listen: 0.0.0.0:1 }", &[]).unwrap(), "0.0.0.0:1");
    assert_eq!(found("", &[("GATEPOST_METRICS_LISTEN", "127.0.0.1:2")]).unwrap(), "127.0.0.1:2");
    assert!(found("metrics: { listen: here }", &[]).unwrap_err().starts_with("gatepost.yaml:1:20: metrics.listen: `here`"));
    assert!(found("metrics: [", &[]).unwrap_err().starts_with("gatepost.yaml:"));
    let nowhere = metrics_address(Some(Path::new("nowhere.yaml")), &Environment::default().in_directory(directory.path()));
    assert!(nowhere.unwrap_err()[0].to_string().contains("cannot be read"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let yaml = "gates:\n  - { proxy: nginx, listen: 0.0.0.0:9001 }\n  - { proxy: nginx, lsten: 127.0.0.1:9002 }\ntokens:\n  ttl: 60\n  ttl: 61\n  format: &a jwt\nlog: { level: loud }\n";
    let found = problems(yaml, &[("GATEPOST_SESSIONS_MAX", "12"), ("GATEPOST_GATES_1_SECRET_ENV", "NOPE")]);
    insta::assert_snapshot!(found.join("\n"), @r"
    GATEPOST_GATES_1_SECRET_ENV: gates[1].secret.env: the environment variable `NOPE` is not set; set it, or name another
    GATEPOST_SESSIONS_MAX: sessions.max: `12` is no duration; write a whole number with its unit, like 100ms, 30s, 60m, 12h or 7d
    gatepost.yaml:2:5: gates[0].secret: missing; `0.0.0.0:9001` can be reached from other machines, so anybody could ask: write secret: { env: GATEPOST_PROXY_SECRET } and let the proxy send it as X-Proxy-Secret, or listen on 127.0.0.1 or a unix socket
    gatepost.yaml:3:5: gates[1].listen: missing; write it
    gatepost.yaml:3:21: gates[1].lsten: unknown key; did you mean `listen`?
    gatepost.yaml:5:8: tokens.ttl: `60` is no duration; write a whole number with its unit, like 100ms, 30s, 60m, 12h or 7d
    gatepost.yaml:6:3: tokens: the key `ttl` twice; keep one of them
    gatepost.yaml:7:11: tokens.format: an anchor; take it out and write the value where it is used, or put a text that begins with `&` in quotes
    gatepost.yaml:8:15: log.level: `loud` is not known here; write one of error, warn, info, debug, trace
    ");
}

#[test]
fn variables_win_over_the_file_and_reach_what_it_does_not_mention() {
    let yaml = "gates: [{ proxy: nginx, listen: 127.0.0.1:1 }]\ntokens: { ttl: 10m }\nsecret_key: { file: keys }";
    let variables = [
        ("GATEPOST_TOKENS_TTL", "30m"),
        ("GATEPOST_ADMIN_LISTEN", "127.0.0.1:8123"),
        ("GATEPOST_ACCOUNTS_PASSWORD_MIN_LENGTH", "20"),
        ("GATEPOST_GATES_0_LISTEN", "127.0.0.1:2"),
        ("GATEPOST_GATES_1_PROXY", "envoy"),
        ("GATEPOST_GATES_1_LISTEN", "0.0.0.0:3"),
        ("GATEPOST_GATES_1_SECRET_ENV", "GATEPOST_PROXY_SECRET"),
        ("GATEPOST_PROXY_SECRET", "shh"),
        ("GATEPOST_ACCOUNTS_DIRECT_SCOPES_0", "orders:read"),
        ("GATEPOST_ADMIN_TRUSTED_PROXIES_0", "10.0.0.0/8"),
        ("GATEPOST_ACCOUNTS_END_USERS_SCOPES_0", "a"),
        ("GATEPOST_SECRET_KEY", KEY),
        ("GATEPOST_GATES_0_SECRET", "whispered"),
        ("GATEPOST_LOG_FORMAT", "json"),
        ("GATEPOST_LONG", "1"),
        ("GATEPOST_PORT_9001_TCP", "tcp://10.0.0.1:9001"),
    ];
    let config = config(yaml, &variables);
    assert_eq!(config.tokens.ttl, Duration::from_secs(1800));
    assert_eq!(config.admin.listen.port(), 8123);
    assert_eq!(config.accounts.password_min_length, 20);
    assert_eq!(config.gates[0].listen.to_string(), "127.0.0.1:2");
    assert_eq!((config.gates[1].proxy, proxy_secret(&config, 1)), (Proxy::Envoy, "shh"));
    assert_eq!(proxy_secret(&config, 0), "whispered");
    assert_eq!(config.accounts.direct_scopes.to_string(), "orders:read");
    assert_eq!(config.admin.trusted_proxies.len(), 1);
    assert!(config.accounts.end_users.is_some());
    assert!(matches!(config.secret_key, SecretSource::Text(_)));
    assert!(config.log.json);
    let ignored: Vec<_> = warnings(yaml, &variables).into_iter().filter(|text| text.contains("matches no key")).collect();
    assert_eq!(ignored.len(), 2, "{ignored:#?}");
}

#[test]
fn mistakes_in_variables_name_the_variable() {
    assert_eq!(
        problems("", &[("GATEPOST_TOKENS_TTL", "60")]),
        ["GATEPOST_TOKENS_TTL: tokens.ttl: `60` is no duration; write a whole number with its unit, like 100ms, 30s, 60m, 12h or 7d"]
    );
    let found = problems("", &[("GATEPOST_SECRET_KEY", "my-secret")]);
    assert!(found[0].starts_with("GATEPOST_SECRET_KEY: secret_key: in `GATEPOST_SECRET_KEY`: line 1: not 64 hex digits"), "{found:?}");
    assert!(!found[0].contains("my-secret"));
    let store = problems("", &[("GATEPOST_TOKENS_STORE", "redis://:hunter2@h:x")]);
    assert!(store[0].starts_with("GATEPOST_TOKENS_STORE: tokens.store: not a Redis address") && !store[0].contains("hunter2"), "{store:?}");
}

#[test]
fn addresses_that_hold_passwords_can_come_from_elsewhere() {
    let yaml = "tokens: { store: { env: REDIS } }\nsecret_key: { file: keys }";
    assert!(matches!(config(yaml, &[("REDIS", "redis://:pw@r:6379")]).tokens.store, StoreConfig::Redis(_)));
    let variables = [("GATEPOST_TOKENS_STORE_ENV", "REDIS"), ("REDIS", "redis://r"), ("GATEPOST_SECRET_KEY_FILE", "keys")];
    assert!(matches!(config("", &variables).tokens.store, StoreConfig::Redis(_)));
    assert!(load_text("", &variables).unwrap().warnings.is_empty());
    let both = problems("", &[("GATEPOST_SECRET_KEY_FILE", "keys"), ("GATEPOST_SECRET_KEY", KEY)]);
    assert!(both[0].starts_with("GATEPOST_SECRET_KEY_FILE: secret_key.file: GATEPOST_SECRET_KEY is set as well"), "{both:?}");
}

#[test]
fn mistakes_in_the_rules_are_told_with_those_of_the_main_file() {
    let found = problems("workers: x\nrules: nope.yaml", &[]);
    assert!(found.len() == 2 && found[1].starts_with("gatepost.yaml:2:8: rules: `"), "{found:?}");
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("gatepost.yaml"), "workers: x").unwrap();
    fs::write(directory.path().join("rules.yaml"), "rules: x").unwrap();
    let environment = Environment::default().in_directory(directory.path());
    let found = load(Some(Path::new("gatepost.yaml")), &environment).unwrap_err();
    assert_eq!(found.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), ["workers", "rules"]);
}

#[test]
fn tls_is_read_beside_the_configuration_file() {
    let config = config(
        "admin: { listen: 0.0.0.0:8000, tls: { cert: cert.pem, key: key.pem } }\ngates: [{ proxy: nginx, listen: 127.0.0.1:1, tls: { cert: cert.pem, key: open.pem } }]",
        &[],
    );
    let (admin, gate) = (config.admin.tls.unwrap(), config.gates[0].tls.clone().unwrap());
    assert!(admin.files.cert.is_absolute() && admin.files.key.ends_with("key.pem"));
    assert_eq!(admin.hash, gate.hash, "what they hold counts");
    assert_eq!(
        self::config("", &[("GATEPOST_ADMIN_TLS_CERT", "cert.pem"), ("GATEPOST_ADMIN_TLS_KEY", "key.pem")]).admin.tls.unwrap().hash.len(),
        32
    );
}

#[test]
fn a_pair_that_cannot_serve_does_not_load() {
    let found = |cert: &str, key: &str| {
        let [problem] = &problems(&format!("admin: {{ tls: {{ cert: {cert}, key: {key} }} }}"), &[])[..] else { panic!() };
        problem.clone()
    };
    assert!(
        found("nope.pem", "key.pem").contains("admin.tls.cert: `")
            && found("nope.pem", "key.pem").contains("nope.pem` cannot be read: No such file")
    );
    assert!(found("cert.pem", "nope.pem").contains("admin.tls.key: `"));
    assert!(
        found("key.pem", "key.pem").contains("admin.tls.cert: `")
            && found("key.pem", "key.pem").contains("key.pem`: no certificate in it;")
    );
    assert!(found("cert.pem", "cert.pem").contains("cert.pem`: no private key in it;"));
    let mismatch = found("cert.pem", "other.pem");
    assert!(
        mismatch.contains("admin.tls.key: the key in `") && mismatch.contains("does not belong to the first certificate in `"),
        "{mismatch}"
    );
}

#[test]
fn a_key_that_everybody_may_read_is_warned_about() {
    let of = |key: &str| warnings(&format!("admin: {{ tls: {{ cert: cert.pem, key: {key} }} }}"), &[]);
    assert_eq!(of("key.pem").len(), 0);
    assert!(of("open.pem")[0].contains("admin.tls.key: everybody on this machine may read `"));
}

/// What stands in a main file, in any disorder.
fn anything() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "gates",
        "proxy",
        "listen",
        "secret",
        "env",
        "file",
        "tls",
        "cert",
        "key",
        "admin",
        "trusted_proxies",
        "public_url",
        "metrics",
        "data",
        "rules",
        "database",
        "tokens",
        "store",
        "ttl",
        "max_lifetime",
        "secret_key",
        "denials",
        "status",
        "accounts",
        "sign_up",
        "direct_scopes",
        "end_users",
        "scopes",
        "oidc",
        "google",
        "issuer",
        "senders",
        "email",
        "sms",
        "headers",
        "url",
        "body",
        "sessions",
        "idle",
        "domains",
        "workers",
        "log",
        "level",
        "nginx",
        "127.0.0.1:1",
        "0.0.0.0:1",
        "unix:/a",
        "open",
        "off",
        "1h",
        "1",
        "",
        "~",
        "é",
        "redis://a",
        "sqlite:a",
        "https://a",
    ]);
    let leaf = word.clone().prop_map(|word| format!("{word:?}"));
    leaf.prop_recursive(4, 60, 8, move |inner| {
        let pairs = prop::collection::vec((word.clone(), inner.clone()), 0..8).prop_map(|pairs| {
            format!("{{{}}}", pairs.iter().map(|(key, value)| format!("{key:?}: {value}")).collect::<Vec<_>>().join(", "))
        });
        prop_oneof![prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))), pairs]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_tree_loads_or_tells_why(text in anything(), section in prop::sample::select(vec!["gates", "admin", "tokens", "accounts", "oidc", "senders", "secret_key", "log"])) {
        let section = format!("{section}: {text}");
        for text in [&text, &section] {
            if let Err(problems) = load_text(text, &[("GATEPOST_GATES_0_SECRET_FILE", "secret")]) {
                prop_assert!(!problems.is_empty(), "{text}");
            }
        }
    }
}

#[test]
fn the_file_is_found_where_the_contract_says() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("config")).unwrap();
    for (name, workers) in [("config/gatepost.yaml", 1), ("by-variable.yaml", 2), ("by-argument.yaml", 3)] {
        fs::write(at(name), format!("workers: {workers}")).unwrap();
        fs::write(at(name).with_file_name("rules.yaml"), "rules: [{ id: a, path: /a, access: anonymous }]").unwrap();
    }
    let named = Environment::new([("GATEPOST_CONFIG".into(), "by-variable.yaml".into())]).in_directory(directory.path());
    let bare = Environment::default().in_directory(directory.path());
    assert_eq!(load(None, &bare).unwrap().config.workers, 1);
    assert_eq!(load(None, &named).unwrap().config.workers, 2);
    assert_eq!(load(Some(Path::new("by-argument.yaml")), &named).unwrap().config.workers, 3);
    assert!(load(None, &named).unwrap().warnings.is_empty());
    let missing = load(Some(Path::new("nope.yaml")), &named).unwrap_err();
    assert!(missing[0].to_string().starts_with("nope.yaml:1:1: (file): cannot be read: No such file"), "{}", missing[0]);
}

#[test]
fn risky_settings_warn() {
    let risky = |yaml: &str, variables: &[(&str, &str)], expected: &str| {
        let found = warnings(yaml, variables);
        assert!(found.len() == 1 && found[0].contains(expected), "{yaml}: {found:#?}");
    };
    risky(
        "accounts: { sign_up: open, direct_scopes: ['*'] }",
        &[],
        "accounts.direct_scopes: everybody can sign up and then holds every scope",
    );
    risky("admin: { trusted_proxies: [0.0.0.0/0] }", &[], "admin.trusted_proxies: every address is trusted");
    let gate = "gates: [{ proxy: nginx, listen: 127.0.0.1:1, secret: { env: S } }]";
    risky(gate, &[("S", "s3cret")], "gates[0].secret: the secret is the placeholder of the examples");
}

#[test]
fn a_gate_learns_the_clients_address() {
    let config = config(
        "gates: [{ proxy: nginx, listen: 127.0.0.1:1, client_ip: { header: X-Forwarded-For } }, { proxy: caddy, listen: 127.0.0.1:2, client_ip: { header: CF-Connecting-IP, from_right: 2 } }, { proxy: envoy, listen: 127.0.0.1:3 }]",
        &[],
    );
    let told = |n: usize| config.gates[n].client_ip.as_ref().map(|told| (told.header.as_str(), told.from_right));
    assert_eq!((told(0), told(1), told(2)), (Some(("x-forwarded-for", 1)), Some(("cf-connecting-ip", 2)), None));
}

#[test]
fn what_a_gate_tells_an_application() {
    let gate = |keys: &str| format!("gates: [{{ proxy: nginx, listen: 127.0.0.1:1, client_ip: {{ header: X-Client }}, {keys} }}]");
    let config = config(
        &gate("identity_headers: { Remote-User: subject.name, X-Plan: key.meta.plan, X-Id: subject.external_id }, standard_headers: false"),
        &[],
    );
    let said = &config.gates[0].identity;
    let own: Vec<_> = said.own.iter().map(|(name, source)| format!("{name}: {source}")).collect();
    assert_eq!(
        (said.standard, own),
        (false, vec!["remote-user: subject.name".into(), "x-plan: key.meta.plan".into(), "x-id: subject.external_id".into()])
    );
    assert_eq!(self::config("", &[]).gates[0].identity, IdentityHeaders::default());
    for name in [
        "Host",
        "Connection",
        "Content-Length",
        "Content-Type",
        "Transfer-Encoding",
        "TE",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Authorization",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "X-Authorization",
        "X-Api-Key",
        "X-Proxy-Secret",
        "X-Original-URI",
        "X-Original-Anything",
        "X-Forwarded-For",
        "X-Forwarded-User",
        "X-Auth-User",
        "X-Auth-Other",
        "X-Deny-Status",
        "X-Request-Id",
        "Forwarded",
        "X-Real-IP",
        "X-HTTP-Method-Override",
        "X-Client",
        "Date",
        "Accept",
        "Sec-Fetch-Site",
    ] {
        let found = problems(&gate(&format!("identity_headers: {{ {name}: subject.name }}")), &[]);
        assert!(found.len() == 1 && found[0].contains("means something else on the way"), "{name}: {found:#?}");
    }
    for (keys, expected) in [
        ("identity_headers: { Remote_User: subject.name }", "is no name of a header that every proxy passes on"),
        ("identity_headers: { 'Remote User': subject.name }", "is no name of a header that every proxy passes on"),
        ("identity_headers: { 'X-A: b': subject.name }", "is no name of a header that every proxy passes on"),
        ("identity_headers: { '1-A': subject.name }", "is no name of a header that every proxy passes on"),
        ("identity_headers: { Remote-User: subject.name, remote-user: key.id }", "`remote-user` stands twice"),
        ("identity_headers: { Remote-User: user }", "`user` is nothing that is known of a client"),
        ("identity_headers: { Remote-User: }", "expected one value, found no value"),
        ("identity_headers: [Remote-User]", "expected names with values, found a list"),
        ("standard_headers: no", "`no` is neither true nor false"),
    ] {
        let found = problems(&gate(keys), &[]);
        assert!(found.len() == 1 && found[0].contains(expected), "{keys}: {found:#?}");
    }
    let many: Vec<_> = (0..17).map(|n| format!("X-A{n}: scopes")).collect();
    assert!(problems(&gate(&format!("identity_headers: {{ {} }}", many.join(", "))), &[])[0].contains("more than 16 headers"));
    assert!(warnings(&gate("standard_headers: false"), &[])[0].contains("the application is told nothing"));
}

#[test]
fn a_rule_for_networks_needs_a_gate_that_knows_them() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rules.yaml"), "rules: [{ id: inner, path: /a, from_networks: [10.0.0.0/8] }]").unwrap();
    let load = |gates: &str| {
        fs::write(directory.path().join("gatepost.yaml"), format!("gates: [{gates}]")).unwrap();
        load(Some(Path::new("gatepost.yaml")), &Environment::new([]).in_directory(directory.path()))
    };
    let (blind, seeing) =
        ("{ proxy: nginx, listen: 127.0.0.1:1 }", "{ proxy: caddy, listen: 127.0.0.1:2, client_ip: { header: X-Forwarded-For } }");
    let problems = load(blind).unwrap_err();
    assert!(problems[0].to_string().contains("gates: the rule `inner` is for some networks only, and no gate knows"), "{problems:?}");
    let warnings = load(&format!("{blind}, {seeing}")).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].to_string().contains("gates[0]: the rule `inner`"), "{warnings:?}");
    assert!(load(seeing).unwrap().warnings.is_empty());
}

#[test]
fn where_credentials_stand() {
    let gate = |from: &str| format!("gates: [{{ proxy: traefik, listen: 127.0.0.1:1, from: {from} }}]");
    let headers = |from: &str| -> Vec<String> {
        config(&gate(from), &[]).gates[0]
            .carriage
            .iter()
            .flat_map(|carriage| carriage.headers().map(ToString::to_string).collect::<Vec<_>>())
            .collect()
    };
    assert!(config("", &[]).gates[0].carriage.is_none());
    assert_eq!(
        headers("{ token: [X-Token], key: ['Authorization: Basic', 'Authorization: ApiKey', X-Api-Key] }"),
        ["x-token", "authorization", "x-api-key"]
    );
    assert_eq!(headers("{ key: ['Authorization: Basic'] }"), ["authorization", "x-authorization"], "tokens stay where they are");
    assert_eq!(headers("{ token: [] }"), ["x-api-key"]);
    for (from, expected) in [
        ("{ token: ['Authorization: Basic'] }", "HTTP Basic carries a key here, as the password"),
        ("{ token: ['Authorization:'] }", "has no scheme after its header"),
        ("{ token: ['Authorization: Bearer x'] }", "has no scheme after its header"),
        ("{ token: [X_Token] }", "is no name of a header that every proxy passes on"),
        ("{ token: [Cookie] }", "means something else on the way"),
        ("{ token: [Host] }", "means something else on the way"),
        ("{ token: [X-Forwarded-Uri] }", "means something else on the way"),
        ("{ token: [X-Proxy-Secret] }", "means something else on the way"),
        ("{ token: [X-Auth-User] }", "means something else on the way"),
        ("{ token: [X-Token, X-Token] }", "`x-token` without a scheme takes every value, and stands twice"),
        ("{ token: [X-Token], key: ['x-token: Key'] }", "`x-token` without a scheme takes every value, and stands twice"),
        ("{ token: ['X-Token: A'], key: ['x-token: a'] }", "this place stands twice"),
        ("{ key: ['Authorization: Bearer'] }", "this place stands twice"),
        ("{ token: [X-Api-Key] }", "`x-api-key` without a scheme takes every value"),
        ("{ token: X-Token }", "expected a list"),
        ("{ cookie: [a] }", "unknown key"),
        ("[X-Token]", "expected keys with values"),
    ] {
        let found = problems(&gate(from), &[]);
        assert!(!found.is_empty() && found[0].contains(expected), "{from}: {found:#?}");
    }
    let clash = "gates: [{ proxy: nginx, listen: 127.0.0.1:1, from: { token: [X-Token] }, identity_headers: { X-Token: subject.name } }]";
    assert!(problems(clash, &[])[0].contains("means something else on the way"));
}
