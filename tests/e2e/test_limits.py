"""Rates and quotas: through each real proxy, by four replicas at many times the load, and what a crash or an outage does to them."""

import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from support.databases import SERVERS
from support.gate import bearer, check, question
from support.gatepost import Gatepost, call
from support.proxies import PROXIES, through
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
    {"id": "tenant", "path": "/tenant/**", "credentials": ["api_key"], "limit": {"quota": "3/day", "per": "tenant"}},
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


def test_a_tenant_shares_one(world):
    founder = world.gatepost.sign_up("finn")
    made = founder.call("POST", "/v1/clients", {"user": "cleo", "password": "a long enough password"})
    assert made.status == 201, made
    keys = [founder.api_key, made.json["api_key"]]
    assert [gate(keys[n % 2], "/tenant/1").status for n in range(5)] == [200, 200, 200, 429, 429]
    assert gate(world.gatepost.sign_up("tess").api_key, "/tenant/1").status == 200, "another tenant has its own"


def test_an_explanation_charges_nothing(world):
    _, key = world.alice.key("a")
    explain = lambda: check("nginx", uri="/slow/1", headers=[("X-Api-Key", key)], path="/explain")  # noqa: E731
    assert statuses(20, explain) == [503] * 20
    assert statuses(3, lambda: gate(key, proxy="nginx")) == [200, 200, 403]
    assert statuses(20, explain) == [429] * 20


@pytest.mark.parametrize(("uri", "reason", "state"), [("/slow/1", "rate_limited", "rate-limited"), ("/day/1", "quota_exceeded", "quota-exceeded")])
def test_told_by_explain_on_the_files(world, uri, reason, state):
    key = world.gatepost.sign_up(state).api_key
    until("it is used up", 2, lambda: gate(key, uri).status == 429)
    logged = lambda: [line for line in world.gatepost.said().splitlines() if state in line]  # noqa: E731
    until("it is logged", 2, logged)
    command = logged()[-1]
    command = command[command.index("gatepost explain "):]
    told = world.gatepost.run_printed(command)
    assert f"deny  429 {reason}" in told.stdout, (command, told)
    assert "ratelimit-policy: " in told.stdout, told


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
    assert admin.call("PUT", f"/v1/keys/{key_id}/terms", {"limit": {"rate": "100/s"}}).status == 200
    assert statuses(3, lambda: gate(key, "/agreed/1")) == [200] * 3, "from the next check on"
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
    assert statuses(2, lambda: gate(dora, "/agreed/1")) == [200, 429], "one more, from the next check on"


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
    """Checks at one replica as fast as they are answered; counts them and what passes."""

    def __init__(self, replica, key, uri):
        self.asks = question("nginx", uri=uri, headers=[("X-Api-Key", key)])
        self.connection = socket.create_connection(("127.0.0.1", replica.gate), 5)
        self.checks = self.passed = 0

    def one(self):
        self.connection.sendall(self.asks)
        said = b""
        while b"\r\n\r\n" not in said:
            more = self.connection.recv(4096)
            assert more, "the connection ended"
            said += more
        self.checks += 1
        status = int(said[9:12])
        assert status in (200, 403), said
        if status == 403:
            assert b"x-deny-status: 429" in said.lower(), said
        self.passed += status == 200
        return status == 200

    def for_seconds(self, seconds):
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self.one()

    def until_refused(self):
        while self.one():
            pass


def at_once(loads, act):
    """Does this with each, one thread a replica; how much was asked and passed meanwhile, and how long that took."""
    began, checks, passed = time.monotonic(), sum(load.checks for load in loads), sum(load.passed for load in loads)
    with ThreadPoolExecutor(len(loads)) as pool:
        list(pool.map(act, loads))
    return sum(load.checks for load in loads) - checks, sum(load.passed for load in loads) - passed, time.monotonic() - began


def leases(replicas):
    total = 0
    for replica in replicas:
        text = call(replica.metrics_port, "GET", "/metrics").body.decode()
        total += sum(int(n) for n in re.findall(r'gatepost_store_request_duration_seconds_count\{operation="lease"\} (\d+)', text))
    return total


@pytest.fixture(scope="module")
def house(redis, tmp_path_factory):
    """Four replicas on PostgreSQL and Redis, and rules with limits; what is cached outlives the rate of one."""
    server = SERVERS["postgres"](tmp_path_factory.mktemp("postgres"), 5490).start()
    server.value("CREATE DATABASE gatepost", "postgres")
    limits = {"api": {"rate": "60/s", "burst": 60}, "slow": SLOW, "few": {"quota": "2/day"}, "back": {"rate": "1/h", "burst": 64}, "quota": {"quota": "1000/day"}}
    rules = [{"id": name, "path": f"/{name}/**", "credentials": ["api_key"], "limit": limit} for name, limit in limits.items()]
    rules[0]["on_store_error"] = {"allow_cached_for": "5m"}
    replicas = [Replica(tmp_path_factory.mktemp(f"replica{n}"), n, rules, environment={"DATABASE": server.url("gatepost")},
                        database={"env": "DATABASE"}, tokens={"store": f"redis://127.0.0.1:{redis.port}"}) for n in range(4)]
    try:
        for replica in replicas:
            replica.start()
        yield SimpleNamespace(replicas=replicas, server=server, ann=replicas[0].sign_up("ann"))
    finally:
        for replica in replicas:
            replica.stop()
        server.stop()


def test_what_one_replica_refuses_another_explains(house, application, running_proxies, tmp_path):
    """nginx asks in turn: one replica whether, and the next one why not."""
    running_proxies.stop()
    servers = " ".join(f"server 127.0.0.1:{replica.gate};" for replica in house.replicas[:2])
    with through(PROXIES[0], tmp_path, [("gatepost.conf", "server 127.0.0.1:9001;", servers)]) as nginx:
        for uri, name in (("/slow/1", "rate"), ("/few/1", "day")):
            _, key = house.ann.key("a")
            said = [ask(nginx.port, "GET", uri, [("X-Api-Key", key)]) for _ in range(12)]
            assert [answer.status for answer in said] == [200] * 2 + [429] * 10, uri
            for answer in said[2:]:
                assert re.fullmatch(rf'"{name}";r=0;t=\d+', answer.one("ratelimit")) and int(answer.one("retry-after")) >= 1, answer


def test_what_one_replica_does_not_use_of_a_rate_another_may(house):
    _, key = house.ann.key("a")
    one, other = (Load(replica, key, "/back/1") for replica in house.replicas[:2])
    assert [one.one() for _ in range(40)] == [True] * 40
    time.sleep(4)  # two sweeps without any use, and some time
    other.until_refused()
    assert 20 <= other.passed <= 24


def test_a_check_does_not_wait_for_a_database_that_stands_still(house):
    """Who has units of a quota goes on; who would have to lease some is refused for now, within some two seconds, and served when it is over."""
    _, served = house.ann.key("a")
    _, other = house.ann.key("a")
    replica = house.replicas[0]
    ask_quota = lambda key: check(replica.proxy, uri="/quota/1", headers=[("X-Api-Key", key)], address=replica.gate)  # noqa: E731
    assert ask_quota(served).status == 200
    with ThreadPoolExecutor(1) as pool:
        still = pool.submit(house.server.value, "BEGIN; LOCK TABLE quotas; SELECT pg_sleep(5); COMMIT")
        until("the table is locked", 3, lambda: house.server.value("SELECT COUNT(*) FROM pg_locks WHERE relation = 'quotas'::regclass AND mode = 'AccessExclusiveLock'") == "1")
        assert ask_quota(served).status == 200
        began = time.monotonic()
        answer = ask_quota(other)
        took = time.monotonic() - began
        assert (answer.status, answer.one("x-deny-status"), answer.one("x-deny-reason")) == (403, "503", "store_unavailable"), answer
        assert 0.9 < took < 4.5, took
        still.result()
    assert ask_quota(other).status == 200


def test_replicas_let_a_quota_pass_and_no_more(house):
    _, key = house.ann.key("a")
    loads = [Load(replica, key, "/quota/1") for replica in house.replicas]
    checks, passed, took = at_once(loads, Load.until_refused)
    print(f"{checks} checks by four replicas in {took:.1f} s: {[load.passed for load in loads]}")
    assert passed == 1000
    assert min(load.passed for load in loads) > 50, "each has its part"


def test_replicas_let_the_rate_pass_and_no_more(house, redis):
    _, key = house.ann.key("a")
    for replicas in (house.replicas[:1], house.replicas):
        loads = [Load(replica, key, "/api/1") for replica in replicas]
        at_once(loads, lambda load: load.for_seconds(2))  # what may come at once
        before = leases(replicas)
        checks, passed, took = at_once(loads, lambda load: load.for_seconds(6))
        asked = (leases(replicas) - before) / checks
        print(f"{len(replicas)} replicas: {checks / took:.0f} checks/s, {passed / took:.1f} of 60 passed a second, {asked:.4f} leases a check")
        assert checks / took > 10 * 60, "too slow a machine to say anything"
        assert 0.9 * 60 <= passed / took <= 1.1 * 60
        assert asked <= 0.01, asked

    # Redis away: one of four lets pass its share of the rate at most
    redis.process.send_signal(signal.SIGSTOP)
    try:
        alone = [Load(house.replicas[0], key, "/api/1")]
        at_once(alone, lambda load: load.for_seconds(3))  # until the lease is over, and its share at once
        _, passed, took = at_once(alone, lambda load: load.for_seconds(4))
        print(f"Redis away, one of four: {passed / took:.1f} a second")
        assert 60 / 4 * 0.8 <= passed / took <= 60 / 4 * 1.1
    finally:
        redis.process.send_signal(signal.SIGCONT)


def test_while_the_database_is_away_a_quota_lasts_for_what_was_leased(house):
    one = house.replicas[0]
    until("it is back", 5, one.ready)
    _, key = house.ann.key("a")
    send = lambda: check("nginx", uri="/quota/1", headers=[("X-Api-Key", key)], address=one.gate)  # noqa: E731
    assert send().status == 200
    house.server.kill()
    try:
        assert statuses(9, send) == [200] * 9
        answer = send()
        assert (answer.status, answer.one("x-deny-status"), answer.reason) == (403, "503", "store_unavailable"), answer
    finally:
        house.server.start()
    until("the database is back", 5, lambda: send().status == 200)
