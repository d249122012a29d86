"""Through each real proxy: who passes, who does not, and what the client is told."""

import time
from types import SimpleNamespace

import pytest

from support.gate import IDENTITY, bearer
from support.gatepost import Gatepost
from support.services import until
from support.wire import ask

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
    {"id": "billing", "path": "/billing/**", "scopes": {"all": ["billing:read"]}},
]
# of two hosts and the login pages: every one the gate's own but two
OWN_COOKIES = ("a=1; __Host-gatepost=x; __Secure-gatepost=x; __Host-gatepost-console=x; __Host-gatepost-login=x; b=2; "
               "__Host-gatepost-oidc=x; __Host-gatepost-oidc-papers=x; __Host-gatepost-oidc-provider=x; __Host-gatepost-state=x")
METHODS = ("GET", "POST", "DELETE", "HEAD")


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    tokens = {"ttl": "2s"}  # idle time, so that a token can be seen to end
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, tokens=tokens) as gatepost:
        alice = gatepost.sign_up("alice")
        alice.tokens()  # logged in: what takes its time is not in the way of a token's two seconds
        yield SimpleNamespace(gatepost=gatepost, alice=alice, application=application)


def send(world, proxy, method="GET", target="/orders/1?x=%2F", headers=(), body=b""):
    with world.application.watch() as reached:
        answer = ask(proxy.port, method, target, headers, body)
    return answer, reached


def assert_refused(answer, reached, status, method="GET", challenge=None):
    """The client sees the gate's own status, JSON and headers; the application sees nothing."""
    assert not reached
    assert answer.status == status, answer
    if method != "HEAD":
        assert answer.one("content-type") == "application/json"
        told = answer.json
        assert (told["data"], told["status"], told["code"]) == ([], "failed", status)
        assert told["message"]
    assert answer.one("cache-control") == "no-store"
    assert not [n for n, _ in answer.headers if n.lower().startswith("x-auth-")]
    challenged = answer.one("www-authenticate")
    assert challenged is None if challenge is None else all(part in challenged for part in ("Bearer", *challenge)), challenged


def body_of(method):
    return b"payload" if method == "POST" else b""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("carrier", [("Authorization", "Bearer {}"), ("X-Authorization", "Agent {}"), ("X-Api-Key", None)],
                         ids=lambda c: c[0])
def test_allowed(world, proxy, method, carrier):
    name, form = carrier
    credential = form.format(world.alice.token("orders:read", "a:b")) if form else world.alice.api_key
    answer, reached = send(world, proxy, method, headers=[(name, credential), ("Cookie", OWN_COOKIES)],
                           body=body_of(method))
    assert answer.status == 200, answer
    [got] = reached
    assert (got.method, got.target, got.body) == (method, "/orders/1?x=%2F", body_of(method))
    assert got.one("x-auth-user") == "alice"
    assert got.one("x-auth-scopes") == ("a:b orders:read" if form else "*")
    assert len(got.one("x-auth-tenant")) == 32
    assert got.one("x-auth-key-id")
    left = got.one("x-auth-expires-in")
    assert 0 <= int(left) <= 2 if form else left in (None, "")
    for gone in ("Authorization", "X-Authorization", "X-Api-Key", "X-Proxy-Secret"):
        assert not got.all(gone)
    assert credential.split()[-1].encode() not in got.raw
    assert got.cookies == (["a=1", "b=2"] if proxy.strips_cookie else OWN_COOKIES.split("; "))


def test_anonymous(world, proxy):
    answer, [got] = send(world, proxy, target="/open/a")
    assert answer.status == 200
    assert all(got.one(name) in (None, "") for name in IDENTITY)


@pytest.mark.parametrize("method", METHODS)
def test_missing_credential(world, proxy, method):
    answer, reached = send(world, proxy, method, body=body_of(method))
    assert_refused(answer, reached, 401, method, challenge=["realm="])
    assert "error=" not in answer.one("www-authenticate")


@pytest.mark.parametrize("method", METHODS)
def test_wrong_scope(world, proxy, method):
    answer, reached = send(world, proxy, method, "/billing/1", bearer(world.alice.token("orders:read")), body_of(method))
    assert_refused(answer, reached, 403, method, challenge=['error="insufficient_scope"', 'scope="billing:read"'])


def test_no_rule(world, proxy):
    answer, reached = send(world, proxy, target="/elsewhere", headers=bearer(world.alice.token("orders:read")))
    assert_refused(answer, reached, 403)


def test_expired(world, proxy):
    token = world.alice.token("orders:read", f"expired:{proxy.name}")
    assert send(world, proxy, headers=bearer(token))[0].status == 200
    time.sleep(7.5)  # the idle time, one step of sliding, its delay; and a clock that a restart before this has set up to 3 s ahead
    answer, reached = send(world, proxy, headers=bearer(token))
    assert_refused(answer, reached, 401, challenge=['error="invalid_token"'])


def test_sliding_keeps_a_used_token(world, proxy):
    token = world.alice.token("orders:read", f"sliding:{proxy.name}")
    for _ in range(6):
        time.sleep(0.75)
        assert send(world, proxy, headers=bearer(token))[0].status == 200


def test_revoked(world, proxy):
    scopes = ("orders:read", f"revoked:{proxy.name}")
    token = world.alice.token(*scopes)
    assert send(world, proxy, headers=bearer(token))[0].status == 200
    world.alice.end(*scopes)
    answer, reached = send(world, proxy, "DELETE", headers=bearer(token))
    assert_refused(answer, reached, 401, "DELETE", challenge=['error="invalid_token"'])
    again = world.alice.token(*scopes)
    assert again != token
    assert send(world, proxy, headers=bearer(again))[0].status == 200


def test_narrowed_and_deleted_key(world, proxy):
    key_id, api_key = world.alice.key("orders:read", "billing:read")
    token = world.gatepost.token(api_key)
    assert send(world, proxy, target="/billing/1", headers=bearer(token))[0].status == 200
    assert world.alice.call("PUT", f"/v1/keys/{key_id}/scopes", {"scopes": ["orders:read"]}).status == 200
    assert_refused(*send(world, proxy, target="/billing/1", headers=bearer(token)), 403,
                   challenge=['error="insufficient_scope"'])
    assert send(world, proxy, headers=bearer(token))[0].status == 200
    assert world.alice.call("DELETE", f"/v1/keys/{key_id}").status == 200
    assert_refused(*send(world, proxy, headers=bearer(token)), 401, challenge=['error="invalid_token"'])
    assert_refused(*send(world, proxy, headers=[("X-Api-Key", api_key)]), 401, challenge=['error="invalid_token"'])


def test_gatepost_stopped(world, proxy):
    """Last in this file: the gate goes away and comes back."""
    token = bearer(world.alice.token("orders:read", "stopped"))
    assert send(world, proxy, headers=token)[0].status == 200
    world.gatepost.stop()
    for method, target in (("GET", "/orders/1"), ("DELETE", "/orders/1"), ("GET", "/open/a")):
        answer, reached = send(world, proxy, method, target, token)
        assert not reached
        assert answer.status == proxy.stopped_status, answer
        if proxy.stopped_body:
            assert answer.json["code"] == 503 and answer.one("retry-after") == "1"
    world.gatepost.start()
    until("allowed again", 3, lambda: send(world, proxy, target="/open/a")[0].status == 200)
