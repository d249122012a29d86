//! Browsers: login pages, cookies, the way to other hosts, and what other sites' pages may not do.

use std::collections::HashMap;

use super::*;

const AUTH: &str = "auth.example.com";

/// A browser: it keeps cookies by host, and says where a request comes from.
struct Browser<'a> {
    house: &'a House,
    /// By host (or `.domain`) and name.
    cookies: HashMap<(String, String), String>,
}

impl<'a> Browser<'a> {
    fn new(house: &'a House) -> Self {
        Self { house, cookies: HashMap::new() }
    }

    fn jar(&self, host: &str) -> String {
        let here = |of: &str| of == host || of.strip_prefix('.').is_some_and(|domain| host.ends_with(of) || host == domain);
        let pairs = self.cookies.iter().filter(|((of, _), _)| here(of)).map(|((_, name), value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn cookie(&self, of: &str, name: &str) -> Option<&str> {
        self.cookies.get(&(of.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Sends a request to `host` and keeps the cookies of the answer.
    async fn send(&mut self, mut ask: Ask, host: &str) -> Reply {
        ask.headers.retain(|(name, _)| *name != "host");
        ask.headers.push(("host", host.to_owned()));
        let jar = self.jar(host);
        if !jar.is_empty() {
            ask.headers.push(("cookie", jar));
        }
        let reply = self.house.ask(ask.from("192.0.2.1")).await;
        for line in reply.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.split("; ").any(|other| other == attribute), "{line} lacks {attribute}");
            }
            let domain = attributes.split("; ").find_map(|attribute| attribute.strip_prefix("Domain="));
            assert!(!name.starts_with("__Host-") || domain.is_none(), "{line}");
            assert!(name.starts_with("__Host-") || name.starts_with("__Secure-"), "{line}");
            let of = domain.map_or(host.to_owned(), |domain| format!(".{domain}"));
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(&(of, name.to_owned()));
            } else {
                self.cookies.insert((of, name.to_owned()), value.to_owned());
            }
        }
        reply
    }

    async fn get(&mut self, url: &str) -> Reply {
        let (host, target) = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url}")).split_once('/').unwrap();
        self.send(Ask::get(&format!("/{target}")).header("accept", "text/html"), host).await
    }

    /// Fills the login page in.
    async fn log_in(&mut self, rd: &str, name: &str, password: &str) -> Reply {
        let page = self.get(&format!("https://{AUTH}/login?rd={}", super::super::browser::encoded(rd))).await;
        page.is(200);
        let (token, rd) = (field(&page, "token"), field(&page, "rd"));
        self.send(form("/login", &[("token", &token), ("rd", &rd), ("name", name), ("password", password)]), AUTH).await
    }

    /// Follows redirects through hosts that route `/.gatepost/` to us, up to the first page that is none of ours.
    async fn follow(&mut self, mut reply: Reply, mut host: String) -> String {
        for _ in 0..6 {
            let to = reply.header("location").unwrap_or_else(|| panic!("{} {}", reply.status, reply.body)).to_owned();
            let to = if to.starts_with('/') { format!("https://{host}{to}") } else { to };
            host = to.strip_prefix("https://").unwrap().split('/').next().unwrap().to_owned();
            if host != AUTH && !to.contains("/.gatepost/") || to == format!("https://{AUTH}/") {
                return to;
            }
            reply = self.get(&to).await;
        }
        panic!("redirects without end");
    }
}

/// The value of a page's hidden field.
fn field(page: &Reply, name: &str) -> String {
    let html = page.body.as_str().unwrap();
    let after = html.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name} in {html}"));
    after.split('"').next().unwrap().replace("&amp;", "&")
}

fn form(path: &str, fields: &[(&str, &str)]) -> Ask {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", super::super::browser::encoded(value))).collect();
    let ask = Ask::post(path).header("content-type", "application/x-www-form-urlencoded").header("sec-fetch-site", "same-origin");
    Ask { body: body.join("&").into_bytes(), ..ask }
}

async fn house() -> House {
    let house = House::with(|rules| {
        rules.returns = ReturnRules {
            public_url: Some(format!("https://{AUTH}")),
            domains: vec!["example.com".to_owned(), "second.test".to_owned()],
            hosts: vec!["app.other.test".to_owned()],
        };
    })
    .await;
    house.sign_up("ann").await.is(201);
    house
}

#[tokio::test]
async fn a_login_leads_back_and_opens_a_new_session_each_time() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    let entered = browser.log_in("https://app.example.com/x?y=1&z", "Ann", PASSWORD).await;
    entered.is(303);
    assert_eq!(entered.header("location"), Some("https://app.example.com/x?y=1&z"));
    let first = browser.cookie(AUTH, "__Host-gatepost-console").unwrap().to_owned();
    assert!(browser.cookie(".example.com", "__Secure-gatepost").is_some());

    let home = browser.get(&format!("https://{AUTH}/")).await;
    assert!(home.is(200).body.as_str().unwrap().contains("<dd>ann</dd>"));
    // whoever is logged in goes on at once
    let on = browser.get(&format!("https://{AUTH}/login?rd=https%3A%2F%2Fapp.example.com%2F")).await;
    assert_eq!((on.status.as_u16(), on.header("location")), (303, Some("https://app.example.com/")));

    let mut other = Browser::new(&house);
    other.cookies = browser.cookies.clone();
    // a second login in the same browser ends the session before
    let page = Browser::new(&house).get(&format!("https://{AUTH}/login")).await;
    let login = page.headers["set-cookie"].to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    other.cookies.insert((AUTH.to_owned(), "__Host-gatepost-login".to_owned()), login);
    let again = other.send(form("/login", &[("token", &field(&page, "token")), ("name", "ann"), ("password", PASSWORD)]), AUTH).await;
    assert_eq!((again.status.as_u16(), again.header("location")), (303, Some("/")));
    assert_ne!(other.cookie(AUTH, "__Host-gatepost-console").unwrap(), first);
    browser.get(&format!("https://{AUTH}/v1/session")).await.is(401);
    other.get(&format!("https://{AUTH}/v1/session")).await.is(200);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same_and_are_throttled() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    let mut bodies = Vec::new();
    for name in ["ann", "bob"] {
        let reply = browser.log_in("/", name, "wrong").await;
        reply.is(401);
        assert!(browser.cookie(AUTH, "__Host-gatepost-console").is_none());
        bodies.push(reply.body.as_str().unwrap().replace(name, "NAME"));
    }
    assert_eq!(bodies[0], bodies[1]);
    for _ in 0..4 {
        browser.log_in("/", "ann", "wrong").await.is(401);
    }
    let reply = browser.log_in("/", "ann", PASSWORD).await;
    assert_eq!(reply.is(429).header("retry-after"), Some("1"));
}
