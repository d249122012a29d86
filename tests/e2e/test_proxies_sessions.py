"""Through each real proxy: the shipped files carry what a session needs, and the way to the login page to the client."""

from types import SimpleNamespace

import pytest

from support.browser import AUTH, HOST, RULES, SECTIONS, Hand
from support.gatepost import Gatepost
from support.wire import ask


@pytest.fixture(scope="module")
def behind(tmp_path_factory, application):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, **SECTIONS) as gatepost:
        gatepost.sign_up("ann")
        browser = Hand()
        assert browser.log_in("ann").status == 303
        browser.arrive("https://other.test/x")
        yield SimpleNamespace(browser=browser, application=application, cookie=f"{HOST}={browser.cookie('other.test', HOST)}")


def test_login_redirect(behind, proxy):
    with behind.application.watch() as reached:
        answer = ask(proxy.port, target="/x?y", host="other.test", headers=[("Sec-Fetch-Mode", "navigate")])
        by_accept = ask(proxy.port, target="/x", host="other.test", headers=[("Accept", "text/html,*/*")])
        program = ask(proxy.port, target="/x", host="other.test", headers=[("Accept", "*/*")])
    assert not reached
    assert answer.status == by_accept.status == 302, (answer, by_accept)
    assert answer.one("location") == f"https://{AUTH}/login?rd=https%3A%2F%2Fother.test%2Fx%3Fy"
    assert program.status == 401


def test_the_way_to_another_host_begins_and_ends_at_the_admin_listener(behind, proxy):
    with behind.application.watch() as reached:
        begun = ask(proxy.port, target="/.gatepost/login?rd=https%3A%2F%2Fother.test%2Fx", host="other.test")
        assert begun.status == 303 and begun.one("location").startswith(f"https://{AUTH}/login?rd=https%3A%2F%2Fother.test%2Fx&state="), begun
        state = begun.one("set-cookie").split(";")[0]
        code = behind.browser.get(begun.one("location")).one("location").removeprefix("https://other.test")
        arrived = ask(proxy.port, target=code, host="other.test", headers=[("Cookie", state)])
        assert (arrived.status, arrived.one("location")) == (303, "https://other.test/x"), arrived
        cookie = arrived.one("set-cookie").split(";")[0]
        assert cookie.startswith(f"{HOST}=")
        assert ask(proxy.port, target=code, host="other.test", headers=[("Cookie", state)]).status == 400
    assert not reached
    with behind.application.watch() as reached:
        assert ask(proxy.port, target="/x", host="other.test", headers=[("Cookie", cookie)]).status == 200
    assert reached[0].one("x-auth-user") == "ann"
    if proxy.strips_cookie:
        assert HOST not in str(reached[0].cookies)
    # nothing else of the admin listener is to be had here
    for target in ("/.gatepost/", "/.gatepost/login/", "/.gatepost/../v1/keys", "/.gatepost/login/../../v1/keys", "/v1/session"):
        answer = ask(proxy.port, target=target, host="other.test")
        assert answer.status in (400, 401, 403, 404), (target, answer)


def test_cross_site_requests(behind, proxy):
    cookie = ("Cookie", behind.cookie)
    with behind.application.watch() as reached:
        for headers in ([], [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.test")], [("Origin", "https://evil.test")]):
            answer = ask(proxy.port, "POST", "/x", host="other.test", headers=[cookie, *headers])
            assert answer.status == 401, answer
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg==")]
        assert ask(proxy.port, target="/x", host="other.test", headers=[cookie, *upgrade, ("Origin", "https://evil.test")]).status == 401
    assert not reached
    with behind.application.watch() as reached:
        answer = ask(proxy.port, "POST", "/x", host="other.test", headers=[cookie, ("Sec-Fetch-Site", "same-origin")])
        assert answer.status == 200, answer
        assert ask(proxy.port, target="/x", host="other.test", headers=[cookie, *upgrade, ("Origin", "https://other.test")]) is not None
    assert len(reached) == 2
