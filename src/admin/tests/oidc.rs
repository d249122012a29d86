//! Signing in by an OpenID provider, from the proved person on: who it is here, and what their claims give.

use serde_json::{Value, json};

use super::*;
use crate::accounts::oidc::{Beginning, How, Papers, SignedIn};
use crate::accounts::{Origin, Refusal};
use crate::database::NameKind;
use crate::decision::scopes::ScopeSet;
use crate::id::Id;
use crate::oidc::{ClaimGrant, Person as Known, Provider, ProviderKind};

pub(super) fn provider() -> Provider {
    Provider {
        name: "mock".into(),
        label: "Mock".into(),
        kind: ProviderKind::Other,
        issuer: "https://issuer.example".into(),
        client_id: "gatepost".into(),
        client_secret: "secret".into(),
        scopes: Vec::new(),
        allowed_domains: Vec::new(),
        link_verified_email: false,
        grants: Vec::new(),
    }
}

fn person(subject: &str, more: Value) -> Known {
    let mut claims = json!({ "iss": "https://issuer.example", "sub": subject });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Known::proved(ProviderKind::Other, claims.as_object().unwrap().clone())
}

fn verified(subject: &str, email: &str) -> Known {
    person(subject, json!({ "email": email, "email_verified": true }))
}

impl House {
    async fn sign_in(&self, provider: &Provider, person: &Known) -> Result<SignedIn, Refusal> {
        self.admin.accounts().sign_in(provider, person, Papers::default(), LOCAL).await
    }

    async fn holder_of(&self, email: &str) -> Option<Id> {
        self.database.login_row(NameKind::Email, email).await.unwrap().map(|row| row.uid)
    }

    async fn shown_name(&self, uid: Id) -> String {
        self.database.shown_name(uid).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn the_first_founds_and_the_second_login_is_the_same_principal() {
    let house = House::new().await;
    let ann = verified("ann", "Ann@Example.com");
    let first = house.sign_in(&provider(), &ann).await.unwrap();
    assert!(matches!(first.how, How::New(Some(_))));
    assert_eq!(house.shown_name(first.proof.uid()).await, "ann@example.com");
    // the address is another one by now: who it is, issuer and subject say
    let again = house.sign_in(&provider(), &verified("ann", "ann@elsewhere.example")).await.unwrap();
    assert!(matches!(again.how, How::Known));
    assert_eq!(again.proof.uid(), first.proof.uid());
    assert_eq!(house.sign_in(&provider(), &verified("bob", "bob@example.com")).await.unwrap_err(), Refusal::InvitationRequired);
}

#[tokio::test]
async fn one_subject_at_two_issuers_is_two_people() {
    let house = House::open().await;
    let here = house.sign_in(&provider(), &person("1", json!({}))).await.unwrap();
    let there = house.sign_in(&provider(), &person("1", json!({ "iss": "https://other.example" }))).await.unwrap();
    assert_ne!(here.proof.uid(), there.proof.uid());
}

#[tokio::test]
async fn an_unverified_email_is_not_even_kept() {
    let house = House::open().await;
    house.ask(Ask::post("/v1/register").json(json!({ "email": "ann@example.com", "password": PASSWORD }))).await.is(201);
    let ann = house.holder_of("ann@example.com").await.unwrap();
    let other = house.sign_in(&provider(), &person("1", json!({ "email": "ann@example.com", "email_verified": false }))).await.unwrap();
    assert_ne!(other.proof.uid(), ann);
    assert_eq!(house.shown_name(other.proof.uid()).await, other.proof.uid().to_string());
    assert_eq!(house.holder_of("ann@example.com").await, Some(ann));
}

#[tokio::test]
async fn who_proves_an_unverified_email_has_the_account_and_what_stood_on_it_ends() {
    let house = House::open().await;
    let made = house.ask(Ask::post("/v1/register").json(json!({ "email": "ann@example.com", "password": PASSWORD }))).await;
    let squatted = house.holder_of("ann@example.com").await.unwrap();
    let ann = house.sign_in(&provider(), &verified("ann", "ann@example.com")).await.unwrap();
    assert!(matches!(ann.how, How::Linked));
    assert_eq!(ann.proof.uid(), squatted);
    house.exchange(&made.text("/api_key")).await.is(401);
    house.ask(Ask::get("/v1/login").basic("ann@example.com", PASSWORD)).await.is(401);
}

#[tokio::test]
async fn a_verified_email_opens_an_account_only_where_the_configuration_says_so() {
    let house = House::open().await;
    let first = house.sign_in(&provider(), &verified("ann", "ann@example.com")).await.unwrap();
    let other = |more: Value| {
        let mut claims = json!({ "iss": "https://other.example", "email": "ann@example.com", "email_verified": true });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        person("x", claims)
    };
    assert_eq!(house.sign_in(&provider(), &other(json!({}))).await.unwrap_err(), Refusal::NotLinked);
    let linking = Provider { link_verified_email: true, ..provider() };
    let unverified = house.sign_in(&linking, &other(json!({ "sub": "y", "email_verified": false }))).await.unwrap();
    assert_ne!(unverified.proof.uid(), first.proof.uid());
    let linked = house.sign_in(&linking, &other(json!({}))).await.unwrap();
    assert!(matches!(linked.how, How::Linked));
    assert_eq!(linked.proof.uid(), first.proof.uid());
    // from here on by issuer and subject
    assert!(matches!(house.sign_in(&provider(), &other(json!({}))).await.unwrap().how, How::Known));
}

#[tokio::test]
async fn only_allowed_domains_come_in_at_each_login() {
    let house = House::open().await;
    let ann = verified("ann", "ann@example.com");
    let uid = house.sign_in(&provider(), &ann).await.unwrap().proof.uid();
    let strict = Provider { allowed_domains: vec!["example.com".into()], ..provider() };
    assert_eq!(house.sign_in(&strict, &ann).await.unwrap().proof.uid(), uid);
    for refused in [verified("ann", "ann@example.org"), person("ann", json!({ "email": "ann@example.com" })), person("ann", json!({}))] {
        assert_eq!(house.sign_in(&strict, &refused).await.unwrap_err(), Refusal::DomainNotAllowed);
    }
}

#[tokio::test]
async fn the_blocked_stay_out() {
    let house = House::new().await;
    let ann = verified("ann", "ann@example.com");
    let uid = house.sign_in(&provider(), &ann).await.unwrap().proof.uid();
    let mut act = house.database.act().await.unwrap();
    act.end_principal(uid).await.unwrap();
    let _ = act.commit(&crate::audit::By::system().did(crate::audit::Action::KeyEnd, uid)).await.unwrap();
    assert_eq!(house.sign_in(&provider(), &ann).await.unwrap_err(), Refusal::Blocked);
    let linking = Provider { link_verified_email: true, ..provider() };
    assert_eq!(
        house.sign_in(&linking, &person("2", json!({ "email": "ann@example.com", "email_verified": true }))).await.unwrap_err(),
        Refusal::Blocked
    );
}

#[tokio::test]
async fn founding_from_elsewhere_needs_the_setup_code() {
    let house = House::new().await;
    let elsewhere = Origin { address: "192.0.2.1".parse().unwrap(), local: false };
    let ann = verified("ann", "ann@example.com");
    let accounts = house.admin.accounts();
    assert_eq!(accounts.sign_in(&provider(), &ann, Papers::default(), elsewhere).await.unwrap_err(), Refusal::SetupCodeRequired);
    let papers = Papers { setup_code: accounts.setup_code().map(str::to_owned), ..Papers::default() };
    assert!(matches!(accounts.sign_in(&provider(), &ann, papers, elsewhere).await.unwrap().how, How::New(_)));
}

#[tokio::test]
async fn claims_grant_policies_from_one_login_to_the_next() {
    let house = House::with(|rules| rules.direct_scopes = ScopeSet::parse(["base"]).unwrap()).await;
    let grant = |value: &str, policy: &str| ClaimGrant { claim: "groups".into(), value: value.into(), policy: policy.into() };
    let provider = Provider { grants: vec![grant("ops", "operators"), grant("dev", "nobody-made-this")], ..provider() };
    let uid = house.sign_in(&provider, &person("ann", json!({ "groups": ["ops", "dev"] }))).await.unwrap().proof.uid();
    assert_eq!(house.held(uid).await, "base", "the policy is not there yet");

    let tenant = crate::accounts::standing::of_principal(&house.database, uid).await.unwrap().unwrap().subject.tenant;
    let mut act = house.database.act().await.unwrap();
    let policy = crate::database::PolicyRow {
        id: Id::random().unwrap(),
        tenant,
        name: "operators".into(),
        allow: ScopeSet::parse(["ops:*"]).unwrap(),
        deny: ScopeSet::default(),
        version: 1,
        created_at: act.now(),
        terms: crate::token::terms::Terms::default(),
    };
    act.insert_policy(&policy).await.unwrap();
    let _ = act.commit(&crate::audit::By::system().did(crate::audit::Action::KeyEnd, uid)).await.unwrap();

    for (groups, expected) in [
        (json!(["ops"]), "base ops:*"),
        (json!(["ops", "more"]), "base ops:*"),
        (json!(["more"]), "base"),
        (json!("ops"), "base ops:*"),
        (json!(null), "base"),
    ] {
        house.sign_in(&provider, &person("ann", json!({ "groups": groups }))).await.unwrap();
        assert_eq!(house.held(uid).await, expected, "{groups}");
    }
    // what an admin attached stays, and is not twice there
    house.sign_in(&provider, &person("ann", json!({ "groups": "ops" }))).await.unwrap();
    let mut act = house.database.act().await.unwrap();
    act.attach_policy(uid, policy.id).await.unwrap();
    let _ = act.commit(&crate::audit::By::system().did(crate::audit::Action::KeyEnd, uid)).await.unwrap();
    house.sign_in(&provider, &person("ann", json!({}))).await.unwrap();
    assert_eq!(house.held(uid).await, "base ops:*");
}

impl House {
    async fn held(&self, uid: Id) -> String {
        let standing = crate::accounts::standing::of_principal(&self.database, uid).await.unwrap().unwrap();
        standing.grant.allow.to_string()
    }
}

#[tokio::test]
async fn a_sign_in_is_its_browsers_and_over_at_its_first_use() {
    let house = House::new().await;
    let accounts = house.admin.accounts();
    let beginning = Beginning { provider: "mock", browser: "a-browser", return_to: "/", papers: "", silent: false };
    let begin = || async { accounts.begin_sign_in(beginning, LOCAL).await.unwrap().state };
    let take = async |provider, state: &str, browser| accounts.take_sign_in(provider, state, browser, LOCAL).await;
    let none = Refusal::NoSignIn;

    let state = begin().await;
    let row = take("mock", &state, Some("a-browser")).await.unwrap();
    assert_eq!((row.return_to.as_str(), row.silent), ("/", false));
    assert_eq!(take("mock", &state, Some("a-browser")).await.unwrap_err(), none, "used");
    for (provider, browser) in [("mock", Some("another")), ("mock", None), ("other", Some("a-browser"))] {
        let state = begin().await;
        assert_eq!(take(provider, &state, browser).await.unwrap_err(), none, "{provider} {browser:?}");
        assert_eq!(take("mock", &state, Some("a-browser")).await.unwrap_err(), none, "a try ends it");
    }
    assert_eq!(take("mock", "made-up", Some("a-browser")).await.unwrap_err(), none);
    let state = begin().await;
    house.clock.advance(crate::accounts::oidc::SIGN_IN_LASTS);
    assert_eq!(take("mock", &state, Some("a-browser")).await.unwrap_err(), none, "too late");
}

#[tokio::test]
async fn a_network_begins_only_so_many_sign_ins() {
    let house = House::new().await;
    let beginning = Beginning { provider: "mock", browser: "a-browser", return_to: "/", papers: "", silent: false };
    let mut begun = 0;
    while house.admin.accounts().begin_sign_in(beginning, LOCAL).await.is_ok() {
        begun += 1;
        assert!(begun < 1000);
    }
    assert!(begun >= 100, "{begun}");
    house.clock.advance(Duration::from_secs(60));
    assert!(house.admin.accounts().begin_sign_in(beginning, LOCAL).await.is_ok());
}

/// With a provider that nobody answers for.
async fn away() -> House {
    House::made(|_| {}, senders::Settings::default(), vec![Provider { issuer: "http://127.0.0.1:1".into(), ..provider() }], Issuers::none())
        .await
}

#[tokio::test]
async fn a_provider_that_is_away_gives_a_page_at_once_and_no_login() {
    let house = away().await;
    let page = house.ask(Ask::get("/v1/oidc/mock/login?rd=/x")).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("5")));
    assert!(page.page().contains("Mock cannot be reached"), "{}", page.page());
    // who asked for nothing to be asked is asked at home
    let silent = house.ask(Ask::get("/v1/oidc/mock/login?rd=/x&silent=true")).await;
    assert_eq!((silent.status.as_u16(), silent.header("location")), (303, Some("/login?rd=%2Fx")));
    assert!(silent.header("set-cookie").unwrap().starts_with("__Host-gatepost-oidc-provider=; "));
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_pages_that_repeat_nothing() {
    let house = away().await;
    for (path, status) in [
        ("/v1/oidc/none/login", 404),
        ("/v1/oidc/none/callback?state=a&code=b", 404),
        ("/v1/oidc/mock/callback", 400),
        ("/v1/oidc/mock/callback?code=b", 400),
        ("/v1/oidc/mock/callback?code=b&state=", 400),
        ("/v1/oidc/mock/callback?code=b&state=%3Cscript%3E", 400),
        ("/v1/oidc/mock/callback?code=b&state=a&state=b", 400),
        ("/v1/oidc/mock/callback?error=%3Cscript%3E&error_description=%3Cscript%3E&state=%3Cscript%3E", 400),
    ] {
        let page = house.ask(Ask::get(path)).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{path}");
        assert!(!page.page().contains("script"), "{path}: {}", page.page());
        assert!(page.page().contains("href=\"/login"), "{path}");
    }
}

#[tokio::test]
async fn the_login_page_offers_providers_and_goes_to_the_last_one_by_itself() {
    let house = away().await;
    let page = house.ask(Ask::get("/login?rd=/x")).await;
    assert!(
        page.page().contains("<a class=\"button second\" href=\"/v1/oidc/mock/login?rd=%2Fx\">Log in with Mock</a>"),
        "{}",
        page.page()
    );
    let known = || ("cookie", "__Host-gatepost-oidc-provider=mock");
    let gone = house.ask(Ask::get("/login?rd=/x").header(known().0, known().1)).await;
    assert_eq!((gone.status.as_u16(), gone.header("location")), (303, Some("/v1/oidc/mock/login?rd=%2Fx&silent=true")));
    let asked = house.ask(Ask::get("/login?rd=/x&ask=true").header(known().0, known().1)).await;
    assert_eq!(asked.status.as_u16(), 200);
    let unknown = house.ask(Ask::get("/login?rd=/x").header("cookie", "__Host-gatepost-oidc-provider=none")).await;
    assert_eq!(unknown.status.as_u16(), 200);
}

#[tokio::test]
async fn a_picture_begins_no_sign_in() {
    let house = away().await;
    for (kind, status) in [("image", 400), ("iframe", 400), ("document", 503)] {
        assert_eq!(house.ask(Ask::get("/v1/oidc/mock/login").header("sec-fetch-dest", kind)).await.status.as_u16(), status, "{kind}");
    }
}

#[tokio::test]
async fn only_a_page_of_ours_shows_an_invitation() {
    let house = away().await;
    let form =
        |ask: Ask| Ask { body: b"invitation=gpi_x&rd=%2Fx".to_vec(), ..ask.header("content-type", "application/x-www-form-urlencoded") };
    let path = "/v1/oidc/mock/login";
    let shown = house.ask(form(Ask::post(path)).header("sec-fetch-site", "same-origin")).await;
    assert_eq!((shown.status.as_u16(), shown.header("refresh")), (200, Some("0; url=/v1/oidc/mock/login?rd=%2Fx")));
    let cookie = shown.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-gatepost-oidc-papers=") && cookie.contains("HttpOnly") && cookie.contains("Max-Age=600"),
        "{cookie}"
    );
    assert!(!shown.page().contains("gpi_x"), "{}", shown.page());
    for other in [
        form(Ask::post(path)),
        form(Ask::post(path)).header("sec-fetch-site", "cross-site"),
        form(Ask::post(path)).header("origin", "https://evil.example"),
    ] {
        assert_eq!(house.ask(other).await.status.as_u16(), 403);
    }
}

impl Reply {
    fn page(&self) -> &str {
        self.body.as_str().unwrap()
    }
}
