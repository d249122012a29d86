"""Credentials in headers and behind schemes of one's own choice, through each real proxy with what `print-config` makes for them."""

import base64
from types import SimpleNamespace

import pytest

from support import printed
from support.gate import PORTS
from support.gatepost import Gatepost
from support.proxies import PROXIES
from support.wire import ask

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "both", "path": "/both/**", "credentials": ["token", "api_key"]},
    {"id": "token", "path": "/token/**"},
]
FROM = {"token": ["Authorization: Bearer", "X-Session-Token"], "key": ["Authorization: Basic", "X-Service: Key"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory, application, running_proxies):
    running_proxies.stop()
    gates = [{"proxy": proxy, "listen": f"127.0.0.1:{port}", "secret": {"env": "GATEPOST_PROXY_SECRET"}, "from": FROM} for proxy, port in PORTS.items()]
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, gates=gates) as gatepost:
        alice = gatepost.sign_up("alice")
        yield SimpleNamespace(gatepost=gatepost, token=alice.token(), other=alice.token("orders:read"), key=alice.api_key, application=application)


@pytest.fixture(scope="module", params=PROXIES, ids=repr)
def proxy(request, world, tmp_path_factory):
    with printed.running(request.param, world.gatepost, tmp_path_factory.mktemp(repr(request.param)), "/open/a") as proxy:
        yield proxy


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


PASSES = {
    "Bearer": lambda w: [("Authorization", f"Bearer {w.token}")],
    "a header of its own": lambda w: [("X-Session-Token", w.token)],
    "both, which agree": lambda w: [("X-Session-Token", w.token), ("Authorization", f"bearer {w.token}")],
    "beside a foreign scheme": lambda w: [("X-Session-Token", w.token), ("Authorization", "Digest username=ann")],
    "a key as the password": lambda w: [("Authorization", basic("anybody", w.key))],
    "a key as the password of nobody": lambda w: [("Authorization", basic("", w.key))],
    "a key behind a scheme": lambda w: [("X-Service", f"key {w.key}")],
    "a key twice over": lambda w: [("X-Service", f"Key {w.key}"), ("Authorization", basic("x", w.key))],
    "a token and its key": lambda w: [("X-Session-Token", w.token), ("X-Service", f"Key {w.key}")],
    "what is no place here besides": lambda w: [("X-Session-Token", w.token), ("X-Api-Key", "gpk_forged"), ("X-Authorization", "Agent gpt_forged")],
}
REFUSED = {
    "where everybody else looks": lambda w: [("X-Api-Key", w.key)],
    "the other usual place": lambda w: [("X-Authorization", f"Agent {w.token}")],
    "a foreign scheme": lambda w: [("Authorization", f"Digest {w.token}")],
    "a token as a password": lambda w: [("Authorization", basic("x", w.token))],
    "a key as the user": lambda w: [("Authorization", basic(w.key, ""))],
    "a key that is not encoded": lambda w: [("Authorization", f"Basic x:{w.key}")],
    "a key without its scheme": lambda w: [("X-Service", w.key)],
    "a key in a token's place": lambda w: [("X-Session-Token", w.key)],
    "two tokens": lambda w: [("X-Session-Token", w.token), ("Authorization", f"Bearer {w.other}")],
    "two keys": lambda w: [("X-Service", "Key gpk_other"), ("Authorization", basic("x", w.key))],
    "a token, and a password": lambda w: [("X-Session-Token", w.token), ("Authorization", basic("x", w.key))],
    "a live one after one that is none": lambda w: [("X-Session-Token", "gpt_forged"), ("X-Session-Token", w.token)],
}


@pytest.mark.parametrize("way", PASSES)
def test_what_passes(world, proxy, way):
    with world.application.watch() as reached:
        # the second time it is known
        answers = [ask(proxy.port, target="/both/1", headers=PASSES[way](world)) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200], answers
    for got in reached:
        assert got.one("X-Auth-User") == "alice"
        assert all(secret.encode() not in got.raw for secret in (world.token, world.key)) and not got.all("Authorization"), got


@pytest.mark.parametrize("way", REFUSED)
def test_what_is_refused(world, proxy, way):
    with world.application.watch() as reached:
        answers = [ask(proxy.port, target="/both/1", headers=REFUSED[way](world)) for _ in range(2)]
    assert [answer.status for answer in answers] in ([401, 401], [400, 400]) and not reached, answers


def test_clients_are_told_where_to_put_it(world, proxy):
    answer = ask(proxy.port, target="/token/1")
    assert (answer.status, answer.json["message"]) == (
        401, "no credential: send an access token in `authorization: Bearer` or `x-session-token` (POST /get-token gives one for an API key)")
