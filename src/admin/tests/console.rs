//! The console's pages: who sees what, what their forms do, and what they do not do for another site or another session.

use super::browser::{AUTH, Browser, field, form, house};
use super::*;
use crate::admin::Instance;
use crate::audit::{Action, By};
use crate::database::PolicyRow;
use crate::decision::cookies::Domains;
use crate::decisions::Decision;
use crate::id::Id;
use crate::token::record::Role;

/// Every page, and from which role on it is seen.
const PAGES: [(&str, Role); 14] = [
    ("/", Role::EndUser),
    ("/console/keys", Role::EndUser),
    ("/console/tokens", Role::EndUser),
    ("/console/logins", Role::EndUser),
    ("/console/account", Role::EndUser),
    ("/console/people", Role::Client),
    ("/console/policies", Role::Client),
    ("/console/invitations", Role::SubClient),
    ("/console/audit", Role::Admin),
    ("/console/rules", Role::SuperAdmin),
    ("/console/try", Role::SuperAdmin),
    ("/console/refusals", Role::SuperAdmin),
    ("/console/issuers", Role::SuperAdmin),
    ("/console/tenants", Role::SuperAdmin),
];

/// A browser that `user` is logged in with.
async fn at_work<'a>(house: &'a House, user: &str) -> Browser<'a> {
    let mut browser = Browser::new(house);
    browser.log_in("/", user, PASSWORD).await.is(303);
    browser
}

fn address(path: &str) -> String {
    format!("https://{AUTH}{path}")
}

fn rank(role: Role) -> usize {
    [Role::SuperAdmin, Role::Admin, Role::Client, Role::SubClient, Role::EndUser].iter().position(|other| *other == role).unwrap()
}

#[tokio::test]
async fn each_role_sees_its_pages_and_the_menu_names_them() {
    let house = house().await;
    house.admin.show(super::people::instance());
    let ann = house.log_in("ann").await.text("/jwt/token");
    let mut parents = Vec::new();
    for (path, user) in [("/v1/admins", "adam"), ("/v1/clients", "cleo"), ("/v1/sub-clients", "sue")] {
        let mut body = json!({ "user": user, "password": PASSWORD });
        if let Some(parent) = parents.last() {
            body["parent"] = json!(parent);
        }
        let made = house.ask(Ask::post(path).bearer(&ann).json(body)).await;
        parents.push(made.is(201).text("/principal/uid"));
    }
    for (user, role) in [("ann", Role::SuperAdmin), ("adam", Role::Admin), ("cleo", Role::Client), ("sue", Role::SubClient)] {
        let mut browser = at_work(&house, user).await;
        let menu = browser.get(&address("/")).await.is(200).body.as_str().unwrap().to_owned();
        for (path, from) in PAGES {
            let sees = rank(role) <= rank(from);
            assert_eq!(menu.contains(&format!("href=\"{path}\"")), sees, "{user} {path}");
            assert_eq!(browser.get(&address(path)).await.status.as_u16(), if sees { 200 } else { 403 }, "{user} {path}");
        }
    }
}

#[tokio::test]
async fn who_is_not_logged_in_comes_to_the_login_page_and_back() {
    let house = house().await;
    for (path, _) in PAGES.into_iter().skip(1) {
        let reply = Browser::new(&house).get(&address(path)).await;
        let rd = super::super::browser::encoded(path);
        assert_eq!(reply.is(303).header("location"), Some(format!("/login?rd={rd}").as_str()));
    }
    let mut browser = Browser::new(&house);
    let entered = browser.log_in("/console/keys?limit=5", "ann", PASSWORD).await;
    assert_eq!(entered.is(303).header("location"), Some("/console/keys?limit=5"));
}

#[tokio::test]
async fn a_form_acts_with_the_token_of_its_session_and_from_an_own_page_only() {
    let house = house().await;
    let mut browser = at_work(&house, "ann").await;
    let page = browser.get(&address("/console/keys")).await;
    let token = field(&page, "token");
    let other = field(&at_work(&house, "ann").await.get(&address("/console/keys")).await, "token");
    let keys = async || {
        let jwt = house.log_in("ann").await.text("/jwt/token");
        house.ask(Ask::get("/v1/keys").bearer(&jwt)).await.body["keys"].as_array().unwrap().len()
    };
    let before = keys().await;
    for token in ["", "x", other.as_str()] {
        let reply = browser.send(form("/console/keys", &[("token", token), ("name", "planted")]), AUTH).await;
        assert_eq!(reply.status, 403, "{token}");
    }
    for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("sec-fetch-site", "none")] {
        let mut foreign = form("/console/keys", &[("token", &token), ("name", "planted")]);
        foreign.headers.retain(|(other, _)| *other != name);
        foreign.headers.push((name, value.to_owned()));
        browser.send(foreign, AUTH).await.is(403);
    }
    let jwt = house.log_in("ann").await.text("/jwt/token");
    // nor by a login's JWT, which no form could send
    house.ask(form("/console/keys", &[("token", &token), ("name", "planted")]).bearer(&jwt)).await.is(303);
    assert_eq!(keys().await, before);
    let made = browser.send(form("/console/keys", &[("token", &token), ("name", "meant")]), AUTH).await;
    assert!(made.is(200).body.as_str().unwrap().contains("gpk_"));
    assert_eq!(keys().await, before + 1);
}

#[tokio::test]
async fn what_people_call_things_is_escaped_and_the_policy_lets_nothing_foreign_in() {
    let house = house().await;
    let mut browser = at_work(&house, "ann").await;
    let token = field(&browser.get(&address("/console/keys")).await, "token");
    let evil = "\"><script>alert(1)</script>";
    browser.send(form("/console/keys", &[("token", &token), ("name", evil)]), AUTH).await.is(200);
    let page = browser.get(&address("/console/keys")).await;
    let html = page.is(200).body.as_str().unwrap();
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script>alert"), "{html}");
    for foreign in ["http://", "https://", "src=", "onclick=", " style="] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("; connect-src 'self'; ") && policy.contains("; form-action 'self'; "), "{policy}");
    assert_eq!((page.header("cache-control"), page.header("x-frame-options")), (Some("no-store"), Some("DENY")));
    // what is wrong is told beside the form, with what was filled in
    let reply = browser.send(form("/console/keys", &[("token", &token), ("name", evil), ("scopes", "<b>")]), AUTH).await;
    let html = reply.is(400).body.as_str().unwrap();
    assert!(html.contains("role=\"alert\"") && html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
}

#[tokio::test]
async fn nobody_does_by_a_form_what_the_routes_refuse() {
    let house = house().await;
    let ann = house.log_in("ann").await.text("/jwt/token");
    let client = async |user: &str| {
        let made = house.ask(Ask::post("/v1/clients").bearer(&ann).json(json!({ "user": user, "password": PASSWORD }))).await;
        made.is(201).text("/principal/uid")
    };
    client("cleo").await;
    let carl = client("carl").await;
    let carls = house.ask(Ask::get(&format!("/v1/keys?principal={carl}")).bearer(&ann)).await.text("/keys/0/id");
    let mut browser = at_work(&house, "cleo").await;
    let token = field(&browser.get(&address("/console/keys")).await, "token");
    for (path, fields, status) in [
        (format!("/console/keys/{carls}/delete"), vec![], 404),
        (format!("/console/keys/{carls}/rotate"), vec![("grace", "0")], 404),
        (format!("/console/people/clients/{carl}/block"), vec![], 404),
        (format!("/console/people/clients/{carl}/delete"), vec![], 404),
        ("/console/people".to_owned(), vec![("role", "admins"), ("name", "mallory")], 403),
        ("/console/policies".to_owned(), vec![("name", "all"), ("allow", "*")], 403),
        ("/console/invitations".to_owned(), vec![("role", "admin")], 403),
        (format!("/console/tenants/{carl}/block"), vec![], 403),
        ("/console/issuers/corp/denials".to_owned(), vec![("what", "sub"), ("value", "ann")], 403),
        (format!("/console/issuers/corp/denials/{carl}/lift"), vec![], 403),
        (format!("/console/people/clients/{carl}/second-factor"), vec![], 404),
        ("/console/try".to_owned(), vec![("url", "/")], 403),
    ] {
        let fields: Vec<(&str, &str)> = [("token", token.as_str())].into_iter().chain(fields).collect();
        let reply = browser.send(form(&path, &fields), AUTH).await;
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.body);
    }
    assert_eq!(house.ask(Ask::get(&format!("/v1/keys?principal={carl}")).bearer(&ann)).await.text("/keys/0/id"), carls);
}

#[tokio::test]
async fn signing_up_in_a_browser_obeys_the_rules_of_signing_up() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    let page = browser.get(&address("/signup")).await;
    let token = field(&page, "token");
    assert!(page.is(200).body.as_str().unwrap().contains("Invitation code"));
    let fields =
        |token: &str, code: &str| form("/signup", &[("token", token), ("name", "bob"), ("password", PASSWORD), ("invitation", code)]);
    assert_eq!(browser.send(fields(&token, ""), AUTH).await.status, 403);
    let ann = house.log_in("ann").await.text("/jwt/token");
    let code = house.ask(Ask::post("/v1/invitations").bearer(&ann).json(json!({ "role": "client" }))).await.text("/code");
    // another site's page cannot make somebody join
    assert_eq!(browser.send(fields("x", &code), AUTH).await.status, 403);
    assert_eq!(Browser::new(&house).send(fields(&token, &code), AUTH).await.status, 403, "another browser");
    let reply = browser.send(fields(&token, &code), AUTH).await;
    assert!(reply.is(200).body.as_str().unwrap().contains("gpk_"));
    assert!(browser.get(&address("/")).await.is(200).body.as_str().unwrap().contains("<dd>bob</dd>"));
}

#[tokio::test]
async fn signing_up_leads_on_to_where_the_login_would_have() {
    let rules = |rules: &mut Rules| {
        rules.sign_up = SignUp::Open;
        rules.returns = ReturnRules {
            public_url: Some(format!("https://{AUTH}")),
            domains: Domains::new(vec!["example.com".to_owned()]),
            hosts: Vec::new(),
        };
    };
    let house = House::made(rules, senders::Settings::default(), vec![super::oidc::provider()], Issuers::none()).await;
    house.sign_up("ann").await.is(201);
    let there = "https://app.example.com/orders?a=1";
    let rd = super::super::browser::encoded(there);
    let html = |reply: &Reply| reply.is(200).body.as_str().unwrap().to_owned();
    let mut browser = Browser::new(&house);
    let login = html(&browser.get(&address(&format!("/login?rd={rd}"))).await);
    assert!(login.contains(&format!("href=\"signup?rd={rd}\"")), "{login}");
    let page = browser.get(&address(&format!("/signup?rd={rd}"))).await;
    let shown = html(&page);
    for link in [format!("login?ask=true&amp;rd={rd}"), format!("/v1/oidc/mock/login?rd={rd}")] {
        assert!(shown.contains(&format!("href=\"{link}\"")), "{shown}");
    }
    let token = field(&page, "token");
    let sent =
        |rd: &str, name: &str, password: &str| form("/signup", &[("token", &token), ("rd", rd), ("name", name), ("password", password)]);
    // a refusal forgets nothing of it
    let refused = browser.send(sent(&field(&page, "rd"), "bob", "short"), AUTH).await;
    assert_eq!(field(refused.is(400), "rd"), there);
    let made = browser.send(sent(&field(&refused, "rd"), "bob", PASSWORD), AUTH).await;
    assert!(html(&made).contains(&format!("href=\"{there}\"")), "{}", made.body);
    // nor does it lead where a login would not
    for (n, evil) in ["https://evil.test/", "//evil.test", "/\\evil.test", "https://example.com.evil.test/"].into_iter().enumerate() {
        let page = browser.get(&address(&format!("/signup?rd={}", super::super::browser::encoded(evil)))).await;
        assert_eq!(field(&page, "rd"), "/", "{evil}");
        let made = html(&browser.send(sent(evil, &format!("bob{n}"), PASSWORD), AUTH).await);
        assert!(made.contains("href=\"/\"") && !made.contains("evil"), "{evil}: {made}");
    }
}

#[tokio::test]
async fn an_invitation_names_the_whole_address_where_it_is_used() {
    async fn told(house: &House, origin: Option<&str>) -> String {
        let mut browser = at_work(house, "ann").await;
        let token = field(&browser.get(&address("/console/invitations")).await, "token");
        let ask = form("/console/invitations", &[("token", &token), ("role", "client")]);
        let ask = origin.into_iter().fold(ask, |ask, origin| ask.header("origin", origin));
        browser.send(ask, AUTH).await.is(200).body.as_str().unwrap().to_owned()
    }
    let behind = House::with(|rules| rules.returns.public_url = Some("https://login.example.net/gate".to_owned())).await;
    let plain = House::new().await;
    for (house, origin, expected) in [
        (&behind, None, "https://login.example.net/gate/signup"),
        (&plain, None, "https://auth.example.com/signup"),
        (&plain, Some("http://auth.example.com"), "http://auth.example.com/signup"),
    ] {
        house.sign_up("ann").await;
        let page = told(house, origin).await;
        assert!(page.contains(&format!("<code>{expected}</code>")), "{expected}: {page}");
    }
}

/// The boxes for policies on a page: which, and whether they are ticked.
fn boxes(page: &Reply) -> Vec<(String, bool)> {
    let html = page.body.as_str().unwrap();
    let one = |rest: &str| {
        let (id, rest) = rest.split_once('"').unwrap();
        (id.to_owned(), rest.starts_with(" checked"))
    };
    html.split("name=\"policy-").skip(1).map(one).collect()
}

#[tokio::test]
async fn what_somebody_has_stays_however_many_policies_there_are() {
    const POLICIES: u64 = 202;
    let house = house().await;
    let (_, tenant) = house.database.founder().await.unwrap().unwrap();
    let mut act = house.database.act().await.unwrap();
    let mut ids = Vec::new();
    for n in 0..POLICIES {
        let policy = PolicyRow {
            id: Id::random().unwrap(),
            tenant,
            name: format!("policy {n}"),
            allow: ScopeSet::default(),
            deny: "orders:write".parse().unwrap(),
            version: 1,
            created_at: act.now().after(Duration::from_millis(n)),
            terms: Default::default(),
        };
        act.insert_policy(&policy).await.unwrap();
        ids.push(policy.id.to_string());
    }
    let act = act.commit(&By::system().did(Action::PolicyCreate, tenant)).await.unwrap();
    house.admin.accounts().propagate(act).await;
    let (first, last) = (ids[0].clone(), ids.pop().unwrap());
    let ann = house.log_in("ann").await.text("/jwt/token");
    let body = json!({ "user": "cleo", "password": PASSWORD, "policies": [last] });
    let uid = house.ask(Ask::post("/v1/clients").bearer(&ann).json(body)).await.is(201).text("/principal/uid");

    let mut browser = at_work(&house, "ann").await;
    let path = format!("/console/people/clients/{uid}");
    let page = browser.get(&address(&path)).await;
    let html = page.is(200).body.as_str().unwrap();
    assert!(html.contains(&format!("<span class=\"chip\">policy {}</span>", POLICIES - 1)), "{html}");
    assert!(html.contains("Only the oldest 200"), "{html}");
    let offered = boxes(&page);
    assert_eq!((offered.len(), &offered[0]), (201, &(last.clone(), true)));
    assert!(offered[1..].iter().all(|(_, ticked)| !ticked));
    // as a browser sends it back, with one more
    let token = field(&page, "token");
    let names: Vec<String> = [&last, &first].map(|id| format!("policy-{id}")).to_vec();
    let fields: Vec<(&str, &str)> = [("token", token.as_str())].into_iter().chain(names.iter().map(|name| (name.as_str(), "on"))).collect();
    browser.send(form(&format!("{path}/policies"), &fields), AUTH).await.is(303);
    let stands = house.ask(Ask::get(&format!("/v1/clients/{uid}")).bearer(&ann)).await;
    let stands: Vec<&str> =
        stands.is(200).body["principal"]["policies"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(stands.len() == 2 && stands.contains(&last.as_str()) && stands.contains(&first.as_str()), "{stands:?}");
}

#[tokio::test]
async fn what_was_filled_in_is_there_again_where_it_is_refused() {
    let house = house().await;
    let ann = house.log_in("ann").await.text("/jwt/token");
    let made = house.ask(Ask::post("/v1/policies").bearer(&ann).json(json!({ "name": "readers", "allow": ["orders:read"] }))).await;
    let policy = made.is(201).text("/policy/id");
    let body = json!({ "user": "cleo", "password": PASSWORD });
    let cleo = house.ask(Ask::post("/v1/clients").bearer(&ann).json(body)).await.is(201).text("/principal/uid");
    let key = house.ask(Ask::get("/v1/keys").bearer(&ann)).await.text("/keys/0/id");
    let mut browser = at_work(&house, "ann").await;
    let token = field(&browser.get(&address("/console/keys")).await, "token");
    let (ticked, unknown) = (format!("policy-{policy}"), format!("policy-{cleo}"));
    let box_there = format!("name=\"{ticked}\" checked");
    for (path, fields, there) in [
        (
            format!("/console/policies/{policy}/change"),
            vec![("name", "writers"), ("deny", "<b>")],
            vec!["value=\"writers\"", "value=\"&lt;b&gt;\"", "name=\"allow\" value=\"\""],
        ),
        (format!("/console/keys/{key}/scopes"), vec![("scopes", "<b>")], vec!["value=\"&lt;b&gt;\""]),
        ("/console/people".to_owned(), vec![("role", "clients"), ("may", "these"), (ticked.as_str(), "on")], vec![box_there.as_str()]),
        ("/console/invitations".to_owned(), vec![("role", "client"), ("scopes", "<b>"), (ticked.as_str(), "on")], vec![box_there.as_str()]),
        (
            format!("/console/people/clients/{cleo}/policies"),
            vec![(ticked.as_str(), "on"), (unknown.as_str(), "on")],
            vec![box_there.as_str()],
        ),
        (
            "/console/account/password".to_owned(),
            vec![("old_password", "x"), ("new_password", "y"), ("everywhere", "on")],
            vec!["name=\"everywhere\" checked"],
        ),
    ] {
        let fields: Vec<(&str, &str)> = [("token", token.as_str())].into_iter().chain(fields).collect();
        let reply = browser.send(form(&path, &fields), AUTH).await;
        assert!(reply.status.is_client_error(), "{path}: {}", reply.status);
        for text in there {
            assert!(reply.body.as_str().unwrap().contains(text), "{path} lacks {text}: {}", reply.body);
        }
    }
    assert!(boxes(&browser.get(&address("/console/people")).await).iter().all(|(_, ticked)| !ticked));
}

#[tokio::test]
async fn a_key_keeps_its_scopes_where_none_is_named() {
    let house = house().await;
    let ann = house.log_in("ann").await.text("/jwt/token");
    let made = house.ask(Ask::post("/v1/keys").bearer(&ann).json(json!({ "name": "nightly", "scopes": ["orders:read"] }))).await;
    let key = made.is(201).text("/key/id");
    let mut browser = at_work(&house, "ann").await;
    let token = field(&browser.get(&address("/console/keys")).await, "token");
    let reply = browser.send(form(&format!("/console/keys/{key}/scopes"), &[("token", &token), ("scopes", " , ")]), AUTH).await;
    assert!(reply.is(400).body.as_str().unwrap().contains("Scopes: at least one"), "{}", reply.body);
    let keys = house.ask(Ask::get("/v1/keys").bearer(&ann)).await.body["keys"].clone();
    let stands = keys.as_array().unwrap().iter().find(|one| one["id"] == json!(key)).unwrap();
    assert_eq!(stands["scopes"], json!(["orders:read"]));
}

#[tokio::test]
async fn a_request_is_tried_with_scopes_however_they_are_parted() {
    let house = house().await;
    house.admin.show(Instance {
        explain: Box::new(|question| Box::pin(async move { Ok(json!({ "missing_scopes": question.scopes.unwrap().to_string() })) })),
        ..super::people::instance()
    });
    let mut browser = at_work(&house, "ann").await;
    let token = field(&browser.get(&address("/console/try")).await, "token");
    let reply = browser.send(form("/console/try", &[("token", &token), ("url", "/x"), ("scopes", "a:read,b:read  c:read")]), AUTH).await;
    assert!(reply.is(200).body.as_str().unwrap().contains("<dd>a:read b:read c:read</dd>"), "{}", reply.body);
}

#[tokio::test]
async fn people_are_named_to_whoever_stands_above_them() {
    let house = house().await;
    let ann = house.log_in("ann").await;
    let (anns, ann) = (ann.text("/jwt/payload/uid"), ann.text("/jwt/token"));
    let made = async |path: &str, user: &str, parent: Option<&str>| {
        let mut body = json!({ "user": user, "password": PASSWORD });
        if let Some(parent) = parent {
            body["parent"] = json!(parent);
        }
        house.ask(Ask::post(path).bearer(&ann).json(body)).await.is(201).text("/principal/uid")
    };
    let adam = made("/v1/admins", "adam", None).await;
    let cleo = made("/v1/clients", "cleo", Some(&adam)).await;
    let shown = super::people::instance();
    shown.decisions.push(Decision { uid: Some(cleo.clone()), ..shown.decisions.newest(None, 1).remove(0) });
    house.admin.show(shown);
    let named = |uid: &str, name: &str| format!("<span title=\"{uid}\">{name}</span>");
    let (cleo_named, adam_named, ann_named) = (named(&cleo, "cleo"), named(&adam, "adam"), named(&anns, "ann"));
    let page = async |user: &str, path: &str| {
        let reply = at_work(&house, user).await.get(&address(path)).await;
        reply.is(200).body.as_str().unwrap().to_owned()
    };
    let audit = page("ann", "/console/audit").await;
    assert!(audit.contains(&cleo_named) && audit.contains(&adam_named) && audit.contains(">you</span>"), "{audit}");
    assert!(page("ann", "/console/refusals").await.contains(&cleo_named));
    assert!(page("ann", &format!("/console/keys?principal={cleo}")).await.contains(&format!("<dd>{cleo_named}</dd>")));
    let person = page("ann", &format!("/console/people/clients/{cleo}")).await;
    assert!(person.contains("<h1>cleo</h1>") && person.contains("<title>cleo · Gatepost</title>"), "{person}");
    // who stands above is an id as everywhere else
    let audit = page("adam", "/console/audit").await;
    assert!(audit.contains(&cleo_named) && audit.contains(&format!("<code>{anns}</code>")) && !audit.contains(&ann_named), "{audit}");
}

#[tokio::test]
async fn a_list_of_somebody_else_stays_theirs() {
    let house = house().await;
    let ann = house.log_in("ann").await.text("/jwt/token");
    let body = json!({ "user": "cleo", "password": PASSWORD });
    let cleo = house.ask(Ask::post("/v1/clients").bearer(&ann).json(body)).await.is(201).text("/principal/uid");
    let cleos = house.log_in("cleo").await.text("/jwt/token");
    for _ in 0..2 {
        house.ask(Ask::post("/v1/invitations").bearer(&cleos).json(json!({ "role": "sub_client" }))).await.is(201);
    }
    let mut browser = at_work(&house, "ann").await;
    let page = browser.get(&address(&format!("/console/invitations?principal={cleo}&limit=1"))).await;
    let html = page.is(200).body.as_str().unwrap();
    assert!(html.contains(&format!("href=\"/console/invitations?principal={cleo}&amp;cursor=")), "{html}");
    let action = html.split("action=\"").find(|rest| rest.contains("Withdraw")).unwrap().split(['"', '#']).next().unwrap();
    let ended = browser.send(form(action, &[("token", &field(&page, "token"))]), AUTH).await;
    let back = ended.is(303).header("location").unwrap();
    assert!(back.starts_with(&format!("/console/invitations?principal={cleo}&done=invitation-ended")), "{back}");
    for list in ["keys", "tokens", "logins", "invitations"] {
        for (query, named) in [(format!("?principal={cleo}"), true), (String::new(), false)] {
            let page = browser.get(&address(&format!("/console/{list}{query}"))).await;
            assert_eq!(
                page.is(200).body.as_str().unwrap().contains(&format!(">Of <span title=\"{cleo}\">cleo</span>.")),
                named,
                "{list}{query}"
            );
        }
    }
}
