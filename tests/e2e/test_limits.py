"""Rates and quotas: through each real proxy, by four replicas at many times the load, and what a crash or an outage does to them."""

import re
import signal
import socket
import time
from types import SimpleNamespace

import pytest

from support.databases import SERVERS
from support.gate import bearer, check, question
from support.gatepost import Gatepost, call
from support.replica import Replica
from support.services import until
from support.wire import ask

pytestmark = pytest.mark.alone

SLOW = {"rate": "1/h", "burst": 2}
RULES = [
    {"id": "slow", "path": "/slow/**", "credentials": ["token", "api_key"], "scopes": {"all": ["a"]}, "limit": SLOW},
    {"id": "day", "path": "/day/**", "credentials": ["api_key"], "limit": {"quota": "3/day", "per": "principal"}},
    {"id": "shadow", "path": "/shadow/**", "credentials": ["api_key"], "limit": SLOW, "enforce": False},
    {"id": "agreed", "path": "/agreed/**", "credentials": ["token", "api_key"]},
]


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as gatepost:
        yield SimpleNamespace(gatepost=gatepost, alice=gatepost.sign_up("alice"), application=application)


def statuses(times, send):
    return [send().status for _ in range(times)]


def gate(key, uri="/slow/1", proxy="traefik"):
    return check(proxy, uri=uri, headers=[("X-Api-Key", key)])


def test_the_client_is_told_through_each_proxy(world, proxy):
    _, key = world.alice.key("a")
    send = lambda: ask(proxy.port, "GET", "/slow/1", [("X-Api-Key", key)])  # noqa: E731
    assert statuses(2, send) == [200, 200]
    for _ in range(3):
        with world.application.watch() as reached:
            answer = send()
        assert not reached
        assert answer.status == 429, answer
        assert 1 <= int(answer.one("retry-after")) <= 3600
        assert answer.one("ratelimit-policy") == '"rate";q=1;w=3600'
        assert re.fullmatch(r'"rate";r=0;t=\d+', answer.one("ratelimit")), answer
        assert (answer.json["code"], answer.json["message"]) == (429, "too many requests: try again shortly")
        assert answer.one("cache-control") == "no-store"
    _, other = world.alice.key("a")
    assert ask(proxy.port, "GET", "/slow/1", [("X-Api-Key", other)]).status == 200, "another key has its own"


def test_nginx_hears_403_and_the_status_beside_it(world):
    _, key = world.alice.key("a")
    assert statuses(2, lambda: gate(key, proxy="nginx")) == [200, 200]
    answer = gate(key, proxy="nginx")
    assert (answer.status, answer.one("x-deny-status"), answer.reason) == (403, "429", "rate_limited")
    assert answer.one("retry-after") and answer.one("ratelimit")


def test_a_refusal_costs_nothing_and_all_tokens_of_a_key_share(world):
    _, key = world.alice.key("a", "b")
    without = world.gatepost.token(key, ["b"])
    assert statuses(5, lambda: check("traefik", uri="/slow/1", headers=bearer(without))) == [403] * 5
    explained = world.gatepost.run("explain", "GET", "http://app.example/slow/1", "--api-key", key)
    assert (explained.returncode, "1/h, 2 at once, per key" in explained.stdout) == (0, True), explained
    first, second = world.gatepost.token(key, ["a"]), world.gatepost.token(key, ["a", "b"])
    said = [check("traefik", uri="/slow/1", headers=bearer(token)).status for token in (first, second, first, second)]
    assert said == [200, 200, 429, 429]


def test_a_quota_is_shared_by_all_keys_of_a_person(world):
    bob = world.gatepost.sign_up("bob")
    keys = [bob.key("a")[1] for _ in range(3)]
    said = [gate(keys[n % 3], "/day/1") for n in range(5)]
    assert [answer.status for answer in said] == [200, 200, 200, 429, 429]
    assert said[-1].one("ratelimit-policy") == '"day";q=3;w=86400'
    assert 1 <= int(said[-1].one("retry-after")) <= 86400
    assert gate(world.gatepost.sign_up("eve").api_key, "/day/1").status == 200


def test_a_shadow_rule_lets_pass_and_says_what_it_would_have_done(world):
    _, key = world.alice.key("a")
    assert statuses(6, lambda: gate(key, "/shadow/1")) == [200] * 6
    counted = re.search(r'gatepost_decisions_total\{(?=[^}]*rule="shadow")(?=[^}]*result="shadow")(?=[^}]*reason="rate_limited")[^}]*\} (\d+)',
                        world.gatepost.metrics())
    assert counted and int(counted[1]) == 4, world.gatepost.metrics()


def test_what_is_agreed_about_keys_people_and_policies(world):
    admin, client = world.alice, world.gatepost.sign_up("carl")
    for wrong in ({"rate": "10"}, {"rate": "1/s", "burst": 0}, {"quota": "1/week"}, {"per": "key"}, {"rate": "1/s", "per": "all"}):
        answer = admin.call("POST", "/v1/policies", {"name": "wrong", "allow": ["a"], "limit": wrong})
        assert answer.status == 400, answer
        assert "limit" in answer.json["message"], answer

    # of a key: by whoever stands above its owner, not by the owner
    key_id, key = client.key("a")
    terms = {"limit": {"rate": "1/h", "burst": 1}}
    assert client.call("PUT", f"/v1/keys/{key_id}/terms", terms).status == 403
    answer = admin.call("PUT", f"/v1/keys/{key_id}/terms", terms)
    assert answer.status == 200, answer
    assert answer.json["key"]["terms"]["limit"] == {"rate": "1/h", "burst": 1, "per": "key"}
    assert statuses(3, lambda: gate(key, "/agreed/1")) == [200, 429, 429]
    assert admin.call("PUT", f"/v1/keys/{key_id}/terms", {}).status == 200
    assert statuses(3, lambda: gate(key, "/agreed/1")) == [200] * 3, "no limit any more"

    # of a policy: for whoever it is attached to
    answer = admin.call("POST", "/v1/policies", {"name": "trial", "allow": ["a"], "limit": {"quota": "2/day", "per": "principal"}})
    assert answer.status == 201, answer
    policy = answer.json["policy"]
    assert policy["limit"] == {"quota": "2/day", "per": "principal"}
    made = admin.call("POST", "/v1/clients", {"user": "dora", "password": "a long enough password", "policies": [policy["id"]]})
    assert made.status == 201, made
    dora = made.json["api_key"]
    assert statuses(4, lambda: gate(dora, "/agreed/1")) == [200, 200, 429, 429]
    changed = admin.call("PUT", f"/v1/policies/{policy['id']}", {"name": "trial", "allow": ["a"], "limit": {"quota": "3/day", "per": "principal"}})
    assert changed.status == 200, changed
    until("the quota that grew lets one more pass", 15, lambda: gate(dora, "/agreed/1").status == 200)
    assert gate(dora, "/agreed/1").status == 429


def test_a_crash_loses_one_batch_at_most_and_a_restart_nothing(tmp_path):
    rules = [{"id": "day", "path": "/**", "credentials": ["api_key"], "limit": {"quota": "1000/day"}}]
    with Replica(tmp_path, 5, rules, proxy="traefik") as gatepost:
        send = lambda: gatepost.check([("X-Api-Key", key)])  # noqa: E731
        key = gatepost.sign_up("ann").api_key
        used = 0
        for end in ("kill", "stop", "kill"):
            assert statuses(25, send) == [200] * 25
            used += 25
            if end == "kill":
                gatepost.process.kill()
                gatepost.process.wait()
                gatepost.process = None
            else:
                gatepost.stop()
            gatepost.start()
        passed = 0
        while send().status == 200:
            passed += 1
            assert passed <= 1000 - used, "more than the quota"
        assert passed >= 1000 - used - 2 * 10, "two crashes, of a hundredth each"


class Load:
    """Checks as fast as they are answered, one connection to each replica, in turn; counts what passes."""

    def __init__(self, replicas, headers):
        self.asks = question("nginx", uri="/api/1", headers=headers)
        self.replicas, self.connections = replicas, [None] * len(replicas)
        self.checks = 0

    def one(self, n):
        if self.connections[n] is None:
            self.connections[n] = socket.create_connection(("127.0.0.1", self.replicas[n].gate), 5)
        connection = self.connections[n]
        connection.sendall(self.asks)
        said = b""
        while b"\r\n\r\n" not in said:
            more = connection.recv(4096)
            assert more, "the connection ended"
            said += more
        self.checks += 1
        status = int(said[9:12])
        assert status in (200, 403), said
        if status == 403:
            assert b"x-deny-status: 429" in said.lower(), said
        return status == 200

    def passed(self, seconds):
        began, passed, n = time.monotonic(), 0, 0
        while time.monotonic() - began < seconds:
            passed += self.one(n % len(self.replicas))
            n += 1
        return passed / (time.monotonic() - began)


def leases(replicas):
    total = 0
    for replica in replicas:
        text = call(replica.metrics_port, "GET", "/metrics").body.decode()
        total += sum(int(n) for n in re.findall(r'gatepost_store_request_duration_seconds_count\{operation="lease"\} (\d+)', text))
    return total


@pytest.fixture
def house(redis, tmp_path, tmp_path_factory):
    """Four replicas on PostgreSQL and Redis, one rule with a rate that what is cached outlives."""
    server = SERVERS["postgres"](tmp_path_factory.mktemp("postgres"), 5490).start()
    server.value("CREATE DATABASE gatepost", "postgres")
    with socket.create_connection(("127.0.0.1", redis.port)) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(64).startswith(b"+OK")
    rules = [{"id": "api", "path": "/api/**", "credentials": ["api_key"], "limit": {"rate": "60/s", "burst": 60},
              "on_store_error": {"allow_cached_for": "5m"}}]
    replicas = [Replica(tmp_path / f"replica{n}", n, rules, environment={"DATABASE": server.url("gatepost")},
                        database={"env": "DATABASE"}, tokens={"store": f"redis://127.0.0.1:{redis.port}"}) for n in range(4)]
    for replica in replicas:
        replica.start()
    yield replicas
    for replica in replicas:
        replica.stop()
    server.stop()


def test_replicas_let_the_rate_pass_and_no_more(house, redis):
    key = house[0].sign_up("ann").api_key
    headers = [("X-Api-Key", key)]
    for replicas in (house[:1], house):
        load = Load(replicas, headers)
        load.passed(2)  # what may come at once
        before, checks = leases(replicas), load.checks
        rate = load.passed(6)
        checks = load.checks - checks
        asked = (leases(replicas) - before) / checks
        print(f"{len(replicas)} replicas: {checks / 6:.0f} checks/s, {rate:.1f} of 60 passed a second, {asked:.4f} leases a check")
        assert checks / 6 > 5 * 60, "too slow a machine to say anything"
        assert 0.95 * 60 <= rate <= 1.05 * 60, rate
        assert asked <= 0.01, asked

    # Redis away: one of four lets pass its share of the rate at most
    redis.process.send_signal(signal.SIGSTOP)
    try:
        alone = Load(house[:1], headers)
        alone.passed(3)  # until the lease is over, and its share at once
        rate = alone.passed(4)
        print(f"Redis away, one of four: {rate:.1f} a second")
        assert rate <= 60 / 4 * 1.1, rate
        assert rate >= 60 / 4 * 0.8, rate
    finally:
        redis.process.send_signal(signal.SIGCONT)
