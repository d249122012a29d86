"""Headers of one's own choice that tell an application who asks: through each real proxy with what `print-config` makes for them, from the gate only."""

import sqlite3
from types import SimpleNamespace

import pytest

from support import printed
from support.gate import IDENTITY, PORTS, bearer
from support.gatepost import Gatepost
from support.proxies import PROXIES
from support.wire import ask

RULES = [{"id": "open", "path": "/open/**", "access": "anonymous"}, {"id": "orders", "path": "/orders/**", "credentials": ["token", "api_key"]}]
TOLD = {"Remote-User": "subject.name", "X-Plan": "key.meta.plan", "X-Customer": "key.external_id", "X-Account": "subject.external_id",
        "X-Uid": "subject.uid", "X-Role": "subject.role", "X-May": "scopes", "X-Left": "expires_in", "X-Nothing": "key.meta.nothing"}
WAYS = {
    "plain": lambda name: [(name, "mallory")],
    "lower case": lambda name: [(name.lower(), "mallory")],
    "upper case": lambda name: [(name.upper(), "mallory")],
    "twice": lambda name: [(name, "mallory"), (name, "mallory2")],
    "empty": lambda name: [(name, "")],
    "named in Connection": lambda name: [("Connection", name), (name, "mallory")],
    **{f"alias with {c}": (lambda name, c=c: [(name.replace("-", c), "mallory")]) for c in "_.~"},
}


def gates(**more):
    secret = {"env": "GATEPOST_PROXY_SECRET"}
    return [{"proxy": proxy, "listen": f"127.0.0.1:{port}", "secret": secret, "identity_headers": TOLD, **more} for proxy, port in PORTS.items()]


@pytest.fixture(scope="module", params=[True, False], ids=["beside-the-standard-five", "instead-of-them"])
def world(request, tmp_path_factory, application, running_proxies):
    running_proxies.stop()
    gatepost = Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, gates=gates(standard_headers=request.param))
    with gatepost.start():
        alice = gatepost.sign_up("alice")
        key_id, key = alice.key("orders:read")
    with sqlite3.connect(gatepost.folder / "data" / "gatepost.db") as database:
        terms = ('{"external_id":"cus_1","metadata":{"plan":"gold"}}', key_id)
        assert database.execute("UPDATE api_keys SET terms = ?, version = version + 1 WHERE id = ?", terms).rowcount == 1
        assert database.execute("UPDATE principals SET terms = ?, version = version + 1 WHERE uid = ?", ('{"external_id":"acc_7"}', alice.uid)).rowcount == 1
    with gatepost.start():
        yield SimpleNamespace(gatepost=gatepost, alice=alice, key=key, key_id=key_id, token=gatepost.token(key), standard=request.param, application=application)


@pytest.fixture(scope="module", params=PROXIES, ids=repr)
def printed_proxy(request, world, tmp_path_factory):
    """The proxy with the files that are printed for these gates."""
    with printed.running(request.param, world.gatepost, tmp_path_factory.mktemp(repr(request.param)), "/open/a") as proxy:
        yield proxy


def reads_as(name):
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def told(world, credential):
    expected = {"Remote-User": "alice", "X-Plan": "gold", "X-Customer": "cus_1", "X-Account": "acc_7", "X-Uid": world.alice.uid, "X-May": "orders:read", "X-Nothing": ""}
    return expected | ({"X-Left": ""} if credential == "key" else {})


@pytest.mark.parametrize("credential", ["token", "key"])
def test_each_is_told(world, printed_proxy, credential):
    presented = bearer(world.token) if credential == "token" else [("X-Api-Key", world.key)]
    with world.application.watch() as reached:
        answer = ask(printed_proxy.port, target="/orders/1", headers=presented)
    assert answer.status == 200, answer
    [got] = reached
    for name, value in told(world, credential).items():
        assert (got.one(name) or "") == value, (name, got)
    assert got.one("X-Role") == "super_admin" and (credential == "key" or 0 < int(got.one("X-Left")) <= 3600)
    assert [bool(got.one(name)) for name in ("X-Auth-User", "X-Auth-Key-Id")] == [world.standard] * 2


@pytest.mark.parametrize("way", WAYS)
def test_no_client_says_one(world, printed_proxy, way):
    """Each header and way of its own, on a closed and on an open path: the application sees the gate's word, or none."""
    for name in (*TOLD, *IDENTITY):
        lies = WAYS[way](name)
        for target, presented in (("/orders/1", bearer(world.token)), ("/open/a", [])):
            with world.application.watch() as reached:
                answer = ask(printed_proxy.port, target=target, headers=[*lies, *presented])
            if answer.status == 400 and printed_proxy.refuses.search(way + lies[0][0]):
                assert not reached
                continue
            assert answer.status == 200, (name, answer)
            [got] = reached
            assert b"mallory" not in got.raw, (name, got)
            said = [n.lower() for n, _ in got.headers if reads_as(n) == name.lower()]
            assert said in ([], [name.lower()]), (name, got)
            if target == "/orders/1" and name in told(world, "token"):
                assert (got.one(name) or "") == told(world, "token")[name], (name, got)
