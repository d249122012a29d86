//! Browsers: login pages, cookies, the way to other hosts, and what other sites' pages may not do.

use std::collections::HashMap;

use super::*;
use crate::decision::cookies::Domains;

pub(super) const AUTH: &str = "auth.example.com";

/// A browser: it keeps cookies by host, and says where a request comes from.
pub(super) struct Browser<'a> {
    house: &'a House,
    /// By host (or `.domain`) and name.
    cookies: HashMap<(String, String), String>,
}

impl<'a> Browser<'a> {
    pub(super) fn new(house: &'a House) -> Self {
        Self { house, cookies: HashMap::new() }
    }

    fn jar(&self, host: &str) -> String {
        let here = |of: &str| of == host || of.strip_prefix('.').is_some_and(|domain| host.ends_with(of) || host == domain);
        let pairs = self.cookies.iter().filter(|((of, _), _)| here(of)).map(|((_, name), value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    pub(super) fn cookie(&self, of: &str, name: &str) -> Option<&str> {
        self.cookies.get(&(of.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Sends a request to `host` and keeps the cookies of the answer.
    pub(super) async fn send(&mut self, mut ask: Ask, host: &str) -> Reply {
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

    pub(super) async fn get(&mut self, url: &str) -> Reply {
        let (host, target) = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url}")).split_once('/').unwrap();
        self.send(Ask::get(&format!("/{target}")).header("accept", "text/html"), host).await
    }

    /// Fills the login page in.
    pub(super) async fn log_in(&mut self, rd: &str, name: &str, password: &str) -> Reply {
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
pub(super) fn field(page: &Reply, name: &str) -> String {
    let html = page.body.as_str().unwrap();
    let after = html.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name} in {html}"));
    after.split('"').next().unwrap().replace("&amp;", "&")
}

pub(super) fn form(path: &str, fields: &[(&str, &str)]) -> Ask {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", super::super::browser::encoded(value))).collect();
    let ask = Ask::post(path).header("content-type", "application/x-www-form-urlencoded").header("sec-fetch-site", "same-origin");
    Ask { body: body.join("&").into_bytes(), ..ask }
}

pub(super) async fn house() -> House {
    let house = House::with(|rules| {
        rules.returns = ReturnRules {
            public_url: Some(format!("https://{AUTH}")),
            domains: Domains::new(vec!["example.com".to_owned(), "second.test".to_owned()]),
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
    // one counter with programs
    house.log_in("ann").await.is_refused(429, "too many tries");
}

/// Whoever guesses at ann's password must not keep her out of where she always logs in.
#[tokio::test]
async fn strangers_guesses_keep_nobody_out_of_their_own_browser() {
    let house = house().await;
    let mut own = Browser::new(&house);
    own.log_in("/", "ann", PASSWORD).await.is(303);
    let known = ((AUTH.to_owned(), "__Host-gatepost-known".to_owned()), own.cookie(AUTH, "__Host-gatepost-known").unwrap().to_owned());
    let browser_with = |value: &str| {
        let mut browser = Browser::new(&house);
        browser.cookies.insert(known.0.clone(), value.to_owned());
        browser
    };
    let guess = async || {
        for _ in 0..5 {
            Browser::new(&house).log_in("/", "ann", "wrong").await.is(401);
        }
        Browser::new(&house).log_in("/", "ann", PASSWORD).await.is(429);
    };
    guess().await;
    browser_with(&known.1).log_in("/", "ann", PASSWORD).await.is(303);
    // which forgives the strangers nothing, and opens nothing by itself
    Browser::new(&house).log_in("/", "ann", PASSWORD).await.is(429);
    assert_eq!(location(&browser_with(&known.1).get(&format!("https://{AUTH}/")).await), "/login");
    // forged, or another kind of cookie: a stranger's
    for value in ["", "x", &known.1.to_ascii_lowercase(), own.cookie(AUTH, "__Host-gatepost-console").unwrap()] {
        browser_with(value).log_in("/", "ann", PASSWORD).await.is(429);
    }
    // guesses in a known browser are counted, too
    for _ in 0..5 {
        browser_with(&known.1).log_in("/", "ann", "wrong").await.is(401);
    }
    browser_with(&known.1).log_in("/", "ann", PASSWORD).await.is(429);
    house.clock.advance(Duration::from_secs(60));
    browser_with(&known.1).log_in("/", "ann", PASSWORD).await.is(303);
    // known to ann, not to anybody else
    let jwt = house.log_in("ann").await.is(200).text("/jwt/token");
    let bob = Ask::post("/v1/clients").bearer(&jwt).json(json!({ "user": "bob", "password": PASSWORD }));
    house.ask(bob).await.is(201);
    for _ in 0..5 {
        Browser::new(&house).log_in("/", "bob", "wrong").await.is(401);
    }
    browser_with(&known.1).log_in("/", "bob", PASSWORD).await.is(429);
    // and no longer than the password it was for
    let body = json!({ "new_password": "eleven blue umbrellas" });
    house.ask(Ask::post("/v1/password/change").basic("ann", PASSWORD).json(body)).await.is(200);
    for _ in 0..5 {
        Browser::new(&house).log_in("/", "ann", "wrong").await.is(401);
    }
    browser_with(&known.1).log_in("/", "ann", "eleven blue umbrellas").await.is(429);
}

fn location(reply: &Reply) -> String {
    reply.header("location").unwrap_or_else(|| panic!("{} {}", reply.status, reply.body)).to_owned()
}

#[tokio::test]
async fn a_host_of_no_shared_domain_gets_its_own_cookie_for_a_code() {
    let house = house().await;
    for (target, cookie) in [
        ("https://app.other.test/x?y", ("app.other.test", "__Host-gatepost")),
        ("https://a.second.test:8443//x", (".second.test", "__Secure-gatepost")),
    ] {
        let mut browser = Browser::new(&house);
        let entered = browser.log_in(target, "ann", PASSWORD).await;
        assert_eq!(browser.follow(entered, AUTH.to_owned()).await, target);
        let value = browser.cookie(cookie.0, cookie.1).unwrap().to_owned();
        assert_ne!(Some(value.as_str()), browser.cookie(".example.com", "__Secure-gatepost"));
        // from here on without a form
        let again = browser.get(&format!("https://{AUTH}/login?rd={}", super::super::browser::encoded(target))).await;
        assert_eq!(browser.follow(again, AUTH.to_owned()).await, target);
    }
}

#[tokio::test]
async fn a_code_is_good_once_on_its_host_in_its_browser_for_half_a_minute() {
    let house = house().await;
    // the way up to the code, as the browser at its end holds it
    let code = async |browser: &mut Browser<'_>| {
        let begun = browser.get("https://app.other.test/.gatepost/login?rd=https%3A%2F%2Fapp.other.test%2Fx").await;
        location(&browser.get(&location(&begun)).await)
    };
    let mut browser = Browser::new(&house);
    browser.log_in("/", "ann", PASSWORD).await.is(303);
    let refused = |reply: &Reply| assert!(reply.status == 400 && reply.headers.get("set-cookie").is_none(), "{reply:?}");

    let url = code(&mut browser).await;
    assert!(url.starts_with("https://app.other.test/.gatepost/session?code="), "{url}");
    let on_another_host = url.replace("app.other.test", "app.example.com");
    for (name, value) in browser.cookies.clone() {
        browser.cookies.insert(("app.example.com".to_owned(), name.1), value);
    }
    refused(&browser.get(&on_another_host).await);
    // planted in the browser of somebody else, who has begun a way of their own or none
    let mut victim = Browser::new(&house);
    refused(&victim.get(&url).await);
    victim.get("https://app.other.test/.gatepost/login").await.is(303);
    refused(&victim.get(&url).await);
    let arrived = browser.get(&url).await;
    assert_eq!((arrived.status.as_u16(), location(&arrived)), (303, "https://app.other.test/x".to_owned()));
    assert_eq!(arrived.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(arrived.header("cache-control"), Some("no-store"));
    refused(&browser.get(&url).await);

    let late = code(&mut browser).await;
    house.clock.advance(Duration::from_secs(31));
    refused(&browser.get(&late).await);
    let of_an_ended_session = code(&mut browser).await;
    let home = browser.get(&format!("https://{AUTH}/")).await;
    browser.send(form("/logout", &[("token", &field(&home, "token"))]), AUTH).await.is(200);
    refused(&browser.get(&of_an_ended_session).await);
    refused(&browser.get("https://app.other.test/.gatepost/session?code=x").await);
    refused(&browser.get("https://app.other.test/.gatepost/session").await);
}

#[tokio::test]
async fn of_two_who_use_a_code_at_once_one_gets_in() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.log_in("/", "ann", PASSWORD).await.is(303);
    for _ in 0..5 {
        let begun = browser.get("https://app.other.test/.gatepost/login?rd=https%3A%2F%2Fapp.other.test%2Fx").await;
        let url = location(&browser.get(&location(&begun)).await);
        let mut twin = Browser { house: browser.house, cookies: browser.cookies.clone() };
        let (a, b) = tokio::join!(browser.get(&url), twin.get(&url));
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 400]);
    }
}

#[tokio::test]
async fn the_way_to_a_host_is_for_hosts_that_are_configured() {
    let house = house().await;
    for host in ["evil.example", AUTH, "localhost:8000", "app.other.test.evil.example", "x.app.other.test"] {
        let reply = Browser::new(&house).get(&format!("https://{host}/.gatepost/login?rd=/")).await;
        assert_eq!(reply.status.as_u16(), if host == AUTH { 303 } else { 404 }, "{host}");
        Browser::new(&house).get(&format!("https://{host}/.gatepost/session?code=x")).await;
    }
    // a return address on another host is the first page of this one
    for rd in ["https://evil.example/", "https://app.example.com/", "//evil.example", "/x"] {
        let reply =
            Browser::new(&house).get(&format!("https://app.other.test/.gatepost/login?rd={}", super::super::browser::encoded(rd))).await;
        assert!(
            location(&reply).starts_with(&format!("https://{AUTH}/login?rd=https%3A%2F%2Fapp.other.test%2F&state=")),
            "{rd}: {reply:?}"
        );
    }
}

/// BYP-147 to BYP-155: whatever is asked for, the browser stays on allowed hosts, before and after the login.
#[tokio::test]
async fn no_redirect_leads_elsewhere() {
    let house = house().await;
    for rd in [
        "//evil.example",
        "/\\evil.example/",
        "https://evil.example/",
        "https://app.example.com@evil.example/",
        "https://app.example.com.evil.example/",
        "https://evil.example#.example.com/",
        "https://evil.example\\.example.com/",
        "/\t/evil.example",
        "javascript:alert(1)",
        "https:evil.example",
    ] {
        let mut browser = Browser::new(&house);
        assert_eq!(location(&browser.log_in(rd, "ann", PASSWORD).await), "/", "{rd}");
        let again = browser.get(&format!("https://{AUTH}/login?rd={}", super::super::browser::encoded(rd))).await;
        assert_eq!(location(&again), "/", "{rd}");
    }
    // a query that cannot be read
    Browser::new(&house).get(&format!("https://{AUTH}/login?rd=%ff%fe&rd=//evil.example")).await.is(200);
}

#[tokio::test]
async fn a_login_form_that_another_site_sends_logs_nobody_in() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    let page = browser.get(&format!("https://{AUTH}/login")).await;
    let token = field(&page, "token");
    let fields = [("token", token.as_str()), ("name", "ann"), ("password", PASSWORD)];
    let with = |site: Option<&str>, origin: Option<&str>| {
        let mut ask = form("/login", &fields);
        ask.headers.retain(|(name, _)| *name != "sec-fetch-site");
        ask.headers.extend(site.map(|site| ("sec-fetch-site", site.to_owned())));
        ask.headers.extend(origin.map(|origin| ("origin", origin.to_owned())));
        ask
    };
    let own = format!("https://{AUTH}");
    for (site, origin) in [
        (Some("cross-site"), Some(own.as_str())),
        (Some("same-site"), Some("https://app.example.com")),
        (Some("none"), None),
        (None, Some("https://app.example.com")),
        (None, Some("http://auth.example.com")),
        (None, Some("null")),
        (None, None),
    ] {
        assert_eq!(browser.send(with(site, origin), AUTH).await.status, 403, "{site:?} {origin:?}");
    }
    // without the browser's own cookie, or with another's token
    let stranger = Browser::new(&house).get(&format!("https://{AUTH}/login")).await;
    let other = field(&stranger, "token");
    Browser::new(&house).send(form("/login", &fields), AUTH).await.is(403);
    browser.send(form("/login", &[("token", &other), ("name", "ann"), ("password", PASSWORD)]), AUTH).await.is(403);
    browser.send(form("/login", &[("name", "ann"), ("password", PASSWORD)]), AUTH).await.is(403);
    assert!(browser.cookie(AUTH, "__Host-gatepost-console").is_none());
    browser.send(with(None, Some(&own)), AUTH).await.is(303);
    // and what is no form
    let json = Ask::post("/login").json(json!({ "name": "ann", "password": PASSWORD }));
    browser.send(json, AUTH).await.is(415);
}

#[tokio::test]
async fn what_changes_something_by_cookie_needs_the_sessions_token_and_an_own_page() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.log_in("/", "ann", PASSWORD).await.is(303);
    let csrf = browser.get(&format!("https://{AUTH}/v1/session")).await.is(200).text("/csrf_token");
    browser.get(&format!("https://{AUTH}/v1/keys")).await.is(200);
    let make = |token: Option<&str>, site: &str| {
        let ask = Ask::post("/v1/keys").json(json!({ "name": "x" })).header("sec-fetch-site", site);
        match token {
            Some(token) => ask.header("x-csrf-token", token),
            None => ask,
        }
    };
    let mut other = Browser::new(&house);
    other.log_in("/", "ann", PASSWORD).await.is(303);
    let foreign = other.get(&format!("https://{AUTH}/v1/session")).await.text("/csrf_token");
    for (token, site) in [
        (None, "same-origin"),
        (Some(""), "same-origin"),
        (Some(foreign.as_str()), "same-origin"),
        (Some(csrf.as_str()), "cross-site"),
        (Some(csrf.as_str()), "same-site"),
        (Some(csrf.as_str()), "none"),
    ] {
        let reply = browser.send(make(token, site), AUTH).await;
        assert_eq!((reply.status.as_u16(), &reply.body["error"]), (403, &json!("forbidden")), "{token:?} {site}");
    }
    browser.send(make(Some(&csrf), "same-origin"), AUTH).await.is(201);

    // the gate's cookies are none here, and two of the console's are none
    let gate = browser.cookie(".example.com", "__Secure-gatepost").unwrap().to_owned();
    let console = browser.cookie(AUTH, "__Host-gatepost-console").unwrap().to_owned();
    for cookie in [
        format!("__Secure-gatepost={gate}"),
        format!("__Host-gatepost={gate}"),
        format!("__Host-gatepost-console={gate}"),
        format!("__Host-gatepost-console={console}; __Host-gatepost-console={console}"),
        "__Host-gatepost-console=".to_owned(),
        format!("__Host-gatepost-console={}", console.to_ascii_lowercase()),
    ] {
        house.ask(Ask::get("/v1/keys").header("cookie", cookie)).await.is(401);
    }
    house.ask(Ask::get("/v1/keys").header("cookie", format!("__Host-gatepost-console={console}"))).await.is(200);
    // a token that is presented does not fall back to the cookie
    let both = Ask::get("/v1/keys").header("cookie", format!("__Host-gatepost-console={console}")).bearer("x");
    house.ask(both).await.is(401);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_needs_its_form() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.log_in("https://app.example.com/", "ann", PASSWORD).await.is(303);
    browser.send(form("/logout", &[]), AUTH).await.is(403);
    let home = browser.get(&format!("https://{AUTH}/")).await;
    let token = field(&home, "token");
    let mut foreign = form("/logout", &[("token", &token)]);
    foreign.headers.retain(|(name, _)| *name != "sec-fetch-site");
    browser.send(foreign, AUTH).await.is(403);
    // another site's form comes without cookies, and must not end them either
    let mut foreign = form("/logout", &[]);
    foreign.headers.retain(|(name, _)| *name != "sec-fetch-site");
    foreign.headers.push(("sec-fetch-site", "cross-site".into()));
    let refused = Browser::new(&house).send(foreign, AUTH).await;
    assert!(refused.is(403).headers.get("set-cookie").is_none());
    let kept = browser.cookies.clone();
    let out = browser.send(form("/logout", &[("token", &token)]), AUTH).await;
    out.is(200);
    assert!(browser.cookie(AUTH, "__Host-gatepost-console").is_none());
    assert!(browser.cookie(".example.com", "__Secure-gatepost").is_none());
    let ended = out.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    assert_eq!(ended.filter(|cookie| cookie.starts_with("__Host-gatepost-oidc-provider=;") && cookie.contains("Max-Age=0")).count(), 1);
    // whoever kept the cookies keeps nothing
    browser.cookies = kept;
    browser.get(&format!("https://{AUTH}/v1/session")).await.is_refused(401, "invalid token");
    Browser::new(&house).get(&format!("https://{AUTH}/v1/session")).await.is_refused(401, "missing authorization header");
    assert_eq!(location(&browser.get(&format!("https://{AUTH}/")).await), "/login");
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_slides_while_used_and_ends_at_its_cap() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.log_in("/", "ann", PASSWORD).await.is(303);
    let session = format!("https://{AUTH}/v1/session");
    let id = browser.get(&session).await.text("/session/id").parse().unwrap();
    let version = async || house.database.record(crate::database::PendingKind::Session, id).await.unwrap().unwrap().version;
    // within a tenth of the idle time nothing is written
    for _ in 0..20 {
        house.clock.advance(Duration::from_secs(10));
        browser.get(&session).await.is(200);
    }
    assert!(version().await <= 2, "{}", version().await);
    for _ in 0..13 {
        house.clock.advance(Duration::from_secs(50 * 60));
        browser.get(&session).await.is(200);
        slid(&house, id).await;
    }
    assert!(version().await >= 13);
    // eleven hours and more: the absolute end comes, however much it is used
    house.clock.advance(Duration::from_secs(50 * 60));
    browser.get(&session).await.is(200);
    house.clock.advance(Duration::from_secs(20 * 60));
    browser.get(&session).await.is(401);

    browser.log_in("/", "ann", PASSWORD).await.is(303);
    house.clock.advance(Duration::from_secs(3600 + 400));
    browser.get(&session).await.is(401);
}

/// Waits until the session's idle end lies at least its idle time ahead, or at its cap.
async fn slid(house: &House, id: crate::id::Id) {
    for _ in 0..200 {
        let record = house.database.record(crate::database::PendingKind::Session, id).await.unwrap().unwrap();
        let crate::token::record::Content::Session(session) = record.content else { panic!() };
        if session.idle_ends.unwrap() >= house.clock.now().after(Duration::from_secs(3600)).min(session.ends) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not slid");
}

#[tokio::test]
async fn whoever_is_at_work_in_the_console_keeps_their_own_tokens_alive() {
    let house = house().await;
    let jwt = house.log_in("ann").await.text("/jwt/token");
    let cleo = house.ask(Ask::post("/v1/clients").bearer(&jwt).json(json!({ "user": "cleo" }))).await;
    let cleos = house.exchange(&cleo.is(201).text("/api_key")).await.text("/data/auth_token");
    let made = house.ask(Ask::post("/v1/keys").bearer(&jwt).json(json!({}))).await;
    let (key, secret) = (made.is(201).text("/key/id"), made.text("/api_key"));
    let token = house.exchange(&secret).await.text("/data/auth_token");
    // asking about a token keeps none alive
    let ends = async |token: &str| {
        let ask = Ask::post("/v1/introspect").basic(&key, &secret).form(&format!("token={token}"));
        house.ask(ask).await.is(200).body["exp"].as_u64()
    };
    let now = || house.clock.now().seconds();
    let begun = now();
    let mut browser = Browser::new(&house);
    browser.log_in("/", "ann", PASSWORD).await.is(303);
    for _ in 0..14 {
        house.clock.advance(Duration::from_secs(50 * 60));
        browser.get(&format!("https://{AUTH}/v1/session")).await.is(200);
        let wanted = (now() + 3600).min(begun + 12 * 3600);
        for n in 0.. {
            if ends(&token).await.unwrap_or_else(|| panic!("ended after {} s", now() - begun)) >= wanted {
                break;
            }
            assert!(n < 200, "not slid");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(ends(&cleos).await, None, "nobody else's");
    // never past the absolute end
    assert_eq!(ends(&token).await, Some(begun + 12 * 3600));
    house.clock.advance(Duration::from_secs(20 * 60));
    let mut browser = Browser::new(&house);
    browser.log_in("/", "ann", PASSWORD).await.is(303);
    browser.get(&format!("https://{AUTH}/v1/session")).await.is(200);
    assert_eq!(ends(&token).await, None);
}

#[tokio::test]
async fn a_slide_revives_nothing() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    browser.log_in("/", "ann", PASSWORD).await.is(303);
    let id = browser.get(&format!("https://{AUTH}/v1/session")).await.text("/session/id").parse().unwrap();
    let slide = async |to: u64| {
        let mut act = house.database.act().await.unwrap();
        let moved = act.slide_session(id, house.clock.now().after(Duration::from_secs(to))).await.unwrap();
        let _ = act.commit_slide().await.unwrap();
        moved
    };
    assert!(slide(2 * 3600).await);
    assert!(!slide(3600).await, "never back");
    house.clock.advance(Duration::from_secs(3 * 3600));
    assert!(!slide(2 * 3600).await, "unused for too long");
    let mut act = house.database.act().await.unwrap();
    act.end_session(id).await.unwrap();
    let _ = act.commit_slide().await.unwrap();
    assert!(!slide(4 * 3600).await, "ended");
}

#[tokio::test]
async fn pages_escape_what_they_are_told_and_take_nothing_from_elsewhere() {
    let house = house().await;
    let mut browser = Browser::new(&house);
    let reply = browser.log_in("https://app.example.com/?a=%22%3E", "\"><script>alert(1)</script>", "x").await;
    let html = reply.is(401).body.as_str().unwrap();
    assert!(html.contains("&quot;&gt;&lt;script&gt;") && !html.contains("<script"), "{html}");
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("form-action 'self' https:;"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let own = browser.get(&format!("https://{AUTH}/login")).await;
    assert!(own.header("content-security-policy").unwrap().contains("form-action 'self';"));
}

#[tokio::test]
async fn programs_still_read_json_at_the_start_page() {
    let house = house().await;
    let reply = house.ask(Ask::get("/")).await;
    assert_eq!(reply.is(200).body["name"], json!("gatepost"));
    assert_eq!(location(&Browser::new(&house).get(&format!("https://{AUTH}/")).await), "/login");
}

#[tokio::test]
async fn a_code_logs_in_without_a_password() {
    use super::otp::{EMAIL, Sending, wrong};
    use crate::senders::sinks::code_in;

    let sending = Sending::founded().await;
    let mut browser = Browser::new(&sending.house);
    let host = "localhost:8000";
    let page = browser.send(Ask::get("/login?rd=/docs"), host).await;
    assert!(page.is(200).body.as_str().unwrap().contains("Send me a code"));
    let token = field(&page, "token");
    let ask = |name| form("/login", &[("token", &token), ("rd", "/docs"), ("name", name), ("how", "code")]);
    browser.send(ask("ann"), host).await.is(400);
    browser.send(ask(""), host).await.is(400);

    let before = sending.mail.count();
    let sent = browser.send(ask(EMAIL), host).await;
    let challenge = field(sent.is(200), "challenge");
    let code = code_in(sending.mail.taken(before + 1).await.last().unwrap().split_once("\r\n\r\n").unwrap().1);
    let answer = |code: &str| form("/login", &[("token", &token), ("rd", "/docs"), ("challenge", &challenge), ("code", code)]);
    let again = browser.send(answer(&wrong(&code)), host).await;
    assert_eq!(field(again.is(401), "challenge"), challenge);
    // a stranger's browser has no use for the form, and the code is good once
    Browser::new(&sending.house).send(answer(&code), host).await.is(403);
    let entered = browser.send(answer(&code), host).await;
    // the account was made for it: its key is shown, once, on the way
    let shown = entered.is(200).body.as_str().unwrap();
    assert!(shown.contains("id=\"api-key\" data-copy>gpk_") && shown.contains("href=\"/docs\""), "{shown}");
    let home = browser.send(Ask::get("/").header("accept", "text/html"), host).await;
    assert!(home.is(200).body.as_str().unwrap().contains(EMAIL));
    browser.send(answer(&code), host).await.is(401);
}
