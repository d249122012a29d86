//! People: a house full of them, and what they make of each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::accounts::standing;
use crate::admin::{Instance, Rule, StoreState};
use crate::audit::{Action, By};
use crate::database::{NewPrincipal, SessionRow};
use crate::decisions::{Decision, Recent};
use crate::id::Id;
use crate::token::jwt::LoginJwt;
use crate::token::record::Role;
use crate::token::store::Ask as Check;

/// Who stands where.
pub(super) struct Kin {
    pub(super) name: &'static str,
    pub(super) role: &'static str,
    /// Empty = at the top of a tenant of its own.
    pub(super) parent: &'static str,
}

/// A house with people in it, who log in without passwords.
pub(super) struct Household {
    pub(super) house: House,
    people: HashMap<&'static str, Id>,
    fresh: AtomicU32,
}

impl Household {
    /// The first one founds.
    pub(super) async fn new(kin: &[Kin]) -> Self {
        let house = House::open().await;
        let mut people = HashMap::new();
        for Kin { name, role, parent } in kin {
            let uid = if parent.is_empty() {
                house.sign_up(name).await.is(201).text("/uid").parse().unwrap()
            } else {
                insert(&house, name, role, people[parent]).await
            };
            people.insert(*name, uid);
        }
        house.admin.show(instance());
        Self { house, people, fresh: AtomicU32::new(0) }
    }

    fn id(&self, name: &str) -> Id {
        self.people[name]
    }

    pub(super) fn uid(&self, name: &str) -> String {
        self.id(name).to_string()
    }

    /// A name that nobody has.
    pub(super) fn fresh(&self) -> String {
        format!("fresh-{}", self.fresh.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) async fn tenant(&self, name: &str) -> Id {
        self.house.database.principal(self.id(name)).await.unwrap().unwrap().tenant
    }

    /// Someone beside `name`, of the same role.
    pub(super) async fn like(&self, person: &impl Likeness) -> String {
        let row = self.house.database.principal(self.id(person.name())).await.unwrap().unwrap();
        let uid = Id::random().unwrap();
        put(&self.house, uid, row.tenant, row.parent, row.role, &self.fresh()).await;
        uid.to_string()
    }

    /// A session, and the JWT of its login.
    pub(super) async fn enter(&self, name: &str) -> (Id, String) {
        let House { database, admin, .. } = &self.house;
        let (id, now) = (Id::random().unwrap(), database.clock().now());
        let mut act = database.act().await.unwrap();
        let ends_at = now.after(Duration::from_secs(12 * 3600));
        let row = SessionRow { id, principal: self.id(name), created_at: now, ends_at, idle_ends_at: None };
        act.insert_session(&row).await.unwrap();
        let act = act.commit(&By::system().did(Action::Login, id)).await.unwrap();
        admin.accounts().propagate(act).await;
        let claims = LoginJwt::new(id, self.id(name), now, Duration::from_secs(3600), "gatepost");
        (id, admin.accounts().keyring().signing().unwrap().login_jwt().sign_login(&claims).unwrap())
    }

    /// A new key's id and text.
    pub(super) async fn key(&self, name: &str) -> (Id, String) {
        let accounts = self.house.admin.accounts();
        let owner = standing::of_principal(&self.house.database, self.id(name)).await.unwrap().unwrap();
        let (key, secret, act) =
            accounts.keys(None).create(&By::system(), crate::accounts::keys::Reach::Everyone, &owner, Default::default()).await.unwrap();
        accounts.propagate(act).await;
        (key.id, secret.reveal().to_owned())
    }

    /// An invitation's id; `None` where nobody stands below.
    pub(super) async fn invitation(&self, name: &str) -> Option<String> {
        let (_, jwt) = self.enter(name).await;
        let reply = self.house.ask(Ask::post("/v1/invitations").bearer(&jwt).json(json!({ "role": "end_user" }))).await;
        (reply.status == 201).then(|| reply.text("/invitation/id"))
    }

    /// A policy of a tenant, attached to these.
    pub(super) async fn policy(&self, tenant: u8, to: &[&str]) -> Id {
        let tenant = self.tenant(if tenant == 1 { "ann" } else { "bob" }).await;
        let mut act = self.house.database.act().await.unwrap();
        let policy = crate::database::PolicyRow {
            id: Id::random().unwrap(),
            tenant,
            name: self.fresh(),
            allow: ScopeSet::default(),
            deny: ScopeSet::default(),
            version: 1,
            created_at: act.now(),
            terms: crate::token::terms::Terms::default(),
        };
        act.insert_policy(&policy).await.unwrap();
        for name in to {
            act.attach_policy(self.id(name), policy.id).await.unwrap();
        }
        let act = act.commit(&By::system().did(Action::PolicyCreate, policy.id)).await.unwrap();
        self.house.admin.accounts().propagate(act).await;
        policy.id
    }
}

/// An instance with one rule and one refusal, which explains nothing but the method.
pub(super) fn instance() -> Instance {
    let recent = Recent::default();
    for (status, path) in [(Some(403), "/a"), (None, "/b")] {
        recent.push(Decision {
            n: 0,
            at: crate::clock::UnixMs(1_900_000_000_000),
            gate: "nginx",
            reason: "insufficient_scope",
            status,
            method: "GET".into(),
            host: "api.example.com".into(),
            path: path.into(),
            rule: Some("orders".into()),
            uid: None,
            key_id: None,
        });
    }
    let rule = |n: usize| Rule {
        id: format!("rule {n}"),
        hosts: Vec::new(),
        methods: Vec::new(),
        path: "/**".into(),
        anonymous: false,
        credentials: vec!["token".to_owned()],
        all: vec!["orders:read".into()],
        any: Vec::new(),
        from_networks: Vec::new(),
        tenants: Vec::new(),
        enforce: true,
        file: None,
        line: None,
    };
    Instance {
        decisions: Arc::new(recent),
        examinations: Arc::default(),
        next_connection: || 7,
        rules: Box::new(move |first, most| (0..3).skip(first).take(most).map(rule).collect()),
        explain: Box::new(|question| {
            Box::pin(async move {
                if question.url.is_empty() { Err("`url`: none".to_owned()) } else { Ok(json!({ "method": question.method })) }
            })
        }),
        tests: Box::new(|_| (Vec::new(), 0)),
        pulse: Arc::default(),
        store: Box::new(|| StoreState { ready: true, kind: "embedded", cached: 0 }),
        gates: vec!["nginx".to_owned()],
    }
}

/// Someone with a name.
pub(super) trait Likeness {
    fn name(&self) -> &str;
}

async fn insert(house: &House, name: &str, role: &str, parent: Id) -> Id {
    let above = house.database.principal(parent).await.unwrap().unwrap();
    let uid = Id::random().unwrap();
    put(house, uid, above.tenant, Some(parent), Role::from_name(role).unwrap(), name).await;
    uid
}

async fn put(house: &House, uid: Id, tenant: Id, parent: Option<Id>, role: Role, name: &str) {
    let scopes = ScopeSet::everything();
    let mut act = house.database.act().await.unwrap();
    let new = NewPrincipal {
        uid,
        tenant,
        parent,
        role,
        user: Some(name),
        email: None,
        phone: None,
        verified: &[],
        password: None,
        scopes: &scopes,
    };
    act.insert_principal(&new).await.unwrap();
    let act = act.commit(&By::system().did(Action::PrincipalCreate, uid)).await.unwrap();
    house.admin.accounts().propagate(act).await;
}

/// Whether an access token would be allowed to do `scope` by the next check at a gate.
async fn may(house: &House, token: &str, scope: &str) -> bool {
    let claims = house.admin.accounts().keyring().read_access(token).unwrap();
    let ask = Check::Token { id: claims.id, key: claims.key };
    let Some(fill) = house.store.look_up(ask).await.unwrap() else { return false };
    crate::token::holder::live(ask, fill, None, house.clock.now(), 3600)
        .is_some_and(|live| live.holder.grant.holds(&scope.parse().unwrap()))
}

async fn send(house: &House, method: &'static str, path: &str, jwt: &str, body: Value) -> Reply {
    house.ask(Ask::new(method, path).bearer(jwt).json(body)).await
}

#[tokio::test]
async fn a_principal_is_made_shown_and_ended() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let body = json!({ "user": "Cleo", "password": PASSWORD });
    let made = send(&house, "POST", "/v1/clients", &ann.jwt, body).await;
    made.is(201).is_envelope(true);
    let cleo = &made.body["principal"];
    assert_eq!((&cleo["name"], &cleo["role"], &cleo["parent"]), (&json!("cleo"), &json!("client"), &json!(ann.uid)));
    assert_eq!((&cleo["policies"], &cleo["scopes"], &cleo["blocked"]), (&json!([]), &json!(["*"]), &json!(false)));
    assert_eq!(cleo["created_at"], json!(1_900_000_000));
    assert!(is_id(cleo["uid"].as_str().unwrap()) && is_id(cleo["tenant"].as_str().unwrap()));
    let path = format!("/v1/clients/{}", made.text("/principal/uid"));
    assert_eq!(&house.ask(Ask::get(&path).bearer(&ann.jwt)).await.is(200).body["principal"], cleo);
    let list = house.ask(Ask::get("/v1/clients").bearer(&ann.jwt)).await;
    assert_eq!((&list.is(200).body["principals"], &list.body["next_cursor"]), (&json!([cleo]), &Value::Null));
    let token = house.exchange(&made.text("/api_key")).await.text("/data/auth_token");
    let login = house.log_in("cleo").await;
    assert!(may(&house, &token, "orders:read").await);
    // she makes a sub-client below herself
    let sue = send(&house, "POST", "/v1/sub-clients", &login.is(200).text("/jwt/token"), json!({ "email": "Sue@Example.com" })).await;
    assert_eq!((&sue.is(201).body["principal"]["parent"], sue.text("/principal/name")), (&cleo["uid"], sue.text("/principal/uid")));
    let sues = house.exchange(&sue.text("/api_key")).await.text("/data/auth_token");
    let ended = house.ask(Ask::new("DELETE", &format!("{path}?strict=true")).bearer(&ann.jwt)).await;
    assert_eq!(
        (&ended.is(200).body["deleted"], &ended.body["propagated"], &ended.body["strict"]),
        (&json!(true), &json!(true), &json!(true))
    );
    for token in [token, sues] {
        assert!(!may(&house, &token, "orders:read").await);
    }
    house.exchange(&made.text("/api_key")).await.is(401);
    house.log_in("cleo").await.is_refused(401, "incorrect credentials");
    house.ask(Ask::get("/v1/keys").bearer(&login.text("/jwt/token"))).await.is_refused(401, "invalid token");
    for ask in [Ask::get(&path), Ask::new("DELETE", &path), Ask::new("PATCH", &path).json(json!({ "blocked": false }))] {
        house.ask(ask.bearer(&ann.jwt)).await.is_refused(404, "not found");
    }
    send(&house, "POST", "/v1/clients", &ann.jwt, json!({ "user": "cleo" })).await.is_refused(400, "user already exist");
    assert_eq!(house.ask(Ask::get("/v1/clients").bearer(&ann.jwt)).await.body["principals"], json!([]));
}

#[tokio::test]
async fn what_is_refused_of_principals() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    for (body, field) in [
        (json!({}), "user"),
        (json!({ "user": "a", "email": "a@b.c" }), "user"),
        (json!({ "user": "a b" }), "user"),
        (json!({ "phone": "110" }), "phone"),
        (json!({ "user": "a", "policies": "x" }), "policies"),
        (json!({ "user": "a", "policies": ["x"] }), "policies"),
        (json!({ "user": "a", "policies": vec!["0".repeat(32); 17] }), "policies"),
        (json!({ "user": "a", "parent": "x" }), "parent"),
        (json!({ "user": "a", "role": "admin" }), "role"),
        (json!({ "user": "a", "scopes": ["*"] }), "scopes"),
    ] {
        send(&house, "POST", "/v1/clients", &ann.jwt, body).await.is_invalid(field);
    }
    send(&house, "POST", "/v1/clients", &ann.jwt, json!({ "user": "a", "password": "short" })).await.is_refused(400, "weak password");
    let nobody = "0".repeat(32);
    for body in [json!({ "user": "a", "policies": [nobody] }), json!({ "user": "a", "parent": nobody })] {
        send(&house, "POST", "/v1/clients", &ann.jwt, body).await.is_refused(404, "not found");
    }
    let made = send(&house, "POST", "/v1/clients", &ann.jwt, json!({ "user": "a" })).await.text("/principal/uid");
    let path = format!("/v1/clients/{made}");
    send(&house, "PATCH", &path, &ann.jwt, json!({})).await.is_invalid("blocked");
    send(&house, "PATCH", &path, &ann.jwt, json!({ "blocked": "yes" })).await.is_invalid("blocked");
    send(&house, "PATCH", &path, &ann.jwt, json!({ "role": "admin" })).await.is_invalid("role");
    send(&house, "PATCH", &path, &ann.jwt, json!({ "policies": [nobody] })).await.is_refused(404, "not found");
    // the same id under another role's address is nobody
    house.ask(Ask::get(&format!("/v1/admins/{made}")).bearer(&ann.jwt)).await.is_refused(404, "not found");
    house.ask(Ask::get("/v1/clients/x").bearer(&ann.jwt)).await.is_refused(404, "not found");
}

#[tokio::test]
async fn a_policy_acts_on_live_tokens_at_the_next_check_both_ways() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let said = |allow: Value, deny: Value| json!({ "name": "orders", "allow": allow, "deny": deny });
    let policy = send(&house, "POST", "/v1/policies", &ann.jwt, said(json!(["orders:*", "users:read"]), json!([]))).await;
    assert_eq!(
        policy.is(201).body["policy"],
        json!({ "id": policy.body["policy"]["id"], "name": "orders", "allow": ["orders:*", "users:read"], "deny": [], "version": 1 })
    );
    let id = policy.text("/policy/id");
    let made = send(&house, "POST", "/v1/clients", &ann.jwt, json!({ "user": "cleo", "policies": [id] })).await;
    assert_eq!(made.is(201).body["principal"]["scopes"], json!(["orders:*", "users:read"]));
    let path = format!("/v1/policies/{id}");
    // 64 live tokens, one for each set of scopes
    let mut tokens = Vec::new();
    for n in 0..63 {
        let body = json!({ "api_key": made.text("/api_key"), "scopes": ["orders:read", "orders:write", format!("orders:{n}")] });
        tokens.push(house.ask(Ask::post("/get-token").json(body)).await.is(200).text("/data/auth_token"));
    }
    tokens.push(house.exchange(&made.text("/api_key")).await.is(200).text("/data/auth_token"));
    let all_may = async |scope: &str| {
        let mut count = 0;
        for token in &tokens {
            count += u32::from(may(&house, token, scope).await);
        }
        count
    };
    assert_eq!((all_may("orders:read").await, all_may("orders:write").await), (64, 64));
    let rows = async || house.database.last_row_in_test().await;
    let before = rows().await;
    let changed = send(&house, "PUT", &path, &ann.jwt, said(json!(["orders:*", "users:read"]), json!(["orders:write"]))).await;
    assert_eq!((&changed.is(200).body["policy"]["version"], &changed.body["propagated"]), (&json!(2), &json!(true)));
    assert_eq!(rows().await - before, 1, "one outbox row, however many tokens are live");
    assert_eq!((all_may("orders:read").await, all_may("orders:write").await), (64, 0));
    send(&house, "PUT", &path, &ann.jwt, said(json!(["orders:*"]), json!([]))).await.is(200);
    assert_eq!((all_may("orders:write").await, all_may("users:read").await), (64, 0));
    // blocked and let in again, above and herself: one row each
    let person = format!("/v1/clients/{}", made.text("/principal/uid"));
    for (blocked, expected) in [(true, 0), (false, 64)] {
        let before = rows().await;
        let shown = send(&house, "PATCH", &person, &ann.jwt, json!({ "blocked": blocked })).await;
        assert_eq!(shown.is(200).body["principal"]["blocked"], json!(blocked));
        assert_eq!((rows().await - before, all_may("orders:read").await), (1, expected));
    }
    // detached, she holds nothing; attached again, what it allows
    for (policies, expected) in [(json!([]), 0), (json!([id]), 64)] {
        let before = rows().await;
        let shown = send(&house, "PATCH", &person, &ann.jwt, json!({ "policies": policies })).await;
        assert_eq!(shown.is(200).body["principal"]["policies"], policies);
        assert_eq!((rows().await - before, all_may("orders:read").await), (1, expected));
    }
    let before = rows().await;
    let ended = house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await;
    assert_eq!((&ended.is(200).body["deleted"], rows().await - before), (&json!(true), 1));
    assert_eq!(all_may("orders:read").await, 0);
    house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await.is_refused(404, "not found");
    assert_eq!(house.ask(Ask::get("/v1/policies").bearer(&ann.jwt)).await.body["policies"], json!([]));
}

#[tokio::test]
async fn what_is_refused_of_policies() {
    let house = House::with(|rules| rules.direct_scopes = "orders:*".parse().unwrap()).await;
    let ann = house.person("ann").await;
    for (body, field) in [
        (json!({ "name": "x" }), "allow"),
        (json!({ "allow": [] }), "name"),
        (json!({ "name": " ", "allow": [] }), "name"),
        (json!({ "name": "x".repeat(101), "allow": [] }), "name"),
        (json!({ "name": "a\nb", "allow": [] }), "name"),
        (json!({ "name": "x", "allow": ["a b"] }), "allow"),
        (json!({ "name": "x", "allow": [], "deny": ["a b"] }), "deny"),
        (json!({ "name": "x", "allow": (0..65).map(|n| format!("orders:{n}")).collect::<Vec<_>>() }), "allow"),
        (json!({ "name": "x", "allow": [], "scopes": [] }), "scopes"),
    ] {
        send(&house, "POST", "/v1/policies", &ann.jwt, body).await.is_invalid(field);
    }
    let held = send(&house, "POST", "/v1/policies", &ann.jwt, json!({ "name": "x", "allow": ["orders:read", "users:read"] })).await;
    assert_eq!(held.is(403).text("/message"), "scope not held: `users:read`");
    // what it denies need not be held
    let one = send(&house, "POST", "/v1/policies", &ann.jwt, json!({ "name": "one", "allow": [], "deny": ["*"] })).await;
    send(&house, "POST", "/v1/policies", &ann.jwt, json!({ "name": "one", "allow": [] })).await.is_invalid("name");
    send(&house, "POST", "/v1/policies", &ann.jwt, json!({ "name": "two", "allow": [] })).await.is(201);
    let path = format!("/v1/policies/{}", one.is(201).text("/policy/id"));
    send(&house, "PUT", &path, &ann.jwt, json!({ "name": "two", "allow": [] })).await.is_invalid("name");
    send(&house, "PUT", &path, &ann.jwt, json!({ "name": "one", "allow": ["users:read"] })).await.is(403);
    send(&house, "PUT", &path, &ann.jwt, json!({ "name": "one", "allow": ["orders:*"] })).await.is(200);
    let nowhere = format!("/v1/policies/{}", "0".repeat(32));
    send(&house, "PUT", &nowhere, &ann.jwt, json!({ "name": "one", "allow": [] })).await.is_refused(404, "not found");
    house.ask(Ask::get("/v1/policies?tenant=x").bearer(&ann.jwt)).await.is_invalid("tenant");
}

#[tokio::test]
async fn nobody_gains_by_a_policy_what_its_maker_does_not_hold() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let narrow =
        send(&house, "POST", "/v1/policies", &ann.jwt, json!({ "name": "narrow", "allow": ["orders:*"] })).await.text("/policy/id");
    let body = json!({ "user": "adam", "password": PASSWORD, "policies": [narrow] });
    let adam = send(&house, "POST", "/v1/admins", &ann.jwt, body).await;
    let jwt = house.log_in("adam").await.text("/jwt/token");
    // neither by a policy of his own, nor by the one that is attached to himself, nor by inviting, nor by a key
    send(&house, "POST", "/v1/policies", &jwt, json!({ "name": "wide", "allow": ["*"] })).await.is(403);
    let path = format!("/v1/policies/{narrow}");
    send(&house, "PUT", &path, &jwt, json!({ "name": "narrow", "allow": ["orders:*"], "deny": [] })).await.is_refused(403, "forbidden");
    house.ask(Ask::new("DELETE", &path).bearer(&jwt)).await.is_refused(403, "forbidden");
    send(&house, "POST", "/v1/invitations", &jwt, json!({ "role": "client", "scopes": ["users:read"] })).await.is(403);
    send(&house, "POST", "/v1/invitations", &jwt, json!({ "role": "admin" })).await.is_refused(403, "forbidden");
    send(&house, "POST", "/v1/keys", &jwt, json!({ "scopes": ["users:read"] })).await.is(403);
    let own = format!("/v1/admins/{}", adam.text("/principal/uid"));
    send(&house, "PATCH", &own, &jwt, json!({ "policies": [] })).await.is_refused(403, "forbidden");
    send(&house, "POST", "/v1/admins", &jwt, json!({ "user": "evil" })).await.is_refused(403, "forbidden");
    // a client without policies has what he has, and no more
    let cleo = send(&house, "POST", "/v1/clients", &jwt, json!({ "user": "cleo" })).await;
    assert_eq!(cleo.is(201).body["principal"]["scopes"], json!(["orders:*"]));
    let token = house.exchange(&cleo.text("/api_key")).await;
    assert_eq!(token.body["data"]["scopes"], json!(["orders:*"]));
    let token = token.text("/data/auth_token");
    assert!(may(&house, &token, "orders:read").await && !may(&house, &token, "users:read").await);
    // the one above narrows them both at once
    send(&house, "PUT", &path, &ann.jwt, json!({ "name": "narrow", "allow": ["users:*"] })).await.is(200);
    assert!(!may(&house, &token, "orders:read").await && !may(&house, &token, "users:read").await);
}

#[tokio::test]
async fn an_invitation_joins_the_inviters_tenant_once() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let policy = send(&house, "POST", "/v1/policies", &ann.jwt, json!({ "name": "p", "allow": ["users:read"] })).await.text("/policy/id");
    let body = json!({ "role": "client", "scopes": ["orders:read"], "policies": [policy], "expires_in": 60 });
    let made = send(&house, "POST", "/v1/invitations", &ann.jwt, body).await;
    let invitation = json!({ "id": made.is(201).body["invitation"]["id"], "role": "client", "expires_at": 1_900_000_060 });
    assert_eq!(made.body["invitation"], invitation);
    let code = made.text("/code");
    assert!(code.starts_with("gpi_"));
    let list = house.ask(Ask::get("/v1/invitations").bearer(&ann.jwt)).await;
    assert_eq!(list.is(200).body["invitations"], json!([invitation]));
    assert!(!list.body.to_string().contains("gpi_"));
    let register = |user: &str| Ask::post("/v1/register").json(json!({ "user": user, "password": PASSWORD, "invitation": code }));
    let (one, two) = tokio::join!(house.ask(register("cleo")), house.ask(register("carl")));
    let (joined, late) = if one.status == 201 { (one, two) } else { (two, one) };
    late.is_refused(403, "invitation required");
    assert_eq!(joined.is(201).body["phone_required"], json!(false));
    let shown = house.ask(Ask::get(&format!("/v1/clients/{}", joined.text("/uid"))).bearer(&ann.jwt)).await;
    let principal = &shown.is(200).body["principal"];
    assert_eq!((&principal["parent"], &principal["policies"]), (&json!(ann.uid), &json!([policy])));
    assert_eq!(principal["scopes"], json!(["orders:read", "users:read"]));
    assert_eq!(house.exchange(&joined.text("/api_key")).await.body["data"]["scopes"], json!(["orders:read", "users:read"]));
    house.ask(register("dora")).await.is_refused(403, "invitation required");
    assert_eq!(house.ask(Ask::get("/v1/invitations").bearer(&ann.jwt)).await.body["invitations"], json!([]));
}

#[tokio::test]
async fn an_invitation_that_stands_no_more_lets_nobody_in() {
    let house = House::open().await;
    let ann = house.person("ann").await;
    let bob = house.person("bob").await;
    let invite = async |jwt: &str| send(&house, "POST", "/v1/invitations", jwt, json!({ "role": "client" })).await;
    let refused = async |code: &str| {
        let body = json!({ "user": "cleo", "password": PASSWORD, "invitation": code });
        house.ask(Ask::post("/v1/register").json(body)).await.is_refused(403, "invitation required");
    };
    for made_up in ["", "x", "gpi_", &ann.api_key] {
        refused(made_up).await;
    }
    let withdrawn = invite(&ann.jwt).await;
    let path = format!("/v1/invitations/{}", withdrawn.is(201).text("/invitation/id"));
    house.ask(Ask::new("DELETE", &path).bearer(&bob.jwt)).await.is_refused(404, "not found");
    assert_eq!(house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await.is(200).body["deleted"], json!(true));
    house.ask(Ask::new("DELETE", &path).bearer(&ann.jwt)).await.is_refused(404, "not found");
    refused(&withdrawn.text("/code")).await;
    let blocked = invite(&bob.jwt).await.text("/code");
    let bobs = house.database.principal(bob.uid.parse().unwrap()).await.unwrap().unwrap().tenant;
    send(&house, "PATCH", &format!("/v1/tenants/{bobs}"), &ann.jwt, json!({ "blocked": true })).await.is(200);
    refused(&blocked).await;
    // an inviter who is blocked, or ended, or below somebody who is
    for (method, body) in [("PATCH", json!({ "blocked": true })), ("DELETE", json!({}))] {
        let user = format!("inviter-{}", method.to_lowercase());
        let made = send(&house, "POST", "/v1/clients", &ann.jwt, json!({ "user": user, "password": PASSWORD })).await;
        let jwt = house.log_in(&user).await.text("/jwt/token");
        let code = send(&house, "POST", "/v1/invitations", &jwt, json!({ "role": "end_user" })).await.is(201).text("/code");
        send(&house, method, &format!("/v1/clients/{}", made.text("/principal/uid")), &ann.jwt, body).await.is(200);
        refused(&code).await;
    }
    let late = invite(&ann.jwt).await.text("/code");
    house.clock.advance(Duration::from_secs(7 * 24 * 3600));
    refused(&late).await;
    for (body, field) in [
        (json!({ "role": "client", "expires_in": 0 }), "expires_in"),
        (json!({ "role": "client", "expires_in": 90 * 24 * 3600 + 1 }), "expires_in"),
        (json!({ "role": "quickstart" }), "role"),
        (json!({ "role": "tenant" }), "role"),
        (json!({}), "role"),
        (json!({ "role": "client", "scopes": ["a b"] }), "scopes"),
        (json!({ "role": "client", "policies": ["x"] }), "policies"),
    ] {
        // the login has run out with the week
        let jwt = house.log_in("ann").await.text("/jwt/token");
        send(&house, "POST", "/v1/invitations", &jwt, body).await.is_invalid(field);
    }
}

#[tokio::test]
async fn tenants_are_listed_and_blocked() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let list = house.ask(Ask::get("/v1/tenants").bearer(&ann.jwt)).await;
    let names: Vec<_> = list.is(200).body["tenants"].as_array().unwrap().iter().map(|tenant| tenant["name"].clone()).collect();
    assert!(names.contains(&json!("ann")) && names.contains(&json!("bob")) && names.len() == 2);
    let bobs = list.body["tenants"].as_array().unwrap().iter().find(|tenant| tenant["name"] == "bob").unwrap();
    assert_eq!(bobs["blocked"], json!(false));
    let path = format!("/v1/tenants/{}", bobs["id"].as_str().unwrap());
    let token = house.exchange(&bob.api_key).await.text("/data/auth_token");
    let blocked = send(&house, "PATCH", &path, &ann.jwt, json!({ "blocked": true })).await;
    assert_eq!((&blocked.is(200).body["tenant"]["blocked"], &blocked.body["propagated"]), (&json!(true), &json!(true)));
    assert!(!may(&house, &token, "orders:read").await);
    house.log_in("bob").await.is_refused(401, "incorrect credentials");
    send(&house, "PATCH", &path, &ann.jwt, json!({ "blocked": false })).await.is(200);
    assert!(may(&house, &token, "orders:read").await);
    send(&house, "PATCH", &path, &ann.jwt, json!({})).await.is_invalid("blocked");
    send(&house, "PATCH", &format!("/v1/tenants/{}", "0".repeat(32)), &ann.jwt, json!({ "blocked": true }))
        .await
        .is_refused(404, "not found");
}

#[tokio::test]
async fn the_trail_tells_who_did_what() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let cleo = send(&house, "POST", "/v1/clients", &bob.jwt, json!({ "user": "cleo" })).await.text("/principal/uid");
    let path = format!("/v1/clients/{cleo}");
    send(&house, "PATCH", &path, &ann.jwt, json!({ "blocked": true, "policies": [] })).await.is(200);
    let told = async |jwt: &str, query: &str| house.ask(Ask::get(&format!("/v1/audit{query}")).bearer(jwt)).await;
    let seen = told(&bob.jwt, "").await;
    let entries = seen.is(200).body["entries"].as_array().unwrap();
    // what a super admin did to his own stands in his trail
    let first = json!({
        "id": entries[0]["id"], "at": 1_900_000_000, "actor": ann.uid, "action": "principal_block", "target": cleo,
        "from": "127.0.0.1", "result": "done",
    });
    assert_eq!(entries[0], first);
    let actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["principal_block", "principal_policies", "principal_create", "login", "sign_up"]);
    assert!(!seen.body.to_string().contains(PASSWORD));
    let all = told(&ann.jwt, "").await;
    assert_eq!(all.body["entries"].as_array().unwrap().len(), 7);
    let page = told(&ann.jwt, "?limit=3").await;
    assert_eq!(page.body["entries"], json!(all.body["entries"].as_array().unwrap()[..3]));
    let rest = told(&ann.jwt, &format!("?limit=1000&cursor={}", page.text("/next_cursor"))).await;
    assert_eq!(rest.body["entries"], json!(all.body["entries"].as_array().unwrap()[3..]));
    assert_eq!(rest.body["next_cursor"], Value::Null);
    for query in ["?limit=0", "?cursor=x", "?cursor=0"] {
        told(&ann.jwt, query).await.is_invalid(if query.contains("limit") { "limit" } else { "cursor" });
    }
}

#[tokio::test]
async fn what_was_refused_stands_in_the_trail_within_bounds() {
    let house = House::open().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    for _ in 0..4 {
        house.ask(Ask::get("/v1/login").basic("bob", "not his password")).await.is(401);
        house.ask(Ask::get("/v1/tenants").bearer(&bob.jwt)).await.is_refused(403, "forbidden");
        send(&house, "POST", "/v1/admins", &bob.jwt, json!({ "user": "evil" })).await.is_refused(403, "forbidden");
    }
    house.ask(Ask::get("/v1/login").basic("my password by mistake", "x")).await.is(401);
    let mut refused = Vec::new();
    for _ in 0..200 {
        let all = house.ask(Ask::get("/v1/audit").bearer(&ann.jwt)).await;
        refused = all.body["entries"].as_array().unwrap().iter().filter(|entry| entry["result"] == "refused").cloned().collect();
        if refused.len() >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut told: Vec<_> = refused
        .iter()
        .map(|entry| (entry["actor"].as_str().unwrap(), entry["action"].as_str().unwrap(), entry["target"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    let mut expected = vec![
        ("unknown", "login", bob.uid.as_str()),
        ("unknown", "login", "unknown"),
        (bob.uid.as_str(), "principal_create", bob.uid.as_str()),
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn without_a_trail_there_is_no_act() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.database.run_in_test(&["ALTER TABLE audit RENAME TO gone".to_owned()]).await;
    let pending = house.database.last_row_in_test().await;
    let acts = [
        ("POST", "/v1/clients".to_owned(), json!({ "user": "cleo" })),
        ("POST", "/v1/policies".to_owned(), json!({ "name": "p", "allow": [] })),
        ("POST", "/v1/invitations".to_owned(), json!({ "role": "client" })),
        ("POST", "/v1/keys".to_owned(), json!({})),
        ("POST", "/v1/register".to_owned(), json!({ "user": "dan", "password": PASSWORD, "invitation": "x" })),
    ];
    for (method, path, body) in acts {
        let expected = if path == "/v1/register" { 403 } else { 503 };
        let reply = send(&house, method, &path, &ann.jwt, body).await;
        assert_eq!(reply.status.as_u16(), expected, "{path}: {}", reply.body);
    }
    house.log_in("ann").await.is_refused(503, "unavailable");
    assert_eq!(house.database.last_row_in_test().await, pending, "nothing to tell the token store");
    house.database.run_in_test(&["ALTER TABLE gone RENAME TO audit".to_owned()]).await;
    for list in ["clients", "policies", "invitations"] {
        let name = if list == "clients" { "principals" } else { list };
        assert_eq!(house.ask(Ask::get(&format!("/v1/{list}")).bearer(&ann.jwt)).await.is(200).body[name], json!([]), "{list}");
    }
    assert_eq!(house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await.body["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn super_admins_see_the_running_instance() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    house.ask(Ask::get("/v1/rules").bearer(&ann.jwt)).await.is_refused(503, "unavailable");
    house.admin.show(instance());
    let told = async |path: &str| house.ask(Ask::get(path).bearer(&ann.jwt)).await;
    let decisions = told("/v1/decisions").await;
    let shown: Vec<_> =
        decisions.is(200).body["decisions"].as_array().unwrap().iter().map(|one| (&one["path"], &one["status"], &one["would"])).collect();
    assert_eq!(shown, [(&json!("/b"), &Value::Null, &json!(true)), (&json!("/a"), &json!(403), &json!(false))]);
    let first = told("/v1/decisions?limit=1").await;
    let second = told(&format!("/v1/decisions?limit=1&cursor={}", first.text("/next_cursor"))).await;
    assert_eq!((&second.body["decisions"][0]["path"], &second.body["next_cursor"]), (&json!("/a"), &Value::Null));
    let rules = told("/v1/rules?limit=2").await;
    assert_eq!((rules.text("/rules/1/id"), &rules.body["rules"][1]["all"]), ("rule 1".into(), &json!(["orders:read"])));
    let rest = told(&format!("/v1/rules?limit=2&cursor={}", rules.text("/next_cursor"))).await;
    assert_eq!((rest.text("/rules/0/id"), &rest.body["next_cursor"]), ("rule 2".into(), &Value::Null));
    let explain = async |body: Value| send(&house, "POST", "/v1/explain", &ann.jwt, body).await;
    assert_eq!(explain(json!({ "method": "GET", "url": "/a" })).await.is(200).body["explanation"], json!({ "method": "GET" }));
    explain(json!({ "method": "GET", "url": "" })).await.is_invalid("url");
    explain(json!({ "method": "GET" })).await.is_invalid("url");
    explain(json!({ "method": "GET", "url": "/a", "token": "x", "scopes": [] })).await.is_invalid("token");
    explain(json!({ "method": "GET", "url": "/a", "scopes": ["a b"] })).await.is_invalid("scopes");
}

#[tokio::test]
async fn a_keys_timed_end_takes_its_tokens_along_and_its_last_use_is_told() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let made = send(&house, "POST", "/v1/keys", &ann.jwt, json!({ "name": "ci", "expires_in": 90 })).await;
    let token = house.exchange(&made.is(201).text("/api_key")).await.text("/data/auth_token");
    house.admin.accounts().last_used().flush().await;
    let keys = house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await;
    let used = |keys: &Reply, name: &str| {
        keys.body["keys"].as_array().unwrap().iter().find(|key| key["name"] == name).unwrap()["last_used_at"].clone()
    };
    assert_eq!((used(&keys, "ci"), used(&keys, "sign-up")), (json!(1_900_000_000), Value::Null));
    // a use at the gate, as its allow notes it; the store learns nothing of that
    let before = house.database.last_row_in_test().await;
    house.clock.advance(Duration::from_secs(60));
    let key = made.text("/key/id").parse().unwrap();
    house.admin.accounts().last_used().used(key, house.clock.now());
    house.admin.accounts().last_used().flush().await;
    assert_eq!(used(&house.ask(Ask::get("/v1/keys").bearer(&ann.jwt)).await, "ci"), json!(1_900_000_060));
    assert_eq!(house.database.last_row_in_test().await, before);
    assert!(may(&house, &token, "orders:read").await);
    house.clock.advance(Duration::from_secs(30));
    assert!(!may(&house, &token, "orders:read").await);
}

#[tokio::test]
async fn end_users_join_the_founding_tenant_only_where_they_may() {
    use crate::accounts::sign_up::{Contact, Newcomer};
    let origin = crate::accounts::Origin { address: "192.0.2.7".parse().unwrap(), local: false };
    let proved = |text: &str, verified| Newcomer { email: Some(Contact { text: text.into(), verified }), ..Newcomer::default() };
    let house = House::with(|rules| rules.end_users = Some("orders:read".parse().unwrap())).await;
    let accounts = house.admin.accounts();
    // nobody has founded: there is no tenant to join
    accounts.admit_in_test(proved("eve@example.com", true), origin).await.unwrap_err();
    let ann = house.person("ann").await;
    accounts.admit_in_test(proved("eve@example.com", false), origin).await.unwrap_err();
    let eve = accounts.admit_in_test(proved("Eve@example.com", true), origin).await.unwrap();
    let row = house.database.principal(eve.uid).await.unwrap().unwrap();
    let anns = house.database.principal(ann.uid.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((row.role, row.tenant, row.parent, row.name.as_str()), (Role::EndUser, anns.tenant, None, "eve@example.com"));
    let token = house.exchange(eve.api_key.unwrap().reveal()).await;
    assert_eq!(token.body["data"]["scopes"], json!(["orders:read"]));
    let off = House::new().await;
    off.person("ann").await;
    let refused = off.admin.accounts().admit_in_test(proved("eve@example.com", true), origin).await.unwrap_err();
    assert_eq!(refused, crate::accounts::Refusal::InvitationRequired);
}
