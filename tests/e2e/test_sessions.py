"""Browsers' sessions at the gates: whose cookie counts where, for what, and until when."""

import base64
from types import SimpleNamespace

import pytest

from support.browser import AUTH, DOMAIN, HOST, HOSTS, RULES, SECTIONS, Hand, asked
from support.gate import PORTS, changed
from support.gatepost import PASSWORD, Gatepost
from support.services import until

@pytest.fixture(scope="module", params=["embedded", "redis"])
def world(request, tmp_path_factory):
    sections = dict(SECTIONS)
    if request.param == "redis":
        sections["tokens"] = {"store": f"redis://127.0.0.1:{request.getfixturevalue('redis').port}"}
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, **sections) as gatepost:
        ann = gatepost.sign_up("ann")
        browser = Hand()
        assert browser.log_in("ann").status == 303
        browser.arrive("https://other.test/x")
        yield SimpleNamespace(gatepost=gatepost, ann=ann, browser=browser, domain=browser.cookie(".example.test", DOMAIN),
                              host=browser.cookie("other.test", HOST), console=browser.cookie(AUTH, "__Host-gatepost-console"))


@pytest.mark.parametrize("proxy", PORTS)
def test_allowed(world, proxy):
    for host, cookie in [("app.example.test", f"{DOMAIN}={world.domain}"), ("b.example.test", f"a=b; {DOMAIN}={world.domain}; c"),
                         ("other.test", f"{HOST}={world.host}"), ("OTHER.test:8443", f"{HOST}={world.host}")]:
        for method in ("GET", "HEAD"):
            answer = asked(proxy, cookie, method, host)
            assert answer.status == 200, (host, answer)
            assert (answer.one("x-auth-user"), answer.one("x-auth-key-id")) == ("ann", "")
            assert 3200 <= int(answer.one("x-auth-expires-in")) <= 3600
    assert asked(proxy, f"{HOST}=broken", uri="/open").status == 200


@pytest.mark.parametrize("proxy", PORTS)
def test_refused(world, proxy):
    for host, cookies in [
        # on another host, under another name
        ("other.test", f"{DOMAIN}={world.domain}"), ("other.test", f"{HOST}={world.domain}"), ("www.other.test", f"{HOST}={world.host}"),
        ("app.example.test", f"{HOST}={world.host}"), ("app.example.test", f"{DOMAIN}={world.host}"),
        ("app.example.test", f"{HOST}={world.domain}"), ("app.example.test.evil.test", f"{DOMAIN}={world.domain}"),
        # the console's cookie is none here
        (AUTH, f"{HOST}={world.console}"), ("other.test", f"__Host-gatepost-console={world.console}"), ("other.test", f"{HOST}={world.console}"),
        # forged, malformed, doubled
        ("other.test", f"{HOST}={changed(world.host)}"), ("other.test", f"{HOST}={world.host}0"), ("other.test", f'{HOST}="{world.host}"'),
        ("other.test", f"{HOST}="), ("other.test", f"{HOST}=%00%ff\"; ;=; broken"), ("other.test", f"a=1,{HOST}={world.host}"),
        ("other.test", f"{HOST}={world.host}; {HOST}={world.host}"), ("other.test", [f"{HOST}={world.host}", f"{HOST}=x"]),
        ("app.example.test", [f"{DOMAIN}=x; a=b", f"{DOMAIN}={world.domain}"]),
        ("other.test", f"{HOST}={world.host}; {DOMAIN}=x; {DOMAIN}=y"), ("other.test", None),
    ]:
        answer = asked(proxy, cookies, host=host)
        no_rule = host not in HOSTS
        assert answer.status == (403 if no_rule else 401), (host, cookies, answer)
        assert not [n for n, _ in answer.headers if n.lower().startswith("x-auth-")]


@pytest.mark.parametrize("proxy", PORTS)
def test_nothing_falls_back_to_the_cookie(world, proxy):
    cookie = f"{DOMAIN}={world.domain}"
    for presented in [("Authorization", "Bearer gpt_forged"), ("Authorization", "Bearer"), ("X-Authorization", "x"), ("X-Api-Key", "gpk_x"),
                      ("X-Api-Key", world.ann.api_key)]:
        assert asked(proxy, cookie, headers=[presented]).status == 401, presented
    assert asked(proxy, cookie, headers=[("Authorization", "Basic eDp5")]).status == 200
    token = world.ann.token()
    assert asked(proxy, f"{DOMAIN}=broken", headers=[("Authorization", f"Bearer {token}")]).status == 200
    answer = asked(proxy, cookie, uri="/token")
    assert answer.status == 401 and answer.reason in (None, "credential_not_accepted"), answer


@pytest.mark.parametrize("proxy", PORTS)
def test_only_a_page_of_the_host_changes_something(world, proxy):
    at_host = dict(host="other.test", cookies=f"{HOST}={world.host}")
    at_domain = dict(host="app.example.test", cookies=f"{DOMAIN}={world.domain}")
    upgrade = ("X-Original-Upgrade" if proxy == "traefik" else "Upgrade", "websocket")
    for place, headers, passes in [
        (at_host, [("Sec-Fetch-Site", "same-origin")], True),
        (at_host, [("Origin", "https://other.test")], True),
        (at_host, [], False),
        (at_host, [("Sec-Fetch-Site", "same-site")], False),
        (at_host, [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://other.test")], False),
        (at_host, [("Sec-Fetch-Site", "none")], False),
        (at_host, [("Origin", "https://www.other.test")], False),
        (at_host, [("Origin", "http://other.test")], False),
        (at_host, [("Origin", "null")], False),
        (at_domain, [("Sec-Fetch-Site", "same-origin")], True),
        (at_domain, [("Sec-Fetch-Site", "same-site"), ("Origin", "https://b.example.test")], True),
        (at_domain, [("Sec-Fetch-Site", "same-site"), ("Origin", "https://evil.test")], False),
        (at_domain, [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.test")], False),
    ]:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
            answer = asked(proxy, method=method, headers=headers, **place)
            assert answer.status == (200 if passes else 401), (method, place["host"], headers, answer)
            assert passes or answer.reason in (None, "credential_not_accepted")
        assert asked(proxy, headers=[upgrade, *headers], **place).status == (200 if passes else 401), (upgrade, headers)
    # whoever shows a token is no browser's page
    assert asked(proxy, method="POST", headers=[("Authorization", f"Bearer {world.ann.token()}")]).status == 200


@pytest.mark.parametrize("proxy", PORTS)
def test_a_person_is_sent_to_log_in(world, proxy):
    to = f"https://{AUTH}/login?rd=https%3A%2F%2Fapp.example.test%2Fx%3Fy%3D1"
    for cookies in (None, f"{DOMAIN}=broken"):
        person = [("Sec-Fetch-Mode", "navigate")]
        answer = asked(proxy, cookies, uri="/x?y=1", headers=person)
        if proxy == "nginx":
            assert (answer.status, answer.one("x-deny-status"), answer.body) == (401, "302", b"")
            answer = asked(proxy, cookies, uri="/x?y=1", headers=person, path="/explain")
        assert (answer.status, answer.one("location"), answer.one("cache-control")) == (302, to, "no-store"), answer
    refused = 401
    for headers in ([], [("Sec-Fetch-Mode", "cors"), ("Accept", "text/html")], [("Accept", "application/json")]):
        assert asked(proxy, headers=headers).status == refused
    for method in ("POST", "HEAD"):
        answer = asked(proxy, method=method, headers=[("Sec-Fetch-Mode", "navigate")])
        assert answer.status == refused and answer.one("x-deny-status") in (None, "401")
    # two cookies of a name: no login would mend that
    doubled = f"{DOMAIN}={world.domain}; {DOMAIN}={world.domain}"
    answer = asked(proxy, doubled, headers=[("Sec-Fetch-Mode", "navigate")])
    assert answer.status == refused and answer.one("x-deny-status") in (None, "401")


def test_one_logout_ends_all(world):
    browser = Hand()
    assert browser.log_in("ann").status == 303
    browser.arrive("https://other.test/x")
    places = [("app.example.test", f"{DOMAIN}={browser.cookie('.example.test', DOMAIN)}"), ("other.test", f"{HOST}={browser.cookie('other.test', HOST)}")]
    for host, cookie in places:
        assert asked("nginx", cookie, host=host).status == 200
    assert browser.log_out().status == 200
    for host, cookie in places:
        until("the session has ended everywhere", 3, lambda host=host, cookie=cookie: asked("nginx", cookie, host=host).status == 401)
    # somebody else's session goes on
    assert asked("nginx", f"{HOST}={world.host}", host="other.test").status == 200


def test_the_gates_cookies_are_none_at_the_admin_listener(world):
    for cookie in (f"{DOMAIN}={world.domain}", f"{HOST}={world.host}", f"__Host-gatepost-console={world.host}"):
        assert world.gatepost.admin("GET", "/v1/keys", headers={"Cookie": cookie, "Host": AUTH}).status == 401
    assert world.gatepost.admin("GET", "/v1/keys", headers={"Cookie": f"__Host-gatepost-console={world.console}"}).status == 200


def test_a_changed_password_ends_every_session_where_that_is_asked(world):
    """Of browsers and of logins, at the next check; other people's go on."""
    world.gatepost.sign_up("cora")
    browser = Hand()
    assert browser.log_in("cora").status == 303
    browser.arrive("https://other.test/x")
    basic = "Basic " + base64.b64encode(f"cora:{PASSWORD}".encode()).decode()
    login = world.gatepost.admin("POST", "/v1/login", headers={"Authorization": basic}).json["jwt"]

    def statuses():
        return [asked("nginx", f"{DOMAIN}={browser.cookie('.example.test', DOMAIN)}").status,
                asked("nginx", f"{HOST}={browser.cookie('other.test', HOST)}", host="other.test").status,
                asked("nginx", uri="/login-jwt", headers=[("Authorization", f"Bearer {login['token']}")]).status]

    assert statuses() == [200] * 3
    for kill, after in ((False, [200] * 3), (True, [401] * 3)):
        body = {"new_password": PASSWORD, "kill_sessions": kill}
        answer = world.gatepost.admin("POST", "/v1/password/change?strict=true", body, headers={"Authorization": basic})
        assert (answer.status, answer.json["killed_sessions"]) == (200, kill), answer
        assert statuses() == after
    assert world.gatepost.admin("POST", "/v1/token/refresh", token=login["refresh_token"]).status == 404
    assert asked("nginx", f"{HOST}={world.host}", host="other.test").status == 200
