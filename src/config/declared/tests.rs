use std::fs;

use super::*;

/// What these files say is wrong, less the directory.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let name = format!("{}/", folder.path().display());
    match load(folder.path()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.to_string().replace(&name, "")).collect(),
    }
}

const WHOLE: &str = "
tenants:
  - { name: acme }
  - { name: gone, blocked: true }
policies:
  - { tenant: acme, name: readers, allow: [orders:read], deny: ['*:delete'], limit: { rate: 100/s, quota: 9/day, per: tenant } }
principals:
  - { tenant: acme, user: ops, role: admin, scopes: ['orders:*'] }
  - { tenant: acme, user: ci, email: ci@acme.example, role: client, below: ops, policies: [readers] }
  - { tenant: acme, user: free, role: client, below: ops }
";

#[test]
fn everything_that_can_be_declared() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), WHOLE.replace(", deny: ['*:delete']", "")).unwrap();
    let key = format!(
        "keys:\n  - {{ id: '{}', hash: '{}', principal: ci, name: nightly, scopes: [orders:read], expires_at: 2027-01-31T00:00:00Z,\n      terms: {{ external_id: cus_1, metadata: {{ plan: gold, seats: 7 }} }} }}\n",
        "07".repeat(16),
        "08".repeat(32)
    );
    fs::write(folder.path().join("b.yaml"), key).unwrap();
    fs::write(folder.path().join("notes.txt"), "not: read").unwrap();
    let declared = load(folder.path()).unwrap();
    assert_eq!(
        declared.tenants.iter().map(|tenant| (tenant.name.as_str(), tenant.blocked)).collect::<Vec<_>>(),
        [("acme", false), ("gone", true)]
    );
    assert_eq!(declared.policies[0].allow.to_string(), "orders:read");
    let limit = crate::decision::limit::Limit::parse(Some("100/s"), None, Some("9/day"), Some("tenant")).unwrap();
    assert_eq!(declared.policies[0].terms, Terms { limit: Some(limit.into()), ..Terms::default() });
    let scopes: Vec<String> = declared.principals.iter().map(|principal| principal.scopes.to_string()).collect();
    assert_eq!(scopes, ["orders:*", "", "*"], "with policies exactly what they allow, without them whatever the one above may");
    let addresses: Vec<_> = declared.principals.iter().map(|principal| principal.email.as_deref()).collect();
    assert_eq!(addresses, [None, Some("ci@acme.example"), None]);
    assert_eq!((declared.keys[0].id, declared.keys[0].hash), (Id::from_bytes([7; 16]), [8; 32]));
    let metadata = [("plan".to_owned(), "gold".to_owned()), ("seats".to_owned(), "7".to_owned())];
    assert_eq!(declared.keys[0].terms, Terms::naming(Some("cus_1".into()), metadata.into()));
    assert_eq!(declared.keys[0].expires_at, Some(UnixMs(1_801_353_600_000)));
    assert_eq!((moment("1801353600").unwrap(), moment("soon").is_err()), (UnixMs(1_801_353_600_000), true));
    assert!(declared.keys[0].at.ends_with("b.yaml:2:5: keys[0]"), "{}", declared.keys[0].at);
}

#[test]
fn each_mistake_is_told_where_it_is() {
    let said = problems(&[
        ("a.yaml", "tenants: [{ nam: acme }]\npolicies:\n  - { name: p, allow: [a b] }\n  - { name: q, limit: { rate: 5 } }\n"),
        (
            "b.yaml",
            "principals:\n  - { user: ci, role: emperor, below: ops }\n  - { user: top, role: admin }\nkeys: [{ id: x, hash: gpk_secret, principal: ci, name: k, terms: { external_id: \u{e9}, metadata: { a: [] }, limits: 1 } }]\n",
        ),
        ("c.yaml", "tenants: ["),
    ]);
    for wanted in [
        "a.yaml:1:13: tenants[0].nam: unknown key; did you mean `name`?",
        "a.yaml:3:24: policies[0].allow[0]: ",
        "a.yaml:4:31: policies[1].limit.rate: ",
        "b.yaml:2:23: principals[0].role: ",
        "b.yaml:3:5: principals[1].scopes: missing; nobody stands above",
        "b.yaml:4:14: keys[0].id: ",
        "b.yaml:4:23: keys[0].hash: not the SHA-256 of a key",
        "b.yaml:4:8: keys[0].scopes: missing",
        "b.yaml:4:105: keys[0].terms.limits: unknown key",
        "b.yaml:4:99: keys[0].terms.metadata.a: ",
        "c.yaml:",
    ] {
        assert!(said.iter().any(|problem| problem.starts_with(wanted)), "{wanted}: {said:#?}");
    }
    assert!(!said.iter().any(|problem| problem.contains("gpk_secret")), "a key that was written by mistake is not repeated");
    let none = problems(&[]);
    assert!(none[0].contains("matches no file"), "{none:?}");
}
