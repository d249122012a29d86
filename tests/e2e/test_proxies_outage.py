"""Through each real proxy while Redis is away: never a wrong yes, never a false 401, back at once."""

import signal
import socket
import time
from statistics import median
from types import SimpleNamespace

import pytest

from support.gate import bearer, check
from support.gatepost import Gatepost
from support.services import until
from support.wire import ask

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
]


@pytest.fixture(scope="module")
def world(tmp_path_factory, application, redis):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, tokens={"store": f"redis://127.0.0.1:{redis.port}"}) as gatepost:
        alice = gatepost.sign_up("alice")
        yield SimpleNamespace(gatepost=gatepost, alice=alice, token=alice.token("orders:read"), application=application, redis=redis)


def until_noticed(world):
    """What is known is used until the lease is over."""
    until("the lease is over", 2, lambda: check("traefik", uri="/orders/1", headers=bearer(world.token)).status == 503)


def test_redis_stopped(world, proxy):
    def send(method, target="/orders/1", headers=bearer(world.token)):
        return ask(proxy.port, method, target, headers)

    until("allowed", 3, lambda: send("GET").status == 200)
    with world.redis.away():
        until_noticed(world)
        with world.application.watch() as reached:
            for method in ("GET", "DELETE"):
                for headers in (bearer(world.token), [("X-Api-Key", world.alice.api_key)]):
                    answer = send(method, headers=headers)
                    assert answer.status == 503, answer
                    if proxy.body_of_503:
                        assert answer.one("retry-after") == "1" and answer.json["code"] == 503
            assert send("GET", headers=bearer("gpt_forged")).status == 401  # told from itself, not from the store
            assert send("GET", headers=()).status == 401
        assert not reached
        assert send("GET", "/open/a").status == 200
    assert until("allowed again", 5, lambda: send("GET").status == 200) < 2


@pytest.mark.alone
@pytest.mark.parametrize("what", ["stopped", "disconnected"])
def test_a_short_outage_is_not_noticed(world, what):
    """Neither while it lasts nor when it is over: what was read by another connection is read again."""
    known = [bearer(world.alice.token("orders:read", f"n{n}")) for n in range(5)] + [[("X-Api-Key", world.alice.api_key)]]

    def are_known(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for headers in known:
                answer = check("traefik", uri="/orders/1", headers=headers)
                assert answer.status == 200, answer

    until("allowed", 3, lambda: all(check("traefik", uri="/orders/1", headers=headers).status == 200 for headers in known))
    for _ in range(5):
        if what == "disconnected":
            with socket.create_connection(("127.0.0.1", world.redis.port), timeout=5) as connection:
                connection.sendall(b"CLIENT KILL TYPE normal SKIPME yes\r\n")
                assert int(connection.recv(64)[1:]) >= 2, "the one that asks, and the one that reads the log"
        else:
            world.redis.process.send_signal(signal.SIGSTOP)
            try:
                are_known(0.4)
            finally:
                world.redis.process.send_signal(signal.SIGCONT)
        are_known(0.8)


def test_refusal_is_quick_and_says_which_status(world):
    with world.redis.away():
        until_noticed(world)
        took = []
        for _ in range(5):
            began = time.monotonic()
            answer = check("nginx", uri="/orders/1", headers=bearer(world.token))
            took.append(time.monotonic() - began)
            assert (answer.status, answer.one("x-deny-status"), answer.reason) == (403, "503", "store_unavailable"), answer
            answer = check("traefik", uri="/orders/1", headers=bearer(world.token))
            assert (answer.status, answer.one("retry-after")) == (503, "1"), answer
        assert median(took) < 0.25, took
    until("back", 2, lambda: check("nginx", uri="/orders/1", headers=bearer(world.token)).status == 200)


def test_redis_hanging(world):
    """A Redis that is there and says nothing costs no more than one that is gone."""
    world.redis.process.send_signal(signal.SIGSTOP)
    try:
        until_noticed(world)
        took = []
        for _ in range(5):
            began = time.monotonic()
            answer = check("traefik", uri="/orders/1", headers=bearer(world.token))
            took.append(time.monotonic() - began)
            assert answer.status == 503, answer
        assert median(took) < 0.25, took
        assert check("traefik", uri="/open/a").status == 200
    finally:
        world.redis.process.send_signal(signal.SIGCONT)
    assert until("back", 5, lambda: check("traefik", uri="/orders/1", headers=bearer(world.token)).status == 200) < 2


def test_an_end_while_redis_is_away_holds(world):
    scopes = ("orders:read", "ended-meanwhile")
    token = world.alice.token(*scopes)
    [ended] = [t["id"] for t in world.alice.tokens() if sorted(t["scopes"]) == sorted(scopes)]
    with world.redis.away():
        answer = world.alice.call("DELETE", f"/v1/tokens/{ended}")
        assert (answer.status, answer.json["propagated"]) == (202, False), answer
        assert check("traefik", uri="/orders/1", headers=bearer(token)).status == 503
    until("back", 2, lambda: check("traefik", uri="/orders/1", headers=bearer(world.token)).status == 200)
    until("the end is applied", 2, lambda: check("traefik", uri="/orders/1", headers=bearer(token)).status == 401)


def test_redis_that_lost_everything(world):
    """Ended stays ended, and whoever asks again gets a token that works."""
    scopes = ("orders:read", "ended-before")
    ended = world.alice.token(*scopes)
    world.alice.end(*scopes)
    with world.redis.away():
        for path in world.redis.folder.glob("appendonlydir/*"):
            path.unlink()

    def asked_again():
        answer = world.gatepost.admin("POST", "/get-token", {"api_key": world.alice.api_key, "scopes": ["orders:read"]})
        return answer.status == 200 and check("traefik", uri="/orders/1", headers=bearer(answer.json["data"]["auth_token"])).status == 200

    assert until("a new token works", 5, asked_again) < 2
    assert check("traefik", uri="/orders/1", headers=bearer(ended)).status == 401
    until("the key works", 3, lambda: check("traefik", uri="/orders/1", headers=[("X-Api-Key", world.alice.api_key)]).status == 200)
