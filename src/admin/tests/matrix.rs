//! Every actor × every action × everyone it is done to: the expected status is computed from the small model below.

use super::people::{Household, Kin, Likeness};
use super::*;

/// What the model knows of a person.
struct Person {
    name: &'static str,
    role: &'static str,
    /// Empty = at the top of its tenant.
    parent: &'static str,
    tenant: u8,
}

impl Likeness for Person {
    fn name(&self) -> &str {
        self.name
    }
}

const fn person(name: &'static str, role: &'static str, parent: &'static str, tenant: u8) -> Person {
    Person { name, role, parent, tenant }
}

const PEOPLE: [Person; 12] = [
    person("ann", "super_admin", "", 1),
    person("adam", "admin", "ann", 1),
    person("amy", "admin", "ann", 1),
    person("cleo", "client", "adam", 1),
    person("carl", "client", "adam", 1),
    person("cora", "client", "amy", 1),
    person("sue", "sub_client", "cleo", 1),
    person("sid", "sub_client", "carl", 1),
    person("eve", "end_user", "adam", 1),
    person("bob", "admin", "", 2),
    person("bea", "client", "bob", 2),
    person("ben", "sub_client", "bea", 2),
];

fn of(name: &str) -> &'static Person {
    PEOPLE.iter().find(|person| person.name == name).unwrap()
}

fn rank(role: &str) -> usize {
    ["super_admin", "admin", "client", "sub_client", "end_user"].iter().position(|other| *other == role).unwrap()
}

fn is_above(actor: &Person, target: &Person) -> bool {
    let mut up = target.parent;
    while !up.is_empty() {
        if up == actor.name {
            return true;
        }
        up = of(up).parent;
    }
    actor.role == "super_admin" && actor.name != target.name
}

fn sees(actor: &Person, target: &Person) -> bool {
    actor.name == target.name || is_above(actor, target)
}

fn route(role: &str) -> Option<&'static str> {
    match role {
        "admin" => Some("/v1/admins"),
        "client" => Some("/v1/clients"),
        "sub_client" => Some("/v1/sub-clients"),
        _ => None,
    }
}

/// Below whom someone of `role` may stand.
fn fits(role: &str, parent: &str) -> bool {
    match role {
        "admin" => parent == "super_admin",
        "client" => matches!(parent, "super_admin" | "admin"),
        _ => parent == "client",
    }
}

/// One request and the status it must have.
struct Case {
    what: String,
    ask: Ask,
    expected: u16,
}

impl Household {
    async fn check(&self, actor: &str, jwt: Option<&str>, cases: Vec<Case>) {
        for Case { what, ask, expected } in cases {
            let ask = match jwt {
                Some(jwt) => ask.bearer(jwt),
                None => ask,
            };
            let reply = self.house.ask(ask).await;
            assert_eq!(reply.status.as_u16(), expected, "{actor}: {what}: {}", reply.body);
        }
    }

    /// What one actor does to one target. Each act is done to something made for it, so that none spoils the next.
    async fn cases(&self, actor: &'static Person, target: &'static Person) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut add =
            |what: String, ask: Ask, expected: u16| cases.push(Case { what: format!("{what} of {}", target.name), ask, expected });
        let (seen, above) = (sees(actor, target), is_above(actor, target));
        let status = |done: u16| if seen { done } else { 404 };
        let uid = self.uid(target.name);
        for role in ["admin", "client", "sub_client"] {
            let path = route(role).unwrap();
            let is_one = target.role == role;
            add(format!("GET {path}"), Ask::get(&format!("{path}/{uid}")), if is_one { status(200) } else { 404 });
            let changed = match (is_one && seen, above) {
                (true, true) => 200,
                (true, false) => 403,
                (false, _) => 404,
            };
            add(format!("PATCH {path}"), Ask::new("PATCH", &format!("{path}/{uid}")).json(json!({ "blocked": false })), changed);
            let ended = if changed == 200 { self.like(target).await } else { uid.clone() };
            add(format!("DELETE {path}"), Ask::new("DELETE", &format!("{path}/{ended}")), changed);
            let expected = match () {
                () if rank(actor.role) >= rank(role) => 403,
                () if !seen => 404,
                () if fits(role, target.role) => 201,
                () => 400,
            };
            let body = json!({ "user": self.fresh(), "parent": uid, "policies": [] });
            add(format!("POST {path} below"), Ask::post(path).json(body), expected);
        }
        for list in ["keys", "tokens", "sessions", "invitations"] {
            add(format!("GET /v1/{list}"), Ask::get(&format!("/v1/{list}?principal={uid}")), status(200));
        }
        let key = self.key(target.name).await;
        add("PUT key scopes".into(), Ask::new("PUT", &format!("/v1/keys/{}/scopes", key.0)).json(json!({ "scopes": [] })), status(200));
        let agreed = match (seen, actor.name == target.name && actor.role != "super_admin") {
            (true, true) => 403,
            (true, false) => 200,
            (false, _) => 404,
        };
        add("PUT key terms".into(), Ask::new("PUT", &format!("/v1/keys/{}/terms", key.0)).json(json!({ "external_id": "x" })), agreed);
        add("make a key".into(), Ask::post("/v1/keys").json(json!({ "principal": uid, "scopes": [] })), status(201));
        add("rotate key".into(), Ask::post(&format!("/v1/keys/{}/rotate", key.0)), status(200));
        let token = self.key(target.name).await;
        let claims =
            self.house.admin.accounts().keyring().read_access(&self.house.exchange(&token.1).await.text("/data/auth_token")).unwrap();
        add("DELETE token".into(), Ask::new("DELETE", &format!("/v1/tokens/{}", claims.id)), status(200));
        add("DELETE key".into(), Ask::new("DELETE", &format!("/v1/keys/{}", key.0)), status(200));
        let session = self.enter(target.name).await.0;
        add("DELETE session".into(), Ask::new("DELETE", &format!("/v1/sessions/{session}")), status(200));
        let invitation = self.invitation(target.name).await;
        if let Some(invitation) = invitation {
            add("DELETE invitation".into(), Ask::new("DELETE", &format!("/v1/invitations/{invitation}")), status(200));
        }
        // a policy that is attached to the target: whoever changes it must stand above
        let policy = self.policy(target.tenant, &[target.name]).await;
        let expected = match () {
            () if actor.tenant != target.tenant && actor.role != "super_admin" => 404,
            () if rank(actor.role) > 1 || !above => 403,
            () => 200,
        };
        let said = json!({ "name": self.fresh(), "allow": [], "deny": ["x:write"] });
        add("PUT policy".into(), Ask::new("PUT", &format!("/v1/policies/{policy}")).json(said), expected);
        add("DELETE policy".into(), Ask::new("DELETE", &format!("/v1/policies/{policy}")), expected);
        cases
    }

    /// What one actor does to nobody in particular.
    async fn own_cases(&self, actor: &'static Person) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut add = |what: &str, ask: Ask, expected: u16| cases.push(Case { what: what.to_owned(), ask, expected });
        let yes = |can: bool, done: u16| if can { done } else { 403 };
        for role in ["admin", "client", "sub_client"] {
            let path = route(role).unwrap();
            let can = rank(actor.role) < rank(role);
            add(path, Ask::get(path), yes(can, 200));
            let made = if fits(role, actor.role) { 201 } else { 400 };
            add(path, Ask::post(path).json(json!({ "user": self.fresh() })), yes(can, made));
        }
        for role in ["admin", "client", "sub_client", "end_user"] {
            add("invite", Ask::post("/v1/invitations").json(json!({ "role": role })), yes(rank(actor.role) < rank(role), 201));
        }
        add("invite a super admin", Ask::post("/v1/invitations").json(json!({ "role": "super_admin" })), 400);
        let (is_admin, is_super) = (rank(actor.role) <= 1, rank(actor.role) == 0);
        add("make a policy", Ask::post("/v1/policies").json(json!({ "name": self.fresh(), "allow": [] })), yes(is_admin, 201));
        add("list policies", Ask::get("/v1/policies"), yes(rank(actor.role) <= 2, 200));
        let foreign = self.tenant(if actor.tenant == 1 { "bob" } else { "ann" }).await;
        let made = if is_super { 201 } else { yes(is_admin, 404) };
        let body = json!({ "name": self.fresh(), "allow": [] });
        add("make a policy elsewhere", Ask::post(&format!("/v1/policies?tenant={foreign}")).json(body), made);
        let listed = if is_super { 200 } else { yes(rank(actor.role) <= 2, 404) };
        add("list policies elsewhere", Ask::get(&format!("/v1/policies?tenant={foreign}")), listed);
        add("list tenants", Ask::get("/v1/tenants"), yes(is_super, 200));
        let own = self.tenant(actor.name).await;
        let let_in = || json!({ "blocked": false });
        add("change own tenant", Ask::new("PATCH", &format!("/v1/tenants/{own}")).json(let_in()), 403);
        add("change a tenant", Ask::new("PATCH", &format!("/v1/tenants/{foreign}")).json(let_in()), yes(is_super, 200));
        add("audit", Ask::get("/v1/audit"), yes(is_admin, 200));
        for path in ["/v1/decisions", "/v1/rules"] {
            add(path, Ask::get(path), yes(is_super, 200));
        }
        add("explain", Ask::post("/v1/explain").json(json!({ "method": "GET", "url": "/a" })), yes(is_super, 200));
        let examination = format!("/v1/examinations/{}", crate::id::Id::from_bytes([1; 16]));
        add("examine", Ask::post("/v1/examinations").json(json!({ "manners": [] })), yes(is_super, 400));
        add("see an examination", Ask::get(&examination), yes(is_super, 404));
        add("close an examination", Ask::new("DELETE", &examination), yes(is_super, 404));
        add("make a key", Ask::post("/v1/keys").json(json!({ "scopes": [] })), 201);
        cases
    }
}

#[tokio::test]
async fn who_may_do_what_to_whom() {
    let house = Household::new(&PEOPLE.map(|person| Kin { name: person.name, role: person.role, parent: person.parent })).await;
    for actor in &PEOPLE {
        let (_, jwt) = house.enter(actor.name).await;
        house.check(actor.name, Some(&jwt), house.own_cases(actor).await).await;
        for target in &PEOPLE {
            house.check(actor.name, Some(&jwt), house.cases(actor, target).await).await;
        }
    }
}

#[tokio::test]
async fn who_is_nobody_does_nothing() {
    let house = Household::new(&PEOPLE.map(|person| Kin { name: person.name, role: person.role, parent: person.parent })).await;
    // blocked himself, below someone blocked, ended, and in a blocked tenant: their logins from before say nothing any more
    let mut jwts = Vec::new();
    for name in ["cleo", "sue", "sid", "bea"] {
        jwts.push(house.enter(name).await.1);
    }
    let (_, ann) = house.enter("ann").await;
    let change = async |method, path: String, body: Value| house.house.ask(Ask::new(method, &path).bearer(&ann).json(body)).await;
    change("PATCH", format!("/v1/clients/{}", house.uid("cleo")), json!({ "blocked": true })).await.is(200);
    change("DELETE", format!("/v1/clients/{}", house.uid("carl")), json!({})).await.is(200);
    change("PATCH", format!("/v1/tenants/{}", house.tenant("bob").await), json!({ "blocked": true })).await.is(200);
    let api_key = house.key("adam").await.1;
    let nobodies: Vec<(&str, Option<&str>)> = jwts
        .iter()
        .map(|jwt| ("blocked", Some(jwt.as_str())))
        .chain([("anonymous", None), ("an API key", Some(api_key.as_str()))])
        .collect();
    for (who, jwt) in nobodies {
        for actor in [of("ann"), of("cleo")] {
            let cases = house.own_cases(actor).await.into_iter().map(|case| Case { expected: 401, ..case });
            house.check(who, jwt, cases.collect()).await;
        }
        for target in ["adam", "cora"] {
            let cases = house.cases(of("ann"), of(target)).await.into_iter().map(|case| Case { expected: 401, ..case });
            house.check(who, jwt, cases.collect()).await;
        }
    }
}

#[tokio::test]
async fn the_key_of_the_first_minutes_manages_nothing() {
    let house = House::new().await;
    let key = house.admin.quickstart_key().await.unwrap().unwrap();
    for path in ["/v1/keys", "/v1/clients", "/v1/tenants", "/v1/audit", "/v1/policies"] {
        house.ask(Ask::get(path).bearer(&key)).await.is_refused(401, "invalid token");
    }
}
