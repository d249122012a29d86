"""What a check asks of the store: one script for a credential that is not known yet, nothing where it is, or cannot matter."""

import re
import time
from types import SimpleNamespace

import pytest

from support.gate import bearer, changed, check
from support.gatepost import Gatepost
from support.services import until

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "methods": ["GET"], "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
    {"id": "patient", "path": "/patient", "scopes": {"all": ["orders:read"]}, "on_store_error": {"allow_cached_for": "4s"}},
    {"id": "tokens-only", "path": "/tokens-only", "scopes": {"all": ["orders:read"]}},
]


@pytest.fixture(scope="module")
def world(tmp_path_factory, redis):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, tokens={"store": f"redis://127.0.0.1:{redis.port}"}) as gatepost:
        alice = gatepost.sign_up("alice")
        yield SimpleNamespace(gatepost=gatepost, redis=redis, key=alice.api_key, token=alice.token("orders:read"))


def fills(gatepost):
    """How often a check has asked the store."""
    return sum(int(n) for n in re.findall(r'gatepost_store_request_duration_seconds_count\{operation="fill"\} (\d+)', gatepost.metrics()))


def test_a_credential_is_looked_up_once(world):
    before = fills(world.gatepost)
    for headers in (bearer(world.token), [("X-Api-Key", world.key)]) * 20:
        assert check("nginx", uri="/orders/1", headers=headers).status == 200
    # what a busy Redis does not answer is asked twice
    assert 2 <= fills(world.gatepost) - before <= 4


def test_forged_and_needless_credentials_never_reach_it(world):
    before = fills(world.gatepost)
    forged = [changed(world.token), "gpt_" + "0" * 66, "gpt_", "eyJhbGciOiJub25lIn0.e30.", world.key, "x" * 9000]
    made_up = [changed(world.key), "gpk_" + "0" * 50, "gpk_", "k", world.token]
    for n in range(3):
        for token in forged:
            assert check("nginx", uri="/orders/1", headers=bearer(token)).status == 401
        for key in made_up:
            assert check("nginx", uri="/orders/1", headers=[("X-Api-Key", key)]).status == 401
        for uri, status in (("/open/a", 200), ("/nowhere", 403), ("/orders/../x", 403)):
            assert check("nginx", uri=uri, headers=bearer(world.token)).status == status
        assert check("nginx", "DELETE", "/orders/1", headers=bearer(world.token)).status == 403
        assert check("nginx", uri="/tokens-only", headers=[("X-Api-Key", world.key)]).status == 401
    assert fills(world.gatepost) == before


def test_an_ended_token_reaches_it_once(world):
    bob = world.gatepost.sign_up("bob")
    token = bob.token("orders:read")

    def ask():
        return check("nginx", uri="/orders/1", headers=bearer(token)).status

    assert ask() == 200
    before = fills(world.gatepost)
    bob.end("orders:read")
    until("the end has reached this process", 2, lambda: ask() == 401)
    time.sleep(0.3)  # until its entry of the log has come, too
    assert ask() == 401
    assert 1 <= (reached := fills(world.gatepost)) - before <= 4
    assert [ask() for _ in range(50)] == [401] * 50
    assert fills(world.gatepost) == reached


def test_what_is_known_is_used_through_an_outage_where_a_rule_says_so(world):
    known, unknown = world.token, world.gatepost.sign_up("carol").token("orders:read")

    def ask(path, token):
        answer = check("traefik", uri=path, headers=bearer(token))
        return answer.status

    def all_known():
        return ask("/patient", known) == ask("/orders/1", known) == 200

    # a heartbeat may have to tell of the four seconds first
    until("Redis answers", 5, all_known)
    time.sleep(0.5)
    with world.redis.away():
        began = time.monotonic()
        until("the lease is over", 2, lambda: ask("/orders/1", known) == 503)
        assert ask("/patient", known) == 200
        assert ask("/patient", unknown) == 503
        until("the time of the rule is over", 9, lambda: ask("/patient", known) == 503)
        took = time.monotonic() - began
        assert 3 < took < 8, took
    until("Redis is back", 5, lambda: ask("/patient", known) == 200)
