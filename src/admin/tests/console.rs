//! The console's pages: who sees what, what their forms do, and what they do not do for another site or another session.

use super::browser::{AUTH, Browser, field, form, house};
use super::*;
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
